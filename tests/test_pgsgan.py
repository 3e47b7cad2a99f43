"""The sketch-guided progressive growing GAN: its counts, its seamless growth, its phases, and its condition."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from uslab import notebooks, phantom
from uslab.data import ImageSet
from uslab.models import sketches
from uslab.models.layers import InstanceNorm, normalise
from uslab.models.pgsgan import PGSGAN, Config, Discriminator, FadeDown, FadeUp, Generator, enlarge
from uslab.models.unet import UNet
from uslab.training import Run

pytestmark = pytest.mark.numeric

GOLDEN = json.loads((Path(__file__).parent / "golden" / "cyclegan_pix2pix_counts.json").read_text())
TINY = Config(size=32, ngf=4, ndf=4, blocks=1, batch_size=2, first=3, fade=1, weight_l1=10.0)


def labels(n, side, seed=0):
    """Label images with an ovary, a follicle in it, and a sparse sketch around."""
    rng = np.random.default_rng(seed)
    masks = torch.zeros(n, 1, side, side, dtype=torch.uint8)
    for mask in masks[:, 0]:
        y, x = rng.integers(side // 8, side // 2, 2)
        mask[y:y + side // 3, x:x + side // 3] = 1
        mask[y + 2:y + side // 6, x + 2:x + side // 6] = 2
    return sketches.compose(masks, torch.from_numpy(rng.random((n, 1, side, side)) < 0.06))


def image_set(n=6, side=64):
    masks = labels(n, side // 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    grey = torch.tensor([60, 120, 10, 220], dtype=torch.uint8)[masks.long()]
    return ImageSet(images=grey, card="made", source="phantom", masks=masks, mask_names=sketches.PALETTE,
                    table=pd.DataFrame({"file": [f"{i}.png" for i in range(n)]}))


def batch(gan, seed=0):
    masks = labels(gan.config.batch_size, gan.config.full, seed)
    noise = torch.randint(0, 40, masks.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return {"image": masks * 60 + noise, "mask": masks}


def trained(config, steps):
    torch.manual_seed(0)
    gan = PGSGAN(config)
    for step in range(steps):
        gan.step(batch(gan, step))
    return gan


# --- The networks

def test_parameter_counts():
    with torch.device("meta"):
        generator = Generator(Config(grow=False), 1)
        discriminator = Discriminator(Config(grow=False), 2)
    known = {name: count for name, count in GOLDEN["params"].items() if "in1 out1" in name or "pix2pix in2" in name}
    reference = "G resnet n_blocks=10 instance in1 out1 (PGSGAN-like, ResnetGenerator(n_blocks=10))"
    assert sum(p.numel() for p in generator.parameters()) == known[reference]
    assert sum(p.numel() for p in discriminator.parameters()) == known["D basic(3) instance pix2pix in2"]


@pytest.mark.parametrize(("size", "dropouts"), [(128, 2), (256, 3)])
def test_pix2pix_has_its_own_u_net(size, dropouts):
    with torch.device("meta"):
        network = UNet(1, 64, size)
        assert network(torch.empty(1, 1, size, size)).shape == (1, 1, size, size)
        assert UNet(2, 64, 512)(torch.empty(1, 2, 512, 512)).shape == (1, 1, 512, 512)
    known = GOLDEN["params"][f"G unet_{size} instance in1 out1 ngf64"]
    assert sum(p.numel() for p in network.parameters()) == known
    assert sum(isinstance(part, torch.nn.Dropout) for part in network.modules()) == dropouts


def test_a_u_net_trains_without_growing_and_samples_without_dropout():
    config = replace(TINY, network="unet", grow=False, sketch=False, size=64)
    gan = trained(config, 2)
    images = gan.sample(4, 0, labels(4, 64))
    assert images.shape == (4, 1, 64, 64) and torch.equal(images, gan.sample(4, 1, labels(4, 64)))
    assert torch.equal(images[:1], gan.sample(1, 0, labels(4, 64)[:1])), "an image depends on its own label alone"
    assert gan.G.training
    with pytest.raises(ValueError, match="Config.network is 'unet', which has no layers to grow by"):
        replace(config, grow=True)


@pytest.mark.slow
@pytest.mark.parametrize("size, grow, patches", [(256, False, 30), (512, False, 62), (256, True, 30), (64, True, 6)])
def test_patches(size, grow, patches):
    """30x30 at 256; an ungrown discriminator has 62x62 at 512, a grown one keeps its 30x30."""
    config = Config(size=size, grow=grow, ngf=4, ndf=4, blocks=1)
    with torch.device("meta"):
        discriminator = Discriminator(config, 4)
        pair, large = torch.empty(1, 4, size, size), torch.empty(1, 4, 2 * size, 2 * size)
        logits = discriminator(pair, large, 0.3) if grow else discriminator(pair)
    assert logits.shape == (1, 1, patches, patches)


def test_a_logit_sees_70_pixels():
    discriminator = Discriminator(Config(size=128, grow=False, ndf=4), 4)
    for module in discriminator.main:       # its normalisation sees the whole image; the patch is the convolutions'
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x
    image = torch.randn(1, 4, 128, 128, requires_grad=True)
    discriminator(image)[0, 0, 7, 7].backward()
    rows = image.grad[0].abs().sum((0, 2)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == GOLDEN["shapes"]["PatchGAN n_layers=3 receptive field (analytic)"] == 70


def test_reference_numbers():
    config = Config()
    assert (config.batch_size, config.lr_g, config.lr_d, config.blocks, config.top) == (4, 1e-3, 1e-4, 10, 0.5)
    gan = PGSGAN(replace(config, size=64, ngf=32, ndf=32))
    weights = torch.cat([p.detach().flatten() for p in gan.G.parameters() if p.ndim == 4])
    assert weights.std() == pytest.approx(0.02, rel=0.01)
    assert [optimiser.defaults["lr"] for optimiser in gan.optimisers.values()] == [1e-3, 1e-4]
    assert all(optimiser.defaults["betas"] == (0.5, 0.999) for optimiser in gan.optimisers.values())


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-5), (torch.bfloat16, 0.04)])
def test_sampling_normalises_as_training_does(dtype, error):
    x = (3 + 5 * torch.randn(2, 4, 16, 16)).to(dtype).contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.instance_norm(x.float())
    with torch.no_grad():
        sampled = InstanceNorm(4)(x)
    assert (sampled - expected).abs().max() < error and (InstanceNorm(4)(x) - expected).abs().max() < error


# --- Growing

def test_phases_and_alphas():
    config = Config(size=256, first=1000, fade=10)
    assert config.starts == (1000, 1300, 1450)     # 30 intervals for D, 15 to 0.5 for G
    assert [config.phase(step) for step in (0, 999, 1000, 1299, 1300, 1449, 1450, 10**6)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert config.alphas(999) == (None, None)
    assert config.alphas(1000) == (None, 0.0) and config.alphas(1009) == (None, 0.0)
    assert config.alphas(1010) == (None, pytest.approx(1 / 30))
    assert config.alphas(1299) == (None, pytest.approx(29 / 30)) and config.alphas(1300) == (0.0, 1.0)
    assert config.alphas(1449)[0] == pytest.approx(14 / 30)
    assert config.alphas(1450) == config.alphas(10**6) == (0.5, 1.0)
    steps = np.diff([config.alphas(step)[0] for step in range(1300, 1500)])
    assert steps[steps > 0] == pytest.approx(np.full(15, 1 / 30))
    assert replace(config, grow=False).alphas(10**6) == (None, None)
    assert replace(config, top=1.0).alphas(10**6) == (1.0, 1.0)


def test_the_grown_networks_begin_as_the_old_ones_exactly():
    gan = trained(TINY, 3)
    condition = labels(3, 64, 9)
    x, large = gan.views(condition)
    real = torch.rand(3, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        old, grown = gan.G(x), gan.G(x, large, 0.0)
        assert torch.equal(grown, torch.nn.functional.interpolate(old, scale_factor=2, mode="bilinear"))
        for images in (old, real):
            assert torch.equal(gan.judge(images, x, large, None), gan.judge(images, x, large, 0.0))
        # D takes the image of the grown G, all of it, exactly as it took the enlarged one before.
        assert torch.equal(gan.judge(grown, x, large, 1.0), gan.judge(old, x, large, 1.0))
        assert not torch.equal(gan.G(x, large, 0.1), grown)


@pytest.mark.parametrize("before, after", [((None, None), (None, 0.0)), ((None, 1.0), (0.0, 1.0))])
def test_the_losses_do_not_jump(before, after):
    """The adversarial losses are those of the ungrown networks to the bit, when D grows and when G does."""
    real, masks = normalise(batch(trained(TINY, 1))["image"].float()), labels(2, 64)
    losses = [trained(TINY, 5).update(masks, real, *alphas) for alphas in (before, after)]
    for name in ("loss_d", "loss_g", "d_real", "d_fake"):
        assert torch.equal(losses[0][name], losses[1][name]), name


def test_fade_in_blocks():
    torch.manual_seed(0)
    x, resized = torch.randn(2, 4, 16, 16), torch.randn(2, 4, 8, 8)
    down, up = FadeDown(4, 8), FadeUp(4, 8)
    assert torch.equal(down(x, resized, 1.0), down.main(x)) and torch.equal(down(x, resized, 0.0), resized)
    torch.testing.assert_close(down(x, resized, 0.3), 0.3 * down.main(x) + 0.7 * resized)
    old = torch.randn(2, 1, 8, 8)
    assert up(resized, old, 0.5).shape == (2, 1, 16, 16)
    assert torch.equal(up(resized, old, 0.0), enlarge(old))
    assert torch.equal(up(resized, old, 1.0), up.main(enlarge(resized)))


@pytest.mark.slow
def test_layers_rest_until_their_phase():
    """In phase 1 only the old layers learn, in phase 2 D's new ones too, from phase 3 on all."""
    fresh = trained(TINY, 0)
    start = {f"{net}.{key}": value.clone() for net in "GD" for key, value in getattr(fresh, net).state_dict().items()}

    def moved(steps):
        gan = trained(TINY, steps)
        now = {f"{net}.{key}": value for net in "GD" for key, value in getattr(gan, net).state_dict().items()}
        new = [key for key in now if ".down." in key or ".up." in key]
        return {key.split(".main")[0] for key in new if not torch.equal(now[key], start[key])}

    assert moved(3) == set()
    assert moved(6) == {"D.down"}           # with alpha 0, the first step of a phase has no gradient yet
    assert moved(3 + 30 + 3) == {"D.down", "G.down", "G.up"}


@pytest.mark.slow
def test_a_run_interrupted_in_every_phase_ends_the_same(tmp_path):
    data, total = image_set(), 3 + 30 + 15 + 4

    def run(folder, stops):
        for stop in stops:
            run = Run(tmp_path / folder, PGSGAN, TINY, data, seed=1, device="cpu", log_every=1)
            for step in run.batches(stop):
                run.log(run.gan.step(step))
        return run

    whole, parts = run("whole", [total]), run("parts", [2, 11, 33, 40, 50, total])
    assert [TINY.phase(stop) for stop in (2, 11, 33, 40, 50)] == [1, 2, 3, 3, 4]
    a, b = whole.gan.state_dict(), parts.gan.state_dict()
    for network in ("G", "D"):
        assert all(torch.equal(a[network][key], b[network][key]) for key in a[network])
    assert torch.equal(a["conditions"], b["conditions"]) and a["steps"] == b["steps"] == total
    losses = [[(line["step"], line["loss_d"], line["loss_l1"]) for line in run.records] for run in (whole, parts)]
    assert losses[0] == losses[1]


# --- The training

def test_l1_reductions():
    """Equation 2 is a sum: 1/pixels of its weight on the mean is the same training."""
    real, masks = torch.rand(2, 1, 64, 64) * 2 - 1, labels(2, 64)
    mean = trained(TINY, 0).update(masks, real, None, None)["loss_l1"]
    summed = trained(replace(TINY, reduction="sum"), 0).update(masks, real, None, None)["loss_l1"]
    assert summed == pytest.approx(float(mean) * 32 * 32, rel=1e-5)     # at 32 pixels, before it grows


@pytest.mark.slow
def test_it_learns_what_each_label_looks_like():
    data = image_set(8, 32)
    torch.manual_seed(0)
    gan = PGSGAN(replace(TINY, grow=False, ngf=8, batch_size=8, weight_l1=100.0))

    def means():
        painted = gan.sample(8, 0, data.masks).float()
        return [float(painted[data.masks == value].mean()) for value in (0, 1)]

    background, ovary = means()
    assert abs(ovary - background) < 10
    for _ in range(50):
        gan.step({"image": data.images, "mask": data.masks})
    background, ovary = means()
    assert background == pytest.approx(60, abs=20) and ovary == pytest.approx(120, abs=20)


def test_the_mask_only_model_cannot_see_the_sketch():
    condition = labels(2, 32)
    for sketch in (True, False):
        gan = trained(replace(TINY, grow=False, sketch=sketch), 3)
        same = torch.equal(gan.sample(2, 0, condition), gan.sample(2, 0, sketches.without_sketch(condition)))
        assert same != sketch


@pytest.mark.slow
def test_samples():
    gan = trained(TINY, 3)
    assert gan.sample(5, 0).shape == (5, 1, 32, 32)        # not grown yet
    assert torch.equal(gan.sample(5, 0), gan.sample(5, 0)) and not torch.equal(gan.sample(5, 0), gan.sample(5, 1))
    assert torch.equal(gan.sample(2, 0, gan.conditions[:2]), gan.sample(2, 7, gan.conditions[:2]))
    grown = trained(TINY, 3 + 30 + 1)
    assert grown.sample(3, 0).shape == (3, 1, 64, 64) and grown.sample(3, 0).dtype == torch.uint8


@pytest.mark.parametrize("call, message", [
    (lambda gan: gan.sample(2, 0), "nothing has been trained on yet"),
    (lambda gan: gan.sample(2, 0, labels(2, 32)), r"condition must be uint8 \(2, 1, 64, 64\)"),
    (lambda gan: gan.sample(1, 0, labels(1, 64) + 3), "condition holds [4-6], but label images go from 0 to 3"),
    (lambda gan: gan.step({"image": labels(2, 64)}), "the images have no label images: train on sketches.conditioned"),
    (lambda gan: gan.step({"image": labels(2, 32), "mask": labels(2, 32)}),
     "the images are 32x32 px, but .* takes them 64x64 px"),
])
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(PGSGAN(TINY))


# --- The condition

def test_the_sketch_stays_outside_the_object():
    image = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    image[:, :, 10:30, 10:30], image[:, :, 40:60, 40:60] = 200, 200
    mask = torch.zeros_like(image)
    mask[:, :, 5:35, 5:35] = 1
    data = ImageSet(images=image, masks=mask, mask_names=("background", "ovary", "follicle"), card="made",
                    source="phantom", table=pd.DataFrame({"file": ["a"]}))
    result = sketches.conditioned(data)
    assert result.mask_names == ("background", "ovary", "follicle", "sketch")
    assert torch.equal((result.masks == 1), mask == 1)                      # the object is untouched
    edge = result.masks[0, 0] == 3
    assert not edge[5:35, 5:35].any()
    rows, columns = edge.nonzero().T
    assert rows.min() >= 38 and rows.max() <= 61 and columns.min() >= 38    # only the second square's outline
    assert not edge[43:57, 43:57].any()
    assert sketches.canny(image, low=2000, high=3000).sum() == 0            # higher than any gradient here


def test_names_of_derived_masks_are_kept():
    data = image_set(2)
    data = replace(data, masks=torch.full_like(data.masks, 3),
                   mask_names=("background", "lesion", "ovary", "follicle (derived)"))
    result = sketches.conditioned(data)
    assert result.mask_names == ("background", "ovary", "follicle (derived)", "sketch") and (result.masks == 2).all()
    with pytest.raises(ValueError, match="the condition needs one of follicle"):
        sketches.conditioned(replace(data, masks=data.masks * 0, mask_names=("background", "ovary")))
    with pytest.raises(ValueError, match="low <= high"):
        sketches.conditioned(data, low=100, high=40)


def test_shrinking_keeps_thin_edges_and_the_object():
    masks = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    masks[0, 0, 3] = 3                       # an edge of one pixel in an odd row, which nearest neighbour would drop
    masks[0, 0, 4:, 4:] = 1
    masks[0, 0, 6:, 6:] = 2
    assert sketches.shrink(masks)[0, 0].tolist() == [[0, 0, 0, 0], [3, 3, 3, 3], [0, 0, 1, 1], [0, 0, 1, 2]]


@pytest.mark.slow
def test_the_papers_sketch_at_512_is_no_emptier_than_that_of_a_class():
    """Gradients per pixel fall as images are enlarged, so a sketch with the same thresholds would nearly vanish."""
    notebook, = notebooks.find(["05_pgsgan_ovary"])
    drawn = {}
    for profile in ("class", "paper"):
        values = notebooks.defaults(notebook) | notebooks.profile_values(notebook, profile)
        side = 2 * values["size"]
        images = phantom.load("ovary", 3, side).images
        edges = sketches.canny(images, *(values[name] for name in ("low", "high", "blur")))
        drawn[profile] = float(torch.nn.functional.max_pool2d(edges.float(), side // 128).mean())
        assert values["blur"] == side / 64
    assert 0.5 < drawn["paper"] / drawn["class"] < 2


def test_one_channel_a_label():
    channels = sketches.one_hot(torch.tensor([[[[0, 1], [2, 3]]]], dtype=torch.uint8), sketch=True)
    assert channels[0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 1]]]
    assert sketches.one_hot(labels(2, 32), sketch=False).shape == (2, 2, 32, 32)


def test_controls():
    own, other = labels(4, 64), labels(4, 64, 5)
    bare = sketches.without_sketch(own)
    assert bare.max() == 2
    swapped = sketches.with_sketch_of(own, other)
    assert torch.equal(sketches.without_sketch(swapped), bare)
    assert torch.equal(swapped == 3, (other == 3) & (bare == 0))
    edges = own * (own == 3)
    mixed = sketches.shuffled(edges, tile=8, seed=0)        # without objects no edge is covered
    assert torch.equal((mixed == 3).sum((1, 2, 3)), (edges == 3).sum((1, 2, 3))) and not torch.equal(mixed, edges)
    assert torch.equal(sketches.without_sketch(sketches.shuffled(own, 8, 0)), bare)
    with pytest.raises(ValueError, match="tiles of 10 pixels do not fill 64x64"):
        sketches.shuffled(own, 10, 0)


@pytest.mark.parametrize("profile", ["class", "paper"])
def test_the_notebooks_profiles_build_at_full_size(profile):
    notebook, = notebooks.find(["05_pgsgan_ovary"])
    values = notebooks.defaults(notebook) | notebooks.profile_values(notebook, profile)
    values |= {"fade": values["fade"] or 1}     # 0 stands for an epoch
    config = Config(**{field.name: values[field.name] for field in fields(Config) if field.name in values})
    with torch.device("meta"):
        condition, large = torch.empty(1, 3, config.size, config.size), torch.empty(1, 3, config.full, config.full)
        image = Generator(config, 3)(condition, large, config.top)
        logits = Discriminator(config, 4)(torch.empty(1, 4, *condition.shape[2:]), torch.cat([large, image], 1), 1.0)
    assert image.shape == (1, 1, config.full, config.full) and logits.shape[2] == config.size // 8 - 2
    missing = {field.name for field in fields(Config)} - set(values)
    assert missing == {"sketch", "network", "grow", "beta1", "beta2", "init_std"}, (
        "every other one is a parameter of the notebook")
    assert config.starts[2] < values["steps"]       # the training reaches the last phase


def test_edges_do_not_follow_the_level_of_black():
    """Adding a grey level to every pixel, black surround and all, moves no edge."""
    images = phantom.load("ovary", 3, 64, seed=5).images.clamp(max=254)
    assert torch.equal(sketches.canny(images), sketches.canny(images + 1))
