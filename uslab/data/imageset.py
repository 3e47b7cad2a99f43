"""ImageSet: grey-scale ultrasound images in memory, with what is known of each."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .atomic import write_atomically
from .reading import read_tensors

TENSORS = ("images", "labels", "masks", "groups")
NAMES = ("classes", "mask_names", "group_names", "notes", "seen")   # the fields that are tuples of words


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images of one size, held in memory as uint8, so a batch is an index operation on any device.

    Indexing with a slice, a list, an integer array or a boolean array gives the ImageSet of those images.
    """

    images: Tensor                      # (N, 1, H, W) uint8, grey levels 0 to 255
    card: str                           # name of its data card, data_cards/<card>.md
    source: str                         # 'phantom' or 'real'
    table: pd.DataFrame                 # one row an image: file, and pixel_mm, hc_mm, fat, ... where known
    labels: Tensor | None = None        # (N,) int64, an index into classes
    classes: tuple[str, ...] = ()
    masks: Tensor | None = None         # (N, 1, H, W) uint8, an index into mask_names; 0 is the background
    mask_names: tuple[str, ...] = ()
    groups: Tensor | None = None        # (N,) int64, an index into group_names: the patient or exam
    group_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()         # what a reader must know, such as outlines that had to be closed
    seen: tuple[str, ...] = ()          # of synthetic images: what their generator was trained on, see uslab.tasks

    def __post_init__(self):
        n = len(self.images)
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 1:
            raise ValueError(f"images must be uint8 (N, 1, H, W), not {self.images.dtype} {tuple(self.images.shape)}")
        if self.source not in ("phantom", "real"):
            raise ValueError(f"source must be 'phantom' or 'real', not {self.source!r}")
        for name, names in (("labels", self.classes), ("groups", self.group_names), ("masks", self.mask_names)):
            value = getattr(self, name)
            if value is None:
                continue
            shape = tuple(self.images.shape) if name == "masks" else (n,)
            if tuple(value.shape) != shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {shape}")
            wanted = (torch.uint8,) if name == "masks" else (torch.uint8, torch.int16, torch.int32, torch.int64)
            if value.dtype not in wanted or n and int(value.min()) < 0:
                raise ValueError(f"{name} must be {'uint8' if name == 'masks' else 'integers from 0 on'}, not "
                                 f"{value.dtype}{f' from {value.min()} on' if n else ''}")
            if n and int(value.max()) >= len(names):
                raise ValueError(f"{name} holds {int(value.max())}, but only {len(names)} names are given")
        if len(self.table) != n:
            raise ValueError(f"table has {len(self.table)} rows for {n} images")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, _, h, w = self.images.shape
        made = bool(n) and "synthetic" in self.table and self.table.synthetic.all()
        parts = [f"{n} {'synthetic' if made else self.source} images of {h}x{w}"]
        if self.labels is not None:
            counts = torch.bincount(self.labels.cpu(), minlength=len(self.classes)).tolist()
            parts.append(", ".join(f"{count} {name}" for name, count in zip(self.classes, counts)))
        if self.groups is not None:
            parts.append(f"{len(self.groups.unique())} patients or exams")
        if self.masks is not None:
            parts.append("masks of " + ", ".join(self.mask_names[1:]))
        return f"ImageSet({self.card}: {'; '.join(parts)})"

    def __getitem__(self, index) -> "ImageSet":
        rows = np.atleast_1d(np.arange(len(self))[np.asarray(index.cpu()) if isinstance(index, Tensor) else index])
        picked = torch.from_numpy(rows).to(self.images.device)
        values = {name: value[picked] for name, value in self.tensors().items()}
        return dataclasses.replace(self, table=self.table.iloc[rows].reset_index(drop=True), **values)

    def tensors(self) -> dict[str, Tensor]:
        """Those of images, labels, masks and groups that are known."""
        return {name: getattr(self, name) for name in TENSORS if getattr(self, name) is not None}

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """What a training step gets of these images: 'image', with 'label' and 'mask' where known."""
        named = {"image": self.images, "label": self.labels, "mask": self.masks}
        rows = rows.to(self.images.device)
        return {name: value[rows] for name, value in named.items() if value is not None}

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set with its tensors on a device."""
        return dataclasses.replace(self, **{name: value.to(device) for name, value in self.tensors().items()})

    def split(
        self,
        fraction: float,     # share of the images in the first set, between 0 and 1
        seed: int,           # the same seed gives the same split
    ) -> tuple["ImageSet", "ImageSet"]:
        """Two disjoint sets; all images of a group (patient or exam) stay together, classes keep their shares.

        Without groups every image is its own group. The first set has the fraction asked for as nearly as whole
        groups allow, class by class.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
        groups = self.group_numbers()
        labels = np.zeros(len(self), int) if self.labels is None else self.labels.cpu().numpy()
        rng = np.random.default_rng(seed)
        # A group with images of several classes counts for the class of its first image.
        names, first_image, sizes = np.unique(groups, return_index=True, return_counts=True)
        chosen = []
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels[first_image] == label))
            wanted = fraction * sizes[members].sum()
            filled = np.cumsum(sizes[members])
            # Take the next group while that brings the count nearer to the wanted one.
            chosen.append(names[members[filled - sizes[members] / 2 <= wanted]])
        first = np.isin(groups, np.concatenate(chosen))
        if first.all() or not first.any():
            raise ValueError(f"{len(names)} groups are too few to split off a fraction of {fraction}")
        return self[np.flatnonzero(first)], self[np.flatnonzero(~first)]

    def group_numbers(self) -> np.ndarray:
        """(N,) number of each image's patient or exam; where none is known every image is its own group."""
        return np.arange(len(self)) if self.groups is None else self.groups.cpu().numpy()

    def sha256(self) -> str:
        """Hash of the pixels, labels, masks and groups: the data hash of run.json."""
        digest = hashlib.sha256()
        for name, value in self.tensors().items():
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the set to one safetensors file, atomically; names and table go into its header as JSON."""
        from safetensors.torch import save

        tensors = {name: value.cpu().contiguous() for name, value in self.tensors().items()}
        names = {name: list(getattr(self, name)) for name in NAMES}
        about = {"card": self.card, "source": self.source, **names,
                 "table": self.table.to_dict(orient="split", index=False)}
        about["sha256"] = self.checksum(about)
        write_atomically(Path(path), lambda part: part.write_bytes(save(tensors, {"imageset": json.dumps(about)})))

    def checksum(self, about: dict) -> str:
        """Hash of the tensors and of what the header says of them, as JSON gives it back."""
        return hashlib.sha256((self.sha256() + json.dumps(about)).encode()).hexdigest()

    @classmethod
    def load(cls, path: str | Path) -> "ImageSet":
        """Read a set that save() wrote. Raises ValueError, naming the file, if it is something else."""
        tensors, words = read_tensors(path)
        try:
            about = json.loads(words["imageset"])
            stated = about.pop("sha256", "")    # sets of earlier versions have none
            names = {name: tuple(about.get(name, ())) for name in NAMES}
            found = cls(card=about["card"], source=about["source"], table=pd.DataFrame(**about["table"]), **tensors,
                        **names)
            if stated and found.checksum(about) != stated:
                raise ValueError("its content is not what was saved")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a saved ImageSet, or is damaged ({error}); save it again") from error
        return found
