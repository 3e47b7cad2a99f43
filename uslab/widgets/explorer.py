"""Explorer: knobs beside a picture that follows them while a slider is dragged."""

import dataclasses
from collections.abc import Callable
from typing import Any

import ipywidgets as w
import numpy as np

from uslab.pages import encoded, png
from uslab.widgets.curves import WIDTH
from uslab.widgets.knobs import knobs
from uslab.widgets.live import Latest, Live, Still, source

HEIGHT = 460        # of the still, CSS pixels
STYLE = f"<style>{source('explorer.css')}</style>"
SETTLED = 0.4       # seconds without a change, after which the still is drawn


class Screen(Live):
    """The live picture of an Explorer, in grey levels with a ruler in mm."""

    _esm = source("live.js", "explorer.js")
    _css = source("live.css")

    def __init__(self, picture: Any):
        self._picture = picture
        super().__init__()

    def show(self, picture: Any) -> None:
        """Send a picture to every page."""
        with self._lock:
            self._picture = picture
            self.resend()

    def resend(self) -> None:
        picture = self._picture
        height, width = picture.pixels.shape
        self.tell({"type": "picture", "whole": True, "height": height, "width": width, "pixel_mm": picture.pixel_mm,
                   "top_mm": picture.top_mm, "focus_mm": picture.focus_mm, "note": picture.note},
                  np.ascontiguousarray(picture.pixels))


class Explorer(Still, w.HBox):
    """Knobs and the picture that they make: `config` is the Config as set now, `picture` its picture.

    While a slider is dragged one thread draws; of the values that arrive meanwhile it takes the latest and forgets the
    others. Without a browser, `apply` draws at once.

    Args:
        config: A Config, as for knobs().
        draw: Config -> picture: pixels uint8 (H, W), pixel_mm, top_mm, focus_mm, note.
    """

    SCREEN = Screen

    def __init__(self, config: Any, draw: Callable[[Any], Any]):
        self._draw = draw
        self._drawing = Latest(self._show, self.refresh, SETTLED)
        self.panel = knobs(config)
        self.picture = draw(config)
        self.screen = self.SCREEN(self.picture)
        super().__init__([w.HTML(STYLE, layout=w.Layout(display="none")), self.screen, self.panel])
        self.add_class("uslab-explorer")
        self.panel.on_change(self._drawing.ask)

    def __repr__(self) -> str:
        return f"explorer: {self.config}; {self.picture.note}"

    @property
    def config(self) -> Any:
        """The Config as the knobs stand, checked."""
        return self.panel.config

    def apply(self, **values: Any) -> None:
        """Set values by name and draw, with or without a browser; refuses what knobs refuse."""
        self.panel.on_change(lambda config: None)       # drawn here, so that the cell's output is complete at its end
        try:
            self.panel.apply(**values)
        finally:
            self.panel.on_change(self._drawing.ask)
        self._show(self.config)
        self.refresh()

    def still(self) -> tuple[dict, dict]:
        """The picture with its ruler, and the values of the knobs."""
        from matplotlib.figure import Figure

        picture = self.picture
        height, width = picture.pixels.shape
        right, bottom = width * picture.pixel_mm / 2, picture.top_mm + height * picture.pixel_mm
        # Not pyplot, which belongs to the main thread.
        figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, layout="constrained")
        image, text = figure.subplots(1, 2, width_ratios=(1, 1.2))
        image.imshow(picture.pixels, cmap="gray", vmin=0, vmax=255, extent=(-right, right, bottom, picture.top_mm))
        image.axhline(picture.focus_mm, 0, 0.03, color="white", lw=3)
        image.set(xlabel="mm", ylabel="depth, mm; the mark is the focus")
        text.axis("off")
        for row, field in enumerate(dataclasses.fields(self.config)):
            line = 0.92 - 0.09 * row
            text.text(0, line, field.name, family="monospace")
            text.text(0.27, line, f"{getattr(self.config, field.name):g}", family="monospace")
            text.text(0.38, line, field.metadata["help"], color="0.4", fontsize=9)
        text.text(0, 0.1, picture.note, fontsize=9)
        data = {"image/png": encoded(png(figure)), "text/plain": repr(self)}
        return data, {"image/png": {"width": WIDTH, "height": HEIGHT}}

    def _show(self, config: Any) -> None:
        self.picture = self._draw(config)
        self.screen.show(self.picture)
