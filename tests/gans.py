"""The models, small, with data to train them on: what is true of every GAN is tested on each."""

from dataclasses import fields, replace
from importlib import import_module
from typing import Any, NamedTuple

import torch
from made import noise_set

from uslab.data import ImageSet
from uslab.models.cyclegan import Config as CycleConfig
from uslab.models.cyclegan import CycleGAN
from uslab.models.dcgan import DCGAN
from uslab.models.dcgan import Config as DCGANConfig
from uslab.models.pgsgan import PGSGAN
from uslab.models.pgsgan import Config as PGSConfig
from uslab.models.stackgan import Config as StackConfig
from uslab.models.stackgan import StackGAN
from uslab.models.store import MODELS
from uslab.models.stylegan2 import StyleGAN2, preset


class Case(NamedTuple):
    """A model with a small Config and its training data."""

    model: type
    config: Any
    data: Any


def images(n: int, height: int = 64, width: int | None = None, seed: int = 0) -> ImageSet:
    """n images of noise, in turn of two classes, with masks of four labels."""
    pictures = noise_set(n, height, width, seed)
    return replace(pictures, labels=torch.arange(n) % 2, classes=("a", "b"), masks=pictures.images.flip(2) % 4,
                   mask_names=("background", "ovary", "follicle", "sketch"))


CASES = {
    "dcgan": Case(DCGAN, DCGANConfig(batch_size=4, z=8, ngf=4, ndf=4, init_std=0.1), images(10)),
    "stylegan2": Case(StyleGAN2, preset("auto", 32, batch_size=4, z=8, channel_max=8, p=0.5, ada_kimg=0.05,
                                        path_every=2, r1_every=3), images(10, 32)),
    "dcgan_ema": Case(DCGAN, DCGANConfig(batch_size=4, z=8, ngf=4, ndf=4, init_std=0.1, ema=0.9), images(10)),
    "stylegan2_classes": Case(StyleGAN2, preset("auto", 32, batch_size=4, z=8, channel_max=8, classes=2),
                              images(10, 32)),
    "stylegan2_diffaug": Case(StyleGAN2, preset("auto", 32, batch_size=4, z=8, channel_max=8, augment="diffaug"),
                              images(10, 32)),
    "cyclegan": Case(CycleGAN,
                     CycleConfig(size=32, ngf=4, ndf=4, blocks=1, layers=2, margin=4, pool=2, denoise="cycle"),
                     {"ct": images(7, 24, 32), "us": images(5, 24, 32, 1)}),
    "stackgan": Case(StackGAN, StackConfig(size=128, size1=64, batch_size=4, z=8, ngf=4, ndf=4, width2=4, spectral=True,
                                           attention=16), images(10, 128)),
    "pgsgan": Case(PGSGAN, PGSConfig(size=32, ngf=4, ndf=4, blocks=1, batch_size=2, first=2, fade=1, ema=0.9),
                   images(5)),
}


def smallest(name: str) -> Case:
    """A model of MODELS without a case of its own: few channels, latents and images."""
    module = import_module(f"uslab.models.{MODELS[name]}")
    small = {"size": 32, "batch_size": 4, "z": 8, "ngf": 4, "ndf": 4, "init_std": 0.1}
    config = module.Config(**{field.name: small[field.name] for field in fields(module.Config) if field.name in small})
    return Case(getattr(module, name), config, images(10, config.size))


CASES |= {MODELS[name]: smallest(name) for name in MODELS if MODELS[name] not in CASES}
