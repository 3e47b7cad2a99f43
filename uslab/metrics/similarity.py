"""Similarity of pairs of images: PSNR and mutual information (SSIM is in structure.py), and how pairs are drawn.

Real and synthetic images of an unconditional GAN are no pairs. Bautista 2022 compares them all the same, so the
pairing is a random one, stated in the score: such values say how alike two images of this kind are by chance.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import xlogy
from torch import Tensor

from ..score import Score, mean
from .sets import Images, both, groups, pixels


def psnr(a: Images, b: Images) -> float:
    """Mean over the pairs of the peak signal-to-noise ratio, dB, with the data range 255; equal images give inf.

    Args:
        a: (N, 1, H, W) uint8.
        b: (N, 1, H, W) uint8, image i is paired with image i of a.
    """
    return float(psnr_each(*paired(a, b)).mean())


def mutual_information(a: Images, b: Images, bins: int = 256) -> float:
    """Mean over the pairs of the mutual information of their grey levels, in nats, from the 2-D histogram.

    An image with itself gives the entropy of its grey levels. The estimate is biased upwards where pixels are few for
    bins^2 cells, by up to (bins - 1)^2 / (2 H W) nats: 256 bins at 64x64 pixels give some nats between images that
    have nothing to do with each other. Raises ValueError for bins out of range.

    Args:
        a: (N, 1, H, W) uint8.
        b: (N, 1, H, W) uint8, image i is paired with image i of a.
        bins: Grey-level bins an axis of the joint histogram, 2 to 256.
    """
    return float(mutual_information_each(*paired(a, b), bins).mean())


def paired(a: Images, b: Images) -> tuple[Tensor, Tensor]:
    a, b = both(a, b)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} images are no pairs: choose them with random_pairs")
    return a, b


def psnr_each(a: Tensor, b: Tensor) -> np.ndarray:
    """(N,) PSNR of each pair, dB."""
    error = (a.double() - b.double()).square().mean((1, 2, 3))
    return (10 * torch.log10(255 ** 2 / error)).numpy()


def mutual_information_each(a: Tensor, b: Tensor, bins: int = 256) -> np.ndarray:
    """(N,) mutual information of each pair, nats."""
    if not 2 <= bins <= 256:
        raise ValueError(f"bins must be 2 to 256, not {bins}")
    result = []
    for x, y in zip(a.split(32), b.split(32)):  # 32 joint histograms of 256x256 are 17 MB
        x, y = (levels.flatten(1).long() * bins // 256 for levels in (x, y))
        cell = (torch.arange(len(x))[:, None] * bins + x) * bins + y
        joint = torch.bincount(cell.flatten(), minlength=len(x) * bins ** 2).view(len(x), bins, bins).double()
        joint = (joint / x.shape[1]).numpy()
        result.append(entropy(joint.sum(2)) + entropy(joint.sum(1)) - entropy(joint.reshape(len(joint), -1)))
    return np.concatenate(result)


def entropy(shares: np.ndarray) -> np.ndarray:
    """(N,) entropy, nats, of the rows of (N, k) shares."""
    return -xlogy(shares, shares).sum(1)


def random_pairs(real: Images, synthetic: Images, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of real and of synthetic images for random pairs, as many as asked for or as there are.

    No image is in two pairs, nor is any real patient or exam, so the pairs are independent.

    Args:
        real: Real images, uint8 (N, 1, H, W) or an ImageSet.
        synthetic: Synthetic images, uint8 (N, 1, H, W) or an ImageSet.
        n: Pairs wanted.
        seed: Which pairs.
    """
    rng = np.random.default_rng(seed)
    order = [rng.permutation(len(pixels(images))) for images in (real, synthetic)]
    firsts = [rows[np.sort(np.unique(groups(images)[rows], return_index=True)[1])]
              for rows, images in zip(order, (real, synthetic))]
    n = min(n, *map(len, firsts))
    return firsts[0][:n], firsts[1][:n]


def pair_score(
    name: str,                                           # such as 'PSNR (dB)'
    each: Callable[[Tensor, Tensor], np.ndarray],        # psnr_each, mutual_information_each
    real: Images,
    synthetic: Images,
    pairs: int = 200,
    seed: int = 0,
    note: str = "",
) -> Score:
    """Mean of a similarity over random real-synthetic pairs, beside its mean over as many real-real pairs.

    The second number, in the note, is what images of the real set have in common: the value to be expected of a
    perfect generator.
    """
    a, b = both(real, synthetic)
    i, j = random_pairs(real, synthetic, pairs, seed)
    values = each(a[i], b[j])
    half = len(i) // 2
    among = f"among {half} real-real pairs {each(a[i[:half]], a[i[half:2 * half]]).mean():.4g}" if half else ""
    return mean(name, values, "disjoint pairs", "; ".join(filter(None, (note, "random real-synthetic pairs", among))))
