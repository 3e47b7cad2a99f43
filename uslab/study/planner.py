"""How many images and readers: exact for one reader, Obuchowski-Rockette-Hillis for several."""

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import binom

ALPHA, POWER = 0.05, 0.8


def power_against_chance(n: int, accuracy: float, alpha: float = ALPHA) -> float:
    """Chance that the two-sided exact binomial test of n answers finds a reader of this accuracy different from 0.5."""
    k = int(binom.ppf(alpha / 2, n, 0.5))
    while binom.cdf(k, n, 0.5) > alpha / 2:
        k -= 1
    return float(binom.cdf(k, n, accuracy) + binom.sf(n - k - 1, n, accuracy)) if k >= 0 else 0.0


def power_of_equivalence(n: int, margin: float, accuracy: float = 0.5, alpha: float = ALPHA) -> float:
    """Chance that two one-sided exact tests of n answers show an accuracy within 0.5 +- margin, if it is `accuracy`."""
    k = np.arange(n + 1)
    inside = (binom.sf(k - 1, n, 0.5 - margin) <= alpha) & (binom.cdf(k, n, 0.5 + margin) <= alpha)
    return float(binom.pmf(k[inside], n, accuracy).sum())


def images_for_one_reader(
    accuracy: float | None = None,  # true accuracy to be told from 0.5 ...
    margin: float | None = None,    # ... or: show that an accuracy of 0.5 lies within 0.5 +- margin
    power: float = POWER,
    alpha: float = ALPHA,
) -> int:
    """The fewest images that reach the power. Exact power is a saw: a few images more may fall a little below it."""
    if (accuracy is None) == (margin is None):
        raise ValueError("give either accuracy (to be told from chance) or margin (of equivalence with chance)")
    if margin is not None and not 0.02 <= margin < 0.5:
        raise ValueError(f"margin is {margin}; it must lie between 0.02 and 0.5")
    if accuracy is not None and not 0.02 <= abs(accuracy - 0.5) < 0.5:
        raise ValueError(f"accuracy is {accuracy}; it must differ from 0.5 by at least 0.02 and lie between 0 and 1")
    for n in range(4, 100_000):
        found = power_of_equivalence(n, margin, 0.5, alpha) if margin else power_against_chance(n, accuracy, alpha)
        if found >= power:
            return n
    raise ValueError("over 100 000 images: choose a wider margin")


def power_of_readers(
    readers: int,
    images: int,            # that each reader answers
    accuracy: float,        # mean of the population of readers
    spread: float,          # standard deviation of accuracy between readers
    correlation: float,     # of two readers' being right about the same image
    margin: float | None = None,    # None: to be told from 0.5; else equivalence with 0.5 within this margin
    alpha: float = ALPHA,
) -> float:
    """Power of a one-sample test of mean accuracy over random readers and images (Hillis' degrees of freedom).

    One reader is answered exactly by power_against_chance and power_of_equivalence.
    """
    error = accuracy * (1 - accuracy) / images
    reader = spread ** 2 + error * (1 - correlation)        # mean square between readers
    variance = reader + readers * error * correlation
    step = np.sqrt(variance / readers)
    df = variance ** 2 / (reader ** 2 / (readers - 1))
    if margin is None:
        shift, limit = abs(accuracy - 0.5) / step, stats.t.ppf(1 - alpha / 2, df)
        # Noncentral t, over 4000 equally likely values of its chi-square: SciPy's own is not finite everywhere.
        scale = limit * np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, df) / df)
        return float(np.mean(stats.norm.sf(scale - shift) + stats.norm.cdf(-scale - shift)))
    reach = margin / step - stats.t.ppf(1 - alpha, df)
    # The interval of half-width t * step must lie inside the margin; the spread of the estimated step is left out.
    shift = (accuracy - 0.5) / step
    return float(max(0.0, stats.t.cdf(reach - shift, df) - stats.t.cdf(-reach - shift, df))) if reach > 0 else 0.0


def table(
    accuracy: float | None = None,
    margin: float | None = None,
    spread: float = 0.05,
    correlation: float = 0.1,
    images: tuple[int, ...] = (40, 68, 100, 150, 200, 300, 400),
    readers: tuple[int, ...] = (1, 3, 6, 10, 20),
) -> pd.DataFrame:
    """Power for numbers of images (rows) and readers (columns): of telling `accuracy` from 0.5, or of equivalence."""
    images_for_one_reader(accuracy, margin)     # refuses values that make no sense
    true = 0.5 if accuracy is None else accuracy

    def power(n: int, r: int) -> float:
        if r == 1:
            return power_of_equivalence(n, margin) if margin else power_against_chance(n, true)
        return power_of_readers(r, n, true, spread, correlation, margin)

    return pd.DataFrame([[power(n, r) for r in readers] for n in images], index=pd.Index(images, name="images"),
                        columns=pd.Index(readers, name="readers"))
