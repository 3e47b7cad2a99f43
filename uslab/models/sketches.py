"""The condition of Liang 2020, section 2.2: one label image of object mask and background sketch, and its controls."""

import dataclasses

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data import ImageSet

OBJECTS = ("ovary", "follicle")             # values 1 and 2 of a label image; 0 is the background
SKETCH = len(OBJECTS) + 1                   # value 3: an edge of the background
PALETTE = ("background", *OBJECTS, "sketch")


def canny(
    images: Tensor,        # (N, 1, H, W) uint8
    low: float = 40.0,     # gradient from which an edge is followed, as OpenCV's threshold1
    high: float = 100.0,   # gradient at which an edge begins, as OpenCV's threshold2
    blur: float = 1.0,     # standard deviation, pixels, of the Gaussian before it; 2 suits 256 pixels; 0: none
) -> Tensor:
    """Edges of each image, (N, 1, H, W) bool. Raises ValueError for thresholds that are out of order."""
    if not 0 <= low <= high:
        raise ValueError(f"Canny's thresholds must be 0 <= low <= high, not {low} and {high}")
    edges = np.empty(tuple(images.shape), np.uint8)
    for image, edge in zip(images.cpu().numpy(), edges):
        smooth = cv2.GaussianBlur(image[0], (0, 0), blur) if blur else image[0]
        edge[0] = cv2.Canny(smooth, low, high)
    return torch.from_numpy(edges > 0).to(images.device)


def compose(
    masks: Tensor,     # (N, 1, H, W) uint8: 0 background, 1 ovary, 2 follicle
    sketch: Tensor,    # (N, 1, H, W) bool
) -> Tensor:
    """The label images: the sketch laid over the masks "without affecting the area of target object"."""
    return torch.where(sketch & (masks == 0), torch.full_like(masks, SKETCH), masks)


def conditioned(
    images: ImageSet,      # with masks whose names begin with 'ovary' and 'follicle'
    low: float = 40.0,     # as for canny()
    high: float = 100.0,
    blur: float = 1.0,
) -> ImageSet:
    """The set with its label images as masks: what a PGSGAN trains on. Other regions, such as lesions, are background.

    A name such as 'follicle (derived)' is kept. Raises ValueError if a mask is missing.
    """
    names = list(PALETTE)
    masks = None if images.masks is None else torch.zeros_like(images.masks)
    for value, kind in enumerate(OBJECTS, 1):
        known = [i for i, name in enumerate(images.mask_names) if name.startswith(kind)]
        if len(known) != 1:
            raise ValueError(f"{images.card} has the masks {images.mask_names}, but the condition needs one of {kind}; "
                             "for MMOTU, uslab.data.mmotu.derived_follicles makes it")
        names[value] = images.mask_names[known[0]]
        masks[images.masks == known[0]] = value
    labels = compose(masks, canny(images.images, low, high, blur))
    return dataclasses.replace(images, masks=labels, mask_names=tuple(names))


def halved(images: ImageSet) -> ImageSet:
    """A conditioned set at half its side, as the first phase of growing sees it, but for rounding to grey levels."""
    small = F.avg_pool2d(images.images.float(), 2).round().to(torch.uint8)
    return dataclasses.replace(images, images=small, masks=shrink(images.masks))


def shrink(labels: Tensor) -> Tensor:
    """Label images (N, 1, H, W) uint8 at half their side: masks by nearest neighbour, sketches by max-pooling.

    An edge one pixel wide would lose half its pixels to nearest neighbour. The sketch stays outside the object.
    """
    edges = F.max_pool2d((labels == SKETCH).float(), 2) > 0
    nearest = labels[:, :, ::2, ::2]
    return compose(torch.where(nearest == SKETCH, torch.zeros_like(nearest), nearest), edges)


def one_hot(
    labels: Tensor,    # (N, 1, H, W) uint8
    sketch: bool,      # False leaves the sketch out: the mask alone
) -> Tensor:
    """One channel of 0 and 1 each for ovary, follicle and sketch, (N, 2 or 3, H, W) float32."""
    values = torch.arange(1, SKETCH + sketch, dtype=labels.dtype, device=labels.device)
    return (labels == values.view(1, -1, 1, 1)).float().contiguous(memory_format=torch.channels_last)


# Controls: what of the score comes from the sketch, and what of it?

def without_sketch(labels: Tensor) -> Tensor:
    """The masks alone."""
    return torch.where(labels == SKETCH, torch.zeros_like(labels), labels)


def with_sketch_of(labels: Tensor, donors: Tensor) -> Tensor:
    """The masks of `labels` in the sketch of other label images (N, 1, H, W); it is empty where their object lay."""
    return compose(without_sketch(labels), donors == SKETCH)


def shuffled(
    labels: Tensor,     # (N, 1, H, W) uint8
    tile: int,          # side of the tiles, pixels; H and W are multiples of it
    seed: int,
) -> Tensor:
    """The masks in their own sketch with its tiles in random order: as many edges, of the same kind, elsewhere."""
    n, _, h, w = labels.shape
    if h % tile or w % tile:
        raise ValueError(f"tiles of {tile} pixels do not fill {h}x{w}")
    edges = (labels == SKETCH).float()
    tiles = F.unfold(edges, tile, stride=tile)                                      # (N, tile * tile, number of tiles)
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(n, tiles.shape[2], generator=generator).argsort(1).to(labels.device)
    tiles = tiles.gather(2, order[:, None].expand_as(tiles))
    return compose(without_sketch(labels), F.fold(tiles, (h, w), tile, stride=tile) > 0)
