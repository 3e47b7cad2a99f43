"""Several readers, several images: do methods differ for readers and images like these? Obuchowski-Rockette-Hillis.

Obuchowski and Rockette 1995 (Commun. Stat. Simul. 24:285); degrees of freedom of Hillis 2007 (Stat. Med. 26:596).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from uslab.study.statistics import placements


@dataclass(frozen=True)
class Comparison:
    """Methods compared over readers. Tables and numbers; differences and values of the figure of merit."""

    values: np.ndarray          # (methods, readers) figure of merit, such as the area under the ROC curve
    components: dict            # var_reader, var_method_reader, cov1, cov2, cov3, var_error (may be negative)
    tests: pd.DataFrame         # one row an analysis: statistic, df1, df2, p and what it speaks for
    differences: pd.DataFrame   # one row a pair of methods and analysis: difference, low, high, p
    single: pd.DataFrame        # one row a method and analysis: value, low, high, df, standard error


def areas(
    real: np.ndarray,               # (methods, readers, n0) ratings of the real images, higher for 'synthetic'
    synthetic: list[np.ndarray],    # of each method (readers, n1)
    same: bool = False,             # every method shows the same synthetic images (as in a study of two displays)
) -> tuple[np.ndarray, np.ndarray]:
    """Area of each method and reader (methods, readers), and their covariance (methods * readers squared) after DeLong.

    The real images are shared by the methods, so they join them; the synthetic images join them only if they are the
    same.
    """
    t, r, n0 = real.shape
    parts = [[placements(real[i, j], synthetic[i][j]) for j in range(r)] for i in range(t)]
    value = np.array([[part[0].mean() for part in row] for row in parts])
    of_real = np.array([part[1] for row in parts for part in row])
    covariance = np.atleast_2d(np.cov(of_real)) / n0
    if same:
        of_synthetic = np.array([part[0] for row in parts for part in row])
        return value, covariance + np.atleast_2d(np.cov(of_synthetic)) / of_synthetic.shape[1]
    for i in range(t):
        block = np.s_[i * r:(i + 1) * r, i * r:(i + 1) * r]
        of_synthetic = np.array([part[0] for part in parts[i]])
        covariance[block] += np.atleast_2d(np.cov(of_synthetic)) / of_synthetic.shape[1]
    return value, covariance


def proportions(correct: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The same for shares of right answers: of each method (readers, n), 1 for right; other images in each method."""
    value = np.array([part.mean(1) for part in correct])
    t, r = value.shape
    covariance = np.zeros((t * r, t * r))
    for i, part in enumerate(correct):
        covariance[i * r:(i + 1) * r, i * r:(i + 1) * r] = np.atleast_2d(np.cov(part)) / part.shape[1]
    return value, covariance


def compare(
    value: np.ndarray,          # (methods, readers) from areas() or proportions()
    covariance: np.ndarray,     # (methods * readers, methods * readers), methods outer
    level: float = 0.95,
) -> Comparison:
    """Test whether methods differ, and give intervals for each method and each difference.

    Three analyses: random readers and random images (speaks for readers and images like these; needs at least two
    readers), fixed readers (speaks for these readers only), fixed images (for these images only). The interval of one
    method over random readers is at least as wide as over fixed ones. All stay where an area or a proportion can lie.
    """
    t, r = value.shape
    table = covariance.reshape(t, r, t, r)
    same_t, same_r = np.eye(t, dtype=bool)[:, None, :, None], np.eye(r, dtype=bool)[None, :, None, :]

    def mean(mask) -> float:
        chosen = table[np.broadcast_to(mask, table.shape)]
        return float(chosen.mean()) if chosen.size else 0.0

    error, cov1 = mean(same_t & same_r), mean(~same_t & same_r)
    cov2, cov3 = mean(same_t & ~same_r), mean(~same_t & ~same_r)
    grand, by_method, by_reader = value.mean(), value.mean(1), value.mean(0)
    ms_t = r * ((by_method - grand) ** 2).sum() / max(1, t - 1)
    ms_r = t * ((by_reader - grand) ** 2).sum() / max(1, r - 1)
    ms_tr = ((value - by_method[:, None] - by_reader + grand) ** 2).sum() / max(1, (t - 1) * (r - 1))
    extra = max(cov2 - cov3, 0)
    components = {
        "var_reader": (ms_r - ms_tr) / t - (cov1 - cov3), "var_method_reader": ms_tr - error + cov1 + extra,
        "cov1": cov1, "cov2": cov2, "cov3": cov3, "var_error": error}
    pairs = [(i, j) for i in range(t) for j in range(i + 1, t)]
    tests, differences, single = [], [], []
    shared = error - cov1 + (r - 1) * extra
    if t > 1:
        analyses = [("fixed readers, random images", stats.chi2, _ratio(ms_t * (t - 1), shared),
                     t - 1, np.inf, shared)]
        if r > 1:
            denominator = ms_tr + r * extra
            df2 = denominator ** 2 / (ms_tr ** 2 / ((t - 1) * (r - 1))) if ms_tr > 0 else np.inf
            analyses = [("random readers, random images", stats.f, _ratio(ms_t, denominator), t - 1, df2, denominator),
                        *analyses,
                        ("random readers, fixed images", stats.f, _ratio(ms_t, ms_tr), t - 1, (t - 1) * (r - 1), ms_tr)]
        for name, law, statistic, df1, df2, variance in analyses:
            p = law.sf(statistic, df1) if law is stats.chi2 else law.sf(statistic, df1, df2)
            tests.append((name, "chi2" if law is stats.chi2 else "F", statistic, df1, df2, float(p)))
            reach, step = stats.t.ppf(0.5 + level / 2, df2), np.sqrt(2 * max(variance, 0) / r)
            for i, j in pairs:
                gap = by_method[i] - by_method[j]
                low, high = np.clip([gap - reach * step, gap + reach * step], -1, 1)
                differences.append((name, i, j, gap, low, high, float(2 * stats.t.sf(_ratio(abs(gap), step), df2))))
    for i in range(t):
        own = table[i, :, i, :]
        own_error, own_cov = np.trace(own) / r, (own.sum() - np.trace(own)) / max(1, r * (r - 1))
        own_ms = value[i].var(ddof=1) if r > 1 else 0.0
        fixed = (own_error + (r - 1) * max(own_cov, 0)) / r
        rows = [("fixed readers, random images", fixed, np.inf)]
        if r > 1:
            total = own_ms + r * max(own_cov, 0)
            df = total ** 2 / (own_ms ** 2 / (r - 1)) if own_ms > 0 else np.inf
            # A few readers can be alike by luck; to speak for all readers cannot be surer than to speak for these.
            tail = 0.5 + level / 2
            lucky = stats.t.ppf(tail, df) * np.sqrt(total / r) < stats.norm.ppf(tail) * np.sqrt(fixed)
            rows = [("random readers, random images", *((fixed, np.inf) if lucky else (total / r, df))), *rows]
        for name, variance, df in rows:
            reach = stats.t.ppf(0.5 + level / 2, df) * np.sqrt(variance)
            low, high = np.clip([by_method[i] - reach, by_method[i] + reach], 0, 1)
            single.append((name, i, by_method[i], low, high, df, np.sqrt(variance)))
    return Comparison(
        value, components, pd.DataFrame(tests, columns=["analysis", "test", "statistic", "df1", "df2", "p"]),
        pd.DataFrame(differences, columns=["analysis", "a", "b", "difference", "low", "high", "p"]),
        pd.DataFrame(single, columns=["analysis", "method", "value", "low", "high", "df", "error"]))


def equivalence(value: float, error: float, df: float, margin: float, centre: float = 0.5) -> float:
    """p-value of two one-sided t tests that a figure of merit lies within centre +- margin."""
    if not error > 0:
        return np.nan
    low = stats.t.sf((value - (centre - margin)) / error, df)
    high = stats.t.cdf((value - (centre + margin)) / error, df)
    return float(max(low, high))


def _ratio(a: float, b: float) -> float:
    """a / b; NaN where there is no variation to hold a against."""
    return float(a / b) if b > 0 else np.nan
