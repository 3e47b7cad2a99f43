"""`uslab report`: the right number at the right place, over seeds too, and what is not complete said."""

import base64
import io
import json
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from uslab.cli.main import main
from uslab.data.lock import locked
from uslab.notebooks import UsageError
from uslab.sweeps import report

ROOT = Path(__file__).parents[1]


def png(grey: int) -> str:
    buffer = io.BytesIO()
    Image.new("L", (900, 300), grey).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def job(make_notebook, tmp_path):
    """A function that writes what a sweep's job leaves: complete with a value, failed without."""
    notebook = make_notebook("toy")

    def make(name: str, value: float | None = None, sets: tuple[str, ...] = (), **parameters):
        folder = tmp_path / "o" / name
        folder.mkdir(parents=True)
        told = {"notebook": str(notebook), "parameters": {**parameters, "out": str(folder)}}
        (folder / "job.json").write_text(json.dumps(told))
        cells = [new_code_cell("show()", execution_count=1, metadata={"tags": ["key-picture"]}, outputs=[
            new_output("display_data", {"image/png": png(90)})]), new_code_cell("1 / 0 < 1")]
        ended = {"end_time": "2026-01-01T00:00:00", "duration": 60.0}
        if value is None:
            ended = {"end_time": None}
            cells[1].metadata["papermill"] = {"exception": True}
            cells[1].outputs = [new_output("error", ename="ZeroDivisionError", evalue="division by zero",
                                           traceback=["ZeroDivisionError: division by zero"])]
        node = new_notebook(cells=cells, metadata={"papermill": {"parameters": parameters, **ended}})
        nbformat.write(node, folder / "toy.ipynb")
        metric = {"name": "KD-lite0", "value": value, "low": 0.5, "high": 9.5, "n": 120, "note": "its floor is 0.003"}
        metrics = [metric | {"set": name, "value": 100 * i + value} for i, name in enumerate(sets)] or [metric]
        record = {"data": "phantom_fetal_head", "metrics": metrics, "versions": {"commit": "abc123"}}
        (folder / "toy").mkdir()
        (folder / "toy" / "run.json").write_text(json.dumps(record))
        return folder

    return make


@pytest.mark.slow
def test_each_value_stands_under_its_parameters(job, tmp_path, capsys):
    for steps, lr, value in ((10, 0.1, 1.25), (10, 0.2, 2.5), (9, 0.1, 3.75)):
        job(f"{steps}_{lr}", value, steps=steps, lr=lr)
    job("9_0.2", None, steps=9, lr=0.2)
    (job("5_0.2", None, steps=5, lr=0.2) / "toy.ipynb").unlink()
    out = tmp_path / "o"
    assert main(["report", str(out)]) == 0 and capsys.readouterr().out.strip() == str(out / "report.html")

    entries = report.gather(out)
    names = report.varied(entries)
    assert names == ["steps", "lr"]
    header, (column, values), lines = report.pivot(report.averaged(report.metrics(entries, names)))
    assert (header, column, values) == (["measure", "steps"], "lr", [0.1, 0.2])
    assert [labels for labels, _ in lines] == [["KD-lite0", 9], ["KD-lite0", 10]]
    assert [[cell and cell[0].value for cell in cells] for _, cells in lines] == [[3.75, None], [1.25, 2.5]]

    page = " ".join((out / "report.html").read_text().split())
    for text in ("3 of 5 runs complete", "KD-lite0", "lr 0.1", "[0.5, 9.5], n = 120", "phantom_fetal_head (simulated",
                 "its floor is 0.003", "1 / 0 &lt; 1", "ZeroDivisionError", "not begun", "abc123", "image/webp"):
        assert text in page
    assert "http" not in page and str(tmp_path) not in page
    rows = pd.read_csv(out / "metrics.csv")
    assert rows[["steps", "lr", "value", "low", "high", "n"]].values.tolist() == [
        [10, 0.1, 1.25, 0.5, 9.5, 120], [10, 0.2, 2.5, 0.5, 9.5, 120], [9, 0.1, 3.75, 0.5, 9.5, 120]]
    states = pd.read_csv(out / "runs.csv").set_index("run").state.to_dict()
    assert states == {"10_0.1": "complete", "10_0.2": "complete", "9_0.1": "complete", "9_0.2": "failed",
                      "5_0.2": "not begun"}


@pytest.mark.slow
def test_runs_that_differ_by_seed_alone_become_one_with_students_interval(job, tmp_path):
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        job(f"a{seed}", value, steps=1, seed=seed)
    job("b", 7.0, steps=2, seed=0)
    entries = report.gather(tmp_path / "o")
    names = report.varied(entries)
    table = report.averaged(report.metrics(entries, names)).set_index("steps")
    # By hand: mean 2, standard error 1 / sqrt(3), Student's t for 2 degrees of freedom 4.302653.
    assert table.loc[1, ["value", "low", "high", "n", "seeds"]].tolist() == pytest.approx(
        [2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5, 3, 3])
    assert table.loc[2, ["value", "low", "high", "n", "seeds"]].tolist() == [7, 0.5, 9.5, 120, 1]


def test_methods_are_never_averaged_as_if_they_were_seeds(job, tmp_path):
    """Three seeds of two methods in one run each, by hand: means 2 and 102, not one mean of 52 over 'six seeds'."""
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        job(f"a{seed}", value, ("none", "ada"), steps=1, seed=seed)
    job("b", 7.0, ("none", "ada"), steps=2, seed=0)
    report.write(tmp_path / "o", tmp_path / "page")
    entries = report.gather(tmp_path / "o")
    table = report.averaged(report.metrics(entries, report.varied(entries)))
    assert table.set_index(["steps", "set"])[["value", "seeds"]].apply(tuple, axis=1).to_dict() == {
        (1, "none"): (2, 3), (1, "ada"): (102, 3), (2, "none"): (7, 1), (2, "ada"): (107, 1)}
    header, (column, values), lines = report.pivot(table)
    assert (header, column, values) == (["measure", "steps"], "set", ["ada", "none"])
    assert [[cell[0].value for cell in cells] for _, cells in lines] == [[102, 2], [107, 7]]
    page = " ".join((tmp_path / "page" / "report.html").read_text().split())
    assert page.count("n = 3 seeds") == 2 and page.count("n = 120") == 2
    assert "mean of 3 training seeds (0, 1, 2)" in page


def test_what_nothing_tells_apart_is_shown_and_not_averaged(job, tmp_path):
    job("a", 1.0, steps=1, seed=0)
    job("again", 3.0, steps=1, seed=0)      # the same run, repeated
    job("b", 5.0, ("none", "none"), steps=2, seed=0)    # two scores of one name and set
    entries = report.gather(tmp_path / "o")
    table = report.averaged(report.metrics(entries, ["steps", "seed"]))
    assert table[["steps", "run", "entry", "value", "seeds"]].values.tolist() == [
        [1, "a", 1, 1.0, 1], [1, "again", 1, 3.0, 1], [2, "", 1, 5.0, 1], [2, "", 2, 105.0, 1]]
    report.write(tmp_path / "o", tmp_path / "page")


def test_a_parameter_with_the_name_of_an_end_of_the_interval(job, tmp_path):
    for low in (3, 4):
        job(f"low{low}", 1.0, low=low, steps=1)
    table = report.averaged(report.metrics(report.gather(tmp_path / "o"), ["low"]))
    assert table[["low (parameter)", "low"]].values.tolist() == [[3, 0.5], [4, 0.5]]


def test_a_run_that_goes_on_says_how_far_it_is_and_gives_no_number(job, tmp_path):
    folder = job("a", 1.0, steps=1)
    with locked(folder / "lock"):
        table = report.runs(tmp_path / "o")
        assert table.state.tolist() == ["running, cell 1 of 2"]
        assert report.metrics(report.gather(tmp_path / "o"), []).empty
        report.write(tmp_path / "o", tmp_path / "o")   # a page without a number
    assert report.runs(tmp_path / "o").state.tolist() == ["complete"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted(path for path in (ROOT / "notebooks" / "results").iterdir() if path.is_dir()),
                         ids=lambda path: path.name)
def test_the_committed_results_can_be_gathered(folder, tmp_path):
    records = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    records = [record for record in records if isinstance(record, dict) and record.get("metrics")]
    entries = report.gather(folder)
    assert len(entries) == len(records) and {entry.notebook for entry in entries} == {folder.name}
    assert len(report.metrics(entries, [])) == sum(len(record["metrics"]) for record in records)
    report.write(folder, tmp_path)


def test_the_committed_sweep_of_notebook_01_varies_its_set_size(tmp_path):
    for path in (ROOT / "notebooks" / "results" / "01_dcgan_fetal_head").glob("n*.json"):
        shutil.copy(path, tmp_path)
    table = report.runs(tmp_path)
    assert table.n_train.tolist() == [100, 300, 500, 800, 999]
    assert set(table.columns) == {"run", "notebook", "n_train", "state", "seconds", "data", "device", "commit"}


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no executed notebook and no run.json"):
        report.gather(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        report.gather(tmp_path / "absent")
