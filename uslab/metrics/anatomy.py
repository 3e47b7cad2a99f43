"""Does anatomy survive a translation? Edges of an image against the outline of an organ's label."""

import numpy as np
from scipy import ndimage
from torch import Tensor

from ..score import Score, mean
from .sets import pixels

EDGES = 0.1        # share of the fan's pixels that count as edges: those with the steepest grey levels
BLUR = 1.5         # pixels, against speckle
FLAT = 0.1         # grey levels a pixel, below which nothing is an edge
NEAR = 1           # pixels between outline and edge


def outline_overlap(
    images: Tensor, masks: Tensor, label: int, inside: Tensor, name: str = "outline on edges",
) -> tuple[Score, Score]:
    """Share of the organ's outline with an edge within a pixel, and the same with the next image's outline: chance.

    Edges are the steepest tenth of the blurred image, so an image full of edges gains nothing. Of the outline only what
    lies inside the fan counts. Raises ValueError if fewer than two images show an outline.

    Args:
        images: (N, 1, H, W) uint8.
        masks: (N, 1, H, W) labels of the same planes.
        label: The organ's number in the masks.
        inside: (N, 1, H, W) bool: the fan; its border is no edge.
        name: Of the score.
    """
    pictures = pixels(images)[:, 0].numpy()
    organ, fan = (masks[:, 0].cpu().numpy() == label), inside[:, 0].cpu().numpy()
    edges, outlines = [], []
    for picture, shape, view in zip(pictures, organ, fan):
        safe = ndimage.binary_erosion(view, iterations=3)
        # Without the fan's border, whose step from black is no anatomy: blur the inside alone.
        weight = ndimage.gaussian_filter(view.astype(float), BLUR)
        smooth = ndimage.gaussian_filter(np.where(view, picture, 0).astype(float), BLUR) / np.maximum(weight, 1e-6)
        steep = np.where(safe, np.hypot(*np.gradient(smooth)), -1.0)
        strongest = steep >= np.quantile(steep[safe], 1 - EDGES) if safe.any() else safe
        edges.append(ndimage.binary_dilation(strongest & safe & (steep > FLAT), np.ones((3, 3)), iterations=NEAR))
        outlines.append(shape & ~ndimage.binary_erosion(shape, border_value=1) & safe)
    shown = [number for number, outline in enumerate(outlines) if outline.sum() >= 10]
    if len(shown) < 2:
        raise ValueError(f"{len(shown)} of {len(images)} planes show an outline of label {label} inside the fan: "
                         "at least 2 are needed")
    following = dict(zip(shown, [*shown[1:], shown[0]]))
    found = [edges[i][outlines[i]].mean() for i in shown]
    chance = [edges[i][outlines[following[i]]].mean() for i in shown]
    return tuple(mean(title, values, "planes, as if they were independent")
                 for title, values in ((name, found), (f"{name}, of another plane", chance)))
