"""From one simulated image to a set of them: who belongs together, and the work shared by threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from uslab.data import ImageSet


class Scene(SimpleNamespace):
    """What an image shows, apart from the chance of its speckle: facts by name, as a draw_scene says and draws them.

    Lengths in mm, angles in radians, levels in dB.
    """

    def changed(self, **facts) -> "Scene":
        """The scene with some facts replaced."""
        return type(self)(**vars(self) | facts)


def groups(
    n: int,                # images
    seed: int,
    shares: np.ndarray,    # cumulative share of the groups with 1, 2, ... images; the rest has one more
) -> np.ndarray:
    """Group (patient or exam) of each image, (n,) int64: images of one group follow each other."""
    sizes = 1 + np.searchsorted(shares, np.random.default_rng([seed, 0]).random(n), side="right")
    return np.repeat(np.arange(n), sizes)[:n]


def lots(
    n: int,                     # groups
    seed: int,
    counts: tuple[int, ...],    # of each class in the real set
) -> np.ndarray:
    """Class of each group, (n,) int64, in nearly the real shares however short the series."""
    # Steps of the golden ratio fill the unit interval evenly.
    points = (np.random.default_rng([seed, 3]).random() + np.arange(n) * (np.sqrt(5) - 1) / 2) % 1
    return np.searchsorted(np.cumsum(counts) / sum(counts), points, side="right")


def image_set(
    one,                             # index -> image (H, W) uint8, mask (H, W) uint8, row of the table as a dict
    groups: np.ndarray,              # (n,) group of each image
    name: str,                       # of the scene
    seed: int,                       # part of the groups' names: another seed has other patients
    first: int,                      # index of the first image that is simulated
    mask_names: tuple[str, ...],
    classes: tuple[str, ...] = (),   # of the labels, where the rows have one under "label"
) -> ImageSet:
    """Simulate all images and put them into a set with the card phantom_<name>."""
    # NumPy, SciPy and OpenCV work outside Python's lock; each image is made by one thread, so the result does not
    # depend on their number.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images, masks, rows = zip(*pool.map(one, range(first, len(groups))))
    table = pd.DataFrame([{"file": f"{index:05d}", **row} for index, row in enumerate(rows, first)])
    numbers, groups = np.unique(groups[first:], return_inverse=True)
    return ImageSet(
        images=torch.from_numpy(np.stack(images))[:, None],
        masks=torch.from_numpy(np.stack(masks))[:, None],
        mask_names=mask_names,
        labels=torch.from_numpy(table.pop("label").to_numpy(np.int64, copy=True)) if classes else None,
        classes=classes,
        groups=torch.from_numpy(groups),
        group_names=tuple(f"{seed}-{number:04d}" for number in numbers),
        table=table,
        card=f"phantom_{name}",
        source="phantom",
    )
