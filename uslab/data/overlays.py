"""What is burnt into a frame: rows of text, callipers with their numbers and dotted lines, and lone glyphs."""

import itertools

import cv2
import numpy as np

SHARES = (0.011, 0.015, 0.019)   # of the image's longer side: the lengths of a mark's arms


def burnt_in(image: np.ndarray) -> np.ndarray:
    """Find white text and callipers, (H, W) uint8 to a bool mask (H, W).

    Text: a row of bright strokes on a darker ground with as many steep edges across as along. Layers of tissue are
    bright streaks with steep edges in depth only, and speckle is neither so bright nor so steep. Callipers come in
    pairs: two marks at least. A glyph that stands alone must be sharp and on calm, dark ground; any other is missed
    rather than risk tissue.
    """
    side = max(image.shape)
    ground = cv2.medianBlur(image, max(5, round(0.06 * side)) | 1)
    contrast = cv2.subtract(image, ground)
    strokes = ((contrast > 60) & (image > 130)).astype(np.uint8)
    return text(image, strokes, side) | callipers(image, contrast, strokes, side) | lone(image, strokes, side)


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


def lone(image: np.ndarray, strokes: np.ndarray, side: int) -> np.ndarray:
    """Letters, digits, marks and pointers that stand alone among bright strokes, as a (H, W) bool mask.

    Such a glyph is upright and nearly white, and two pixels beyond its edge begins a ground that is dark and even.
    A bright spot of tissue fades slowly, lies flat or slants, and has others beside it.
    """
    margin = 8
    found = np.zeros(image.shape, np.uint8)
    padded = cv2.copyMakeBorder(image, *[margin] * 4, cv2.BORDER_REFLECT).astype(np.float32)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    labels = cv2.copyMakeBorder(labels, *[margin] * 4, cv2.BORDER_CONSTANT, value=0)
    for i in range(1, count):
        x, y, w, h, _ = stats[i]
        if not (max(5, 0.012 * side) <= h <= 0.055 * side and w <= 0.05 * side and h / 2.7 <= w <= 1.1 * h):
            continue
        box = np.s_[y:y + h + 2 * margin, x:x + w + 2 * margin]
        patch, glyph = padded[box], (labels[box] == i).astype(np.uint8)
        away = cv2.distanceTransform(1 - glyph, cv2.DIST_C, 3)     # pixels from the glyph, diagonal steps as one
        others = cv2.dilate(((labels[box] > 0) & (glyph == 0)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        edge, ground, around = ((away >= least) & (away <= most) & ~others for least, most in ((2, 2), (3, 4), (2, 6)))
        if min(edge.sum(), ground.sum()) < 5 or around.sum() <= 0.6 * ((away >= 2) & (away <= 6)).sum():
            continue
        white, base = patch[glyph > 0].mean(), np.median(patch[ground])
        steep = [np.abs(cv2.Sobel(patch, cv2.CV_32F, *axis))[away <= 1].mean() for axis in ((1, 0), (0, 1))]
        if (patch[glyph > 0].max() > 215 and steep[0] > 0.75 * steep[1]
                and np.percentile(patch[edge], 90) - base < 0.18 * (white - base)
                and np.std(patch[around]) < 0.12 * (white - base)
                and np.percentile(patch[around], 95) < 0.5 * white):
            found[y:y + h, x:x + w] |= glyph[margin:-margin, margin:-margin]
    return cv2.dilate(found, np.ones((5, 5), np.uint8)) > 0


def callipers(image: np.ndarray, contrast: np.ndarray, strokes: np.ndarray, side: int) -> np.ndarray:
    """Marks, + or x, with the numbers beside them and the dotted lines between them, as a (H, W) bool mask."""
    found = np.zeros(image.shape, np.uint8)
    marks = crosses(image, contrast, side)
    if len(marks) < 2:
        return found > 0
    for y, x, arm in marks:
        cv2.rectangle(found, (x - arm - 2, y - arm - 2), (x + arm + 2, y + arm + 2), 1, cv2.FILLED)
    beside = np.zeros_like(found)
    for y, x, arm in marks:
        cv2.circle(beside, (x, y), 4 * arm, 1, cv2.FILLED)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strokes & ~found & 1, connectivity=8)
    for i in range(1, count):
        x, y, w, h, _ = stats[i]
        glyph = labels[y:y + h, x:x + w] == i
        if 0.012 * side <= h <= 0.05 * side and w <= 0.04 * side and beside[y:y + h, x:x + w][glyph].all():
            found[y:y + h, x:x + w] |= glyph
    found &= cv2.dilate(strokes, np.ones((5, 5), np.uint8))
    for (y0, x0, arm), (y1, x1, _) in itertools.combinations(marks, 2):
        if is_dotted_line(image, (x0, y0), (x1, y1), arm):
            cv2.line(found, (x0, y0), (x1, y1), 1, 1)
    return cv2.dilate(found, np.ones((3, 3), np.uint8)) > 0


def crosses(
    image: np.ndarray,      # (H, W) uint8
    contrast: np.ndarray,   # (H, W) uint8: how much brighter than its surroundings
    side: int,              # the longer side of the image, pixels
) -> list[tuple[int, int, int]]:
    """Centres (y, x) and arm lengths of marks: four bright arms of one length, dark between them and beyond them.

    One calliper has two marks of one kind, and few callipers are set: 2 to 8 marks of a kind, or none.
    """
    marks = []
    reach = max(3, round(SHARES[-1] * side)) + 4
    padded, grey = (cv2.copyMakeBorder(values, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
                    .astype(np.float32) for values in (contrast, image))
    bright = np.argwhere((contrast > 50) & (image > 180))
    for turn in (0.0, np.pi / 4):  # + and x
        sure, likely = [], []
        for arm in sorted({max(3, round(share * side)) for share in SHARES}, reverse=True):
            parts = probes(arm, turn)
            arms = levels(padded, bright + reach, parts[0])
            weakest, middle = arms.min(0), contrast[tuple(bright.T)]
            crossing = (weakest > 50) & (arms.max(0) < 2 * weakest) & (middle > weakest)
            places, weakest = bright[crossing], weakest[crossing]
            # One gap and one end may hold the mark's number, so the third of the four counts.
            gap, end = (np.sort(levels(padded, places + reach, part), 0)[2] / weakest for part in parts[1:])
            # Beside black, tissue has as much contrast as a mark but is not as white; beyond the edge all is black.
            white = levels(grey, places + reach, parts[0]).min(0) > 130
            whole = ((places >= arm) & (places < np.array(image.shape) - arm)).all(1)
            add(sure, places[(weakest > 70) & (gap < 0.2) & (end < 0.35) & white & whole], arm)
            add(likely, places[(gap < 0.4) & (end < 0.6)], arm)
        # A mark on bright tissue or through a line is only likely; beside two sure ones it is believed.
        if len(sure) >= 2 and len(likely) <= 8:
            marks += likely
    return marks


def add(marks: list[tuple[int, int, int]], places: np.ndarray, arm: int) -> None:
    """Append places (n, 2), rows y and x, to the marks, unless one is there already."""
    for y, x in places.tolist():
        if all(max(abs(y - v), abs(x - u)) > 2 * arm for v, u, _ in marks):
            marks.append((y, x, arm))


def levels(padded: np.ndarray, places: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    """The mean of an image around places (n, 2), over each of the parts, (k, 2) offsets y and x: (parts, n)."""
    return np.stack([padded[tuple((places[:, None] + part).transpose(2, 0, 1))].mean(1) for part in parts])


def probes(arm: int, turn: float) -> tuple[list, list, list]:
    """Offsets of the four arms of a mark, of the four gaps between them, and of what lies beyond the arms."""
    y, x = np.mgrid[-arm - 4:arm + 5, -arm - 4:arm + 5]
    groups = [], [], []
    for angle in turn + np.arange(4) * np.pi / 2:
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        arms = (along >= 0.9) & (along <= arm - 0.5) & (abs(across) < 0.5)
        gaps = (along >= 1.9) & (along <= arm) & (across >= 1.9) & (across <= arm)
        ends = (along >= arm + 1.9) & (along <= arm + 3.1) & (abs(across) < 1.5)
        for group, part in zip(groups, (arms, gaps, ends)):
            group.append(np.stack([y[part], x[part]], 1))
    return groups


def is_dotted_line(
    image: np.ndarray,          # (H, W) uint8
    start: tuple[int, int],     # x, y of one mark
    end: tuple[int, int],       # x, y of the other
    arm: int,                   # length of a mark's arms, pixels
) -> bool:
    """Whether thin bright dots, brighter than the tissue on both sides, run all the way between two marks."""
    (x0, y0), (x1, y1) = start, end
    length = np.hypot(x1 - x0, y1 - y0)
    if length < 6 * arm:
        return False
    steps = np.linspace(1.5 * arm, length - 1.5 * arm, 2 * int(length))
    dx, dy = (x1 - x0) / length, (y1 - y0) / length

    def profile(offset: float) -> np.ndarray:
        return cv2.remap(image, (x0 + dx * steps - dy * offset).astype(np.float32)[None],
                         (y0 + dy * steps + dx * offset).astype(np.float32)[None], cv2.INTER_LINEAR)[0].astype(float)

    rise = profile(0) - np.maximum(profile(-3), profile(3))
    thirds = [part.mean() for part in np.array_split(np.maximum(rise, 0), 3)]
    return min(thirds) > 12 and np.percentile(rise, 75) > 15


