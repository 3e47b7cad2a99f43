"""Sketch: edit a label image with mouse or pen; the image that it stands for is synthesized again beside it."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from uslab.pages import encoded, png
from uslab.widgets import strokes
from uslab.widgets.curves import WIDTH
from uslab.widgets.live import Latest, Live, source
from uslab.widgets.strokes import TOOLS, Layers

NAMES = ("background", "ovary", "follicle", "sketch")
COLOURS = ("#000000", "#d9731f", "#3f9be8", "#ffffff")      # of the labels, also in sketch.js by the message
HISTORY = 100       # strokes that undo goes back
HEIGHT = 300        # of the still, CSS pixels


class Sketch(Live):
    """An editor for one label image. `value` is the label image now, `image` what is synthesized from it.

    A stroke travels as the pen's points and is rasterised here, so `apply` without a browser does to the pixel what the
    pen does, and every value is one of the palette. While strokes arrive faster than images are synthesized, the latest
    label counts.

    Args:
        label: uint8 (H, W), 0 to 3, or a tensor (1, 1, H, W).
        synthesize: Label image, tensor (1, 1, H, W) uint8 -> image (1, 1, h, w) uint8.
    """

    _esm = source("live.js", "sketch.js")
    _css = source("live.css", "sketch.css")

    def __init__(self, label: Any, synthesize: Callable[[Any], Any]):
        self._synthesize = synthesize
        self._drawing = Latest(self._redrawn, self.refresh)
        self.load(label, tell=False)
        super().__init__()

    def __repr__(self) -> str:
        h, w = self.value.shape
        return (f"sketch editor: {w}x{h} px, {len(self._past)} edits, {int(self.changed.sum())} pixels of the label "
                f"changed, image in {self.seconds:.2f} s")

    @property
    def value(self) -> np.ndarray:
        """The label image now, (H, W) uint8: 0 background, 1 ovary, 2 follicle, 3 edge."""
        return self._layers.label()

    @property
    def changed(self) -> np.ndarray:
        """Where the label image differs from the one that was loaded, (H, W) bool."""
        return self.value != self._first

    def load(self, label: Any, tell: bool = True) -> None:
        """Begin anew with a label image. Raises ValueError for another shape, type or value."""
        label = np.asarray(label.cpu() if hasattr(label, "cpu") else label)
        label = label.reshape(label.shape[-2:]) if label.ndim > 2 and label.size == np.prod(label.shape[-2:]) else label
        if label.ndim != 2 or label.dtype != np.uint8 or label.max(initial=0) >= len(NAMES):
            raise ValueError("label must be one image, uint8 (H, W) or (1, 1, H, W), with values 0 to "
                             f"{len(NAMES) - 1}, not {label.dtype} {label.shape} with values to {label.max(initial=0)}")
        self._first, self._layers = label.copy(), Layers.of(label)
        self._past, self._future, self._note, self._made = [], [], "", None
        self._draw()
        self.before = self.image
        if tell:
            self._show()
            self.refresh()

    def apply(
        self,
        made: Iterable[dict],      # strokes: {'tool': ..., 'points': [(x, y), ...], 'width': ...}, see strokes.apply
    ) -> np.ndarray:
        """Make strokes and synthesize once, with or without a browser; returns `value`.

        Raises ValueError for a stroke that is none; those before it stay made.
        """
        with self._lock:
            for stroke in made:
                self._stroke(**stroke)
            self._redraw()
        return self.value

    def undo(self) -> None:
        """Take the last stroke back; nothing happens where there is none."""
        with self._lock:
            self._turn(self._past, self._future)
            self._redraw()

    def redo(self) -> None:
        """Make the stroke again that was taken back last."""
        with self._lock:
            self._turn(self._future, self._past)
            self._redraw()

    def reset(self) -> None:
        """The label image as it was loaded; this can be undone."""
        with self._lock:
            if self.changed.any():
                self._keep(Layers.of(self._first))
                self._redraw()

    def still(self) -> tuple[dict, dict]:
        """Label and image before and after, the edits outlined."""
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure

        # Not pyplot, which belongs to the main thread.
        figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, layout="constrained")
        axes = figure.subplots(1, 4)
        h, w = self._first.shape
        for axis, title, pixels in zip(axes, ("label", "synthesized", "label, edited", "synthesized"),
                                       (self._first, self.before, self.value, self.image)):
            coloured = {"cmap": ListedColormap(COLOURS), "vmin": 0, "vmax": 3} if "label" in title else \
                {"cmap": "gray", "vmin": 0, "vmax": 255}
            axis.imshow(pixels, extent=(-0.5, w - 0.5, h - 0.5, -0.5), interpolation="nearest", **coloured)
            axis.set_title(title, fontsize=10)
            axis.axis("off")
        for outline in self.marks():
            for axis in axes[2:]:
                axis.plot(*np.array([*outline, outline[0]]).T, color="#ffd23f", lw=1)
        data = {"image/png": encoded(png(figure)), "text/plain": repr(self)}
        return data, {"image/png": {"width": WIDTH, "height": HEIGHT}}

    def marks(self) -> list[list[list[int]]]:
        """Outlines around what was edited, each a list of x and y, pixels of the label image."""
        import cv2

        reach = 2 * max(1, round(min(self._first.shape) / 64)) + 1
        wide = cv2.dilate(self.changed.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        outlines, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return [outline[:, 0].tolist() for outline in outlines]

    # Inside

    def receive(self, message: dict) -> None:
        kind = message.get("type")
        try:
            if kind == "stroke":
                self._made = message.get("name")
                self._stroke(message.get("tool"), message.get("points"), message.get("width", 1.0))
            elif kind in ("undo", "redo"):
                self._turn(*((self._past, self._future) if kind == "undo" else (self._future, self._past)))
            elif kind == "reset" and self.changed.any():
                self._keep(Layers.of(self._first))
        except (ValueError, TypeError) as error:
            self._note = str(error)
        self._show(image=False)      # the label at once; the image follows
        self._drawing.ask()

    def resend(self) -> None:
        self._show()

    def _stroke(self, tool: str, points: list, width: float = 1.0) -> None:
        pen = strokes.checked(tool, points, width)
        h, w = self._first.shape
        after = strokes.apply(self._layers, tool, np.clip(pen, 0, (w - 1, h - 1)), width)
        self._note = ""
        if (after.label() != self.value).any():
            self._keep(after)
        elif tool in ("move", "grow", "delete"):
            self._note = f"nothing to {tool} there: begin on a follicle or on the ovary"

    def _keep(self, after: Layers) -> None:
        self._past.append(self._layers)
        del self._past[:-HISTORY]
        self._future.clear()
        self._layers = after

    def _turn(self, here: list, there: list) -> None:
        self._note = ""
        if here:
            there.append(self._layers)
            self._layers = here.pop()

    def _redraw(self) -> None:
        """Synthesize now, so that a cell's output is complete at its end, and show it everywhere."""
        self._draw()
        self._show()
        self.refresh()

    def _draw(self) -> None:
        """Synthesize from the label image as it is now."""
        import torch

        start = time.perf_counter()
        image = self._synthesize(torch.from_numpy(self.value)[None, None])
        self.image = np.asarray(image.cpu())[0, 0]
        self.seconds = time.perf_counter() - start

    def _redrawn(self, _) -> None:
        """Synthesize in a thread, and show it."""
        try:
            self._draw()
        except Exception as error:      # the page must say so: nobody sees a thread's traceback
            self._note = f"no image: {type(error).__name__}: {error}"
        self._show()

    def _show(self, image: bool = True) -> None:
        """Send the label, and the image if it is that of this label, to every page."""
        with self._lock:
            h, w = self._first.shape
            message = {"type": "state", "whole": True, "height": h, "width": w, "names": NAMES, "colours": COLOURS,
                       "tools": TOOLS, "undo": len(self._past), "redo": len(self._future), "note": self._note,
                       "marks": self.marks(), "seconds": self.seconds, "made": self._made,
                       "busy": self._drawing.waits or not image}
            arrays = [self.value]
            if image:
                message["rows"], message["columns"] = self.image.shape
                arrays.append(np.ascontiguousarray(self.image))
            self.tell(message, *arrays)
