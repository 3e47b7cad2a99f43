"""Inception score (Salimans 2016), and the same with another network's classes under another name."""

import numpy as np
import torch

from ..score import Score
from .features import Space, features, resolve
from .sets import Images, pixels


def inception_score(synthetic: Images, space: str | Space | None = None, splits: int = 10, seed: int = 0,
                    device: str = "auto") -> Score:
    """exp E KL(p(y|x) || p(y)) over the ImageNet classes, mean over the splits: 1 to 1000.

    'Inception score' in Inception-v3, 'CS-lite0' (class score) with EfficientNet-Lite0's probabilities of the same
    classes: other numbers, not to be compared with a paper's. It does not look at real images, and ultrasound is none
    of the classes: it is here to stand beside a paper's table.
    There is no interval, since the splits share one generator; their standard deviation is in the note, as usual.
    Raises ValueError for a space without class probabilities, or fewer images than splits.

    Args:
        synthetic: Synthetic images, uint8 (N, 1, H, W) or an ImageSet.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        splits: Parts of the set, over which the mean is taken.
        seed: The order of the images, which decides the splits.
        device: Where the features are computed: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    space = resolve(space)
    values = split_scores(synthetic, space, splits, seed, device)
    name = "Inception score" if space.name == "inception" else f"CS-{space.name}"
    return Score(name, float(np.mean(values)), n=len(pixels(synthetic)),
                 note=f"{splits} splits, standard deviation {np.std(values):.3g}; {space.about}")


def split_scores(synthetic: Images, space: str | Space | None = None, splits: int = 10, seed: int = 0,
                 device: str = "auto") -> np.ndarray:
    """(splits,) the score of each part of the set: papers print their mean and standard deviation.

    Args:
        synthetic: See inception_score, as the other arguments.
        space: The same.
        splits: The same.
        seed: The same.
        device: The same.
    """
    space, images = resolve(space), pixels(synthetic)
    if not space.head:
        raise ValueError(f"the Inception score is defined by a network's classes: {space.name} has none")
    if len(images) < splits:
        raise ValueError(f"{len(images)} images do not fill {splits} splits")
    with torch.inference_mode():
        p = space.head(torch.from_numpy(features(images, space, device))).double()
    order = np.random.default_rng(seed).permutation(len(p))
    return np.array([split_score(p[rows]) for rows in np.array_split(order, splits)])


def split_score(p: torch.Tensor) -> float:
    """The score of class probabilities (n, k)."""
    mean = p.mean(0)
    return float((torch.xlogy(p, p) - torch.xlogy(p, mean)).sum(1).mean().exp())
