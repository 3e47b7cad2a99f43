"""The reader's page without a browser: what it tells, what it keeps, and that a saved notebook holds nothing of it."""

import dataclasses
import json
import re
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
from made import pictures
from test_widgets import STATE, Page

from uslab.reader.page import EVENTS, Reading
from uslab.reader.server import SERVED
from uslab.study import PROTOCOLS, SimulatedReader, Study
from uslab.study.unblind import readers_facts

# Everything that a message to the page may say. Options and feedback are worded, so their text is looked at too.
COMMON = {"whole", "alone", "warning", "seat", "type", "id"}
ITEM = COMMON | {"done", "n", "w", "h", "label", "hint", "steps", "zoom", "smooth", "exposure_ms", "mask_ms",
                 "fixation_ms", "blank_ms", "guard_ms", "undo", "again", "comment", "mark", "window", "fps", "frames",
                 "beside", "pad"}
PAGE = COMMON | {"name", "title", "text", "fields", "buttons"}
CLASS_WORDS = re.compile(r"\b(real|synthetic|fake|truth|dcgan)\b", re.IGNORECASE)


@pytest.fixture
def study(tmp_path, request):
    """20 images, 2 of practice; another protocol by the test's parameter."""
    protocol = getattr(request, "param", "yesno_conf")
    return Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, protocol, out=tmp_path / "study", n_per_method=10,
                       practice=2, attention=0, repeats=0.0, title="Heads")


class Reader:
    """A reader's page as the browser plays it: agrees, goes on, and answers."""

    def __init__(self, study: Study, code: str, agree: bool = True):
        self.widget = Reading(study, code)
        self.page = Page(self.widget)
        self.say(type="ready")
        if agree:
            self.say(type="consent", form={"agreed": True, "role": "student"})
            self.say(type="go")

    def say(self, **message) -> None:
        self.widget._on_message(self.widget, message, [])

    @property
    def last(self) -> dict:
        return self.page.messages[-1][0]

    def answer(self, nonce: str = "", **reply) -> dict:
        """Answer the image that is shown; returns the confirmation."""
        item = next(message for message, _ in reversed(self.page.messages) if message["type"] == "item")
        before = len(self.page.messages)
        reply = reply or {step["name"]: step["options"][0]["value"] for step in item["steps"]}
        self.say(type="answer", id=item["id"], reply=reply, rt_ms=512.5, nonce=nonce or f"nonce {item['id']}",
                 facts={"by": ["key"]})
        return next(message for message, _ in self.page.messages[before:] if message["type"] == "ack")

    def go_on(self) -> None:
        """To the next image, past feedback and breaks."""
        self.say(type="next")
        if self.last["type"] == "page":
            self.say(type="go")


@pytest.mark.parametrize("study", ["yesno_conf", "2afc", "likert", "yesno_likert", "timed"], indirect=True)
def test_the_page_is_told_what_it_may_know_and_nothing_else(study, monkeypatch):
    monkeypatch.setenv(SERVED, "1")
    reader = Reader(study, study.invite("Dr A"))
    while reader.last["type"] == "item":
        reader.answer()
        reader.go_on()
    n = 12 if study.protocol.name == "2afc" else 22
    assert reader.last["name"] == "done" and reader.widget.session.progress == (n, n)
    lengths, told = set(), []
    for message, arrays in reader.page.messages:
        if message["type"] == "item":
            assert set(message) == ITEM and len(arrays) == 1 + study.protocol.pair
            assert all(array.shape == (16, 16) and array.dtype == np.uint8 for array in arrays)
            lengths.add(len(json.dumps(message)))
        elif message["type"] == "ack":
            assert set(message) == {"type", "nonce", "feedback"}
            told.append(message["feedback"] is not None)
        else:
            assert set(message) == PAGE and not arrays
    assert len(lengths) == 1, "the length of a message must not tell one image from another"
    assert told == [bool(study.protocol.buttons)] * 2 + [False] * (len(told) - 2)     # only practice is told
    # The question and its options stand in the same words beside every image.
    assert len({json.dumps(message["steps"]) for message, _ in reader.page.messages if message["type"] == "item"}) == 1


def test_no_trait_holds_anything_of_the_study(study):
    state = Reading(study, study.invite("Dr A")).get_state()
    assert set(state) == STATE
    assert not CLASS_WORDS.search(json.dumps({name: value for name, value in state.items() if isinstance(value, str)}))


@pytest.mark.notebook
def test_a_saved_notebook_holds_no_image_and_no_class(study, run_cells):
    code = (f"from uslab.reader.page import Reading\nreading = Reading({str(study.folder)!r}, "
            f"{study.invite('Dr A')!r})\n"
            "display(reading)\nreading._on_message(reading, {'type': 'ready'}, [])\n"
            "reading._on_message(reading, {'type': 'consent', 'form': {}}, [])\n"
            "reading._on_message(reading, {'type': 'go'}, [])\nassert reading._shown")
    saved = nbformat.writes(run_cells(code))
    assert "0 of 22 answered" in saved
    found = json.loads(saved)
    del found["cells"][0]["source"]
    assert "iVBOR" not in saved and "buffers\": [{" not in saved
    assert not CLASS_WORDS.search(json.dumps(found))


def test_an_answer_counts_once_and_is_confirmed_as_often_as_it_comes(study):
    reader = Reader(study, study.invite("Dr A"))
    item = reader.last
    for _ in range(3):
        reader.say(type="answer", id=item["id"], reply={"choice": 0}, rt_ms=300.0, nonce="the same nonce", facts={})
    acks = [message for message, _ in reader.page.messages if message["type"] == "ack"]
    assert [ack["nonce"] for ack in acks] == ["the same nonce"] * 3
    assert reader.widget.session.progress[0] == 1
    body = json.loads(study.store.rows("select body from log where kind = 'answer'")[0][0])
    assert (body["choice"], body["confidence"], body["rt_ms"], body["client"]["shows"]) == ("synthetic", 3, 300.0, 1)


def test_the_last_answer_is_confirmed_again_after_its_confirmation_was_lost(study):
    reader = Reader(study, study.invite("Dr A"))
    for _ in range(22):
        reader.answer()
        reader.go_on()
    assert reader.answer()["nonce"] and reader.last["name"] == "done"
    assert not study.store.rows("select 1 from log where kind in ('refused', 'error')")


def test_in_two_windows_the_first_answer_counts(study):
    code = study.invite("Dr A")
    first, second = Reader(study, code), Reader(study, code, agree=False)
    assert second.last["title"] == "How it works"       # nothing answered yet, but agreed in the other window
    second.say(type="go")
    assert first.last["id"] == second.last["id"]
    first.answer(choice=0)
    second.answer(nonce="another nonce", choice=5)
    second.go_on()
    assert second.widget.session.progress[0] == 1 and second.last["id"] != first.last.get("id")
    assert "answered in another window" in second.last["warning"]
    first.go_on()
    assert first.last["id"] == second.last["id"] and "another window" not in first.last["warning"]


def test_the_latest_answer_is_given_anew_once_and_both_are_kept(tmp_path):
    protocol = dataclasses.replace(PROTOCOLS["yesno_conf"], undo=True)
    study = Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, protocol, out=tmp_path / "s", n_per_method=10,
                        practice=2, attention=0, repeats=0.0)
    reader = Reader(study, study.invite("Dr A"))
    for _ in range(2):
        assert not reader.last["undo"]
        reader.answer()
        reader.go_on()
    assert not reader.last["undo"]              # of practice the truth was told
    first = reader.last
    reader.answer(choice=0)
    ahead = reader.last
    assert ahead["undo"] and not ahead["again"]
    reader.say(type="undo")
    assert reader.last["again"] and reader.last["id"] == first["id"] and not reader.last["undo"]
    reader.say(type="next")                     # kept after all
    assert reader.last["id"] == ahead["id"] and reader.last["undo"]
    reader.say(type="undo")
    for _ in range(2):                          # the second is a retry
        reader.say(type="answer", id=first["id"], again=True, reply={"choice": 5}, rt_ms=900.0, nonce="anew 1234",
                   facts={})
    assert reader.last["id"] == ahead["id"] and not reader.last["undo"]
    reader.say(type="answer", id=first["id"], again=True, reply={"choice": 1}, rt_ms=900.0, nonce="a third time",
               facts={})                        # only once
    reader.answer(choice=2)
    kinds = [kind for kind, in study.store.rows("select kind from log where trial is not null and reader = 'R01'")]
    assert kinds == ["answer"] * 3 + ["correction", "answer"]
    study.close()
    row = study.unblind().iloc[2]
    assert (row.choice, row.first_choice, row.corrected, row.rt_ms) == ("real", "synthetic", True, 512.5)
    assert reader.widget.session.progress[0] == 4
    plain = Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, out=tmp_path / "p", n_per_method=4, practice=0,
                        attention=0, repeats=0.0)
    other = Reader(plain, plain.invite("Dr A"))
    one = other.last["id"]
    other.answer()
    other.say(type="undo")
    assert other.last["id"] != one
    other.say(type="answer", id=one, again=True, reply={"choice": 5}, rt_ms=900.0, nonce="anew 1234", facts={})
    assert not plain.store.rows("select 1 from log where kind = 'correction'")


def test_who_comes_back_goes_on_where_they_were(study):
    code = study.invite("Dr A")
    reader = Reader(study, code)
    for _ in range(5):
        reader.answer()
        reader.go_on()
    where = reader.last["id"]
    again = Reader(Study.open(study.public), code, agree=False)
    assert again.last["name"] == "welcome" and "5 of 22" in again.last["text"][0]
    again.say(type="go")
    assert again.last["id"] == where and (again.page.messages[-1][1][0] == reader.page.messages[-1][1][0]).all()


def test_a_pause_hides_the_image_and_is_in_the_record(study):
    reader = Reader(study, study.invite("Dr A"))
    reader.say(type="pause")
    assert reader.last["name"] == "pause"
    reader.say(type="ready")            # a reload during the pause shows no image either
    assert reader.last["name"] == "pause"
    reader.say(type="go")
    assert reader.last["type"] == "item"
    reader.answer()
    kinds = [kind for kind, in study.store.rows("select kind from log where reader != '' order by seq")]
    assert kinds == ["consent", "open", "pause", "resume", "answer"]
    assert '"shows": 2' in study.store.rows("select body from log where kind = 'answer'")[0][0]


def test_withdrawing_asks_once_and_deletes_the_form(study):
    reader = Reader(study, study.invite("Dr A"))
    assert study.readers()[0]["form"] == {"role": "student"}
    reader.say(type="withdraw")
    assert reader.last["name"] == "withdraw" and not reader.widget.session.withdrawn
    reader.say(type="withdraw", sure=True)
    assert reader.last["name"] == "withdrawn" and study.readers()[0]["form"] == {}
    reader.say(type="go")
    assert reader.last["name"] == "withdrawn"


def test_nothing_is_kept_of_who_does_not_agree(study):
    reader = Reader(study, study.invite("Dr A"), agree=False)
    assert reader.last["name"] == "consent"
    reader.say(type="event", kind="blur", body={})
    reader.say(type="answer", id="t0001", reply={"choice": 0}, rt_ms=1.0, nonce="too early 1", facts={})
    reader.say(type="decline")
    assert reader.last["name"] == "declined"
    assert not study.store.rows("select 1 from log where reader != ''")


def test_an_unknown_invitation_learns_nothing(study):
    reader = Reader(study, "guess", agree=False)
    for message in ({"type": "go"}, {"type": "next"}, {"type": "answer", "id": "t0001"},
                    {"type": "withdraw", "sure": True}):
        reader.say(**message)
    assert {message["name"] for message, _ in reader.page.messages} == {"refused"}
    assert not study.store.rows("select 1 from log where reader != ''")


def test_what_fails_is_neither_confirmed_nor_told(study):
    reader = Reader(study, study.invite("Dr A"))
    item, before = reader.last, len(reader.page.messages)
    reader.say(type="answer", id=item["id"], reply={"choice": 0}, rt_ms=1.0, nonce=None, facts={})     # malformed
    reader.say(type="nonsense", body={"x": object})
    study.store._db.execute("create trigger full before insert on log when new.kind = 'answer' begin "
                            "select raise(rollback, 'database or disk is full'); end")
    reader.say(type="answer", id=item["id"], reply={"choice": 0}, rt_ms=1.0, nonce="disk is full", facts={})
    texts = json.dumps([message for message, _ in reader.page.messages[before:]])
    assert "disk is full" not in texts and "Error" not in texts and "Traceback" not in texts
    assert reader.widget.session.progress[0] == 0
    study.store._db.execute("drop trigger full")
    # The retry.
    reader.say(type="answer", id=item["id"], reply={"choice": 0}, rt_ms=1.0, nonce="disk is full", facts={})
    assert any(message.get("nonce") == "disk is full" for message, _ in reader.page.messages[before:])
    assert reader.widget.session.progress[0] == 1


def test_a_page_enters_no_event_of_its_own_invention(study):
    reader = Reader(study, study.invite("Dr A"))
    for kind in ("unblind", "close", "answer", "anything"):
        reader.say(type="event", kind=kind, body={})
    reader.say(type="event", kind="blur", body={"long": "x" * 5000})
    reader.say(type="event", kind="blur", body={"id": "t0001"})
    kinds = [kind for kind, in study.store.rows("select kind from log where reader != '' order by seq")]
    assert kinds == ["consent", "open", "blur"] and "blur" in EVENTS


def test_it_says_when_it_is_not_blinded(study, monkeypatch):
    code = study.invite("Dr A")
    assert "Not blinded" in Reader(study, code).last["warning"]
    monkeypatch.setenv(SERVED, "1")
    assert Reader(study, code, agree=False).last["warning"] == ""
    opened = [json.loads(body)["served"]
              for body, in study.store.rows("select body from log where kind = 'open' order by seq")]
    assert opened == [False, True]      # the report can say so


def test_a_closed_study_takes_no_answer(study):
    reader = Reader(study, study.invite("Dr A"))
    study.close()
    ack = reader.answer()
    assert ack["feedback"] is None and reader.last["name"] == "closed"


def test_a_readers_kernel_does_without_what_is_slow():
    code = ("import sys, uslab.reader.page; "
            "print([m for m in ('torch', 'matplotlib', 'pandas', 'scipy') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_simulated_reader_with_lapses_answers_as_the_store_keeps_it(study):
    study.autoplay(SimulatedReader(1.0, lapse=1.0))
    assert study.status().state.tolist() == ["complete"]


def test_what_the_page_told_of_an_answer_stands_in_the_table(tmp_path, monkeypatch):
    """Zoom, key or touch, lost focus, presses in the guard; and which times are not of one look."""
    monkeypatch.setenv(SERVED, "1")
    study = Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, "yesno_conf", out=tmp_path / "study",
                        n_per_method=4, practice=0, attention=0, repeats=0.0)
    code = study.invite("Dr A")
    reader = Reader(study, code)
    reader.say(type="event", kind="ready", body={"screen": [1920, 1080], "window": [1900, 900], "touch": 0,
                                                 "pixel_ratio": 1.5, "frame_ms": 16.7})
    facts = [{"by": ["touch"], "zoom": 3, "scale": 4, "blur": 1, "hidden": 1, "early": [12, 40]},
             {"by": ["=1+1"], "zoom": "very", "early": 7}, {"by": ["key"]}]

    def answer(number):
        item = reader.last
        reader.say(type="answer", id=item["id"], reply={"choice": 0}, rt_ms=900.0, nonce=f"answer {number}",
                   facts=facts[min(number, 2)])

    answer(0)
    answer(1)
    reader.say(type="pause")
    reader.say(type="go")
    answer(2)
    reader = Reader(study, code, agree=False)       # the page was loaded again
    reader.say(type="go")
    answer(3)
    while reader.last["type"] == "item":
        answer(reader.widget.session.progress[0])
    study.close()
    table = study.unblind().set_index("trial").sort_values("at")
    assert table.interrupted.tolist() == [False, False, True, True] + [False] * 4
    first, odd, plain = (table.iloc[i] for i in range(3))
    assert (first.by, first.zoom, first.scale, first.blurs, first.early) == ("touch", 3, 4, 2, 2)
    assert pd.isna(odd.by) and np.isnan(odd.zoom) and odd.early == 0
    assert (plain.by, plain.zoom, plain.blurs, plain.early) == ("key", 1, 0, 0)
    words = {"display": "=HYPERLINK(1)|\nsecond line" + 300 * "x"}
    study.store.write(("update person set form = ?", (json.dumps({"role": "student"} | words),)))
    said = readers_facts(study).iloc[0]
    assert said.display.startswith("'=HYPERLINK(1)/ second line") and len(said.display) == 201
    assert (said.screen, said.pixel_ratio, said.sessions, said.pauses, said.role) == ("1920x1080", 1.5, 2, 1, "student")
    assert study.analysis().times.n.sum() == 6      # of eight, two were interrupted
    page = study.report(tmp_path / "report").read_text()
    assert "1920x1080" in page and "Your profession" in page
