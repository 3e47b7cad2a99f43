"""`uslab study serve` without a browser: it starts, refuses strangers, stops, and never serves unhardened."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from made import pictures
from test_environment import another_kernel
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from uslab.cli.main import main
from uslab.reader import check, guard
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


def ipykernels(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)
            if any("ipykernel" in word for word in child.cmdline())]


def spoilt_frame(port: int, base: str, kernel: str) -> int:
    """Send a frame that says it has 2^63 parts; returns the code with which the server closes the line."""
    async def talk() -> int:
        try:
            request = HTTPRequest(f"ws://127.0.0.1:{port}{base}/api/kernels/{kernel}/channels?session_id=x")
            line = await websocket_connect(request, subprotocols=[guard.PROTOCOL])
        except HTTPClientError as error:
            return error.code
        await line.write_message((2**63).to_bytes(8, "little") + bytes(64), binary=True)
        while await line.read_message() is not None:
            pass
        return line.close_code

    with ThreadPoolExecutor(1) as pool:     # a browser test before this one leaves a loop running in its thread
        return pool.submit(asyncio.run, talk()).result()


def said_back(port: int, base: str, messages: list[str], origin: str = "") -> tuple[list[str], int] | int:
    """What the check's line says back until it closes, and the code with which it does; its status if it is refused."""
    async def talk():
        headers = {"Origin": origin} if origin else {}
        try:
            line = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{port}{base}/check", headers=headers))
        except HTTPClientError as error:
            return error.code
        for message in messages:
            line.write_message(message)
        said = []
        while (message := await line.read_message()) is not None:
            said.append(message)
        return said, line.close_code

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, talk()).result()


def framed(parts: list[bytes], count: int | None = None) -> bytes:
    """A frame of the kernel's protocol."""
    at = np.cumsum([8 * (len(parts) + 2), *map(len, parts)])
    return b"".join(int(n).to_bytes(8, "little") for n in [len(at) if count is None else count, *at]) + b"".join(parts)


def test_malformed_frames_are_refused_before_they_are_parsed():
    good = framed([b"shell", b"{}", b"{}", b"{}", b"{}"])
    assert guard.sound(good) and guard.sound(framed([b"shell", *[b"{}"] * 4, b"buffer"]))
    for frame in ("text", b"", bytes(8), good[:-1], good + b"x", framed([b"shell", b"{}"]), framed([b"x"] * 40),
                  framed([b"shell", *[b"{}"] * 4], 2**63), framed([b"shell", *[b"{}"] * 4], 5),
                  (2**63).to_bytes(8, "little") + good[8:], framed([b"shell", *[bytes(2**20)] * 4])):
        assert not guard.sound(frame)


@pytest.mark.notebook
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGSTOP")
def test_the_watchdog_sees_a_server_that_hangs_or_has_ended(study, port, monkeypatch):
    monkeypatch.setattr(serve, "LOOK_EVERY", 0.5)
    monkeypatch.setattr(serve, "PATIENCE", 1)
    with serve.serving(study, port=port) as process:
        address = serve.local("127.0.0.1", port, "/")
        process.send_signal(signal.SIGSTOP)
        assert serve.watch(process, address) == "did not answer within 1 s"
        process.send_signal(signal.SIGCONT)
        process.kill()
        assert serve.watch(process, address).startswith("ended with code")
    turns = []

    @contextlib.contextmanager
    def failing(*_):
        turns.append(subprocess.Popen([sys.executable, "-c", ""]))
        yield turns[-1]

    monkeypatch.setattr(serve, "serving", failing)
    monkeypatch.setattr(serve.time, "sleep", lambda _: None)
    with pytest.raises(OSError, match="Voila failed 6 times and is not started again"):
        serve.serve(study.folder, "127.0.0.1", port, None, [])
    assert len(turns) == 6


@contextlib.contextmanager
def started(study, arguments: list[str], until: str, **environment):
    """`uslab study serve` with these arguments, and what it has said as soon as that holds a text."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uslab.cli", "study", "serve", str(study.folder), *arguments], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment)
    try:
        said = ""
        while until not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        yield process, said
    finally:
        process.kill()
        process.wait()


@pytest.mark.notebook
def test_the_command_prints_links_serves_and_stops(study, port, tmp_path):
    command = ["--port", str(port), "--invite", "Dr A", "--address", "https://study.example.org/heads"]
    jupyter = str(another_kernel(tmp_path / "jupyter"))
    with started(study, command, "?check=1", JUPYTER_PATH=jupyter) as (process, said):
        code = re.search(r"^Dr A: https://study\.example\.org/heads/\?r=(\S+)$", said, re.MULTILINE).group(1)
        assert "https://study.example.org/heads/?check=1" in said
        assert study.session(code).reader == "R01"
        for path, expected in (("/heads/", 403), ("/heads/?r=guess", 403), ("/", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20)
            assert refused.value.code == expected
        here = f"http://127.0.0.1:{port}/heads/"
        assert urllib.request.urlopen(f"{here}?health", timeout=20).read().startswith(b"ok ")
        checked = urllib.request.urlopen(f"{here}?check=1&r=guess&open=1", timeout=20)      # whatever else is asked
        assert b"Is this machine fit" in checked.read() and not ipykernels(process.pid)
        assert checked.headers["Content-Security-Policy"] == serve.POLICY
        assert said_back(port, "/heads", ["12.5"] * 99) == (["12.5"] * check.TURNS, 1008)
        assert said_back(port, "/heads", ["x" * 101]) == ([], 1008)
        assert said_back(port, "/heads", [], "http://elsewhere") == 403
        looked_at = urllib.request.urlopen(f"{here}?r={code}", timeout=20).read().decode()      # as a preview does
        assert "Open the study" in looked_at and not ipykernels(process.pid)
        page = urllib.request.urlopen(f"{here}?r={code}&open=1", timeout=300)
        text = page.read().decode()
        kernel, = ipykernels(process.pid)
        ports = psutil.Process(kernel).net_connections()    # one is ipykernel's own, for what its children print
        assert os.name != "posix" or len(ports) <= 1, "it is reached by ports"
        urllib.request.urlopen(f"{here}?r={code}", timeout=300).read()
        # A second page takes over.
        text = urllib.request.urlopen(f"{here}?r={code}&open=1", timeout=300).read().decode()
        assert len(ipykernels(process.pid)) == 1
        # What made the server's loop spin for ever: a websocket without its protocol, and a frame of 2^63 parts.
        kernel = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', text, re.DOTALL)[1])["kernelId"]
        assert serve.line(here) == 400
        assert spoilt_frame(port, "/heads", kernel) == 1003
        assert urllib.request.urlopen(f"{here}?health", timeout=20).read().startswith(b"ok ")
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert code not in text and str(study.folder) not in text and "cdn.jsdelivr" not in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0 and "The key lies on this machine" in said + process.stdout.read()
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
