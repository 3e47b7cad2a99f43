"""StyleGAN2: sizes, schedules, regularisation, averages, resume."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from made import noise_set
from safetensors.torch import load_file
from torch import nn

from uslab import notebooks
from uslab.models.stylegan2 import Config, Discriminator, Generator, StyleGAN2, ema_beta, preset
from uslab.training import Run

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parent / "golden"
SCHEDULES = json.loads((GOLDEN / "sg2_schedules.json").read_text())
TINY = preset("auto", 32, batch_size=4, z=16, channel_max=16, ada_kimg=0.05, path_every=2, r1_every=3)


class Recorded(StyleGAN2):
    """Keeps the losses instead of descending."""

    def descend(self, name, loss):
        self.loss = loss


@pytest.mark.slow
@pytest.mark.parametrize("case", json.loads((GOLDEN / "sg2_param_counts.json").read_text()),
                         ids=lambda case: f"{case['cfg'][:4]}-{case['res']}-{case['ch']}")
def test_parameter_counts(case):
    base = 32768 if "fmaps1" in case["cfg"] else 16384
    config = Config(size=case["res"], channel_base=base, mapping_layers=8 if "map8" in case["cfg"] else 2)
    with torch.device("meta"):
        networks = {"G": Generator(config, case["ch"]), "D": Discriminator(config, case["ch"])}
        parts = networks | {"G_mapping": networks["G"].mapping, "G_synthesis": networks["G"].synthesis}
        assert {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()} == {
            name: case[name] for name in parts}
        assert networks["G"].synthesis.styles == case["num_ws"]


def test_parameter_counts_with_classes():
    """What a class label adds in the reference: an embedding of the style's width, a wider first layer of the mapping,
    and in D eight layers of the last width behind an embedding, with as many outputs in place of one logit."""
    classes, z, width = 3, 512, 512
    with torch.device("meta"):
        counts = [[sum(p.numel() for p in network(Config(classes=n)).parameters()) for n in (0, classes)]
                  for network in (Generator, Discriminator)]
    (plain_g, told_g), (plain_d, told_d) = counts
    assert told_g - plain_g == (classes * z + z) + z * z
    assert told_d - plain_d == (width - 1) * (width + 1) + (classes * width + width) + 8 * (width * width + width)


def test_projection_is_the_features_product_over_the_root_of_their_number():
    torch.manual_seed(0)
    D, images, labels = Discriminator(replace(TINY, classes=3)), torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 2, 0])
    features = D(images)                            # without labels the first feature alone
    logits, told = D(images, labels), D.mapping(labels)
    torch.testing.assert_close(told[0], told[3])
    D.out.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    outputs = []
    D(images, labels)
    torch.testing.assert_close(logits, (outputs[0] * told).sum(1) / outputs[0].shape[1] ** 0.5)
    torch.testing.assert_close(features, outputs[0][:, 0])


@pytest.mark.slow
def test_classes_are_learnt_and_drawn_as_often_as_seen():
    """Class 0 is dark and class 1 bright, one image in four is bright: told the class, G draws each as it is."""
    torch.manual_seed(0)
    gan = StyleGAN2(preset("auto", 32, batch_size=8, z=16, channel_max=16, augment="none", ema_kimg=0.0, classes=2))
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    batch = {"image": (30 + 190 * labels).to(torch.uint8).view(8, 1, 1, 1).expand(8, 1, 32, 32), "label": labels}
    for _ in range(160):
        gan.step(batch)
    dark, bright = (gan.sample(16, 0, condition).float().mean().item() for condition in (0, 1))
    assert bright > dark + 60
    drawn = gan.drawn(4000, 0)
    assert drawn.float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(gan.sample(4, 1, torch.tensor([0, 1, 0, 1]))[:1],
                       gan.sample(4, 1, torch.tensor([0, 0, 0, 0]))[:1])
    with pytest.raises(ValueError, match="from 0 to 1"):
        gan.sample(1, 0, condition=2)
    with pytest.raises(ValueError, match="no labels"):
        gan.step({"image": batch["image"]})


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_every_size_builds(size):
    config = Config(size=size)
    with torch.device("meta"):
        images = Generator(config)(torch.empty(4, 512))
        assert images.shape == (4, 1, size, size) and Discriminator(config)(images).shape == (4,)


@pytest.mark.parametrize("profile, parameters", [("class", None), ("paper", 30028436)])
def test_the_notebooks_profiles_build_at_full_size(profile, parameters):
    notebook, = notebooks.find(["02_stylegan2_breast"])
    values = notebooks.defaults(notebook) | notebooks.profile_values(notebook, profile)
    named = {field.name: values[field.name] for field in fields(Config) if field.name in values}
    config = preset(values["recipe"], **named)
    with torch.device("meta"):
        generator = Generator(config)
        assert Discriminator(config)(generator(torch.empty(4, config.z))).shape == (4,)
    if parameters:   # the reference's StyleGAN2 at 256 pixels and one channel
        assert sum(p.numel() for p in generator.parameters()) == parameters


def test_presets():
    paper, want = preset("paper256"), SCHEDULES["paper256"]
    assert (paper.gamma, paper.ema_kimg, paper.mbstd_group, paper.lr, paper.mapping_layers, paper.batch_size) == (
        want["r1_gamma"], want["ema_kimg"], want["mbstd"], want["lrate"], want["map"], want["batch"])
    assert (paper.style_mixing, paper.path_weight, paper.path_every, paper.r1_every, paper.ada_target,
            paper.ada_kimg) == (
        want["style_mixing"], want["pl_weight"], want["G_reg_interval"], want["D_reg_interval"], want["ada_target"],
        want["ada_kimg"])
    first = preset("stylegan2")
    assert (first.batch_size, first.channel_base, first.lr, first.gamma, first.ema_kimg, first.ema_rampup) == (
        32, 32768, 0.002, 10, 10, 0)
    auto = {size: preset("auto", size) for size in (64, 128, 256)}
    assert {size: (config.batch_size, round(config.gamma, 4)) for size, config in auto.items()} == {
        64: (32, 0.0256), 128: (32, 0.1024), 256: (16, 0.8192)}
    assert auto[256].ema_kimg == 5 and auto[256].mapping_layers == 2
    assert preset("auto", 64, batch_size=16, channel_max=64).gamma == pytest.approx(0.0512)
    with pytest.raises(ValueError, match="no preset 'best': choose stylegan2, paper256 or auto"):
        preset("best")
    with pytest.raises(ValueError, match="Config.batch_size is 6; it must be a multiple of mbstd_group, 4"):
        Config(batch_size=6)


@pytest.mark.parametrize("case", SCHEDULES["ema"],
                         ids=lambda case: f"{case['ema_kimg']}-{case['batch']}-{case['cur_nimg']}")
def test_the_average_moves_as_in_the_reference(case):
    config = Config(batch_size=case["batch"], ema_kimg=case["ema_kimg"], ema_rampup=case["ramp"] or 0.0)
    assert ema_beta(config, case["cur_nimg"]) == pytest.approx(case["beta"], rel=1e-12, abs=1e-12)


def test_lazy_regularisation_rescales_adam():
    for lr in (0.0025, 0.002):
        gan = StyleGAN2(replace(TINY, lr=lr, path_every=4, r1_every=16))
        for name, every in (("G", 4), ("D", 16)):
            want, = (case for case in SCHEDULES["lazy_reg_adam"] if (case["lr"], case["interval"]) == (lr, every))
            got = gan.optimisers[name].param_groups[0]
            assert got["lr"] == pytest.approx(want["lr_eff"], rel=1e-12) and got["eps"] == 1e-8
            assert got["betas"] == pytest.approx(want["betas_eff"], rel=1e-12)
    without = StyleGAN2(replace(TINY, path_weight=0.0, gamma=0.0))
    assert all(optimiser.defaults["lr"] == TINY.lr for optimiser in without.optimisers.values())


def test_r1_is_the_squared_gradient_on_the_reals():
    class Linear(nn.Module):
        """D(x) = the sum of x, weighted, whose gradient in x is the weights."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.linspace(0, 1, 32 * 32).view(1, 1, 32, 32))

        def forward(self, images, labels=None):
            return (self.weight * images).sum((1, 2, 3))

    gan = Recorded(replace(TINY, augment="none", gamma=3.0))
    gan.D = Linear()
    gan.regularise_d(torch.randn(4, 1, 32, 32))
    expected = 3.0 / 2 * gan.D.weight.square().sum() * TINY.r1_every
    torch.testing.assert_close(gan.loss, expected)
    gan.loss.backward()
    torch.testing.assert_close(gan.D.weight.grad, 3.0 * TINY.r1_every * gan.D.weight.data)
    # A mirrored image has a mirrored gradient: R1 goes through the augmentation, and loses nothing by an isometry.
    gan.config = replace(gan.config, augment="fixed", operations="bg")
    gan.ada.p = 0.0
    gan.regularise_d(torch.randn(4, 1, 32, 32))
    torch.testing.assert_close(gan.loss, expected)


def test_path_length_is_that_of_a_step_in_w():
    class Sum(nn.Module):
        """Every pixel is the sum of all styles, so a step along any w has the length of the noise's sum."""

        styles = 10

        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(2.0))

        def forward(self, styles):
            return self.factor * styles.sum((1, 2)).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)

    torch.manual_seed(0)
    gan = Recorded(replace(TINY, style_mixing=0.0))
    gan.G.synthesis = Sum()
    gan.regularise_g(8000)
    # The sum of 1024 normal numbers over 32 is normal: its mean size is sqrt(2 / pi), in each of 16 dimensions of w.
    length = 2 * 16**0.5 * (2 / torch.pi) ** 0.5
    assert gan.path_mean == pytest.approx(0.01 * length, rel=0.03)
    spread = 4 * 16 * (1 - 2 / torch.pi) + (0.99 * length) ** 2
    assert gan.loss.item() == pytest.approx(spread * TINY.path_weight * TINY.path_every, rel=0.05)


def test_real_regularisation_reaches_every_weight():
    """Both penalties are differentiated twice through the whole network and the augmentation."""
    torch.manual_seed(0)
    gan = Recorded(replace(TINY, augment="fixed", p=0.8, operations="bgc"))
    gan.regularise_d(torch.rand(4, 1, 32, 32) * 2 - 1)
    gan.loss.backward()
    weights = [module.weight for module in gan.D.modules() if hasattr(module, "gain")]
    assert all(weight.grad.abs().sum() > 0 for weight in weights) and len(weights) == 13
    gan.regularise_g(4)
    gan.loss.backward()
    weights = [p for name, p in gan.G.named_parameters() if name.endswith("weight")]
    assert all(weight.grad.abs().sum() > 0 for weight in weights)


def test_a_step_touches_only_its_own_network():
    torch.manual_seed(0)
    gan = StyleGAN2(replace(TINY, augment="diffaug"))
    copies = [{k: v.clone() for k, v in network.state_dict().items()} for network in (gan.G, gan.D)]
    gan.update_d(torch.rand(4, 1, 32, 32))
    assert all(torch.equal(v, copies[0][k]) for k, v in gan.G.state_dict().items())
    assert not torch.equal(gan.D.out.weight, copies[1]["out.weight"])
    before = {k: v.clone() for k, v in gan.D.state_dict().items()}
    gan.update_g(4)
    assert all(torch.equal(v, before[k]) for k, v in gan.D.state_dict().items())
    assert not torch.equal(gan.G.synthesis.constant, copies[0]["synthesis.constant"])


def test_truncation_noise_and_mixing():
    torch.manual_seed(0)
    gan = StyleGAN2(TINY)
    for layer in gan.G.synthesis.layers:
        nn.init.constant_(layer.strength, 0.5)
    gan.G.mapping.average.normal_()
    z = torch.randn(3, 16)
    with torch.no_grad():
        same = gan.G(z, truncation=0.0, fixed_noise=True)
        torch.testing.assert_close(same[0], same[1], rtol=1e-5, atol=1e-5)
        half = gan.G.styles(z, 0.5)[:, 0]
        torch.testing.assert_close(half, (gan.G.mapping(z) + gan.G.mapping.average) / 2)
        assert torch.equal(gan.G(z, fixed_noise=True), gan.G(z, fixed_noise=True))
        assert not torch.allclose(gan.G(z), gan.G(z), atol=1e-3)
        # A style changes its own layer and the finer ones; the last style is that of the last image layer alone.
        styles = gan.G.styles(z)
        other = styles.clone()
        other[:, -1] = styles.flip(0)[:, -1]
        assert not torch.allclose(gan.G.synthesis(styles, True)[0], gan.G.synthesis(other, True)[0])
        torch.testing.assert_close(gan.G.synthesis(styles, True)[1], gan.G.synthesis(other, True)[1])
        gan.config = replace(TINY, style_mixing=1.0)
        mixed = gan.mixed_styles(5, move_average=False)
        assert torch.equal(mixed[:, 0], mixed[:, 0]) and not torch.allclose(mixed[:, 0], mixed[:, -1])


@pytest.mark.slow
def test_resume_is_bit_exact(tmp_path):
    """Also within ADA's window of four batches, and with both lazy regularisations due in between."""
    data, logs = noise_set(10, 32), {}
    for name, parts in (("whole", [14]), ("parts", [6, 9, 14])):
        for steps in parts:
            run = Run(tmp_path / name, StyleGAN2, TINY, data, seed=3, log_every=1)
            for batch in run.batches(steps):
                run.log(run.gan.step(batch))
        logs[name] = [{k: v for k, v in record.items() if k not in ("seconds", "images_per_s")}
                      for record in run.records]
    assert logs["whole"] == logs["parts"] and len(logs["whole"]) == 14
    whole, parts = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    assert run.gan.ada.p > 0 and run.gan.path_mean > 0 and run.gan.steps == 14
    restored = Run(tmp_path / "parts", StyleGAN2, TINY, data, seed=3).gan
    assert (restored.ada.state_dict(), restored.steps) == (run.gan.ada.state_dict(), 14)
    assert torch.equal(restored.path_mean, run.gan.path_mean)
    assert torch.equal(restored.sample(3, 1), run.gan.sample(3, 1))


def test_samples_are_of_the_average_and_depend_on_the_seed_alone():
    torch.manual_seed(0)
    gan = StyleGAN2(TINY)
    state = torch.random.get_rng_state()
    first = gan.sample(5, seed=3)
    assert torch.equal(state, torch.random.get_rng_state()), "sampling leaves the training's random numbers alone"
    assert first.dtype == torch.uint8 and first.shape == (5, 1, 32, 32)
    assert torch.equal(first, gan.sample(5, seed=3)) and not torch.equal(first, gan.sample(5, seed=4))
    nn.init.zeros_(gan.G.synthesis.constant)
    assert torch.equal(first, gan.sample(5, seed=3))
    with pytest.raises(ValueError, match="told no classes"):
        gan.sample(1, 0, condition=2)


@pytest.mark.slow
def test_bfloat16_agrees_with_float32():
    losses = {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        gan = StyleGAN2(TINY, dtype=dtype)
        steps = [gan.step({"image": noise_set(4, 32).images}) for _ in range(3)]
        losses[dtype] = torch.tensor([float(step[key]) for step in steps for key in ("loss_g", "loss_d")])
        assert gan.sample(2, 0).dtype == torch.uint8
    torch.testing.assert_close(losses[torch.bfloat16], losses[torch.float32], rtol=0.06, atol=0)


@pytest.mark.slow
def test_it_learns_a_grey_level():
    """All training images are one dark grey: soon the samples are as dark on average, and flatter than at the start."""
    torch.manual_seed(0)
    gan = StyleGAN2(preset("auto", 32, batch_size=8, z=16, channel_max=16, augment="none", ema_kimg=0.0))
    batch, before = {"image": torch.full((8, 1, 32, 32), 40, dtype=torch.uint8)}, gan.sample(16, 0).float()
    for _ in range(60):
        values = gan.step(batch)
    after = gan.sample(16, 0).float()
    assert before.mean() > 115 and after.mean() == pytest.approx(40, abs=25) and after.std() < 0.75 * before.std()
    assert all(math.isfinite(value) for value in values.values())
