"""Score: a number that is shown, with its interval, its n and how it was made; and what makes one of counts and values.

A hit is a synthetic image called synthetic, a false alarm a real image called synthetic. All intervals are 95 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:       # slow to import, and the page of a reader, which needs a share alone, imports this module
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Score:
    """A value is never shown without its name, n and, where there is one, its 95 % interval."""

    name: str               # 'FID' only in Inception space, else 'FD-lite0' and the like
    value: float            # nan where it cannot be estimated, with the reason in the note
    low: float = math.nan   # lower end of the 95 % interval; nan where there is none
    high: float = math.nan  # upper end
    n: int = 0              # synthetic images, pairs, answers, folds, seeds: what the value rests on
    note: str = ""          # how value and interval were made: feature space, numbers of real images, pairs, ...
    p: float = math.nan     # p-value, where the score is the outcome of a test

    @property
    def shown(self) -> str:
        """The value with four significant digits, without an exponent where a number of usual size needs none."""
        return short(self.value)

    @property
    def interval(self) -> str:
        """The interval as [low, high]; empty where there is none."""
        return "" if math.isnan(self.low + self.high) else f"[{short(self.low)}, {short(self.high)}]"

    def __str__(self) -> str:
        parts = [f"{self.name} {self.shown} {self.interval}".rstrip()]
        parts += [f"p = {self.p:.3g}"] if math.isfinite(self.p) else []
        parts += [f"n = {self.n}"] if self.n else []
        return ", ".join(parts) + (f" ({self.note})" if self.note else "")

    def __format__(self, spec: str) -> str:
        """With a precision and a type, such as .2f: 0.64 (0.55 to 0.72), for the cell of a table; else as str()."""
        if not spec:
            return str(self)
        if not math.isfinite(self.value):
            return "not estimable"
        value, low, high = (f"{number:z{spec}}" for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})" if self.interval else value

    def as_dict(self) -> dict:
        """The entry for run.json: None for what is not finite, as JSON knows no nan; `p` only where there is one."""
        numbers = {key: float(value) if math.isfinite(value := getattr(self, key)) else None
                   for key in ("value", "low", "high", "p")}
        found = {"name": self.name, **numbers, "n": int(self.n), "note": self.note, "p": numbers.pop("p")}
        return {key: value for key, value in found.items() if key != "p" or value is not None}


FIELDS = tuple(field.name for field in dataclasses.fields(Score))


def short(value: float) -> str:
    if math.isnan(value):
        return "not estimable"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def read(
    metric: Mapping,        # an entry of a run.json
) -> tuple[dict, Score]:
    """The keys that stand beside a score and tell it apart, such as its set, and the score itself."""
    numbers = {key: math.nan if metric.get(key) is None else float(metric[key])
               for key in ("value", "low", "high", "p")}
    note = metric.get("note", metric.get("text"))   # `text` in records of earlier versions
    score = Score(metric.get("name", ""), n=metric.get("n") or 0, note=note or "", **numbers)
    return {key: value for key, value in metric.items() if key not in (*FIELDS, "text")}, score


def table(
    scores: Iterable[Score | Mapping],      # scores, or entries of a run.json
    **keys,                                 # columns before them, the same in every row, such as set="ada"
) -> pd.DataFrame:
    """One row a score: what tells it apart, then name, value, low, high, n and note; p where a score has one."""
    import pandas as pd

    parts = [({}, score) if isinstance(score, Score) else read(score) for score in scores]
    rows = [keys | beside | dataclasses.asdict(score) for beside, score in parts]
    names = dict.fromkeys([*keys, *(name for row in rows for name in row if name not in FIELDS), *FIELDS])
    found = pd.DataFrame(rows, columns=list(names))
    return found if found.p.notna().any() else found.drop(columns="p")


def mean(
    name: str,
    values: Sequence[float] | np.ndarray | pd.Series,   # (k,) independent: no image and no patient is in two of them
    over: str = "values",                               # what they are: 'disjoint pairs', 'patients', 'folds'
    note: str = "",
) -> Score:
    """The mean with Student's interval; with fewer than three values, or one that is not finite, there is none."""
    from scipy import stats

    values = np.asarray(values, float)
    k, value = len(values), float(values.mean()) if len(values) else math.nan
    if k < 3 or not np.isfinite(values).all():
        reach, how = math.nan, f"no interval: {'fewer than 3' if k < 3 else 'a value is not finite, of'} {over}"
    else:
        reach, how = float(stats.t.ppf(0.975, k - 1) * values.std(ddof=1) / k ** 0.5), f"95 % t interval over {over}"
    return Score(name, value, value - reach, value + reach, k, "; ".join(filter(None, (note, how))))


def over_seeds(
    scores: pd.DataFrame,   # one row a score and training seed: what table() gives, with a column `seed`
) -> pd.DataFrame:
    """Rows that differ by their seed alone as one: the mean over trainings with its t interval, n the number of seeds.

    This interval holds what that of a single training cannot: that a network trained anew is another one. With fewer
    than three seeds there is none, and the row of a single seed stays as it is. Every column but value, low, high, n,
    note and p tells rows apart; `seeds` is added, the number of seeds. Raises ValueError where a seed is there twice.
    """
    import pandas as pd

    keys = [name for name in scores if name not in (*FIELDS[1:], "seed")]
    rows = []
    for key, rows_of_key in scores.groupby(keys, sort=False, dropna=False):
        found = rows_of_key.dropna(subset="value")
        if found.seed.duplicated().any():
            raise ValueError(f"{', '.join(map(str, key))} is there twice with seed "
                             f"{found.seed[found.seed.duplicated()].iloc[0]}: a column is missing that tells "
                             "the rows apart")
        if len(found) < 2:
            rows.append((found if len(found) else rows_of_key).iloc[0].to_dict() | {"seeds": len(found)})
        else:
            told = (f"mean of {len(found)} training seeds ({', '.join(map(str, found.seed))}): "
                    f"{', '.join(map(short, found.value))}")
            score = mean("", found.value, "seeds", told)
            rows.append({**dataclasses.asdict(score), **dict(zip(keys, key)), "seeds": len(found)})
    columns = [name for name in scores if name != "seed"]
    return pd.DataFrame(rows, columns=[*columns, "seeds"])


def holm(p: Sequence[float] | np.ndarray | Mapping[str, float] | pd.Series) -> pd.Series:
    """The p-values adjusted for their number by Holm's step-down method (statsmodels), in the order given; nan stays.

    A value below 0.05 is significant with at most 5 % chance of any false finding among all of them.
    """
    import pandas as pd
    from statsmodels.stats.multitest import multipletests

    values = pd.Series(p, dtype=float, name="p, Holm")
    known = values.notna()
    if known.any():
        values[known] = multipletests(values[known], method="holm")[1]
    return values


def proportion(k: int, n: int, name: str = "share") -> Score:
    """k of n with Wilson's score interval."""
    from scipy.stats import binomtest

    if n == 0:
        return Score(name, math.nan, note="no answers")
    ends = binomtest(int(k), int(n)).proportion_ci(0.95, method="wilson")
    return Score(name, k / n, float(ends.low), float(ends.high), int(n), f"{k} of {n}, Wilson")


def detection(hits: int, n_synthetic: int, false_alarms: int, n_real: int) -> tuple[Score, Score]:
    """d' and criterion c of the equal-variance model, with Gourevitch and Galanter's (1967) interval.

    c above 0 leans to 'real'. If a class was always or never called synthetic there is no finite estimate; the usual
    corrections (adding a half) would invent one: 0.65 for somebody who calls all of 57 synthetic and 11 real images
    synthetic.
    """
    from scipy.stats import norm

    n, names = n_synthetic + n_real, ("d'", "criterion")
    if not (0 < hits < n_synthetic and 0 < false_alarms < n_real):
        return tuple(Score(name, math.nan, n=n, note="a class was always, or never, called synthetic")
                     for name in names)
    h, f = hits / n_synthetic, false_alarms / n_real
    zh, zf = norm.ppf(h), norm.ppf(f)
    error = np.sqrt(h * (1 - h) / n_synthetic / norm.pdf(zh) ** 2 + f * (1 - f) / n_real / norm.pdf(zf) ** 2)
    reach = float(norm.ppf(0.975) * error)
    return tuple(Score(name, value, value - half, value + half, n, "Gourevitch and Galanter 1967, large samples")
                 for name, value, half in zip(names, (float(zh - zf), float(-(zh + zf) / 2)), (reach, reach / 2)))
