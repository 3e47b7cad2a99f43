"""Run: resume to the bit after a kill, interrupts, divergence, full disks, and the order of the batches."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from made import noise_set
from safetensors.torch import load_file

from uslab import data
from uslab.data.batches import Batches
from uslab.data.files import read_grey
from uslab.data.pictures import contact_sheet
from uslab.models import checkpoint, cyclegan
from uslab.models.cyclegan import CycleGAN
from uslab.models.dcgan import DCGAN, Config
from uslab.score import Score
from uslab.training import Diverged, Run, write_record

SMALL = Config(batch_size=8, z=8, ngf=8, ndf=8)

# A real training in a process of its own, so that it can be killed; STEPS and FOLDER come as arguments.
SCRIPT = textwrap.dedent("""
    import sys, torch
    sys.path.insert(0, sys.argv[3])
    from test_training import SMALL, noise_set
    from uslab.training import Run
    from uslab.models.dcgan import DCGAN
    torch.set_num_threads(1)
    run = Run(sys.argv[1], DCGAN, SMALL, noise_set(20), seed=5, log_every=1, checkpoint_seconds=0.2,
              deterministic=True)
    for batch in run.batches(int(sys.argv[2])):
        run.log(run.gan.step(batch))
        if run.step % 7 == 0:
            run.save_samples(run.gan.sample(4, seed=0))   # must not disturb the random numbers of training
    print("finished at", run.step, "interrupted", run.interrupted)
""")


def start(folder, steps):
    here = os.path.dirname(__file__)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(steps), here], stdout=subprocess.PIPE,
                            text=True)


def log_of(folder):
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(condition, process):
    end = time.time() + 60
    while not condition():
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.time() < end
        time.sleep(0.005)


@pytest.mark.slow
def test_kill_and_resume_is_bit_identical(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    steps = 150
    assert start(whole, steps).wait() == 0
    process = start(killed, steps)
    # Kill it some steps past a checkpoint, so that there is work to lose and lines of the log to trim.
    wait_for(lambda: (killed / "checkpoint.json").exists(), process)
    at = json.loads((killed / "checkpoint.json").read_text())["step"]
    wait_for(lambda: len((killed / "log.jsonl").read_bytes().splitlines()) > at + 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len((killed / "log.jsonl").read_bytes().splitlines()) < steps
    assert start(killed, steps).wait() == 0

    expected, got = load_file(whole / "checkpoint.safetensors"), load_file(killed / "checkpoint.safetensors")
    assert expected.keys() == got.keys() and len(expected) > 60
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name
    losses = [[(line["step"], line["loss_d"], line["loss_g"]) for line in log_of(folder)] for folder in (whole, killed)]
    assert losses[0] == losses[1] and len(losses[0]) == steps
    assert (whole / "sheets/000147.png").read_bytes() == (killed / "sheets/000147.png").read_bytes()
    with pytest.raises(ValueError, match=r"000147\.png is a contact sheet, a picture of many images"):
        read_grey(whole / "sheets/000147.png")


@pytest.mark.slow
def test_interrupt_saves_and_returns(tmp_path):
    process = start(tmp_path, 100_000)
    wait_for(lambda: len(log_of(tmp_path)) > 5, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and "interrupted True" in output
    assert "Run this again to go on" in output
    step = json.loads((tmp_path / "checkpoint.json").read_text())["step"]
    assert f"finished at {step} " in output and log_of(tmp_path)[-1]["step"] == step


@pytest.mark.slow
def test_stop_from_another_thread_ends_the_loop(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20))
    for _ in run.batches(1000):
        if run.step == 3:
            run.stop()
    assert run.step == 3 and run.interrupted
    assert Run(tmp_path, DCGAN, SMALL, noise_set(20)).step == 3


def test_nan_stops_with_the_last_good_checkpoint(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20), log_every=5)
    for batch in run.batches(10):
        run.log(run.gan.step(batch))
    good = {name: value.clone() for name, value in run.gan.G.state_dict().items()}
    with pytest.raises(Diverged, match=r"loss_g is nan at step 15; the last good checkpoint, step 10, is restored"):
        for batch in run.batches(30):
            values = run.gan.step(batch)
            if run.step >= 12:  # a loss that is lost between two lines of the log, and stays so
                values["loss_g"] = values["loss_g"] * float("nan")
            run.log(values)
    assert [record["step"] for record in run.records] == [line["step"] for line in log_of(tmp_path)] == [5, 10]
    assert run.step == 10 and all(torch.equal(value, good[name]) for name, value in run.gan.G.state_dict().items())
    assert Run(tmp_path, DCGAN, SMALL, noise_set(20)).step == 10


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20))
    for batch in run.batches(2):
        run.gan.step(batch)
    with pytest.raises(Diverged, match="a weight is not finite at step 3"):
        for batch in run.batches(3):
            run.gan.step(batch)
            run.gan.D.main[0].weight.data[0] = float("inf")
    assert Run(tmp_path, DCGAN, SMALL, noise_set(20)).step == 2


def test_every_image_is_seen_equally_often(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20))
    seen = torch.cat([batch["image"][:, 0, 0, 0] for batch in run.batches(15)]).tolist()  # 15 x 8 = 6 epochs of 20
    for epoch in range(6):
        assert sorted(seen[epoch * 20:(epoch + 1) * 20]) == list(range(20))
    assert seen[:20] != seen[20:40]


def test_two_domains_go_through_epochs_of_their_own(tmp_path):
    batches = Batches({"ct": noise_set(20), "us": noise_set(12)}, size=8, seed=0)
    seen = {name: torch.cat([batches[step][name][:, 0, 0, 0] for step in range(15)]).tolist() for name in ("ct", "us")}
    for name, n in (("ct", 20), ("us", 12)):
        epochs = [seen[name][start:start + n] for start in range(0, 120, n)]
        assert all(sorted(epoch) == list(range(n)) for epoch in epochs) and epochs[0] != epochs[1]
    alone = Batches(noise_set(20), size=8, seed=0)
    assert torch.equal(alone[3]["image"], batches[3]["ct"]) and set(batches[3]) == {"ct", "us"}
    twins = Batches({"ct": noise_set(20), "us": noise_set(20)}, size=20, seed=0)[0]
    assert not torch.equal(twins["ct"], twins["us"]), "unpaired domains must not be shuffled alike"
    marked = dataclasses.replace(noise_set(20), masks=noise_set(20).images, mask_names=tuple("a" * 256))
    batch = Batches({"ct": marked, "us": noise_set(12)}, size=8, seed=0)[7]
    assert set(batch) == {"ct", "ct_mask", "us"} and torch.equal(batch["ct"], batch["ct_mask"])


def test_each_epoch_leaves_out_other_images_for_validation(tmp_path):
    """Grimwood 2021, section 2.3: a 90/10 split drawn anew in every epoch, of each domain."""
    data = {"ct": noise_set(20), "us": noise_set(40)}
    config = cyclegan.Config(size=64, ngf=4, ndf=4, blocks=1, layers=1, margin=0, denoise="off")
    run = Run(tmp_path, CycleGAN, config, data, validation=0.1)
    seen, left = [], []
    for step, batch in enumerate(run.batches(72)):
        seen += batch["us"][:, 0, 0, 0].tolist()
        if step % 36 == 35:     # the end of an epoch of 40 less 4
            left.append(run.left_out()["us"][:, 0, 0, 0].tolist())
    for epoch in range(2):
        assert sorted(seen[36 * epoch:36 * epoch + 36] + left[epoch]) == list(range(40))
    assert set(left[0]) != set(left[1]) and len(run.left_out()["ct"]) == 2
    with pytest.raises(ValueError, match="validation is 0.1 there and None here"):
        Run(tmp_path, CycleGAN, config, data)
    with pytest.raises(ValueError, match="leaves no image"):
        Run(tmp_path / "b", CycleGAN, config, data, validation=0.99)


def test_steps_draw_different_random_numbers_and_other_seeds_others(tmp_path):
    draws = {}
    for seed in (0, 1):
        run = Run(tmp_path / str(seed), DCGAN, SMALL, noise_set(20), seed=seed)
        draws[seed] = [torch.rand(()).item() for _ in run.batches(20)]
    assert len(set(draws[0] + draws[1])) == 40


def test_a_folder_belongs_to_one_run(tmp_path):
    Run(tmp_path, DCGAN, SMALL, noise_set(20))
    with pytest.raises(ValueError,
                       match=r"holds another run: lr is 0.0002 there and 0.001 here; seed is 0 there and 1"):
        Run(tmp_path, DCGAN, Config(batch_size=8, z=8, ngf=8, ndf=8, lr=1e-3), noise_set(20), seed=1)
    with pytest.raises(ValueError, match="data_sha256"):
        Run(tmp_path, DCGAN, SMALL, noise_set(21))


def test_a_damaged_checkpoint_names_its_file(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20))
    for batch in run.batches(1):
        run.gan.step(batch)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged"):
        Run(tmp_path, DCGAN, SMALL, noise_set(20))


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"step": 1, "x": torch.ones(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"checkpoint\.safetensors was not written .*free some space"):
            checkpoint.save(path, {"step": 2, "x": torch.ones(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.load(path)["step"] == 1 and sorted(os.listdir(tmp_path)) == ["checkpoint.json", path.name]


def test_checkpoints_keep_structure_and_strides(tmp_path):
    moment = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    state = {"optimiser": {"state": {0: {"exp_avg": moment, "step": torch.tensor(3.0)}}, "groups": [{"lr": 0.1}]}}
    checkpoint.save(tmp_path / "x.safetensors", state)
    loaded = checkpoint.load(tmp_path / "x.safetensors")
    restored = loaded["optimiser"]["state"][0]["exp_avg"]
    assert torch.equal(restored, moment) and restored.stride() == moment.stride()
    assert loaded["optimiser"]["groups"] == [{"lr": 0.1}]


def test_sets_come_back_and_stop_at_the_checkpoint(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20))
    images = run.gan.sample(6, seed=1)
    for _ in run.batches(4):
        if run.step in (2, 4):
            run.save_set(images)
    assert list(run.sets()) == [2, 4] and torch.equal(run.sets()[2], images)
    run.step = 3
    assert list(run.sets()) == [2]


def test_contact_sheet_places_images_row_by_row():
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 2, 2)
    sheet = contact_sheet(images, columns=3)
    assert sheet.shape == (4, 6) and sheet[0].tolist() == [0, 0, 1, 1, 2, 2] and sheet[3].tolist() == [3, 3, 4, 4, 0, 0]


def test_a_set_with_labels_comes_back_with_them(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20))
    for _ in run.batches(2):
        pass
    kept = dataclasses.replace(noise_set(4), labels=torch.tensor([0, 1, 0, 1]), classes=("a", "b"))
    run.save_set(kept)
    assert torch.equal(run.sets()[2], kept.images)
    images = data.open(tmp_path)
    assert torch.equal(images.labels, kept.labels) and images.classes == ("a", "b") and images.table.synthetic.all()


def test_the_record_of_a_training_is_written_when_it_ends_and_completed_later(tmp_path):
    run = Run(tmp_path, DCGAN, SMALL, noise_set(20), seed=2, data_seed=9)
    for batch in run.batches(3):
        run.gan.step(batch)
    path = tmp_path / "run.json"
    written = json.loads(path.read_text())
    assert (written["steps"], written["images_seen"], written["seed"], written["data_seed"]) == (3, 24, 2, 9)
    assert written["seconds"] > 0 and written["versions"]["torch"] and written["metrics"] == []
    write_record(path, [Score("KID", 0.5, n=4)], notebook="01", extra=1)
    completed = json.loads(path.read_text())
    assert all(completed[key] == written[key] for key in written if key != "metrics")
    assert completed["extra"] == 1 and completed["metrics"][0]["name"] == "KID"
    write_record(path, [], notebook="02", data_sha256="of other images")
    assert "extra" not in json.loads(path.read_text()), "a record of something else does not linger"


def test_a_prediction_stays_though_another_is_made_once_the_answer_is_known(tmp_path, capsys):
    path = tmp_path / "run.json"
    for said, other, notebook in ((0.5, None, "01"), (0.7, 3, "01"), (0.7, 3, "01"), (None, None, "01")):
        write_record(path, [], {"guess_d": (said, 0.71, "D(x)"), "guess_n": (other, None, "look")}, notebook=notebook)
    kept = [(one["name"], one["said"], one["was"]) for one in json.loads(path.read_text())["predictions"]]
    assert kept == [("guess_d", 0.5, 0.71), ("guess_d", 0.7, 0.71), ("guess_n", 3, None),
                    ("guess_d", None, 0.71), ("guess_n", None, None)]
    assert capsys.readouterr().out.splitlines() == [f"you said {said}, it was 0.71: D(x)" for said in (0.5, 0.7, 0.7)]
    write_record(path, [], {"guess_d": (1, 2, "another notebook's")}, notebook="02")
    assert [one["said"] for one in json.loads(path.read_text())["predictions"]] == [1]


def test_an_absent_device_is_named(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ValueError, match="device 'cuda' is not available.*cpu"):
        Run(tmp_path, DCGAN, SMALL, noise_set(20), device="cuda")
