"""Agreement between readers and within a reader: kappa, alpha, ICC, AC1, each for what it is made for."""

import numpy as np
from scipy import stats

from uslab.score import Score, proportion
from uslab.study.statistics import Z

ICC = ("ICC(A,1)", "ICC(C,1)", "ICC(A,k)", "ICC(C,k)")


def cohen(a: np.ndarray, b: np.ndarray, ordered: bool = False) -> Score:
    """Cohen's kappa of two columns of answers; ordered: quadratic weights for a scale of whole numbers."""
    from statsmodels.stats.inter_rater import cohens_kappa

    a, b, name = np.asarray(a), np.asarray(b), "weighted kappa" if ordered else "Cohen's kappa"
    steps = np.arange(int(min(a.min(), b.min())), int(max(a.max(), b.max())) + 1) if ordered else np.unique([a, b])
    if len(steps) < 2:
        return Score(name, np.nan, n=len(a), note="every answer was the same")
    table = (a[:, None, None] == steps[:, None]) & (b[:, None, None] == steps)
    if len(np.unique(a)) == 1 or len(np.unique(b)) == 1:    # then kappa is 0, whatever the other answered
        return Score(name, 0.0, n=len(a), note="one of the two always gave one answer")
    if (a == b).all():
        return Score(name, 1.0, n=len(a), note="no interval: every answer agreed")
    with np.errstate(invalid="ignore", divide="ignore"):    # of a z-value that is not used here
        found = cohens_kappa(table.sum(0), wt="quadratic" if ordered else None)
    return Score(name, float(found.kappa), max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp)), len(a),
                 "Cohen, large samples")


def same(a: np.ndarray, b: np.ndarray) -> Score:
    """Share of equal answers."""
    return proportion(int((np.asarray(a) == np.asarray(b)).sum()), len(a), "equal answers")


def fleiss(answers: np.ndarray) -> float:
    """Fleiss' kappa of complete answers (items, readers)."""
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    table, found = aggregate_raters(np.asarray(answers))
    return float(fleiss_kappa(table)) if len(found) > 1 else np.nan


def krippendorff(
    answers: np.ndarray,        # (items, readers) numbers, NaN where a reader gave none
    level: str = "nominal",     # or 'ordinal', 'interval'
) -> float:
    """Krippendorff's alpha from the coincidence matrix (Krippendorff 2011, Computing Alpha-Reliability)."""
    answers = np.asarray(answers, float)
    values = np.unique(answers[np.isfinite(answers)])
    counts = (answers[:, :, None] == values).sum(1).astype(float)      # (items, values)
    counts = counts[counts.sum(1) > 1]                                  # an item with one answer pairs with none
    m = counts.sum(1, keepdims=True)
    pairs = (counts.T @ (counts / (m - 1))) - np.diag((counts / (m - 1)).sum(0))
    n = pairs.sum(1)
    if level == "nominal":
        distance = 1.0 - np.eye(len(values))
    elif level == "interval":
        distance = (values[:, None] - values) ** 2
    else:
        middle = np.cumsum(n) - n / 2       # ranks between two values: all of those between, half of each end
        distance = (middle[:, None] - middle) ** 2
    expected = (np.outer(n, n) * distance).sum() / (n.sum() - 1)
    return float(1 - (pairs * distance).sum() / expected) if expected > 0 else np.nan


def icc(scores: np.ndarray) -> list[Score]:
    """Intraclass correlations of complete scores (items, readers) by McGraw and Wong (1996), with F intervals.

    'ICC(A,1)': absolute agreement of one reader; 'ICC(C,1)': consistency of one reader, whose mean level is free;
    'ICC(A,k)', 'ICC(C,k)': of the mean of all readers. In the names of Shrout and Fleiss (1979): 2,1; 3,1; 2,k; 3,k.
    """
    scores = np.asarray(scores, float)
    n, k = scores.shape
    grand = scores.mean()
    rows, columns = scores.mean(1) - grand, scores.mean(0) - grand
    msr, msc = k * (rows ** 2).sum() / (n - 1), n * (columns ** 2).sum() / (k - 1)
    mse = ((scores - grand - rows[:, None] - columns) ** 2).sum() / ((n - 1) * (k - 1))
    if msr + mse == 0:
        return [Score(name, np.nan, n=n, note="all scores are equal") for name in ICC]
    a1 = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    ak = (msr - mse) / (msr + (msc - mse) / n)
    tail = 0.975
    f = msr / mse if mse > 0 else np.inf
    df = (n - 1) * (k - 1)
    low, high = f / stats.f.ppf(tail, n - 1, df), f * stats.f.ppf(tail, df, n - 1)
    # Absolute agreement: Satterthwaite's degrees of freedom for the readers' and the residual variance together.
    a, b = k * a1 / (n * (1 - a1)), 1 + k * a1 * (n - 1) / (n * (1 - a1))
    v = (a * msc + b * mse) ** 2 / ((a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / df)
    up, down = stats.f.ppf(tail, n - 1, v), stats.f.ppf(tail, v, n - 1)
    spread = k * msc + (k * n - k - n) * mse
    a_low = n * (msr - up * mse) / (up * spread + n * msr)
    a_high = n * (down * msr - mse) / (spread + n * down * msr)
    raised = [k * x / (1 + (k - 1) * x) for x in (a_low, a_high)]

    c1, ck = (msr - mse) / (msr + (k - 1) * mse), (msr - mse) / msr if msr > 0 else np.nan
    found = ((a1, a_low, a_high), (c1, (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)),
             (ak, *raised), (ck, 1 - 1 / low, 1 - 1 / high))
    return [Score(name, *map(float, values), n, "McGraw and Wong 1996") for name, values in zip(ICC, found)]


def gwet(answers: np.ndarray) -> Score:
    """Gwet's AC1 of complete answers (items, readers) (Gwet 2008, Br. J. Math. Stat. Psychol. 61:29).

    It stays sensible where nearly all answers are of one kind, where kappa falls to zero though readers agree.
    """
    answers = np.asarray(answers)
    n, r = answers.shape
    values = np.unique(answers)
    q = len(values)
    if q < 2:
        return Score("Gwet's AC1", np.nan, n=n, note="every answer was the same")
    counts = (answers[:, :, None] == values).sum(1)
    each = (counts * (counts - 1)).sum(1) / (r * (r - 1))
    share = counts.mean(0) / r
    chance = (share * (1 - share)).sum() / (q - 1)
    value = (each.mean() - chance) / (1 - chance)
    # The variance of the linearised estimate, equation 24.
    own = (each - chance) / (1 - chance)
    tilt = ((counts / r) * (1 - share)).sum(1) / (q - 1)
    star = own - 2 * (1 - value) * (tilt - chance) / (1 - chance)
    reach = Z * np.sqrt(((star - value) ** 2).sum() / n / (n - 1))
    return Score("Gwet's AC1", float(value), float(value - reach), float(min(1, value + reach)), n,
                 "Gwet 2008, large samples")
