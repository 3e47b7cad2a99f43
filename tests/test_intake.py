"""Bringing in what people have: cine DICOM, pages, videos, stacks; nothing lost without a word, nobody named."""

import csv
import sys

import cv2
import made
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from test_pixels import region

from uslab.cli.main import main
from uslab.data import clips, files, load
from uslab.data.intake import bring_in

NAME, DATE = "Mustermann^Erika", "19640812"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("USLAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def cine(path, frames: int, seed: int = 0, **changes):
    """A clip of DICOM whose frames show one anatomy under other speckle."""
    pixels = np.concatenate([made.scan(seed, speckle=i) for i in range(frames)])
    path.parent.mkdir(parents=True, exist_ok=True)
    return made.dicom(path, pixels, Rows=120, NumberOfFrames=frames, **changes)


def report_of(out) -> list[dict]:
    with open(out.with_name(f"{out.name}_report.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_cine_is_one_group_with_millimetres_and_without_a_name(tmp_path):
    box = {"SequenceOfUltrasoundRegions": region()}
    cine(tmp_path / "in/Mustermann_1964/a.dcm", 7, 1, PatientName=NAME, PatientBirthDate=DATE, PatientID="77",
         BurnedInAnnotation="YES", **box)
    cine(tmp_path / "in/Mustermann_1964/b.dcm", 4, 2, PatientName=NAME, PatientID="77", **box)
    cine(tmp_path / "in/c", 4, 3, PatientID="78", **box)
    out = tmp_path / "set"
    taken = bring_in(tmp_path / "in", out, every=3)
    images = load("folder", out)
    assert len(images) == len(taken.rows) == 3 + 2 + 2
    assert images.group_names == ("patient 001", "patient 002") and images.groups.bincount().tolist() == [5, 2]
    assert images.table.pixel_mm.tolist() == pytest.approx([0.2] * 7, rel=0.03)
    assert images.images.shape[2] == pytest.approx(120, abs=3)      # the region is the crop
    written = b"".join(path.read_bytes() + path.relative_to(out).as_posix().encode() for path in out.rglob("*.*"))
    assert not any(word.encode() in written for word in ("Mustermann", "Erika", "1964", DATE, "Patient"))
    rows = [row for row in report_of(out) if row["source"].endswith("a.dcm")]
    assert [row["frame"] for row in rows] == ["0", "3", "6"]
    assert "tells PatientName, PatientID, PatientBirthDate, of which nothing is copied" in rows[0]["notes"]
    assert "burnt into the pixels" in rows[0]["notes"] and NAME not in repr(rows) and DATE not in repr(rows)
    (tmp_path / "in/c").unlink()
    with pytest.raises(ValueError, match="Mustermann_1964 is called after a patient, and would be a class"):
        bring_in(tmp_path / "in", tmp_path / "other")


def test_without_patients_a_clip_is_a_group_and_single_images_are_their_own(tmp_path):
    cine(tmp_path / "in/a.dcm", 3)
    Image.fromarray(made.scan(1)).save(tmp_path / "in/b.tif", save_all=True,
                                       append_images=[Image.fromarray(made.scan(1, speckle=1))])
    made.save(tmp_path / "in/c.png", made.scan(2))
    bring_in(tmp_path / "in", tmp_path / "set")
    images = load("folder", tmp_path / "set")
    assert images.groups.bincount().tolist() == [3, 2, 1]
    assert "left out" not in " ".join(images.notes)


def test_what_was_brought_in_is_prepared_already(tmp_path):
    made.save(tmp_path / "in/a.png", np.pad(made.scan(1), 30))
    bring_in(tmp_path / "in", tmp_path / "set")
    once = load("folder", tmp_path / "in", 160).images.int()
    twice = load("folder", tmp_path / "set", 160).images.int()
    assert (once - twice).abs().float().mean() < 2


def test_a_video_is_a_clip_and_one_cut_off_is_left_out(tmp_path):
    for name in ("whole", "cut"):
        path = tmp_path / f"in/{name}.avi"
        path.parent.mkdir(exist_ok=True)
        film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
        for i in range(6):
            film.write(cv2.cvtColor(made.scan(1, speckle=i), cv2.COLOR_GRAY2BGR))
        film.release()
    path.write_bytes(path.read_bytes()[:15000])
    taken = bring_in(tmp_path / "in", tmp_path / "set", every=2)
    assert [row["file"][-9:] for row in taken.rows] == ["00000.png", "00002.png", "00004.png"]
    first = np.array(Image.open(tmp_path / "set" / taken.rows[0]["file"])).astype(int)
    assert np.abs(first - made.scan(1)).mean() < 4
    left, = (row for row in report_of(tmp_path / "set") if not row["file"])
    assert left["source"] == "cut.avi" and "cut.avi cannot be read as a video" in left["left_out"]


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_stacks_have_labels_groups_and_masks(tmp_path, ending):
    values = {"images": np.stack([made.scan(i) for i in range(3)]), "labels": np.array([1, 0, 1]),
              "classes": np.array([b"benign", b"malignant"]), "groups": np.array([4, 4, 7]),
              "masks": np.stack([made.disc() > 0] * 3)}
    (tmp_path / "in").mkdir()
    path = tmp_path / f"in/stack.{ending}"
    if ending == "npz":
        np.savez_compressed(path, **values)
    else:
        h5py = pytest.importorskip("h5py", reason="h5py reads HDF5: pip install 'uslab[formats]'")
        with h5py.File(path, "w") as file:
            for name, value in values.items():
                file[f"train/{name}"] = value
    bring_in(tmp_path / "in", tmp_path / "set")
    images = load("folder", tmp_path / "set")
    assert images.classes == ("benign", "malignant") and images.labels.tolist() == [1, 0, 1]
    assert images.groups.tolist() == [0, 0, 1] and images.masks.flatten(1).any(1).all()
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match=rf"stack\.{ending} cannot be read as arrays"):
        list(clips.shots(path, 1, {}))


@pytest.mark.parametrize(("values", "message"), [
    ({"a": np.zeros((2, 40, 40), np.uint8), "b": np.zeros((2, 40, 40), np.uint8)}, "holds the arrays a .2, 40, 40., b"),
    ({"images": np.zeros((2, 40, 40, 3), np.uint8)}, "expected grey images"),
    ({"images": np.zeros((2, 40, 40), np.uint8), "labels": np.zeros(3)}, "has 3 labels for 2 images"),
    ({"images": -np.ones((2, 40, 40))}, "negative or undefined grey levels"),
    ({"images": np.full((2, 40, 40), 900.0)}, "reaches the level 900, and nothing says which level is white"),
    ({"images": np.array([{}, {}])}, "cannot be read as arrays"),
])
def test_a_stack_of_another_kind_is_refused(tmp_path, values, message):
    np.savez(tmp_path / "s.npz", **values)
    with pytest.raises(ValueError, match=rf"s\.npz.*{message}"):
        list(clips.shots(tmp_path / "s.npz", 1, {}))


def test_hdf5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "s.h5").touch()
    with pytest.raises(ValueError, match=r"s\.h5 is HDF5, which h5py reads: pip install 'uslab\[formats\]'"):
        list(clips.shots(tmp_path / "s.h5", 1, {}))


def test_every_file_is_accounted_for(tmp_path, capsys):
    """Damaged, black, small, unlisted files and those of another kind are named; the command says so and ends well."""
    folder, out = tmp_path / "in", tmp_path / "set"
    for i in range(4):
        made.save(folder / f"{i}.png", made.scan(i, 480, 640))
    made.save(folder / "icon.png", made.scan(9, 24, 24))
    made.save(folder / "thumbnail.png", made.scan(9, 120, 160))
    made.save(folder / "black.png", 0 * made.scan(9))
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:900])
    (folder / "notes.txt").write_text("...")
    assert main(["data", "import", str(folder), "--out", str(out)]) in (0, None)
    said = capsys.readouterr().out
    left = {row["source"]: row["left_out"] for row in report_of(out) if not row["file"]}
    assert {name: next(word for word in ("only", "thumbnail", "black", "cannot", "neither") if word in why)
            for name, why in left.items()} == {
        "icon.png": "only", "thumbnail.png": "thumbnail", "black.png": "black", "cut.png": "cannot",
        "notes.txt": "neither"}
    assert said.startswith("4 images of 4 files") and all(f"left out: {name}" in said for name in left)
    assert len(load("folder", out, 64)) == 4
    assert main(["data", "import", str(folder), "--out", str(out)]) == 2
    assert "exists: name another folder" in capsys.readouterr().err


def test_labels_masks_and_millimetres_of_a_table_come_along(tmp_path):
    made.save(tmp_path / "in/a.png", made.scan(1))
    made.save(tmp_path / "in/m.png", made.disc() // 255)
    made.save(tmp_path / "in/b.tif", np.rint(made.scan(2) * (4095 / 255)).astype(np.uint16))
    made.save(tmp_path / "in/unlisted.png", made.scan(3))
    (tmp_path / "in/labels.csv").write_text("file,label,group,mask,pixel_mm\na.png,x,p,m.png,0.1\nb.tif,y,q,,0.2\n")
    with pytest.raises(ValueError, match="b.tif reaches the level .* state it"):
        bring_in(tmp_path / "in", tmp_path / "set")
    taken = bring_in(tmp_path / "in", tmp_path / "set", white=4095)
    images = load("folder", tmp_path / "set", 160)
    assert images.classes == ("x", "y") and images.group_names == ("p", "q")
    assert images.masks.flatten(1).any(1).tolist() == [True, False]
    assert images.table.pixel_mm.tolist() == pytest.approx([0.1, 0.2], rel=0.03)
    assert "left out: unlisted.png: labels.csv does not list it" in repr(taken)
    assert np.abs(images.images[1, 0, 20:140].numpy().astype(int) - made.scan(2)).mean() < 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_set_may_lie_in_its_own_source(tmp_path):
    made.save(tmp_path / "a.png", made.scan(1))
    made.save(tmp_path / ".ipynb_checkpoints/a-checkpoint.png", made.scan(1))
    taken = bring_in(tmp_path, tmp_path / "set")
    assert len(taken.rows) == len(taken.report) == 1
    with pytest.raises(FileNotFoundError, match="gone is not a folder"):
        bring_in(tmp_path / "gone", tmp_path / "other")


def test_a_folder_without_anything_leaves_nothing(tmp_path):
    made.save(tmp_path / "in/black.png", 0 * made.scan(1))
    with pytest.raises(ValueError, match=r"holds nothing that can be used: .*black\.png"):
        bring_in(tmp_path / "in", tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.slow
def test_a_real_cine_keeps_its_brightness(tmp_path):
    (tmp_path / "in").mkdir()
    source = tmp_path / "in/film"
    source.write_bytes(open(get_testdata_file("examples_ybr_color.dcm", download=False), "rb").read())
    taken = bring_in(tmp_path / "in", tmp_path / "set", every=15)
    assert len(taken.rows) == 2 and files.read_grey(tmp_path / "set" / taken.rows[0]["file"])[0].mean() < 20
    assert "not calibrated" in taken.report[0]["notes"]
