"""The one way in: every source of images, what is refused, and that all commands read the same images."""

import dataclasses
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import made
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import uslab.data
from uslab import phantom
from uslab.cli.main import main
from uslab.data.files import is_sheet, write_sheet
from uslab.data.source import completed
from uslab.study import Study, pack

pytestmark = pytest.mark.usefixtures("own_cache")
SIDE = 64


def noise(n: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([made.scan(100 * seed + i, SIDE, SIDE) for i in range(n)]))[:, None]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with labels.csv, a run with sets of steps 100 and 200 and a later one, saved sets, and a generator."""
    for i in range(12):
        made.save(tmp_path / "real" / f"{i}.png", made.scan(i, SIDE, SIDE))
    made.save(tmp_path / "real" / "masks" / "m.png", made.disc(SIDE, SIDE, (30, 30), 9))
    rows = "".join(f"{i}.png,{'ab'[i % 2]},p{i // 2},masks/m.png\n" for i in range(11))      # 11.png is not listed
    (tmp_path / "real" / "labels.csv").write_text("file,label,group,mask\n" + rows)
    run = tmp_path / "run-1"
    for name in ("samples", "sheets"):
        (run / name).mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"data": "phantom_fetal_head"}))
    (run / "checkpoint.json").write_text(json.dumps({"step": 1_500_000}))
    for step, n in ((999_900, 9), (1_000_000, 13), (2_000_000, 5)):    # the last one is of a killed session
        save_file({"images": noise(n, seed=n)}, run / "samples" / f"{step:06d}.safetensors")
    write_sheet(run / "sheets" / "000100.png", made.scan(7, 4 * SIDE, 4 * SIDE))
    whole = uslab.data.open(tmp_path / "real", size=SIDE)
    dataclasses.replace(whole, images=noise(11, seed=1)).save(tmp_path / "set.safetensors")
    save_file({"images": noise(10, seed=2)}, tmp_path / "plain.safetensors")
    monkeypatch.setitem(sys.modules, "uslab.generators", SimpleNamespace(
        sample=lambda name, n, seed: uslab.data.open(noise(n, 20 + seed))))
    monkeypatch.setenv("USLAB_DATA", str(tmp_path / "data"))
    made.busi(tmp_path / "data" / "busi")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COUNTS = {"phantom:fetal_head?n=14,seed=3": 14, "real": 11, "run-1": 13, "run-1/samples/999900.safetensors": 9,
          "generator:liver?seed=2,n=15": 15, "set.safetensors": 11, "plain.safetensors": 10}


@pytest.mark.parametrize("source", COUNTS)
def test_a_source_has_the_same_images_in_every_command(place, capsys, source):
    images = uslab.data.open(source, size=SIDE)
    assert len(images) == COUNTS[source] and images.images.shape[2:] == (SIDE, SIDE)
    assert main(["data", "check", source]) == 0
    assert re.search(rf"\b{COUNTS[source]} (real|phantom|synthetic) images", capsys.readouterr().out)
    assert len(pack.read("x", source, SIDE).images) == COUNTS[source]
    assert main(["data", "show", source, "--size", str(SIDE), "--out", "sheet.png"]) == 0
    with Image.open("sheet.png") as sheet:
        assert is_sheet(sheet)


@pytest.mark.slow
def test_measures_and_studies_take_every_source(place, capsys):
    assert main(["metrics", "phantom:fetal_head?n=12,seed=9", *COUNTS, "--size", str(SIDE), "--draws", "3",
                 "--out", "m"]) == 0
    said = capsys.readouterr().out
    for source, n in COUNTS.items():
        assert f"{Path(source).stem}: {n} synthetic images of 64x64" in said
    given = [word for i, source in enumerate(COUNTS) for word in ("--synthetic", f"m{i}={source}")]
    assert main(["study", "build", "s", "--real", "phantom:ovary", *given, "--n", "8", "--practice", "0", "--attention",
                 "0", "--acknowledge-text"]) == 0
    study = Study.open("s")
    assert study.pack.shape == (SIDE, SIDE)
    methods = [item["method"] for item in study.key()["stimuli"].values()]
    assert {method: methods.count(method) for method in set(methods)} == {
        "real": 8 * len(COUNTS), **{f"m{i}": 8 for i in range(len(COUNTS))}}


def test_what_a_source_gives(place):
    pixels = noise(3, 1)
    assert uslab.data.open(pixels[:, 0].numpy()).sha256() == uslab.data.open(pixels).sha256()
    whole = uslab.data.open("set.safetensors")
    with pytest.raises(ValueError, match="ct holds volumes, not images"):
        uslab.data.open("ct")
    assert uslab.data.open(whole) is whole and whole.classes == ("a", "b") and len(whole.group_names) == 6
    assert torch.equal(uslab.data.open("phantom:liver?n=2", size=SIDE).images, phantom.load("liver", 2, SIDE).images)
    assert len(uslab.data.open("busi", size=SIDE)) == 6 and len(uslab.data.open("folder", "real", SIDE)) == 11
    kept = uslab.data.open("run-1")
    assert (kept.card, kept.source) == ("phantom_fetal_head", "phantom") and "13 synthetic images" in repr(kept)
    # A data set's name is the data set; a path is the folder of that name.
    made.save(place / "busi" / "1.png", made.scan(1))
    assert uslab.data.open("busi").card == "busi" and uslab.data.open(Path("busi")).card == "folder"
    assert len(uslab.data.open("./busi")) == 1


def test_numbers_are_completed_and_never_changed():
    assert completed("phantom:liver", n=4, seed=5) == "phantom:liver?n=4,seed=5"
    assert completed("generator:x?seed=1", n=4, seed=5) == "generator:x?n=4,seed=1"
    assert completed("busi", n=4) == "busi"


@pytest.mark.parametrize(("source", "message"), [
    ("nowhere", "nowhere is neither a folder of images or of a run, nor"),
    ("gone.safetensors", "gone.safetensors is neither"), ("phantom:lung", "unknown phantom 'lung'"),
    ("phantom:liver?n=many", "'n=many' is neither n=NUMBER nor seed=NUMBER"),
    ("phantom:liver?size=9", "'size=9' is neither"),
    ("run-1/sheets", "sheets belongs to the run"), ("run-1/samples", "samples belongs to the run"),
    (".", "s belongs to the run .*, whose sheets and sets are no single images: .*`uslab generate .* --out DIR"),
    ("moved", r"moved/1\.png is a contact sheet.*take it out"), ("old/samples", "samples belongs to the run .*old"),
    ("empty", "empty is a run that kept no set of samples: write some with `uslab generate empty --out DIR`"),
    ("weights.safetensors", r"weights\.safetensors is no saved ImageSet and holds no tensor 'images'"),
    ("float.safetensors", r"float\.safetensors: images must be uint8"),
])
def test_every_command_refuses_in_one_line(place, capsys, source, message):
    made.save(place / "moved/0.png", made.scan(7))
    write_sheet(place / "moved/1.png", made.scan(7))
    made.save(place / "old/samples/000100.png", made.scan(7))     # a run of an earlier version, without the mark
    for name in ("old", "empty"):
        (place / name).mkdir(exist_ok=True)
        (place / name / "config.json").write_text("{}")
        (place / name / "checkpoint.safetensors").touch()
    save_file({"w": torch.zeros(2)}, place / "weights.safetensors")
    save_file({"images": torch.zeros(2, 1, 8, 8)}, place / "float.safetensors")
    for command in (["data", "check", source], ["data", "audit", source], ["metrics", "phantom:liver?n=1", source],
                    ["metrics", source, "plain.safetensors"],
                    ["study", "build", "s", "--real", source, "--synthetic", "a=real"],
                    ["study", "build", "s", "--real", "phantom:liver", "--synthetic", f"a={source}"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert re.search(message, said) and "Traceback" not in said and said.count("\n") == 1
    assert not (place / "s").exists()


def test_saved_images_are_taken_as_they_are(place, capsys):
    with pytest.raises(ValueError, match="run-1 holds images of 64 px.*leave out the size"):
        uslab.data.open("run-1", size=32)
    with pytest.raises(ValueError, match="the set holds images of 64 px"):
        uslab.data.open(noise(1, 1), size=32)
    assert main(["data", "audit", "run-1", "--out", "a.html"]) == 0     # the default size of pictures is not for it


def test_a_folder_of_generated_images_says_so(place):
    for i in range(3):
        made.save(place / "out" / f"{i}.png", made.scan(i, SIDE, SIDE))
    table = place / "out" / "labels.csv"
    table.write_text("file,generator,seed\n" + "".join(f"{i}.png,phantom:liver,{i}\n" for i in range(3)))
    images = uslab.data.open("out", size=SIDE)
    assert images.source == "phantom" and images.table.seed.tolist() == ["0", "1", "2"]
    assert pack.read("x", "out").phantom
    table.write_text(table.read_text().replace("phantom:liver", "dcgan_fetal_head"))
    images = uslab.data.open("out", size=SIDE)
    assert images.source == "real" and "3 synthetic images" in repr(images) and not pack.read("x", "out").phantom


def test_a_study_reads_the_files_that_labels_csv_lists_with_their_patients(place):
    source = pack.read("real", "real")
    assert source.files == [f"{i}.png" for i in range(11)] and source.groups == [f"p{i // 2}" for i in range(11)]


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_a_sheet_carries_its_mark_and_a_picture_does_not(tmp_path, name):
    sheet = made.scan(1)
    write_sheet(tmp_path / name, sheet)
    made.save(tmp_path / "plain.png", sheet)
    with Image.open(tmp_path / name) as marked, Image.open(tmp_path / "plain.png") as plain:
        assert is_sheet(marked) and not is_sheet(plain)
        assert np.abs(np.asarray(marked).astype(int) - sheet).mean() < 3


@pytest.mark.parametrize("command", [["data", "check", "hc18"], ["run", "00_start_here"], ["sweep", "f.yaml"],
                                     ["study", "build", "s", "--real", "hc18", "--synthetic", "a=b"]])
def test_an_empty_name_is_not_the_current_folder(place, capsys, command):
    assert main([*command, "--root", ""]) == 2
    assert "--root: the name of the folder is empty" in capsys.readouterr().err
    assert main(["data", "check", ""]) == 2
    assert "the source is empty: name a folder" in capsys.readouterr().err


def test_images_of_0_to_1_as_uint8_are_refused():
    with pytest.raises(ValueError, match="the set holds the grey levels 0 and 1 alone, which show as black"):
        uslab.data.open(np.ones((2, 16, 16), np.uint8))
