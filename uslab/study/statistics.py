"""What one reader's answers say: rates, d', criterion, area under the ROC curve, equivalence; each with its interval.

A hit is a synthetic image called synthetic, a false alarm a real image called synthetic. All intervals are 95 %.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

LEVEL = 0.95
Z = float(norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where it cannot be estimated, with the reason in `text`."""

    value: float
    low: float = np.nan
    high: float = np.nan
    n: int = 0          # answers that it rests on
    text: str = ""      # how it was made, or why there is none

    def __format__(self, spec: str) -> str:
        if not np.isfinite(self.value):
            return "not estimable"
        spec = spec or ".2f"
        shown = f"{self.value + 0.0:{spec}}"
        return f"{shown} ({self.low + 0.0:{spec}} to {self.high + 0.0:{spec}})" if np.isfinite(self.low) else shown


def proportion(k: int, n: int) -> Estimate:
    """k of n with Wilson's score interval."""
    if n == 0:
        return Estimate(np.nan, text="no answers")
    found = binomtest(int(k), int(n)).proportion_ci(LEVEL, method="wilson")
    return Estimate(k / n, float(found.low), float(found.high), int(n), f"{k} of {n}, Wilson")


def against_chance(k: int, n: int, chance: float = 0.5) -> float:
    """Two-sided exact binomial p-value of k of n against chance. A large one shows nothing: see equivalence."""
    return float(binomtest(int(k), int(n), chance).pvalue)


def equivalence(
    k: int,                 # right answers
    n: int,                 # of so many
    margin: float = 0.1,    # accuracies within chance +- margin count as no better than guessing; set before the study
    chance: float = 0.5,
) -> float:
    """p-value of two one-sided exact binomial tests (TOST): small if the accuracy lies within chance +- margin."""
    if not 0 < margin < min(chance, 1 - chance):
        raise ValueError(f"margin is {margin}; it must lie between 0 and {min(chance, 1 - chance)}")
    return float(max(binomtest(int(k), int(n), chance - margin, alternative="greater").pvalue,
                     binomtest(int(k), int(n), chance + margin, alternative="less").pvalue))


def detection(hits: int, n_synthetic: int, false_alarms: int, n_real: int) -> tuple[Estimate, Estimate]:
    """d' and criterion c of the equal-variance model, with Gourevitch and Galanter's (1967) interval.

    c above 0 leans to 'real'. If a class was always or never called synthetic there is no finite estimate; the usual
    corrections (adding a half) would invent one: 0.65 for somebody who calls all of 57 synthetic and 11 real images
    synthetic.
    """
    n = n_synthetic + n_real
    if not (0 < hits < n_synthetic and 0 < false_alarms < n_real):
        none = Estimate(np.nan, n=n, text="a class was always, or never, called synthetic")
        return none, none
    h, f = hits / n_synthetic, false_alarms / n_real
    zh, zf = norm.ppf(h), norm.ppf(f)
    error = np.sqrt(h * (1 - h) / n_synthetic / norm.pdf(zh) ** 2 + f * (1 - f) / n_real / norm.pdf(zf) ** 2)
    d, c, reach = float(zh - zf), float(-(zh + zf) / 2), float(Z * error)
    text = "Gourevitch and Galanter 1967, large samples"
    return Estimate(d, d - reach, d + reach, n, text), Estimate(c, c - reach / 2, c + reach / 2, n, text)


def forced_choice(k: int, n: int) -> tuple[Estimate, Estimate]:
    """Accuracy and d' = sqrt(2) z(p) of two-alternative forced choice (Green and Swets 1966)."""
    right = proportion(k, n)
    if not 0 < k < n:
        return right, Estimate(np.nan, n=n, text="all, or none, were right")
    d = [float(np.sqrt(2) * norm.ppf(p)) for p in (right.value, right.low, right.high)]
    return right, Estimate(*d, n, "sqrt(2) z of Wilson's interval")


def placements(real: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placement values of ratings, higher for 'synthetic' (DeLong et al. 1988, equations 3 to 5).

    real (n0,), synthetic (n1,); returns the share of real images below each synthetic one, (n1,), and of synthetic
    images above each real one, (n0,), ties counting one half. The mean of either is the area under the ROC curve.
    """
    above = (synthetic[:, None] > real) + 0.5 * (synthetic[:, None] == real)
    return above.mean(1), above.mean(0)


def curve(real: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The empirical ROC curve from (0, 0) to (1, 1), a point a rating: false alarms, and hits."""
    steps = np.r_[np.inf, np.unique([*real, *synthetic])[::-1]]
    return tuple(np.array([np.mean(part >= step) for step in steps]) for part in (real, synthetic))


def area(real: np.ndarray, synthetic: np.ndarray) -> Estimate:
    """Area under the ROC curve with DeLong's interval, on the logit scale so that it stays within 0 and 1.

    With two possible answers it is the mean of both classes' rates of right answers.
    """
    real, synthetic = np.asarray(real, float), np.asarray(synthetic, float)
    n = len(real) + len(synthetic)
    if min(len(real), len(synthetic)) < 2:
        return Estimate(np.nan, n=n, text="fewer than two images of a class")
    of_synthetic, of_real = placements(real, synthetic)
    value = float(of_synthetic.mean())
    error = np.sqrt(of_synthetic.var(ddof=1) / len(synthetic) + of_real.var(ddof=1) / len(real))
    if error == 0 or not 0 < value < 1:
        return Estimate(value, n=n, text="no interval: every answer alike, or no answer wrong")
    centre, reach = np.log(value / (1 - value)), Z * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(centre - reach))), 1 / (1 + np.exp(-(centre + reach)))
    return Estimate(value, float(low), float(high), n, "DeLong 1988, logit")
