"""Curves with many points: thin them, smooth them, draw them with samples as one picture."""

import numpy as np

from uslab.pages import png

SMOOTHING = 0.8             # share of the past in the running mean
PANELS = ("Losses", "loss"), ("Discriminator output", "mean output"), ("GPU", "%"), ("Distance", "to unseen images")
WIDTH, HEIGHT = 1060, 320   # of the picture, CSS pixels; live.css knows it by its width


def thin(
    table: np.ndarray,      # (rows, 1 + curves): steps, increasing, then values; NaN where a curve has none
    n: int,                 # at most so many rows are kept
) -> np.ndarray:
    """Indices of the rows to keep: the first, the last, and from each of n - 2 equal ranges of steps the most telling.

    Telling is the row of the largest triangle with the means of the range before and the range after, summed over
    curves scaled to their span; after Steinarsson's largest-triangle-three-buckets (2013), with means on both sides,
    so it needs no loop. Ranges of equal width, not count, keep the density even when a thinned board fills up again.
    """
    step = table[:, 0].astype(float)
    value = np.where(np.isfinite(table[:, 1:]), table[:, 1:], 0)
    span = np.ptp(value, 0)
    value = (value - value.min(0)) / np.where(span > 0, span, 1)
    bucket = np.minimum((step - step[0]) / (step[-1] - step[0]) * (n - 2), n - 3).astype(int)
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    counts = np.diff(starts, append=len(step))
    own = np.repeat(np.arange(len(starts)), counts)
    mean_x = np.add.reduceat(step, starts) / counts
    mean_y = np.add.reduceat(value, starts) / counts[:, None]
    before, after = np.maximum(own - 1, 0), np.minimum(own + 1, len(starts) - 1)
    area = np.abs((mean_x[after] - mean_x[before])[:, None] * (value - mean_y[before])
                  - (step - mean_x[before])[:, None] * (mean_y[after] - mean_y[before])).sum(1)
    best = np.lexsort((area, own))[starts + counts - 1]
    return np.unique(np.concatenate([[0], best, [len(step) - 1]]))


def smooth(step: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Running mean with exponential weights, not pulled to zero at the start; as in monitor.js.

    The weight of the past falls with the distance in steps, since a thinned board has its points unevenly.
    """
    if not len(step):
        return values
    gap = max(1e-9, (step[-1] - step[0]) / max(1, len(step) - 1))
    mean, total, weight, last = np.full(len(step), np.nan), 0.0, 0.0, step[0]
    for i in np.flatnonzero(np.isfinite(values)):
        keep = SMOOTHING ** ((step[i] - last) / gap)
        total, weight, last = keep * total + values[i], keep * weight + 1, step[i]
        mean[i] = total / weight
    return mean


def draw(
    table: np.ndarray,                          # (rows, 1 + curves): steps, then values
    curves: list[dict],                         # label, colour, dash, panel (an index into PANELS) of each
    status: list[str],                          # the parts of the line above
    samples: tuple[np.ndarray, str] | None,     # uint8 (n, h, w) and their title
) -> bytes:
    """The training board as PNG. No pyplot, which is not thread-safe."""
    from matplotlib.figure import Figure
    from skimage.util import montage

    fig = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=120, layout="constrained", facecolor="white")
    panels = sorted({0, 1} | {curve["panel"] for curve in curves})      # the later ones only where they have curves
    widths = [1.2 if panel < 2 else 0.7 for panel in panels] + [0.9] * bool(samples)
    axes = fig.subplots(1, len(widths), width_ratios=widths)
    for panel, ax in zip(panels, axes):
        title, unit = PANELS[panel]
        for index, curve in enumerate(curves):
            if curve["panel"] == panel:
                known = table[np.isfinite(table[:, 1 + index])]     # some are measured now and then
                step, values, style = known[:, 0], known[:, 1 + index], "--" if curve["dash"] else "-"
                ax.plot(step, values, color=curve["colour"], alpha=0.25, lw=0.8)
                ax.plot(step, smooth(step, values), style, color=curve["colour"], lw=1.6, label=curve["label"])
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        ax.set_xlabel("step", fontsize=9)
        ax.set_ylabel(unit, fontsize=9)
        ax.tick_params(labelsize=8, color="#999999")
        ax.grid(alpha=0.25, lw=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8, loc="best", framealpha=0.8, edgecolor="none")
    axes[1].axhline(0.5, color="#999999", lw=0.8, ls=":")
    axes[1].set_ylim(min(0, axes[1].get_ylim()[0]), max(1, axes[1].get_ylim()[1]))
    for panel, ax in zip(panels, axes):
        if panel >= 2:
            ax.set_ylim(0, 100 if PANELS[panel][1] == "%" else None)
    if samples:
        images, n = samples[0], len(samples[0])
        sheet = montage(images, fill=255, grid_shape=(-(-n // columns(n)), columns(n)), padding_width=2)
        axes[-1].imshow(sheet, cmap="gray", vmin=0, vmax=255)
        axes[-1].set_title(samples[1], loc="left", fontsize=10, fontweight="bold")
        axes[-1].set_axis_off()
    fig.suptitle("  ·  ".join(status), x=0.01, ha="left", fontsize=9, color="#555555")
    return png(fig)


def columns(n: int) -> int:
    """Columns of a grid of n images: as square as can be."""
    return int(np.ceil(np.sqrt(n)))
