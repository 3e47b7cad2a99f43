"""Faces for the notebooks: each works without a browser too, and none waits for a click."""

# `knobs` must be bound after its module of the same name has been imported, so these are plain imports; what is
# slow to import (matplotlib, pandas, scipy, cv2) is imported where it is used.
from uslab.widgets.board import Board
from uslab.widgets.exercise import check
from uslab.widgets.explorer import Explorer
from uslab.widgets.figure_explorer import FigureExplorer
from uslab.widgets.figures import show_images
from uslab.widgets.knobs import knobs
from uslab.widgets.monitor import Monitor
from uslab.widgets.quiz import Quiz
from uslab.widgets.sketch import Sketch

__all__ = ["Board", "Explorer", "FigureExplorer", "Monitor", "Quiz", "Sketch", "check", "knobs", "show_images"]
