"""Near-duplicates and the audit: on simulated frames changed in known ways, and on the known faults of real sets."""

import dataclasses

import cv2
import made
import numpy as np
import pandas as pd
import pytest
import torch

from uslab.cli.data import audit_page
from uslab.data import ImageSet, audit, load
from uslab.data.duplicates import SAME_FRAME, find, groups_of
from uslab.phantom import load as simulate

pytestmark = pytest.mark.usefixtures("own_cache")


def callipers(image):
    for place in ((60, 60), (110, 90), (150, 70)):
        cv2.drawMarker(image, place, 255, cv2.MARKER_CROSS, 9, 1)
    cv2.line(image, (60, 60), (110, 90), 255, 1)
    return cv2.putText(image, "LT UOQ 2", (60, 180), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)


CHANGES = {
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "cropped": lambda image: image[14:-8, 10:-16],
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "another gamma": lambda image: (255 * (image / 255) ** 0.7).astype(np.uint8),
    "callipers and text": callipers,
    "JPEG": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0),
    "cropped, smaller and brighter": lambda image: cv2.convertScaleAbs(
        cv2.resize(image[8:, :-10], None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA), alpha=1.2),
}


@pytest.fixture(scope="module")
def heads():
    """30 simulated heads of 30 patients, so that any two of them are different frames of similar look."""
    images = simulate("fetal_head", 45, 224)
    first = pd.Series(images.groups).drop_duplicates().index[:30]
    return [image.copy() for image in images.images[first, 0].numpy()]


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(heads, change):
    copies = [CHANGES[change](image.copy()) for image in heads[:10]]
    pairs = find(heads + copies, SAME_FRAME)
    assert sorted(zip(pairs.a, pairs.b)) == [(i, 30 + i) for i in range(10)]


def test_the_same_anatomy_under_other_speckle_is_no_copy():
    frames = [made.scan(seed, 200, 240, speckle) for seed in range(6) for speckle in range(2)]
    assert find(frames, SAME_FRAME).empty


def test_groups_join_chains_of_pairs():
    groups, names = groups_of(pd.DataFrame({"a": [0, 1], "b": [1, 4]}), list("pqrst"))
    assert groups.tolist() == [0, 0, 1, 2, 0] and names == ("p", "r", "s")
    groups, names = groups_of(find([]), [])
    assert len(groups) == 0 and names == ()


def faulty(heads):
    """10 heads and a copy of two of them, in another class and split; overlay, colour, exposure and sizes known."""
    images = np.stack(heads[:10] + [CHANGES["darker"](heads[0]), heads[3]])
    images[5] = cv2.add(images[5], 120)
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(12)], "split": ["train"] * 10 + ["val"] * 2,
                          "overlay": [0.0] * 11 + [0.02], "colour": [0.0] * 4 + [0.1] + [0.0] * 7,
                          "height": [540] * 11 + [500], "width": 800})
    return ImageSet(torch.from_numpy(images)[:, None], "made", "real", table, labels=torch.tensor([0] * 10 + [1, 0]),
                    classes=("a", "b"), groups=torch.tensor([*range(11), 3]),
                    group_names=tuple(f"p{i}" for i in range(11)))


@pytest.mark.slow
def test_the_audit_names_each_fault(heads):
    found = audit(faulty(heads))
    rows = {(row.file_a, row.file_b): row for row in found.duplicates.itertuples()}
    assert set(rows) == {("0.png", "10.png"), ("3.png", "11.png")}
    assert rows["0.png", "10.png"].across == "class, split" and rows["3.png", "11.png"].across == "split"
    assert list(found.duplicates.columns[:3]) == ["file_a", "file_b", "score"]
    assert found.groups_in_two_splits.values.tolist() == [["p3", "train, val", 2]]
    assert found.overlays.file.tolist() == ["11.png"] and found.colour.file.tolist() == ["4.png"]
    assert "5.png" in found.exposure.file.tolist() and len(found.exposure) <= 2
    assert found.sizes.values.tolist() == [[540, 800, 11], [500, 800, 1]]
    counts = found.classes.set_index(["class", "split"]).images
    assert counts["a", "train"] == 10 and counts["b", "val"] == 1
    page = audit_page(found)
    assert page.count("data:image/jpeg;base64,") == 4 and "http" not in page
    assert "class, split" in page


def test_an_audit_without_labels_splits_or_columns_is_empty_where_nothing_is_known(heads):
    images = ImageSet(torch.from_numpy(np.stack(heads[:3]))[:, None], "made", "real",
                      pd.DataFrame({"file": ["a", "b", "c"]}))
    found = audit(images)
    assert found.duplicates.empty and found.sizes.empty and found.overlays.empty and found.classes.empty
    counts = found.summary.set_index("what").found
    assert (counts == "not measured").sum() == 7    # what nothing tells is no 0
    assert counts["pairs that show one frame twice"] == 0
    partly = audit(dataclasses.replace(images, table=images.table.assign(colour=[0.0, 0.0, np.nan], overlay=0.0)))
    counts = partly.summary.set_index("what").found
    assert counts["images with colour"] == "not measured" and counts["images with text or callipers painted over"] == 0
    page = audit_page(found)
    assert "Colour: not measured" in page and "Classes: not measured" in page and "Frames of one sweep: 0" in page
    with pytest.raises(ValueError, match="split has 2 entries for 3 images"):
        audit(images, ["train", "val"])


@pytest.mark.parametrize("n", [1, 2])
def test_a_set_of_one_or_two_images_has_an_audit(heads, n):
    images = ImageSet(torch.from_numpy(np.stack(heads[:n]))[:, None], "made", "real",
                      pd.DataFrame({"file": ["a", "b"][:n]}))
    assert len(audit(images).duplicates) == 0 and len(audit(images).summary) == 10


def test_black_and_tiny_images_do_not_stop_the_search():
    images = [np.zeros((50, 50), np.uint8), made.scan(1)[:9, :9], made.scan(1), made.scan(1)]
    assert find(images)[["a", "b"]].values.tolist() == [[2, 3]]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pairs", "not_pairs"), [
    ("busi", [("benign (433).png", "malignant (145).png"), ("benign (42).png", "malignant (51).png"),
              ("benign (406).png", "malignant (94).png"), ("benign (140).png", "benign (62).png"),
              ("malignant (95).png", "malignant (96).png"), ("normal (121).png", "normal (31).png")],
     [("malignant (4).png", "malignant (6).png"), ("benign (125).png", "benign (126).png"),
      ("malignant (120).png", "malignant (122).png"), ("benign (206).png", "benign (249).png")]),
    ("mmotu", [("640.JPG", "641.JPG"), ("1449.JPG", "1450.JPG"), ("590.JPG", "954.JPG"), ("248.JPG", "249.JPG")],
     [("605.JPG", "606.JPG"), ("1311.JPG", "1312.JPG"), ("353.JPG", "354.JPG"), ("461.JPG", "462.JPG")]),
])
def test_known_duplicates_of_real_sets(real_data, tmp_path, name, pairs, not_pairs):
    """Judged by eye: one frame twice, and different frames of one patient. Only these images are read."""
    whole = {"busi": "Dataset_BUSI_with_GT/*/*.png", "mmotu": "OTU_2d/images/*.JPG"}[name]
    wanted = {file for pair in pairs + not_pairs for file in pair}
    for path in (real_data / name).glob(whole):
        if path.name in wanted:
            (tmp_path / path.name).symlink_to(path)
    found = audit(load("folder", tmp_path, size=256))
    files = {frozenset(pair) for pair in zip(found.duplicates.file_a, found.duplicates.file_b)}
    assert files == {frozenset(pair) for pair in pairs}
