"""The generator of pix2pix (Isola 2017): a U-Net whose every resolution reaches the output past all coarser ones."""

import torch
from torch import Tensor, nn

from .layers import InstanceNorm

DEEPEST = 8     # strided layers of the reference's unet_256, whose innermost features are 1x1


class Level(nn.Module):
    """Halves x, hands it to the level within, doubles what comes back, and lays x itself beside it."""

    def __init__(self, outer: int, inner: int, within: nn.Module | None, dropout: bool):
        super().__init__()
        norm = [InstanceNorm(inner)] if within else []      # 1x1 features have no spread
        self.main = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1), *norm, *([within] if within else []),
            nn.ReLU(), nn.ConvTranspose2d(inner * (2 if within else 1), outer, 4, 2, 1), InstanceNorm(outer),
            *([nn.Dropout(0.5)] if dropout else []))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.main(x)], 1)


class UNet(nn.Module):
    """Condition (B, channels, s, s) to images (B, 1, s, s) in [-1, 1]; s is a power of two.

    As the reference's code for pix2pix, but normalised within each image: that is what its batch norm is at its batch
    of one. Dropout, its only noise, acts in training mode alone.
    """

    def __init__(self, channels: int, width: int, size: int):
        super().__init__()
        depth = min(DEEPEST, size.bit_length() - 1)
        widths = [width * min(2**i, 8) for i in range(depth)]
        inner = None
        for level in range(depth - 1, 0, -1):
            inner = Level(widths[level - 1], widths[level], inner, dropout=4 <= level < depth - 1)
        self.main = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), inner, nn.ReLU(),
                                  nn.ConvTranspose2d(2 * width, 1, 4, 2, 1), nn.Tanh())

    def forward(self, condition: Tensor, *_: None) -> Tensor:     # what a generator that grows is given as well
        return self.main(condition)
