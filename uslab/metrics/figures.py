"""Figures of the measures: a comparison of sets, and synthetic images beside their nearest training images."""

import numpy as np
import pandas as pd
from scipy import stats

from .features import Space, resolve
from .memorisation import nearest_neighbours
from .sets import Images, pixels

# Told apart by all (Okabe, Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
HINTS = {"FD": "less is nearer", "KD": "less is nearer", "FID": "less is nearer", "KID": "less is nearer",
         "LBP": "less is nearer", "JS": "less is nearer", "Precision": "more is better", "Recall": "more is better"}
PERFECT = {"Memorisation": 0.5, "Twins": 0.01}   # what a generator that copies nothing is expected to give


def figure(table: pd.DataFrame, width: float = 7.7):
    """Dots with their 95 % intervals: a panel a measure, each with its own axis, a row and a colour a set.

    The dashed line is the value that a generator which copies nothing is expected to give, where there is one.
    Returns the matplotlib Figure. Raises ValueError for a table without the columns name, value, low, high and n.

    Args:
        table: What compare() gives, for one set or for sets by name.
        width: Of the figure, inches.
    """
    import matplotlib.pyplot as plt

    if missing := {"name", "value", "low", "high", "n"} - set(table.columns):
        raise ValueError(f"the table lacks {', '.join(sorted(missing))}: give what uslab.metrics.compare returns")
    named = "set" in table
    sets = list(dict.fromkeys(table["set"])) if named else [""]
    measures = list(dict.fromkeys(table.name))
    rows = -(-len(measures) // 2)
    height = rows * (0.52 + 0.13 * len(sets)) + 0.35 * named + 0.1   # inches
    drawn, axes = plt.subplots(rows, 2, figsize=(width, height), squeeze=False, layout="constrained")
    for axis, measure in zip(axes.T.flat, measures):
        for i, name in enumerate(sets):
            lines = table[(table.name == measure) & ((table["set"] == name) if named else True)]
            for line in lines.itertuples():
                if np.isfinite(line.value):
                    reach = [[max(0, line.value - line.low)], [max(0, line.high - line.value)]]
                    axis.errorbar(line.value, i, xerr=reach if np.isfinite(line.low + line.high) else None, fmt="o",
                                  markersize=4, color=COLOURS[i % len(COLOURS)], capsize=2, linewidth=1.3)
                else:
                    axis.annotate(f"{line.value}", (0.5, i), xycoords=("axes fraction", "data"), fontsize=8,
                                  ha="center", va="center", color=COLOURS[i % len(COLOURS)])
        kind = measure.replace(" ", "-").split("-")[0]
        if kind in PERFECT:
            axis.axvline(PERFECT[kind], color="0.6", linestyle="--", linewidth=1, zorder=0)
        n = table.n[table.name == measure]
        counted = f"n = {n.iloc[0] if n.nunique() == 1 else f'{n.min()} to {n.max()}'}"
        axis.set_title(", ".join(filter(None, (measure, counted, HINTS.get(kind)))), fontsize=9, loc="left", pad=3)
        axis.set(ylim=(len(sets) - 0.5, -0.5), yticks=[])
        axis.tick_params(labelsize=8, length=2, pad=1)
        axis.locator_params(axis="x", nbins=5)
        axis.margins(x=0.08)
        if HINTS.get(kind) == "less is nearer":   # a distance is read from 0
            axis.set_xlim(left=min(0, axis.get_xlim()[0]))
        if not np.isfinite(table.value[table.name == measure]).any():
            axis.set_xticks([])
        axis.spines[["top", "left", "right"]].set_visible(False)
    for axis in axes.T.flat[len(measures):]:
        axis.set_axis_off()
    if named:
        dots = [plt.Line2D([], [], marker="o", markersize=5, color=COLOURS[i % len(COLOURS)]) for i in range(len(sets))]
        columns = max(1, int(13 * width) // (6 + max(map(len, sets))))   # about 13 letters an inch
        drawn.legend(dots, sets, loc="outside upper left", ncols=min(len(sets), columns), fontsize=9, frameon=False)
    return drawn


def neighbours_figure(
    synthetic: Images, train: Images, test: Images, space: str | Space | None = None, n: int = 5, width: float = 7.7,
    device: str = "auto",
):
    """The synthetic images that lie nearest to a training image, with that image, beside the same of real unseen ones.

    Above, the n nearest of each set in feature space, and below each its nearest training image and their distance.
    Beneath, the distances of all images, in feature space and in grey levels, as cumulative shares: a curve of the
    synthetic images to the left of that of the unseen ones speaks for memorisation. p is the one-sided Mann-Whitney
    test for 'nearer', which takes images as independent. Returns the matplotlib Figure.

    Args:
        synthetic: Synthetic images, uint8 (N, 1, H, W) or an ImageSet.
        train: The images that the generator was trained on.
        test: Real images that it has not seen, of other patients.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        n: Images shown of each set.
        width: Of the figure, inches.
        device: See nearest_neighbours.
    """
    import matplotlib.pyplot as plt

    space = resolve(space)
    sets = {"synthetic": synthetic, "real, unseen": test}
    found = {name: nearest_neighbours(images, train, space, device) for name, images in sets.items()}
    n = min(n, *map(len, found.values()))
    high, wide = pixels(train).shape[2:]
    sheet = 2 * 0.93 * width / (2 * n) * high / wide + 0.45   # two rows of tiles and their titles, inches
    drawn = plt.figure(figsize=(width, sheet + 2.3), layout="constrained")
    above, below = drawn.subfigures(2, 1, height_ratios=(sheet, 2.3))
    for part, (name, images) in zip(above.subfigures(1, 2), sets.items()):
        part.suptitle(f"{name}, and the nearest training image", fontsize=9)
        axes = part.subplots(2, n, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
        for i, row in enumerate(found[name].nsmallest(n, "feature_distance").itertuples()):
            pair = pixels(images)[row.Index, 0], pixels(train)[row.feature_index, 0]
            for axis, image in zip(axes[:, i], pair):
                axis.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255)
                axis.set_axis_off()
            axes[0, i].set_title(f"{row.feature_distance:.3g}", fontsize=8, pad=2)
    units = {"feature": f"distance in {space.name} features", "pixel": "root mean square difference, grey levels"}
    for axis, (kind, unit) in zip(below.subplots(1, 2), units.items()):
        ours, unseen = (table[f"{kind}_distance"] for table in found.values())
        for colour, (name, values) in zip(COLOURS, zip(sets, (ours, unseen))):
            axis.ecdf(values, color=colour, label=f"{name}, n = {len(values)}")
        p = stats.mannwhitneyu(ours, unseen, alternative="less").pvalue
        axis.set(xlabel=unit, ylabel="share of the images", ylim=(0, 1.02),
                 title=f"nearer than unseen ones: p = {p:.2g}")
        axis.title.set_fontsize(9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    below.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    return drawn
