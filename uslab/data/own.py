"""Anyone's own images: a folder of PNG, JPEG, TIFF or DICOM files, with an optional labels.csv."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from .collect import Item, collect, numbered
from .files import SUFFIXES, is_run, read_mask, walk
from .imageset import ImageSet

TABLE = "labels.csv"
COLUMNS = ("file", "label", "group", "mask", "generator", "seed")


def read(
    root: Path,           # the folder; its sub-folders are read too
    size: int | None,     # side of the square images; None: the longest side among the prepared frames
) -> ImageSet:
    """All images of a folder, with labels, patients and masks from labels.csv where it is there.

    labels.csv has the column file (the path below the folder) and any of label, group (patient or exam), mask (path
    of an image that is white in the structure; empty: no structure), generator and seed (of synthetic images, as
    `uslab generate` writes them). Files that it does not list are left out. Without it, sub-folders of the folder are
    the classes if every image lies in one. Without groups, near-duplicates are groups. Raises FileNotFoundError for an
    empty folder and for listed files that are missing, ValueError for the rest, naming the file.
    """
    table = listed(root)
    masks = [partial(structure, root / mask if mask else None) for mask in table.get("mask", [])]
    items = [Item(root / file, file, mask) for file, mask in zip(table.file, masks or [None] * len(table))]
    values = {}
    if "label" in table:
        values["labels"], values["classes"] = numbered(table.label)
    if "group" in table:
        values["groups"], values["group_names"] = numbered(table.group)
    about = table[[name for name in ("generator", "seed") if name in table]]
    if "generator" in table:
        about = about.assign(synthetic=~table.generator.str.startswith("phantom:"))
    return collect(items, size, card="folder", source="phantom" if simulated(table) else "real", table=about,
                   mask_names=("background", "structure") if "mask" in table else (), **values)


def listed(root: Path) -> pd.DataFrame:
    """What is to be read of a folder, one row an image: file and the further columns of labels.csv, all text.

    Raises ValueError for what belongs to a training: its folder holds sheets and sets, no single images.
    """
    refuse_run(root.resolve())
    table = read_table(root) if (root / TABLE).is_file() else from_folders(root)
    for place in dict.fromkeys((root.resolve() / file).parent for file in table.file):
        refuse_run(place)
    return table


def refuse_run(place: Path) -> None:
    run = place.parent if place.name in ("samples", "sheets") else place
    if is_run(run):
        raise ValueError(f"{place} belongs to the run {run}, whose sheets and sets are no single images: name the run "
                         f"itself, or write single images with `uslab generate {run} --out DIR`")


def simulated(table: pd.DataFrame) -> bool:
    """Whether labels.csv says of every image that a phantom made it."""
    return "generator" in table and table.generator.str.startswith("phantom:").all()


def read_table(root: Path) -> pd.DataFrame:
    """labels.csv with text columns; empty cells are ''."""
    path = root / TABLE
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} cannot be read as a table ({error}): save it as CSV with commas, in UTF-8") from None
    if "file" not in table or not set(table.columns) <= set(COLUMNS) or table.empty:
        raise ValueError(f"{path} has the columns {list(table.columns)} and {len(table)} rows, expected "
                         "file and any of label, group, mask, and a row for each image")
    if table.file.duplicated().any():
        raise ValueError(f"{path} lists {table.file[table.file.duplicated()].iloc[0]!r} twice: remove one of the rows")
    for column in ("label", "group"):
        if column in table and (table[column] == "").any():
            raise ValueError(f"{path}: {table.file[table[column] == ''].iloc[0]!r} has no {column}: give "
                             "every image one, or remove the column")
    for needed in (*table.file, *filter(None, table.get("mask", []))):
        if not (root / needed).is_file():
            raise FileNotFoundError(f"{root / needed} is missing, but {TABLE} lists it: correct the list or the name")
    return table


def from_folders(root: Path) -> pd.DataFrame:
    """All images below the folder, the first sub-folder as the label where every image has one."""
    files = [path.relative_to(root) for path in walk(root)]
    if not files:
        raise FileNotFoundError(f"{root} holds no image ({', '.join(SUFFIXES)}): name the folder that holds the images")
    table = pd.DataFrame({"file": [file.as_posix() for file in files]})
    classes = all(len(file.parts) > 1 for file in files)
    return table.assign(label=[file.parts[0] for file in files]) if classes else table


def structure(path: Path | None, shape: tuple[int, int]) -> np.ndarray:
    """The mask of one image; all background without a file."""
    return read_mask(path, shape) if path else np.zeros(shape, np.uint8)
