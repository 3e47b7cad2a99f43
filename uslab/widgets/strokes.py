"""Strokes: what a pen does to a label image of ovary, follicles and background sketch, to the pixel, without a page."""

from dataclasses import dataclass

import numpy as np

OVARY, FOLLICLE, EDGE = 1, 2, 3
TOOLS = {
    "draw": "draw edges",
    "erase": "erase edges",
    "follicle": "add a follicle",
    "ovary": "add to the ovary",
    "move": "move what is under the pen",
    "grow": "pull an outline outwards or inwards",
    "delete": "delete what is under the pen",
}
SMALLEST = 1.5              # half axis of an ellipse, pixels
SCALE = 0.25, 4.0           # limits of one growth
FEWEST, MOST = 1, 20_000    # points of a stroke


@dataclass(frozen=True)
class Layers:
    """What lies over what: a follicle over the ovary, both over the edges. (H, W) bool each.

    A layer keeps what is hidden by the one above, so a follicle that moves leaves ovary behind, not a hole.
    """

    ovary: np.ndarray
    follicle: np.ndarray
    edge: np.ndarray

    @classmethod
    def of(
        cls,
        label: np.ndarray,     # (H, W) uint8: 0 background, 1 ovary, 2 follicle, 3 edge
    ) -> "Layers":
        """The layers of a label image: ovary lies under each follicle that touches it, and no edge under either."""
        import cv2

        ovary, follicle = label == OVARY, label == FOLLICLE
        count, parts = cv2.connectedComponents((ovary | follicle).astype(np.uint8), connectivity=4)
        bodies = np.zeros(count, bool)
        bodies[np.unique(parts[ovary])] = True
        return cls(bodies[parts] & (parts > 0), follicle, label == EDGE)

    def label(self) -> np.ndarray:
        """The label image, (H, W) uint8."""
        result = np.where(self.edge, np.uint8(EDGE), np.uint8(0))
        result[self.ovary], result[self.follicle] = OVARY, FOLLICLE
        return result


def apply(
    layers: Layers,
    tool: str,                                  # one of TOOLS
    points: list[tuple[float, float]],          # x and y of the pen, pixels from the centre of the upper left one
    width: float = 1.0,                         # of the pen, pixels: for draw and erase
) -> Layers:
    """The layers after one stroke; the same layers where there is nothing under the pen.

    draw, erase: along all points. follicle, ovary: the ellipse in the box from the first point to the last, or, for a
    click, a round one. move, grow, delete: the follicle under the first point, or the ovary with what is in it. It
    moves by last - first and stays in the image, or grows about its centre by as much as the pen went away from that.
    Raises ValueError for an unknown tool and for points or a width that are none.
    """
    pen = checked(tool, points, width)
    if tool in ("draw", "erase"):
        line = trace(layers.edge.shape, pen, width)
        return Layers(layers.ovary, layers.follicle, layers.edge | line if tool == "draw" else layers.edge & ~line)
    if tool in ("follicle", "ovary"):
        area = ellipse(layers.edge.shape, pen[0], pen[-1])
        return Layers(layers.ovary | area, layers.follicle, layers.edge) if tool == "ovary" else \
            Layers(layers.ovary, layers.follicle | area, layers.edge)
    return transformed(layers, tool, pen)


def transformed(layers: Layers, tool: str, pen: np.ndarray) -> Layers:
    """The layers after move, grow or delete."""
    value, body = under(layers, pen[0])
    if body is None:
        return layers
    ovary, follicle = layers.ovary, layers.follicle
    inside = follicle & body                    # a follicle alone, or those in the ovary
    if value == FOLLICLE:
        if tool == "delete":
            return Layers(ovary, follicle & ~body, layers.edge)
        new = shifted(body, pen[-1] - pen[0])[0] if tool == "move" else scaled(body, pen)
        return Layers(ovary, (follicle & ~body) | new, layers.edge)
    if tool == "delete":
        return Layers(ovary & ~body, follicle & ~body, layers.edge)
    if tool == "grow":
        return Layers((ovary & ~body) | scaled(body, pen), follicle, layers.edge)
    ground, inside = shifted(np.stack([ovary & body, inside]), pen[-1] - pen[0], body)
    return Layers((ovary & ~body) | ground, (follicle & ~body) | inside, layers.edge)


def under(layers: Layers, point: np.ndarray) -> tuple[int, np.ndarray | None]:
    """What lies under a point, and where, (H, W) bool: a follicle, or the ovary with its follicles; or 0 and None."""
    import cv2

    column, row = np.rint(point).astype(int)
    for value, region in ((FOLLICLE, layers.follicle), (OVARY, layers.ovary | layers.follicle)):
        if region[row, column]:
            parts = cv2.connectedComponents(region.astype(np.uint8), connectivity=4)[1]
            return value, parts == parts[row, column]
    return 0, None


def shifted(
    regions: np.ndarray,              # (H, W) or (n, H, W) bool
    by: np.ndarray,                   # x, y, pixels
    body: np.ndarray | None = None,   # what must stay in the image; None: the region itself
) -> np.ndarray:
    """The regions (n, H, W) moved by whole pixels, no further than the image's edge."""
    regions = regions.reshape(-1, *regions.shape[-2:])
    rows, columns = np.nonzero(regions[0] if body is None else body)
    h, w = regions.shape[1:]
    dx = int(np.clip(np.rint(by[0]), -columns.min(), w - 1 - columns.max()))
    dy = int(np.clip(np.rint(by[1]), -rows.min(), h - 1 - rows.max()))
    return np.roll(regions, (dy, dx), (1, 2))


def scaled(body: np.ndarray, pen: np.ndarray) -> np.ndarray:
    """The region grown about its centre by as many pixels as the pen went away from it, or shrunk as it came nearer."""
    import cv2

    rows, columns = np.nonzero(body)
    centre = np.array([columns.mean(), rows.mean()])
    first, last = (float(np.hypot(*(point - centre))) for point in (pen[0], pen[-1]))
    factor = float(np.clip(1 + (last - first) / np.sqrt(body.sum() / np.pi), *SCALE))
    matrix = np.array([[factor, 0, centre[0] * (1 - factor)], [0, factor, centre[1] * (1 - factor)]])
    return cv2.warpAffine(body.astype(np.float32), matrix, body.shape[::-1], flags=cv2.INTER_LINEAR) > 0.5


def trace(shape: tuple[int, int], pen: np.ndarray, width: float) -> np.ndarray:
    """The pixels of a line through the points, (H, W) bool; no pixel is half drawn."""
    import cv2

    canvas = np.zeros(shape, np.uint8)
    cv2.polylines(canvas, [np.rint(pen).astype(np.int32)[:, None]], False, 1, max(1, round(width)), cv2.LINE_8)
    return canvas > 0


def ellipse(shape: tuple[int, int], first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The ellipse in the box between two corners, (H, W) bool; for a click, a circle of a twentieth of the image."""
    half = np.abs(last - first) / 2
    centre = (first + last) / 2
    if half.max() < 1:
        half = np.full(2, max(SMALLEST, min(shape) / 40))
    half = np.maximum(half, SMALLEST) + 0.3     # or its four ends would be single pixels
    y, x = np.mgrid[:shape[0], :shape[1]]
    return ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1


def checked(tool: str, points: list, width: float) -> np.ndarray:
    """The points as (n, 2) float."""
    if tool not in TOOLS:
        raise ValueError(f"unknown tool {tool!r}: choose one of {', '.join(TOOLS)}")
    try:
        pen = np.asarray(points, float)
    except (TypeError, ValueError):
        pen = np.zeros(0)
    if pen.ndim != 2 or pen.shape[1] != 2 or not FEWEST <= len(pen) <= MOST or not np.isfinite(pen).all():
        raise ValueError(f"points of a stroke must be 1 to {MOST} pairs of x and y, such as [(12, 30), (14, 31)]")
    if not 0 < width <= 100:
        raise ValueError(f"width must lie between 0 and 100 pixels, not {width}")
    return pen
