"""Score: the same number in words, in a table and in run.json; means over seeds and not over anything else."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from uslab import metrics, score
from uslab.score import Score, detection, holm, mean, over_seeds, proportion, table


def test_a_score_in_words():
    assert str(Score("FD-lite0", 56.1149, 52.8, 59.401, 400)) == "FD-lite0 56.11 [52.8, 59.4], n = 400"
    assert str(Score("difference, t-test", 0.0312, -0.01, 0.07, 5, "over folds", 0.0213)) == (
        "difference, t-test 0.0312 [-0.01, 0.07], p = 0.0213, n = 5 (over folds)")
    assert str(Score("d'", np.nan, note="one answer")) == "d' not estimable (one answer)"
    assert f"{Score('images', 123456.0)}" == "images 123456"


def test_a_score_in_the_cell_of_a_table():
    assert f"{Score('area', 0.6449, 0.5501, 0.7199, 80):.2f}" == "0.64 (0.55 to 0.72)"
    assert f"{Score('area', 0.6449):.1%}" == "64.5%" and f"{Score('area', np.nan):.2f}" == "not estimable"
    assert f"{Score('criterion', -0.001, -0.3, -0.0001):.2f}" == "0.00 (-0.30 to 0.00)"     # no minus nought


def test_run_json_gives_back_what_it_was_given():
    given = Score("PSNR (dB)", np.inf, np.nan, np.nan, np.int64(3), "data range 255")
    entry = json.loads(json.dumps(given.as_dict(), allow_nan=False))
    assert entry == {"name": "PSNR (dB)", "value": None, "low": None, "high": None, "n": 3, "note": "data range 255"}
    given = Score("difference", 0.25, 0.1, 0.4, 5, "over folds", 0.02)
    assert score.read(given.as_dict() | {"set": "ada"}) == ({"set": "ada"}, given)
    old = {"name": "SSIM", "value": 0.5, "low": None, "high": None, "n": None, "text": "SSIM 0.5"}
    beside, found = score.read(old)
    assert beside == {} and (found.value, found.n, found.note) == (0.5, 0, "SSIM 0.5") and np.isnan(found.low)


def test_a_table_keeps_what_tells_scores_apart():
    one, two = Score("KD", 1.0, 0.5, 1.5, 40, "how"), Score("FD", 2.0, n=40)
    found = table([one, two.as_dict() | {"class": "fatty"}], set="ada")
    assert found.columns.tolist() == ["set", "class", "name", "value", "low", "high", "n", "note"]
    assert found.set.tolist() == ["ada", "ada"] and found["class"].tolist()[1] == "fatty"
    assert found.iloc[0, 3:].tolist() == [1.0, 0.5, 1.5, 40, "how"]
    assert table([dataclasses.replace(one, p=0.1)]).p.tolist() == [0.1]
    assert table([]).empty and "value" in table([])


def test_the_mean_of_independent_values_has_students_interval():
    found = mean("SSIM", [1, 2, 3, 4], "disjoint pairs", "window of 11 px")
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, 2.5, stats.sem([1, 2, 3, 4])))
    assert (found.n, found.note) == (4, "window of 11 px; 95 % t interval over disjoint pairs")
    assert dataclasses.astuple(mean("x", [2, 2, 2]))[1:5] == (2, 2, 2, 3)
    for values, why in (([1, 2], "fewer than 3"), ([np.inf, 30, 31], "not finite"), ([], "fewer than 3")):
        found = mean("x", values, "pairs")
        assert np.isnan([found.low, found.high]).all() and why in found.note and found.n == len(values)


def of_seed(seed, value, method="none"):
    """Two measures of one training."""
    return table([Score("FD", value, value - 1, value + 1, 40, "own"), Score("KD", 10 * value, n=40)], method=method,
                 seed=seed)


def test_seeds_become_one_row_and_methods_stay_apart():
    """Three seeds of one method, one of another: by hand the mean of 1, 2 and 6 is 3, Student's t 4.302653."""
    scores = pd.concat([of_seed(0, 1.0), of_seed(1, 2.0), of_seed(5, 6.0), of_seed(0, 100.0, "ada")])
    found = over_seeds(scores).set_index(["method", "name"])
    assert found.value.to_dict() == {("none", "FD"): 3, ("none", "KD"): 30, ("ada", "FD"): 100, ("ada", "KD"): 1000}
    assert found.seeds.tolist() == [3, 3, 1, 1] and found.n.tolist() == [3, 3, 40, 40]
    half = 4.302653 * np.std([1, 2, 6], ddof=1) / 3 ** 0.5
    assert found.loc[("none", "FD"), ["low", "high"]].tolist() == pytest.approx([3 - half, 3 + half])
    assert found.note.iloc[0] == "mean of 3 training seeds (0, 1, 5): 1, 2, 6; 95 % t interval over seeds"
    assert found.loc[("ada", "FD"), ["low", "high", "note"]].tolist() == [99, 101, "own"]


def test_two_seeds_give_no_interval_and_a_seed_without_a_value_does_not_count():
    two = over_seeds(pd.concat([of_seed(0, 1.0), of_seed(1, 2.0)]))
    assert np.isnan([two.low, two.high]).all() and two.value.tolist() == [1.5, 15] and "fewer than 3" in two.note[0]
    assert over_seeds(pd.concat([of_seed(0, 1.0), of_seed(1, np.nan)])).seeds.tolist() == [1, 1]
    assert over_seeds(of_seed(0, np.nan)).seeds.tolist() == [0, 0]


def test_a_seed_that_is_there_twice_is_no_second_seed():
    with pytest.raises(ValueError, match="none, FD is there twice with seed 0: a column is missing"):
        over_seeds(pd.concat([of_seed(0, 1.0), of_seed(0, 2.0)]))


def test_the_figure_of_the_measures_draws_the_mean_over_seeds():
    table = over_seeds(pd.concat([of_seed(seed, value) for seed, value in enumerate((1.0, 2.0, 6.0))]))
    assert len(metrics.figure(table).axes) == 2


@pytest.mark.slow
def test_holm_is_that_of_statsmodels_and_keeps_what_is_missing():
    from statsmodels.stats.multitest import multipletests

    assert holm({"x": 0.01, "y": 0.04, "z": 0.03}).to_dict() == pytest.approx({"x": 0.03, "y": 0.06, "z": 0.06})
    values = np.random.default_rng(0).uniform(size=12)
    np.testing.assert_allclose(holm(values), multipletests(values, method="holm")[1])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert holm([np.nan]).isna().all()


def test_shares_have_wilsons_interval():
    found = proportion(8, 10, "accuracy")       # as published in textbooks
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert (found.name, found.value, found.n, found.note) == ("accuracy", 0.8, 10, "8 of 10, Wilson")
    assert np.isnan(proportion(0, 0).value)
    from statsmodels.stats.proportion import proportion_confint

    found = proportion(32, 57)
    assert proportion_confint(32, 57, method="wilson") == pytest.approx((found.low, found.high))


def test_detection_equals_a_worked_example():
    """Stanislaw and Todorov 1999 (Behav. Res. Methods 31:137): 20 of 25 hits and 10 of 25 false alarms."""
    d, c = detection(20, 25, 10, 25)
    assert (d.value, c.value) == pytest.approx((1.095, -0.294), abs=1e-3)
    assert d.low < 1.095 < d.high and (d.high - d.low) == pytest.approx(2 * (c.high - c.low))
    assert np.isnan(detection(57, 57, 11, 11)[0].value)     # the clinician of Bautista 2022


@pytest.mark.parametrize("module", ["uslab.score", "uslab.reader.page"])
def test_a_readers_page_can_import_it_in_a_moment(module):
    code = (f"import sys, {module}; "
            "print(*{'torch', 'matplotlib', 'pandas', 'scipy', 'statsmodels', 'cv2'} & set(sys.modules))")
    assert not subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
