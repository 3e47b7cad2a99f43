"""The one preparation of every image, real or synthetic: crop to the fan, clean, square, resize."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Frame:
    """One prepared frame and what was changed on the way."""

    image: np.ndarray           # (h, w) uint8, black outside the scan region
    box: tuple[slice, slice]    # the rows and columns of the file that were kept
    cropped: float              # share of the file's pixels that lay outside the box, 0 to 1
    overlay: float              # share of the kept pixels that were painted over: text, callipers


def frame(
    image: np.ndarray,                 # (H, W) uint8, as in the file
    keep: np.ndarray | None = None,    # (H, W) bool: never cropped away, such as an annotated lesion
) -> Frame:
    """Crop to the scan region, blacken what lies outside it, and paint over text and callipers inside it.

    Bars, rulers, traces and text beside the fan go with the crop. Raises ValueError if the image is black.
    """
    image = np.ascontiguousarray(image)
    region = fan(image) if keep is None else fan(image) | keep
    box = bounding_box(region)
    overlay = burnt_in(image) & region
    clean = cv2.inpaint(image, overlay.astype(np.uint8), 3, cv2.INPAINT_TELEA) if overlay.any() else image
    clean = np.where(region, clean, 0)[box]
    return Frame(clean, box, 1 - clean.size / image.size, float(overlay[box].mean()))


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


def burnt_in(image: np.ndarray) -> np.ndarray:
    """Find white text and the crosses of callipers, (H, W) uint8 to a bool mask (H, W).

    Text: a row of bright strokes on a darker ground with as many steep edges across as along. Layers of tissue are
    bright streaks with steep edges in depth only, and speckle is neither so bright nor so steep. Dotted lines and
    glyphs that stand alone are missed rather than risk tissue.
    """
    side = max(image.shape)
    ground = cv2.medianBlur(image, max(5, round(0.06 * side)) | 1)
    contrast = cv2.subtract(image, ground)
    strokes = ((contrast > 60) & (image > 130)).astype(np.uint8)
    return text(image, strokes, side) | crosses(image, contrast, side)


def text(image: np.ndarray, strokes: np.ndarray, side: int) -> np.ndarray:
    """The rows of glyphs among bright strokes, as a (H, W) bool mask that holds them whole."""
    across = np.abs(cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=1 / 4))  # grey levels over two pixels
    along = np.abs(cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=1 / 4))
    # Letters of a word lie less than a letter apart; what touches after this is one line of text.
    joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, max(3, round(0.025 * side))), np.uint8))
    found = np.zeros(image.shape, bool)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for i in range(1, count):
        x, y, w, h, area = stats[i]
        if not (0.012 * side <= h <= 0.06 * side and 0.9 * h <= w <= 0.5 * side and area >= 0.4 * w * h):
            continue
        box = np.s_[y:y + h, x:x + w]
        inside = (labels[box] == i) & (cv2.dilate(strokes[box], np.ones((3, 3), np.uint8)) > 0)
        # Every row of a word crosses several strokes.
        crossings = (np.diff(strokes[box].astype(np.int8), axis=1) == 1).sum(1)
        steep = across[box][inside].mean(), along[box][inside].mean()
        if (image[box][inside].max() > 190 and steep[0] > 38 and steep[0] > 0.75 * steep[1]
                and np.median(crossings) >= 2):
            found[max(0, y - 2):y + h + 2, max(0, x - 2):x + w + 2] = True
    return found & (cv2.dilate(strokes, np.ones((5, 5), np.uint8)) > 0)


def crosses(image: np.ndarray, contrast: np.ndarray, side: int) -> np.ndarray:
    """Calliper marks + and x by template matching, as a (H, W) bool mask."""
    found = np.zeros(contrast.shape, np.uint8)
    centres = (contrast > 100) & (image > 210)
    if not centres.any():
        return centres
    for arm in sorted({max(3, round(share * side)) for share in (0.011, 0.015, 0.019)}):
        size = 2 * arm + 5
        for angle in (0, 1):
            template = np.zeros((size, size), np.uint8)
            template[arm + 2, 2:-2] = template[2:-2, arm + 2] = 255
            if angle:
                template = (np.eye(size, dtype=np.uint8) | np.eye(size, dtype=np.uint8)[::-1]) * 255
                template[[0, 1, -2, -1]] = template[:, [0, 1, -2, -1]] = 0
            if min(contrast.shape) < size:
                continue
            mark = cv2.dilate(template, np.ones((3, 3), np.uint8))
            template = cv2.GaussianBlur(template, (3, 3), 0.7)
            score = cv2.matchTemplate(contrast, template, cv2.TM_CCOEFF_NORMED)
            middle = np.s_[arm + 2:arm + 2 + score.shape[0], arm + 2:arm + 2 + score.shape[1]]
            for y, x in np.argwhere((score > 0.76) & centres[middle]):
                found[y:y + size, x:x + size] |= mark
    return found > 0


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
