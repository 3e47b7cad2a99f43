"""Diversity of a synthetic set: how alike its own images are, twins among them, mode collapse."""

import numpy as np
import torch

from ..score import Score, mean
from .features import Space, features, resolve
from .intervals import half_sample_interval
from .sets import Images, both, groups
from .similarity import random_pairs
from .structure import ms_ssim_each, scales

COLLAPSED = 0.1  # share of twins from which a set is called collapsed; the real set has 0.01 by definition


def self_similarity(
    synthetic: Images,
    real: Images,
    pairs: int = 200,
    seed: int = 0,
) -> Score:
    """Mean MS-SSIM of random pairs within the synthetic set (Odena 2017), beside that within the real set.

    Above the real value, the synthetic images are more alike than real ones are.
    """
    fake, true = both(synthetic, real)

    def within(images, pixels):
        first, _ = random_pairs(images, images, 2 * pairs, seed)
        half = len(first) // 2
        return ms_ssim_each(pixels[first[:half]], pixels[first[half:2 * half]])

    values, reference = within(synthetic, fake), within(real, true)
    note = (f"pairs within the set; within the real set {reference.mean():.4g} ({len(reference)} pairs); "
            f"{scales(fake.shape[2:])} scales")
    return mean("MS-SSIM within", values, "disjoint pairs", note)


def twins(
    synthetic: Images,
    real: Images,
    space: str | Space | None = None,   # see uslab.metrics.features
    draws: int = 20,
    seed: int = 0,
    device: str = "auto",
) -> Score:
    """Share of synthetic images with another synthetic image nearer than 99 % of real images have another real one.

    0.01 is what a generator as diverse as the real set is expected to give. From 0.1 the note says mode collapse.
    Frames of one patient or exam are no twins. Both sets are cut to equal n, as distances shrink with n.
    """
    both(synthetic, real)
    space = resolve(space)
    n = min(len(synthetic), len(real))
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.permutation(len(images))[:n]) for images in (real, synthetic)]
    a, b = (features(images, space, device)[chosen] for images, chosen in zip((real, synthetic), rows))
    of_a, of_b = (groups(images)[chosen] for images, chosen in zip((real, synthetic), rows))
    distances = [apart(x, of) for x, of in ((a, of_a), (b, of_b))]

    def share(i=slice(None), j=slice(None)):
        nearest = [np.min(table[rows][:, rows], axis=1) for table, rows in zip(distances, (i, j))]
        return float((nearest[1] < np.quantile(nearest[0][np.isfinite(nearest[0])], 0.01)).mean())

    value = share()
    low, high, how = half_sample_interval(share, value, of_a, of_b, draws, seed, lowest=0.0)
    verdict = "mode collapse: many images are nearly the same; " if value >= COLLAPSED else ""
    return Score(f"Twins-{space.name}", value, low, min(high, 1.0), n, f"{verdict}{n} real; {space.about}; {how}")


def apart(x: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(n, n) distances of feature rows; infinite within a group."""
    x = torch.as_tensor(x).double()
    table = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    table[of[:, None] == of] = np.inf
    return table
