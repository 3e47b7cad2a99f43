"""Memorisation: is a synthetic image nearer to the training images than a real unseen image is?"""

import numpy as np
import pandas as pd
import torch
from scipy import stats

from ..data.device import full_precision
from ..score import Score
from .features import Space, features, resolve
from .intervals import half_sample_interval
from .sets import Images, both, groups, on, pixels


def nearest_neighbours(synthetic: Images, train: Images, space: str | Space | None = None,
                       device: str = "auto") -> pd.DataFrame:
    """The nearest training image of each synthetic image, one row an image.

    Columns: `feature_index` and `feature_distance` (Euclidean, in feature space), `pixel_index` and `pixel_distance`
    (root mean square difference, grey levels). Call it with the real test set in place of the synthetic images for
    the distances that unseen real images have.

    Args:
        synthetic: Synthetic images, uint8 (N, 1, H, W) or an ImageSet.
        train: The images that the generator was trained on.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        device: 'auto', 'cpu', 'cuda' or 'mps', for features and neighbours; distances agree within 1e-4 of themselves.
    """
    a, b = both(synthetic, train)
    a, b = (x.flatten(1).float() for x in (a, b))
    found = {"feature": nearest(*(torch.from_numpy(features(x, space, device)) for x in (synthetic, train)), device),
             "pixel": nearest(a / a.shape[1] ** 0.5, b / b.shape[1] ** 0.5, device)}
    return pd.DataFrame({f"{name}_{key}": value for name, result in found.items()
                         for key, value in zip(("index", "distance"), result)})


def nearest(a: torch.Tensor, b: torch.Tensor, device: str) -> tuple[np.ndarray, np.ndarray]:
    """For each row of a (n, d) the index of and the distance to the nearest row of b (m, d)."""
    # The candidates come from inner products, which cancel near 0; the distance of the winner is computed anew.
    known = b.to(on(device))
    with full_precision():
        index = torch.cat([torch.cdist(block.to(known), known).argmin(1).cpu() for block in a.split(1024)])
    return index.numpy(), (a - b[index]).double().norm(dim=1).numpy()


def memorisation(
    synthetic: Images, train: Images, test: Images, space: str | Space | None = None, pixel: bool = False,
    draws: int = 20, seed: int = 0, device: str = "auto",
) -> Score:
    """Probability that a synthetic image lies nearer to its nearest training image than an unseen real image to its.

    0.5 is what a generator that copies nothing is expected to give, 1 is a memory of the training set. Images off the
    distribution, such as failed ones, lie far from everything and pull the value below 0.5: copies among them show
    only in the sheet of nearest neighbours. The p-value in the note is scipy's one-sided Mann-Whitney test for
    'nearer'. It takes images as independent; the interval takes whole patients or exams of the test set.

    Args:
        synthetic: Synthetic images, uint8 (N, 1, H, W) or an ImageSet.
        train: The images that the generator was trained on.
        test: Real images that it has not seen, of other patients.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        pixel: Distances of grey levels instead of features.
        draws: Half-samples for the interval; fewer are faster.
        seed: Of the random draws.
        device: See nearest_neighbours.
    """
    space = resolve(space)
    column = "pixel_distance" if pixel else "feature_distance"
    ours = nearest_neighbours(synthetic, train, space, device)[column].to_numpy()
    unseen = nearest_neighbours(test, train, space, device)[column].to_numpy()

    def nearer(i=slice(None), j=slice(None)):
        return float(stats.mannwhitneyu(unseen[i], ours[j]).statistic / (len(unseen[i]) * len(ours[j])))

    low, high, how = half_sample_interval(nearer, value := nearer(), groups(test), groups(synthetic), draws, seed, 0.0)
    p = stats.mannwhitneyu(ours, unseen, alternative="less").pvalue
    where = "grey levels" if pixel else space.about
    note = (f"one-sided Mann-Whitney p = {p:.2g}; {len(pixels(train))} training, {len(unseen)} test images; {where}; "
            f"{how}")
    return Score(f"Memorisation ({'pixels' if pixel else space.name})", value, low, min(high, 1.0), len(ours), note)
