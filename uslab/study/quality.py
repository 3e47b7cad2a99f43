"""Quality scores: what each method got, and whether any measure of an image goes with it, errors controlled."""

import numpy as np
import pandas as pd
from scipy import stats

PARTNERS = 8        # random real images that PSNR and mutual information of one synthetic image are averaged over
LEAST = 8           # synthetic images below which no correlation is computed


def summary(main: pd.DataFrame) -> pd.DataFrame:
    """One row a method and the real images: n ratings, mean, quartiles, and the share of each step."""
    rows = []
    for method, own in main.groupby("method", sort=False):
        scores = own.quality.to_numpy(float)
        rows.append({"method": method, "ratings": len(scores), "images": own.case.nunique(), "mean": scores.mean(),
                     "lower quartile": np.percentile(scores, 25), "median": np.median(scores),
                     "upper quartile": np.percentile(scores, 75),
                     **{f"{step}": float((scores == step).mean()) for step in range(1, int(scores.max()) + 1)}})
    return pd.DataFrame(rows).fillna(0.0)


def measures(images: np.ndarray, real: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Measures of single images, uint8 (N, 1, H, W): PSNR (dB), mutual information (nats), 256 LBP shares V0 to V255.

    PSNR and mutual information are means over PARTNERS random real images, for Bautista 2022 compares unpaired images.
    A Frechet distance is no measure of an image and is not here. V counts from 0, in scikit-image's order.
    """
    from uslab.metrics.sets import pixels
    from uslab.metrics.similarity import mutual_information_each, psnr_each
    from uslab.metrics.texture import lbp_counts

    rng = np.random.default_rng(seed)
    a = pixels(images)
    partner = [pixels(real)[rng.integers(len(real), size=len(images))] for _ in range(PARTNERS)]
    counts = lbp_counts(images)
    shares = pd.DataFrame(counts / counts.sum(1, keepdims=True), columns=[f"V{i}" for i in range(256)])
    shares.insert(0, "MI", np.mean([mutual_information_each(a, b) for b in partner], 0))
    shares.insert(0, "PSNR", np.mean([psnr_each(a, b) for b in partner], 0))
    return shares


def correlations(
    scores: np.ndarray,         # (n,) mean quality of each synthetic image
    table: pd.DataFrame,        # n rows, a column a measure
    method: np.ndarray,         # (n,) method of each image
) -> pd.DataFrame:
    """Correlation of each column with the scores within methods: measure, r, rho, p of rho, q; sorted by p.

    The mean of each method is taken out of both: methods differ in quality and in nearly every measure, so that over
    all of them nearly every measure would go with quality. q is the false-discovery rate over all columns (Benjamini
    and Hochberg 1995). Columns that never vary are left out.
    """
    rows = []
    scores = np.asarray(scores, float) - pd.Series(scores).groupby(method).transform("mean").to_numpy()
    for name, values in table.items():
        values = values.to_numpy(float) - values.groupby(method).transform("mean").to_numpy()
        if np.ptp(values) > 0 and np.ptp(scores) > 0:
            found = stats.spearmanr(values, scores)
            rows.append((name, stats.pearsonr(values, scores).statistic, found.statistic, found.pvalue))
    frame = pd.DataFrame(rows, columns=["measure", "r", "rho", "p"])
    frame["q"] = stats.false_discovery_control(frame.p) if len(frame) else []
    return frame.sort_values("p", ignore_index=True)


def by_chance(n: int, limit: float = 0.2) -> float:
    """Chance that two unrelated columns of n numbers correlate above the limit in absolute value."""
    t = limit * np.sqrt((n - 2) / (1 - limit ** 2))
    return float(2 * stats.t.sf(t, n - 2))
