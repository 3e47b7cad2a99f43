"""Structural similarity of pairs of images: SSIM (Wang 2004) and MS-SSIM (Wang 2003)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .sets import Images
from .similarity import paired

WINDOW, SIGMA = 11, 1.5                                   # pixels, as in both papers
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)        # of the scales, finest first (Wang 2003)


def ssim(a: Images, b: Images) -> float:
    """Mean SSIM over the pairs: Gaussian window of 11 pixels and sigma 1.5, data range 255, -1 to 1.

    Args:
        a: (N, 1, H, W) uint8, at least 11 pixels a side.
        b: (N, 1, H, W) uint8, image i is paired with image i of a.
    """
    return float(ssim_each(*paired(a, b)).mean())


def ms_ssim(a: Images, b: Images) -> float:
    """Mean MS-SSIM over the pairs, 0 to 1, with as many of the five scales as fit: see scales().

    Args:
        a: (N, 1, H, W) uint8, at least 11 pixels a side.
        b: (N, 1, H, W) uint8, image i is paired with image i of a.
    """
    return float(ms_ssim_each(*paired(a, b)).mean())


def scales(size: tuple[int, int]) -> int:
    """How many scales, each half as large as the one before, hold the window: 5 from 176 pixels, 4 from 88, 3 from 44.

    With fewer than five the first weights are used, scaled to the sum of all: the values are not a larger image's.
    """
    return min(len(WEIGHTS), int(np.log2(min(size) / WINDOW)) + 1)


def ssim_each(a: Tensor, b: Tensor) -> np.ndarray:
    """(N,) SSIM of each pair."""
    return in_parts(a, b, lambda x, y: torch.stack(terms(x, y)).prod(0).mean((1, 2, 3)))


def ms_ssim_each(a: Tensor, b: Tensor) -> np.ndarray:
    """(N,) MS-SSIM of each pair; a scale on which the structures are opposed counts as 0."""
    weights = np.array(WEIGHTS[:scales(a.shape[2:])])
    weights *= sum(WEIGHTS) / weights.sum()  # the paper's weights add up to 1.0001

    def each(x: Tensor, y: Tensor) -> Tensor:
        result = torch.ones(len(x), dtype=torch.double)
        for i, weight in enumerate(weights):
            luminance, contrast = terms(x, y)
            # Luminance counts on the coarsest scale alone.
            term = luminance * contrast if i == len(weights) - 1 else contrast
            result *= term.mean((1, 2, 3)).clamp(min=0) ** weight
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return result

    return in_parts(a, b, each)


def in_parts(a: Tensor, b: Tensor, each) -> np.ndarray:
    if min(a.shape[2:]) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, not {a.shape[2]}x{a.shape[3]}")
    return torch.cat([each(x.double(), y.double()) for x, y in zip(a.split(32), b.split(32))]).numpy()


def terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The luminance term and the contrast and structure term at each place where the whole window fits."""
    places = torch.arange(WINDOW, dtype=torch.double) - WINDOW // 2
    line = torch.exp(-places ** 2 / (2 * SIGMA ** 2))
    line /= line.sum()

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(z, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    return (2 * mx * my + c1) / (mx * mx + my * my + c1), (2 * vxy + c2) / (vx + vy + c2)
