"""Anyone's own images: a folder of PNG, JPEG, TIFF or DICOM files, with an optional labels.csv."""

import unicodedata
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from . import tables
from .collect import Item, collect, numbered, some
from .files import White, read_grey, read_mask, whites
from .folders import SUFFIXES, files_under, is_run, left_out, walk
from .imageset import ImageSet

TABLE = "labels.csv"
COLUMNS = ("file", "label", "group", "clip", "mask", "generator", "seed", "pixel_mm", "white")
# What people call the folders of masks, and what they add to the name of a mask.
MASKS = {"mask", "masks", "annotation", "annotations", "segmentation", "segmentations", "groundtruth", "ground_truth",
         "gt", "seg", "roi"}
HELP = "data_cards/folder.md shows how labels.csv looks"


def read(
    root: Path,           # the folder; its sub-folders are read too
    size: int | None,     # side of the square images; None: the longest side among the prepared frames
    crop: str = "each",   # to the scan region: "each" image by itself, once a "patient" (group), or "none"
) -> ImageSet:
    """All images of a folder, with labels, patients and masks from labels.csv where it is there.

    labels.csv has the column file (the path below the folder) and any of label, group (patient or exam), mask (path
    of an image that is white in the structure; empty: no structure), pixel_mm (side of a pixel, mm; empty: not known),
    clip (which clip the image is a frame of, in the order of the rows),
    white (the level that is shown white in files of more than 8 bits) and, of synthetic images as `uslab generate`
    writes them, generator and seed. Files that it does not list are left out, and a note counts them. Without it,
    sub-folders of the folder are the classes if every image lies in one. Without groups, near-duplicates are groups.
    Raises FileNotFoundError for an empty folder and for listed files that are missing, ValueError for the rest,
    naming the file.
    """
    table = listed(root)
    masks = [partial(structure, root / mask if mask else None) for mask in table.get("mask", [])]
    sides = pd.to_numeric(table.get("pixel_mm", pd.Series([""] * len(table))))
    items = [Item(root / file, file, mask, side)
             for file, mask, side in zip(table.file, masks or [None] * len(table), sides)]
    values = {}
    if "label" in table:
        values["labels"], values["classes"] = numbered(table.label)
    if "group" in table:
        values["groups"], values["group_names"] = numbered(table.group)
    about = table[[name for name in ("generator", "seed", "clip") if name in table]]
    if "generator" in table:
        about = about.assign(synthetic=~table.generator.str.startswith("phantom:"))
    used = [root / name for name in (*table.file, *table.get("mask", []), TABLE, tables.ASIDE, "generate.json") if name]
    return collect(items, size, crop=crop, card="folder", source="phantom" if simulated(table) else "real", table=about,
                   mask_names=("background", "structure") if "mask" in table else (), white=white_levels(root, table),
                   notes=left_out(root, used), **values)


def greys(root: Path, table: pd.DataFrame) -> list[np.ndarray]:
    """The images that a table of listed() names, as displayed and otherwise as they are, (H, W) uint8 each."""
    white = white_levels(root, table)
    return [read_grey(root / file, white)[0] for file in table.file]


def white_levels(root: Path, table: pd.DataFrame) -> White:
    """The levels that are shown white: as the table states, or as its files need."""
    if "white" in table:
        return dict.fromkeys("IF", float(table.white.iloc[0]))
    return whites(root / file for file in table.file)


def listed(root: Path, endings: tuple[str, ...] = SUFFIXES) -> pd.DataFrame:
    """What is to be read of a folder, one row a file: file and the further columns of labels.csv, all text.

    Without labels.csv it is whatever has one of the endings.

    Raises ValueError for what belongs to a training: its folder holds sheets and sets, no single images.
    """
    refuse_run(root.resolve())
    table = read_table(root) if (root / TABLE).is_file() else from_folders(root, walk(root, endings))
    table = table[~table.file.isin(tables.aside(root))].reset_index(drop=True)
    if table.empty:
        raise ValueError(f"{root / tables.ASIDE} leaves no image: take names out of it")
    for place in dict.fromkeys((root.resolve() / file).parent for file in table.file):
        refuse_run(place)
    if not (root / TABLE).is_file():
        refuse_masks(root, [Path(file) for file in table.file])
    return table


def refuse_run(place: Path) -> None:
    run = place.parent if place.name in ("samples", "sheets") else place
    if is_run(run):
        raise ValueError(f"{place} belongs to the run {run}, whose sheets and sets are no single images: name the run "
                         f"itself, or write single images with `uslab generate {run} --out DIR`")


def refuse_masks(root: Path, files: list[Path]) -> None:
    """Raise ValueError, naming it, for what by its place or name is the mask of an image and not an image."""
    stems = {file.with_suffix("") for file in files}
    for file in files:
        image, _, word = file.stem.rpartition("_")
        if MASKS & {part.strip().casefold() for part in file.parts[:-1]} or (
                word.casefold() in MASKS and file.with_name(image) in stems):
            raise ValueError(f"{root / file} seems to be a mask, no image: say in the columns file and mask of {TABLE} "
                             f"which image it belongs to; {HELP}")


def simulated(table: pd.DataFrame) -> bool:
    """Whether labels.csv says of every image that a phantom made it."""
    return "generator" in table and table.generator.str.startswith("phantom:").all()


def read_table(root: Path) -> pd.DataFrame:
    """labels.csv with text columns; empty cells are ''."""
    path = root / TABLE
    table = tables.read_table(path, HELP)
    if "file" not in table or not set(table.columns) <= set(COLUMNS):
        raise ValueError(f"{path} has the columns {list(table.columns)}, expected file and any of "
                         f"{', '.join(COLUMNS[1:])}: {HELP}")
    for column in {"file", "label", "group"} & set(table.columns):
        if (table[column] == "").any():
            raise ValueError(f"{path}: {table.file[table[column] == ''].iloc[0]!r} has no {column}: give "
                             "every image one, or remove the column")
    # A name that a Mac wrote may be spelt in other code points than the same name in the table.
    spelt = {unicodedata.normalize("NFC", name): name
             for name in (file.relative_to(root).as_posix() for file in files_under(root))}
    for column in {"file", "mask"} & set(table.columns):
        table[column] = [name if (root / name).is_file() else spelt.get(name, name) for name in table[column]]
        for name in filter(None, table[column]):
            if not (root / name).is_file():
                raise FileNotFoundError(f"{root / name} is missing, but {TABLE} lists it: correct the list or the name")
    if (twice := table.file.map(lambda name: (root / name).resolve()).duplicated()).any():
        raise ValueError(f"{path} lists {table.file[twice].iloc[0]!r} twice: remove one of the rows")
    for column in {"pixel_mm", "white"} & set(table.columns):
        numbers = pd.to_numeric(table[column], errors="coerce")
        wrong = ~numbers.between(0, np.inf, inclusive="neither") & ((table[column] != "") | (column == "white"))
        if wrong.any():
            raise ValueError(f"{path}: {column} of {table.file[wrong].iloc[0]!r} is not a positive number")
    if "white" in table and table.white.nunique() > 1:
        raise ValueError(f"{path} states {some(table.white.unique())} as white: one level holds for a whole folder, so "
                         "that its images can be compared")
    if "label" in table:
        one_spelling(path, table.label)
    return table


def one_spelling(place: Path, labels: pd.Series) -> None:
    """Raise ValueError for classes whose names differ in blanks, hyphens, underscores or capitals alone."""
    seen: dict[str, str] = {}
    for label in labels.unique():
        first = seen.setdefault("".join(filter(str.isalnum, label.casefold())) or label, label)
        if first != label:
            raise ValueError(f"{place} has the classes {first!r} and {label!r}: give one class one spelling")


def from_folders(root: Path, files: list[Path]) -> pd.DataFrame:
    """The files found below the folder, the first sub-folder as the label where every one has one."""
    files = [path.relative_to(root) for path in files]
    if not files:
        raise FileNotFoundError(f"{root} holds no image ({', '.join(SUFFIXES)}): name the folder that holds the images")
    table = pd.DataFrame({"file": [file.as_posix() for file in files]})
    if not all(len(file.parts) > 1 for file in files):
        return table
    table = table.assign(label=[file.parts[0] for file in files])
    one_spelling(root, table.label)
    return table


def structure(path: Path | None, shape: tuple[int, int]) -> np.ndarray:
    """The mask of one image; all background without a file."""
    return read_mask(path, shape) if path else np.zeros(shape, np.uint8)
