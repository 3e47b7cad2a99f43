"""Inception score (Salimans 2016)."""

import numpy as np
import torch

from .features import Space, batches, resolve
from .score import Score
from .sets import Images, pixels


def inception_score(
    synthetic: Images,
    space: Space | None = None,     # None: Inception-v3, from the file that USLAB_INCEPTION names
    splits: int = 10,
    seed: int = 0,                  # the order of the images, which decides the splits
) -> Score:
    """exp E KL(p(y|x) || p(y)) over the ImageNet classes, mean over the splits: 1 to 1000.

    It does not look at real images, and ultrasound is none of the classes: it is here to stand beside a paper's table.
    There is no interval, since the splits share one generator; their standard deviation is in the note, as usual.
    Raises ValueError for a space without class probabilities, or fewer images than splits.
    """
    space, images = resolve(space or "inception"), pixels(synthetic)
    if space.classify is None:
        raise ValueError(f"the Inception score is defined by Inception-v3's classes: {space.name} has none")
    if len(images) < splits:
        raise ValueError(f"{len(images)} images do not fill {splits} splits")
    p = batches(space.classify, images, space.batch).double()
    order = np.random.default_rng(seed).permutation(len(p))
    values = [split_score(p[rows]) for rows in np.array_split(order, splits)]
    return Score("Inception score", float(np.mean(values)), np.nan, np.nan, len(p),
                 f"{splits} splits, standard deviation {np.std(values):.3g}; {space.about}")


def split_score(p: torch.Tensor) -> float:
    """The score of class probabilities (n, k)."""
    mean = p.mean(0)
    return float((torch.xlogy(p, p) - torch.xlogy(p, mean)).sum(1).mean().exp())
