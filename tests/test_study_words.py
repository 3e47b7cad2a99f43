"""What an organiser may word, leave out and declare when a study is built, from the command line and in Python."""

import datetime

import cv2
import numpy as np
import pytest
from made import noise_set

from uslab.cli.main import main
from uslab.study import SimulatedReader, Study, planner
from uslab.study.agreement import cohen
from uslab.study.protocol import PROTOCOLS

DESIGN = {"n_per_method": 4, "practice": 0, "attention": 0, "repeats": 0.0, "readers": 2}


@pytest.fixture
def folders(tmp_path):
    """Two folders of single images."""
    for name, seed in (("real", 0), ("gan", 1)):
        for row, image in enumerate(noise_set(8, 64, seed=seed).images):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{name}{row}.png"), image[0].numpy())
    return tmp_path


def built(folder, *words: str) -> Study:
    assert main(["study", "build", str(folder / "s"), "--real", str(folder / "real"), "--synthetic",
                 f"gan={folder / 'gan'}", "--n", "4", "--practice", "0", "--attention", "0", "--repeats", "0",
                 "--acknowledge-text", *words]) == 0
    return Study.open(folder / "s")


def test_all_that_readers_read_can_come_from_files(folders):
    (folders / "says.txt").write_text("Sehen Sie genau hin.\n", encoding="utf-8-sig")
    (folders / "agree.txt").write_text("Ich nehme teil.")
    (folders / "form.yaml").write_text("role: [Ihr Beruf, [Ärztin, Arzt]]\nplace: Ihr Haus\n", encoding="utf-8")
    (folders / "rules.yaml").write_text("attention_missed: 0.1\none_answer: 0.8\n")
    study = built(folders, "--question", "Echt?", "--instructions", str(folders / "says.txt"), "--consent",
                  str(folders / "agree.txt"), "--form", str(folders / "form.yaml"), "--rules",
                  str(folders / "rules.yaml"), "--undo")
    words = study.protocol
    assert (words.question, words.instructions, words.consent) == ("Echt?", "Sehen Sie genau hin.", "Ich nehme teil.")
    assert words.form == {"role": ("Ihr Beruf", ("Ärztin", "Arzt")), "place": ("Ihr Haus", ())} and words.undo
    rules = study.about["design"]["rules"]
    assert rules["attention_missed"] == 0.1 and rules["one_answer"] == 0.8 and rules["fast_share"] == 0.1
    assert words.buttons == PROTOCOLS["yesno_conf"].buttons


def test_with_undo_the_instructions_say_so(folders):
    words = built(folders, "--undo").protocol
    assert "no answer can be changed" not in words.instructions and "changed once" in words.instructions


def test_a_method_is_not_called_what_readers_read_anyway(folders, capsys):
    for words in (["--synthetic", f"physician={folders / 'gan'}"], ["--synthetic", f"heads={folders / 'gan'}"]):
        assert main(["study", "build", str(folders / "s"), "--real", str(folders / "real"), "--n", "4", "--practice",
                     "0", "--attention", "0", "--acknowledge-text", "--title", "On heads", *words]) == 2
        assert "stands in what every reader is sent" in capsys.readouterr().err


def test_kappas_interval_stays_in_range():
    a, b = [0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 1, 1]
    score = cohen(a, b)
    assert -1 <= score.low < score.value < score.high <= 1 and score.value == pytest.approx(0.75)


def test_the_power_of_what_was_built_is_said_with_a_warning(folders, capsys):
    built(folders)
    said = capsys.readouterr().out
    assert "within 0.1 of chance" in said and "each with 8 answers" in said
    assert "0.00 with 3" in said and "take more images or a wider margin" in said


def test_invitations_are_letters_with_whole_links(folders, capsys):
    built(folders)
    sheet = folders / "letters.txt"
    assert main(["study", "invite", str(folders / "s"), "Dr A", "Dr B", "--address", "https://x.org/a", "--sheet",
                 str(sheet)]) == 0
    said = capsys.readouterr().out
    links = [line.split(": ", 1)[1] for line in said.splitlines() if line.startswith("Dr ")]
    assert len(set(links)) == 2 and all(link.startswith("https://x.org/a/?r=") for link in links)
    letters = sheet.read_text().split("\f")
    assert [letter.startswith(f"To Dr {name}\n") and link in letter
            and "https://x.org/a/?check=1\n" in letter
            for name, letter, link in zip("AB", letters, links)] == [True, True]
    assert oct(sheet.stat().st_mode & 0o777) == "0o600"
    before = Study.open(folders / "s").status()
    assert main(["study", "invite", str(folders / "s"), "Dr C", "--sheet", str(folders / "new.txt")]) == 2
    assert main(["study", "invite", str(folders / "s"), "Dr C", "--address", "x", "--sheet", str(sheet)]) == 2
    assert len(Study.open(folders / "s").status()) == len(before), "refused before anybody is entered"


def test_status_can_be_watched(folders, capsys, monkeypatch):
    built(folders).autoplay(SimulatedReader(1.0))
    rounds = []

    def sleep(seconds):
        rounds.append(seconds)
        if len(rounds) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    assert main(["study", "status", str(folders / "s"), "--watch", "5"]) == 130
    said = capsys.readouterr().out
    assert rounds == [5, 5, 5] and said.count("The log is whole") == 3
    assert said.count(f"{datetime.datetime.now().astimezone():%d %b}") == 3, "the organiser's own time"


def test_no_power_is_missing_or_out_of_range():
    for values in ({"accuracy": 0.6}, {"accuracy": 0.99}, {"accuracy": 0.01}, {"margin": 0.03}, {"margin": 0.45}):
        for spread, correlation in ((0.0, 0.0), (0.05, 0.1), (0.3, 0.9)):
            table = planner.table(**values, spread=spread, correlation=correlation, images=(4, 68, 400, 10_000),
                                  readers=(1, 2, 3, 20, 200)).to_numpy()
            assert np.isfinite(table).all() and 0 <= table.min() <= table.max() <= 1.001, (values, spread)


def test_images_are_left_out_by_name(folders, capsys):
    study = built(folders, *(word for row in range(4) for word in ("--exclude", f"real{row}.png")))
    key = (study.folder / "SEALED" / "key.json").read_text()
    assert not any(f"real{row}.png" in key for row in range(4)) and all(f"real{row}.png" in key for row in range(4, 8))


@pytest.mark.parametrize("words, says", [
    (["--exclude", "absent.png"], "no image is called 'absent.png', so it cannot be left out"),
    (["--question", " "], "the question is empty"),
    (["--rules", "{0}/bad.yaml"], "bad.yaml must hold keys and values"),
    (["--rules", "{0}/rules.yaml"], "there is no rule 'speed'"),
    (["--form", "{0}/form.yaml"], "role in the form is ['a', 'b', 'c']: give a label, or a label and a list"),
    (["--form", "{0}/latin.yaml"], "latin.yaml cannot be read as YAML"),
])
def test_what_cannot_be_shown_or_declared_is_refused_before_anything_is_written(folders, capsys, words, says):
    (folders / "bad.yaml").write_text("- 1\n")
    (folders / "rules.yaml").write_text("speed: 1\n")
    (folders / "form.yaml").write_text("role: [a, b, c]\n")
    (folders / "latin.yaml").write_bytes("role: Ä\n".encode("latin-1"))
    assert main(["study", "build", str(folders / "s"), "--real", str(folders / "real"), "--synthetic",
                 f"gan={folders / 'gan'}", "--n", "4", "--practice", "0", "--attention", "0", "--acknowledge-text",
                 *(word.format(folders) for word in words)]) == 2
    assert says in capsys.readouterr().err and not (folders / "s").exists()


def test_python_takes_the_same(folders):
    study = Study.build(folders / "real", {"gan": folders / "gan"}, out=folders / "s", texts={"question": "Which?"},
                        exclude=["real0.png"], acknowledge_text=True, **DESIGN)
    assert study.protocol.question == "Which?"
    with pytest.raises(ValueError, match="there is no text 'buttons'"):
        PROTOCOLS["yesno"].worded({"buttons": "x"})
