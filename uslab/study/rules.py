"""Rules set before a study against careless readers: random presses look like images that cannot be told apart."""

import numpy as np
import pandas as pd

from uslab.study.protocol import ATTENTION

RULES = {       # the defaults; Study.build seals what a study declares
    "attention_missed": 0.2,    # a reader may miss this share of the items of noise ...
    "attention_least": 5,       # ... of which each reader must have answered so many
    "fast_ms": None,            # faster answers are no judgements; None: 300 ms after the first that can count
    "fast_share": 0.1,          # a reader may give this share of such answers
    "one_answer": 0.9,          # from this share of one answer on a reader holds to a habit
    "repeats_p": 0.05,          # agreement with oneself on repeated images must be above chance at this level
}
DRAWS = 1999        # permutations of the test of agreement within readers


def by_reader(answers: pd.DataFrame, protocol, rules: dict) -> pd.DataFrame:
    """One row a reader with answers in the main part: what the rules look at, and `fails`, in words; empty: nothing."""
    rows = []
    column = "choice" if protocol.buttons else "quality"
    for reader, own in answers.groupby("reader"):
        main, watch = own[own.phase == "main"], own[own.truth == ATTENTION]
        if main.empty:
            continue
        times, missed = main.rt_ms.dropna(), int((~watch.correct.astype(bool)).sum())
        fast = float((times < rules["fast_ms"]).mean()) if len(times) else 0.0
        given = main[column].value_counts(normalize=True)
        fails = []
        if missed > rules["attention_missed"] * len(watch):
            fails.append(f"missed {missed} of {len(watch)} attention items")
        if fast > rules["fast_share"]:
            fails.append(f"gave {fast:.0%} of the answers within {rules['fast_ms']:g} ms")
        if given.iloc[0] >= rules["one_answer"] and len(main) > 1:
            fails.append(f"answered '{given.index[0]}' in {given.iloc[0]:.0%} of the images")
        rows.append((reader, len(main), f"{missed} of {len(watch)}" if len(watch) else "none shown", fast,
                     given.iloc[0], times.median() / 1000 if len(times) else np.nan, "; ".join(fails)))
    return pd.DataFrame(rows, columns=["reader", "answers", "attention items missed",
                                       f"share of answers under {rules['fast_ms']:g} ms",
                                       "share of the most frequent answer", "median time (s)", "fails"])


def repeated(answers: pd.DataFrame, protocol) -> pd.DataFrame:
    """Images that a reader answered twice: reader, first, second; numbers that are alike if the answers are."""
    value = "correct" if protocol.pair else "rating"
    first, again = (answers[answers.phase == phase] for phase in ("main", "repeat"))
    pairs = first.merge(again, on=["reader", "case"], suffixes=("_first", "_second"))
    return pd.DataFrame({"reader": pairs.reader, "first": pairs[f"{value}_first"].astype(float),
                         "second": pairs[f"{value}_second"].astype(float)})


def agreement(pairs: pd.DataFrame) -> float:
    """One-sided p-value of agreement within readers above chance, by permutations of each reader's second answers."""
    if pairs.empty:
        return 1.0
    rng = np.random.default_rng(0)
    found, drawn = 0.0, np.zeros(DRAWS)
    for _, own in pairs.groupby("reader"):
        x, y = (own[name].to_numpy() - own[name].mean() for name in ("first", "second"))
        found += x @ y
        drawn += rng.permuted(np.tile(y, (DRAWS, 1)), axis=1) @ x
    return float((1 + (drawn >= found - 1e-9).sum()) / (1 + DRAWS))


def withheld(answers: pd.DataFrame, protocol, rules: dict, readers: list[str]) -> str:
    """Why no equivalence may be concluded from the answers of these readers, in words; empty if it may."""
    answers = answers[answers.reader.isin(readers)]
    table = by_reader(answers, protocol, rules)
    reasons = [f"{row.reader} {row.fails}" for row in table.itertuples() if row.fails]
    shown = answers[answers.truth == ATTENTION].groupby("reader").size().reindex(readers, fill_value=0)
    if (shown < rules["attention_least"]).any():
        reasons.append(f"fewer than {rules['attention_least']} attention items were answered by each reader")
    pairs = repeated(answers, protocol)
    p = agreement(pairs)
    if p >= rules["repeats_p"]:
        reasons.append(f"on {len(pairs)} repeated images readers do not agree with themselves above chance "
                       f"(p = {p:.2g})" if len(pairs) else "no image was answered twice")
    return "; ".join(reasons)


def declared(rules: dict, protocol) -> dict:
    """All rules with their values. Raises ValueError for a rule that there is not, or a value that it cannot have."""
    if unknown := set(rules) - set(RULES):
        raise ValueError(f"there is no rule {sorted(unknown)[0]!r}; the rules are {', '.join(RULES)}")
    for name, value in rules.items():
        most = np.inf if name in ("fast_ms", "attention_least") else 1
        if value is not None and (not isinstance(value, (int, float)) or not 0 <= value <= most):
            raise ValueError(f"the rule {name} is {value!r}; it must be a number from 0{' to 1' if most == 1 else ''}")
    fast = rules.get("fast_ms")
    return RULES | rules | {"fast_ms": protocol.guard_ms + 300 if fast is None else fast}
