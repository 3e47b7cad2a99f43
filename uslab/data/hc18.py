"""HC18: fetal heads with head circumference (van den Heuvel 2018), in the layout of the official download."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from . import tables
from .collect import Item, collect, numbered
from .files import read_grey
from .folders import left_out
from .imageset import ImageSet

TABLE = "training_set_pixel_size_and_HC.csv"
COLUMNS = ["filename", "pixel size(mm)", "head circumference (mm)"]
HELP = ("download training_set.zip and the CSV of Zenodo record 1327317 (doi:10.5281/zenodo.1322001) and unpack both "
        "there, as data_cards/hc18.md describes")


def read(
    root: Path,           # folder that holds training_set/ and the CSV
    size: int | None,     # side of the square images; None: the longest side among the files
) -> ImageSet:
    """The annotated training set: images, head masks, exam groups.

    Each frame is cropped to its fan, padded to a square and resized, so `pixel_mm` in the table is the millimetres
    per pixel of the returned image; `hc_mm` is the head circumference from the CSV, `hc_mask_mm` the one measured on
    the outline. The exam is the number before the underscore in the file name: 010_HC.png and 010_2HC.png are two
    frames of exam 010.

    Raises FileNotFoundError for missing folders, tables and images and ValueError for damaged or mismatched ones,
    each naming the file and what to do.
    """
    folder, table = root / "training_set", read_table(root)
    expected = {name for file in table.file for name in (file, outline_name(file))}
    present = {path.name for path in folder.iterdir() if path.suffix.lower() == ".png" and path.name[0] != "."}
    if missing := sorted(expected - present):
        raise FileNotFoundError(
            f"{folder / missing[0]} is missing, and {len(missing) - 1} more that {TABLE} lists: the download or the "
            f"unpacking stopped half way; {HELP}")
    left = {name for file in tables.aside(root) for name in (file, outline_name(file))}
    if extra := sorted(present - expected - left):
        raise ValueError(f"{folder / extra[0]} has no row in {TABLE}, nor have {len(extra) - 1} more: {HELP}")

    outlines = [Outline(folder, *row) for row in table.itertuples(index=False)]
    groups, names = numbered(table.file.str.extract(r"^(\d+)_")[0])
    items = [Item(folder / outline.file, outline.file, outline, outline.pixel_mm) for outline in outlines]
    images = collect(items, size, card="hc18", mask_names=("background", "head"), groups=groups, group_names=names,
                     table=table[["hc_mm"]], notes=left_out(folder, (folder / name for name in expected)))
    opened = [outline.file for outline in outlines if outline.open]
    note = f"open outlines replaced by a fitted ellipse: {', '.join(opened)}"
    return replace(images, notes=(*images.notes, note) if opened else images.notes, table=images.table.assign(
        hc_mask_mm=[outline.hc_mask_mm for outline in outlines],
        outline=["open" if outline.open else "closed" for outline in outlines]))


def read_table(root: Path) -> pd.DataFrame:
    """The CSV with columns file, pixel_mm (of the file on disk) and hc_mm."""
    if not (root / "training_set").is_dir():
        zipped = root / "training_set.zip"
        do = f"unpack {zipped} there" if zipped.exists() else HELP
        raise FileNotFoundError(f"{root / 'training_set'} is not a folder: {do}")
    path = root / TABLE
    table = tables.read_table(path, HELP)
    if list(table.columns) != COLUMNS:
        raise ValueError(f"{path} has the columns {list(table.columns)}, expected {COLUMNS}: {HELP}")
    table.columns = ["file", "pixel_mm", "hc_mm"]
    for column in ("pixel_mm", "hc_mm"):
        values = pd.to_numeric(table[column], errors="coerce")
        if not (values > 0).all():
            raise ValueError(f"{path}: {column} of {table.file[~(values > 0)].iloc[0]} is not a positive "
                             f"number: {HELP}")
        table[column] = values
    if not (good := table.file.str.fullmatch(r"\d+_\d*HC\.png")).all():
        raise ValueError(f"{path}: {table.file[~good].iloc[0]!r} is no HC18 file name such as 010_2HC.png: {HELP}")
    if (twice := table.file.duplicated()).any():
        raise ValueError(f"{path} lists {table.file[twice].iloc[0]} twice: remove one of the rows")
    return table[~table.file.isin(tables.aside(root))].reset_index(drop=True)


@dataclass
class Outline:
    """The outline that belongs to one image. Called, it gives the head mask and keeps what it measures on the way."""

    folder: Path
    file: str                   # of the image
    pixel_mm: float             # of the file
    hc_mm: float                # head circumference as the table has it
    hc_mask_mm: float = 0.0     # as the outline has it, once called
    open: bool = False          # whether the mask is a fitted ellipse, once called

    def __call__(self, shape: tuple[int, int]) -> np.ndarray:
        """The filled outline, (H, W) uint8, 1 inside."""
        path = self.folder / outline_name(self.file)
        outline, _ = read_grey(path)
        if outline.shape != shape:
            raise ValueError(f"{path} is {outline.shape}, its image {shape}: {HELP}")
        if min(shape) < 64:
            raise ValueError(f"{path} has only {shape[1]}x{shape[0]} pixels, expected about 800x540: {HELP}")
        mask, ellipse, self.open = fill(outline, path)
        self.hc_mask_mm = circumference(*ellipse[1]) * self.pixel_mm
        if abs(self.hc_mask_mm / self.hc_mm - 1) > 0.1:
            raise ValueError(
                f"{self.folder / self.file}: the outline measures {self.hc_mask_mm:.0f} mm at {self.pixel_mm} mm per "
                f"pixel, {TABLE} says {self.hc_mm:.0f} mm: the image was resized without its pixel size, or the row "
                "belongs to another image")
        return mask


def fill(outline: np.ndarray, path: Path) -> tuple[np.ndarray, tuple, bool]:
    """Fill a 1-pixel outline (H, W).

    Returns the mask (1 inside), the ellipse fitted to the outline ((x, y), (axis, axis), degrees) in pixels, and
    whether the outline was open, so that the ellipse had to serve as the mask.
    """
    points = cv2.findNonZero((outline > 127).astype(np.uint8))
    if points is None or len(points) < 20:
        raise ValueError(f"{path} holds no head outline: {HELP}")
    ellipse = cv2.fitEllipse(points)
    full = cv2.ellipse(np.zeros_like(outline), ellipse, 1, thickness=-1)
    # What a flood from outside the frame cannot reach is inside. An open outline lets the flood in.
    framed = cv2.copyMakeBorder((outline > 127).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 2)
    mask = (framed[1:-1, 1:-1] != 2).astype(np.uint8)
    is_open = mask.sum() < 0.9 * full.sum()
    return (full if is_open else mask), ellipse, is_open


def circumference(major: float, minor: float) -> float:
    """Circumference of an ellipse from its two axes (diameters), by Ramanujan's second formula."""
    a, b = major / 2, minor / 2
    h = ((a - b) / (a + b)) ** 2
    return np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))


def outline_name(file: str) -> str:
    return re.sub(r"\.png$", "_Annotation.png", file)
