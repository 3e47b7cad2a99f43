"""Checked first, done last, written whole: outputs, folders, and the one process that works in a folder."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from gans import CASES
from made import pictures, save
from nbformat.v4 import new_notebook

from uslab.cli import options
from uslab.cli.main import main
from uslab.data.atomic import write_atomically, write_text, written_aside
from uslab.data.lock import InUse, alone, held
from uslab.models import store
from uslab.notebooks import UsageError
from uslab.notebooks.page import read_card, write_index
from uslab.study import Study
from uslab.study.pack import PACK, Pack
from uslab.sweeps import report
from uslab.training import Run

HOLD = """
import sys
from pathlib import Path
from uslab.data.lock import alone
with alone(Path(sys.argv[1])):
    print(1, flush=True)
    sys.stdin.read()"""


@contextmanager
def in_use(folder: Path):
    """Another process at work in the folder; yields its number."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process.pid
    process.communicate()


# Files

def test_processes_and_threads_that_write_one_file_leave_one_of_theirs_whole(tmp_path):
    path, parts = tmp_path / "new" / "a.txt", set()

    def slowly(part: Path, text: str):
        parts.add(part)
        with open(part, "w") as file:
            for _ in range(200):
                file.write(text)
                file.flush()

    threads = [threading.Thread(target=write_atomically, args=(path, lambda part, text=text: slowly(part, text * 50)))
               for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(path.read_text())) == 1 and len(path.read_text()) == 10_000 and len(parts) == 4
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("number", "advice"), [
    (errno.ENOSPC, "free some space"), (errno.EACCES, "change who may use it"), (errno.EROFS, "name another place"),
    (errno.EIO, "")])
def test_a_file_that_cannot_be_written_stays_as_it_was_and_the_reason_is_said(tmp_path, number, advice):
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def broken(part: Path):
        part.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=rf"a\.txt was not written \({os.strerror(number)}\).*{advice}") as error:
        write_atomically(path, broken)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    assert ("space" in str(error.value)) == (number == errno.ENOSPC)


def test_a_folder_takes_its_place_at_the_end_or_not_at_all(tmp_path):
    with pytest.raises(OSError, match="full"), written_aside(tmp_path / "new" / "a") as part:
        (part / "1").write_text("half")
        raise OSError("full")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    for text in ("one", "two"):
        with written_aside(tmp_path / "a") as part:
            (part / "1").write_text(text)
            assert not (tmp_path / "a").exists() or (tmp_path / "a" / "1").read_text() == "one"
        (tmp_path / "a" / "mine").touch()
    assert (tmp_path / "a" / "1").read_text() == "two"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1", "a", "mine", "new"]


def test_an_export_on_a_full_disk_leaves_no_half_of_a_generator(tmp_path, monkeypatch):
    case = CASES["dcgan"]
    run = Run(tmp_path / "run", case.model, case.config, case.data)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("uslab.training.export.write_sheet", full)
        with pytest.raises(OSError, match="No space left"):
            run.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert store.about(run.export(tmp_path / "out"))["model"] == "DCGAN"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_a_study_on_a_full_disk_is_not_half_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("real", "gan"):
        for i, picture in enumerate(pictures(12, len(name), 64)):
            save(tmp_path / name / f"{i}.png", picture[0])
    build = ["study", "build", "s", "--real", "real", "--synthetic", "a=gan", "--n", "4", "--practice", "0",
             "--attention", "0", "--repeats", "0", "--acknowledge-text"]

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("uslab.study.build.Store", full)
        assert main(build) == 2
        said = capsys.readouterr().err
        assert "s was not written (No space left on device), no part of it: free some space" in said
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gan", "real"]
    assert main(build) == 0
    with monkeypatch.context() as patch:
        patch.setattr("uslab.study.store.Store.backup", full)
        assert main(["study", "backup", "s", "--out", "b"]) == 2 and not Path("b").exists()
    assert main(["study", "backup", "s", "--out", "b"]) == 0 and Study.open("b").store.verify()[0]


@pytest.mark.parametrize("arguments", [
    ["data", "audit", "here", "--out", "file/a.html"], ["data", "show", "here", "--out", "file/a/b.png"],
    ["data", "compare", "here", "--phantom", "liver", "--out", "file/a.png"],
    ["metrics", "here", "there", "--out", "file/a"], ["generate", "phantom:liver", "--out", "file"],
    ["translate", "cyclegan_eus_liver", ".", "--out", "file/a"], ["report", ".", "--out", "file/a"],
    ["run", "00_start_here", "--out", "file/a"], ["sweep", "toy.yaml", "--out", "file/a"],
    ["study", "build", "file/s", "--real", "here", "--synthetic", "a=there"],
])
def test_a_place_that_takes_no_files_is_refused_before_anything_is_read(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("toy.yaml").write_text("notebook: 00_start_here\nprofile: smoke\ngrid: {seed: [0, 1]}\n")
    for name in ("data.source.open", "models.store.load", "phantom.load", "sweeps.report.gather"):
        monkeypatch.setattr(f"uslab.{name}", lambda *_, **__: pytest.fail("something was read first"))
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "file takes no files (Not a directory): name another place" in said and said.count("\n") == 1
    assert Path("file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_a_new_folder_is_made_for_a_file_and_what_is_there_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["data", "show", "phantom:liver?n=1", "--size", "64", "--out", "no/dir/a.png"]
    assert main(command) == 0 and Path("no/dir/a.png").is_file()
    assert main(command) == 2 and "no/dir/a.png exists: name another file" in capsys.readouterr().err


def test_a_read_only_place_is_refused(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/x")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UsageError, match=r"takes no files \(Permission denied\): name another place with --out"):
        options.writable(tmp_path / "a")


def test_damaged_files_of_a_study_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = Study.build(pictures(12, 0, 64), {"a": pictures(12, 1, 64)}, out="s", n_per_method=4, practice=0,
                        attention=0, repeats=0)
    path = study.public / PACK
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(ValueError, match=rf"{PACK} is damaged .*copy the study's folder public/ whole"):
        Pack(path)
    (study.public / "study.json").write_text("[1]")
    assert main(["study", "status", "s"]) == 2 and "study.json holds a list, expected a dict" in capsys.readouterr().err
    Path("consent.txt").write_bytes("Einverständnis".encode("latin-1"))
    assert main(["study", "build", "t", "--real", "phantom:liver", "--synthetic", "a=phantom:liver", "--consent",
                 "consent.txt"]) == 2
    assert "consent.txt is not in UTF-8 (byte 9): save it so" in capsys.readouterr().err and not Path("t").exists()


# One process in a folder

def test_a_folder_is_held_until_the_last_call_of_its_process_lets_go(tmp_path):
    folder = tmp_path / "a"
    first, second = alone(folder), alone(folder)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert held(folder / "lock")
    second.__exit__(None, None, None)
    assert not held(folder / "lock")
    with in_use(folder) as number, pytest.raises(InUse, match=rf"a is in use by process {number} on .*, since 20"):
        with alone(folder):
            pass
    with alone(folder):
        assert held(folder / "lock")


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    case = CASES["dcgan"]

    def opened():
        return Run(tmp_path / "run", case.model, case.config, case.data, log_every=1)

    run, late = opened(), opened()
    with in_use(tmp_path / "run") as number:
        with pytest.raises(InUse, match=f"run is in use by process {number} on"):
            opened()
        with pytest.raises(InUse, match=f"run is in use by process {number} on"):
            next(run.batches(4))
    for batch in run.batches(4):
        run.log(run.gan.step(batch))
    with pytest.raises(ValueError, match="has come to step 4 since this Run was opened, at step 0: open it again"):
        next(late.batches(8))
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    assert not held(tmp_path / "run" / "lock") and opened().step == 4


def test_a_run_and_a_sweep_tell_who_is_at_work_in_their_folder(tmp_path, make_notebook, capsys):
    notebook = str(make_notebook("toy"))
    with in_use(tmp_path / "o") as number:
        for arguments in ([], ["--resume"]):
            assert main(["run", notebook, "--profile", "smoke", "--out", str(tmp_path / "o"), *arguments]) == 2
            assert f"o is in use by process {number} on" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"lock"}


# Reports

def test_a_report_leaves_out_what_it_cannot_read_and_names_it(tmp_path, capsys):
    out = tmp_path / "o"
    for name in ("good", "list", "numbers", "job"):
        (out / name).mkdir(parents=True)
    metric = {"name": "KD", "value": 1.5, "low": 1.0, "high": 2.0, "n": 12, "note": ""}
    good = {"notebook": "toy", "data": "phantom", "metrics": [metric], "versions": {}}
    (out / "good" / "run.json").write_text(json.dumps(good))
    (out / "list" / "run.json").write_text(json.dumps([good]))
    (out / "numbers" / "run.json").write_text(json.dumps(good | {"metrics": [1, 2]}))
    (out / "job" / "job.json").write_text('{"notebook": "x.ipynb", "para')
    whole = nbformat.writes(new_notebook(metadata={"papermill": {"end_time": "x", "parameters": {}}}))
    bare = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {"papermill": {}}, "cells": {}}'
    for name, content in (("cut", whole[:60]), ("empty", ""), ("array", "[1]"), ("cells", bare), ("latin", "\udcff"),
                          ("deep", "[" * 9000)):
        (out / f"{name}.ipynb").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert main(["report", str(out)]) == 0
    captured = capsys.readouterr()
    named = {"list/run.json", "numbers/run.json", "job/job.json", "cut.ipynb", "empty.ipynb", "array.ipynb",
             "cells.ipynb", "latin.ipynb", "deep.ipynb"}
    lines = captured.err.splitlines()
    assert len(lines) == len(named) and all(any(f"{out / name}" in line for line in lines) for name in named)
    assert [entry.name for entry in report.gather(out)] == ["good/run"]
    page = (out / "report.html").read_text()
    assert "left out: " in page and str(out / "cut.ipynb") in page and "1.5" in page
    for content in ("[1]", '{"metrics": 5}', '{"metrics": [1]}', '{"met'):
        (out / "whole.ipynb").write_text(whole)
        (out / "whole").mkdir(exist_ok=True)
        (out / "whole" / "run.json").write_text(content)
        card = read_card(out / "whole.ipynb")
        assert card.status == "failed" and str(out / "whole" / "run.json") in card.error and not card.record
        write_index(out)
    shutil.rmtree(out / "whole")
    (out / "whole.ipynb").unlink()
    (out / "good" / "run.json").unlink()
    assert main(["report", str(out)]) == 2 and str(out / "cut.ipynb") in capsys.readouterr().err
