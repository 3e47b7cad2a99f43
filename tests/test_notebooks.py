"""Every notebook runs in the smoke profile and once more under nbval, and the committed files show what ran."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml

from uslab import notebooks
from uslab.cli.main import main
from uslab.data import open as open_set

pytestmark = pytest.mark.notebook

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))
each = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)

TOP_MOST_SIZE = 2_000_000   # bytes; a larger notebook is slow to open and to review
WIDEST, LONGEST = 100, 20   # characters of a line, and lines that are not empty of a cell of code that is not folded
# Folders that exist on one machine only, such as in a warning's or a traceback's file names.
OF_ONE_MACHINE = re.compile(r"(?<![\w.:/<~-])/(?:home|root|tmp|Users|var|opt|mnt)/|[A-Z]:\\\\?Users|site-packages")
ANY_PATH = re.compile(r"(?<![\w.:/<~-])/(?:[\w.+-]+/){2,}")


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """A function that runs a notebook once in the session, as `uslab run --profile smoke`: (exit code, its path)."""

    @cache
    def run(notebook: Path) -> tuple[int, Path]:
        out = tmp_path_factory.mktemp("smoke") / notebook.stem
        return main(["run", str(notebook), "--profile", "smoke", "--out", str(out)]), out / notebook.name

    return run


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_it_runs_in_the_smoke_profile(notebook, executed):
    code, output = executed(notebook)
    assert code == 0
    assert (output.with_suffix("") / "run.json").is_file()
    page = (output.parent / "index.html").read_text()
    assert "data:image/png;base64," in page, "no cell tagged key-picture shows a picture"


@each
def test_every_run_of_it_keeps_a_set_that_can_be_measured(notebook, executed):
    code, output = executed(notebook)
    if code:
        pytest.fail("it did not run")
    runs = [path.parent for path in output.with_suffix("").rglob("checkpoint.json")]
    assert runs or notebook.stem.startswith("00_")
    for run in runs:
        images = open_set(run)
        steps = int(max((run / "samples").glob("*.safetensors")).stem)
        assert len(images) and steps == json.loads((run / "checkpoint.json").read_text())["step"]
        assert sorted((run / "sheets").glob("*.png"))


@each
def test_its_code_can_be_read_without_scrolling(notebook):
    for cell in notebooks.read(notebook).cells:
        lines = list(filter(None, cell.source.splitlines())) if cell.cell_type == "code" else []
        folded = cell.metadata.get("jupyter", {}).get("source_hidden") or "parameters" in cell.metadata.get("tags", [])
        most = 2 * LONGEST if folded else LONGEST
        assert len(lines) <= most, f"{len(lines)} lines: {lines[0]}"
        assert not [line for line in lines if len(line) > WIDEST]


@each
def test_its_fixed_results_are_the_same_once_more(notebook, executed):
    code, output = executed(notebook)
    if code:
        pytest.fail("it did not run the first time")
    checked = [cell for cell in notebooks.read(output).cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert checked, "no cell is tagged nbval-check-output"
    compare(output)


@each
def test_the_committed_fixed_results_come_out_once_more(notebook, tmp_path):
    """Of the class profile all that stands before the first training: data, split, tables, the source that is shown."""
    node = notebooks.read(notebook)
    trains = [row for row, cell in enumerate(node.cells) if cell.cell_type == "code" and "Board(" in cell.source]
    tagged = [row for row, cell in enumerate(node.cells[:min(trains, default=None)])
              if "nbval-check-output" in cell.metadata.get("tags", [])]
    node.cells = node.cells[:tagged[-1] + 1]
    (tmp_path / "notebooks").mkdir()      # what it writes lies beside it, in runs
    copy = tmp_path / "notebooks" / notebook.name
    nbformat.write(node, copy)
    compare(copy)


def compare(file):
    """Run a notebook by nbval; the outputs of the tagged cells have to be those that it holds."""
    nbval = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300",
         "--nbval-sanitize-with", ROOT / "tests" / "nbval.cfg", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", file.parent, file],
        capture_output=True, text=True, timeout=900, check=False,
    )
    assert nbval.returncode == 0, nbval.stdout[-6000:] + nbval.stderr[-2000:]


@each
def test_the_committed_file_ran_from_top_to_bottom_as_it_stands(notebook):
    node = notebooks.read(notebook)
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    refresh = f"run: python tools/refresh_notebooks.py {notebook.stem}"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), refresh
    errors = [output.ename for cell in code for output in cell.outputs if output.output_type == "error"]
    assert not errors
    kinds = {kind for cell in code for output in cell.outputs for kind in output.get("data", {})}
    assert not any("widget" in kind for kind in kinds), "a live widget cannot be seen in a file"
    assert node.metadata.get("uslab") == {"source_sha256": notebooks.source_hash(node), "profile": "class"}, refresh
    assert not any("injected-parameters" in cell.metadata.get("tags", []) for cell in code), refresh


@each
def test_the_committed_file_is_small_and_names_no_machine(notebook):
    assert notebook.stat().st_size < TOP_MOST_SIZE
    node = notebooks.read(notebook)
    assert set(node.metadata) <= {"kernelspec", "language_info", "uslab"}
    for cell in node.cells:
        assert not OF_ONE_MACHINE.search(cell.source), cell.source
        for output in cell.get("outputs", []):
            data = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
            for text in [output.get("text", ""), *map(str, data.values())]:
                found = OF_ONE_MACHINE.search(text) or ANY_PATH.search(without_data(text))
                assert not found, f"{found.group()} in the output of: {cell.source}"


def test_the_committed_results_name_no_machine():
    for path in (ROOT / "notebooks" / "results").rglob("*.json"):
        assert not OF_ONE_MACHINE.search(path.read_text()), path


def without_data(text: str) -> str:
    """Return text without pictures and fonts written into it, whose base64 holds slashes by chance."""
    return re.sub(r"data:[\w/+.-]+;base64,[\w+/=\s]+", "", text)


@pytest.mark.parametrize("notebook", [path for path in NOTEBOOKS if not re.match("0[06]", path.name)],
                         ids=lambda path: path.stem)
def test_the_headings_are_those_of_the_plan_in_its_first_cell(notebook):
    first, *others = [cell.source for cell in notebooks.read(notebook).cells if cell.cell_type == "markdown"]
    headings = re.findall("^##+ (.+)$", "\n".join(others), re.MULTILINE)
    core, further = (re.search(rf"^- \*{part}\*.*?: (.+)\.$", first, re.MULTILINE)[1].split("; ")
                     for part in ("Core", "Further"))
    assert [name for name in headings if name.endswith(" (further)")] == [f"{name} (further)" for name in further]
    assert [name for name in headings if name in core] == core


@each
def test_its_first_cell_leads_to_the_words(notebook):
    assert "[glossary](../docs/glossary.md)" in notebooks.read(notebook).cells[0].source


@each
def test_every_profile_fits_the_notebooks_parameters(notebook):
    known = notebooks.defaults(notebook)
    assert {"profile", "data", "root", "out", "seed", "data_seed"} <= set(known)
    assert known["profile"] == "class" and known["data"] == "phantom" and known["out"] == f"../runs/{notebook.stem}"
    profiles = [path.suffixes[-2][1:] for path in (notebook.parent / "profiles").glob(f"{notebook.stem}.*.yaml")]
    assert "smoke" in profiles
    for profile in profiles:
        assert notebooks.profile_values(notebook, profile)["profile"] == profile


def test_every_profile_belongs_to_a_notebook():
    for path in (ROOT / "notebooks" / "profiles").glob("*"):
        stem, profile, suffix = path.name.split(".")
        assert (path.parents[1] / f"{stem}.ipynb").is_file() and profile in ("smoke", "paper") and suffix == "yaml"
        assert isinstance(yaml.safe_load(path.read_text()), dict)


@each
def test_the_readme_lists_it(notebook):
    assert f"notebooks/{notebook.name}" in (ROOT / "README.md").read_text()


def test_what_the_checks_above_look_for():
    assert OF_ONE_MACHINE.search("File /home/ann/x.py") and OF_ONE_MACHINE.search('"/tmp/run"')
    assert ANY_PATH.search("saved in /srv/data/set/x.png")
    assert not ANY_PATH.search("</b></i> https://doi.org/10.1/a/b/ ../a/b/c")
    assert not ANY_PATH.search(without_data('<img src="data:image/png;base64,ab//cd/ef/gh/">'))
    cell = nbformat.v4.new_code_cell("print(1)")
    node = nbformat.v4.new_notebook(cells=[cell])
    before = notebooks.source_hash(node)
    cell.source = "print(2)"
    assert notebooks.source_hash(node) != before
