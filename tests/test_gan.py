"""The contract of every GAN: step, sample by seed, save, load, resume."""

import math

import pytest
import torch
from gans import CASES
from safetensors.torch import load_file

from uslab.models.gan import GAN
from uslab.training import Run

pytestmark = pytest.mark.numeric


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def trained(folder, case, steps: int) -> Run:
    run = Run(folder, case.model, case.config, case.data, seed=3, device="cpu", log_every=1)
    for batch in run.batches(steps):
        run.log(run.gan.step(batch))
    return run


def same(a, b) -> bool:
    """Whether two nested states hold the same numbers."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_no_step_takes_images_of_another_size(case):
    gan = case.model(case.config)
    for side in (case.config.size + 4, case.config.size // 2 + 4):
        image = torch.zeros(4, 1, side, side, dtype=torch.uint8)
        batch = dict.fromkeys(("image", "mask", "ct", "us"), image) | {"label": torch.zeros(4, dtype=torch.int64)}
        with pytest.raises(ValueError, match=f"the images are {side}x{side} px, but {type(gan).__name__} with Config"):
            gan.step(batch)


@pytest.mark.slow
def test_a_step_gives_values_and_moves_every_weight(tmp_path, case):
    run = trained(tmp_path, case, 1)
    assert isinstance(run.gan, GAN) and run.gan.config is case.config
    before = {name: value.clone() for name, value in flat(run.gan.state_dict()["G"]).items()}
    values = None
    for batch in run.batches(3):
        values = run.gan.step(batch)
        run.log(values)
    assert {"loss_d", "loss_g", "d_real", "d_fake"} <= values.keys()
    for value in values.values():
        assert isinstance(value, float) or value.ndim == 0 and not value.requires_grad
        assert math.isfinite(value)
    after = flat(run.gan.state_dict()["G"])
    weights = [name for name in before if name.endswith("weight") and not name.startswith(("down.", "up."))]
    assert weights and not any(torch.equal(before[name], after[name]) for name in weights)
    for name, value in values.items():
        assert run.records[-1][name] == pytest.approx(float(value)), "what a step gives is what the log says"


def flat(state: dict, start: str = "") -> dict:
    return {f"{start}{key}": value for name, part in state.items()
            for key, value in (flat(part, f"{name}.") if isinstance(part, dict) else {name: part}).items()}


def test_samples_are_grey_images_on_the_cpu_and_depend_on_the_seed_alone(tmp_path, case):
    gan = trained(tmp_path, case, 2).gan
    images = gan.sample(5, seed=3)
    assert images.dtype == torch.uint8 and images.device.type == "cpu" and images.shape[:2] == (5, 1)
    before = torch.get_rng_state()
    assert torch.equal(gan.sample(5, seed=3), images) and not torch.equal(gan.sample(5, seed=4), images)
    assert torch.equal(torch.get_rng_state(), before), "sampling leaves the random numbers of a training alone"


@pytest.mark.slow
def test_its_state_is_a_file_and_comes_back(tmp_path, case):
    run = trained(tmp_path / "a", case, 3)
    keys = load_file(tmp_path / "a" / "checkpoint.safetensors").keys()
    networks = [name for name in ("G", "D", "G_ema") if getattr(run.gan, name) is not None]
    assert all(any(key.startswith(f"/gan/{name}/") for key in keys) for name in networks)
    other = trained(tmp_path / "b", case, 1).gan
    assert not same(other.state_dict()["G"], run.gan.state_dict()["G"])
    other.load_state_dict(run.gan.state_dict())
    assert same(other.state_dict(), run.gan.state_dict())
    assert torch.equal(other.sample(4, seed=1), run.gan.sample(4, seed=1))


@pytest.mark.slow
def test_a_run_that_goes_on_ends_like_one_that_was_whole(tmp_path, case):
    whole = trained(tmp_path / "whole", case, 6)
    trained(tmp_path / "parts", case, 2)
    parts = trained(tmp_path / "parts", case, 6)
    assert same(whole.gan.state_dict(), parts.gan.state_dict())
    kept = [[{key: record[key] for key in record if "seconds" not in key and "per_s" not in key}
             for record in run.records]
            for run in (whole, parts)]
    assert kept[0] == kept[1] and len(kept[0]) == 6
