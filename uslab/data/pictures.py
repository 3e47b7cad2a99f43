"""Sheets of many images in one picture. Pictures of patients: they stay where the user puts them."""

import math

import cv2
import numpy as np
from skimage.util import montage
from torch import Tensor

from .imageset import ImageSet


def contact_sheet(images: Tensor, columns: int | None = None) -> np.ndarray:
    """Images (n, 1, H, W) uint8 side by side in rows, as one (rows * H, columns * W) uint8 array."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    return montage(images[:, 0].cpu().numpy(), fill=0, grid_shape=(math.ceil(len(images) / columns), columns))


def sheet(
    images: list[np.ndarray],          # (H, W) uint8 each
    captions: list[str],               # one line each
    columns: int = 6,
    tile: int = 160,                   # side of a tile, pixels
) -> np.ndarray:
    """Captioned tiles in rows, (H, W) uint8."""
    tiles = []
    for image, caption in zip(images, captions):
        scale = tile / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale,
                           interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)[:tile, :tile]
        canvas = np.full((tile + 18, tile + 6), 30, np.uint8)
        canvas[18:18 + small.shape[0], :small.shape[1]] = small
        # OpenCV draws ASCII only.
        text = caption.encode("ascii", "replace").decode()[:round(tile / 6.2)]
        cv2.putText(canvas, text, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 235, 1, cv2.LINE_AA)
        tiles.append(canvas)
    columns = min(columns, len(tiles))
    tiles += [np.full_like(tiles[0], 30)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i:i + columns]) for i in range(0, len(tiles), columns)])


def set_sheet(images: ImageSet, n: int = 24, seed: int = 0) -> np.ndarray:
    """A sheet of n images drawn at random, classes in turn; the outline of a mask is drawn white."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    if images.labels is not None:
        labels = images.labels.cpu().numpy()[order]
        rank = np.array([(labels[:i] == label).sum() for i, label in enumerate(labels)])
        order = order[np.lexsort((labels, rank))]
    tiles, captions = [], []
    for i in order[:n]:
        image = images.images[i, 0].cpu().numpy().copy()
        if images.masks is not None:
            outlines, _ = cv2.findContours((images.masks[i, 0].cpu().numpy() > 0).astype(np.uint8), cv2.RETR_EXTERNAL,
                                           cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(image, outlines, -1, 255, 1)
        tiles.append(image)
        name = "" if images.labels is None else images.classes[int(images.labels[i])] + " "
        captions.append(name + str(images.table.file[i]).rsplit("/")[-1])
    return sheet(tiles, captions)
