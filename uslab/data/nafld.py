"""NAFLD: liver and kidney with the share of fat from biopsy (Byra 2018), the authors' one .mat file."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from . import prepare
from .collect import numbered
from .files import stack
from .folders import left_out
from .imageset import ImageSet

FILE = "dataset_liver_bmodes_steatosis_assessment_IJCARS.mat"
FIELDS = ("id", "class", "fat", "images")
CLASSES = ("healthy", "fatty")
HELP = f"download {FILE} of Zenodo record 1009146 (doi:10.5281/zenodo.1009146), as data_cards/nafld.md describes"


def read(
    root: Path,           # folder that holds the .mat file
    size: int | None,     # side of the square images; None: the longest side of the fan
) -> ImageSet:
    """All frames with their class, fat in percent (`fat`, NaN where unknown) and patient.

    The ECG trace, grey bar, depth ticks and corner text are the patient's own and would give the class away, so every
    frame is cropped to the fan, which is the same in all. Raises FileNotFoundError without the file and ValueError for
    a file of another structure.
    """
    rows = read_mat(root / FILE)
    region = sector(np.mean([row["images"].mean(axis=0) for row in rows], axis=0))
    box = prepare.bounding_box(region)
    size = size or max(region[box].shape)
    images, table = [], []
    for row in rows:
        for i, frame in enumerate(row["images"]):
            images.append(prepare.square(np.where(region, frame, 0)[box], size))
            table.append({"file": f"{row['id']:02d}_{i}", "patient": row["id"], "fat": row["fat"],
                          "class": row["class"]})
    cropped = 1 - region[box].size / region.size
    # The frames are grey. Text and callipers inside the fan are not looked for, so there is no column overlay.
    table = pd.DataFrame(table).assign(height=region.shape[0], width=region.shape[1], cropped=round(cropped, 4),
                                       scale=max(region[box].shape) / size, colour=0.0)
    groups, names = numbered([f"{patient:02d}" for patient in table.patient])
    mixed = {row["id"] for row in rows if (row["fat"] >= 5) != row["class"] and np.isfinite(row["fat"])}
    return ImageSet(
        images=stack(images), labels=torch.tensor(table["class"].tolist()), classes=CLASSES,
        groups=groups, group_names=names, table=table.drop(columns="class"), card="nafld", source="real",
        notes=(f"cropped to the fan, {cropped:.0%} of the pixels, which takes away the ECG trace, grey bar and text",
               *((f"class and fat disagree in patients {sorted(mixed)}",) if mixed else ()),
               *left_out(root, [root / FILE])))


def read_mat(path: Path) -> list[dict]:
    """The records: id, class (0 or 1), fat (percent or NaN) and images (frames, H, W) uint8."""
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {HELP}")
    try:
        data = loadmat(path)["data"].ravel()
        missing = [name for name in FIELDS if name not in (data.dtype.names or ())]
    except Exception as error:  # scipy raises many kinds for files that are damaged or of another version
        raise ValueError(f"{path} is damaged or has no struct 'data' ({error}): {HELP}") from None
    if missing or not len(data):
        raise ValueError(f"{path}: the struct 'data' has {len(data)} records with the fields "
                         f"{list(data.dtype.names or ())}, expected {list(FIELDS)}: {HELP}")
    rows = []
    for number, record in enumerate(data, 1):
        try:
            row = {"id": int(record["id"].item()), "class": int(record["class"].item()),
                   "fat": float(record["fat"].item()), "images": np.asarray(record["images"])}
        except (ValueError, TypeError, AttributeError):
            raise ValueError(f"{path}: record {number} has an id, class or fat that is not one "
                             f"number: {HELP}") from None
        if row["images"].ndim == 2:
            row["images"] = row["images"][None]
        shape = rows[0]["images"].shape[1:] if rows else row["images"].shape[1:]
        if row["images"].dtype != np.uint8 or row["images"].ndim != 3 or row["images"].shape[1:] != shape:
            raise ValueError(f"{path}: the images of record {number} are {row['images'].dtype} "
                             f"{row['images'].shape}, expected uint8 (frames, 434, 636): {HELP}")
        if row["class"] not in (0, 1):
            raise ValueError(f"{path}: record {number} has class {row['class']}, expected 0 or 1: {HELP}")
        if row["fat"] < 0 or row["fat"] > 100:
            raise ValueError(f"{path}: record {number} has {row['fat']} % fat, expected 0 to 100: {HELP}")
        if row["id"] in (other["id"] for other in rows):
            raise ValueError(f"{path}: record {number} is patient {row['id']} a second time: {HELP}")
        rows.append(row)
    return rows


def sector(mean: np.ndarray) -> np.ndarray:
    """The fan in the mean of all frames, (H, W) float to bool: what survives an opening wider than ticks and text."""
    bright = (mean > 8).astype(np.uint8)
    reach = round(0.045 * max(mean.shape)) | 1
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        raise ValueError("the images are black: no scan region found")
    largest = (labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(np.uint8)
    hull = cv2.convexHull(cv2.findNonZero(largest))
    fan = cv2.fillConvexPoly(np.zeros(mean.shape, np.uint8), hull, 1)
    return cv2.erode(fan, np.ones((7, 7), np.uint8), borderValue=0).astype(bool)  # ticks touch the edge
