"""What readers read: the same messages in every language, and nothing of another language in a page."""

import re
import string

import pytest
from made import pictures
from test_reading import Reader

from uslab.cli.main import main
from uslab.pages.messages import messages, table
from uslab.reader.server import SERVED
from uslab.study import PROTOCOLS, Study
from uslab.widgets.live import STATIC

# Words that stand in nearly every English sentence, and in no German one.
ENGLISH = re.compile(r"\b(the|of|and|images?|answers?|answered|your?|you|is|are|to|with|this|key|study|page|saved|or|"
                     r"see|click|right|wrong|yes|no|real|synthetic|surely|good|poor|practice|agree|optional)\b",
                     re.IGNORECASE)


def leaves(value, path=()) -> dict[tuple, str]:
    """Every text of a table by its place."""
    if isinstance(value, str):
        return {path: value}
    return {place: text for key, inner in (value.items() if isinstance(value, dict) else enumerate(value))
            for place, text in leaves(inner, (*path, key)).items()}


def places(text: str) -> set[str]:
    return {name for _, name, *_ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", sorted(set(table()) - {"en"}))
def test_every_language_has_the_same_messages_with_the_same_values(language):
    english, other = leaves(messages("en")), leaves(messages(language))
    assert set(other) == set(english)
    assert all(places(text) == places(english[place]) for place, text in other.items())
    assert not [text for text in other.values() if ENGLISH.search(re.sub(r"{\w+}|`.*?`", "", text))]
    for text in (*leaves(messages(language)["protocol"]["instructions"]).values(),):
        assert messages(language)["protocol"]["undo"]["without"] in text


def said(message: dict):
    """All that a message lets the page show: its words, and nothing of what its script goes by."""
    for key, value in message.items():
        if key in ("title", "hint", "label", "warning", "ask", "word"):
            yield value
        elif key == "text":
            yield from [value] if isinstance(value, str) else value
        elif key == "fields":
            yield from (text for field in value for text in (field["label"], *field.get("options", [])))
        elif key == "feedback" and value:
            yield value["text"]
        elif key in ("steps", "options", "buttons"):
            yield from (text for inner in value for text in said(inner))


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_german_study_says_nothing_in_english(tmp_path, monkeypatch, protocol, served):
    if served:
        monkeypatch.setenv(SERVED, "1")
    texts = {"language": "de", "undo": True, "comment": True, "mark": protocol != "timed",
             "window": protocol != "timed"}
    study = Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, protocol, out=tmp_path / "s", n_per_method=10,
                        practice=2, attention=0, repeats=0.0, texts=texts)
    code = study.invite("Dr A")
    one, other = Reader(study, code), Reader(study, code, agree=False)
    other.say(type="go")
    one.say(type="pause")
    one.say(type="go")
    one.say(type="withdraw")
    one.say(type="go")
    one.answer()
    other.answer(nonce="of another window")
    one.go_on()
    for _ in range(30):
        if one.last["type"] != "item":
            break
        one.answer()
        one.say(type="undo")
        one.go_on()
    refused, declined = Reader(study, "guess", agree=False), Reader(study, study.invite("Dr B"), agree=False)
    declined.say(type="decline")
    back = Reader(study, code, agree=False)
    for end in ({}, {"sure": True}):
        one.say(type="withdraw", **end)
    words = {text for each in (one, other, refused, declined, back) for message, _ in each.page.messages
             for text in said(message)}
    assert len(words) > 30 and not [text for text in words if ENGLISH.search(re.sub("`.*?`", "", text))]
    assert study.about["title"] == "Leserstudie" and study.protocol.language == "de"


def test_the_script_of_a_page_says_only_what_stands_in_the_table():
    for name in ("live.js", "words.js", "stage.js", "pages.js", "shades.js", "beside.js", "quiz.js", "check.js"):
        code = (STATIC / name).read_text(encoding="utf-8").split("// The self-test's end")[0]
        code = re.sub(r"(^|\s)//.*|/\*.*?\*/", "", code)
        literal = re.findall(r'"([^"\n]*)"|`([^`]*)`', code)
        literal = [text for pair in literal for text in pair]
        assert not [text for text in literal if re.search(r"[a-z]{2,} (the|of|is|a|to|and|again)\b", text)]
        keys = set(re.findall(r'say\("([^"]+)"', code))
        assert keys <= set(messages("en")["check" if name == "check.js" else "page"]), name


def test_what_an_organiser_words_stays_in_every_language(tmp_path):
    texts = {"question": "Real?", "form": {"place": "Your ward"}, "language": "de"}
    protocol = PROTOCOLS["yesno"].worded(texts)
    assert (protocol.question, protocol.form) == ("Real?", {"place": ("Your ward", ())})
    assert [button.label for button in protocol.buttons] == ["Künstlich", "Echt"]
    assert [button.choice for button in protocol.buttons] == ["synthetic", "real"]
    assert protocol.consent.startswith("Ihre Antworten") and protocol.spoken("en").consent == PROTOCOLS["yesno"].consent
    assert protocol.spoken("en").question == "Real?"
    with pytest.raises(ValueError, match="there is no language 'fr': choose one of en, de"):
        PROTOCOLS["yesno"].worded({"language": "fr"})


def test_from_the_command_line_to_the_letters(tmp_path, capsys):
    words = ["study", "build", str(tmp_path / "s"), "--real", "phantom:liver?n=8", "--synthetic",
             "gan=phantom:liver?n=8,seed=9", "--n", "4", "--practice", "0", "--attention", "0", "--size", "64",
             "--acknowledge-text"]
    assert main([*words, "--language", "xx"]) == 2 and "choose one of en, de" in capsys.readouterr().err
    assert main([*words, "--language", "de", "--undo"]) == 0
    study = Study.open(tmp_path / "s")
    assert "kann einmal geändert werden" in study.protocol.instructions
    sheet = tmp_path / "letters.txt"
    assert main(["study", "invite", str(tmp_path / "s"), "Dr A", "--address", "https://x.org", "--sheet",
                 str(sheet)]) == 0
    letter = sheet.read_text(encoding="utf-8")
    assert "Ihr eigener Link" in letter and not ENGLISH.search(re.sub("https.*", "", letter))
    assert study.rehearsal(tmp_path / "r").about["title"] == "Probe: Leserstudie"


def test_who_has_seen_the_data_is_counted_in_every_language(tmp_path):
    study = Study.build(pictures(60, 0), {"dcgan": pictures(40, 1)}, "yesno", out=tmp_path / "s", n_per_method=4,
                        practice=0, attention=0, repeats=0.0, texts={"language": "de"})
    reader = Reader(study, study.invite("Dr A"), agree=False)
    reader.say(type="consent", form={"seen": "ja", "role": "Technik"})
    reader.say(type="go")
    while reader.last["type"] == "item":
        reader.answer()
    study.close()
    study.unblind()
    text = study.report(tmp_path / "report").read_text(encoding="utf-8")
    assert "1 had seen the data set before" in text and "1 Technik" in text
