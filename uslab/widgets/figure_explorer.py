"""FigureExplorer: an Explorer whose picture is a matplotlib Figure, in colour."""

from typing import Any

import ipywidgets as w

from uslab.pages import encoded, png
from uslab.widgets.curves import WIDTH
from uslab.widgets.explorer import Explorer


class FigureScreen(w.Image):
    """The live figure, as a PNG."""

    def __init__(self, figure: Any):
        layout = w.Layout(width=f"{WIDTH}px", max_width="100%", margin="0", align_self="flex-start")
        super().__init__(value=png(figure), format="png", layout=layout)

    def show(self, figure: Any) -> None:
        self.value = png(figure)


class FigureExplorer(Explorer):
    """Knobs and the Figure that they make.

    Args:
        config: A Config, as for knobs().
        draw: Config -> matplotlib.figure.Figure, made without pyplot.
    """

    SCREEN = FigureScreen

    def __repr__(self) -> str:
        return f"explorer: {self.config}"

    def still(self) -> tuple[dict, dict]:
        """The figure as it stands."""
        data = {"image/png": encoded(png(self.picture)), "text/plain": repr(self)}
        return data, {"image/png": {"width": WIDTH}}
