"""95 % intervals of distances between sets, from half-samples of whole groups."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

LARGEST = 500  # images in a subsample: beyond it, the draws cost more than they tell


def subsamples(
    real: np.ndarray,         # (n,) group of each real image
    synthetic: np.ndarray,    # (m,) group of each synthetic image
    draws: int,
    seed: int,
) -> tuple[Iterator[tuple[np.ndarray, np.ndarray]], float]:
    """Draws of image indices of both sets, whole groups without replacement, and the factor for their spread.

    Each draw takes the same share f of the groups of either set: one half, or what gives about LARGEST images. The
    spread of a statistic over such draws, times sqrt(f / (1 - f)), estimates its standard deviation on the whole
    sets: the delete-d jackknife (Shao and Wu 1989, Ann. Stat. 17:1176), where the factor of a half is 1.
    """
    share = min(0.5, LARGEST / max(len(real), len(synthetic)))
    names = [np.unique(real), np.unique(synthetic)]
    counts = [max(1, int(share * len(name))) for name in names]
    largest = max(count / len(name) for count, name in zip(counts, names))

    def draw():
        rng = np.random.default_rng(seed)
        for _ in range(draws):
            yield tuple(np.flatnonzero(np.isin(of, rng.choice(name, count, replace=False)))
                        for of, name, count in zip((real, synthetic), names, counts))

    return draw(), np.sqrt(largest / (1 - largest)) if largest < 1 else np.nan


def half_sample_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float],  # of indices of real and of synthetic images
    value: float,             # the statistic on the whole sets
    real: np.ndarray,         # (n,) group of each real image
    synthetic: np.ndarray,    # (m,) group of each synthetic image
    draws: int,               # at least 3; 20 in class, 5 in smoke
    seed: int,
    lowest: float = -np.inf,  # the least value that the statistic can take
) -> tuple[float, float, str]:
    """The ends of the interval round `value`, and a sentence on how it was made.

    The interval is for the expected value of the statistic at these n, so a bias of small n, such as that of the
    Frechet distance, is still in value and interval alike. It is symmetric: value +- t(draws - 1) times the standard
    deviation of subsamples(). Resampling with replacement is not used: its duplicates raise the Frechet distance and
    break KID, precision and recall, and nearest neighbours. With fewer than 8 groups in a set there is no interval.
    """
    least = min(len(np.unique(real)), len(np.unique(synthetic)))
    if least < 8:
        return np.nan, np.nan, f"no interval: only {least} groups"
    if draws < 3:
        raise ValueError(f"draws is {draws}: an interval needs at least 3, better 20")
    pairs, factor = subsamples(real, synthetic, draws, seed)
    values = [statistic(*indices) for indices in pairs]
    reach = stats.t.ppf(0.975, draws - 1) * np.std(values, ddof=1) * factor
    units = "patients or exams" if len(np.unique(real)) < len(real) else "images"
    return (max(lowest, value - reach), max(lowest, value + reach),
            f"95 % interval from {draws} half-samples of {units} without replacement, at this n")
