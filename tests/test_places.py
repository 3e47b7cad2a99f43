"""Containers, Binder and badges: what their files name is there, and the versions are those of the other set-ups."""

import importlib.util
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

from uslab.cli.main import parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
BADGES = runpy.run_path(str(ROOT / "tools" / "write_badges.py"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split()
TORCH = re.search(r"^TORCH *\?= *(\S+)", MAKEFILE, re.MULTILINE)[1]
CPU = "https://download.pytorch.org/whl/cpu"


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each target of the Dockerfile, with those of the target that it begins from."""
    found: dict[str, list] = {}
    lines = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    for line in filter(None, lines):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = rest.split(" AS ")
            found[name] = [(word, base), *found.get(base, [])]
        else:
            found[name].append((word, rest))
    return found


def test_the_dockerfile_has_a_lab_and_a_study_that_run_what_exists():
    lab, study = stages()["lab"], stages()["study"]
    assert [base for word, base in lab if word == "FROM"] == ["core", "python:3.12-slim-bookworm"]
    for target in (lab, study):
        assert ("USER", "uslab") in target and sum(word == "CMD" for word, _ in target) == 1
        assert any(word == "ENV" and f"PIP_EXTRA_INDEX_URL={CPU}" in rest.split() for word, rest in target)
    assert all(made in TARGETS for made in re.findall(r"\bmake ([a-z]+)", " ".join(dict(lab).values())))
    assert "make setup" in dict(lab)["RUN"] and f"{TORCH} -c constraints.txt" in dict(study)["RUN"]
    page = re.search(r"default_url=/lab/tree/([^\"]+)", dict(lab)["CMD"])[1]
    assert (ROOT / page).is_file()
    command = json.loads(dict(study)["CMD"])
    options = parser().parse_args(command[1:])
    assert command[0] == "uslab" and options.host == "0.0.0.0" and dict(study)["EXPOSE"] == str(options.port)
    assert not [name for name in ("notebooks", "uslab", "tools", "constraints.txt", "Makefile", "pyproject.toml")
                if name in (ROOT / ".dockerignore").read_text().splitlines()], "what the build needs"


def test_the_readme_builds_the_targets_and_shows_their_ports():
    lines = [shlex.split(line) for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("docker ")]
    built = {words[words.index("--tag") + 1]: words[words.index("--target") + 1] for words in lines
             if words[1] == "build"}
    assert built == {"uslab-lab": "lab", "uslab-study": "study"}
    for words in lines:
        assert "".join(line for line in TEXT.splitlines() if line.startswith("#   docker")).count(words[-1])
        if words[1] == "run":
            port = dict(stages()[built[words[-1]]])["EXPOSE"]
            assert words[words.index("-p") + 1] == f"127.0.0.1:{port}:{port}", "reached from this machine alone"


def test_the_devcontainer_names_what_is_there():
    path = ROOT / ".devcontainer" / "devcontainer.json"
    told = json.loads(path.read_text())
    assert (path.parent / told["build"]["dockerfile"]).samefile(ROOT / "Dockerfile")
    assert (path.parent / told["build"]["context"]).samefile(ROOT) and told["build"]["target"] in stages()
    make, target = told["postCreateCommand"].split()
    assert make == "make" and target in TARGETS
    assert ("USER", told["remoteUser"]) in stages()[told["build"]["target"]]
    exposed = {int(port) for name in ("lab", "study") for word, port in stages()[name] if word == "EXPOSE"}
    assert set(told["forwardPorts"]) == exposed
    assert told["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].startswith(".venv/bin/")


def test_binder_installs_what_conda_does_with_the_small_torch():
    here, there = (yaml.safe_load((ROOT / place / "environment.yml").read_text()) for place in ("binder", "."))
    assert here["channels"] == there["channels"] and here["dependencies"][:-1] == there["dependencies"][:-1]
    assert here["dependencies"][-1]["pip"] == [
        f"--extra-index-url {CPU}", "--constraint ../constraints.txt", TORCH, "--editable ..[lab]"]
    assert (ROOT / "binder" / "../constraints.txt").is_file()


def test_the_badges_are_those_of_the_repositorys_address_which_stands_in_one_place():
    readme = (ROOT / "README.md").read_text()
    address = BADGES["address"]()
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address)
    assert BADGES["BLOCK"].search(readme)[0] == BADGES["badges"](address), "run: python tools/write_badges.py"
    name = address.removeprefix("https://github.com/")
    others = [path for path in (*ROOT.glob("*.*"), *(ROOT / "docs").glob("*"), *(ROOT / "uslab").rglob("*.py"))
              if path.is_file() and path.name not in ("README.md", "pyproject.toml") and name in path.read_text()]
    assert not others and name not in BADGES["BLOCK"].sub("", readme)
    assert (ROOT / BADGES["START"]).is_file() and (ROOT / ".github" / "workflows" / "ci.yml").is_file()


@pytest.mark.parametrize("address", ["https://github.com/a/b", "https://github.com/an-owner/uslab.x"])
def test_another_address_changes_all_badges(address):
    text, name = BADGES["badges"](address), address.removeprefix("https://github.com/")
    assert text.count(name) == 5 and "OWNER" not in text
    cell = json.dumps(INSTALL_CELL)
    assert BADGES["INSTALL"].sub(lambda _: address, cell).count(f"@ git+{address}\\\"") == 1


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELLS = [nbformat.read(path, 4).cells[1].source for path in NOTEBOOKS]
INSTALL_CELL = CELLS[0]


def test_each_notebook_begins_with_the_cell_that_installs_what_is_missing(monkeypatch):
    assert len(CELLS) >= 8 and set(CELLS) == {INSTALL_CELL}
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: asked.append((command, check)))
    exec(INSTALL_CELL, {})
    assert not asked, "uslab is here"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    exec(INSTALL_CELL, {})
    (command, check), = asked
    assert check and command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--upgrade" not in command and command[-1] == f"uslab[tasks] @ git+{BADGES['address']()}"


def test_what_colab_has_meets_the_floors():
    """Then pip replaces none of it; `make colab` shows it whole."""
    there = dict(line.split("==") for line in (ROOT / "tests" / "colab.txt").read_text().splitlines()
                 if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    floors = [Requirement(text) for text in project["dependencies"]]
    assert all(floor.specifier.contains(there[floor.name]) for floor in floors if floor.name in there)
    assert {"ipykernel", "ipywidgets", "numpy", "torch"} <= {floor.name for floor in floors} & set(there)
