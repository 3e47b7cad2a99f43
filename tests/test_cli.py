"""`uslab run` on small notebooks: what it refuses, what it leaves, and what it says when a notebook fails."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from uslab import notebooks
from uslab.cli.main import main
from uslab.notebooks.batch import refresh

RECORD = '''import json, pathlib
out = pathlib.Path(out)
out.mkdir(parents=True, exist_ok=True)
metrics = [{"name": "KD-lite0", "value": 0.0123456, "low": 0.01, "high": 0.02, "n": 120, "note": "floor 0.003"}]
values = {"lr": lr, "steps": steps, "name": name, "flip": flip, "sizes": sizes, "root": root}
(out / "run.json").write_text(json.dumps({"profile": profile, "data": data, "metrics": metrics, "values": values}))'''
PICTURE = '''from IPython.display import Image
import base64
png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
Image(base64.b64decode(png))'''
SLOW = '''import pathlib, time
out = pathlib.Path(out)
out.mkdir(parents=True, exist_ok=True)
(out / "begun").touch()
try:
    time.sleep(100)
except KeyboardInterrupt:
    time.sleep(1)
    (out / "checkpoint").touch()'''


def smoke(*arguments) -> int:
    return main(["run", *map(str, arguments), "--profile", "smoke"])


def test_the_command_line_imports_nothing_heavy():
    code = ("import sys, uslab.cli.main; "
            "print(*{'torch', 'numpy', 'pandas', 'papermill', 'nbformat'} & set(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.notebook
def test_everything_that_a_run_writes_lies_under_out(make_notebook, tmp_path, capsys):
    notebook = make_notebook("good", (PICTURE, "key-picture"), RECORD)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert smoke(notebook, "--out", tmp_path / "o") == 0
    written = {str(path.relative_to(tmp_path / "o")) for path in (tmp_path / "o").rglob("*")}
    assert written == {"good.ipynb", "good.html", "good", "good/run.json", "index.html", "lock"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert capsys.readouterr().out.strip() == str(tmp_path / "o" / "index.html")


@pytest.mark.notebook
def test_the_page_shows_title_status_picture_and_metrics_without_any_address(make_notebook, tmp_path):
    smoke(make_notebook("good", (PICTURE, "key-picture"), RECORD), "--out", tmp_path / "o")
    page = (tmp_path / "o" / "index.html").read_text()
    for text in ("The good notebook", "complete", "phantom (simulated images)", "data:image/png;base64,iVBORw0KGgo",
                 "KD-lite0", ">0.01235<", "[0.01, 0.02]", ">120<", "floor 0.003", 'href="good.html"',
                 'href="good.ipynb"'):
        assert text in page
    assert "http" not in page and str(tmp_path) not in page


@pytest.mark.notebook
def test_the_html_needs_nothing_from_the_network(make_notebook, tmp_path):
    notebook = make_notebook("good", "import ipywidgets\nipywidgets.IntSlider()")
    node = nbformat.read(notebook, 4)
    node.cells.append(nbformat.v4.new_markdown_cell(r"The loss $\mathbb{E}[\log D(x)]$ and $$\frac{a}{b}$$"))
    nbformat.write(node, notebook)
    smoke(notebook, "--out", tmp_path / "o")
    html = (tmp_path / "o" / "good.html").read_text()
    assert html.count("<math") == 2 and "<mfrac>" in html
    assert 'src="http' not in html and "import(" not in html and "requirejs" not in html.lower()
    assert "widget-view" not in html


@pytest.mark.notebook
def test_a_failing_cell_is_printed_and_the_rest_still_run(make_notebook, tmp_path, capsys):
    bad = make_notebook("bad", "def divide(x):\n    return 1 / x\n\ndivide(0)", "print('not reached')")
    good = make_notebook("good", RECORD)
    assert smoke(bad, good, "--out", tmp_path / "o") == 1
    said = capsys.readouterr().err
    assert "    return 1 / x" in said and "ZeroDivisionError: division by zero" in said and "1 of 2 failed: bad" in said
    assert (tmp_path / "o" / "good" / "run.json").is_file()
    assert nbformat.read(tmp_path / "o" / "bad.ipynb", 4).cells[-1].execution_count is None
    page = (tmp_path / "o" / "index.html").read_text()
    assert "1 of 2" in page and "In [3] failed" in page and "divide(0)" in page and "ZeroDivisionError" in page


@pytest.mark.notebook
def test_a_cell_past_the_time_limit_may_write_its_checkpoint(make_notebook, tmp_path, capsys):
    assert smoke(make_notebook("slow", SLOW, "1"), "--out", tmp_path / "o", "--timeout", 2) == 1
    assert "TimeoutError: the cell was still running after 2 s" in capsys.readouterr().err
    assert (tmp_path / "o" / "slow" / "checkpoint").is_file()


@pytest.mark.notebook
def test_a_kernel_that_dies_is_a_failure_of_its_cell(make_notebook, tmp_path, capsys):
    dead = make_notebook("dead", "import os, time\ntime.sleep(0.3)\nos._exit(9)", "1")
    assert smoke(dead, make_notebook("good", RECORD), "--out", tmp_path / "o") == 1
    assert "    os._exit(9)\nDeadKernelError" in capsys.readouterr().err
    assert "1 of 2" in (tmp_path / "o" / "index.html").read_text()


@pytest.mark.notebook
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_leaves_a_checkpoint_and_what_is_done(make_notebook, tmp_path):
    names = [make_notebook("a_good", RECORD), make_notebook("b_slow", SLOW, "1"), make_notebook("c_never", RECORD)]
    out = tmp_path / "o"
    command = [sys.executable, "-m", "uslab.cli", "run", *names, "--profile", "smoke", "--out", out]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "b_slow" / "begun").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 130 and "go on with --resume" in said and "Traceback" not in said
    assert (out / "b_slow" / "checkpoint").is_file() and not (out / "c_never.ipynb").exists()
    page = (out / "index.html").read_text()
    assert "The a_good notebook" in page and "stopped from the keyboard" in page


@pytest.mark.notebook
def test_results_are_never_overwritten_and_resume_runs_only_what_is_missing(make_notebook, tmp_path, capsys):
    good = make_notebook("good", RECORD)
    once = make_notebook("once", "import pathlib\nmark = pathlib.Path(out + '_mark')\n"
                         "first = not mark.exists()\nmark.touch()\nassert not first, 'the first time'")
    out = tmp_path / "o"
    assert smoke(good, once, "--out", out) == 1
    before = (out / "good.ipynb").stat().st_mtime_ns
    assert smoke(good, once, "--out", out) == 2
    assert "already holds files" in capsys.readouterr().err
    assert smoke(good, once, "--out", out, "--resume") == 0
    assert (out / "good.ipynb").stat().st_mtime_ns == before
    assert "2 of 2" in (out / "index.html").read_text()
    assert smoke(good, once, "--out", out, "--resume", "-p", "steps", 5) == 2
    assert "other parameters" in capsys.readouterr().err


@pytest.mark.notebook
def test_resume_behind_an_error_in_a_late_cell_does_not_train_again(make_notebook, tmp_path):
    train = """from pathlib import Path
from uslab import phantom
from uslab.models.dcgan import DCGAN, Config
from uslab.training import Run, folder_for, write_record
config = Config(size=64, ngf=4, ndf=4, z=8, batch_size=4)
run = Run(folder_for(out, config, 0), DCGAN, config, phantom.load("fetal_head", 8, 64))
trained = []
for batch in run.batches(3):
    run.log(run.gan.step(batch))
    trained.append(run.step)
with open(Path(out) / "trained.txt", "a") as file:
    print(trained, file=file)"""
    late = """mark = Path(out) / "mark"
if not mark.exists():
    mark.touch()
    raise RuntimeError("the late cell")"""
    record = 'write_record(Path(out) / "run.json", [{"name": "n", "value": 1.0}], notebook="late", **run.facts())'
    notebook, out = make_notebook("late", train, late, record), tmp_path / "o"
    assert smoke(notebook, "--out", out) == 1
    first = json.loads(next((out / "late").glob("run-*/run.json")).read_text())
    assert first["steps"] == 3 and first["metrics"] == [] and not (out / "late" / "run.json").exists()
    assert smoke(notebook, "--out", out, "--resume") == 0
    assert (out / "late" / "trained.txt").read_text().splitlines() == ["[1, 2, 3]", "[]"]
    last = json.loads((out / "late" / "run.json").read_text())
    assert last["steps"] == 3 and last["seconds"] == first["seconds"] and last["metrics"][0]["value"] == 1


@pytest.mark.notebook
def test_parameters_reach_the_notebook_in_their_types(make_notebook, tmp_path, monkeypatch):
    notebook = make_notebook("good", RECORD, profile="profile: smoke\nsteps: 7\nflip: true\n")
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = ["-p", "lr", "1e-3", "-p", "name", "no", "-p", "sizes", "[64, 128]"]
    assert smoke(notebook, "--out", "o", "--data", "hc18", "--root", "images", *settings) == 0
    record = json.loads((tmp_path / "o" / "good" / "run.json").read_text())
    assert record["profile"] == "smoke" and record["data"] == "hc18"
    assert record["values"] == {
        "lr": 0.001, "steps": 7, "name": "no", "flip": True, "sizes": [64, 128], "root": str(tmp_path / "images"),
    }


@pytest.mark.parametrize(("name", "text", "value"), [
    ("lr", "2e-4", 2e-4), ("lr", "1", 1.0), ("steps", "1e3", 1000), ("steps", "12", 12),
    ("name", "1e3", "1e3"), ("name", "on", "on"), ("flip", "true", True), ("sizes", "[3]", [3]),
])
def test_a_typed_value_takes_its_parameters_type(name, text, value):
    parsed = notebooks.parsed("toy", {"lr": 1e-3, "steps": 3, "name": "", "flip": False, "sizes": [1]}, name, text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(("arguments", "message"), [
    (["-p", "stepz", "3"], "no parameter 'stepz': there are profile, data, root, out, seed, steps"),
    (["-p", "steps", "many"], "steps takes a value like 3 (int), not 'many'"),
    (["-p", "steps", "2.5"], "steps takes a value like 3 (int), not 2.5"),
    (["-p", "flip", "1"], "flip takes a value like False (bool), not 1"),
    (["-p", "out", "elsewhere"], "set out with --out"),
    (["--root", "absent"], "absent is not a folder"),
])
def test_a_wrong_request_is_refused_before_anything_runs(make_notebook, tmp_path, capsys, arguments, message):
    assert smoke(make_notebook("good", RECORD), "--out", tmp_path / "o", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_unknown_names_and_profiles_say_what_there_is(make_notebook, tmp_path, capsys, monkeypatch):
    notebook = make_notebook("good")
    monkeypatch.setattr(notebooks.parameters, "folder", lambda: notebook.parent)
    assert main(["run", "gut"]) == 2
    assert "no notebook 'gut': there are good" in capsys.readouterr().err
    assert main(["run", "good", "--profile", "paper"]) == 2
    assert "no profile 'paper': expected" in capsys.readouterr().err
    make_notebook("bad_profile", profile="profile: smoke\nlr: fast\n")
    assert main(["run", "bad_profile", "--profile", "smoke"]) == 2
    assert "lr takes a value like 0.0002 (float), not 'fast'" in capsys.readouterr().err


# Without the engine's own client, runs of such a notebook hang for ever within some 40 cells.
OUTPUT = '''import ipywidgets
area = ipywidgets.Output()
display(area)
for i in range(25):
    with area:
        area.clear_output(wait=True)
        print(i)'''


@pytest.mark.notebook
@pytest.mark.parametrize("command", ["papermill", "uslab"])
def test_output_widgets_cannot_hang_a_run(make_notebook, tmp_path, command):
    notebook = make_notebook("outputs", *[OUTPUT] * 60)
    arguments = {"papermill": ["--engine", "uslab", notebook, tmp_path / "o.ipynb"],
                 "uslab": ["run", notebook, "--out", tmp_path / "o"]}
    executable = Path(sys.executable).with_name(command)
    subprocess.run([executable, *arguments[command]], check=True, timeout=300, capture_output=True)


@pytest.mark.notebook
def test_other_programs_keep_nbclient_and_jsonschema_as_they_are():
    code = ("import sys, papermill, nbclient, inspect, uslab.notebooks.engine, uslab.notebooks.batch; "
            "from nbclient import NotebookClient as client; "
            "print(client.on_comm_open_jupyter_widget.__module__, "
            "sys.modules.get('rfc3987_syntax', 'free') is not None)")
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["nbclient.client", "True"]


@pytest.mark.notebook
def test_refreshed_notebooks_hold_what_ran_and_nothing_of_this_machine(make_notebook, tmp_path, capsys):
    good = make_notebook("good", RECORD, "import ipywidgets\nipywidgets.IntSlider()", "print(steps)")
    bad = make_notebook("bad", "1 / 0")
    before = bad.read_bytes()
    older = tmp_path / "runs" / "good"
    older.mkdir(parents=True)
    (older / "log.jsonl").touch()
    assert refresh([str(good), str(bad)]) == 1
    assert bad.read_bytes() == before and "ZeroDivisionError" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "runs").glob("good_until_*/log.jsonl")] == ["log.jsonl"]
    node = nbformat.read(good, 4)
    assert [cell.execution_count for cell in node.cells if cell.cell_type == "code"] == [1, 2, 3, 4]
    assert node.cells[-1].outputs[0].text == "3\n"
    assert node.metadata.uslab == {"source_sha256": notebooks.source_hash(node), "profile": "class"}
    text = good.read_text()
    assert "widget-view" not in text and "widget-state" not in text
    assert "papermill" not in text and str(tmp_path) not in text
    assert sorted(path.name for path in good.parent.glob("*.ipynb")) == ["bad.ipynb", "good.ipynb"]
    assert not list(good.parent.glob(".*"))


@pytest.mark.slow
def test_every_module_can_be_imported_first():
    """papermill loads the engine by its entry point: whoever imports the engine first must not meet it half-loaded."""
    code = "import uslab.notebooks.engine as one; from papermill.engines import papermill_engines as all; " \
           "print(all.get_engine('uslab').nb_kernel_name.__name__, one.Engine.__name__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["nb_kernel_name", "Engine"]
