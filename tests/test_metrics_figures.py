"""The figures of the measures show the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from test_metrics import cells, noise

from uslab import metrics


def table(value, sets=("one", "two")):
    """Two measures of two sets."""
    rows = [(name, measure, value + i, value + i - 1, value + i + 2, 40) for name in sets
            for i, measure in enumerate(("FD-cells", "Memorisation (cells)"))]
    return pd.DataFrame(rows, columns=["set", "name", "value", "low", "high", "n"]).assign(note="")


def dots(axis):
    """(x, y, low, high) of each dot of a panel."""
    found = []
    for bar in axis.containers:
        (x,), (y,) = bar.lines[0].get_data()
        ends = bar.lines[2][0].get_segments()[0][:, 0] if bar.has_xerr else (np.nan, np.nan)
        found.append((float(x), float(y), *map(float, ends)))
    return found


def test_the_figure_shows_values_and_intervals():
    both = table(3.0)
    both.loc[2, "value"] = 4.0
    both.loc[3, ["low", "high"]] = np.nan
    drawn = metrics.figure(both)
    assert isinstance(drawn, Figure)
    first, second = drawn.axes
    assert first.get_title("left") == "FD-cells, n = 40, less is nearer" and first.get_xlim()[0] == 0
    assert dots(first) == [(3, 0, 2, 5), (4, 1, 2, 5)]
    assert dots(second)[0] == (4, 0, 3, 6) and dots(second)[1][:2] == (4, 1) and np.isnan(dots(second)[1][2:]).all()
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["one", "two"]
    colours = [bar.lines[0].get_color() for bar in first.containers]
    assert colours[0] != colours[1] and colours == [bar.lines[0].get_color() for bar in second.containers]
    assert [line.get_xdata()[0] for line in second.get_lines() if line.get_linestyle() == "--"] == [0.5]


def test_the_figure_of_one_set_and_of_values_that_are_not_finite():
    one = table(3.0, ["one"]).drop(columns="set")
    one.loc[0, ["value", "low", "high"]] = np.inf, np.nan, np.nan
    drawn = metrics.figure(one)
    assert not drawn.legends and not drawn.axes[0].containers and drawn.axes[0].texts[0].get_text() == "inf"
    with pytest.raises(ValueError, match="lacks high, low"):
        metrics.figure(one.drop(columns=["low", "high"]))


def test_the_sheet_of_neighbours_shows_copies_first():
    train, unseen, fake = noise(30, seed=1), noise(20, seed=2), noise(20, seed=3)
    fake[7] = train[11]
    fake[7, 0, 0, 0] ^= 1
    drawn = metrics.neighbours_figure(fake, train, unseen, cells, n=4)
    pictures = [axis for axis in drawn.axes if axis.images]
    assert len(pictures) == 16
    grid = [torch.as_tensor(np.array(axis.images[0].get_array())) for axis in pictures]
    assert (grid[0] == fake[7, 0]).all() and (grid[4] == train[11, 0]).all()
    found = metrics.nearest_neighbours(unseen, train, cells).nsmallest(4, "feature_distance")
    assert [axis.get_title() for axis in pictures[8:12]] == [f"{value:.3g}" for value in found.feature_distance]
    assert (grid[12] == train[int(found.feature_index.iloc[0]), 0]).all()
    curves = [axis for axis in drawn.axes if not axis.images]
    labels = curves[0].get_legend_handles_labels()[1]
    assert labels == ["synthetic, n = 20", "real, unseen, n = 20"]
    ours = metrics.nearest_neighbours(fake, train, cells).pixel_distance
    np.testing.assert_allclose(curves[1].get_lines()[0].get_xdata()[1:], np.sort(ours))
