"""Statistics of reader studies against published numbers, and against simulated readers whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from uslab.score import detection
from uslab.study import PROTOCOLS, SimulatedReader, agreement, mrmc, planner
from uslab.study import statistics as st

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def vandyke():
    """Ratings without and with dissection, (2 displays, 5 readers, 69) and (2, 5, 45)."""
    lines = [line.split() for line in (GOLDEN / "vandyke.txt").read_text().splitlines() if line[0] != "#"]
    return [np.array([[[int(case[t]) for case in line] for line in lines[start::2]] for t in (0, 1)], float)
            for start in (0, 1)]


def within(rate: float, n: int, expected: float) -> bool:
    """Whether a share of n runs agrees with the expected one, at the 99.9 % level."""
    low, high = binom.ppf([0.0005, 0.9995], n, expected) / n
    return low <= rate <= high


# Several readers and several cases

def test_vandyke_areas(vandyke):
    value, _ = mrmc.areas(vandyke[0], list(vandyke[1]), same=True)
    np.testing.assert_allclose(value, [[0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
                                       [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169]], atol=5e-9)


def test_vandyke_with_delong_covariances(vandyke):
    """MRMCaov 0.3: mrmc(empirical_auc(truth, rating), treatment, reader, case, cov = DeLong)."""
    found = mrmc.compare(*mrmc.areas(vandyke[0], list(vandyke[1]), same=True))
    row = found.tests.set_index("analysis").loc["random readers, random images"]
    assert (round(row.statistic, 6), round(row.df2, 5), round(row.p, 8)) == (4.484854, 15.06611, 0.05123303)
    row = found.tests.set_index("analysis").loc["random readers, fixed images"]
    assert (round(row.statistic, 3), row.df2, round(row.p, 6)) == (8.704, 4, 0.041959)


@pytest.fixture(scope="module")
def jackknife(vandyke):
    """Areas and their covariance by leaving out one case at a time."""
    real, ill = vandyke
    value, _ = mrmc.areas(real, list(ill), same=True)
    left_out = [mrmc.areas(np.delete(real, i, 2), list(ill), same=True)[0].ravel() for i in range(69)]
    left_out += [mrmc.areas(real, list(np.delete(ill, i, 2)), same=True)[0].ravel() for i in range(45)]
    return value, np.cov(np.array(left_out).T) * 113 ** 2 / 114


def test_vandyke_with_jackknife_covariances(jackknife):
    """The printed output of OR-DBM MRMC 2.51, all three analyses."""
    found = mrmc.compare(*jackknife)
    expected = {"var_reader": 0.00153500, "var_method_reader": 0.00020040, "cov1": 0.00034661, "cov2": 0.00034407,
                "cov3": 0.00023903, "var_error": 0.00080229}
    assert {name: round(value, 8) for name, value in found.components.items()} == expected
    tests = found.tests.set_index("analysis")
    for name, statistic, p in (("random readers, random images", 4.46, 0.0517),
                               ("fixed readers, random images", 5.48, 0.0193),
                               ("random readers, fixed images", 8.70, 0.0420)):
        assert (round(tests.statistic[name], 2), round(tests.p[name], 4)) == (statistic, p)
    assert round(tests.df2["random readers, random images"], 2) == 15.26
    gaps = found.differences.set_index("analysis")[["difference", "low", "high"]]
    np.testing.assert_allclose(gaps.loc["random readers, random images"], [-0.04380, -0.08796, 0.00036], atol=5e-6)
    np.testing.assert_allclose(gaps.loc["fixed readers, random images"], [-0.04380, -0.08049, -0.00711], atol=5e-6)
    np.testing.assert_allclose(gaps.loc["random readers, fixed images"], [-0.04380, -0.08502, -0.00258], atol=5e-6)
    single = found.single.set_index(["analysis", "method"])[["value", "error", "df", "low", "high"]]
    np.testing.assert_allclose(single.loc["random readers, random images", 0],
                               [0.89703704, 0.03317360, 12.74, 0.82522360, 0.96885048], atol=5e-3)
    np.testing.assert_allclose(single.loc["random readers, random images", 1].drop("df"),
                               [0.94083736, 0.02156637, 0.89413783, 0.98753689], atol=5e-9)
    np.testing.assert_allclose(single.loc["fixed readers, random images", 1].drop("df"),
                               [0.94083736, 0.01677632, 0.90795637, 0.97371835], atol=5e-9)


def test_fixed_readers_with_one_reader_is_delongs_test(vandyke):
    """One reader, two displays: OR-DBM's single-reader analysis is DeLong's test in another covariance."""
    real, ill = (part[:, 4:5] for part in vandyke)
    value, covariance = mrmc.areas(real, list(ill), same=True)
    found = mrmc.compare(value, covariance)
    assert found.tests.analysis.tolist() == ["fixed readers, random images"]
    z = (value[0, 0] - value[1, 0]) / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.tests.statistic[0] == pytest.approx(z ** 2)


def read_methods(rng, readers=5, n=40, shift=(0.0, 0.0, 0.0), spread=0.4):
    """Ratings with reader, reader by method and image effects: real (3, readers, n), synthetic of each method."""
    level, skill = rng.normal(0, spread, (readers, 1)), rng.normal(0, 0.15, (3, readers, 1))
    real = rng.normal(0, 0.7, n) + rng.normal(0, 0.7, (readers, n)) + level
    synthetic = [1 + shift[i] + skill[i] + rng.normal(0, 0.7, n) + rng.normal(0, 0.7, (readers, n)) + level
                 for i in range(3)]
    return np.broadcast_to(real, (3, readers, n)), synthetic


@pytest.mark.slow
def test_methods_that_do_not_differ_are_found_different_at_the_nominal_rate():
    rng = np.random.default_rng(1)
    p, inside = [], []
    for _ in range(400):
        found = mrmc.compare(*mrmc.areas(*read_methods(rng)))
        p.append(found.tests.p[0])
        inside.append(found.differences[found.differences.analysis.str.startswith("random readers, random")]
                      .eval("low <= 0 <= high").mean())
    assert (np.array(p) < 0.05).mean() < 0.08       # Hillis: slightly conservative
    assert np.mean(inside) > 0.93
    found = [mrmc.compare(*mrmc.areas(*read_methods(rng, shift=(0, 0, 1)))).tests.p[0] < 0.05 for _ in range(40)]
    assert np.mean(found) > 0.8


# One reader

def test_intervals_of_two_readers_stay_where_an_area_can_lie():
    """Two readers who disagree give a t interval of one degree of freedom, wider than what there is."""
    ratings = np.random.default_rng(0).normal(size=(2, 2, 12))
    made = [ratings[0] + np.array([[3.0], [0.0]]), ratings[1]]
    found = mrmc.compare(*mrmc.areas(np.random.default_rng(1).normal(size=(2, 2, 12)), made))
    for table, least in ((found.single, 0), (found.differences, -1)):
        assert (table.low >= least).all() and (table.high <= 1).all()
    assert (found.single.low == 0).any() and (found.single.high == 1).any()


def test_tests_against_chance_and_equivalence():
    # 34 of 68: p is 1, and yet nothing is shown: 10 points of margin need 214 images.
    assert st.against_chance(34, 68) == 1 and st.equivalence(34, 68) > 0.05 > st.equivalence(107, 214)
    assert st.equivalence(60, 100) > 0.4 and st.equivalence(500, 1000, 0.05) < 0.01
    with pytest.raises(ValueError, match="margin is 0.5"):
        st.equivalence(5, 10, 0.5)


def test_area_equals_scikit_learn_and_delong(vandyke):
    from sklearn.metrics import roc_auc_score

    for real, ill in zip(vandyke[0][0], vandyke[1][0]):
        truth = np.repeat([0, 1], [69, 45])
        assert st.area(real, ill).value == pytest.approx(roc_auc_score(truth, np.concatenate([real, ill])))
    # Two answers: the mean of both rates.
    assert st.area(np.array([0, 0, 1, 0]), np.array([1, 1, 0, 1, 1])).value == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert np.isnan(st.area(np.array([0.0, 1]), np.array([2.0, 3])).low)


@pytest.mark.slow
@pytest.mark.parametrize("dprime, criterion", [(0.0, 0.0), (1.0, 0.3), (1.8, -0.5)])
def test_simulated_readers_are_recovered_at_the_nominal_rate(dprime, criterion):
    """d', criterion and area of 600 readers with 80 images of either class: 95 % of the intervals hold the truth."""
    from scipy.stats import norm

    reader, protocol, rng = SimulatedReader(dprime, criterion), PROTOCOLS["yesno_conf"], np.random.default_rng(0)
    runs, n, held = 600, 80, np.zeros((600, 3), bool)
    for run in range(runs):
        replies = [[reader.respond(protocol, [(truth, "gan")], 0.5, rng) for _ in range(n)]
                   for truth in ("real", "synthetic")]
        rating = [np.array([(1 if r["choice"] == "synthetic" else -1) * r["confidence"] for r in part])
                  for part in replies]
        d, c = detection((rating[1] > 0).sum(), n, (rating[0] > 0).sum(), n)
        # Six steps are coarse, so the area of the ratings is that of the steps, not of the evidence behind them.
        edges = np.array([-np.inf, -1, -0.5, 0, 0.5, 1, np.inf]) + criterion
        share = [np.diff(norm.cdf(edges, mean)) for mean in (-dprime / 2, dprime / 2)]
        truth = share[1] @ (np.cumsum(share[0]) - share[0] / 2)
        area = st.area(*rating)
        held[run] = [e.low <= value <= e.high for e, value in ((d, dprime), (c, criterion), (area, truth))]
    for rate in held.mean(0):
        assert within(rate, runs, 0.95)


def test_two_alternative_forced_choice_recovers_dprime():
    reader, protocol, rng = SimulatedReader(1.2), PROTOCOLS["2afc"], np.random.default_rng(0)
    right = 0
    for i in range(4000):
        shown = [("real", "real"), ("synthetic", "gan")][::1 if i % 2 else -1]
        right += reader.respond(protocol, shown, 0, rng)["choice"] == ("left" if i % 2 else "right")
    _, d = st.forced_choice(right, 4000)
    assert d.low < 1.2 < d.high and d.high - d.low < 0.15


def test_lapses_and_drift_do_what_they_say():
    rng, protocol = np.random.default_rng(0), PROTOCOLS["yesno"]

    def rate(reader, time):
        return np.mean([reader.respond(protocol, [("synthetic", "a")], time, rng)["choice"] == "synthetic"
                        for _ in range(4000)])

    assert rate(SimulatedReader(20, lapse=0.4), 0) == pytest.approx(0.8, abs=0.03)
    late, early = rate(SimulatedReader(1, drift=2), 1), rate(SimulatedReader(1, drift=2), 0)
    assert late == pytest.approx(0.841, abs=0.03) and early == pytest.approx(0.5, abs=0.03)
    # Several methods: each d' is measured from the real images, and zero lies halfway of the mean d', here 1.
    several = SimulatedReader({"a": 0, "b": 2})
    assert rate(several, 0) == pytest.approx(0.309, abs=0.03)       # of N(-0.5, 1) above 0, as for a real image
    assert np.mean([several.sees("real", "real", 0, rng) for _ in range(4000)]) == pytest.approx(-0.5, abs=0.06)
    assert np.mean([several.sees("synthetic", "b", 0, rng) for _ in range(4000)]) == pytest.approx(1.5, abs=0.06)


# Agreement

def test_krippendorff_equals_his_example():
    """Krippendorff 2011, example C: four observers, twelve units, missing values."""
    nan = np.nan
    answers = np.array([[1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
                        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan]]).T
    found = [round(agreement.krippendorff(answers, level), 3) for level in ("nominal", "ordinal", "interval")]
    assert found == [0.743, 0.815, 0.849]


def test_icc_equals_shrout_and_fleiss():
    """Shrout and Fleiss 1979, table 2 and 4."""
    found = {score.name: score for score in agreement.icc(np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8],
                                                                    [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]))}
    assert {name: round(value.value, 2) for name, value in found.items()} == {
        "ICC(A,1)": 0.29, "ICC(C,1)": 0.71, "ICC(A,k)": 0.62, "ICC(C,k)": 0.91}
    # The intervals that R's psych prints for the same table.
    intervals = {name: (round(value.low, 2), round(value.high, 2)) for name, value in found.items()}
    assert intervals == {"ICC(A,1)": (0.02, 0.76), "ICC(C,1)": (0.34, 0.95), "ICC(A,k)": (0.07, 0.93),
                         "ICC(C,k)": (0.68, 0.99)}


def test_gwet_withstands_the_paradox_of_kappa():
    """Gwet 2008: 118 of 125 equal answers, nearly all of one kind: kappa is negative, AC1 is 0.941."""
    answers = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [118, 5, 2, 0], axis=0)
    assert round(agreement.gwet(answers).value, 4) == 0.9408
    assert round(agreement.cohen(*answers.T).value, 3) == -0.023
    assert agreement.same(*answers.T).value == 118 / 125


def test_fleiss_and_cohen():
    """Fleiss 1971 as in statsmodels; weighted kappa against scikit-learn."""
    from sklearn.metrics import cohen_kappa_score

    counts = [(0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1), (7, 7, 0, 0, 0),
              (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7)]
    assert round(agreement.fleiss(np.array([np.repeat(range(5), row) for row in counts])), 3) == 0.210
    a, b = np.random.default_rng(0).integers(1, 6, (2, 60))
    b = np.where(np.arange(60) % 2, a, b)
    assert agreement.cohen(a, b, ordered=True).value == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"))
    assert agreement.cohen(a, b).value == pytest.approx(cohen_kappa_score(a, b))
    for one, other, kappa in ((np.ones(6), np.arange(6) % 2, 0), (np.arange(6) % 2, np.arange(6) % 2, 1)):
        found = agreement.cohen(one, other)     # six answers leave more room than the interval of no width
        assert found.value == kappa and np.isnan(found.low)
    # Krippendorff's nominal alpha of two readers is Scott's pi with a correction for few items.
    assert np.isnan(agreement.cohen(np.ones(4), np.ones(4)).value) and np.isnan(agreement.fleiss(np.ones((5, 3))))


# Planner

def test_planner_equals_exact_binomial_numbers():
    assert [planner.images_for_one_reader(accuracy=a) for a in (0.6, 0.65, 0.7, 0.75)] == [199, 90, 49, 30]
    assert planner.images_for_one_reader(margin=0.1) == 214
    # By brute force: every outcome of 68 answers, tested one by one.
    p = [st.against_chance(k, 68) for k in range(69)]
    power = sum(binom.pmf(k, 68, 0.65) for k in range(69) if p[k] <= 0.05)
    assert planner.power_against_chance(68, 0.65) == pytest.approx(power)
    shown = sum(binom.pmf(k, 250, 0.5) for k in range(251) if st.equivalence(k, 250) <= 0.05)
    assert planner.power_of_equivalence(250, 0.1) == pytest.approx(shown)
    with pytest.raises(ValueError, match="give either"):
        planner.images_for_one_reader()
    with pytest.raises(ValueError, match="accuracy is 0.51"):
        planner.images_for_one_reader(accuracy=0.51)


@pytest.mark.slow
def test_planned_power_of_several_readers_is_what_simulation_finds():
    rng = np.random.default_rng(0)
    runs, readers, n = 500, 8, 60
    for accuracy, margin in ((0.6, None), (0.5, 0.1)):
        found = 0
        for _ in range(runs):
            own, shared = rng.normal(0, 0.05, (readers, 1)), rng.normal(0, np.sqrt(0.1 * accuracy * (1 - accuracy)), n)
            chance = accuracy + own + shared
            row = mrmc.compare(*mrmc.proportions([(rng.random((readers, n)) < chance).astype(float)])).single.iloc[0]
            if margin is None:
                found += not row.low <= 0.5 <= row.high
            else:
                found += mrmc.equivalence(row.value, row.error, row.df, margin) <= 0.05
        planned = planner.power_of_readers(readers, n, accuracy, 0.05, 0.1, margin)
        assert found / runs == pytest.approx(planned, abs=0.07), (accuracy, margin)
