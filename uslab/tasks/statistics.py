"""Is one classifier better than another? Paired tests over folds and over images, intervals, many tests at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

Values = Sequence[float] | np.ndarray | pd.Series


@dataclass(frozen=True)
class Test:
    """The outcome of a paired test of a against b."""

    __test__ = False      # pytest takes classes of this name for its own

    name: str
    difference: float     # mean of a - b
    low: float            # 95 % interval of the difference; nan where the test gives none
    high: float
    p: float
    n: int                # folds, images or groups that the test rests on
    note: str = ""

    def __str__(self) -> str:
        interval = f" [{self.low:.4g}, {self.high:.4g}]" if np.isfinite(self.low + self.high) else ""
        return f"{self.name}: difference {self.difference:.4g}{interval}, p = {self.p:.3g}, n = {self.n} ({self.note})"


def paired_t(
    a: Values,                          # (k,) a score of classifier a on each fold
    b: Values,                          # (k,) of classifier b on the same folds
    corrected: bool = True,             # the variance of Nadeau and Bengio; False: the plain test, as in Maack 2022
    test_share: float | None = None,    # share of the images that a fold tests; None: 1 / k, a k-fold run once
) -> Test:
    """Two-sided paired t-test over folds; the note holds the p-value with the other variance.

    Folds share most of their training images, so their scores are not independent and the plain test finds too much.
    The correction multiplies the variance of the mean, s^2 / k, by 1 + k n_test / n_train (Nadeau and Bengio 2003,
    Machine Learning 52:239). With a k-fold that is repeated r times give the r k scores and test_share=1/k. Raises
    ValueError for unequal lengths, fewer than 2 folds, values that are not finite.
    """
    a, b = paired(a, b)
    k, gap = len(a), np.where(np.isclose(a, b, rtol=1e-12, atol=0), 0.0, a - b)   # means of equal scores differ by rounding
    share = 1 / k if test_share is None else test_share
    if not 0 < share < 1:
        raise ValueError(f"test_share is {share}: it is the part of the images that a fold tests, between 0 and 1")
    plain = np.sqrt(gap.var(ddof=1) / k)
    errors = {True: plain * np.sqrt(1 + k * share / (1 - share)), False: plain}

    def p(error: float) -> float:
        if error == 0:
            return 1.0 if gap.mean() == 0 else 0.0
        return float(2 * stats.t.sf(abs(gap.mean()) / error, k - 1))

    reach = stats.t.ppf(0.975, k - 1) * errors[corrected]
    other = f"p = {p(errors[not corrected]):.3g} with the {'plain' if corrected else 'corrected'} variance"
    return Test("corrected paired t-test" if corrected else "paired t-test", float(gap.mean()),
                float(gap.mean() - reach), float(gap.mean() + reach), p(errors[corrected]), k, f"over folds; {other}")


def wilcoxon(
    a: Values,    # (k,) a score of a on each fold, or on each image
    b: Values,    # (k,)
) -> Test:
    """Two-sided Wilcoxon signed-rank test, exact for few pairs without ties (scipy).

    With 5 folds the smallest p that it can give is 0.0625. Raises ValueError like paired_t.
    """
    a, b = paired(a, b)
    p = 1.0 if (a == b).all() else float(stats.wilcoxon(a, b).pvalue)
    return Test("Wilcoxon signed-rank test", float((a - b).mean()), np.nan, np.nan, p, len(a), "over pairs")


def mcnemar(
    a: Values,                          # (n,) bool: did a classify image i correctly
    b: Values,                          # (n,) bool, of the same images
    groups: Values | None = None,       # (n,) patient or exam of each image: the test over patients
    alternative: str = "two-sided",     # 'greater': a is better; 'less': a is worse, each one-sided as in Grimwood 2021
    seed: int = 0,                      # of the random signs, where there are too many groups for all of them
) -> Test:
    """Exact McNemar test of two classifiers on the same images; with groups, a test that respects them.

    McNemar takes images as independent, which frames of one patient are not. With groups the sum of a - b over each
    patient keeps or changes its sign, which under the null hypothesis is equally likely (scipy's permutation test):
    with G patients the smallest one-sided p is 2^-G. Raises ValueError for unequal lengths, another alternative and
    values other than True and False.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative is {alternative!r}: choose 'two-sided', 'greater' or 'less'")
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != bool or b.dtype != bool:
        raise ValueError("McNemar's test takes True for a correct image and False for a wrong one, for each classifier")
    if a.shape != b.shape or not len(a) or (groups is not None and len(groups) != len(a)):
        raise ValueError(f"{len(a)} and {len(b)} images cannot be paired: both classifiers, and groups, need the same ones")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    difference, about = (only_a - only_b) / len(a), f"only a right {only_a}, only b right {only_b}; {alternative}"
    if groups is None:
        p = stats.binomtest(only_a, only_a + only_b, alternative=alternative).pvalue if only_a + only_b else 1.0
        return Test("McNemar's test", difference, np.nan, np.nan, float(p), len(a), f"{about}; images independent")
    sums = pd.Series(a.astype(int) - b).groupby(np.asarray(groups)).sum().to_numpy()
    p = 1.0
    if sums.any():
        p = stats.permutation_test((sums,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=9999,
                                   vectorized=True, alternative=alternative, rng=np.random.default_rng(seed)).pvalue
    return Test("McNemar's test by group", difference, np.nan, np.nan, float(p), len(sums),
                f"{about}; signs of {len(sums)} patients or exams exchanged")


def holm(p: Values | Mapping[str, float]) -> pd.Series:
    """The p-values adjusted for their number, by Holm's step-down method (statsmodels), in the order given.

    A value below 0.05 is significant with at most 5 % chance of any false finding among all of them.
    """
    from statsmodels.stats.multitest import multipletests

    values = pd.Series(p, dtype=float)
    return pd.Series(multipletests(values, method="holm")[1], values.index, name="p, Holm")


def interval(
    values: Values,        # (k,) a score on each fold or for each seed
    level: float = 0.95,
) -> tuple[float, float]:
    """Student's t interval for the mean of independent values; (nan, nan) for fewer than 3."""
    values = np.asarray(values, float)
    if len(values) < 3 or not np.isfinite(values).all():
        return np.nan, np.nan
    if (values == values[0]).all():
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(level, len(values) - 1, values.mean(), stats.sem(values))
    return float(low), float(high)


def proportion_interval(
    right: Values,         # (n,) bool, one an independent image
    level: float = 0.95,
) -> tuple[float, float]:
    """Wilson's interval for a share such as an accuracy (statsmodels); see Result.scores for images in groups."""
    from statsmodels.stats.proportion import proportion_confint

    right = np.asarray(right, bool)
    low, high = proportion_confint(int(right.sum()), len(right), 1 - level, method="wilson")
    return float(low), float(high)


def paired(a: Values, b: Values) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"{a.shape} and {b.shape} are no pairs: give one value a fold for each, at least 2 folds")
    if not np.isfinite(a + b).all():
        raise ValueError("a score is not finite: look at that fold")
    return a, b
