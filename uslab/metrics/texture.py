"""Grey levels and texture of whole sets: pooled grey-level histograms and local binary patterns."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from ..score import Score
from .intervals import half_sample_interval
from .sets import Images, both, groups, on, pixels

BAUTISTA = (8, 20, 143, 240)  # the elements of the vector that Bautista 2022 regresses on quality scores


def lbp_counts(images: Images, border: bool = False, device: str = "auto") -> np.ndarray:
    """(N, 256) number of pixels with each code, one row an image.

    Codes as in scikit-image: 8 neighbours at radius 1, method 'default'. The diagonal neighbours are interpolated, and
    a neighbour that is equal to the centre counts as 1. The outermost pixels, whose neighbours outside the image count
    as 0, are left out unless `border`: there a black image and one of grey level 1 have other codes, though their
    texture is the same. In double precision and in scikit-image's order of operations, so that the codes are its own on
    every device. Raises ValueError for images below 3x3 pixels, which have no others.
    """
    images = pixels(images)
    if min(images.shape[2:]) < 3 and not border:
        raise ValueError(f"local binary patterns need images of at least 3x3 pixels, not {tuple(images.shape[2:])}")
    inside = slice(None) if border else slice(1, -1)
    device = on(device) if on(device).type == "cuda" else torch.device("cpu")    # 'mps' has no double precision
    parts = images.split(2 if device.type == "cpu" else 64)                      # two images fit into a cache
    return torch.cat([counts(lbp_codes(part.to(device))[:, inside, inside]).cpu() for part in parts]).numpy()


def lbp_codes(images: Tensor) -> Tensor:
    """(N, H, W) int64 local binary patterns of uint8 images (N, 1, H, W)."""
    height, width = images.shape[2:]
    around, codes = F.pad(images[:, 0].double(), (1, 1, 1, 1)), torch.zeros_like(images[:, 0], dtype=torch.int64)

    def at(y: int, x: int) -> Tensor:
        return around[:, 1 + y:1 + y + height, 1 + x:1 + x + width]

    rows, columns = (torch.arange(side, dtype=torch.double, device=images.device) for side in (height, width))
    for bit in range(8):
        y, x = round(-np.sin(bit * np.pi / 4), 5), round(np.cos(bit * np.pi / 4), 5)
        value = at(int(y), int(x))
        if bit % 2:    # on the diagonal, between four pixels
            down, right = (((place + shift) % 1) for place, shift in ((rows[:, None], y), (columns, x)))
            above, below = ((1 - right) * at(i, int(np.floor(x))) + right * at(i, int(np.ceil(x)))
                            for i in (int(np.floor(y)), int(np.ceil(y))))
            value = (1 - down) * above + down * below
        codes |= (value >= at(0, 0)).long() << bit
    return codes


def counts(values: Tensor) -> Tensor:
    """(N, 256) how often each of 256 values is in each row of (N, ...)."""
    rows = torch.arange(len(values), device=values.device)[:, None] * 256
    return torch.bincount((values.flatten(1).long() + rows).flatten(), minlength=256 * len(values)).view(-1, 256)


def lbp_histogram(images: Images, border: bool = False, device: str = "auto") -> np.ndarray:
    """(256,) float64 share of the pixels of the whole set with each local binary pattern: the LBPv of Bautista.

    Args:
        images: (N, 1, H, W) uint8 or an ImageSet.
        border: With the outermost pixels, as in the histogram of all that scikit-image returns.
        device: 'auto', 'cpu' or 'cuda', with the same result.
    """
    return relative(lbp_counts(images, border, device))


def lbp_elements(histogram: np.ndarray) -> pd.DataFrame:
    """V8, V20, V143 and V240 of an LBP histogram (256,), under every reading of the paper.

    The paper states neither the first index nor the order of the neighbours. Columns `from_0` and `from_1` count the
    elements from 0 and from 1 in scikit-image's order; `lowest` and `highest` are the extremes over both and over all
    8 first neighbours, both directions round the centre and so both orders of the bits.

    Args:
        histogram: (256,) from lbp_histogram.
    """
    histogram = np.asarray(histogram, float)
    if histogram.shape != (256,):
        raise ValueError(f"an LBP histogram has 256 elements, not the shape {histogram.shape}")
    rows = []
    for element in BAUTISTA:
        readings = [histogram[code] for first in (0, 1) for code in reorderings(element - first)]
        rows.append((f"V{element}", histogram[element], histogram[element - 1], min(readings), max(readings)))
    return pd.DataFrame(rows, columns=["element", "from_0", "from_1", "lowest", "highest"]).set_index("element")


def reorderings(code: int) -> list[int]:
    """The 16 codes of one pattern under another first neighbour or direction: its bits rotated, and reversed."""
    bits = f"{code:08b}"
    return [int(order[i:] + order[:i], 2) for order in (bits, bits[::-1]) for i in range(8)]


def lbp_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the sum of the absolute differences of two LBP histograms, 0 to 1: the share of pixels in other bins.

    Args:
        a: (256,) from lbp_histogram.
        b: (256,) of the other set.
    """
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).sum() / 2)


def grey_counts(images: Images) -> np.ndarray:
    """(N, 256) number of pixels with each grey level, one row an image."""
    return counts(pixels(images)).numpy()


def js_distance(a: Images, b: Images) -> float:
    """Jensen-Shannon distance of the pooled grey-level histograms of two sets: 256 bins, base 2, so 0 to 1.

    The distance is the square root of the divergence. Maack 2022 states no base; with scipy's default, e, the values
    are 0.83 times as large.
    """
    return jensen_shannon(relative(grey_counts(a)), relative(grey_counts(b)))


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    # Two equal histograms can round to a divergence just below 0, of which the root is nan.
    return float(np.nan_to_num(jensenshannon(p, q, base=2)))


def relative(counts: np.ndarray) -> np.ndarray:
    """(256,) shares from the counts (N, 256) of a set."""
    total = counts.sum(0)
    return total / total.sum()


def lbp_score(real: Images, synthetic: Images, draws: int = 20, seed: int = 0, device: str = "auto") -> Score:
    """LBP distance of two sets with its interval."""
    how = "half the summed difference of 256 codes, 8 neighbours, radius 1, without the outermost pixels"
    return histogram_score("LBP distance", lambda images: lbp_counts(images, device=device), lbp_distance, how, real,
                           synthetic, draws, seed)


def js_score(real: Images, synthetic: Images, draws: int = 20, seed: int = 0) -> Score:
    """Jensen-Shannon distance of the grey levels of two sets with its interval."""
    return histogram_score("JS distance", grey_counts, jensen_shannon, "256 grey levels, base 2", real, synthetic,
                           draws, seed)


def histogram_score(name, counts, distance, what, real, synthetic, draws, seed) -> Score:
    a, b = (counts(images) for images in both(real, synthetic))

    def statistic(i=slice(None), j=slice(None)):
        return distance(relative(a[i]), relative(b[j]))

    value = statistic()
    low, high, how = half_sample_interval(statistic, value, groups(real), groups(synthetic), draws, seed, lowest=0.0)
    return Score(name, value, low, high, len(b), f"{len(a)} real; {what}; {how}")
