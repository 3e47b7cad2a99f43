"""CycleGAN against the reference implementation's numbers and a plain step, its resume, and the denoiser."""

import copy
import dataclasses
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made import noise_set
from safetensors.torch import load_file

from uslab import notebooks, phantom
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.models import denoiser
from uslab.models.cyclegan import (
    Config,
    CycleGAN,
    Discriminator,
    Generator,
    ImagePool,
    augment,
    l1,
    lsgan,
)
from uslab.training import Run

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parent / "golden"
COUNTS = json.loads((GOLDEN / "cyclegan_pix2pix_counts.json").read_text())
SMALL = Config(size=56, ngf=4, ndf=4, blocks=1, layers=2, pool=3, margin=8, epoch=5, epochs=1, decay=2)


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
@pytest.mark.parametrize("blocks", [6, 9])
def test_generator_has_the_references_size(blocks, upsample):
    with torch.device("meta"):
        network = Generator(Config(blocks=blocks, upsample=upsample))
        for side in (128, 256, 512):
            assert network(torch.empty(1, 1, side, side)).shape == (1, 1, side, side)
    assert count(network) == COUNTS["params"][f"G resnet_{blocks}blocks instance in1 out1 ngf64"]


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_discriminator_has_the_references_size_and_field(layers):
    with torch.device("meta"):
        network = Discriminator(Config(layers=layers))
        assert count(network) == COUNTS["params"][f"D n_layers={layers} instance in1 ndf64"]
        for side in (64, 128, 256, 512):
            out = COUNTS["shapes"][f"PatchGAN n_layers={layers} out for {side}"]
            assert list(network(torch.empty(1, 1, side, side)).shape[2:]) == out
    # The field of one logit, without InstanceNorm, which lets every pixel see all: which pixels have a gradient?
    network = Discriminator(Config(layers=layers, ndf=4))
    network.main = torch.nn.Sequential(*(m for m in network.main if not isinstance(m, torch.nn.InstanceNorm2d)))
    image = torch.rand(1, 1, 256, 256, requires_grad=True)
    logits = network(image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    reached = image.grad[0, 0].abs().sum(1).nonzero()
    field = COUNTS["shapes"][f"PatchGAN n_layers={layers} receptive field (analytic)"]
    assert reached.max() - reached.min() + 1 == field


def test_field_of_five_layers_is_286():
    field = 1
    for module in reversed(Discriminator(Config(layers=5, ndf=4)).main):
        if isinstance(module, torch.nn.Conv2d):
            field = (field - 1) * module.stride[0] + module.kernel_size[0]
    assert field == 286


def test_losses_match_the_reference():
    golden = np.load(GOLDEN / "cyclegan_losses_lr.npz")
    for target, name in ((1.0, "True"), (0.0, "False")):
        logits = torch.from_numpy(golden["pred"]).requires_grad_()
        loss = lsgan(logits, target)
        loss.backward()
        assert loss.item() == pytest.approx(float(golden[f"lsgan/{name}"]), rel=1e-5)
        np.testing.assert_allclose(logits.grad.numpy(), golden[f"lsgan/{name}/grad"], rtol=1e-5, atol=1e-8)


def test_schedule_matches_the_reference():
    golden = np.load(GOLDEN / "cyclegan_losses_lr.npz")
    rates = golden["linear_lr_after_k_epoch_end_steps(lr0=2e-4,n_epochs=100,decay=100,epoch_count=1)"]
    config = Config(epoch=37)
    ours = [config.rate(epoch * 37 + within) for epoch in range(200) for within in (0, 36)]
    np.testing.assert_allclose(ours, np.repeat(rates[:200], 2), rtol=1e-12)
    assert config.rate(100 * 37) == pytest.approx(0.9901 * 2e-4, rel=1e-4)
    assert config.rate(149 * 37) / 2e-4 == pytest.approx(0.5050, abs=1e-4)
    assert config.rate(150 * 37) / 2e-4 == pytest.approx(0.4950, abs=1e-4)
    assert config.rate(10**6) == pytest.approx(config.rate(199 * 37), rel=1e-9)
    assert config.rate(10**6) == pytest.approx(0.0099 * 2e-4, rel=1e-3)
    assert config.steps == 200 * 37


def test_a_training_may_be_a_part_of_an_epoch():
    config = Config(epoch=1000, epochs=0.02, decay=0.01)
    rates = [config.rate(step) for step in range(config.steps)]
    assert config.steps == 30 and min(rates) > 0 and rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("case", range(5))
def test_pool_matches_the_reference(case):
    golden = np.load(GOLDEN / "imagepool.npz")
    about = json.loads(str(golden["meta_json"]))[case]
    draws = iter(golden[f"draws(kind0=uniform,1=randint;value)/{case}"])

    def draw(kind):
        drawn, value = next(draws)
        assert drawn == kind, "another draw than the reference's"
        return value

    pool = ImagePool(about["pool_size"], lambda: draw(0), lambda size: int(draw(1)))
    shown, numbers = [], iter(range(10_000))
    for _ in range(about["steps"]):
        fakes = torch.tensor([float(next(numbers)) for _ in range(about["batch"])]).view(-1, 1, 1, 1)
        shown.append(pool.query(fakes).flatten().numpy())
    np.testing.assert_array_equal(np.stack(shown), golden[f"out_ids/{case}"])
    assert next(draws, None) is None
    if about["pool_size"]:
        assert [int(image) for image in pool.images] == golden[f"final_pool_ids/{case}"].astype(int).tolist()


def test_pool_copies_nothing_it_may_not():
    """What lies in the pool must not change when the caller's images do, nor carry a gradient."""
    pool = ImagePool(2, uniform=lambda: 0.0)
    fakes = torch.ones(1, 1, 2, 2, requires_grad=True)
    shown = pool.query(fakes * 2)
    assert not shown.requires_grad and not pool.images[0].requires_grad
    shown += 5
    assert (pool.images[0] == 2).all()


def test_reference_numbers():
    gan = CycleGAN(Config(ngf=16, ndf=16, blocks=2, denoise="off"))
    for network in (*gan.G.values(), *gan.D.values()):
        weights = torch.cat([p.detach().flatten() for p in network.parameters() if p.ndim == 4])
        assert weights.std() == pytest.approx(0.02, rel=0.02)
        assert all((p == 0).all() for p in network.parameters() if p.ndim == 1)
        norms = [m for m in network.modules() if isinstance(m, torch.nn.InstanceNorm2d)]
        assert norms and not any(m.affine or m.track_running_stats for m in norms)
    for optimiser in gan.optimisers.values():
        assert optimiser.defaults["lr"] == 2e-4 and optimiser.defaults["betas"] == (0.5, 0.999)
    config = Config()
    assert (config.batch_size, config.cycle, config.identity, config.pool) == (1, 10, 5, 50)
    assert (config.epochs, config.decay) == (100, 100)
    assert (config.ngf, config.ndf, config.blocks, config.layers, config.margin, config.denoise) == (
        64, 64, 9, 3, 40, "discriminator")


def plain_update(gan, ct, us, pools):
    """The reference's order, each network called on one batch at a time, nothing shared; returns the losses."""
    config, real = gan.config, {"ct": ct, "us": us}
    clean = gan.denoiser if config.denoise == "discriminator" else lambda images: images
    between = gan.denoiser if config.denoise == "cycle" else lambda images: images
    fake = {"us": gan.G["us"](ct), "ct": gan.G["ct"](us)}
    back = {"ct": gan.G["ct"](between(fake["us"])), "us": gan.G["us"](between(fake["ct"]))}
    loss_gan = sum(lsgan(gan.D[d](clean(fake[d])), 1.0) for d in fake)
    loss_cycle = sum(l1(back[d], real[d]) for d in back)
    loss_identity = sum(l1(gan.G[d](real[d]), real[d]) for d in real)
    gan.optimisers["G"].zero_grad()
    (loss_gan + config.cycle * loss_cycle + config.identity * loss_identity).backward()
    gan.optimisers["G"].step()
    gan.optimisers["D"].zero_grad()
    total = 0
    for d in ("us", "ct"):
        shown = pools[d].query(fake[d].detach())
        loss = 0.5 * (lsgan(gan.D[d](clean(real[d])), 1.0) + lsgan(gan.D[d](clean(shown)), 0.0))
        loss.backward()
        total = total + loss.detach()
    gan.optimisers["D"].step()
    return {"loss_g": loss_gan, "loss_cycle": loss_cycle, "loss_identity": loss_identity, "loss_d": total}


@pytest.mark.parametrize("denoise", ["off", "discriminator", "cycle"])
def test_update_equals_the_plain_one(denoise):
    """Sharing forward passes and sparing D's gradients changes no loss and no weight."""
    torch.manual_seed(0)
    ours = CycleGAN(dataclasses.replace(SMALL, denoise=denoise, margin=0, init_std=0.1, batch_size=2))
    plain = copy.deepcopy(ours)
    for network in (*plain.G.values(), *plain.D.values()):
        network.requires_grad_(True)
    plain.optimisers = {name: torch.optim.Adam([p for n in networks.values() for p in n.parameters()], lr=2e-4,
                                               betas=(0.5, 0.999))
                        for name, networks in (("G", plain.G), ("D", plain.D))}
    for step in range(3):
        ct, us = torch.rand(2, 2, 1, 32, 56) * 2 - 1
        torch.manual_seed(step)
        got = ours.update(ct, us)
        torch.manual_seed(step)
        expected = plain_update(plain, ct, us, plain.pools)
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value.detach(), rtol=1e-4, atol=1e-6, msg=f"{name} at {step}")
        # Adam's first steps have the size of the learning rate whatever the gradient's, so start both alike.
        weights = [[*gan.G["us"].parameters(), *gan.G["ct"].parameters(), *gan.D["us"].parameters(),
                    *gan.D["ct"].parameters()] for gan in (ours, plain)]
        far = torch.cat([(a - b).abs().flatten() for a, b in zip(*weights)])
        assert (far > 2e-6).float().mean() < 0.05, f"weights differ after step {step}"
        with torch.no_grad():
            for a, b in zip(*weights):
                a.copy_(b)
    assert all(p.requires_grad for network in ours.D.values() for p in network.parameters())


def test_losses_can_be_turned_off():
    torch.manual_seed(1)
    gan = CycleGAN(dataclasses.replace(SMALL, cycle=0.0, identity=0.0, margin=0, denoise="off"))
    before = {domain: network.main[1].weight.clone() for domain, network in gan.G.items()}
    values = gan.update(*(torch.rand(2, 1, 1, 32, 56) * 2 - 1))
    assert values["loss_cycle"] == values["loss_identity"] == 0 and values["loss_g"] > 0
    assert all(not torch.equal(network.main[1].weight, before[domain]) for domain, network in gan.G.items())


def test_the_rate_reaches_the_optimisers():
    gan = CycleGAN(dataclasses.replace(SMALL, margin=0, denoise="off"))
    for _ in range(6):
        gan.update(*(torch.rand(2, 1, 1, 32, 56) * 2 - 1))
    for optimiser in gan.optimisers.values():
        assert optimiser.param_groups[0]["lr"] == gan.config.rate(5) == pytest.approx(2e-4 * 2 / 3)


@pytest.fixture(scope="module")
def planes():
    return Slices.find({"ct": phantom.abdomen(0)}, "liver", 7, View(40, 56), seed=0)


@pytest.mark.slow
def test_run_on_two_domains_resumes_to_the_bit(tmp_path, planes):
    """The pools, the rate, the images kept for sampling and both domains' epochs go on where they were."""
    def train(folder, *stops):
        for stop in stops:
            run = Run(tmp_path / folder, CycleGAN, SMALL, {"ct": planes, "us": noise_set(11, 40, 56)}, seed=4,
                      log_every=1)
            for batch in run.batches(stop):
                assert set(batch) == {"ct", "ct_mask", "us"} and batch["ct"].shape == batch["us"].shape
                run.log(run.gan.step(batch))
        return run

    whole, parts = train("whole", 14), train("parts", 6, 14)
    assert parts.gan.steps == 14 and "7 ct, 11 us images" in repr(parts)
    expected, got = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert expected.keys() == got.keys() and sum(name.startswith("/gan/pools") for name in expected) == 6
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name
    losses = [[{key: value for key, value in record.items() if key.startswith("loss")} for record in run.records]
              for run in (whole, parts)]
    assert losses[0] == losses[1] and len(losses[0]) == 14
    assert torch.equal(whole.gan.sample(5, 3), parts.gan.sample(5, 3))
    with pytest.raises(ValueError, match="data_sha256 is .*'ct'.* there and"):
        Run(tmp_path / "whole", CycleGAN, SMALL, {"ct": planes, "us": noise_set(11, 40, 56, seed=1)}, seed=4)


def test_augment_crops_and_flips_within_the_margin():
    torch.manual_seed(0)
    marked = torch.arange(40 * 56).view(1, 1, 40, 56).remainder(251).to(torch.uint8)
    seen = set()
    for _ in range(200):
        cropped = augment(marked, 0.0, 8)
        y, x = next((y, x) for y in range(9) for x in range(9) if torch.equal(marked[..., y:y + 32, x:x + 48], cropped))
        seen |= {("y", y), ("x", x)}
    assert len(seen) == 18, "every corner of the margin is used, and nothing else"
    assert torch.equal(augment(marked, 1.0, 0), marked.flip(3)) and torch.equal(augment(marked, 0.0, 0), marked)


def test_the_papers_frames_of_522_by_200_go_in_and_come_out():
    config = Config(size=522, ngf=4, ndf=4, blocks=1, layers=1, denoise="off")
    gan, strips = CycleGAN(config), noise_set(2, 200, 522).images
    cropped = augment(strips, 0.0, 40)
    assert cropped.shape == (2, 1, 160, 480)
    gan.step({"ct": strips[:1], "us": strips[1:]})
    assert gan.translate(strips).shape == (2, 1, 200, 522)


def test_samples_are_translations():
    gan = CycleGAN(dataclasses.replace(SMALL, denoise="off"))
    with pytest.raises(ValueError, match="no CT plane has been seen yet"):
        gan.sample(3, 0)
    images = noise_set(20, 40, 56).images
    for i in range(3):
        gan.step({"ct": images[i:i + 1], "us": images[10 + i:11 + i]})
    drawn = gan.sample(6, seed=2)
    made = gan.translate(images[:3])
    assert drawn.dtype == torch.uint8 and drawn.shape == (6, 1, 40, 56)
    assert all(any(torch.equal(one, other) for other in made) for one in drawn)
    assert torch.equal(gan.sample(20, 0, condition=images), gan.translate(images)), "an image depends on itself alone"
    assert not torch.equal(gan.translate(images[:3], "ct"), made)
    with pytest.raises(ValueError, match="2 images of 20 planes"):
        gan.sample(2, 0, condition=images)


@pytest.mark.parametrize(("values", "shape", "message"), [
    ({"margin": 40}, (40, 56), "40x56 images less a margin of 40 are nothing"),
    ({}, (40, 64), "images are 40x64 px, but CycleGAN with Config.size 56 takes them 56 px wide"),
])
def test_images_of_another_size_are_refused(values, shape, message):
    gan = CycleGAN(dataclasses.replace(SMALL, denoise="off", **values))
    images = torch.zeros(1, 1, *shape, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        gan.step({"ct": images, "us": images})


def test_config_refuses_values_outside_their_range():
    with pytest.raises(ValueError, match="Config.layers is 6; it must lie between 1 and 5"):
        Config(layers=6)
    with pytest.raises(ValueError, match="Config.denoise is 'on'; choose one of 'off', 'discriminator', 'cycle'"):
        Config(denoise="on")


@pytest.mark.slow
def test_the_denoiser_removes_noise_from_frames_it_has_not_seen():
    clean = phantom.load("eus", 6, 128, seed=7).images[:, :, 40:88].float() / 127.5 - 1
    noisy = clean + 10 / 127.5 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    network = denoiser.pretrained()

    def off(images):
        return 127.5 * F.mse_loss(images, clean).sqrt().item()

    assert off(noisy) == pytest.approx(10, rel=0.02)
    assert off(network(noisy)) < 6.5 and off(network(clean)) < 3.3
    assert not any(p.requires_grad for p in network.parameters()) and not network.training


@pytest.mark.slow
def test_an_untrained_denoiser_changes_nothing_and_a_short_training_helps():
    images = phantom.load("eus", 6, 128, seed=8).images[:, :, 40:88]
    assert torch.equal(denoiser.DnCNN().eval()(images.float()), images.float())
    network, losses = denoiser.train(images, steps=30, batch=8, seed=0)
    again, _ = denoiser.train(images, steps=30, batch=8, seed=0)
    assert losses[-10:].mean() < 0.8 * losses[:5].mean()
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize(("profile", "height"), [("class", 40), ("paper", 200)])
def test_the_notebooks_profiles_build_at_full_size(profile, height):
    notebook, = notebooks.find(["03_cyclegan_ct_to_eus"])
    values = notebooks.defaults(notebook) | notebooks.profile_values(notebook, profile)
    config = Config(**{field.name: values[field.name] for field in fields(Config) if field.name in values})
    with torch.device("meta"):
        images = torch.empty(1, 1, *((side - config.margin) // 4 * 4 for side in (height, config.size)))
        fake = Generator(config)(images)
        assert fake.shape == images.shape and min(Discriminator(config)(fake).shape[2:]) >= 4
    missing = {field.name for field in fields(Config)} - set(values)
    assert missing == {"beta1", "beta2", "epoch", "flip", "init_std", "pool", "batch_size"}, "all others are parameters"
    if profile == "paper":
        assert config.size == 522
        paper = (config.ngf, config.ndf, config.blocks, config.layers, config.lr, config.batch_size, config.epochs,
                 config.decay, config.denoise, config.upsample, config.margin)
        assert paper == (64, 64, 9, 3, 2e-4, 1, 100, 100, "discriminator", "transposed", 40)
        assert values["organs"] == ["aorta", "liver", "pancreas"] and values["shares"] == [0, 0.25, 0.5, 0.75]
        assert (values["classifier"], values["classifier_lr"], values["classifier_epochs"]) == ("vgg16", 1e-7, 100)


def test_losses_of_unseen_images_are_those_of_a_step_and_teach_nothing():
    """Without flips, crops and a pool of earlier fakes a step reports the very losses, before it learns from them."""
    config = dataclasses.replace(SMALL, flip=0.0, margin=0, pool=0)
    gan, batch = CycleGAN(config), {name: noise_set(3, 40, 56, seed=i).images for i, name in enumerate(("ct", "us"))}
    before = copy.deepcopy(gan.state_dict())
    unseen = gan.losses_unseen(batch["ct"], torch.cat([batch["us"], batch["us"][:1]]))
    after = gan.state_dict()
    assert all(torch.equal(a, b) for domain in ("ct", "us")
               for a, b in zip(before["G"][domain].values(), after["G"][domain].values()))
    step = gan.step(batch)
    for name in ("loss_g", "loss_cycle", "loss_identity", "loss_d"):
        assert unseen[f"{name}_unseen"] == pytest.approx(float(step[name]), rel=1e-4)
    assert set(unseen) == {f"loss_{name}_unseen" for name in ("g", "cycle", "identity", "d")}


def test_the_denoiser_is_not_led_by_the_images_border():
    """Its zero padding is mid-grey, which no black surround is: it changes border pixels no more than others."""
    frames = phantom.load("eus", 4, 96, seed=3).images[:, :, 28:68].float() / 127.5 - 1
    change = 127.5 * (denoiser.pretrained()(frames) - frames).abs()
    inside = torch.zeros(40, 96, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    assert change[:, :, ~inside].mean() < change[:, :, inside].mean()
