"""Pictures that every notebook draws: sheets of images side by side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:       # torch takes seconds, and the page of a reader, which needs none, imports this package
    from torch import Tensor

    from uslab.data import ImageSet


def show_images(sets: dict[str, Tensor | ImageSet], rows: int = 4, columns: int = 6, width: float = 7.7):
    """Draw the sheets beside each other in one grey scale, 0 black and 255 white; returns the matplotlib Figure.

    Args:
        sets: Title -> images (n, 1, H, W) uint8; the first of each are shown.
        rows: Images below each other.
        columns: Images side by side, in each sheet.
        width: Of the whole figure, inches: 12 images of 64 px in their own size.
    """
    import matplotlib.pyplot as plt

    from uslab.data.pictures import contact_sheet

    room = max(6, int(width / len(sets) * 72 / 7))      # letters of 10 points above a sheet
    titles = [broken(title, room) for title in sets]
    height = width / len(sets) * rows / columns + 0.18 + 0.17 * max(title.count("\n") + 1 for title in titles)
    figure, axes = plt.subplots(1, len(sets), figsize=(width, height), squeeze=False, layout="constrained")
    for axis, title, images in zip(axes[0], titles, sets.values()):
        images = getattr(images, "images", images)
        axis.imshow(contact_sheet(images[:rows * columns], columns), cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    return figure


def broken(title: str, most: int) -> str:
    """A title in lines of at most so many letters, broken behind blanks and underscores where there are some."""
    lines = [""]
    for part in re.split(r"(?<=[ _])", title):
        if lines[-1] and len((lines[-1] + part).rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip(" ") for line in lines)
