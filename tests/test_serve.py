"""`uslab study serve` without a browser: it starts, refuses strangers, stops, and never serves unhardened."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from made import pictures
from test_environment import another_kernel

from uslab.cli.main import main
from uslab.reader import server as serve
from uslab.study import Study


@pytest.fixture
def study(tmp_path):
    return Study.build(pictures(12, 0), {"gan": pictures(8, 1)}, "yesno", out=tmp_path / "study", n_per_method=4,
                       practice=0, attention=0, repeats=0.0)


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.notebook
def test_the_command_prints_links_serves_and_stops(study, port, tmp_path):
    command = [sys.executable, "-m", "uslab.cli", "study", "serve", str(study.folder), "--port", str(port), "--invite",
               "Dr A", "--address", "https://study.example.org/heads"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]),
                                "JUPYTER_PATH": str(another_kernel(tmp_path / "jupyter"))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        code = re.search(r"^Dr A: https://study\.example\.org/heads/\?r=(\S+)$", said, re.MULTILINE).group(1)
        assert study.session(code).reader == "R01"
        for path, expected in (("/heads/", 403), ("/heads/?r=guess", 403), ("/", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20)
            assert refused.value.code == expected
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/heads/?r={code}", timeout=60)
        text = page.read().decode()
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert code not in text and str(study.folder) not in text and "cdn.jsdelivr" not in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0 and "The key lies on this machine" in said + process.stdout.read()
    finally:
        process.kill()
        process.wait()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)
    assert (study.public / "reading.ipynb").is_file() and study.audit().blinded     # it holds no more than it may
    assert "study" not in str(nbformat.read(study.public / "reading.ipynb", 4).cells).lower()     # one notebook for all


@pytest.mark.notebook
@pytest.mark.parametrize("settings, message", [("", "without the settings"), ("raise ValueError", "ended at once")])
def test_it_does_not_serve_without_its_settings(study, port, settings, message, monkeypatch):
    prepare = serve.prepare

    def spoilt(study):
        prepare(study)
        (study.public / "voila.py").write_text(settings)

    monkeypatch.setattr(serve, "prepare", spoilt)
    with pytest.raises(OSError, match=message), serve.serving(study, port=port):
        pass
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


@pytest.mark.notebook
def test_it_does_not_serve_where_no_kernel_starts(tmp_path):
    with pytest.raises(OSError, match="no page can be shown, since .*python.* starts no kernel for it"):
        serve.prove(another_kernel(tmp_path) / "kernels", tmp_path, dict(os.environ))


def test_what_cannot_be_served_is_said_in_one_line(study, port, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert main(["study", "serve", str(study.folder), "--port", str(port), "--invite", "Dr A"]) == 2
        assert "choose another with --port" in capsys.readouterr().err
    assert not study.readers(), "a reader whose code nobody saw"
    assert main(["study", "serve", str(tmp_path / "nothing")]) == 2
    assert "uslab study build" in capsys.readouterr().err
    study.close()
    assert main(["study", "serve", str(study.folder), "--invite", "Dr B"]) == 2
    assert "closed" in capsys.readouterr().err and not study.readers()
