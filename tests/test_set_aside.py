"""A bad member of a set is named, and does not keep the others from being read once it is set aside by name."""

import shutil

import made
import numpy as np
import pytest
from test_ct_eus import totalsegmentator

from uslab.cli.main import main
from uslab.data import load

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def sets(tmp_path):
    """The folder of each set, with one member whose image is cut off, and that member's name."""
    made.busi(tmp_path / "busi")
    made.mmotu(tmp_path / "mmotu")
    hc18 = tmp_path / "hc18" / "training_set"
    for i in range(3):
        made.save(tmp_path / "folder" / f"{i}.png", made.scan(i))
        made.save(tmp_path / "eus" / f"p{i}" / "1.png", made.scan(i))
        image = made.scan(i, 120, 160)
        ring = made.disc(120, 160, (80, 60), 40) ^ made.disc(120, 160, (80, 60), 39)
        made.save(hc18 / f"{i:03d}_HC.png", image)
        made.save(hc18 / f"{i:03d}_HC_Annotation.png", ring)
    rows = "".join(f"{i:03d}_HC.png,0.5,{np.pi * 40:.2f}\n" for i in range(3))
    (hc18.parent / "training_set_pixel_size_and_HC.csv").write_text(
        "filename,pixel size(mm),head circumference (mm)\n" + rows)
    bad = {"busi": ("Dataset_BUSI_with_GT/benign/benign (2).png", "benign (2).png"),
           "mmotu": ("OTU_2d/images/4.JPG", "4.JPG"), "hc18": ("training_set/001_HC.png", "001_HC.png"),
           "eus": ("p1/1.png", "p1/1.png"), "folder": ("1.png", "1.png")}
    for name, (file, _) in bad.items():
        path = tmp_path / name / file
        path.write_bytes(path.read_bytes()[:200])
    return {name: (tmp_path / name, member) for name, (_, member) in bad.items()}


@pytest.mark.parametrize(("name", "n"), [("busi", 5), ("mmotu", 2), ("hc18", 2), ("eus", 2), ("folder", 2)])
def test_an_image_is_set_aside_by_name(sets, name, n):
    root, member = sets[name]
    with pytest.raises(ValueError, match=r"cannot be read as an image .*take it out"):
        load(name, root, 64)
    (root / "set_aside.txt").write_text(f"\n {member} \n", "utf-8-sig")
    images = load(name, root, 64)
    assert len(images) == n and member not in images.table.file.tolist()
    assert all(len(value) == n for value in images.tensors().values())
    assert images.group_numbers().max() < len(images.group_names)


def test_one_bad_ct_is_named_and_does_not_block_the_others(tmp_path, capsys):
    case = totalsegmentator(tmp_path)
    for name in ("s0001", "s0009"):
        shutil.copytree(case, case.with_name(name))
    cut = case.with_name("s0001") / "ct.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-300])
    assert main(["data", "check", "ct", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert f"s0001 cannot be used: {cut} cannot be read" in said and said.count(" voxels, 4 labels") == 2
    assert f"1 of 3 cases cannot be used: what {tmp_path / 'set_aside.txt'} names" in said
    shutil.rmtree(case / "segmentations")
    with pytest.raises(FileNotFoundError, match=r"s0007.*is missing.*a case that set_aside\.txt names is left out"):
        load("ct", tmp_path)
    (tmp_path / "set_aside.txt").write_text("s0001\ns0007\n")
    cases = load("ct", tmp_path)
    assert cases.names == ("s0009",) and "s0001, s0007" in repr(cases)
    assert main(["data", "check", "ct", "--root", str(tmp_path)]) == 0
