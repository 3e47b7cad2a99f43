"""What all readers of single images share: prepare every frame and put the set together."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import dicom, prepare
from .cache import remembered
from .duplicates import find, groups_of
from .files import White, check_sizes, read_grey, stack, whites
from .imageset import ImageSet

CROPS = "each", "patient", "none"
COLOURED = 0.002        # share of an image's pixels from which it has colour, as colour Doppler does


@dataclass(frozen=True)
class Item:
    """One image of a data set, before it is read."""

    path: Path
    file: str                                                     # its name in the table
    mask: Callable[[tuple[int, int]], np.ndarray] | None = None   # from the image's shape: class numbers (H, W) uint8
    pixel_mm: float = np.nan                                      # side of a pixel, mm; nan: what a DICOM file says


@dataclass(frozen=True)
class Taken:
    """What was made of an item."""

    frame: prepare.Frame
    mask: np.ndarray | None      # (h, w) uint8, cropped as the frame was
    shape: tuple[int, int]       # height and width of the file
    colour: float                # share of its pixels that are coloured
    pixel_mm: float              # side of the frame's pixels, mm
    notes: tuple[str, ...]


def collect(
    items: list[Item],
    size: int | None,              # side of the square images; None: the longest side among the prepared frames
    mask_names: tuple[str, ...] = (),
    table: pd.DataFrame | None = None,   # further columns, one row an item
    notes: tuple[str, ...] = (),
    source: str = "real",
    white: White | None = None,          # levels shown white, of the whole folder; None: as whites() finds them
    crop: str = "each",            # to the scan region: "each" image by itself, once a "patient", or "none"
    **values,                      # card, labels, classes, groups, group_names of the ImageSet
) -> ImageSet:
    """Read, prepare and stack images; the table tells for each its file, its size on disk and what was changed.

    Columns: `file`; `height`, `width` of the file in pixels; `scale`, the file's pixels in one of the returned image;
    `cropped`, the share that lay outside the fan; `overlay`, the share painted over (text, callipers); `colour`, the
    share of coloured pixels; `pixel_mm`, millimetres per pixel of the returned image, where a file says so. Masks are
    never cropped away. Without groups, near-duplicates become groups, and a note says so.

    Cropped once a patient, frames of one patient keep one scale, and those that were cropped before are taken as they
    are. Where this or "none" leaves one shape, it is kept: `size` is its longest side, and nothing is padded.
    """
    if crop not in CROPS:
        raise ValueError(f"crop is {crop!r}: choose one of {', '.join(CROPS)}")
    white = whites(item.path for item in items) if white is None else white
    read, by_patient = partial(take, white=white), crop == "patient" and values.get("groups") is not None
    with ThreadPoolExecutor() as pool:  # decoding releases Python's lock
        taken = list(pool.map(read, items, repeat(prepare.WHOLE if crop == "none" else None)))
        if by_patient:
            taken = list(pool.map(read, items, common_boxes(taken, values["groups"])))
    check_sizes([item.path for item in items], [each.shape for each in taken])
    size = size or max(max(each.frame.image.shape) for each in taken)
    kept = (by_patient or crop == "none") and len({each.frame.image.shape for each in taken}) == 1
    shaped = prepare.resized if kept else prepare.square
    images = stack(shaped(each.frame.image, size) for each in taken)
    scale = [max(each.frame.image.shape) / size for each in taken]
    about = pd.DataFrame({
        "file": [item.file for item in items],
        "height": [each.shape[0] for each in taken], "width": [each.shape[1] for each in taken],
        "scale": scale,
        "cropped": [round(each.frame.cropped, 4) for each in taken],
        "overlay": [round(each.frame.overlay, 4) for each in taken],
        "colour": [round(each.colour, 4) for each in taken],
    })
    if not all(np.isnan(each.pixel_mm) for each in taken):
        about["pixel_mm"] = [each.pixel_mm * factor for each, factor in zip(taken, scale)]
    if mask_names:
        values["masks"] = stack(shaped(each.mask, size, labels=True) for each in taken)
    if values.get("groups") is None:
        pairs = remembered(images, lambda: find([each.frame.image for each in taken]))
        values["groups"], values["group_names"] = groups_of(pairs, about.file.tolist())
        notes += (f"no patient ids: the groups are near-duplicates found by comparing images ({len(pairs)} pairs); one "
                  "patient may still be in several groups",)
    changed = int((about.overlay > 0).sum())
    notes += (f"cropped to the scan region: {about.cropped.mean():.0%} of the pixels on average; "
              f"text or callipers painted over in {changed} of {len(about)} images",)
    for note in dict.fromkeys(note for each in taken for note in each.notes):
        notes += (f"{note}: {some(item.file for item, each in zip(items, taken) if note in each.notes)}",)
    if (coloured := about[about.colour > COLOURED]).size:
        notes += (f"{len(coloured)} of {len(about)} images have colour, as colour Doppler does, and are grey here: "
                  f"{some(coloured.file)}",)
    if copies := copied(taken, about.file.tolist()):
        notes += (f"{len(copies)} images are copies of others, pixel by pixel: {some(copies)}",)
    return ImageSet(images=images, source=source, mask_names=mask_names, notes=notes,
                    table=about if table is None else pd.concat([about, table.reset_index(drop=True)], axis=1),
                    **values)


def common_boxes(taken: list[Taken], groups: torch.Tensor) -> list[prepare.Box]:
    """For each the box that holds the scan regions of all frames of its patient and shape."""
    frames: dict[tuple, list[prepare.Frame]] = defaultdict(list)
    keys = list(zip(groups.tolist(), (each.frame.shape for each in taken)))
    for key, each in zip(keys, taken):
        frames[key].append(each.frame)
    boxes = {key: prepare.common_box(of_patient) for key, of_patient in frames.items()}
    return [boxes[key] for key in keys]


def take(item: Item, box: prepare.Box | None, white: White) -> Taken:
    """Read and prepare one image. The region and the millimetres that a DICOM file states are kept to."""
    image, colour = read_grey(item.path, white)
    check_sizes([item.path], [image.shape])
    shape, notes, pixel_mm = image.shape, (), (item.pixel_mm, item.pixel_mm)
    mask = item.mask(shape) if item.mask else None
    if dicom.is_dicom(item.path):
        facts = dicom.facts(item.path)
        image, notes = facts.inside(image), facts.notes
        pixel_mm = facts.pixel_mm if np.isnan(item.pixel_mm) else pixel_mm
    image, mask = (each if each is None else prepare.isotropic(each, *pixel_mm, labels)
                   for each, labels in ((image, False), (mask, True)))
    try:
        frame = prepare.frame(image, None if mask is None else mask > 0, box)
    except ValueError as error:
        raise ValueError(f"{item.path}: {error}; take it out") from None
    return Taken(frame, None if mask is None else mask[frame.box], shape, colour, pixel_mm[1], notes)


def copied(taken: list[Taken], files: list[str]) -> list[str]:
    """'b is a' of each image that shows the same pixels as an earlier one."""
    first: dict[tuple, str] = {}
    pairs = []
    for each, file in zip(taken, files):
        known = first.setdefault((each.frame.image.shape, hashlib.sha256(each.frame.image.tobytes()).digest()), file)
        pairs += [f"{file} is {known}"] if known != file else []
    return pairs


def some(names: Iterable[str]) -> str:
    """The first names of many, as words."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def numbered(values) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Names, one an image, to (indices into the sorted names, those names)."""
    names, index = np.unique(np.asarray(values, str), return_inverse=True)
    return torch.from_numpy(index), tuple(str(name) for name in names)
