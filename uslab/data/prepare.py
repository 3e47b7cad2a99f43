"""The one preparation of every image, real or synthetic: crop to the fan, black outside it, square, resize."""

import cv2
import numpy as np


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
    return cv2.fillConvexPoly(np.zeros_like(image), hull, 1).astype(bool)


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the smallest box that holds a (H, W) bool mask."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return slice(y, y + h), slice(x, x + w)


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
    if labels:
        return cv2.resize(padded, (size, size), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(padded, (size, size), interpolation=cv2.INTER_AREA if size < side else cv2.INTER_CUBIC)
