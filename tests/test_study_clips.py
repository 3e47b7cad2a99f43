"""Studies of cine clips: their frames stay together and in order, and no clip is longer than another."""

import dataclasses
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from made import pictures
from test_reading import Reader

from uslab.cli.main import main
from uslab.data import ImageSet
from uslab.study import SimulatedReader, Study
from uslab.study.audit import measured
from uslab.study.pack import middle

DESIGN = {"n_per_method": 4, "practice": 2, "attention": 1, "repeats": 0.0, "readers": 2}


def films(n: int, seed: int, lengths=(5, 7, 6), size: int = 16) -> ImageSet:
    """n clips, of these lengths in turn, whose frames lie mixed but in their order."""
    counts = [lengths[i % len(lengths)] for i in range(n)]
    rows = sorted((frame, clip) for clip, count in enumerate(counts) for frame in range(count))
    table = pd.DataFrame({"file": [f"{clip}_{frame}.png" for frame, clip in rows],
                          "clip": [f"film{seed}_{clip}" for _, clip in rows]})
    return ImageSet(torch.from_numpy(pictures(len(rows), seed, size)), "folder", "real", table)


def build(folder, real=None, made=None, protocol="yesno_conf", texts=None, **design) -> Study:
    real, made = films(20, 0) if real is None else real, films(12, 1, (9, 6)) if made is None else made
    return Study.build(real, {"dcgan": made}, protocol, out=folder, texts={"fps": 10} | (texts or {}),
                       **DESIGN | design)


def test_frames_stay_together_and_all_clips_are_equally_long(tmp_path):
    real, made = films(20, 0), films(12, 1, (9, 6))
    study = build(tmp_path / "s", real, made)
    assert study.pack.shape == (5, 16, 16) and "clips of 5 frames at 10 a second" in repr(study)
    for name, item in study.key()["stimuli"].items():
        if item["truth"] == "attention":
            continue
        origin = real if item["method"] == "real" else made
        own = origin.images[origin.table.index[origin.table["clip"] == item["file"]][:5]][:, 0].numpy()
        assert len(own) == 5 and np.array_equal(study.pack[name], own)
        assert np.array_equal(middle(study.pack[name]), own[2])
    assert build(tmp_path / "short", texts={"frames": 3}).pack.shape == (3, 16, 16)
    assert build(tmp_path / "small", size=8).pack.shape == (5, 8, 8)
    assert study.audit().blinded


def test_the_audit_measures_a_clip_by_its_frames_and_its_movement():
    still, other = pictures(2, 5)[:, 0]
    alike, pair = measured(np.stack([still] * 3)), measured(np.stack([still, other]))
    assert alike["movement"] == alike["flicker"] == 0 < pair["movement"]
    assert all(alike[cue] == pytest.approx(value) for cue, value in measured(still).items())
    assert pair["contrast"] == pytest.approx((measured(still)["contrast"] + measured(other)["contrast"]) / 2)
    assert measured(np.stack([still, still // 2]))["flicker"] == pytest.approx((still.mean() - (still // 2).mean()) / 2)


@pytest.mark.parametrize("protocol", ["yesno_conf", "2afc", "timed"])
def test_messages_with_clips_are_of_one_length_and_say_nothing_else(tmp_path, protocol):
    study = build(tmp_path / "s", protocol=protocol)
    reader = Reader(study, study.invite("Dr A"))
    while reader.last["type"] == "item":
        reader.answer()
        reader.go_on()
    assert reader.last["name"] == "done"
    sent = [(message, arrays) for message, arrays in reader.page.messages if message["type"] == "item"]
    assert {tuple(len(array.tobytes()) for array in arrays) for _, arrays in sent} == {
        (5 * 16 * 16,) * (1 + study.protocol.pair)}
    assert len({len(json.dumps(message)) for message, _ in sent}) == 1
    assert {(message["fps"], message["frames"], message["w"], message["h"]) for message, _ in sent} == {(10, 5, 16, 16)}


def test_what_is_no_clip_or_does_not_fit_is_refused(tmp_path):
    stills, some = pictures(60, 3), films(12, 1)
    some.table.loc[7, "clip"] = ""
    for settings, message in (
            ({"made": stills}, "dcgan: clips are to be shown .* stills and clips do not mix"),
            ({"made": some}, "dcgan: .*png belongs to no clip"),
            ({"made": films(12, 1, (5, 1))}, "dcgan: the clip film1_1 has one frame"),
            ({"texts": {"frames": 6}}, "6 frames are asked for, but real film0_0 has 5"),
            ({"texts": {"fps": 61}}, "fps is 61"), ({"texts": {"fps": 0, "frames": 5}}, "only with fps"),
            ({"texts": {"frames": 1}}, "at least 2"), ({"crop": True}, "crop them before")):
        with pytest.raises(ValueError, match=message):
            build(tmp_path / "s", **settings)
    assert not (tmp_path / "s").exists()
    assert build(tmp_path / "s", exclude=["film0_0"]).pack.shape == (5, 16, 16)     # a clip goes by its name
    assert build(tmp_path / "stills", texts={"fps": 0}).pack.shape == (16, 16)      # frames, as before


MARK = {"x": 1, "y": 2, "side": None, "frame": 3}


@pytest.mark.parametrize("frame", [{}, {"frame": 5}, {"frame": -1}, {"frame": 1.5}, {"frame": True}])
def test_a_mark_in_a_clip_names_a_frame_of_it(tmp_path, frame):
    protocol = build(tmp_path / "s", texts={"mark": True}).protocol
    protocol.check_beside(None, MARK, (16, 16), 5)
    with pytest.raises(ValueError, match="and a frame from 0 to 4"):
        protocol.check_beside(None, {name: MARK[name] for name in ("x", "y", "side")} | frame, (16, 16), 5)
    with pytest.raises(ValueError, match="it has x and y in pixels of the image, 16x16, and a side among None$"):
        dataclasses.replace(protocol, fps=0).check_beside(None, MARK, (16, 16))


def test_how_a_clip_was_watched_is_in_the_table(tmp_path):
    study = build(tmp_path / "s", texts={"mark": True})
    reader = Reader(study, study.invite("Dr A"))
    for facts in ({"by": ["key"], "frames_shown": 31, "holds": 2}, {"by": ["key"], "frames_shown": "many"}):
        while reader.last["type"] == "item" and reader.last["label"] == "Practice":
            reader.answer()
            reader.go_on()
        reader.say(type="answer", id=reader.last["id"], reply={"choice": 0, "mark": MARK},
                   rt_ms=500, nonce=f"nonce {reader.last['id']}", facts=facts)
    study.close()
    table = study.unblind()
    table = table[table.phase != "practice"]
    assert set(table.fps) == {10} and set(table.frames) == {5}
    assert (table.mark_x == 1).all() and (table.mark_frame == 3).all() and study.protocol.fps == 10
    assert table.frames_shown.iloc[0] == 31 and table.holds.iloc[0] == 2 and table.frames_shown.isna().iloc[1]


def test_a_rehearsal_of_clips_is_of_clips_and_has_a_report(tmp_path):
    study = build(tmp_path / "s", protocol="yesno_likert", texts={"fps": 12})
    rehearsal = study.rehearsal(tmp_path / "r")
    assert rehearsal.pack.length == 5 and rehearsal.protocol.fps == 12 and rehearsal.audit().blinded
    study.autoplay(SimulatedReader(seed=1), SimulatedReader(seed=2))
    study.close()
    study.unblind()
    assert study.report(tmp_path / "report").is_file()


def test_clips_come_from_a_folder(tmp_path, capsys):
    for kind, origin in (("real", films(8, 0, size=64)), ("made", films(6, 1, size=64))):
        (tmp_path / kind).mkdir()
        for image, file in zip(origin.images[:, 0].numpy(), origin.table.file):
            cv2.imwrite(str(tmp_path / kind / file), image)
        origin.table.to_csv(tmp_path / kind / "labels.csv", index=False)
    assert main(["study", "build", str(tmp_path / "s"), "--real", str(tmp_path / "real"), "--synthetic",
                 f"gan={tmp_path / 'made'}", "--n", "4", "--practice", "0", "--attention", "0", "--fps", "8"]) == 0
    assert "clips of 5 frames at 8 a second" in capsys.readouterr().out
