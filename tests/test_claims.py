"""The verdict on a claim: from which records, over which trainings, and when there is none."""

import json
import math

import pandas as pd
import pytest
import yaml

from uslab import notebooks
from uslab.notebooks import verdicts as claims
from uslab.score import Score


def record(seed, rows, **values):
    return {"seed": seed, "data_seed": 0, "points": rows, **values}


CLAIM = {"rows": "points", "first": {"measure": "FD", "method": "ada"}, "second": {"measure": "FD", "method": "none"}}


def pair(seed, ada, none, **values):
    return record(seed, [{"method": "ada", "FD": ada}, {"method": "none", "FD": none}], **values)


def test_a_difference_is_paired_by_training():
    score = claims.effect(CLAIM, [pair(0, 90, 100), pair(1, 180, 200), pair(2, 270, 300)])
    assert score.value == pytest.approx(-20) and score.n == 3
    assert score.low == pytest.approx(-20 - 4.302653 * 10 / math.sqrt(3), abs=1e-4)
    # Two set sizes of one seed are one training of each method and size, not two replicates.
    twice = claims.effect(CLAIM, [pair(0, 90, 100, n=50), pair(0, 80, 100, n=100), pair(1, 1, 2), pair(2, 1, 2)])
    assert twice.n == 3 and twice.value == pytest.approx((-15 - 1 - 1) / 3)


def test_ends_may_stand_in_records_of_their_own():
    claim = {"rows": "points", "last": True, "first": {"measure": "FD", "n_train": 999},
             "second": {"measure": "FD", "n_train": 100}}
    records = [record(0, [{"FD": 500}, {"FD": 100}], n_train=100), record(0, [{"FD": 400}, {"FD": 60}], n_train=999)]
    assert claims.effect(claim, records).value == -40


def test_a_training_in_two_rows_counts_once_in_a_correlation():
    claim = {"rows": "points", "relate": ["FD", "F1"]}
    rows = [{"FD": 5 - i, "F1": i} for i in range(5)]
    twice = [record(0, [*rows[:4], rows[4] | {"F1": 3.9}, rows[4] | {"F1": 4.1}])]      # of other folds
    assert claims.effect(claim, twice).n == 5
    assert claims.effect(claim, twice).high == claims.effect(claim, [record(0, rows)]).high


def test_a_column_may_be_the_mean_of_others():
    claim = CLAIM | {"means": {"FD": ["near", "far"]}}
    rows = [{"method": "ada", "near": 1, "far": 3}, {"method": "none", "near": 10, "far": 20}]
    assert claims.effect(claim, [record(0, rows)]).value == 2 - 15


def test_records_may_be_named_by_several_patterns(tmp_path, monkeypatch):
    for name, value in (("a0", 1), ("a1", 2), ("b0", 4), ("c0", 100)):
        path = tmp_path / "results" / "x" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(pair(ord(name[0]) * 10 + int(name[1]), value, 0)))
    (tmp_path / claims.FILE).write_text(yaml.safe_dump([CLAIM | {
        "id": "x", "paper": "", "notebook": "x", "claim": "", "run": "", "needs": "", "expected": "lower",
        "records": ["a*", "b*"]}]))
    monkeypatch.setattr(claims, "folder", lambda: tmp_path)
    effect, = claims.claims().effect
    assert effect.n == 3 and effect.value == pytest.approx(7 / 3)


def test_ends_may_differ_in_a_hyperparameter():
    claim = {"first": {"measure": "FD", "top": 0.5}, "second": {"measure": "FD", "top": 1.0}}
    records = [{"seed": 0, "data_seed": 0, "config": {"top": top, "seed": 7},
                "metrics": [{"name": "FD", "value": value}]} for top, value in ((0.5, 3.0), (1.0, 5.0))]
    score = claims.effect(claim, records)
    assert score.value == -2 and score.n == 1, "the record's own seed counts, not one of its config"


def test_scores_with_names_are_read_by_name():
    claim = {"first": {"measure": "FD", "model": "a"}, "second": {"measure": "FD", "model": "b"}}
    rows = [{"name": name, "value": value, "model": model}
            for name, model, value in (("FD", "a", 1.0), ("KD", "a", 50.0), ("FD", "b", 3.0), ("KD", "b", 0.0))]
    assert claims.effect(claim, [{"seed": 0, "data_seed": 0, "metrics": rows}]).value == -2


@pytest.mark.parametrize("missing", [[], [pair(0, None, 3)], [record(0, [{"method": "ada", "FD": 1}])], [{"seed": 1}]])
def test_what_the_records_do_not_hold_is_not_measured(missing):
    assert claims.effect(CLAIM, missing).n == 0
    assert claims.verdict(claims.effect(CLAIM, missing), "lower") == "undecided"


@pytest.mark.parametrize("low, high, n, expected, told", [
    (-3, -1, 3, "lower", "supported"), (1, 3, 3, "lower", "contradicted"), (-1, 1, 9, "lower", "undecided"),
    (1, 3, 3, "higher", "supported"), (-3, -1, 3, "higher", "contradicted"), (-3, -1, 2, "lower", "undecided"),
    (math.nan, math.nan, 3, "lower", "undecided")])
def test_a_verdict_needs_three_trainings_and_an_interval_on_one_side(low, high, n, expected, told):
    assert claims.verdict(Score("x", (low + high) / 2, low, high, n), expected) == told


@pytest.mark.parametrize("low, high, told", [(-1, 2, "supported"), (-1, 6, "undecided"), (6, 9, "contradicted")])
def test_the_same_needs_a_margin(low, high, told):
    assert claims.verdict(Score("x", 0, low, high, 5), "same", 5) == told
    for expected, margin in (("same", 0), ("lower", 5), ("smaller", 0)):
        with pytest.raises(ValueError, match="claims.yaml"):
            claims.verdict(Score("x", 0, low, high, 5), expected, margin)


def test_a_correlation_has_an_interval():
    rows = pd.DataFrame({"a": range(10), "b": [0, 1, 2, 3, 4, 5, 6, 7, 9, 8], "data_seed": 0})
    score = claims.correlation(rows, "a", "b")
    assert score.value == pytest.approx(1 - 6 * 2 / 990) and 0.9 < score.low < score.value < score.high < 1
    far = rows.assign(data_seed=1, a=rows.a + 100, b=rows.b - 100)      # another split moves both, the other way
    assert claims.correlation(pd.concat([rows, far]), "a", "b").value > 0.98
    assert claims.correlation(rows[:3], "a", "b").n == 3 and math.isnan(claims.correlation(rows[:3], "a", "b").value)


def test_what_two_lists_of_a_record_say_of_one_method_is_related():
    claim = {"rows": ["points", "classification"], "by": "method", "where": {"ratio": 1.0}, "relate": ["FD", "F1"]}

    def record_of(seed, **distances):
        rows = [{"method": method, "ratio": ratio, "fold": fold, "F1": (1000 if ratio == 2 else 5 - fd) + fold}
                for method, fd in distances.items() for ratio in (1.0, 2.0) for fold in (0, 1)]
        return record(seed, [{"method": method, "FD": fd} for method, fd in (distances | {"alone": 9}).items()],
                      classification=[{"method": "real only", "ratio": 0, "fold": 0, "F1": -7}, *rows])

    records = [record_of(0, none=1, ada=2), record_of(1, none=3, ada=4), record(2, [{"method": "ada", "FD": 3}])]
    score = claims.effect(claim, records)
    assert score.n == 4 and score.value == pytest.approx(-1, abs=1e-6)


def test_every_claim_of_the_file_has_a_row_and_the_page_is_what_the_records_say():
    table = notebooks.claims()
    papers = {"B": 4, "M": 5, "G": 5, "C": 3, "L": 5}       # claims of each paper, parts of one with a letter behind
    whole = {name.rstrip("bc") for name in table.id}
    assert {initial: sum(name[0] == initial for name in whole) for initial in papers} == papers
    assert (table.verdict == "undecided")[table["what was run"] == "nothing yet"].all()
    page = notebooks.folder().parent / "docs" / "claims.md"
    assert page.read_text() == claims.markdown(table), "make it anew with uslab report --claims"
    assert (notebooks.claims("05_pgsgan_ovary").paper == "Liang 2020").all()
