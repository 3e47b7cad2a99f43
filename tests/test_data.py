"""ImageSet, the preparation, and the HC18 reader: on hand-made folders, and on real images where they are."""

import shutil

import cv2
import made
import numpy as np
import pandas as pd
import pytest
import torch

from uslab import phantom
from uslab.data import ImageSet, audit, folder, load
from uslab.data.hc18 import circumference, fill
from uslab.data.prepare import bounding_box, fan, resized, square


def grouped_set(sizes, labels=None):
    """An ImageSet with groups of the given sizes; image i is filled with the grey level i."""
    n = sum(sizes)
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return ImageSet(
        torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).repeat(1, 1, 4, 4), "made", "phantom",
        pd.DataFrame({"file": [f"{i:03d}" for i in range(n)], "mm": np.linspace(0.1, 0.3, n)}),
        labels=None if labels is None else torch.tensor(labels)[groups], classes=("a", "b") if labels else (),
        groups=groups, group_names=tuple(f"p{i}" for i in range(len(sizes))))


# ImageSet

@pytest.mark.parametrize("seed", range(20))
def test_split_keeps_groups_together_and_loses_nothing(seed):
    sizes = np.random.default_rng(seed).integers(1, 10, 25).tolist()
    whole = grouped_set(sizes)
    first, second = whole.split(0.7, seed)
    assert not set(first.groups.tolist()) & set(second.groups.tolist())
    assert sorted(first.table.file.tolist() + second.table.file.tolist()) == whole.table.file.tolist()
    assert abs(len(first) - 0.7 * len(whole)) <= max(sizes)
    again, _ = whole.split(0.7, seed)
    assert torch.equal(first.images, again.images)


def test_split_keeps_the_share_of_each_class():
    whole = grouped_set([2] * 50, labels=[0] * 40 + [1] * 10)
    first, _ = whole.split(0.8, seed=0)
    assert torch.bincount(first.labels).tolist() == [64, 16]


def test_split_that_would_be_empty_says_so():
    with pytest.raises(ValueError, match="1 groups are too few"):
        grouped_set([5]).split(0.5, 0)
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1, not 80"):
        grouped_set([5, 5]).split(80, 0)


def test_indexing_keeps_rows_in_step():
    whole = grouped_set([3, 2, 4])
    for index in ([7, 1], slice(2, 9, 3), torch.tensor([8, 0]), np.array([True, False] * 4 + [True])):
        part = whole[index]
        assert part.images[:, 0, 0, 0].tolist() == [int(file) for file in part.table.file]
        assert part.groups.tolist() == [[0, 0, 0, 1, 1, 2, 2, 2, 2][int(file)] for file in part.table.file]


def test_save_and_load_are_exact(tmp_path):
    whole = grouped_set([3, 2], labels=[0, 1])
    whole.save(tmp_path / "set.safetensors")
    loaded = ImageSet.load(tmp_path / "set.safetensors")
    assert loaded.sha256() == whole.sha256() and loaded.table.equals(whole.table)
    assert (loaded.classes, loaded.group_names, loaded.card) == (whole.classes, whole.group_names, whole.card)
    content = bytearray((tmp_path / "set.safetensors").read_bytes())
    content[-1] ^= 4        # a pixel, a label or a group
    (tmp_path / "set.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"set\.safetensors is not a saved ImageSet, or is damaged"):
        ImageSet.load(tmp_path / "set.safetensors")
    (tmp_path / "set.safetensors").write_bytes(b"not a file of ours")
    with pytest.raises(ValueError, match=r"set\.safetensors is damaged, was cut off or is no"):
        ImageSet.load(tmp_path / "set.safetensors")


def test_the_hash_sees_every_pixel_and_label():
    whole = grouped_set([3, 2], labels=[0, 1])
    before = whole.sha256()
    whole.images[4, 0, 3, 3] += 1
    assert whole.sha256() != before
    whole.images[4, 0, 3, 3] -= 1
    whole.labels[0] = 1
    assert whole.sha256() != before


@pytest.mark.parametrize("change, message", [
    ({"images": torch.zeros(2, 1, 4, 4)}, "images must be uint8"),
    ({"images": torch.zeros(2, 3, 4, 4, dtype=torch.uint8)}, r"\(N, 1, H, W\)"),
    ({"source": "synthetic"}, "source must be 'phantom' or 'real', not 'synthetic'"),
    ({"groups": torch.tensor([0, 5])}, "groups holds 5, but only 2 names"),
    ({"groups": torch.tensor([0, -1])}, "groups must be integers from 0 on, not torch.int64 from -1 on"),
    ({"masks": torch.zeros(2, 1, 4, 4), "mask_names": ("a",)}, "masks must be uint8, not torch.float32"),
    ({"table": pd.DataFrame({"file": ["a"]})}, "table has 1 rows for 2 images"),
])
def test_a_set_that_does_not_fit_together_is_refused(change, message):
    values = {"images": torch.zeros(2, 1, 4, 4, dtype=torch.uint8), "card": "made", "source": "phantom",
              "table": pd.DataFrame({"file": ["a", "b"]}), "groups": torch.tensor([0, 1]), "group_names": ("p", "q")}
    with pytest.raises(ValueError, match=message):
        ImageSet(**values | change)


# Preparation

def frame(height=270, width=400):
    """A fan with dark fluid inside, a grey bar and a text-like row of dots beside it; returns image and fan mask."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    radius, angle = np.hypot(x - width / 2, y + 60), np.arctan2(x - width / 2, y + 60)
    inside = (radius > 70) & (radius < 310) & (np.abs(angle) < 0.6)
    image = np.where(inside, 60 + 30 * rng.standard_normal(inside.shape), 0).clip(0, 255).astype(np.uint8)
    image[(np.hypot(x - 200, y - 150) < 60)] = 0
    image[10:90, 1:4] = np.linspace(255, 0, 80)[:, None]
    image[5:8, 340:380:3] = 200
    return image, inside


def test_fan_keeps_fluid_and_drops_bar_and_text():
    image, inside = frame()
    found = fan(image)
    assert (found & inside).sum() / (found | inside).sum() > 0.95
    assert not found[:, :5].any() and not found[:9, 330:].any()
    with pytest.raises(ValueError, match="the image is black"):
        fan(np.zeros((50, 50), np.uint8))


def test_square_keeps_proportions():
    image = np.zeros((100, 200), np.uint8)
    cv2.circle(image, (100, 50), 40, 255, -1)
    small = square(image, 50)
    rows, columns = bounding_box(small > 127)
    assert small.shape == (50, 50) and abs((rows.stop - rows.start) - (columns.stop - columns.start)) <= 1
    assert (small > 127).sum() == pytest.approx(np.pi * 10**2, rel=0.05)  # radius 40 px at a quarter of the scale
    assert set(np.unique(square(image // 255 * 3, 37, labels=True))) == {0, 3}


# HC18

def outline_of(center=(200, 150), axes=(90, 70), degrees=20, gap=0):
    outline = np.zeros((270, 400), np.uint8)
    cv2.ellipse(outline, center, axes, degrees, gap, 360, 255, 1)
    return outline


def write_hc18(root, names=("010_HC.png", "010_2HC.png", "011_HC.png")):
    """A folder in HC18's layout with hand-made frames of a known circumference: axes 180 and 140 px at 0.5 mm."""
    (root / "training_set").mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(root / "training_set" / name), frame()[0])
        cv2.imwrite(str(root / "training_set" / name.replace(".png", "_Annotation.png")), outline_of())
    hc = circumference(180, 140) * 0.5
    pd.DataFrame({"filename": names, "pixel size(mm)": 0.5, "head circumference (mm)": hc}).to_csv(
        root / "training_set_pixel_size_and_HC.csv", index=False)
    return root


def test_circumference():
    assert circumference(2, 2) == pytest.approx(2 * np.pi)
    assert circumference(2 * 5, 2 * 3) == pytest.approx(25.526998863398124, rel=1e-7)  # complete elliptic integral


def test_hc18_reads_exams_masks_and_millimetres(tmp_path):
    heads = load("hc18", write_hc18(tmp_path), size=128)
    assert heads.images.shape == (3, 1, 128, 128) and heads.source == "real" and heads.card == "hc18"
    assert heads.group_names == ("010", "011") and sorted(heads.groups.tolist()) == [0, 0, 1]
    assert heads.mask_names == ("background", "head")
    for row in heads.table.itertuples():
        area_mm2 = int(heads.masks[row.Index].sum()) * row.pixel_mm**2
        assert area_mm2 == pytest.approx(np.pi * 45 * 35, rel=0.02)
        assert row.hc_mask_mm == pytest.approx(row.hc_mm, rel=0.02)
    assert heads.images[0, 0, :12].max() == 0   # padded to the square
    assert [note.split(":")[0] for note in heads.notes] == [
        "cropped to the scan region", "2 images are copies of others, pixel by pixel"]
    assert set(heads.table.height) == {270} and set(heads.table.width) == {400} and not heads.table.colour.any()


def test_an_open_outline_is_closed_by_an_ellipse_and_reported(tmp_path):
    mask, ellipse, is_open = fill(outline_of(gap=25), tmp_path)
    whole, _, whole_open = fill(outline_of(), tmp_path)
    assert is_open and not whole_open
    assert (mask & whole).sum() / (mask | whole).sum() > 0.97
    assert sorted(ellipse[1]) == pytest.approx([140, 180], abs=2)
    write_hc18(tmp_path)
    cv2.imwrite(str(tmp_path / "training_set" / "011_HC_Annotation.png"), outline_of(gap=25))
    heads = load("hc18", tmp_path, 64)
    assert heads.notes[2:] == ("open outlines replaced by a fitted ellipse: 011_HC.png",)
    assert heads.table.outline.tolist() == ["closed", "closed", "open"]


def test_the_audit_counts_hc18_frames_of_another_size(tmp_path):
    write_hc18(tmp_path)
    for name in ("011_HC.png", "011_HC_Annotation.png"):
        image = cv2.imread(str(tmp_path / "training_set" / name), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / "training_set" / name), cv2.copyMakeBorder(image, 0, 9, 0, 0, cv2.BORDER_CONSTANT))
    found = audit(load("hc18", tmp_path, 128))
    assert found.summary.set_index("what").found["files of another size than the most frequent one"] == 1


def break_csv(root, text):
    path = root / "training_set_pixel_size_and_HC.csv"
    path.write_text(path.read_text().replace(*text))


@pytest.mark.parametrize("damage, error, message", [
    (lambda root: shutil.rmtree(root), FileNotFoundError, r"hc18 is not a folder; data_cards/hc18\.md says how"),
    (lambda root: shutil.rmtree(root / "training_set"), FileNotFoundError, "training_set is not a folder: download"),
    (lambda root: (root / "training_set").rename(root / "x") and (root / "training_set.zip").touch(),
     FileNotFoundError, r"unpack .*training_set\.zip"),
    (lambda root: (root / "training_set_pixel_size_and_HC.csv").unlink(), FileNotFoundError, r"HC\.csv is missing"),
    (lambda root: (root / "training_set/010_2HC.png").unlink(), FileNotFoundError,
     r"010_2HC\.png is missing, and 0 more"),
    (lambda root: (root / "training_set/011_HC_Annotation.png").unlink(), FileNotFoundError, "011_HC_Annotation"),
    (lambda root: shutil.copy(root / "training_set/011_HC.png", root / "training_set/012_HC.png"),
     ValueError, r"012_HC\.png has no row"),
    (lambda root: (root / "training_set/011_HC.png").write_bytes(b"\x89PNG cut"), ValueError,
     "011_HC.png cannot be read"),
    (lambda root: cv2.imwrite(str(root / "training_set/011_HC.png"), frame()[0][::2, ::2]), ValueError,
     r"011_HC_Annotation\.png is \(270, 400\), its image \(135, 200\)"),
    (lambda root: break_csv(root, ("011_HC.png,0.5", "011_HC.png,0.25")), ValueError,
     r"011_HC\.png: the outline measures \d+ mm at 0\.25 mm per pixel"),
    (lambda root: break_csv(root, ("010_HC.png,0.5", "010_HC.png,-1")), ValueError, r"pixel_mm of 010_HC\.png is not"),
    (lambda root: break_csv(root, ("010_HC.png", "a.png")), ValueError, "'a.png' is no HC18 file name"),
    (lambda root: break_csv(root, ("010_2HC.png", "010_HC.png")), ValueError, "HC.csv lists 010_HC.png twice"),
    (lambda root: made.save(root / "training_set" / "012_HC.PNG", made.scan(1)), ValueError, "012_HC.PNG has no row"),
    (lambda root: break_csv(root, ("pixel size(mm)", "mm")), ValueError, "has the columns"),
    (lambda root: cv2.imwrite(str(root / "training_set/011_HC_Annotation.png"), 0 * outline_of()), ValueError,
     "011_HC_Annotation.png holds no head outline"),
])
def test_hc18_names_what_is_damaged(tmp_path, damage, error, message):
    root = write_hc18(tmp_path / "hc18")
    damage(root)
    with pytest.raises(error, match=message):
        load("hc18", root)


def test_unknown_names_and_the_default_folder(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="unknown data set 'hc19': choose one of busi, ct, eus, folder, hc18"):
        load("hc19")
    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    assert folder("hc18") == tmp_path / "hc18"
    monkeypatch.delenv("USLAB_DATA")
    assert folder("hc18").parts[-2:] == ("uslab", "hc18")


@pytest.mark.slow
def test_hc18_on_real_images(real_data):
    heads = load("hc18", real_data / "hc18", size=128)
    table = pd.read_csv(real_data / "hc18" / "training_set_pixel_size_and_HC.csv")
    assert heads.table.file.tolist() == table.filename.tolist()
    # Head circumference measured on the outline agrees with the sonographers' table.
    error = heads.table.hc_mask_mm / heads.table.hc_mm - 1
    assert error.abs().max() < 0.02
    # So does the one of the mask after cropping, padding and resizing, through its area and pixel size.
    area_mm2 = heads.masks.sum((1, 2, 3)).numpy() * heads.table.pixel_mm**2
    circle = heads.table.hc_mm**2 / (4 * np.pi)  # the largest area that a circumference encloses
    assert (area_mm2 / circle).between(0.94, 1.05).all()
    # Exams hold every frame of one number, and a split never parts them.
    first, second = heads.split(0.8, 0)
    assert not {file[:3] for file in first.table.file} & {file[:3] for file in second.table.file}
    odd = audit(heads).summary.set_index("what").found["files of another size than the most frequent one"]
    assert 0 < odd == (heads.table.height != heads.table.height.mode()[0]).sum() < 0.1 * len(heads)
    # The grey bar at the left edge of the frames is gone: heads are there, bars are not.
    assert heads.images[:, 0, :, :1].float().mean() < 25


def test_resizing_is_not_led_by_the_black_around_a_fan():
    """A grey level more everywhere, black surround and all, is a grey level more in each pixel of the smaller image."""
    grey = phantom.load("ovary", 1, 128, seed=5).images[0, 0].numpy().clip(max=254)
    for size in (64, 90):
        change = resized(grey + 1, size).astype(int) - resized(grey, size)
        assert np.abs(change - 1).max() <= 1 and abs(change.mean() - 1) < 0.02      # halves round to even numbers
