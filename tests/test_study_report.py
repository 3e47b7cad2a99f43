"""Analysis, report and exports of reader studies: numbers by another way, words that claim no more than they may."""

import dataclasses
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from made import scan
from sklearn.metrics import auc

from uslab.cli.main import main
from uslab.score import Score
from uslab.study import PROTOCOLS, SimulatedReader, Study, exports, figures, quality
from uslab.study.analysis import ALL, Analysis, verdict
from uslab.study.report import number


def scans(seed: int, n: int, side: int = 32) -> np.ndarray:
    return np.stack([scan(seed + i, side, side) for i in range(n)])[:, None]


POOLS = {"real": scans(0, 150), "A": scans(1000, 70), "B": scans(2000, 70)}


def finished(folder, protocol, readers, methods="AB", **design) -> Study:
    """A study that simulated readers have completed, closed and unblinded."""
    values = {"n_per_method": 20, "repeats": 0.2, "practice": 2, "attention": 2, "readers": len(readers)} | design
    with pytest.MonkeyPatch.context() as patch:  # orders, and so what simulated readers answer, repeat with the secret
        patch.setattr("uslab.study.build.secrets.token_bytes", bytes)
        study = Study.build(POOLS["real"], {name: POOLS[name] for name in methods}, protocol, out=folder / "study",
                            acknowledge_text=True, **values)
    study.autoplay(*readers)
    study.close()
    study.unblind()
    return study


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>", "", html))


@pytest.fixture(scope="module")
def liang(tmp_path_factory):
    """Four readers who tell A and not B, with six steps of confidence, and the report's folder."""
    folder = tmp_path_factory.mktemp("liang")
    study = finished(folder, "yesno_conf", [SimulatedReader({"A": 2.0, "B": 0.0}, 0.2, seed=i) for i in range(4)])
    return study, study.report(folder / "report").parent


# Analysis

def answers(rows, protocol="yesno") -> Analysis:
    """An analysis of hand-made answers: rows (reader, case, method, truth, choice)."""
    table = pd.DataFrame(rows, columns=["reader", "case", "method", "truth", "choice"])
    table = table.assign(phase="main", position=range(1, len(table) + 1), block=1, simulated=False, confidence=None,
                         quality=None, rt_ms=1000.0, interrupted=False,
                         rating=np.where(table.choice == "synthetic", 1.0, -1.0),
                         correct=(table.truth == table.choice).astype("boolean"))
    return Analysis(table, PROTOCOLS[protocol], ["A", "B"])


def test_estimates_of_hand_made_answers():
    rows = [("R01", f"r{i}", "real", "real", "synthetic" if i < 3 else "real") for i in range(12)]
    rows += [("R01", f"a{i}", "A", "synthetic", "synthetic" if i < 5 else "real") for i in range(6)]
    rows += [("R01", f"b{i}", "B", "synthetic", "synthetic" if i < 2 else "real") for i in range(6)]
    found = answers(rows).estimates.set_index(["method", "measure"]).value
    assert found[ALL, "accuracy"] == (9 + 5 + 2) / 24
    assert found[ALL, "synthetic called synthetic"] == 7 / 12 and found[ALL, "real called synthetic"] == 3 / 12
    assert found["A", "balanced accuracy"] == pytest.approx((5 / 6 + 9 / 12) / 2)
    assert found["B", "balanced accuracy"] == pytest.approx((2 / 6 + 9 / 12) / 2)
    assert found["A", "synthetic called synthetic"] == 5 / 6 and found["A", "real called synthetic"] == 3 / 12
    assert ("A", "accuracy") not in found.index     # with all real images it would weigh the classes unequally
    assert answers(rows).always[1] == 0.5


def test_a_reader_with_one_answer_supports_no_equivalence():
    """Bautista's clinician: balanced accuracy is exactly 0.5, without any spread, for any images whatever."""
    rows = []
    for reader in ("R01", "R02"):
        rows += [(reader, f"r{i}", "real", "real", "synthetic") for i in range(40)]
        rows += [(reader, f"{m.lower()}{i}", m, "synthetic", "synthetic") for m in "AB" for i in range(40)]
    found = answers(rows)
    assert found.leaning == ["R01", "R02"]
    assert found.by_method["equivalence p"].isna().all()
    assert found.by_method["what follows"].str.startswith(
        "open: a verdict on equivalence is withheld, for R01 answered 'synthetic' in 100% of the images; R02").all()
    assert found.always == ("synthetic", pytest.approx(80 / 120)) and found.equivalence.empty
    assert np.isnan(found.learning.value)


def test_pairs_are_compared_by_the_image_not_by_the_side():
    """Two readers who both find the real image, shown on opposite sides, agree."""
    rows = []
    for i in range(30):
        right = i % 3 > 0
        for reader, side in (("R01", "left"), ("R02", "right")):
            other = {"left": "right", "right": "left"}[side]
            rows.append((reader, f"c{i}", "AB"[i % 2], side, side if right else other))
    found = answers(rows, "2afc").between.set_index("measure").value
    assert found["Fleiss' kappa"] == pytest.approx(1) and found["Krippendorff's alpha"] == pytest.approx(1)


def test_verdicts_claim_no_more_than_they_may():
    assert verdict(0.4, 0.6, 0.3, 0.1).startswith("open: neither a difference from chance is shown")
    assert verdict(0.45, 0.55, 0.01, 0.1) == "shown to lie within 0.1 of chance"
    assert verdict(0.51, 0.58, 0.01, 0.1) == "differs from chance, but lies within 0.1 of it"
    assert verdict(0.6, 0.8, 0.9, 0.1) == "told apart better than by chance"
    assert verdict(0.2, 0.43, 0.9, 0.1).startswith("below chance")      # Liang's 0.43, were it so
    assert verdict(0.4, 0.6, float("nan"), 0.1, withheld="R01 is careless").endswith("withheld, for R01 is careless")
    assert verdict(0.6, 0.8, float("nan"), 0.1, withheld="R01 is careless") == "told apart better than by chance"
    assert verdict(0.4, 0.6, 0.3, 0.1, told=False).startswith("open: neither a difference from real images")


@pytest.mark.slow
def test_methods_are_compared_on_what_all_readers_answered(liang):
    study, _ = liang
    key = study.key()
    table = pd.read_csv(study.folder / "UNBLINDED/answers.csv")
    whole = Analysis(table, study.protocol, ["A", "B"])
    assert len(whole.complete[1]) == 80
    part = Analysis(table[~((table.reader == "R02") & (table.position > 60))], study.protocol, ["A", "B"])
    missing = set(whole.main.case) - set(part.main[part.main.reader == "R02"].case)
    assert missing and set(part.complete[1]) == set(whole.main.case) - missing
    gone = Analysis(table[~((table.reader == "R02") & (table.position > 20))], study.protocol, ["A", "B"])
    assert gone.complete[0] == ["R01", "R03", "R04"] and len(gone.complete[1]) == 80
    assert key["methods"] == ["A", "B"]


@pytest.mark.slow
def test_simulated_truth_comes_out_of_the_whole_pipeline(liang):
    study, _ = liang
    found = Analysis(pd.read_csv(study.folder / "UNBLINDED/answers.csv"), study.protocol, ["A", "B"])
    a, b = found.by_method.set_index("method").loc[["A", "B"]].itertuples()
    assert a.low < 0.90 < a.high and b.low < 0.5 < b.high      # the area of six steps for d' = 2 is 0.90
    p = found.comparison.tests.set_index("analysis").p
    assert p["random readers, random images"] < 0.05 and p["fixed readers, random images"] < 0.001
    assert set(found.within.reader) == {"R01", "R02", "R03", "R04"} and (found.within.n == 16).all()


def test_learning_is_found_where_it_was_put(tmp_path):
    study = finished(tmp_path, "yesno", [SimulatedReader(1.2, drift=2.4, seed=i) for i in range(4)], "A",
                     n_per_method=60, repeats=0)
    found = Analysis(pd.read_csv(study.folder / "UNBLINDED/answers.csv"), study.protocol, ["A"]).learning
    # From a share of 0.5 at the first trial to 0.88 at the last, odds rise 7.7 times.
    assert 1.5 < found.low < 7.7 < found.high


# Quality

@pytest.mark.slow
def test_correlations_hold_the_false_discovery_rate():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=57)
    noise = pd.DataFrame(rng.normal(size=(57, 256)), columns=[f"V{i}" for i in range(256)])
    one = np.repeat("A", 57)
    found = quality.correlations(scores, noise, one)
    assert (found.q < 0.05).sum() == 0
    # Without control, about 35 of 256 unrelated bins pass |r| > 0.2 at 57 images, and 102 at 20.
    assert abs(quality.by_chance(57) * 256 - 35) < 1 and abs(quality.by_chance(20) * 256 - 102) < 1
    assert abs((found.r.abs() > 0.2).sum() - 35) < 18
    noise["V3"] = scores + rng.normal(size=57)
    noise["V4"] = 0.0
    found = quality.correlations(scores, noise, one)
    assert found.measure[0] == "V3" and found.q[0] < 0.05 and "V4" not in set(found.measure)


def test_correlations_are_within_methods():
    """Two methods of which one is better and differs in every measure: nothing within a method goes with quality."""
    rng = np.random.default_rng(1)
    method = np.repeat(["A", "B"], 40)
    scores = rng.normal(size=80) + 4 * (method == "B")
    table = pd.DataFrame(rng.normal(size=(80, 50)) + 4 * (method == "B")[:, None])
    assert (quality.correlations(scores, table, np.repeat("all", 80)).q < 0.05).all()
    assert (quality.correlations(scores, table, method).q > 0.05).all()


def test_measures_are_of_single_images():
    from uslab.metrics.texture import lbp_histogram

    table = quality.measures(POOLS["A"][:5], POOLS["real"][:9])
    assert list(table.columns[:2]) == ["PSNR", "MI"] and table.shape == (5, 258)
    np.testing.assert_allclose(table.iloc[2, 2:], lbp_histogram(POOLS["A"][2:3]))
    np.testing.assert_allclose(table.iloc[:, 2:].sum(axis=1), 1)


# Report

@pytest.mark.slow
def test_report_stands_alone_and_names_nobody(liang):
    study, out = liang
    html, markdown = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html) and "<script" not in html
    for text in (text_of(html), markdown):
        assert re.search("simulated readers", text, re.I)
        for word in ("indistinguishable", study.key()["secret"], "simulated 1", "real 12", "A 12"):
            assert word not in text
        for title in ("Integrity", "Flow", "Each reader", "Each method", "Agreement", "Methods compared over readers",
                      "Equivalence with chance", "Learning, fatigue and response times", "Cues in the pixels",
                      "Checklist: GRRAS", "Limits"):
            assert title in text
        assert "is no evidence that images cannot be told apart" in text
    pictures = {path.name for path in (out / "figures").iterdir()}
    assert pictures == {"radar.png", "dots.png", "roc.png", "blocks.png"} and html.count("data:image/png") == 4
    assert all(f"figures/{name}" in markdown for name in pictures)


# Figures

def rated(reader: str, real: list[float], **methods: list[float]) -> pd.DataFrame:
    """Hand-made ratings of one reader."""
    return pd.DataFrame([(reader, method, rating) for method, ratings in {"real": real, **methods}.items()
                         for rating in ratings], columns=["reader", "method", "rating"])


def lines(ax) -> dict[str, tuple[list[float], list[float]]]:
    """The lines of an axis that its legend names: x and y."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines
            if not line.get_label().startswith("_")}


def test_roc_curves_of_hand_made_ratings():
    main = pd.concat([rated("R01", [1, 2, 2, 4], A=[2, 3, 4, 4], B=[2, 2, 4, 1]),
                      rated("R02", [3, 3, 1, 1], A=[1, 1, 1, 1], B=[3]), rated("R03", [4], A=[4])])
    figure = figures.roc(main, ["A", "B"])
    a, b = figure.axes
    assert [ax.get_title(loc="left") for ax in (a, b)] == ["A", "B"]
    for ax in (a, b):
        chance = ax.lines[0]
        assert [*chance.get_xdata(), *chance.get_ydata()] == [0, 1, 0, 1] and chance.get_linestyle() == "--"
    # By hand, from the strictest answer to the laxest. R03's one image of a kind draws no line, and is in that of all.
    assert lines(a) == {"R01, 0.75": ([0, 0.25, 0.25, 0.75, 1], [0, 0.5, 0.75, 1, 1]),
                        "R02, 0.25": ([0, 0.5, 1], [0, 0, 1]),
                        "all, 0.49": ([0, 2 / 9, 4 / 9, 6 / 9, 1], [0, 3 / 9, 4 / 9, 5 / 9, 1])}
    assert list(lines(b)) == ["R01, 0.50", "all, 0.52"]
    assert [text.get_text() for text in a.get_legend().get_texts()] == list(lines(a))
    assert len(a.lines) == 4 and len(b.lines) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_roc_curves_have_the_areas_of_the_tables(liang):
    found = liang[0].analysis()
    area = found.estimates[found.estimates.measure == "area"].set_index(["method", "reader"]).value
    figure = figures.roc(found.main, ["A", "B"])
    for ax, method in zip(figure.axes, "AB"):
        drawn = lines(ax)
        assert len(drawn) == 5
        for reader in found.readers:
            x, y = drawn[f"{reader}, {area[method, reader]:.2f}"]
            assert auc(x, y) == pytest.approx(area[method, reader])
    # More readers than the legend has room for: a line each, and in the legend how many, the lowest and the highest.
    many = figures.roc(pd.concat([found.main.assign(reader=found.main.reader + str(i)) for i in range(3)]),
                       ["A"]).axes[0]
    assert list(lines(many)) == [list(lines(figure.axes[0]))[-1],
                                 f"12 readers, {area['A'].min():.2f} to {area['A'].max():.2f}"]
    assert len(many.lines) == 1 + 12 + 2


@pytest.mark.slow
def test_the_radar_chart_and_the_dots_show_the_estimates(liang):
    found = liang[0].analysis()
    value = found.estimates[found.estimates.measure == "balanced accuracy"].set_index(["method", "reader"])
    axis, = figures.radar(found.estimates, "balanced accuracy", ["A", "B"], found.readers).axes
    chance, *drawn = axis.lines
    assert (chance.get_ydata() == 0.5).all() and [line.get_label() for line in drawn] == ["A", "B"]
    for line in drawn:
        own = value.value[line.get_label()][found.readers].tolist()
        assert line.get_ydata().tolist() == [*own, own[0]]
        assert np.allclose(line.get_xdata(), [*(2 * np.pi * np.arange(4) / 4), 0])
    panels = figures.dots(found.estimates, "balanced accuracy", ["A", "B"], found.readers, found.by_method, 0.1).axes
    for panel, method in zip(panels, "AB"):
        assert panel.get_title(loc="left") == method
        drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines]
        assert drawn[0][0] == [0.5, 0.5]
        rows = [*value.loc[method].loc[found.readers].itertuples(),
                found.by_method.set_index("method").loc[method]]
        for y, row in enumerate(rows):
            assert ([row.low, row.high], [y, y]) in drawn and ([row.value], [y]) in drawn


@pytest.mark.slow
def test_report_tables_hold_what_was_analysed(liang):
    study, out = liang
    found = Analysis(pd.read_csv(study.folder / "UNBLINDED/answers.csv"), study.protocol, ["A", "B"])
    table = pd.read_csv(out / "tables/methods.csv").set_index("method")
    np.testing.assert_allclose(table.value, found.by_method.value)
    row = found.by_method.iloc[0]
    assert f"{Score('', row.value, row.low, row.high):.2f}" in (out / "report.md").read_text()
    assert len(pd.read_csv(out / "tables/answers.csv")) == 4 * (2 + 80 + 16 + 2)
    assert not {"file", "group"} & set(pd.read_csv(out / "tables/answers.csv"))
    assert len(pd.read_csv(out / "tables/grras.csv")) == 15
    assert json.loads((out / "audit.json").read_text())["blinded"]
    with pytest.raises(FileExistsError, match="is not empty"):
        study.report(out)


@pytest.mark.slow
@pytest.mark.parametrize("protocol, pictures", [("2afc", {"radar", "dots", "blocks"}),
                                                ("likert", {"dots", "quality", "quality_measures"}),
                                                ("bautista2022", {"dots", "blocks", "quality", "quality_measures"})])
def test_reports_of_other_protocols(tmp_path, protocol, pictures):
    readers = [SimulatedReader(0.0, -9.0), *(SimulatedReader(1.0, seed=i) for i in (1, 2))]
    preset = {"methods": "A", "n_per_method": 57, "repeats": 0.0, "practice": 0, "attention": 0}
    study = finished(tmp_path, protocol, readers, **(preset if protocol == "bautista2022" else {}))
    out = study.report(tmp_path / "report").parent
    assert {path.stem for path in (out / "figures").iterdir()} == pictures
    text = text_of((out / "report.html").read_text())
    if protocol == "bautista2022":
        assert "Always answering 'synthetic' would be right in 83.8% of the images" in text
        assert "in 100% of the images" in text and "not estimable" in text
        assert "calling" not in text and "the clinician called every image synthetic" in text.lower()
        measures = pd.read_csv(out / "tables/quality_measures.csv")
        assert len(measures) > 100 and "Frechet distance belongs to a set" in text
    elif protocol == "likert":
        assert "told apart" not in text.replace("cannot be told apart", "") and "ICC(A,1)" in text


def test_report_waits_for_unblinding_and_for_answers(tmp_path):
    study = Study.build(POOLS["real"], {"A": POOLS["A"]}, out=tmp_path / "s", acknowledge_text=True)
    for act in (lambda: study.report(tmp_path / "r"), lambda: study.export("csv")):
        with pytest.raises(ValueError, match="still blinded"):
            act()
    study.close()
    study.unblind()
    with pytest.raises(ValueError, match="there is no answer to report"):
        study.report(tmp_path / "r")
    with pytest.raises(ValueError, match="no export 'sas'"):
        study.export("sas")


def test_early_unblinding_stands_in_the_report(tmp_path):
    study = Study.build(POOLS["real"], {"A<b>": POOLS["A"]}, out=tmp_path / "s", acknowledge_text=True, readers=1,
                        title="Pilot <b>")
    study.autoplay(SimulatedReader())
    study.unblind(early="interim look for the <b> ethics board")
    html, text = study.report(tmp_path / "r").read_text(), (tmp_path / "r/report.md").read_text()
    assert "<b>" not in html and all(f"{word}&lt;b&gt;" in html for word in ("A", "Pilot ", "look for the "))
    assert "# Pilot <b>\n" in text and "interim look for the <b> ethics board" in text
    assert "1 FAILED. Weigh every result by that." in text


@pytest.mark.slow
def test_the_margin_is_sealed_before_anybody_answers(tmp_path):
    study = finished(tmp_path, "yesno", [SimulatedReader(0.0)], "A", margin=0.2, attention=0, repeats=0)
    assert study.key()["design"]["margin"] == study.analysis().margin == 0.2
    text = (study.report(tmp_path / "a").parent / "report.md").read_text()
    text = text.replace("Rules set when the study was built", "")
    assert text.count("set when the study was built") == 3 and "afterwards" not in text
    assert "Shaded: the margin of equivalence, 0.2" in text
    text = (study.report(tmp_path / "b", margin=0.05).parent / "report.md").read_text()
    assert text.count("chosen afterwards: the study was built with 0.2") == 4 and "exploratory" in text


def test_numbers_are_written_plainly():
    assert [number(x) for x in (0.04321, 0.00002, np.nan, None, pd.NA, 12, np.inf, -0.0, "a")] == [
        "0.0432", "< 0.001", "", "", "", "12", "inf", "0", "a"]


# Exports

@pytest.mark.slow
def test_imrmc_export_gives_the_same_areas(liang):
    from sklearn.metrics import roc_auc_score

    study, _ = liang
    head, data = study.export("imrmc").split("BEGIN DATA:\n")
    assert "N0: 40" in head and "N1: 40" in head and "NR: 4" in head and "NM: 2" in head
    table = pd.read_csv(io.StringIO(data), names=["reader", "case", "modality", "score"])
    truth = table[table.reader == "-1"].set_index("case").score
    scores = table[table.reader != "-1"].assign(truth=lambda t: t.case.map(truth))
    found = Analysis(pd.read_csv(study.folder / "UNBLINDED/answers.csv"), study.protocol, ["A", "B"]).comparison.values
    for i, method in enumerate("AB"):
        for j, reader in enumerate(sorted(scores.reader.unique())):
            own = scores[(scores.reader == reader) & (scores.modality == method)]
            assert len(own) == 60 and roc_auc_score(own.truth, own.score) == pytest.approx(found[i, j])


def test_a_comma_in_a_methods_name_makes_no_column():
    main = answers([("R01", "r0", "real", "real", "real"), ("R01", "a0", "A, small", "synthetic", "real")]).main
    lines = exports.imrmc(main, PROTOCOLS["yesno"], ["A, small"]).split("BEGIN DATA:\n")[1].splitlines()
    assert lines == ["-1,r0,0,0", "-1,a0,0,1", "R01,r0,A; small,-1", "R01,a0,A; small,-1"]


def test_pairs_have_no_imrmc_export(tmp_path):
    study = finished(tmp_path, "2afc", [SimulatedReader()])
    with pytest.raises(ValueError, match="pairs have no score"):
        study.export("imrmc")
    table = pd.read_csv(io.StringIO(study.export("csv")))
    assert set(table[table.phase == "main"].truth) == {"left", "right"} and len(table) == 2 + 40 + 8 + 2
    assert (table.correct == ((table.choice == table.truth) | (table.truth == "attention"))).all()


# Command line

@pytest.mark.slow
def test_from_a_run_to_a_report_in_five_commands(tmp_path, monkeypatch, capsys):
    from safetensors.torch import save_file

    from uslab.phantom import load

    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    save_file({"images": load("fetal_head", 8, 64, seed=5).images}, run / "samples/000100.safetensors")
    (tmp_path / "consent.txt").write_text("I agree to be asked about pictures.")
    build = ["study", "build", "s", "--consent", "consent.txt", "--real", "phantom:fetal_head", "--synthetic",
             "dcgan=run", "--n", "6", "--practice", "2", "--readers", "2"]
    assert main(build) == 0
    assert main(build) == 2 and "nothing is overwritten" in capsys.readouterr().err
    assert main(["study", "invite", "s", "Dr A"]) == 0
    code = re.search("Dr A: (.+)", capsys.readouterr().out)[1]
    study = Study.open("s")
    session = study.session(code)
    session.consent(study.consent_sha256, {"role": "student"})
    while trial := session.next():
        session.answer(trial.trial, trial.buttons[0]["choice"], 3, rt_ms=900, nonce=f"nonce-{trial.trial}")
    assert study.protocol.consent == "I agree to be asked about pictures."
    assert main(["study", "backup", "s", "--out", "copy"]) == 0 and Study.open("copy").status().answered[0] > 12
    assert not (tmp_path / "copy/SEALED").exists()
    assert main(["study", "status", "s"]) == 0 and "complete" in capsys.readouterr().out
    assert main(["study", "audit", "s"]) == 0 and "Side channels: none open" in capsys.readouterr().out
    assert main(["study", "report", "s"]) == 2 and "still blinded" in capsys.readouterr().err
    assert main(["study", "unblind", "s"]) == 2 and "--early" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["study", "close", "s"]) == 2 and "the study stays open" in capsys.readouterr().err
    assert main(["study", "close", "s", "--yes"]) == 0 and "deposit_close.txt" in capsys.readouterr().out
    assert main(["study", "unblind", "s"]) == 0 and main(["study", "report", "s"]) == 0
    text = (tmp_path / "s_report/report.md").read_text()
    assert "PHANTOMS" in text and "SIMULATED" not in text and "Dr A" not in text and "1 student; 0 had seen" in text
    assert "answers came by the Python interface: blinded for honest readers only" in text
    assert main(["study", "export", "s", "--kind", "imrmc", "--out", "a.imrmc"]) == 0
    assert main(["study", "export", "s", "--out", "a.imrmc"]) == 2
    (study.public / "planted.txt").write_text("x")
    capsys.readouterr()
    assert main(["study", "audit", "s"]) == 1 and "planted.txt" in capsys.readouterr().out


def test_commands_name_what_they_cannot_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["status", "nowhere"], "study.json is missing"),
        (["build", "s", "--real", "nowhere", "--synthetic", "a=b"], "neither a folder of images"),
        (["build", "s", "--real", "x", "--synthetic", "run"], "give each method once, as NAME=SOURCE"),
        (["plan", "--accuracy", "0.5"], "accuracy is 0.5; it must differ from 0.5"),
    ):
        assert main(["study", *arguments]) == 2 and message in capsys.readouterr().err
    assert main(["study", "plan", "--margin", "0.1"]) == 0
    assert "One reader needs 214 images" in capsys.readouterr().out


def test_the_codebook_names_every_column_as_redcap_wants_it(liang):
    study, folder = liang
    book = pd.read_csv(folder / "tables/codebook.csv", dtype=str, keep_default_na=False)
    names = book[book["Form Name"] == "answers"]["Variable / Field Name"].tolist()
    table = pd.read_csv(folder / "tables/answers.csv")
    assert names == table.columns.tolist()
    everything = book["Variable / Field Name"]
    assert everything.is_unique and everything.str.fullmatch("[a-z][a-z0-9_]*").all() and len(book.columns) == 18
    assert set(book["Field Type"]) == {"radio", "text"} and (book["Field Label"] != "").all()
    for entry in book.to_dict("records"):       # what a column holds is among its choices, or a number where it must be
        values = table[entry["Variable / Field Name"]].dropna() if entry["Form Name"] == "answers" else pd.Series()
        choices = [part.split(", ", 1)[0] for part in entry["Choices, Calculations, OR Slider Labels"].split(" | ")]
        if entry["Field Type"] == "radio":
            assert set(values.astype(str)) <= set(choices), entry
        elif entry["Text Validation Type OR Show Slider Number"]:
            assert pd.to_numeric(values).notna().all(), entry
    assert study.export("codebook") == (folder / "tables/codebook.csv").read_text()


@pytest.mark.parametrize("protocol", ["yesno_conf", "2afc", "likert"])
def test_a_rehearsal_has_the_studys_design_and_none_of_its_images(tmp_path, protocol, capsys):
    study = Study.build(POOLS["real"], {"A": POOLS["A"], "B": POOLS["B"]}, protocol, out=tmp_path / "s", n_per_method=6,
                        n_real=None if protocol == "2afc" else 9, practice=2, attention=2, margin=0.2, readers=3,
                        title="Heads", texts={"question": "Which is it?"}, rules={"one_answer": 0.8})
    assert main(["study", "rehearse", str(tmp_path / "s"), "--out", str(tmp_path / "r"), "--simulated", "3"]) == 0
    other = Study.open(tmp_path / "r")
    assert other.protocol == study.protocol and other.about["title"] == "Rehearsal: Heads"
    assert other.about["design"] == study.about["design"] and other.about["n_trials"] == study.about["n_trials"]
    assert other.about["id"] != study.about["id"] and not study.readers()
    page = (tmp_path / "r_report/report.md").read_text()
    assert "SIMULATED" in page and "PHANTOMS" in page
    (tmp_path / "new_report").mkdir()
    again = ["study", "rehearse", str(tmp_path / "s"), "--out", str(tmp_path / "new"), "--simulated", "1"]
    assert main(again) == 2 and not (tmp_path / "new").exists()     # refused before anything is built
    assert main(["study", "rehearse", str(tmp_path / "s"), "--out", str(tmp_path / "r")]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_equivalence_is_tested_on_what_its_margin_is_of(liang):
    """The margin is of accuracy: the p-value follows from the choices alone, whatever the confidence says."""
    study, folder = liang
    found = study.analysis()
    surer = found.answers.assign(rating=found.answers.rating * np.where(found.answers.rating.abs() > 2, 10, 1))
    plain = dataclasses.replace(found, answers=surer)
    assert plain.by_method["balanced accuracy"].equals(found.by_method["balanced accuracy"])
    for method, accuracy in found.by_method.set_index("method")["balanced accuracy"].items():
        chosen = found.estimates[(found.estimates.method == method) & (found.estimates.measure == "balanced accuracy")]
        assert accuracy == pytest.approx(chosen.value.mean())
    text = (folder / "report.md").read_text()
    assert "of the balanced accuracy, of which the margin is" in text and "images shown twice to each reader" in text


def test_every_image_has_a_row(liang):
    """What all readers said of it on average, worked out from the answers by another way."""
    study, folder = liang
    table = pd.read_csv(folder / "tables/stimuli.csv").set_index("case")
    main = study.analysis().main
    assert len(table) == main.case.nunique() == 80 and set(table.method) == {"real", "A", "B"}
    case = main.case.iloc[7]
    own = main[main.case == case]
    assert table.answers[case] == len(own) == 4
    assert table["share of right answers"][case] == own.correct.astype(int).sum() / 4
    assert table["mean rating"][case] == own.rating.sum() / 4
    assert "mean quality" not in table      # the protocol does not ask for it
