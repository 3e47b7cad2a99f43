"""A class comes by one link: each browser gets one seat and finds it again, and the page tells how the class does."""

import re
import signal
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import numpy as np
import pytest
from made import pictures
from test_serve import port, started  # noqa: F401  a fixture

from uslab.cli.main import main
from uslab.reader import classroom
from uslab.study import SimulatedReader, Study

pytest.importorskip("segno", reason="the extra 'study' brings it")
from uslab.reader import class_page  # noqa: E402


def built(tmp_path, protocol="yesno", readers=4):
    return Study.build(pictures(30, 0), {"gan": pictures(20, 1)}, protocol, out=tmp_path / "study", n_per_method=12,
                       practice=0, attention=0, repeats=0.0, readers=readers)


def test_one_link_gives_each_browser_a_seat_that_it_finds_again(tmp_path, monkeypatch):
    study, room = built(tmp_path), classroom.Room("http://10.0.0.5:8866/", 3)
    with pytest.raises(ValueError, match="not the link of the class"):
        classroom.seat(study, room.code, None)      # where no class is served
    monkeypatch.setenv(classroom.ROOM, room.environment[classroom.ROOM])
    assert room.code not in room.environment[classroom.ROOM] and room.link.endswith(f"/?class={room.code}")
    with pytest.raises(ValueError, match="not the link of the class"):
        classroom.seat(study, "guess", None)
    first, second = (classroom.seat(study, room.code, None) for _ in range(2))
    assert classroom.seat(study, room.code, first) == first and len(study.readers()) == 2
    assert study.session(first).reader == "R01" and study.session(second).reader == "R02"
    third = classroom.seat(study, room.code, "of another study")
    assert study.session(third).reader == "R03"
    study.withdraw("R01")
    with pytest.raises(ValueError, match="All 3 seats of the class are taken"):
        classroom.seat(study, room.code, None)
    assert classroom.seat(study, room.code, second) == second, "who has a seat keeps it"


def test_the_page_tells_how_the_class_does(tmp_path):
    study, room = built(tmp_path, "yesno_conf"), classroom.Room("http://10.0.0.5:8866/", 3)
    empty = class_page.page(study, study.key(), room)
    assert "0 of 3 seats taken, 0 done, 0 answers" in empty and empty.count("<svg") == 1 and room.link in empty
    study.autoplay(*(SimulatedReader(1.5, seed=seed) for seed in range(3)))
    page = class_page.page(study, study.key(), room)
    assert "3 of 3 seats taken, 3 done, 72 answers" in page and page.count("<svg") == 3
    table = study.unblind(early="a test")
    assert f"{table.correct.mean():.0%} right in the mean" in page
    d = np.array([class_page.d_prime(own) for _, own in table.groupby("reader")])
    n = np.isfinite(d).sum()        # who makes no mistake on one side has none, and the orders differ each time
    assert (f"no finite d&#x27; as yet: {3 - n} of 3" in page) == (n < 3)
    if n:
        shown = re.search(rf"mean d&#x27; (-?[\d.]+).*, n = {n}", page)[1]
        assert float(shown) == pytest.approx(np.nanmean(d), rel=1e-3)
    told = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert not any(name in told for name in study.key()["stimuli"]), "of no single image is the truth told"


def test_a_look_at_the_results_stands_in_the_record(tmp_path):
    study = built(tmp_path)
    path = class_page.begin(study, classroom.Room("http://10.0.0.5:8866/", 3))
    assert path == study.folder / "class.html" and "0 of 3 seats" in path.read_text()
    assert "the class saw its results" in study.store.rows("select body from log where kind = 'unblind'")[0][0]


@pytest.mark.parametrize("protocol, readers, words", [
    ("2afc", 4, "build the study with --protocol yesno"),
    ("yesno", 2, "has 2 orders left, for 3 seats: build it with --readers 3 or more")])
def test_what_is_no_study_for_a_class_is_said_before_it_is_served(tmp_path, capsys, protocol, readers, words):
    study = built(tmp_path, protocol, readers)
    assert main(["study", "serve", str(study.folder), "--class", "3"]) == 2
    assert words in capsys.readouterr().err
    assert not study.store.rows("select 1 from log where kind = 'unblind'")


@pytest.mark.notebook
def test_a_class_is_served(tmp_path, port):      # noqa: F811
    study = built(tmp_path)
    command = ["--port", str(port), "--class", "2", "--host", "127.0.0.1"]
    with started(study, command, "for a projector") as (process, said):
        link = re.search(r"The class, 2 seats: (\S+)", said)[1]
        assert said.count("\u2588") > 50, "a QR code"
        looked_at = urllib.request.urlopen(link, timeout=20).read().decode()
        assert "Take a seat" in looked_at and not study.readers()
        visitors = [urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())) for _ in range(3)]
        for visitor in visitors[:2] + visitors[:1]:
            page = visitor.open(f"{link}&open=1", timeout=300)
            assert re.search(r"\?r=\S+&open=1$", page.url)
        assert [reader["label"] for reader in study.readers()] == ["class 01", "class 02"]
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            visitors[2].open(f"{link}&open=1", timeout=300)
        assert "All seats of the class are taken" in refused.value.read().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
