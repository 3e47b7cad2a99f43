"""What readers gave beside their answers: comments, marks as a table and as pictures, and the window that they set."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from uslab.study.pack import middle
from uslab.study.protocol import REAL

NORMAL = (256, 128)     # window and level that show an image as it is
LEAST = 3       # marks in an image, of any readers and repetitions, from which on it is shown by itself
MOST = 12       # images that are shown so: those with the most marks
WIDTH = 0.03    # standard deviation of the kernel of the density, as a share of the image's side


@dataclass(frozen=True)
class Panel:
    """An image with the marks in it."""

    title: str
    image: np.ndarray       # (H, W)
    x: np.ndarray           # pixels from the left edge, one a mark
    y: np.ndarray           # pixels from the upper edge

    @property
    def density(self) -> np.ndarray:
        """Gaussian kernel density of the marks (H, W), 1 where it is highest."""
        from scipy.ndimage import gaussian_filter

        h, w = self.image.shape
        counts, _, _ = np.histogram2d(self.y, self.x, bins=(h, w), range=((0, h), (0, w)))
        smooth = gaussian_filter(counts, WIDTH * max(h, w), mode="constant")
        return smooth / smooth.max()


def comments(answers: pd.DataFrame) -> pd.DataFrame:
    """One row a comment, the practice's left out: reader, case, method, phase, choice, quality, correct, comment."""
    told = answers[answers.comment.notna() & (answers.phase != "practice")].sort_values(["method", "case", "reader"])
    columns = ["reader", "case", "method", "phase", "choice", "quality", "correct", "comment"]
    return told[columns].dropna(axis=1, how="all")


def marked(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers with a mark, of images shown once or again; `kind` is that of the marked image."""
    told = answers[answers.mark_x.notna() & answers.phase.isin(["main", "repeat"])]
    return told.assign(kind=told.method.where(told.mark_case == told.case, REAL))    # in pairs a case is the synthetic


def by_kind(answers: pd.DataFrame) -> pd.DataFrame:
    """Marks by what the marked image is: marks, images, and the share of right answers with them where there is one."""
    groups = marked(answers).assign(right=lambda table: table.correct.astype(float)).groupby("kind", sort=False)
    return groups.agg(marks=("reader", "size"), images=("mark_case", "nunique"), readers=("reader", "nunique"),
                      right=("right", "mean")).rename(columns={"right": "share of right answers"}).reset_index()


def windows(answers: pd.DataFrame) -> pd.DataFrame:
    """Answers that were given with another window or level than the image's own, by where the image is from."""
    told = answers[answers.window.notna() & answers.phase.isin(["main", "repeat"])]
    told = told.assign(changed=(told.window != NORMAL[0]) | (told.level != NORMAL[1]))
    groups = told.groupby("method", sort=False)
    found = groups.agg(answers=("reader", "size"), changed=("changed", "sum")).join(
        told[told.changed].groupby("method").agg(readers=("reader", "nunique"), window=("window", "median"),
                                                 level=("level", "median")))
    return found.fillna({"readers": 0}).astype({"readers": int}).rename(columns={
        "window": "median window where changed", "level": "median level where changed"}).reset_index()


def panels(answers: pd.DataFrame, pack, stimuli: dict[str, dict]) -> dict[str, list[Panel]]:
    """'kinds': the mean image of each kind that was marked; 'images': each image with at least LEAST marks.

    Of clips it is the middle frame, with the marks of all frames.

    pack: the study's pixels by opaque name; stimuli: those of the key.
    """
    table = marked(answers)
    main = {kind: [name for name, item in stimuli.items() if item["method"] == kind and item["phase"] == "main"]
            for kind in dict.fromkeys(table.kind)}
    frames = ", all frames" if any(pack[name].ndim == 3 for name in table.mark_case[:1]) else ""
    kinds = [Panel(f"{kind}: {len(own)} marks{frames}", np.mean([middle(pack[name]) for name in main[kind]], axis=0),
                   own.mark_x.to_numpy(), own.mark_y.to_numpy()) for kind, own in table.groupby("kind", sort=False)]
    often = table.mark_case.value_counts()
    images = [Panel(f"{own.kind.iloc[0]}, {name[:6]}: {len(own)}{frames}", middle(pack[name]), own.mark_x.to_numpy(),
                    own.mark_y.to_numpy())
              for name in often[often >= LEAST].index[:MOST] for own in [table[table.mark_case == name]]]
    return {"kinds": kinds, "images": images}
