"""What one reader's answers say: forced choice, area under the ROC curve, equivalence. Shares and d': uslab.score."""

import numpy as np
from scipy.stats import binomtest, norm

from uslab.score import Score, proportion

Z = float(norm.ppf(0.975))

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


def forced_choice(k: int, n: int) -> tuple[Score, Score]:
    """Accuracy and d' = sqrt(2) z(p) of two-alternative forced choice (Green and Swets 1966)."""
    right = proportion(k, n, "accuracy")
    if not 0 < k < n:
        return right, Score("d'", np.nan, n=n, note="all, or none, were right")
    d = [float(np.sqrt(2) * norm.ppf(p)) for p in (right.value, right.low, right.high)]
    return right, Score("d'", *d, n, "sqrt(2) z of Wilson's interval")


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


def area(real: np.ndarray, synthetic: np.ndarray, name: str = "area") -> Score:
    """Area under the ROC curve with DeLong's interval, on the logit scale so that it stays within 0 and 1.

    With two possible answers it is the mean of both classes' rates of right answers.
    """
    real, synthetic = np.asarray(real, float), np.asarray(synthetic, float)
    n = len(real) + len(synthetic)
    if min(len(real), len(synthetic)) < 2:
        return Score(name, np.nan, n=n, note="fewer than two images of a class")
    of_synthetic, of_real = placements(real, synthetic)
    value = float(of_synthetic.mean())
    error = np.sqrt(of_synthetic.var(ddof=1) / len(synthetic) + of_real.var(ddof=1) / len(real))
    if error == 0 or not 0 < value < 1:
        return Score(name, value, n=n, note="no interval: every answer alike, or no answer wrong")
    centre, reach = np.log(value / (1 - value)), Z * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(centre - reach))), 1 / (1 + np.exp(-(centre + reach)))
    return Score(name, value, float(low), float(high), n, "DeLong 1988, logit")
