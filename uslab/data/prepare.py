"""The one preparation of every image, real or synthetic: crop to the fan, clean, square, resize."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from .overlays import burnt_in

Box = tuple[slice, slice]             # rows and columns
WHOLE = slice(None), slice(None)      # the box of an image that is taken as it is
FILLED = 0.95                         # of both sides: a frame whose scan region fills so much was cropped before


@dataclass(frozen=True)
class Frame:
    """One prepared frame and what was changed on the way."""

    image: np.ndarray           # (h, w) uint8, black outside the scan region
    shape: tuple[int, int]      # height and width of what was cropped
    box: Box                    # its rows and columns that were kept
    cropped: float              # share of the file's pixels that lay outside the box, 0 to 1
    overlay: float              # share of the kept pixels that were painted over: text, callipers


def frame(
    image: np.ndarray,                 # (H, W) uint8, as in the file
    keep: np.ndarray | None = None,    # (H, W) bool: never cropped away, such as an annotated lesion
    box: Box | None = None,            # what to keep; None: the scan region; WHOLE: the image as it is
) -> Frame:
    """Crop to the scan region, blacken what lies outside it, and paint over text and callipers inside it.

    Bars, rulers, traces and text beside the fan go with the crop. Raises ValueError if the image is black.
    """
    image = np.ascontiguousarray(image)
    if box == WHOLE:
        return Frame(image, image.shape, box, 0.0, 0.0)
    region = fan(image) if keep is None else fan(image) | keep
    box = box or bounding_box(region)
    overlay = burnt_in(image) & region
    clean = cv2.inpaint(image, overlay.astype(np.uint8), 3, cv2.INPAINT_TELEA) if overlay.any() else image
    clean = np.where(region, clean, 0)[box]
    return Frame(clean, image.shape, box, 1 - clean.size / image.size, float(overlay[box].mean()))


def fan(image: np.ndarray) -> np.ndarray:
    """Find the scan region of an ultrasound frame.

    The region is the convex hull of the large connected bright areas, so that dark fluid inside the fan stays and
    grey bars and text beside it go.

    image: (H, W) uint8. Returns a bool mask (H, W). Raises ValueError if the image is black.
    """
    # A median removes single bright pixels; closing bridges fluid that splits the fan in two.
    reach = max(3, round(0.03 * max(image.shape))) | 1
    bright = (cv2.medianBlur(image, 3) > 4).astype(np.uint8)
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    # Opening cuts thin bridges to a grey bar at the border.
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        raise ValueError("the image is black: no scan region found")
    areas = stats[1:, cv2.CC_STAT_AREA]
    # Fluid or a shadow across the whole fan parts it; each part is far larger than a grey bar or a line of text.
    parts = 1 + np.flatnonzero(areas >= min(areas.max(), 0.02 * image.size))
    hull = cv2.convexHull(cv2.findNonZero(np.isin(labels, parts).astype(np.uint8)))
    return cv2.fillConvexPoly(np.zeros(image.shape, np.uint8), hull, 1).astype(bool)


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the smallest box that holds a (H, W) bool mask."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return slice(y, y + h), slice(x, x + w)


def common_box(
    frames: Iterable[Frame],    # of one shape, which show scans of one scale
) -> Box:
    """The smallest box that holds what was kept of each; WHOLE where that is nearly all, as of frames cropped before.
    """
    shapes, boxes = zip(*((frame.shape, frame.box) for frame in frames))
    box = tuple(slice(min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*boxes))
    filled = all(side.stop - side.start >= FILLED * length for side, length in zip(box, shapes[0]))
    return WHOLE if filled else box


def isotropic(
    image: np.ndarray,     # (H, W) uint8
    high: float,           # height of its pixels, mm, or nan
    wide: float,           # width of its pixels, mm, or nan
    labels: bool = False,  # values are class numbers: no values in between
) -> np.ndarray:
    """The image on square pixels of the given width; as it is where they are square or not known."""
    if not abs(high / wide - 1) > 0.01:
        return image
    return cv2.resize(image, (image.shape[1], round(image.shape[0] * high / wide)),
                      interpolation=cv2.INTER_NEAREST if labels else cv2.INTER_LINEAR)


def square(
    image: np.ndarray,   # (H, W) uint8
    size: int,           # side of the result, pixels
    labels: bool = False,  # values are class numbers: no values in between
) -> np.ndarray:
    """Pad with black to a centred square, then resize to (size, size): millimetres stay equal in both directions."""
    side = max(image.shape)
    top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
    padded = cv2.copyMakeBorder(image, top, side - image.shape[0] - top, left, side - image.shape[1] - left,
                                cv2.BORDER_CONSTANT, value=0)
    return resized(padded, size, labels)


def resized(
    image: np.ndarray,     # (H, W) uint8
    size: int,             # longest side of the result, pixels
    labels: bool = False,  # values are class numbers: no values in between
) -> np.ndarray:
    """The image in its own shape."""
    side = max(image.shape)
    height, width = (max(1, round(length * size / side)) for length in image.shape)
    smooth = cv2.INTER_AREA if size < side else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST if labels else smooth)
