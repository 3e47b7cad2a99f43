"""Comments and marks beside the answers: kept as they are given, checked, tabled and drawn where they belong."""

import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from made import pictures
from test_reading import Reader

from uslab.cli.main import main
from uslab.study import PROTOCOLS, Study, beside, figures
from uslab.study.unblind import plain


def built(folder, protocol="yesno", n=4, **texts) -> Study:
    """n images of a class, without practice; a mark and a comment are asked."""
    return Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, protocol, out=folder / "study", n_per_method=n,
                       practice=0, attention=0, repeats=0.0, texts={"comment": True, "mark": True} | texts)


def give(reader: Reader, nonce: str, **reply) -> dict:
    return reader.answer(f"a nonce {nonce}", **{"choice": 0} | reply)


def test_what_stands_beside_an_answer_is_in_the_table_and_the_report(tmp_path):
    study = built(tmp_path)
    reader = Reader(study, study.invite("Dr A"))
    assert (reader.last["comment"], reader.last["mark"], reader.last["beside"]) == (True, True, {})
    assert any("click in the image" in text for text in reader.page.messages[1][0]["text"])
    said = "=HYPERLINK(1)|\n\tdark\u202e " + 600 * "x"
    give(reader, "1", comment=said[:500], mark={"x": 3.25, "y": 12, "side": None})
    give(reader, "2", comment="   ", mark=None)
    while reader.last["type"] == "item":
        give(reader, reader.last["id"], mark={"x": 16, "y": 0, "side": None})
    study.close()
    table = study.unblind().sort_values("at")
    first, second, last = (table.iloc[row] for row in (0, 1, -1))
    assert first.comment.startswith("'=HYPERLINK(1)/ dark x") and len(first.comment) <= 501
    assert (first.mark_x, first.mark_y, first.mark_case) == (3.25, 12.0, first.case) and pd.isna(first.mark_side)
    assert pd.isna(second.comment) and np.isnan(second.mark_x) and pd.isna(second.mark_case)
    assert (last.mark_x, last.mark_y) == (16, 0)
    page = study.report(tmp_path / "report")
    text = page.read_text()
    assert "7 of 8 answers" in text and "1 comment," in text and "HYPERLINK(1)/ dark" in text
    assert (tmp_path / "report/figures/marks_kinds.png").exists()
    assert not (tmp_path / "report/figures/marks_images.png").exists()      # one reader marks no image three times
    marks = pd.read_csv(tmp_path / "report/tables/marks.csv").set_index("kind")
    assert set(marks.index) == {"real", "dcgan"} and marks.marks.sum() == 7


def test_the_marks_of_a_pair_know_their_image(tmp_path):
    study = built(tmp_path, "2afc", n=6)
    reader = Reader(study, study.invite("Dr A"))
    while reader.last["type"] == "item":
        give(reader, reader.last["id"], mark={"x": 1.5, "y": 2.5, "side": "right"})
    study.close()
    table, stimuli = study.unblind(), study.key()["stimuli"]
    on_real = table.mark_case.map(lambda name: stimuli[name]["truth"] == "real")
    assert (on_real == (table.truth == "right")).all() and (table.mark_case != table.case).equals(on_real)
    assert set(beside.marked(table).kind[on_real]) == {"real"} and set(beside.marked(table).kind[~on_real]) == {"dcgan"}


@pytest.mark.parametrize("wrong, says", [
    ({"comment": 501 * "x"}, "at most 500"), ({"comment": 7}, "a comment is text"),
    ({"mark": {"x": 17, "y": 1, "side": None}}, "in pixels of the image, 16x16"),
    ({"mark": {"x": float("nan"), "y": 1, "side": None}}, "in pixels"),
    ({"mark": {"x": True, "y": 1, "side": None}}, "in pixels"),
    ({"mark": {"x": 1, "y": 1, "side": "left"}}, "in pixels"), ({"mark": [1, 2]}, "in pixels")])
def test_what_no_page_can_give_is_refused(tmp_path, wrong, says):
    study = built(tmp_path)
    session = study.session(study.invite("Dr A"))
    session.consent(study.consent_sha256)
    with pytest.raises(ValueError, match=says):
        session.answer(session.next().trial, "real", nonce="a nonce 1", **wrong)
    assert session.progress[0] == 0


def test_a_study_that_does_not_ask_takes_neither(tmp_path):
    study = built(tmp_path, comment=False, mark=False)
    session = study.session(study.invite("Dr A"))
    session.consent(study.consent_sha256)
    for given in ({"comment": "x"}, {"mark": {"x": 1, "y": 1, "side": None}}):
        with pytest.raises(ValueError, match="does not take any"):
            session.answer(session.next().trial, "real", nonce="a nonce 1", **given)
    session.answer(session.next().trial, "real", nonce="a nonce 1")
    body = json.loads(study.store.rows("select body from log where kind = 'answer'")[0][0])
    assert not {"comment", "mark"} & set(body)


def test_what_was_beside_an_answer_comes_back_with_it(tmp_path):
    study = built(tmp_path, undo=True)
    reader = Reader(study, study.invite("Dr A"))
    first, mark = reader.last["id"], {"x": 4, "y": 5, "side": None}
    give(reader, "1", comment="bright rim", mark=mark)
    assert reader.last["beside"] == {}          # the next image begins with none
    reader.say(type="undo")
    assert reader.last["beside"] == {"comment": "bright rim", "mark": mark}
    reader.say(type="answer", id=first, again=True, reply={"choice": 1, "comment": "no: noise"}, rt_ms=9.0,
               nonce="anew 1234", facts={})
    study.close()
    row = study.unblind().iloc[0]
    assert row.corrected and row.comment == "no: noise" and np.isnan(row.mark_x)


def test_the_density_stands_where_the_marks_are():
    at = np.array([20.5, 20.5, 20.5, 50.5]), np.array([10.5, 10.5, 10.5, 40.5])
    panel = beside.Panel("dcgan: 4 marks", np.full((64, 80), 100, np.uint8), *at)
    assert panel.density.shape == (64, 80) and np.unravel_index(panel.density.argmax(), (64, 80)) == (10, 20)
    assert panel.density[40, 50] == pytest.approx(1 / 3, abs=0.02) and panel.density[60, 5] < 1e-6
    drawn = figures.marks([panel] * 5).axes[4]
    assert tuple(drawn.lines[0].get_xydata()[-1]) == (50.5, 40.5)
    assert (drawn.get_ylim(), drawn.get_xlim()) == ((64, 0), (0, 80))


def test_images_that_many_marked_are_shown_by_themselves():
    names = [f"{i:016x}" for i in range(3)]
    stimuli = {name: {"method": "A", "phase": "main"} for name in names}
    table = pd.DataFrame({"mark_case": [names[0]] * 3 + [names[1]] * 2, "mark_x": 1.0, "mark_y": 2.0, "phase": "main",
                          "method": "A", "reader": "R01", "correct": True})
    table["case"] = table.mark_case
    pack = {name: np.full((8, 8), i, np.uint8) for i, name in enumerate(names)}
    found = beside.panels(table, pack, stimuli)
    assert [len(panel.x) for panel in found["images"]] == [3] and [len(panel.x) for panel in found["kinds"]] == [5]
    assert (found["kinds"][0].image == 1).all()     # the mean of all three
    assert found["images"][0].title == "A, 000000: 3"
    clips = {name: np.stack([image, image]) for name, image in pack.items()}
    assert beside.panels(table, clips, stimuli)["images"][0].title == "A, 000000: 3, all frames"


def test_a_timed_image_can_be_neither_marked_nor_windowed(tmp_path, capsys):
    for option in ("mark", "window"):
        with pytest.raises(ValueError, match="gone after 500 ms"):
            built(tmp_path, "timed", **{"mark": False, option: True})
    with pytest.raises(ValueError, match="there is no text 'marks'"):
        dataclasses.replace(PROTOCOLS["yesno"]).worded({"marks": True})
    assert main(["study", "build", str(tmp_path / "s"), "--real", "phantom:liver?n=8", "--synthetic",
                 "gan=phantom:liver?n=8,seed=9", "--n", "4", "--practice", "0", "--attention", "0", "--size", "64",
                 "--mark", "--comment", "--acknowledge-text"]) == 0
    protocol = Study.open(tmp_path / "s").protocol
    assert protocol.mark and protocol.comment and not protocol.undo


def test_words_of_readers_hold_nothing_that_cannot_be_written():
    assert plain("a\x00b\ud800c  d") == "a b c d" and plain(900 * "x", 500) == 500 * "x"


def test_the_window_of_an_answer_stands_in_the_table_and_the_report(tmp_path):
    study = built(tmp_path, window=True, comment=False, mark=False, form={"level": "Your level of training"})
    reader = Reader(study, study.invite("Dr A"))
    assert reader.last["window"] and any("right mouse button" in text for text in reader.page.messages[1][0]["text"])
    facts = [{"window": 120, "level": 90}, {"window": 10**30, "level": "=1", "zoom": 10**400, "blur": 10**30},
             {"window": 256, "level": 128}]
    while reader.last["type"] == "item":
        reader.say(type="answer", id=reader.last["id"], reply={"choice": 0}, rt_ms=9.0, facts=facts.pop(0) if facts
                   else {"window": 300, "level": 128}, nonce=f"a nonce {reader.last['id']}")
    study.close()
    table = study.unblind().sort_values("at")
    assert table.window.tolist() == [120, pd.NA, 256] + [300] * 5 and table.level.tolist()[:3] == [90, pd.NA, 128]
    assert "120" in study.export("csv") and "120.0" not in study.export("csv")
    found = beside.windows(table)
    assert found.answers.sum() == 7 and found.changed.sum() == 6
    assert set(found["median window where changed"]) <= {120, 210, 300}
    names = pd.read_csv(io.StringIO(study.export("codebook")))["Variable / Field Name"].tolist()
    assert len(names) == len(set(names)) and {"window", "level", "viewport", "said_level"} <= set(names)
    assert "256 and 128" in study.report(tmp_path / "report").read_text()
