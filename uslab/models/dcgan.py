"""DCGAN (Radford 2016), as Bautista 2022 applies it to fetal head ultrasound at 64 and 128 pixels.

Bautista 2022: https://arxiv.org/abs/2206.01731
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import check, knob
from .gan import LatentGAN
from .layers import init_weights, normalise


@dataclass(frozen=True)
class Config:
    """Every hyperparameter of DCGAN; the defaults are Radford 2016's, which Bautista 2022 (section 3) kept."""

    size: int = knob(64, options=(64, 128, 256), help="side of the images, pixels (Bautista: 64 and 128)")
    batch_size: int = knob(64, 2, 512, help="images a step (Radford: 128; Bautista's code: 10)")
    lr: float = knob(2e-4, 1e-5, 1e-2, log=True, help="learning rate of both Adam optimisers (Bautista, section 3)")
    beta1: float = knob(0.5, 0.0, 0.99, help="Adam's decay of the mean gradient (Bautista, section 3)")
    beta2: float = knob(0.999, 0.9, 0.9999, help="Adam's decay of the squared gradient (Bautista, section 3)")
    z: int = knob(100, 8, 512, help="dimensions of the latent vector (Radford: 100)")
    ngf: int = knob(64, 4, 512, help="width of the generator: channels before its last layer (Radford: 64 at 64 px)")
    ndf: int = knob(64, 4, 512, help="width of the discriminator: channels after its first layer")
    init_std: float = knob(0.02, 1e-4, 0.2, log=True, help="standard deviation of the initial weights (Radford: 0.02)")
    ema: float = knob(0.0, 0.0, 0.9999,
                      help="share of the averaged generator, which then samples, that stays in a step; "
                                             "0: none, as Radford")
    flip: float = knob(0.5, 0.0, 1.0, help="probability of a horizontal flip (Bautista's code: 0.5)")
    rotation: float = knob(10.0, 0.0, 180.0, help="rotation within plus or minus so many degrees (Bautista's code: 10)")
    corner: float = knob(0.0, 0.0, 255.0, help="grey level that a rotation brings into the corners; 127.5 is what "
                                               "rotating after the normalisation to [-1, 1] does")

    def __post_init__(self):
        check(self)


class Generator(nn.Module):
    """Latent z (B, z, 1, 1) to images (B, 1, size, size) in [-1, 1]: transposed 4x4 convolutions double the side."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.ngf * config.size // 8  # 512 channels on the 4x4 grid at 64 px with ngf 64
        layers = [nn.ConvTranspose2d(config.z, width, 4, 1, 0, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
        while width > config.ngf:
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(width // 2),
                       nn.ReLU(True)]
            width //= 2
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


class Discriminator(nn.Module):
    """Images (B, 1, size, size) in [-1, 1] to logits (B,): strided 4x4 convolutions; sigmoid(logit) is D(x)."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.ndf
        layers = [nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        while width < config.ndf * config.size // 8:
            layers += [nn.Conv2d(width, width * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(width * 2),
                       nn.LeakyReLU(0.2, True)]
            width *= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 0, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        return self.main(images).flatten()


def augment(
    images: Tensor,      # (B, 1, H, W) uint8
    flip: float,         # probability of a horizontal flip
    rotation: float,     # degrees; angles are uniform in [-rotation, rotation]
    corner: float,       # grey level of what the rotation brings in
) -> Tensor:
    """Flip and rotate each image by itself, on its device. Returns float32 grey levels (B, 1, H, W) in [0, 255]."""
    b = len(images)
    angle = (2 * torch.rand(b, device=images.device) - 1) * math.radians(rotation)
    mirror = 1 - 2 * (torch.rand(b, device=images.device) < flip).float()
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([torch.stack([mirror * cos, -sin, zero], 1), torch.stack([mirror * sin, cos, zero], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # The sampler pads with 0, so the corner's grey level is taken as the zero and added back.
    return F.grid_sample(images.float() - corner, grid, align_corners=False) + corner


class DCGAN(LatentGAN):
    """Both networks, their optimisers and one training step."""

    def build(self) -> tuple[nn.Module, nn.Module]:
        networks = Generator(self.config), Discriminator(self.config)
        for network in networks:
            init_weights(network, self.config.init_std)
        return networks

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of D and one of G on batch['image'], (B, 1, H, W) uint8 on the GAN's device."""
        config = self.config
        self.fit(batch["image"])
        real = normalise(augment(batch["image"], config.flip, config.rotation, config.corner))
        z = torch.randn(len(real), config.z, 1, 1, device=self.device)
        return self.phase(self.update, real, z)
