"""What all readers of single images share: prepare every frame and put the set together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import prepare
from .cache import remembered
from .duplicates import find, groups_of
from .files import read_grey, stack
from .imageset import ImageSet


@dataclass(frozen=True)
class Item:
    """One image of a data set, before it is read."""

    path: Path
    file: str                                                     # its name in the table
    mask: Callable[[tuple[int, int]], np.ndarray] | None = None   # from the image's shape: class numbers (H, W) uint8


def collect(
    items: list[Item],
    size: int | None,              # side of the square images; None: the longest side among the prepared frames
    mask_names: tuple[str, ...] = (),
    table: pd.DataFrame | None = None,   # further columns, one row an item
    notes: tuple[str, ...] = (),
    source: str = "real",
    **values,                      # card, labels, classes, groups, group_names of the ImageSet
) -> ImageSet:
    """Read, prepare and stack images; the table tells for each its file, its size on disk and what was changed.

    Columns: `file`; `height`, `width` of the file in pixels; `scale`, the file's pixels in one of the returned image;
    `cropped`, the share that lay outside the fan; `overlay`, the share painted over (text, callipers); `colour`, the
    share of coloured pixels. Masks are never cropped away.
    Without groups, near-duplicates become groups, and a note says so.
    """
    with ThreadPoolExecutor() as pool:  # decoding releases Python's lock
        frames = list(pool.map(read_item, items))
    size = size or max(max(frame.image.shape) for frame, *_ in frames)
    images = stack(prepare.square(frame.image, size) for frame, *_ in frames)
    about = pd.DataFrame({
        "file": [item.file for item in items],
        "height": [shape[0] for *_, shape, _ in frames], "width": [shape[1] for *_, shape, _ in frames],
        "scale": [max(frame.image.shape) / size for frame, *_ in frames],
        "cropped": [round(frame.cropped, 4) for frame, *_ in frames],
        "overlay": [round(frame.overlay, 4) for frame, *_ in frames],
        "colour": [round(colour, 4) for *_, colour in frames],
    })
    if mask_names:
        values["masks"] = stack(prepare.square(mask, size, labels=True) for _, mask, *_ in frames)
    if values.get("groups") is None:
        pairs = remembered(images, lambda: find([frame.image for frame, *_ in frames]))
        values["groups"], values["group_names"] = groups_of(pairs, about.file.tolist())
        notes += (f"no patient ids: the groups are near-duplicates found by comparing images ({len(pairs)} pairs); one "
                  "patient may still be in several groups",)
    changed = int((about.overlay > 0).sum())
    notes += (f"cropped to the scan region: {about.cropped.mean():.0%} of the pixels on average; "
              f"text or callipers painted over in {changed} of {len(about)} images",)
    return ImageSet(images=images, source=source, mask_names=mask_names, notes=notes,
                    table=about if table is None else pd.concat([about, table.reset_index(drop=True)], axis=1),
                    **values)


def read_item(item: Item) -> tuple[prepare.Frame, np.ndarray | None, tuple[int, int], float]:
    """The prepared frame, its mask cropped alike, the file's (height, width) and its share of coloured pixels."""
    image, colour = read_grey(item.path)
    if min(image.shape) < 32:
        raise ValueError(f"{item.path} has only {image.shape[1]}x{image.shape[0]} pixels: no ultrasound image")
    mask = item.mask(image.shape) if item.mask else None
    try:
        frame = prepare.frame(image, None if mask is None else mask > 0)
    except ValueError as error:
        raise ValueError(f"{item.path}: {error}; take it out") from None
    return frame, None if mask is None else mask[frame.box], image.shape, colour


def numbered(values) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Names, one an image, to (indices into the sorted names, those names)."""
    names, index = np.unique(np.asarray(values, str), return_inverse=True)
    return torch.from_numpy(index), tuple(str(name) for name in names)
