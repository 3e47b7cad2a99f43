"""Everything that trains, samples or measures, on a GPU that is emulated: see emulated.py."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from emulated import OnGPU, gpu
from gans import CASES
from gans import images as made

from uslab import metrics, models, tasks
from uslab.cli.main import main
from uslab.generators.lots import image_sets
from uslab.metrics import texture
from uslab.metrics.features import Lite0
from uslab.training import Run

pytestmark = pytest.mark.slow
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[!.]*.ipynb"))

@pytest.mark.slow
def test_the_emulated_gpu_refuses_what_a_gpu_refuses():
    with gpu():
        here, there = torch.rand(3), torch.rand(3, device="cuda")
        assert there.device.type == "cuda" and there.cpu().device.type == "cpu" and (here.to("cuda") * 2.0).is_cuda
        for broken in (lambda: here + there, lambda: torch.stack([here.sum(), there.sum()]),
                       lambda: torch.cat([here, there]),
                       lambda: here[there > 0], lambda: torch.equal(here, there), lambda: here @ there):
            with pytest.raises(RuntimeError, match="same device"):
                broken()
        for broken in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError, match="can't convert cuda"):
                broken()
        with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
            torch.randn(3, device="cuda", generator=torch.Generator())
        assert isinstance(there[torch.tensor([0, 2])], OnGPU) and isinstance(there * torch.tensor(2.0), OnGPU)


def trained(folder, case, steps: int) -> Run:
    run = Run(folder, case.model, case.config, case.data, seed=3, log_every=1)
    for batch in run.batches(steps):
        values = run.gan.step(batch)
        assert all(isinstance(value, float) or value.device.type == run.gan.device.type for value in values.values())
        run.log(values)
    return run


def gpu_tensors(state) -> list[bool]:
    """Of each tensor with a dimension in a nested state, whether it lies on the GPU."""
    if isinstance(state, dict):
        state = list(state.values())
    if isinstance(state, (list, tuple)):
        return [there for part in state for there in gpu_tensors(part)]
    return [state.is_cuda] if isinstance(state, torch.Tensor) and state.ndim else []


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_run_on_a_gpu_gives_the_numbers_of_the_cpu(tmp_path, name, monkeypatch):
    monkeypatch.setattr("uslab.training.run.choose_dtype", lambda *_: torch.float32)    # of both, on every processor
    case = CASES[name]
    with gpu():
        run = trained(tmp_path / "gpu", case, 3)
        assert run.device.type == "cuda" and all(gpu_tensors(run.gan.state_dict()))
        run.save_samples(run.gan.sample(4, seed=1))
        run.save_set(run.gan.sample(4, seed=1))
        again = trained(tmp_path / "gpu", case, 6)      # goes on from the checkpoint
        assert all(gpu_tensors(again.gan.state_dict()))
        images = again.gan.sample(4, seed=2)
        if hasattr(again.gan, "translate"):
            there = again.gan.translate(images)
            assert not there.is_cuda and torch.equal(again.gan.translate(images.to("cuda")), there)
        loaded = models.load(again.export(tmp_path / "out"))
        assert loaded.device.type == "cuda" and (loaded.sample(4, seed=2).int() - images.int()).abs().max() <= 1
        assert torch.equal(models.load(tmp_path / "gpu").sample(4, seed=2), images)
        parts = list(image_sets(tmp_path / "out", 3, seed=0))
        assert not any(isinstance(value, OnGPU) for part in parts for value in (part.images, part.labels, part.masks))
        again.gan.load_state_dict(run.gan.state_dict())
    here = trained(tmp_path / "cpu", case, 6)
    # StyleGAN2 has another memory layout there, and so rounds otherwise.
    assert (images.int() - here.gan.sample(4, seed=2).int()).abs().max() <= 1 and not images.is_cuda
    logs = [[json.loads(line)["loss_g"] for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
            for folder in ("gpu", "cpu")]
    assert logs[0] == pytest.approx(logs[1], rel=1e-3) and len(logs[0]) == 6


@pytest.mark.slow
def test_measures_are_taken_on_the_gpu_and_are_those_of_the_cpu(monkeypatch):
    a, b = made(24, 32, seed=1), made(24, 32, seed=2)
    on = {"features": [], "neighbours": [], "codes": []}
    forward, cdist, codes = Lite0.forward, torch.cdist, texture.lbp_codes
    monkeypatch.setattr(Lite0, "forward", lambda self, x: on["features"].append(x.is_cuda) or forward(self, x))
    monkeypatch.setattr(texture, "lbp_codes", lambda x: on["codes"].append(x.is_cuda) or codes(x))
    with gpu():
        monkeypatch.setattr(torch, "cdist",
                            lambda x, y, **how: on["neighbours"].append(x.is_cuda) or cdist(x, y, **how))
        there = metrics.compare(a.to("cuda"), b.to("cuda"), a.to("cuda"), pairs=10, draws=5)
        near = metrics.nearest_neighbours(b.to("cuda"), a.to("cuda"))
        monkeypatch.setattr(torch, "cdist", cdist)
        assert all(on["features"]) and all(on["codes"]) and any(on["neighbours"]) and all(map(len, on.values()))
        for values in on.values():
            values.clear()
        metrics.features(b, device="cpu")
        metrics.lbp_histogram(b, device="cpu")
        assert not any(on["features"]) and not any(on["codes"])
    here = metrics.compare(a, b, a, pairs=10, draws=5)
    for table in (there, here):     # a number in a note is rounded, up here and down there
        table["note"] = table.note.str.replace(r"-?\d+\.\d+", "#", regex=True)
    pd.testing.assert_frame_equal(there, here, rtol=1e-3, atol=1e-3)
    pd.testing.assert_frame_equal(near, metrics.nearest_neighbours(b, a), rtol=1e-4)


@pytest.mark.parametrize("name", ["features", "lite2"])
def test_classifiers_train_on_a_gpu(name):
    real = made(24, 32)
    with gpu():
        train, test = (part.to("cuda") for part in (real[:16], real[16:]))
        found = tasks.classify(train, test, name, steps=2, batch_size=8)
        maps = tasks.grad_cam(found.model, test, 1)
    assert len(found.predictions) == 8 and not isinstance(maps, OnGPU) and maps.shape == (8, 1, 32, 32)



def test_a_segmentation_trains_on_a_gpu():
    real = made(12, 32)
    with gpu():
        found = tasks.segment(real[:8].to("cuda"), real[8:].to("cuda"), steps=2, batch_size=4)
    assert not isinstance(found.masks, OnGPU) and len(found.dice) == 4


@pytest.mark.notebook
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_gpu(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONSTARTUP", str(Path(__file__).with_name("emulated_kernel.py")))
    assert main(["run", str(notebook), "--profile", "smoke", "--out", str(tmp_path / "out")]) == 0
    if list((tmp_path / "out").rglob("checkpoint.json")):
        records = [path.read_text() for path in (tmp_path / "out").rglob("run.json")]
        assert any("No GPU, 8 GB" in record for record in records), "it trained on something else"
