"""The set-up's files agree with each other, and its checks say in one line what is in the way."""

import itertools
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from uslab import __version__
from uslab.cli.main import parser

ROOT = Path(__file__).parents[1]
CHECK = ROOT / "tools" / "check_python.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
ALLOWED = SpecifierSet(PROJECT["requires-python"])
MINORS = [f"3.{minor}" for minor in range(30) if f"3.{minor}.9" in ALLOWED]


def test_the_lock_pins_every_dependency_but_torch():
    optional = PROJECT["optional-dependencies"].values()
    wanted = [Requirement(text) for group in [PROJECT["dependencies"], *optional] for text in group]
    wrong = [str(need) for need in wanted if need.name not in ("torch", "uslab")
             and LOCK.get(need.name) not in need.specifier]
    assert not wrong, "run `make lock`"
    assert not [name for name in LOCK if re.fullmatch("torch(vision|audio)?|nvidia-(?!ml-py).*|triton", name)]


def test_every_pin_can_be_installed_by_every_python_that_the_project_allows():
    pythons = [f"{minor}.{patch}" for minor in MINORS for patch in range(30) if f"{minor}.{patch}" in ALLOWED]
    pins = [one for one in distributions() if LOCK.get(canonicalize_name(one.name)) == one.version]
    assert len(pins) > 0.9 * len(LOCK), "run `make setup`"
    needs = {f"{pin.name}=={pin.version}": SpecifierSet(pin.metadata["Requires-Python"] or "") for pin in pins}
    refused = {name: [python for python in pythons if python not in need] for name, need in needs.items()}
    assert not {name: pythons for name, pythons in refused.items() if pythons}


def test_conda_users_get_the_same():
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    torch = re.search(r"^TORCH *\?= *(\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    assert lines[-1]["pip"] == ["--constraint constraints.txt", torch, "--editable .[test]"]
    python = next(line for line in lines if str(line).startswith("python="))
    assert python.removeprefix("python=") == MINORS[0]


@pytest.mark.parametrize(("fault", "message"), [
    ("sys.version_info = (3, 9, 1)", "Python 3.9.1 is too old"),
    ("sys.modules['ensurepip'] = None", "has no module ensurepip: on Debian or Ubuntu, install python3."),
    ("import shutil; shutil.disk_usage = lambda folder: shutil._ntuple_diskusage(9, 8, 1e9)", "only 1.0 GB are free"),
])
def test_what_is_in_the_way_is_said_in_one_line(fault, message, tmp_path):
    code = (f"import sys, runpy; sys.argv = ['', {str(tmp_path / '.venv')!r}]; {fault}; "
            f"runpy.run_path({str(CHECK)!r}, run_name='__main__')")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 1 and not said.stdout
    assert said.stderr.startswith("Cannot set up: ") and message in said.stderr and said.stderr.count("\n") == 1


def test_a_python_is_let_through_where_the_project_allows_it(tmp_path, monkeypatch):
    problem = runpy.run_path(str(CHECK))["problem"]
    for version in itertools.product((2, 3, 4), range(20), range(20)):
        monkeypatch.setattr(sys, "version_info", version)
        assert (problem(tmp_path) is None) == (".".join(map(str, version)) in ALLOWED), version


def test_a_fit_python_is_let_through(tmp_path):
    said = subprocess.run([sys.executable, CHECK, tmp_path / ".venv"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
COMMANDS = [line for step in STEPS for line in step.get("run", "").splitlines() if not line.startswith("echo ")]


def targets() -> set[str]:
    """What `make` can be asked for by name."""
    return set(re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())


def test_the_workflow_runs_the_readmes_commands():
    readme = (ROOT / "README.md").read_text()
    assert {"make setup", "make test", "make run", "make quick PYTHON=python", "make lowest", "make colab",
            "make site"} < set(COMMANDS)
    assert not [command for command in COMMANDS if re.sub(r" [A-Z]+=\S+", "", command) not in readme]
    sweep = next(command.split() for command in COMMANDS if command.startswith("uslab sweep"))
    assert (ROOT / sweep[2]).is_file() and f"uslab report {sweep[sweep.index('--out') + 1]}" in COMMANDS
    # Each Python that the project allows is tested, and every set-up's cache ends with the lock it was made from.
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == MINORS
    set_ups = [step for step in STEPS if "setup-python" in step.get("uses", "")]
    assert set_ups and all(step["with"]["cache"] == "pip" and step["with"]["cache-dependency-path"].split()
                           == ["constraints.txt", "pyproject.toml"] for step in set_ups)
    kept, = [step for step in STEPS if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "always()" and kept["with"]["path"] == "runs/"
    assert readme.count("PIP_EXTRA_INDEX_URL=" + WORKFLOW["env"]["PIP_EXTRA_INDEX_URL"]) == 1


def test_every_command_of_the_workflow_exists():
    text = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", text, re.MULTILINE) for target in targets())
    known = {"make": targets(), "uslab": set(re.findall(r"\w[\w-]*", parser().format_help()))}
    for command in COMMANDS:
        words = [word for word in command.split() if "=" not in word]
        assert words[0] in {*known, "pip"} and words[1] in known.get(words[0], {words[1]}), command
        if words[0] == "make":
            assert all(given.partition("=")[0] in ("PYTHON", "TORCH") for given in command.split() if "=" in given)
    files = [step["with"]["environment-file"] for step in STEPS if "environment-file" in step.get("with", {})]
    assert files == ["environment.yml"] and (ROOT / files[0]).is_file()


def test_the_quick_loop_runs_on_every_system_and_every_python_of_linux():
    matrix = WORKFLOW["jobs"]["quick"]["strategy"]["matrix"]
    assert matrix["system"] == ["ubuntu-24.04"] and matrix["python"] == MINORS
    assert {one["system"].partition("-")[0] for one in matrix["include"]} == {"windows", "macos"}
    assert all(one["python"] in MINORS for one in matrix["include"])


def test_the_lowest_versions_are_tested_with_the_lowest_python_on_files_that_are_there():
    steps = WORKFLOW["jobs"]["lowest"]["steps"]
    assert next(step for step in steps if "setup-python" in step.get("uses", ""))["with"]["python-version"] == MINORS[0]
    said = subprocess.run(["make", "--dry-run", "lowest"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = re.findall(r"tests/\S+", said)
    assert "--resolution lowest-direct" in said and len(files) > 10 and all((ROOT / file).is_file() for file in files)
    floors = [Requirement(text) for text in PROJECT["dependencies"]]
    assert all({one.operator for one in need.specifier} <= {">=", "=="} and need.specifier for need in floors)


def test_the_citation_names_this_version_and_the_five_papers():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (__version__, project["license"])
    addresses = [paper.get("url") or f"https://doi.org/{paper['doi']}" for paper in cited["references"]]
    readme = (ROOT / "README.md").read_text()
    notebooks = " ".join(path.read_text() for path in (ROOT / "notebooks").glob("0[1-5]*.ipynb"))
    models = " ".join(path.read_text() for path in (ROOT / "uslab" / "models").glob("*.py"))
    assert len(addresses) == 5
    assert not [address for address in addresses if not all(address in text for text in (readme, notebooks, models))]
