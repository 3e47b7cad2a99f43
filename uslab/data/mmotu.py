"""MMOTU, 2-D part: ovaries and ovarian tumours (Zhao 2022), in the layout of the official download."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from . import prepare
from .collect import Item, collect
from .files import opened
from .folders import left_out
from .imageset import ImageSet
from .tables import aside, lines_of

CLASSES = ("chocolate cyst", "serous cystadenoma", "teratoma", "theca cell tumour", "simple cyst", "normal ovary",
           "mucinous cystadenoma", "high-grade serous")
NORMAL = CLASSES.index("normal ovary")
# The colour of each class in the masks.
PALETTE = ((64, 0, 0), (0, 64, 0), (0, 0, 64), (64, 0, 64), (64, 64, 0), (64, 64, 64), (0, 128, 0), (0, 0, 128))
HELP = "unpack OTU_2d.zip there, as data_cards/mmotu.md describes"


def read(
    root: Path,           # folder that holds OTU_2d/, or that folder itself
    size: int | None,     # side of the square images; None: the longest side among the prepared frames
) -> ImageSet:
    """All images with their class, mask and the authors' split (`split` in the table: train or val).

    Mask 1 is a lesion, mask 2 a normal ovary. There are no patient ids: groups are near-duplicates. Raises
    FileNotFoundError for missing folders, lists and images and ValueError for damaged or mismatched ones.
    """
    base = root / "OTU_2d"
    base = base if base.is_dir() else root
    rows = pd.concat([read_split(base, split) for split in ("train", "val")], ignore_index=True)
    if (twice := rows.file.str.casefold().duplicated()).any():
        raise ValueError(f"{base}: {rows.file[twice].iloc[0]} is listed twice in train "
                         f"and val: {HELP}")
    rows = rows[~rows.file.isin(aside(root))].reset_index(drop=True)
    items = []
    for row in rows.itertuples():
        path, mask = base / "images" / row.file, base / "annotations" / f"{Path(row.file).stem}.PNG"
        for needed in (path, mask):
            if not needed.is_file():
                raise FileNotFoundError(f"{needed} is missing, but {row.split}_cls.txt lists {row.file}: {HELP}")
        items.append(Item(path, row.file, partial(region, mask, row.label)))
    used = [path for item in items for path in (item.path, item.mask.args[0])]
    lists = [base / f"{split}_cls.txt" for split in ("train", "val")]
    return collect(items, size, card="mmotu", labels=torch.tensor(rows.label.tolist()), classes=CLASSES,
                   mask_names=("background", "lesion", "ovary"), table=rows[["split"]],
                   notes=left_out(base, used + lists))


def read_split(base: Path, split: str) -> pd.DataFrame:
    """The files and class numbers that <split>_cls.txt lists."""
    path, rows = base / f"{split}_cls.txt", []
    for number, line in enumerate(lines_of(path, HELP), 1):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != 2 or not fields[1].isdecimal() or int(fields[1]) >= len(CLASSES):
            raise ValueError(f"{path}, line {number}: {line!r} is not a file and a class from 0 to 7: {HELP}")
        rows.append((fields[0], int(fields[1]), split))
    return pd.DataFrame(rows, columns=["file", "label", "split"])


def region(path: Path, label: int, shape: tuple[int, int]) -> np.ndarray:
    """The annotated region of one image: 1 lesion or 2 ovary, (H, W) uint8."""
    colours = np.array(opened(path).convert("RGB"))  # palette and full-colour masks alike
    mask = colours.any(axis=2)
    if mask.shape != shape:
        raise ValueError(f"{path} is {mask.shape}, its image {shape}: {HELP}")
    if not mask.any():
        raise ValueError(f"{path} is empty, but its image is one of {CLASSES[label]}: {HELP}")
    if (colours[mask] != PALETTE[label]).any():
        wrong = colours[mask][(colours[mask] != PALETTE[label]).any(axis=1)][0]
        raise ValueError(f"{path} holds the colour {tuple(wrong.tolist())}, but its class, {CLASSES[label]}, has "
                         f"{PALETTE[label]}: the mask belongs to another image, or {HELP}")
    return (mask * (2 if label == NORMAL else 1)).astype(np.uint8)


def derived_follicles(ovaries: ImageSet) -> ImageSet:
    """The normal ovaries of a set with a third mask, `follicle (derived)`: dark round regions inside the ovary.

    The data set does not label follicles. These come from dark-blob detection, no expert saw them, and every name and
    note calls them derived.
    """
    from dataclasses import replace

    chosen = ovaries[ovaries.labels == NORMAL]
    masks = chosen.masks.clone()
    for image, mask in zip(chosen.images[:, 0].numpy(), masks[:, 0].numpy()):
        mask[dark_blobs(image, mask == 2)] = 3
    return replace(chosen, masks=masks, mask_names=(*chosen.mask_names, "follicle (derived)"),
                   notes=(*chosen.notes, "follicles are derived by dark-blob detection, not annotated"))


def dark_blobs(
    image: np.ndarray,    # (H, W) uint8
    ovary: np.ndarray,    # (H, W) bool
) -> np.ndarray:
    """Follicle-like regions inside the ovary, (H, W) bool.

    Candidates are maxima of the Laplacian of a Gaussian over scales. A candidate is kept if its inside is less than
    0.65 times as bright as the ring around it; its region is what is darker than half way between the two.
    """
    from skimage.feature import blob_log

    found = np.zeros(ovary.shape, bool)
    box = prepare.bounding_box(ovary)
    scale = 96 / max(1.0, float(ovary.sum()) ** 0.5)  # one size for all ovaries
    if not ovary.any() or scale > 4:
        return found
    part = cv2.resize(image[box], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    inside = cv2.resize(ovary[box].astype(np.uint8), part.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    smooth = cv2.GaussianBlur(part, (0, 0), 1.5).astype(np.float32)
    follicles = np.zeros(part.shape, bool)
    y, x = np.mgrid[:part.shape[0], :part.shape[1]]
    for row, column, sigma in blob_log(1 - smooth / 255, min_sigma=3, max_sigma=26, num_sigma=9, threshold=0.04):
        radius, away = 1.41 * sigma, np.hypot(y - row, x - column)
        if not inside[int(row), int(column)]:
            continue
        ring = smooth[(away > 1.15 * radius) & (away < 1.7 * radius)]
        dark = float(np.median(smooth[away < 0.6 * radius]))
        if ring.size == 0 or dark > 0.65 * np.median(ring):
            continue
        region = ((smooth < (dark + np.median(ring)) / 2) & (away < 1.5 * radius) & inside).astype(np.uint8)
        reach = max(3, round(0.6 * radius)) | 1
        region = cv2.morphologyEx(region, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        _, labels = cv2.connectedComponents(region)
        blob = (labels == labels[int(row), int(column)]) & (region > 0)
        if 0.5 < blob.sum() / (np.pi * radius**2) < 1.8:  # compact
            follicles |= blob
    back = cv2.resize(follicles.astype(np.uint8), image[box].shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    found[box] = back & ovary[box]
    return found
