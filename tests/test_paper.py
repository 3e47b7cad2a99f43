"""Each `paper` profile, shrunk only in size, width and steps, runs from start to end on real images."""

import json

import pytest

from uslab.cli.main import main

SHRUNK = {
    "01_dcgan_fetal_head": "data hc18 n_train 40 epochs 1 ngf 4 ndf 4 n_synthetic 24 draws 3 break_steps 2",
    "05_pgsgan_ovary": "data mmotu size 32 ngf 4 ndf 4 blocks 1 epochs 0.1 fade 1 draws 3 segment_epochs 1 "
                       "study_images 4 needs [] timed_size 32 break_steps 2",
}


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.parametrize("notebook", SHRUNK)
def test_the_papers_protocol_runs_on_its_real_images(notebook, real_data, tmp_path):
    words = SHRUNK[notebook].split()
    values = dict(zip(words[::2], words[1::2]))
    data = values.pop("data")
    settings = [word for name, value in values.items() for word in ("-p", name, value)]
    assert main(["run", notebook, "--profile", "paper", "--data", data, "--root", str(real_data / data),
                 "--out", str(tmp_path / "o"), *settings]) == 0
    record = json.loads((tmp_path / "o" / notebook / "run.json").read_text())
    assert record["profile"] == "paper" and record["source"] == "real" and record["metrics"]
