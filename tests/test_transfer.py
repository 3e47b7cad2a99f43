"""A training that starts from another: what is taken over, what stays frozen, what is refused."""

from dataclasses import replace

import pytest
import torch
from gans import CASES, images

from uslab.models import store
from uslab.models.dcgan import DCGAN, Config
from uslab.models.gan import state_of
from uslab.models.stylegan2 import Convolution, StyleGAN2
from uslab.training import Run

CASE = CASES["stylegan2"]


def trained(folder, case, steps=2, **values):
    run = Run(folder, case.model, case.config, case.data, device="cpu", **values)
    for batch in run.batches(steps):
        run.log(run.gan.step(batch))
    return run


def flat(network):
    return store.named(state_of(network))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcgan_ema", "cyclegan", "pgsgan", "stackgan", "stylegan2"])
@pytest.mark.parametrize("exported", [False, True])
def test_a_run_begins_with_the_weights_of_another(tmp_path, name, exported):
    case = CASES[name]
    first = trained(tmp_path / "first", case)
    source = first.export(tmp_path / "base", discriminator=True) if exported else first.folder
    second = Run(tmp_path / "second", case.model, case.config, case.data, seed=9, device="cpu", start=source)
    for old, new in ((first.gan.D, second.gan.D), (first.gan.sampler, second.gan.sampler)):
        old, new = flat(old), flat(new)
        assert all(torch.allclose(value.float(), new[key].float(), rtol=1e-3, atol=1e-4) for key, value in old.items())
    assert second.step == 0 and store.about(second.folder)["start"].startswith(source.name)
    assert trained(tmp_path / "second", case, 3, seed=9, start=source).step == 3


@pytest.mark.slow
def test_a_weight_that_does_not_fit_stays_new(tmp_path):
    first = trained(tmp_path / "first", CASE)
    told = replace(CASE.config, classes=2)
    fresh = StyleGAN2(told)
    second = Run(tmp_path / "second", StyleGAN2, told, images(10, 32), device="cpu", start=first.folder)
    assert torch.equal(second.gan.G.synthesis.constant, first.gan.G.synthesis.constant)
    assert second.gan.D.out.weight.shape == fresh.D.out.weight.shape != first.gan.D.out.weight.shape
    with pytest.raises(ValueError, match="no weight of .* fits this DCGAN: it holds a StyleGAN2"):
        Run(tmp_path / "third", DCGAN, Config(z=8, ngf=4, ndf=4), images(10), device="cpu", start=first.folder)
    with pytest.raises(FileNotFoundError, match="neither the folder"):
        Run(tmp_path / "fourth", StyleGAN2, CASE.config, CASE.data, device="cpu", start=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="start is 'first.*there and None here"):
        Run(second.folder, StyleGAN2, told, images(10, 32), device="cpu")


@pytest.mark.slow
def test_frozen_layers_of_d_stay_as_they_were(tmp_path):
    first = trained(tmp_path / "first", CASE)
    config = replace(CASE.config, freeze_d=4)
    run = Run(tmp_path / "second", StyleGAN2, config, CASE.data, device="cpu", start=first.folder)
    before = {name: value.clone() for name, value in run.gan.D.state_dict().items()}
    for batch in run.batches(4):    # with a step of R1
        run.gan.step(batch)
    layers = [name for name, part in run.gan.D.named_modules() if isinstance(part, Convolution)]
    moved = [name for name in layers
             if not torch.equal(before[f"{name}.weight"], run.gan.D.state_dict()[f"{name}.weight"])]
    assert moved == layers[4:], "the first layer, and both convolutions and the short cut of the first block"
    no_d = first.export(tmp_path / "base")
    with pytest.raises(ValueError, match="holds no discriminator .* set it to 0"):
        Run(tmp_path / "third", StyleGAN2, config, CASE.data, device="cpu", start=no_d)
