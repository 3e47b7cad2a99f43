"""FigureExplorer: an Explorer whose picture is a matplotlib Figure, in colour."""

import base64
import io
from typing import Any

import ipywidgets as w

from uslab.widgets.curves import WIDTH
from uslab.widgets.explorer import Explorer


class FigureScreen(w.Image):
    """The live figure, as a PNG."""

    def __init__(self, figure: Any):
        super().__init__(value=png(figure), format="png", layout=w.Layout(width=f"{WIDTH}px", align_self="flex-start"))

    def show(self, figure: Any) -> None:
        self.value = png(figure)


class FigureExplorer(Explorer):
    """Knobs and the Figure that they make; `draw` takes a Config and returns a matplotlib.figure.Figure (no pyplot)."""

    SCREEN = FigureScreen

    def __repr__(self) -> str:
        return f"explorer: {self.config}"

    def still(self) -> tuple[dict, dict]:
        """The figure as it stands."""
        data = {"image/png": base64.b64encode(png(self.picture)).decode(), "text/plain": repr(self)}
        return data, {"image/png": {"width": WIDTH}}


def png(figure: Any) -> bytes:
    """The figure's PNG, drawn at its own resolution."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
