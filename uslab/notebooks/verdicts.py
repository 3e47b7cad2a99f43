"""A verdict on each claim of the five papers: what the committed records say, with an interval over trainings."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from ..data.reading import read_json
from ..score import Score, mean
from .parameters import folder

FILE = "claims.yaml"
EXPECTED = ("lower", "higher", "same")
FEWEST = 3      # trainings that a verdict needs
APART = ("data_seed", "seed", "test_patient")   # what tells trainings apart


def claims(
    stem: str = "",                     # of one notebook; "": all
    results: str | Path | None = None,  # folder with one of records for each notebook; None: the committed ones
) -> pd.DataFrame:
    """One row a claim: id, paper, claim, what was run, the effect, the verdict and what it would take.

    What is looked at is written down in notebooks/claims.yaml: the difference of two values of one record, `first` -
    `second`, or the rank correlation of two columns, `relate`, and whether the paper expects it lower or higher than 0
    or the same within a margin. A claim is supported if the whole 95 % interval over trainings lies there, contradicted
    if it lies on the other side, and undecided otherwise, always with fewer than three trainings.

    Args:
        stem: The notebook.
        results: The folder of records.
    """
    root = Path(results) if results else folder() / "results"
    rows = []
    for claim in yaml.safe_load((folder() / FILE).read_text()):
        if stem in ("", claim["notebook"]):
            wanted = claim.get("records", "*")
            records = [read_json(path) for pattern in ([wanted] if isinstance(wanted, str) else wanted)
                       for path in sorted((root / claim["notebook"]).glob(f"{pattern}.json"))]
            score = effect(claim, records)
            within = f" Margin: {claim['margin']:g}." if "margin" in claim else ""
            rows.append({"id": claim["id"], "paper": claim["paper"], "claim": claim["claim"] + within,
                         "what was run": claim["run"] if score.n else "nothing yet", "effect": score,
                         "verdict": verdict(score, claim["expected"], claim.get("margin", 0.0)),
                         "it would take": claim["needs"]})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """docs/claims.md: the table of claims() for people."""
    decided = (table.verdict != "undecided").sum()
    lines = ["# The claims of the five papers", "",
             f"{len(table)} claims and parts of claims, {decided} decided. Made by",
             "`uslab report notebooks/results --claims docs/claims.md` from the committed records of runs;",
             "`notebooks/claims.yaml` says what is compared.", "",
             "A claim is *supported* or *contradicted* only where the whole 95 % interval over three trainings or more",
             "lies on one side of 0, or, where the claim is that two are the same, within the margin in its row or",
             "beyond it. Everything else is *undecided*: an effect that is not seen is not one that is not there.",
             "Runs are on phantoms unless the row says otherwise, so no verdict is one on the papers' own images.", "",
             "| | claim | what was run | effect | verdict | what it would take |", "|---|---|---|---|---|---|"]
    for row in table.itertuples(index=False):
        cells = [f"**{row.id}** {row.paper}", row.claim, row[3], text(row.effect), row.verdict, row[6]]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def text(score: Score) -> str:
    """An effect in one cell of a table."""
    if not score.n:
        return "–"
    return f"{score.name}: {score.shown} {score.interval}".rstrip() + f", {score.note}"


def verdict(
    score: Score,
    expected: str,          # 'lower', 'higher', or 'same'
    margin: float = 0.0,    # of 'same': within plus or minus so much
) -> str:
    """supported, contradicted or undecided. Raises ValueError for another expectation."""
    if expected not in EXPECTED or (expected == "same") != (margin > 0):
        raise ValueError(f"{FILE}: expected is {expected!r} with margin {margin:g}; it must be lower, higher, or same "
                         "with a margin above 0")
    if score.n < FEWEST or not math.isfinite(score.low + score.high):
        return "undecided"
    if expected == "same":
        within, beyond = -margin < score.low and score.high < margin, score.low > margin or score.high < -margin
    else:
        within, beyond = (score.high < 0, score.low > 0) if expected == "lower" else (score.low > 0, score.high < 0)
    return "supported" if within else "contradicted" if beyond else "undecided"


def effect(claim: Mapping, records: list[dict]) -> Score:
    """The claim's effect over trainings; n is 0 where the records do not hold it.

    Records of one data seed, one training seed and one left-out patient belong together: the sets of one training are
    no replicates.
    """
    rows = pd.DataFrame([row for record in records for row in rows_of(claim, record)])
    if "relate" in claim:
        return correlation(rows, *claim["relate"])
    ends = [values(rows, claim[end]) if end in claim else pd.Series(dtype=float) for end in ("first", "second")]
    gaps = (ends[0] - ends[1]).dropna()
    if gaps.empty:
        return Score("", math.nan)
    score = mean(f"{named(claim['first'])} - {named(claim['second'])}", gaps.to_numpy())
    return Score(score.name, score.value, score.low, score.high, len(gaps), trainings(len(gaps)))


def correlation(rows: pd.DataFrame, a: str, b: str) -> Score:
    """Spearman's rank correlation of two columns, one row a training, with Bonett's (2000) interval.

    A training that two rows hold, as where ADA has not begun, has one value of `a` and counts once. Each value is taken
    from the mean of its data seed: another split moves both without being what is asked.
    """
    points = rows.reindex(columns=[a, b, "data_seed"]).dropna()
    points = points.groupby([points[a].round(9), "data_seed"]).mean().droplevel(0).reset_index()
    points = points[[a, b]] - points.groupby("data_seed")[[a, b]].transform("mean")
    n, name = len(points), f"rank correlation of {a} and {b}"
    if n < 4 or (points.nunique() < 2).any():
        return Score(name, math.nan, n=n, note=trainings(n))
    rho = float(points.corr("spearman").iloc[0, 1])
    middle, reach = np.arctanh(np.clip(rho, -0.9999, 0.9999)), 1.96 * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return Score(name, rho, float(np.tanh(middle - reach)), float(np.tanh(middle + reach)), n, trainings(n))


def rows_of(claim: Mapping, record: dict) -> list[dict]:
    """The rows that `rows` names in a record, a list or one dict, beside what it says of itself and of its config.

    Of a training that was measured several times, `last` takes the last time. `rows` may name two lists: those of the
    first are taken, each with the means of the second's rows of the same `by` and the values in `where`. `means` gives
    further columns, each the mean of others.
    """
    rows = claim.get("rows", "metrics")
    if isinstance(rows, list):
        rows = beside(*(record.get(name, []) for name in rows), claim["by"], claim.get("where", {}))
    else:
        rows = record.get(rows, [])
    rows = [rows] if isinstance(rows, dict) else rows[-1:] if claim.get("last") else rows
    about = {key: known for key, known in (record.get("config", {}) | record).items()
             if isinstance(known, (str, int, float))}
    means = claim.get("means", {})
    return [about | row | {name: sum(row[part] for part in parts) / len(parts) for name, parts in means.items()}
            for row in rows]


def beside(first: list[dict], second: list[dict], by: str, where: Mapping) -> list[dict]:
    """Each of the first rows with the means of those second ones that agree with it in `by` and have what `where` says.

    A row that none agrees with is left out.
    """
    table = pd.DataFrame(second)
    if not first or not {by, *where} <= set(table):
        return []
    for column, value in where.items():
        table = table[table[column] == value]
    return pd.DataFrame(first).merge(table.groupby(by).mean(numeric_only=True), on=by).to_dict("records")


def values(rows: pd.DataFrame, end: Mapping) -> pd.Series:
    """The mean, for each training, of one end of a comparison: its measure in the rows with its other values."""
    wanted = {key: known for key, known in end.items() if key != "measure"}
    if rows.empty or not {*wanted, "data_seed", "seed"} <= set(rows):
        return pd.Series(dtype=float)
    found = rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)] if wanted else rows
    measure = end["measure"]
    if "name" in found and measure not in found:
        found, measure = found[found["name"] == measure], "value"
    apart = [key for key in APART if key in found]
    return found.groupby(apart)[measure].mean() if measure in found else pd.Series(dtype=float)


def trainings(n: int) -> str:
    return f"{n} training{'s' * (n != 1)}"


def named(end: Mapping) -> str:
    return " ".join([end["measure"], *(f"({key} {known})" for key, known in end.items() if key != "measure")])
