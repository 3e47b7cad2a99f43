"""The audit finds what was planted and nothing else; unblinding waits and remembers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made import pictures, scan

from uslab.study import SimulatedReader, Study
from uslab.study.audit import measure

DESIGN = dict(n_per_method=14, practice=2, attention=2, repeats=0.2, readers=3, acknowledge_text=True)


def scans(seed: int, n: int = 40, side: int = 64) -> np.ndarray:
    return np.stack([scan(seed + i, side, side) for i in range(n)])[:, None]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A study whose synthetic images are of the same kind as the real ones: 'twin'; 'jpeg' ones were compressed."""
    jpeg = np.stack([cv2.imdecode(cv2.imencode(".jpg", image[0], [cv2.IMWRITE_JPEG_QUALITY, 25])[1], 0)[None]
                     for image in scans(500)])
    return Study.build(scans(0, 60), {"twin": scans(100), "jpeg": jpeg}, out=tmp_path_factory.mktemp("audit") / "study",
                       **DESIGN)


@pytest.fixture
def study(built, tmp_path):
    """A copy to do harm to."""
    return Study.open(shutil.copytree(built.folder, tmp_path / "study"))


def test_a_sound_study_has_no_side_channel(study):
    found = study.audit()
    assert found.blinded, found
    assert len(found.channels) >= 11 and found.copies.empty


@pytest.mark.parametrize("name",
                         ["planted file", "named file", "told truth", "changed order", "changed pixels", "open folder",
                                  "readable order", "open file"])
def test_a_planted_side_channel_is_found(study, name):
    key = study.key()
    if name == "planted file":
        (study.public / "key.json").touch(mode=0o600)
    elif name == "named file":
        study.store.event("R01", "ready",
                          {"file": next(i["file"] for i in key["stimuli"].values() if i["method"] == "jpeg")})
    elif name == "told truth":
        about = {**study.about, "practice": list({i["truth"] for i in key["stimuli"].values()})}
        (study.public / "study.json").write_text(json.dumps(about))
    elif name == "changed order":
        import sqlite3

        db = sqlite3.connect(study.store.path)
        db.execute("drop trigger plan_no_update")
        db.execute("update plan set sealed = (select sealed from plan where slot = 0) where slot = 1")
        db.commit()
    elif name == "readable order":
        study.store.event("R01", "ready", {"order": sorted(key["stimuli"])[:3]})
    elif name == "open file":
        (study.public / "study.json").chmod(0o644)
    elif name == "changed pixels":
        pack = bytearray(study.pack.path.read_bytes())
        pack[-1] ^= 1
        study.pack.path.write_bytes(pack)
    else:
        (study.folder / "SEALED").chmod(0o755)
    found = Study.open(study.folder).audit()
    assert not found.blinded and (~found.channels.ok).sum() == 1 and "1 OPEN" in repr(found)


def test_cues_are_found_where_they_are(built):
    found = built.audit()
    cues = found.cues.set_index(["method", "cue"])
    assert cues.area["jpeg", "8x8 blocks"] > 0.9 > 0.75 > cues.area["twin", "8x8 blocks"]
    together = found.together.set_index("method")
    assert together.area["jpeg"] > 0.9 and together.low["twin"] < 0.5 < together.high["twin"]
    assert (found.cues.area >= 0.5).all() and "get the originals" in repr(found)


def test_each_cue_measures_what_it_names():
    image = scan(1, 64, 64)
    plain = measure(image)
    assert measure(cv2.GaussianBlur(image, (0, 0), 2))["resolution"] < plain["resolution"]
    assert measure(cv2.GaussianBlur(image, (0, 0), 2))["fine texture"] < plain["fine texture"]
    assert measure(cv2.GaussianBlur(image, (0, 0), 2))["file size"] < plain["file size"]
    grid = image.copy()
    grid[::4, ::4] = np.minimum(grid[::4, ::4] + 40, 255)
    assert measure(grid)["periodic pattern"] > 5 * plain["periodic pattern"]
    framed = np.zeros_like(image)
    framed[:, 8:-8] = image[:, 8:-8]
    assert plain["black border"] == 0 and measure(framed)["black border"] == 16
    assert measure(framed)["black pixels"] == pytest.approx(0.25, abs=0.02)
    assert measure(image // 4 * 4)["grey levels used"] < plain["grey levels used"] / 2
    assert measure(np.minimum(image, 90))["brightest level"] == 90
    assert measure(np.zeros((64, 64), np.uint8))["contrast"] == 0       # a black image breaks nothing


def test_memorised_images_are_listed(tmp_path):
    real, fake = scans(0, 60), scans(100)
    fake = np.concatenate([np.clip(real[:40].astype(int) + 3, 0, 255).astype(np.uint8)[:20], fake[:20]])
    study = Study.build(real, {"gan": fake}, out=tmp_path / "s", **DESIGN | {"n_per_method": 30})
    key, found = study.key(), study.audit().copies
    main = {item["file"] for item in key["stimuli"].values() if item["phase"] == "main"}
    expected = {f"gan {i}" for i in range(20) if f"gan {i}" in main and f"real {i}" in main}
    assert expected and set(found.file) == expected
    assert all(row.file.split()[1] == row.real.split()[1] for row in found.itertuples())


def test_unblinding_waits_for_the_end_or_for_a_reason(study, tmp_path):
    study.autoplay(SimulatedReader(1.0), SimulatedReader(0.0))
    with pytest.raises(ValueError, match="still open: close it first"):
        study.unblind()
    with pytest.raises(ValueError, match="still open"):
        study.unblind(early=" ")
    study.unblind(early="the monitor failed")
    study.close()
    table = study.unblind()
    reasons = [json.loads(body)["early"] for body, in study.store.rows("select body from log where kind = 'unblind'")]
    assert reasons == ["the monitor failed", None]
    assert pd.read_csv(study.folder / "UNBLINDED/answers.csv").correct.tolist() == table.correct.tolist()
    # Truth, method and correctness of every row, from the key by another way.
    key = study.key()["stimuli"]
    main = table[table.phase == "main"]
    assert len(table) == 2 * (2 + 56 + 12 + 2) and len(main) == 112
    for row in main.itertuples():
        assert row.truth == key[row.case]["truth"] and row.method == key[row.case]["method"]
        assert row.correct == (row.choice == row.truth)
        assert row.rating == row.confidence * (1 if row.choice == "synthetic" else -1)
    assert table[table.phase == "attention"].correct.all() and table.simulated.all()
    # The sealed folder may be elsewhere.
    shutil.move(study.folder / "SEALED", tmp_path / "safe")
    with pytest.raises(FileNotFoundError, match="name the sealed key's file"):
        study.unblind()
    assert len(study.unblind(tmp_path / "safe")) == len(table)


def test_withdrawn_readers_are_not_analysed(study):
    codes = [study.invite(label) for label in "AB"]
    for code in codes:
        session = study.session(code)
        session.consent(study.consent_sha256)
        session.answer(session.next().trial, "real", 1, nonce="n" * 10)
    session.withdraw()
    study.close()
    assert study.unblind().reader.tolist() == ["R01"]


def test_integrity_tells_what_is_wrong(study):
    from uslab.study.unblind import integrity

    study.autoplay(SimulatedReader(1.0))
    study.close()
    study.unblind()
    assert integrity(study, study.key()).ok.all()
    with open(study.store.mirror, "a") as file:
        file.write(json.dumps({"seq": 999, "hash": "x"}) + "\n")
    found = integrity(study, study.key()).set_index("check")
    assert not found.ok["the mirror: the same rows as the log"] and found.ok.sum() == len(found) - 1


def test_a_study_says_what_speaks_against_showing_it(study, tmp_path):
    assert study.audit().highest > 0.9 and "cues that tell origins apart" in study.unaudited()
    study.store.event("R01", "ready", {"order": sorted(study.key()["stimuli"])[:3]})
    study.audit()
    assert "a side channel open" in study.unaudited()
    alike = Study.build(scans(1, 60), {"twin": scans(5000, 60)}, "yesno", out=tmp_path / "alike", n_per_method=20)
    assert "never audited" in alike.unaudited()
    alike.audit()
    assert alike.unaudited() == ""


def test_after_an_audit_other_processes_still_see_what_is_written(tmp_path):
    study = Study.build(pictures(12, 0), {"gan": pictures(8, 1)}, "yesno", out=tmp_path / "s", n_per_method=4,
                        practice=0, attention=0, repeats=0.0)
    study.audit()
    look = "import sys; from uslab.study import Study; print(len(Study.open(sys.argv[1]).readers()))"
    for n in (1, 2):
        study.invite(f"Dr {n}")
        seen = subprocess.run([sys.executable, "-c", look, str(study.folder)], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])})
        assert seen.stdout.strip() == str(n), seen.stderr
        assert len(study.readers()) == n and study.store.verify()
