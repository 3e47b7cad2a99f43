"""The reader of results that are committed beside the notebooks."""

import json

import pytest

from uslab import notebooks


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """A folder of two runs, one with a picture, and a page of text."""
    folder = tmp_path / "results" / "07_new"
    folder.mkdir(parents=True)
    for name, size, seconds in (("seed0_small", 64, 90), ("seed1_large", 128, 150)):
        record = {"data": "phantom_breast", "source": "phantom", "config": {"size": size, "data": "no"},
                  "seconds": seconds, "device": "cpu", "versions": {"commit": name}}
        (folder / f"{name}.json").write_text(json.dumps(record))
    (folder / "seed1_large.jpg").touch()
    (folder / "README.md").touch()
    monkeypatch.setattr("uslab.notebooks.committed.folder", lambda: tmp_path)
    return folder


def test_results_are_those_asked_for_each_with_its_picture(committed):
    small, large = notebooks.results("07_new", data="phantom_breast")
    assert small["config"]["size"] == 64 and small["picture"] is None
    assert large["picture"] == str(committed / "seed1_large.jpg")
    assert notebooks.results("07_new", size=128) == notebooks.results("07_new", "seed1*") == [large]
    assert notebooks.results("07_new", data="busi") == notebooks.results("08_none") == []


def test_provenance_says_how_many_runs_how_long_and_of_which_commits(committed):
    assert notebooks.provenance(notebooks.results("07_new")) == (
        "committed: 2 runs on phantom images, 4 min 0 s of training in all on cpu; commit seed0_small, seed1_large")
    assert notebooks.provenance([]) == "No committed run has this data and size."


def test_a_sweep_of_ones_own_is_read_in_the_same_way(committed, tmp_path):
    """Every complete run of the notebook, whatever its size; records of trainings and of other notebooks are none."""
    for job, size in (("n=50,seed=0", 128), ("n=100,seed=0", 256)):
        run = tmp_path / "grid" / job / "07_new"
        (run / "ada" / "run-1").mkdir(parents=True)
        record = {"notebook": "07_new", "data": "busi", "source": "real", "config": {"size": size}, "seconds": 3600,
                  "device": "cuda", "metrics": [{"name": "FID", "value": size, "n": 9}], "versions": {"commit": "c"}}
        (run / "run.json").write_text(json.dumps(record))
        (run / "ada" / "run-1" / "run.json").write_text(json.dumps({"model": "StyleGAN2", "metrics": []}))
        (run / "samples.jpg").touch()
        (run / "other.json").write_text(json.dumps(record | {"notebook": "08_none"}))
    mine = notebooks.results("07_new", "seed*", tmp_path / "grid", data="phantom_breast", size=64)
    assert [record["config"]["size"] for record in mine] == [256, 128]
    assert mine[0]["picture"] == str(tmp_path / "grid" / "n=100,seed=0" / "07_new" / "samples.jpg")
    assert notebooks.provenance(mine) == (
        "sweep grid: 2 runs on real images, 2 h 0 min of training in all on cuda; commit c")
    with pytest.raises(notebooks.UsageError, match="grid holds no complete run of 09_none: name the folder"):
        notebooks.results("09_none", sweep=tmp_path / "grid")
