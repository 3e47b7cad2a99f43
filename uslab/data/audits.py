"""Audit an ImageSet: what would leak, bias or mislead, as tables and as text."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from .cache import remembered
from .collect import COLOURED
from .duplicates import SAME_FRAME, SAME_SWEEP, find
from .imageset import ImageSet

UNKNOWN = "not measured"


def audit(
    images: ImageSet,                          # one set, all of its splits together
    split: list[str] | np.ndarray | None = None,   # the split of each image; None: the table's column split, if any
) -> "Audit":
    """Look for near-duplicates, leaks between splits, imbalance, burnt-in overlays, colour, exposure and sizes.

    Near-duplicates are looked for when first asked for: seconds for some hundred images. Give images at 200 pixels or
    more; below that too little speckle is left to tell two frames of one patient from one frame saved twice.
    """
    if split is None and "split" in images.table:
        split = images.table.split
    if split is not None and len(split) != len(images):
        raise ValueError(f"split has {len(split)} entries for {len(images)} images")
    return Audit(images, None if split is None else np.asarray(split, str))


@dataclass(frozen=True, eq=False)
class Audit:
    """What audit() found. Each finding is a DataFrame with a row a case; `summary` counts them."""

    images: ImageSet
    split: np.ndarray | None = field(repr=False)   # (N,) str

    def __repr__(self) -> str:
        return f"Audit of {self.images.card}:\n" + "\n".join(
            f"  {row.found:>6}  {row.what}" for row in self.summary.itertuples())

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Row numbers a, b and score of all pairs from SAME_SWEEP on."""
        return remembered(self.images.images.cpu(), lambda: find(list(self.images.images[:, 0].cpu().numpy())))

    @cached_property
    def duplicates(self) -> pd.DataFrame:
        """One frame saved twice: file_a, file_b, score, and across: 'class', 'split', 'class, split' or ''."""
        return self.named(self.pairs[self.pairs.score >= SAME_FRAME])

    @cached_property
    def sweeps(self) -> pd.DataFrame:
        """Neighbouring frames of one sweep, like duplicates: one patient, even where no patient ids exist."""
        return self.named(self.pairs[self.pairs.score.between(SAME_SWEEP, SAME_FRAME, inclusive="left")])

    def named(self, pairs: pd.DataFrame) -> pd.DataFrame:
        a, b = pairs.a.to_numpy(int), pairs.b.to_numpy(int)
        files = self.images.table.file.to_numpy()
        labels = None if self.images.labels is None else self.images.labels.cpu().numpy()
        across = [", ".join(name for name, values in (("class", labels), ("split", self.split))
                            if values is not None and values[i] != values[j]) for i, j in zip(a, b)]
        return pd.DataFrame({"file_a": files[a], "file_b": files[b], "score": pairs.score.round(3).to_numpy(),
                             "across": pd.Series(across, dtype=str)})

    @cached_property
    def groups_in_two_splits(self) -> pd.DataFrame:
        """Patients, exams or duplicate groups with images on both sides of a split: group, splits, images."""
        if self.split is None or self.images.groups is None:
            return pd.DataFrame(columns=["group", "splits", "images"])
        table = pd.DataFrame({"group": self.images.groups.cpu().numpy(), "split": self.split})
        found = table.groupby("group").split.agg([lambda s: ", ".join(sorted(set(s))), "nunique", "size"])
        found = found[found["nunique"] > 1].reset_index()
        return pd.DataFrame({"group": [self.images.group_names[i] for i in found.group], "splits": found.iloc[:, 1],
                             "images": found["size"]})

    @cached_property
    def classes(self) -> pd.DataFrame:
        """Images, groups and share of each class, by split where there are splits."""
        if self.images.labels is None:
            return pd.DataFrame(columns=["class", "split", "images", "groups", "share"])
        table = pd.DataFrame({"class": np.array(self.images.classes)[self.images.labels.cpu().numpy()],
                              "split": "all" if self.split is None else self.split,
                              "group": self.images.group_numbers()})
        counts = table.groupby(["class", "split"]).group.agg(images="size", groups="nunique").reset_index()
        return counts.assign(share=(counts.images / counts.groupby("split").images.transform("sum")).round(3))

    @cached_property
    def overlays(self) -> pd.DataFrame:
        """Images in which the preparation painted over text or callipers: file, overlay (share of the pixels)."""
        return self.above("overlay", 0)

    @cached_property
    def colour(self) -> pd.DataFrame:
        """Images with colour, as in colour Doppler: file, colour (share of the file's pixels). Grey copies hide it."""
        return self.above("colour", COLOURED)

    def above(self, column: str, limit: float) -> pd.DataFrame:
        table = self.images.table
        if column not in table:
            return pd.DataFrame(columns=["file", column])
        return table.loc[table[column] > limit, ["file", column]].sort_values(column, ascending=False)

    @cached_property
    def exposure(self) -> pd.DataFrame:
        """Images far darker, brighter or flatter than the rest: file, mean, spread, white (share at 250 and above).

        Mean and spread (standard deviation) of the pixels above 4. Far: over 3.5 robust standard deviations from the
        median, or over 5 % white.
        """
        rows = []
        for image in self.images.images[:, 0].cpu().numpy():
            lit = image[image > 4]
            rows.append((lit.mean(), lit.std(), (lit >= 250).mean()) if lit.size else (0.0, 0.0, 0.0))
        table = pd.DataFrame(rows, columns=["mean", "spread", "white"]).round(3)
        centred = (table - table.median()).abs()
        far = (centred / (1.4826 * centred.median() + 1e-6))[["mean", "spread"]].max(axis=1) > 3.5
        return table.assign(file=self.images.table.file.to_numpy())[far | (table.white > 0.05)][
            ["file", "mean", "spread", "white"]]

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """How many files have each size: height, width, images, most frequent first."""
        table = self.images.table
        if "height" not in table:
            return pd.DataFrame(columns=["height", "width", "images"])
        return table.groupby(["height", "width"]).size().rename("images").sort_values(ascending=False).reset_index()

    def count(self, number: int, *needed: str) -> int | str:
        """The number, or UNKNOWN where the set lacks what it needs: split, labels, groups or a column of the table."""
        images, table = self.images, self.images.table
        known = {name: table[name].notna().all() for name in table} | {     # NaN where only some images were measured
            "split": self.split is not None, "labels": images.labels is not None, "groups": images.groups is not None}
        return number if all(known.get(name, False) for name in needed) else UNKNOWN

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a finding: what, found, which is UNKNOWN where nothing tells."""
        across, labels = self.duplicates.across, self.images.labels
        rows = [
            ("pairs that show one frame twice", len(self.duplicates)),
            ("of them, in two classes", self.count(int(across.str.contains("class").sum()), "labels")),
            ("of them, in two splits", self.count(int(across.str.contains("split").sum()), "split")),
            ("further pairs of frames of one sweep", len(self.sweeps)),
            ("groups (patients, exams, duplicates) in two splits",
             self.count(len(self.groups_in_two_splits), "split", "groups")),
            ("of the images are in the largest class",
             UNKNOWN if labels is None else f"{labels.bincount().max() / len(labels):.0%}"),
            ("images with text or callipers painted over", self.count(len(self.overlays), "overlay")),
            ("images with colour", self.count(len(self.colour), "colour")),
            ("images of unusual exposure", len(self.exposure)),
            ("files of another size than the most frequent one",
             self.count(int(self.sizes.images.iloc[1:].sum()), "height")),
        ]
        return pd.DataFrame(rows, columns=["what", "found"])
