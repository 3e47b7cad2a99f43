"""What is typed, and what a file or a disk refuses: checked before anything runs, said in one line."""

import errno
import json
import sqlite3
import sys

import pytest
from safetensors import SafetensorError

from uslab import notebooks
from uslab.cli import data as data_commands
from uslab.cli.main import main
from uslab.notebooks import UsageError, batch, yaml12

KNOWN = {"epochs": 80, "lr": 2e-4, "flip": False, "name": "x", "keep": [0.3, 1.0], "organs": ["liver"], "weights": [],
         "changes": {"gamma": 5.0}, "limit": None}
PHANTOM = ("generate", "phantom:liver", "--out", "o")


@pytest.mark.parametrize(("name", "text", "value"), [
    ("epochs", "010", 10), ("epochs", "0o10", 8), ("epochs", "0x10", 16), ("epochs", "1e3", 1000), ("lr", "2e-4", 2e-4),
    ("lr", "1", 1.0), ("name", "2020-01-01", "2020-01-01"), ("name", "a{b}'\"\n ü", "a{b}'\"\n ü"), ("name", "", ""),
    ("keep", "[0, 1]", [0.0, 1.0]), ("keep", "[]", []), ("organs", "[no, off]", ["no", "off"]), ("weights", "[1]", [1]),
    ("changes", "{lr: 1, augment: ada}", {"lr": 1, "augment": "ada"}), ("limit", "", None), ("limit", "null", None),
    ("limit", "3", 3), ("flip", "TRUE", True),
])
def test_a_value_has_the_type_of_its_parameter(name, text, value):
    found = notebooks.parsed("toy", KNOWN, name, text)
    assert found == value and type(found) is type(value)
    if isinstance(value, list):
        assert [type(member) for member in found] == [type(member) for member in value]


@pytest.mark.parametrize(("name", "text", "message"), [
    ("epochs", "", "epochs takes a value like 80 (int), not ''"), ("epochs", "1:30", "not '1:30'"),
    ("epochs", "2020-01-01", "not '2020-01-01'"), ("epochs", "1_000", "not '1_000'"), ("epochs", "null", "not 'null'"),
    ("epochs", "-1", "epochs is -1, but it must not be negative"), ("epochs", "2.5", "not 2.5"),
    ("keep", "[1, 2", "keep cannot be '[1, 2': expected ',' or ']'"), ("keep", "[a]", "not ['a']"),
    ("keep", "[null]", "not [None]"), ("keep", "1", "not 1"), ("flip", "yes", "not 'yes'"), ("lr", ".inf", "JSON"),
    ("lr", "nan", "not 'nan'"), ("lr", "1e999", "JSON"), ("changes", "{a: 1, a: 2}", "the key 'a' stands there twice"),
    ("changes", "{1: 2}", "a key is no text"), ("changes", "!!python/object/apply:os.getcwd []", "constructor"),
    ("weights", "&a [*a]", "JSON"), ("weights", "!!binary aGk=", "JSON"), ("limit", "[" * 5000, "recursion"),
    ("name", "\udcff", "surrogates"),
])
def test_any_other_value_is_refused_in_one_line(name, text, message):
    with pytest.raises(UsageError) as refused:
        notebooks.parsed("toy", KNOWN, name, text)
    assert message in str(refused.value) and str(refused.value).startswith("toy: ") and "\n" not in str(refused.value)


def test_files_are_yaml_1_2_too(tmp_path, make_notebook, capsys):
    notebook = make_notebook("toy", profile="profile: smoke\nsteps: 010\nname: yes\n")
    assert notebooks.profile_values(notebook, "smoke") == {"profile": "smoke", "steps": 10, "name": "yes"}
    file = tmp_path / "toy.yaml"
    for content, message in ((f"notebook: {notebook}\ngrid:\n  steps: [1]\n  steps: [2]\n", "line 3: the key 'steps'"),
                             (f"notebook: {notebook}\ngrid: {{steps: [1, null]}}\n", "not None"),
                             ("[1]", "must hold keys and values"), ("\x00", "cannot be read as YAML")):
        file.write_text(content)
        assert main(["sweep", str(file), "--out", str(tmp_path / "o")]) == 2
        said = capsys.readouterr().err
        assert message in said and str(file if "None" not in message else "toy") in said and said.count("\n") == 1


def test_a_value_that_is_given_twice_is_refused(tmp_path, make_notebook, capsys):
    run = ["run", str(make_notebook("toy")), "--profile", "smoke", "--out", str(tmp_path / "o")]
    for arguments in (["-p", "steps", "1", "-p", "steps", "2"], ["--data", "hc18", "-p", "data", "busi"]):
        assert main([*run, *arguments]) == 2
        assert "is given twice: which one shall it be?" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("arguments", [
    [*PHANTOM, "--n", "0"], [*PHANTOM, "--size", "63"],
    [*PHANTOM, "--seed", "-1"], ["run", "--timeout", "-1"], ["run", "--timeout", "inf"],
    [*PHANTOM, "--seed", str(2**32)], ["translate", "r", "d", "--out", "o", "--planes", "0"],
    ["metrics", "a", "b", "--draws", "1"], ["metrics", "a", "b", "--size", "0"], ["sweep", "f", "--workers", "0"],
    ["sweep", "f", "--threads", "two"], ["sweep", "f", "--timeout", "nan"], ["data", "show", "x", "--size", "1e9"],
    ["study", "build", "s", "--real", "x", "--synthetic", "a=b", "--repeats", "1.5"],
    ["study", "build", "s", "--real", "x", "--synthetic", "a=b", "--n", "-3"],
    ["study", "serve", "s", "--port", "70000"], ["study", "plan", "--accuracy", "65"],
])
def test_a_number_out_of_its_range_is_refused_in_one_line(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("uslab: argument --") and "number" in said and said.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["study"], ["dance"], ["run", "--profile", "big"], ["data", "get"]])
def test_a_wrong_command_is_one_line(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("uslab: ") and "--help` explains the command" in said and said.count("\n") == 1


class CvError(Exception):
    """As cv2.error is: no ValueError."""


@pytest.mark.parametrize(("error", "message"), [
    (OSError(errno.ENOSPC, "No space left on device", "a/b.png"), "a/b.png: No space left on device: free some space"),
    (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied: change who may use it"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", b"x"), "x: No such file or directory"),
    (OSError("nothing was written"), "nothing was written"), (ValueError("one\n  two\n"), "one; two"),
    (ValueError(), "ValueError"), (SafetensorError("header too large"), "header too large"),
    (sqlite3.OperationalError("disk I/O error"), "disk I/O error"), (CvError("bad image"), "bad image"),
    (json.JSONDecodeError("Expecting value", "", 0), "Expecting value: line 1 column 1 (char 0)"),
])
def test_one_guard_makes_one_line_of_what_files_and_disks_refuse(error, message, monkeypatch, capsys):
    def broken(options):
        raise error

    if isinstance(error, CvError):
        monkeypatch.setitem(sys.modules, "cv2", type(sys)("cv2"))
        sys.modules["cv2"].error = CvError
    monkeypatch.setattr(data_commands, "list_sets", broken)
    assert main(["data", "list"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"uslab: {message}") and said.count("\n") == 1
    for arguments in (["--debug", "data", "list"], ["data", "list", "--debug"]):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert "Traceback" in said and "in broken" in said and said.splitlines()[-1].startswith(f"uslab: {message}")


def test_a_fault_of_the_program_itself_stays_a_traceback(monkeypatch):
    monkeypatch.setattr(data_commands, "list_sets", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["data", "list"])


@pytest.mark.notebook
def test_paths_reach_papermill_as_text(make_notebook, tmp_path):
    notebook = make_notebook("toy", "import pathlib\npathlib.Path(out).mkdir(parents=True)\n"
                             "(pathlib.Path(out) / 'name').write_text(name)")
    strange = tmp_path / "a {b} {0.c} %s $HOME ü'\""
    strange.mkdir()
    moved = notebook.rename(strange / notebook.name)
    jobs = batch.plan([str(moved)], "class", strange / "{out}", settings=[("name", "{x} '\" \\n %(y)s")])
    assert batch.run_in(strange / "{out}", jobs, False) == 0
    assert (strange / "{out}" / "toy" / "name").read_text() == "{x} '\" \\n %(y)s"


def test_yaml_keeps_nothing_of_1_1():
    assert yaml12.load("[on, 1:30, 2020-01-01, 0777, 1e3, ~, =, <<]") == [
        "on", "1:30", "2020-01-01", 777, 1000.0, None, "=", "<<"]
