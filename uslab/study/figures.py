"""The report's figures. No pyplot, which is not safe in the threads of a notebook."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uslab.study import statistics
from uslab.study.protocol import REAL

COLOURS = ("#0b5cad", "#c2410c", "#1a7f4b", "#7c3aed", "#a16207", "#be185d", "#0e7490", "#4b5563")
GREY = "#6b7280"


def plain(ax) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9)


def radar(estimates: pd.DataFrame, measure: str, methods: list[str], readers: list[str]) -> Figure:
    """Liang 2020's figure 6 (b): an axis a reader, a line a method, and chance as a dashed ring. At least 3 readers."""
    figure = Figure(figsize=(5.0, 3.8), layout="constrained")
    ax = figure.add_subplot(projection="polar")
    angle = np.linspace(0, 2 * np.pi, len(readers), endpoint=False)
    ring = np.linspace(0, 2 * np.pi, 200)
    ax.plot(ring, np.full(200, 0.5), "--", color=GREY, lw=1)
    for colour, method in zip(COLOURS * 4, methods):
        own = estimates[(estimates.method == method) & (estimates.measure == measure)].set_index("reader").value
        value = own.reindex(readers).to_numpy()
        ax.plot([*angle, angle[0]], [*value, value[0]], color=colour, lw=1.8, marker="o", ms=4, label=method)
    ax.set_xticks(angle, readers, fontsize=9)
    ax.set_ylim(0, 1)
    ax.set_yticks([0.25, 0.5, 0.75, 1.0], ["0.25", "0.5", "0.75", "1"], fontsize=8, color=GREY)
    ax.set_theta_offset(np.pi / 2)
    ax.set_rlabel_position(180 / len(readers))
    ax.grid(alpha=0.4)
    figure.legend(loc="outside right upper", fontsize=9, frameon=False)
    return figure


def dots(
    estimates: pd.DataFrame,    # Analysis.estimates
    measure: str,
    methods: list[str],
    readers: list[str],
    pooled: pd.DataFrame,       # Analysis.by_method, or empty
    margin: float | None,       # shaded; None: it is of another measure
) -> Figure:
    """Dots and intervals: a panel a method, a row a reader, all readers together below."""
    rows = len(readers) + (not pooled.empty)
    figure = Figure(figsize=(2.4 + 2.3 * len(methods), 1.5 + 0.28 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(methods), sharey=True))
    for ax, method, colour in zip(axes, methods, COLOURS * 4):
        if margin:
            ax.axvspan(0.5 - margin, 0.5 + margin, color=GREY, alpha=0.12, lw=0)
        ax.axvline(0.5, color=GREY, lw=0.9, ls="--")
        own = estimates[(estimates.method == method) & (estimates.measure == measure)]
        own = own.set_index("reader").reindex(readers)
        for y, row in enumerate(own.itertuples()):
            if np.isfinite(row.low):
                ax.plot([row.low, row.high], [y, y], color=colour, lw=1.4)
            ax.plot(row.value, y, "o", color=colour, ms=5)
        if not pooled.empty:
            row = pooled[pooled.method == method].iloc[0]
            ax.plot([row.low, row.high], [len(readers)] * 2, color="black", lw=2)
            ax.plot(row.value, len(readers), "D", color="black", ms=6)
        ax.set_title(method, fontsize=10, loc="left", fontweight="bold")
        ax.set_xlim(-0.02, 1.02)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        plain(ax)
    axes[0].set_yticks(range(rows), [*readers, *["all readers"] * (rows - len(readers))], fontsize=9)
    axes[0].set_ylim(rows - 0.5, -0.5)
    figure.supxlabel(measure, fontsize=9)
    return figure


def roc(main: pd.DataFrame, methods: list[str]) -> Figure:
    """Empirical ROC curves, a panel a method: a thin line a reader, a thick one for the ratings of all together.

    main: Analysis.main, with confidence. The legend gives each curve's area; of more readers than it has room for, the
    lowest and the highest. Who answered fewer than two images of a kind has no curve of their own.
    """
    across = min(3, len(methods))
    down = -(-len(methods) // across)
    figure = Figure(figsize=(3.1 * across, 3.3 * down), layout="constrained")
    axes = np.atleast_1d(figure.subplots(down, across)).ravel()
    for ax in axes[len(methods):]:
        ax.remove()
    for ax, method in zip(axes, methods):
        ax.plot([0, 1], [0, 1], "--", color=GREY, lw=0.9)
        parts = dict(iter(main.groupby("reader"))) | {"all": main}
        curves = {name: [own[own.method == kind].rating.to_numpy(float) for kind in (REAL, method)]
                  for name, own in parts.items()}
        areas = {name: statistics.area(*ratings).value for name, ratings in curves.items()}
        curves = {name: ratings for name, ratings in curves.items() if np.isfinite(areas[name])}
        own = [areas[name] for name in curves if name != "all"]
        short = len(own) > len(COLOURS)
        for colour, (name, (real, synthetic)) in zip((*COLOURS * 20,), curves.items()):
            x, y = statistics.curve(real, synthetic)
            label = f"{name}, {areas[name]:.2f}"
            if name == "all":
                ax.plot(x, y, color="black", lw=2.4, marker="o", ms=4, label=label)
            elif short:
                ax.plot(x, y, color=GREY, lw=0.9, alpha=0.6)
            else:
                ax.plot(x, y, color=colour, lw=1.1, label=label)
        if short:
            ax.plot([], [], color=GREY, lw=0.9, label=f"{len(own)} readers, {min(own):.2f} to {max(own):.2f}")
        ax.set_title(method, fontsize=10, loc="left", fontweight="bold")
        ax.set_aspect("equal")
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(-0.02, 1.02)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.legend(title="area", title_fontsize=8, fontsize=8, frameon=False, loc="lower right", handlelength=1.2,
                  labelspacing=0.25)
        plain(ax)
    figure.supxlabel("real images called synthetic", fontsize=9)
    figure.supylabel("synthetic images called synthetic", fontsize=9)
    return figure


def blocks(table: pd.DataFrame) -> Figure:
    """Share of right answers over blocks: thin lines are readers, the thick one their mean."""
    figure = Figure(figsize=(5.6, 2.9), layout="constrained")
    ax = figure.subplots()
    for colour, (reader, own) in zip(COLOURS * 20, table.groupby("reader")):
        ax.plot(own.block, own.value, color=colour, lw=1, alpha=0.5, marker="o", ms=3, label=reader)
    mean = table.groupby("block").value.mean()
    ax.plot(mean.index, mean, color="black", lw=2.2, label="mean")
    ax.axhline(0.5, color=GREY, lw=0.9, ls="--")
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks(sorted(table.block.unique()))
    ax.set_xlabel("block", fontsize=9)
    ax.set_ylabel("share of right answers", fontsize=9)
    plain(ax)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def scores(table: pd.DataFrame, labels: tuple[str, ...]) -> Figure:
    """Shares of the quality scores of each method and of the real images, from quality.summary()."""
    figure = Figure(figsize=(6.4, 1.3 + 0.34 * len(table)), layout="constrained")
    ax = figure.subplots()
    start = np.zeros(len(table))
    for step, name in enumerate(labels, 1):
        share = table[str(step)].to_numpy(float) if str(step) in table else np.zeros(len(table))
        ax.barh(range(len(table)), share, left=start, label=f"{step} {name}", height=0.62,
                color=str(0.86 - 0.72 * (step - 1) / max(1, len(labels) - 1)))
        start += share
    ax.set_yticks(range(len(table)), table.method, fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the ratings", fontsize=9)
    plain(ax)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def marks(panels: list) -> Figure:
    """Where readers marked images: a panel each (beside.Panel), the density over the image, the marks as dots."""
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(2.4 * across, 2.6 * down), layout="constrained")
    axes = np.atleast_1d(figure.subplots(down, across)).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, panel in zip(axes, panels):
        h, w = panel.image.shape
        place = {"extent": (0, w, h, 0)}        # the upper left corner is the origin of the marks
        ax.imshow(panel.image, cmap="gray", vmin=0, vmax=max(1, panel.image.max()), **place)
        ax.imshow(panel.density, cmap="inferno", alpha=0.75 * np.sqrt(panel.density), vmin=0, vmax=1, **place)
        ax.plot(panel.x, panel.y, "o", ms=3, mfc="none", mec="#7dd3fc", mew=0.8)
        ax.set_title(panel.title, fontsize=9, loc="left")
        ax.set_xlim(0, w)
        ax.set_ylim(h, 0)
    return figure


def regressions(
    scores: pd.Series,          # mean quality of each synthetic image
    table: pd.DataFrame,        # measures of the images, columns `names` among them
    names: list[str],
    found: pd.DataFrame,        # from quality.correlations
    method: np.ndarray,         # method of each image
) -> Figure:
    """Bautista 2022's figure 2: quality of each synthetic image against a measure of it, with the regression line.

    Of several methods each has a colour and a line through its mean; the slope is common, for methods differ in much.
    """
    figure = Figure(figsize=(2.5 * len(names), 2.7), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    about = found.set_index("measure")
    for ax, name in zip(axes, names):
        x, y = table[name].to_numpy(float), scores.to_numpy(float)
        own_x, own_y = (pd.Series(v).groupby(method).transform(lambda part: part - part.mean()) for v in (x, y))
        slope = (own_x * own_y).sum() / max((own_x ** 2).sum(), 1e-300)
        for colour, group in zip(COLOURS * 4, dict.fromkeys(method)):
            own = method == group
            ax.plot(x[own], y[own], "o", color=colour, ms=3.5, alpha=0.6, label=group)
            ends = np.array([x[own].min(), x[own].max()])
            ax.plot(ends, y[own].mean() + slope * (ends - x[own].mean()), color=colour, lw=1.4)
        if name in about.index:
            ax.set_title(f"{name}   r {about.r[name]:.2f}, q {about.q[name]:.2f}", fontsize=9, loc="left")
        else:
            ax.set_title(f"{name}   never varies", fontsize=9, loc="left")
        ax.tick_params(axis="x", labelrotation=25)
        plain(ax)
    axes[0].set_ylabel("mean quality of an image", fontsize=9)
    if len(set(method)) > 1:
        axes[0].legend(fontsize=8, frameon=False)
    return figure
