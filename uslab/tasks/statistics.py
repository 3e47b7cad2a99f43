"""Is one classifier better than another? Paired tests over folds and over images; uslab.score.holm is for many.

A test gives a Score: the mean of a - b, its interval where the test has one, p, and the folds, images or groups as n.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..score import Score

Values = Sequence[float] | np.ndarray | pd.Series


def paired_t(a: Values, b: Values, corrected: bool = True, test_share: float | None = None) -> Score:
    """Two-sided paired t-test over folds; the note holds the p-value with the other variance.

    Folds share most of their training images, so their scores are not independent and the plain test finds too much.
    The correction multiplies the variance of the mean, s^2 / k, by 1 + k n_test / n_train (Nadeau and Bengio 2003,
    Machine Learning 52:239). With a k-fold that is repeated r times give the r k scores and test_share=1/k. Where the
    difference is the same on each fold, as 0 on two, there is no spread, no interval and no p. Raises ValueError for
    unequal lengths, fewer than 2 folds, values that are not finite.

    Args:
        a: (k,) a score of classifier a on each fold.
        b: (k,) of classifier b on the same folds.
        corrected: The variance of Nadeau and Bengio; False: the plain test, as in Maack 2022.
        test_share: Share of the images that a fold tests; None: 1 / k, a k-fold run once.
    """
    a, b = paired(a, b)
    # Means of equal scores differ by rounding.
    k, gap = len(a), np.where(np.isclose(a, b, rtol=1e-12, atol=0), 0.0, a - b)
    share = 1 / k if test_share is None else test_share
    if not 0 < share < 1:
        raise ValueError(f"test_share is {share}: it is the part of the images that a fold tests, between 0 and 1")
    plain = np.sqrt(gap.var(ddof=1) / k)
    errors = {True: plain * np.sqrt(1 + k * share / (1 - share)), False: plain}

    def p(error: float) -> float:
        return float(2 * stats.t.sf(abs(gap.mean()) / error, k - 1))

    name, value = f"difference, {'corrected ' * corrected}paired t-test", float(gap.mean())
    if plain == 0:
        return Score(name, value, n=k, note="over folds; no test: the same difference on each")
    reach = float(stats.t.ppf(0.975, k - 1) * errors[corrected])
    other = f"p = {p(errors[not corrected]):.3g} with the {'plain' if corrected else 'corrected'} variance"
    return Score(name, value, value - reach, value + reach, k, f"over folds; {other}", p(errors[corrected]))


def wilcoxon(
    a: Values,    # (k,) a score of a on each fold, or on each image
    b: Values,    # (k,)
) -> Score:
    """Two-sided Wilcoxon signed-rank test, exact for few pairs without ties (scipy).

    With 5 folds the smallest p that it can give is 0.0625. Raises ValueError like paired_t.
    """
    a, b = paired(a, b)
    p = 1.0 if (a == b).all() else float(stats.wilcoxon(a, b).pvalue)
    return Score("difference, Wilcoxon signed-rank test", float((a - b).mean()), n=len(a), note="over pairs", p=p)


def mcnemar(a: Values, b: Values, groups: Values | None = None, alternative: str = "two-sided", seed: int = 0) -> Score:
    """Exact McNemar test of two classifiers on the same images; with groups, a test that respects them.

    McNemar takes images as independent, which frames of one patient are not. With groups the sum of a - b over each
    patient keeps or changes its sign, which under the null hypothesis is equally likely (scipy's permutation test):
    with G patients the smallest one-sided p is 2^-G. Raises ValueError for unequal lengths, another alternative and
    values other than True and False.

    Args:
        a: (n,) bool: did a classify image i correctly.
        b: (n,) bool, of the same images.
        groups: (n,) patient or exam of each image: the test over patients.
        alternative: 'greater': a is better; 'less': a is worse, each one-sided as in Grimwood 2021.
        seed: Of the random signs, where there are too many groups for all of them.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative is {alternative!r}: choose 'two-sided', 'greater' or 'less'")
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != bool or b.dtype != bool:
        raise ValueError("McNemar's test takes True for a correct image and False for a wrong one, for each classifier")
    if a.shape != b.shape or not len(a) or (groups is not None and len(groups) != len(a)):
        raise ValueError(f"{len(a)} and {len(b)} images cannot be paired: both classifiers, and groups, need the same "
                         "ones")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    difference, about = (only_a - only_b) / len(a), f"only a right {only_a}, only b right {only_b}; {alternative}"
    if groups is None:
        p = stats.binomtest(only_a, only_a + only_b, alternative=alternative).pvalue if only_a + only_b else 1.0
        about += "; images independent"
        return Score("difference, McNemar's test", difference, n=len(a), note=about, p=float(p))
    sums = pd.Series(a.astype(int) - b).groupby(np.asarray(groups)).sum().to_numpy()
    p = 1.0
    if sums.any():
        p = stats.permutation_test((sums,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=9999,
                                   vectorized=True, alternative=alternative, rng=np.random.default_rng(seed)).pvalue
    return Score("difference, McNemar's test by group", difference, n=len(sums),
                 note=f"{about}; signs of {len(sums)} patients or exams exchanged", p=float(p))


def paired(a: Values, b: Values) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"{a.shape} and {b.shape} are no pairs: give one value a fold for each, at least 2 folds")
    if not np.isfinite(a + b).all():
        raise ValueError("a score is not finite: look at that fold")
    return a, b
