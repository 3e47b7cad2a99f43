"""Each `paper` profile, shrunk only in size, width and steps, runs from start to end on real images."""

import json

import pandas as pd
import pytest
from PIL import Image

from uslab import phantom
from uslab.cli.main import main

SHRUNK = {
    "01_dcgan_fetal_head": "data hc18 n_train 40 epochs 1 ngf 4 ndf 4 n_synthetic 24 draws 3 break_steps 2",
    "02_stylegan2_breast": "data busi n_train 60 n_test 24 kimg 0.016 n_synthetic 24 size 32 batch_size 8 z 16 "
                           "channel_base 256 channel_max 16 classifier lite2 needs [] k 2 draws 3 looks 2 ratios [1.0] "
                           "break_kimg 0.008",
    "04_stackgan_liver": "data nafld size 64 size1 64 attention 16 steps1 2 steps2 2 batch_size 4 z 16 ngf 4 ndf 4 "
                         "width2 4 classifier lite2 classifier_epochs 1 needs [] draws 3 break_steps 2",
    "05_pgsgan_ovary": "data mmotu size 32 ngf 4 ndf 4 blocks 1 epochs 0.1 fade 1 draws 3 segment_epochs 1 "
                       "study_images 4 needs [] timed_size 32 break_steps 2",
}


# Frames were never published: those of five simulated patients, cropped as the paper's, in the place of a user's own.
STAND_IN = ("size 260 n_ct 2 n_planes 16 epochs 0.1 decay 0.1 ngf 4 ndf 4 blocks 1 layers 1 shares [0.0,0.5] draws 3 "
            "classifier features needs [] break_steps 1 us_data folder")


def run(notebook, data, root, out, settings):
    words = settings.split()
    options = [part for name, value in zip(words[::2], words[1::2]) for part in ("-p", name, value)]
    assert main(["run", notebook, "--profile", "paper", "--data", data, "--root", str(root), "--out", str(out),
                 *options]) == 0
    record = json.loads((out / notebook / "run.json").read_text())
    assert record["profile"] == "paper" and record["metrics"]
    return record


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.parametrize("notebook", SHRUNK)
def test_the_papers_protocol_runs_on_its_real_images(notebook, real_data, tmp_path):
    _, data, settings = SHRUNK[notebook].split(maxsplit=2)
    assert run(notebook, data, real_data / data, tmp_path / "o", settings)["source"] == "real"


@pytest.mark.notebook
@pytest.mark.slow
def test_three_organs_go_through_one_run_on_real_ct(real_data, tmp_path):
    images = phantom.load("eus", 60, 261, seed=5)
    rows = []
    for i, image in enumerate(images.images[:, 0].numpy()):
        file = f"{i:02}.png"
        Image.fromarray(image[80:180]).resize((522, 200)).save(tmp_path / file)
        rows.append((file, images.classes[images.labels[i]], f"EUS{i // 12}"))
    pd.DataFrame(rows, columns=["file", "label", "group"]).to_csv(tmp_path / "labels.csv", index=False)
    record = run("03_cyclegan_ct_to_eus", "ct", real_data / "ct", tmp_path / "o", f"{STAND_IN} us_root {tmp_path}")
    assert record["organs"] == ["aorta", "liver", "pancreas"] and set(record["runs"]) == set(record["organs"])
    log = [json.loads(line) for line in next((tmp_path / "o").glob("**/log.jsonl")).read_text().splitlines()]
    assert record["validation"] == 0.1 and {"loss_g_unseen", "loss_g_validation"} <= set(log[-1])
    compared = " ".join(row["compared"] for row in record["table_3"])
    assert all(f"real {name} against synthetic" in compared for name in (*record["organs"], "all"))
    assert {score.get("organ") for score in record["metrics"]} >= set(record["organs"])     # outlines of each
    assert {score.get("training set") for score in record["metrics"]} >= {"real only", "50% synthetic"}
