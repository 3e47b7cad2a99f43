"""Stacked GAN: DCGAN's counts, spectral norm against the SVD, attention, the frozen stage I, resume."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from made import noise_set

from uslab import notebooks
from uslab.models import dcgan
from uslab.models.attention import SelfAttention, attention_map
from uslab.models.gan import GAN
from uslab.models.layers import to_uint8
from uslab.models.stackgan import Config, Discriminator, Generator, Refiner, StackGAN, normalise_spectrum
from uslab.models.stylegan2 import StyleGAN2, preset
from uslab.training import Run

pytestmark = pytest.mark.numeric

COUNTS = json.loads((Path(__file__).parent / "golden" / "dcgan_counts.json").read_text())
SMALL = Config(size=128, size1=64, batch_size=4, z=8, ngf=4, ndf=4, width2=4, spectral=True, attention=16)


def train(run: Run, steps: int) -> Run:
    for batch in run.batches(steps):
        run.log(run.gan.step(batch))
    return run


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A stage I, trained for three steps; its weights are far from special, its BatchNorm has seen data."""
    return train(Run(tmp_path_factory.mktemp("stage1"), StackGAN, SMALL, noise_set(10, 128), device="cpu"), 3)


def second_config(first) -> Config:
    return replace(SMALL, stage=2, stage1=str(first.folder))


def count(network) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.slow
@pytest.mark.parametrize("attention", [0, 32])
@pytest.mark.parametrize("case, config", [
    ("pytorch/examples DCGAN64 nz100 ngf64 nc1", Config(size1=64)),
    ("miua2022 dcgan128 nz=ngf=ndf=64", Config(size1=128, z=64)),
    ("miua2022 dcgan256 nz=ngf=ndf=16", Config(z=16, ngf=16, ndf=16)),
])
def test_stage_one_is_dcgan_and_attention_adds_its_own(case, config, attention):
    config = replace(config, attention=attention)
    with torch.device("meta"):
        networks = {"G": Generator(config), "D": Discriminator(config)}
        images = networks["G"](torch.empty(2, config.z, 1, 1))
        assert images.shape == (2, 1, config.size1, config.size1) and networks["D"](images).shape == (2,)
    for name, network in networks.items():
        channels = (config.ngf if name == "G" else config.ndf) * config.size1 // 64   # on the 32x32 grid
        # Four 1x1 convolutions between C and C / 8 channels, and gamma.
        assert count(network) == COUNTS[case][name] + (4 * channels * (channels // 8) + 1 if attention else 0)


def test_spectral_norm_adds_no_parameter():
    network = Generator(SMALL)
    before = count(network)
    normalise_spectrum(network)
    assert count(network) == before


@pytest.mark.parametrize("size, size1", [(64, 64), (128, 64), (128, 128), (256, 64), (256, 128), (256, 256)])
def test_stage_two_counts_and_shapes(size, size1):
    config = Config(stage=2, stage1="there", size=size, size1=size1, z=24, width2=8)
    with torch.device("meta"):
        network = Refiner(config)
        maps = network.encode(torch.empty(2, 1, size1, size1))
        images = network.decode(*maps, torch.empty(2, 24, 1, 1))
    assert images.shape == (2, 1, size, size)
    assert [m.shape[-1] for m in maps[1]] == [8 << i for i in range((size1 // 8).bit_length())]
    # By hand: at each side s the width is w(s) = 8 * size / 2 s. Encoder 3x3 from the next larger side, BatchNorm 2 w.
    w, expected = {s: 4 * size // s for s in (4, 8, 16, 32, 64, 128, 256)}, 0
    for s in (8, 16, 32, 64, 128, 256):
        if s <= size1:
            expected += 9 * (1 if s == size1 else w[2 * s]) * w[s] + 2 * w[s]
        if s < size:
            inputs = w[8] + 24 if s == 8 else w[s // 2] * (2 if s // 2 <= size1 else 1)
            expected += 16 * inputs * w[s] + 2 * w[s]
    expected += 16 * w[size // 2] * (2 if size // 2 <= size1 else 1)
    assert count(network) == expected
    assert count(Refiner(replace(config, skips=False))) < expected


def test_spectral_norm_is_near_the_largest_singular_value(first):
    """The normalised weight's largest singular value, by SVD, is 1 after power iterations, and was not before."""
    network = first.gan.D
    network.train()
    with torch.no_grad():
        for _ in range(60):
            network(torch.randn(2, 1, 64, 64))
    checked = 0
    for module in network.modules():
        if hasattr(module, "parametrizations"):
            matrix = module.parametrizations.weight.original.detach().flatten(1)
            largest = torch.linalg.svdvals(matrix)[0]
            ours = matrix / module.weight.detach().flatten(1)   # what it divided by, the same for every weight
            torch.testing.assert_close(ours, largest.expand_as(ours), rtol=2e-3, atol=0)
            assert abs(largest - 1) > 0.05
            checked += 1
    assert checked == 9   # five convolutions and the attention's four


def test_spectral_norm_of_transposed_convolutions_takes_output_channels_as_rows():
    layer = torch.nn.ConvTranspose2d(6, 3, 4, bias=False)
    matrix = layer.weight.detach().transpose(0, 1).flatten(1)
    normalise_spectrum(layer)
    for _ in range(50):
        _ = layer.weight   # each look in training mode makes one iteration
    layer.eval()
    torch.testing.assert_close(matrix / layer.weight.detach().transpose(0, 1).flatten(1),
                               torch.linalg.svdvals(matrix)[0].expand_as(matrix), rtol=1e-4, atol=0)


def test_the_norm_before_batchnorm_changes_nothing_but_the_epsilon():
    """BatchNorm divides the scale out again: the notebook's point on SN in a network with BatchNorm."""
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, bias=False), torch.nn.BatchNorm2d(8, eps=1e-12))
    x = torch.randn(4, 3, 16, 16)
    before = plain(x)
    plain[0].weight.data *= 7
    torch.testing.assert_close(plain(x), before, rtol=1e-4, atol=1e-5)


@pytest.fixture
def attention():
    torch.manual_seed(0)
    module = SelfAttention(32)
    with torch.no_grad():
        module.gamma.fill_(0.7)
    return module


def test_attention_begins_as_the_identity_and_learns_gamma():
    module, x = SelfAttention(16), torch.randn(2, 16, 8, 8)
    assert torch.equal(module(x), x)
    module(x).square().sum().backward()
    assert module.gamma.grad != 0


def test_attention_is_the_papers_equations(attention):
    """SAGAN, equations 1 to 3, written out: s = f(x)' g(x), softmax over i, o = v(sum beta h(x)), y = gamma o + x."""
    x = torch.randn(2, 32, 6, 5)
    f, g, h = (layer(x).flatten(2) for layer in (attention.key, attention.query, attention.value))
    beta = torch.einsum("bci,bcj->bji", f, g).softmax(-1)
    o = torch.einsum("bji,bci->bcj", beta, h).view(2, 4, 6, 5)
    torch.testing.assert_close(attention(x), attention.gamma * attention.out(o) + x)
    for row, column in ((0, 0), (3, 4)):
        torch.testing.assert_close(attention.map(x, row, column), beta[:, row * 5 + column].view(2, 6, 5))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_attention_never_holds_its_map(attention, layout):
    kept = []
    x = torch.randn(2, 32, 24, 24, requires_grad=True).to(memory_format=layout)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        attention.to(memory_format=layout)(x)
    assert max(kept) <= x.numel() < (24 * 24) ** 2


def test_attention_is_equivariant_to_a_permutation_of_the_pixels(attention):
    x, order = torch.randn(1, 32, 4, 4), torch.randperm(16)
    permuted = x.flatten(2)[:, :, order].view_as(x)
    torch.testing.assert_close(attention(permuted), attention(x).flatten(2)[:, :, order].view_as(x))


def test_attention_maps_of_a_network(first):
    network = first.gan.G.eval()
    maps = attention_map(network, torch.randn(3, SMALL.z, 1, 1), 5, 11)
    network.train()
    assert maps.shape == (3, 16, 16)
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(3))
    assert attention_map(first.gan.D, torch.randn(2, 1, 64, 64), 0, 0).shape == (2, 16, 16)
    with pytest.raises(ValueError, match="no self-attention"):
        attention_map(Generator(Config(size1=64)), torch.randn(1, 100, 1, 1), 0, 0)


def test_stage_one_trains_on_images_reduced_by_their_mean(first, monkeypatch):
    seen = []
    monkeypatch.setattr(first.gan, "update", lambda real, z: seen.append(real))
    images = noise_set(2, 128).images
    first.gan.step({"image": images})
    blocks = images.float().view(2, 1, 64, 2, 64, 2).mean((3, 5))
    torch.testing.assert_close(seen[0], blocks / 127.5 - 1)
    with pytest.raises(ValueError, match="64x64 px, but StackGAN with Config.size 128 takes them 128x128"):
        first.gan.step({"image": images[:, :, :64, :64]})


def test_frozen_stage_one_is_bit_identical_after_stage_two(first, tmp_path):
    before = {name: value.clone() for name, value in first.gan.G.state_dict().items()}
    config = second_config(first)
    run = Run(tmp_path, StackGAN, config, noise_set(10, 128), device="cpu")
    refiner = {name: value.clone() for name, value in run.gan.G.second.state_dict().items()}
    train(run, 3)
    run.gan.sample(2, seed=0)
    train(run, 5)    # sampling puts networks into eval and training mode, which must not touch stage I's
    after = run.gan.G.first.state_dict()
    assert any("running_var" in name for name in after) and any("_u" in name for name in after)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not any(torch.equal(refiner[name], value) for name, value in run.gan.G.second.state_dict().items())


@pytest.mark.slow
def test_stylegan2_is_a_stage_one_too(tmp_path):
    style = preset("auto", 64, batch_size=4, z=8, channel_base=256, channel_max=8, path_weight=0.0)
    first = train(Run(tmp_path / "one", StyleGAN2, style, noise_set(10), device="cpu"), 2)
    config = Config(stage=2, stage1=str(first.folder), size=128, size1=64, batch_size=4, z=8, width2=4)
    run = train(Run(tmp_path / "two", StackGAN, config, noise_set(10, 128), device="cpu"), 2)
    own, frozen = first.gan.G_ema.state_dict(), run.gan.G.first.state_dict()
    assert own.keys() == frozen.keys() and all(torch.equal(own[name], frozen[name]) for name in own)
    z = torch.randn(3, 8, 1, 1)
    with torch.inference_mode():
        images = run.gan.G.first(z)
        assert torch.equal(images, first.gan.G_ema(z[:, :, 0, 0], fixed_noise=True).clamp(-1, 1))
        assert torch.equal(images, run.gan.G.first(z)), "one latent is one image: the noise is fixed"
    told = first.folder / "config.json"
    told.write_text(told.read_text().replace('"classes": 0', '"classes": 2'))
    with pytest.raises(ValueError, match="is told classes"):
        StackGAN(config)
    with pytest.raises(ValueError, match="StyleGAN2 of size 64 and z 8; size1 is 64 and z 16"):
        StackGAN(replace(config, z=16))


def test_stage_two_keeps_to_what_stage_one_drew_as_strongly_as_it_is_told(first, monkeypatch):
    """The weight times the distance of the reduced images, in stage 2 alone and for G alone."""
    told, plain = StackGAN(replace(second_config(first), weight_l1=20.0), "cpu"), StackGAN(second_config(first), "cpu")
    told.step({"image": noise_set(4, 128).images})
    assert told.G.drawn.shape == (4, 1, 64, 64) and told.G.made.shape == (4, 1, 128, 128)
    torch.manual_seed(0)
    told.G.made = torch.rand(2, 1, 128, 128) * 2 - 1
    told.G.drawn = F.avg_pool2d(told.G.made, 2) + 0.25
    losses = []
    monkeypatch.setattr(GAN, "descend", lambda self, name, loss: losses.append(float(loss)))
    for gan, name in ((told, "G"), (told, "D"), (plain, "G"), (first.gan, "G")):
        gan.descend(name, torch.tensor(1.0))
    assert losses == pytest.approx([1 + 20 * 0.25, 1, 1, 1], rel=1e-5)


def test_both_stages_draw_the_same_latents(first):
    gan = StackGAN(second_config(first), "cpu", first.gan.dtype)
    z = torch.randn(3, SMALL.z, 1, 1, generator=torch.Generator().manual_seed(5))
    gan.G.eval()
    with torch.inference_mode(), gan.autocast():
        images = gan.G.first(z)
        expected = to_uint8(gan.G.second(images, z))
    assert torch.equal(first.gan.sample(3, seed=5), to_uint8(images))
    assert torch.equal(gan.sample(3, seed=5), expected) and expected.shape == (3, 1, 128, 128)


def test_skips_and_latent_both_reach_the_image(first):
    torch.manual_seed(0)
    a, b, z = torch.randn(1, 1, 64, 64), torch.randn(1, 1, 64, 64), torch.randn(1, 8, 1, 1)
    for skips in (True, False):
        network = Refiner(replace(second_config(first), skips=skips)).eval()
        with torch.inference_mode():
            (bottleneck, maps), (other, other_maps) = network.encode(a), network.encode(b)
            image = network.decode(bottleneck, maps, z)
            assert not torch.equal(image, network.decode(other, maps, z))
            assert not torch.equal(image, network.decode(bottleneck, maps, -z))
            assert torch.equal(image, network.decode(bottleneck, other_maps, z)) is not skips


@pytest.mark.parametrize("stage", [1, 2])
def test_resume_is_bit_identical(first, tmp_path, stage):
    config = SMALL if stage == 1 else second_config(first)
    whole = train(Run(tmp_path / "whole", StackGAN, config, noise_set(10, 128), device="cpu"), 5)
    train(Run(tmp_path / "parts", StackGAN, config, noise_set(10, 128), device="cpu"), 2)
    parts = train(Run(tmp_path / "parts", StackGAN, config, noise_set(10, 128), device="cpu"), 5)
    for name in ("G", "D"):
        states = [getattr(run.gan, name).state_dict() for run in (whole, parts)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert torch.equal(whole.gan.sample(2, seed=1), parts.gan.sample(2, seed=1))


def test_stage_two_refuses_a_stage_one_that_is_missing_changed_or_other(first, tmp_path):
    with pytest.raises(FileNotFoundError, match="train stage 1 first"):
        StackGAN(replace(SMALL, stage=2, stage1=str(tmp_path)))
    with pytest.raises(ValueError, match="does not hold stage I of this config"):
        StackGAN(replace(second_config(first), ngf=8))
    with pytest.raises(ValueError, match="does not hold stage I of this config"):
        StackGAN(replace(second_config(first), spectral=False))
    gan = StackGAN(second_config(first))
    state = gan.state_dict()
    state["G"] = {name: value + 1 if name.endswith("running_mean") else value for name, value in state["G"].items()}
    with pytest.raises(ValueError, match="is not the one that this stage II was trained on"):
        gan.load_state_dict(state)


@pytest.mark.parametrize("values, message", [
    ({"size": 64, "size1": 128}, "size1 is 128; it must not exceed size, 64"),
    ({"size": 64, "size1": 64, "attention": 64}, "attention is 64; it must lie below size1, 64"),
    ({"stage": 2}, "stage1 is empty; stage 2 needs the folder of the run"),
    ({"attention": 24}, "attention is 24; choose one of 0, 8, 16, 32, 64"),
])
def test_config_refuses_what_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        Config(**values)


@pytest.mark.parametrize("profile", ["class", "paper"])
def test_the_notebooks_profiles_build_at_full_size(profile):
    notebook, = notebooks.find(["04_stackgan_liver"])
    values = notebooks.defaults(notebook) | notebooks.profile_values(notebook, profile)
    named = {field.name: values[field.name] for field in fields(Config) if field.name in values}
    missing = {field.name for field in fields(Config)} - set(named)
    beside = {"stage", "stage1", "spectral", "skips", "beta1", "beta2", "ndf2", "weight_l1"}
    assert missing == beside, "all others are parameters"
    first = Config(**named, spectral=True)
    second = replace(first, stage=2, stage1="there")
    with torch.device("meta"):
        z = torch.empty(3, first.z, 1, 1)
        images = Generator(first)(z)
        assert Discriminator(first)(images).shape == (3,)
        assert dcgan.Discriminator(second.dcgan)(Refiner(second)(images, z)).shape == (3,)
