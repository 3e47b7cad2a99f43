"""BUSI: breast ultrasound (Al-Dhabyani 2020), in the layout of the official download."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import torch

from .collect import Item, collect
from .files import read_mask
from .folders import left_out, walk
from .imageset import ImageSet
from .tables import aside

CLASSES = ("benign", "malignant", "normal")
HELP = "unpack Dataset_BUSI.zip there, as data_cards/busi.md describes"


def read(
    root: Path,           # folder that holds Dataset_BUSI_with_GT/, or that folder itself
    size: int | None,     # side of the square images; None: the longest side among the prepared frames
) -> ImageSet:
    """All images with their class and lesion mask; the several masks of one image are merged.

    There are no patient ids: groups are near-duplicates. Raises FileNotFoundError for missing folders and masks and
    ValueError for damaged or mismatched files, each naming the file and what to do.
    """
    base = root / "Dataset_BUSI_with_GT"
    base = base if base.is_dir() else root
    items, labels, left = [], [], aside(root)
    for label, name in enumerate(CLASSES):
        folder = base / name
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder: {HELP}")
        images, masks = {}, {}
        for path in walk(folder):
            match = re.fullmatch(rf"{name} \((\d+)\)(_mask(_\d+)?)?\.png", path.name, re.IGNORECASE)
            if not match:
                raise ValueError(f"{path} is no BUSI file name such as '{name} (12).png': take it out, or {HELP}")
            if match[2]:
                masks.setdefault(int(match[1]), []).append(path)
            elif images.setdefault(int(match[1]), path) != path:
                raise ValueError(f"{path} and {images[int(match[1])].name} are one image twice: take one of them out")
        for number in [number for number, path in images.items() if path.name in left]:
            del images[number]
            masks.pop(number, None)
        if not images:
            raise FileNotFoundError(f"{folder} holds no image: {HELP}")
        if missing := sorted(set(images) ^ set(masks)):
            file = f"{name} ({missing[0]}){'_mask' if missing[0] in images else ''}.png"
            raise FileNotFoundError(f"{folder / file} is missing, and {len(missing) - 1} more images or masks: {HELP}")
        for number, path in sorted(images.items()):
            items.append(Item(path, path.name, partial(merged, sorted(masks[number]), name != "normal")))
            labels.append(label)
    lesions = [len(item.mask.args[0]) for item in items]
    several = sum(count > 1 for count in lesions)
    return collect(
        items, size, card="busi", labels=torch.tensor(labels), classes=CLASSES, mask_names=("background", "lesion"),
        notes=((f"{several} images with several lesion masks: merged into one",) if several else ())
        + left_out(base, [path for item in items for path in (item.path, *item.mask.args[0])]))


def merged(paths: list[Path], lesion: bool, shape: tuple[int, int]) -> np.ndarray:
    """The union of an image's lesion masks. Raises ValueError unless it shows whether there is a lesion."""
    mask = np.maximum.reduce([read_mask(path, shape) for path in paths])
    if mask.any() != lesion:
        said = "is empty, but its image has a lesion" if lesion else "shows a lesion, but its image is normal"
        raise ValueError(f"{paths[0]} {said}: {HELP}")
    return mask
