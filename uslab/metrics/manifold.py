"""Precision and recall: fidelity and diversity apart, by nearest neighbours in feature space (Kynkaanniemi 2019)."""

import numpy as np
import torch

from ..score import Score
from .features import Space, features, resolve
from .intervals import half_sample_interval
from .sets import Images, both, groups


def precision_recall(
    real: Images, synthetic: Images, space: str | Space | None = None, k: int = 3, draws: int = 20, seed: int = 0,
    device: str = "auto",
) -> tuple[Score, Score]:
    """Precision: the share of synthetic images within the balls of the real ones. Recall: the reverse.

    Args:
        real: Real images, uint8 (N, 1, H, W) or an ImageSet.
        synthetic: As many as real: the balls shrink as a set grows.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        k: The ball round an image reaches to its k-th neighbour in its own set.
        draws: Half-samples for the interval; fewer are faster.
        seed: Of the random draws.
        device: Where the features are computed: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    both(real, synthetic)
    space = resolve(space)
    a, b = features(real, space, device), features(synthetic, space, device)
    note = f"{len(a)} real; k = {k}; {space.about}" + ("" if len(a) == len(b) else "; unequal n favours one of the two")

    def score(name, of, within, of_groups, within_groups):
        value = covered(of, within, k)
        low, high, how = half_sample_interval(lambda i, j: covered(of[i], within[j], k), value, of_groups,
                                              within_groups, draws, seed, lowest=0.0)
        return Score(f"{name}-{space.name}", value, low, min(high, 1.0), len(b), f"{note}; {how}")

    return (score("Precision", b, a, groups(synthetic), groups(real)),
            score("Recall", a, b, groups(real), groups(synthetic)))


def covered(
    a: np.ndarray,     # (n, d) features
    b: np.ndarray,     # (m, d) features whose balls are drawn, m more than k
    k: int,
) -> float:
    """Share of the rows of a that lie in the ball of a row of b."""
    if len(b) <= k:
        raise ValueError(f"{len(b)} images have no {k}-th neighbour: give more images or a smaller k")
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    # Column 0 is the image's distance to itself.
    radii = torch.cdist(b, b).fill_diagonal_(0).kthvalue(k + 1, dim=1).values
    return float((torch.cdist(a, b) <= radii).any(1).double().mean())
