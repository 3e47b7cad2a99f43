"""DCGAN against the reference implementation, its counts, and the augmentation it trains on."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from uslab import notebooks
from uslab.models.dcgan import DCGAN, Config, Discriminator, Generator, augment
from uslab.models.layers import normalise, to_uint8

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parent / "golden"
COUNTS = json.loads((GOLDEN / "dcgan_counts.json").read_text())


@pytest.fixture(scope="module")
def golden():
    return {key: torch.from_numpy(value) for key, value in np.load(GOLDEN / "dcgan_examples_tiny_one_step.npz").items()}


@pytest.fixture
def gan(golden):
    gan = DCGAN(Config(z=8, ngf=4, ndf=4))
    for name, network in (("G", gan.G), ("D", gan.D)):
        network.load_state_dict({key[2:]: value for key, value in golden.items() if key.startswith(f"{name}.")})
    return gan


@pytest.mark.slow
def test_networks_match_the_reference(gan, golden):
    gan.G.eval(), gan.D.eval()
    torch.testing.assert_close(gan.G(golden["z"]), golden["G_eval"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gan.D(golden["real"]).sigmoid(), golden["D_eval_real"].flatten(), rtol=1e-5, atol=1e-6)


def test_one_step_matches_the_reference(gan, golden):
    losses = gan.update(golden["real"], golden["z"])
    torch.testing.assert_close(losses["loss_d"], golden["step_errD_real"] + golden["step_errD_fake"])
    torch.testing.assert_close(losses["loss_g"], golden["step_errG"])
    torch.testing.assert_close(losses["d_real"], golden["step_D_real_out"].mean())
    torch.testing.assert_close(losses["d_fake"], golden["step_D_fake_out"].mean())
    for name, network in (("G", gan.G), ("D", gan.D)):
        for key, value in network.state_dict().items():
            # Adam's first step is lr * sign(gradient): where the gradient is round-off, its sign is too.
            torch.testing.assert_close(value, golden[f"after.{name}.{key}"], rtol=1e-5, atol=2e-6, msg=key)


@pytest.mark.parametrize("case, config", [
    ("pytorch/examples DCGAN64 nz100 ngf64 nc1", Config()),
    ("miua2022 dcgan128 nz=ngf=ndf=128", Config(size=128, z=128, ngf=128, ndf=128)),
    ("miua2022 dcgan128 nz=ngf=ndf=64", Config(size=128, z=64, ngf=64, ndf=64)),
    ("miua2022 dcgan128 nz=ngf=ndf=16", Config(size=128, z=16, ngf=16, ndf=16)),
    ("miua2022 dcgan256 nz=ngf=ndf=16", Config(size=256, z=16, ngf=16, ndf=16)),
    ("miua2022 dcgan256 nz=ngf=ndf=256 (analytic, 1.464e9 params in total, not instantiated)",
     Config(size=256, z=256, ngf=256, ndf=256)),
])
def test_parameter_counts_and_shapes(case, config):
    with torch.device("meta"):
        generator, discriminator = Generator(config), Discriminator(config)
        images = generator(torch.empty(2, config.z, 1, 1))
        logits = discriminator(images)
    assert sum(p.numel() for p in generator.parameters()) == COUNTS[case]["G"]
    assert sum(p.numel() for p in discriminator.parameters()) == COUNTS[case]["D"]
    assert images.shape == (2, 1, config.size, config.size) and logits.shape == (2,)


@pytest.mark.parametrize("profile", ["class", "paper"])
def test_the_notebooks_profiles_build_at_full_size(profile):
    notebook, = notebooks.find(["01_dcgan_fetal_head"])
    values = notebooks.defaults(notebook) | notebooks.profile_values(notebook, profile)
    config = Config(**{field.name: values[field.name] for field in fields(Config) if field.name in values})
    with torch.device("meta"):
        logits = Discriminator(config)(Generator(config)(torch.empty(3, config.z, 1, 1)))
    assert logits.shape == (3,)
    missing = {field.name for field in fields(Config)} - set(values)
    assert missing == {"beta1", "beta2"}, "every other hyperparameter is a parameter of the notebook"


def test_reference_numbers():
    gan = DCGAN(Config(z=16, ngf=16, ndf=16))
    convolutions = [p for p in gan.G.parameters() if p.ndim == 4] + [p for p in gan.D.parameters() if p.ndim == 4]
    weights = torch.cat([p.detach().flatten() for p in convolutions])
    assert weights.std() == pytest.approx(0.02, rel=0.01) and abs(weights.mean()) < 2e-4
    gains = torch.cat([m.weight.detach() for m in gan.D.modules() if isinstance(m, torch.nn.BatchNorm2d)])
    assert gains.mean() == pytest.approx(1, abs=0.01) and gains.std() == pytest.approx(0.02, rel=0.3)
    for optimiser in gan.optimisers.values():
        assert optimiser.defaults["lr"] == 2e-4 and optimiser.defaults["betas"] == (0.5, 0.999)
    batch_norms = [[isinstance(m, torch.nn.BatchNorm2d) for m in network.main] for network in (gan.G, gan.D)]
    assert sum(batch_norms[0]) == 4 and sum(batch_norms[1]) == 3  # none in G's last and D's first and last layer
    slopes = [m.negative_slope for m in gan.D.modules() if isinstance(m, torch.nn.LeakyReLU)]
    assert slopes == [0.2] * 4


def test_corner_127_is_rotation_after_normalisation():
    """The knob `corner` reproduces the public notebooks' fault exactly: rotating [-1, 1] images pads with 0."""
    images = torch.randint(0, 256, (8, 1, 32, 32), dtype=torch.uint8)
    torch.manual_seed(0)
    faulty = normalise(augment(images, 0.5, 30, corner=127.5))
    torch.manual_seed(0)
    angle = (2 * torch.rand(8) - 1) * torch.pi / 6
    mirror = 1 - 2 * (torch.rand(8) < 0.5).float()
    theta = torch.zeros(8, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 1, 0], theta[:, 1, 1] = (
        mirror * angle.cos(), -angle.sin(), mirror * angle.sin(), angle.cos())
    grid = F.affine_grid(theta, [8, 1, 32, 32], align_corners=False)
    after = F.grid_sample(normalise(images.float()), grid, align_corners=False)
    torch.testing.assert_close(faulty, after, atol=1e-5, rtol=0)
    torch.manual_seed(0)
    sound = normalise(augment(images, 0.5, 30, corner=0))
    assert sound[:, :, 0, 0].min() == -1 and after[:, :, 0, 0].abs().min() == 0


def test_augment_flips_and_keeps():
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(augment(images, 0, 0, 0), images.float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(augment(images, 1, 0, 0), images.flip(3).float(), atol=1e-3, rtol=0)
    # A bright column stays a rigid line under rotation: its mass is kept inside the image.
    line = torch.zeros(64, 1, 33, 33, dtype=torch.uint8)
    line[:, :, 8:25, 16] = 255
    turned = augment(line, 0, 10, 0)
    torch.testing.assert_close(turned.sum((1, 2, 3)), torch.full((64,), 255.0 * 17), rtol=0.03, atol=0)


def test_uint8_round_trip():
    grey = torch.arange(256).view(1, 1, 16, 16).to(torch.uint8)
    assert torch.equal(to_uint8(normalise(grey.float())), grey)


def test_samples_depend_on_the_seed_alone():
    gan = DCGAN(Config(z=8, ngf=4, ndf=4))
    first = gan.sample(5, seed=3)
    torch.rand(7)
    assert first.dtype == torch.uint8 and first.shape == (5, 1, 64, 64)
    assert torch.equal(first, gan.sample(5, seed=3)) and not torch.equal(first, gan.sample(5, seed=4))
    assert gan.G.training


def test_the_averaged_generator_samples_and_the_papers_form_has_none():
    images = torch.randint(0, 256, (8, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    gan = DCGAN(Config(batch_size=8, z=8, ngf=4, ndf=4, ema=0.75))
    expected = [p.detach().clone() for p in gan.G.parameters()]
    for _ in range(3):
        gan.step({"image": images})
        expected = [0.75 * mean + 0.25 * p.detach() for mean, p in zip(expected, gan.G.parameters())]
    for mean, p in zip(expected, gan.G_ema.parameters()):
        torch.testing.assert_close(mean, p)
    for kept, new in zip(gan.G_ema.buffers(), gan.G.buffers()):
        assert torch.equal(kept, new)
    before = gan.sample(4, 0)
    torch.nn.init.zeros_(gan.G.main[0].weight)
    assert torch.equal(before, gan.sample(4, 0)) and gan.G.training and not gan.G_ema.training
    other = DCGAN(gan.config)
    other.load_state_dict(gan.state_dict())
    assert torch.equal(before, other.sample(4, 0))
    assert DCGAN(Config(z=8, ngf=4, ndf=4)).G_ema is None


@pytest.mark.parametrize("values, message", [
    ({"lr": 1.0}, "Config.lr is 1.0; it must lie between 1e-05 and 0.01"),
    ({"size": 96}, "Config.size is 96; choose one of 64, 128, 256"),
])
def test_config_refuses_values_outside_their_range(values, message):
    with pytest.raises(ValueError, match=message):
        Config(**values)
