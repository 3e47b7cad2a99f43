"""Slices: CT planes with one organ in view, cut when they are asked for; only their poses are kept."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .atomic import write_atomically
from .imageset import ImageSet
from .reading import read_tensors
from .slicer import Slicer, View, candidates, kept, label_of
from .volume import Volume

WINDOW = -300.0, 300.0           # Hounsfield units that become black and white: wide, so that fat is not as black as
                                 # what lies outside the fan
DEPTH = 40.0, 60.0               # mm; the paper's "4 mm to 6 mm" must be centimetres
CANDIDATES = 4000                # poses drawn at a stomach, again for every 200 planes that are wanted
OUTSIDE = 0.4                    # of a fan may lie beyond its CT; simulated CTs reach 0.35


@dataclass(frozen=True, eq=False)
class Slices:
    """N planes of one or more CTs, each a pose, a depth and the CT it belongs to.

    Like an ImageSet it has batch(), to(), sha256(), card and source, so a Run trains on it. Indexing gives the Slices
    of those planes.
    """

    slicers: dict[str, Slicer]   # by case
    cases: Tensor                # (N,) int64, which of them
    poses: Tensor                # (N, 4, 4) float64, probe to patient, mm
    depth: Tensor                # (N,) float64, mm from the array's face to the end of the fan
    organ: str
    card: str                    # name of the CTs' data card
    source: str                  # 'phantom' or 'real'
    tally: pd.DataFrame          # one row a case: poses drawn, those that meet the organ, those kept

    @classmethod
    def find(
        cls,
        volumes: Mapping[str, Volume],   # by case
        organ: str,                      # 'aorta', 'liver' or 'pancreas'
        n: int,                          # planes of each case; fewer where its stomach offers fewer
        view: View,
        seed: int,
        card: str = "phantom_abdomen",
        source: str = "phantom",
        outside: float = OUTSIDE,        # share of a plane's fan that may lie beyond the CT
    ) -> "Slices":
        """Draw poses at each stomach and keep those that the paper's rule keeps (sections 2.2 and 2.3).

        The planes shall approximate real views, and no probe sees the edge of a scan: where too much of a fan lies
        beyond a CT that is short or a slab, the plane is refused. Raises ValueError, naming the case, if none is kept.
        """
        slicers, parts, rows = {}, [], []
        for number, (case, volume) in enumerate(volumes.items()):
            label, slicers[case] = label_of(volume, organ), Slicer(volume, view)
            good, count, drawn, met, cut_off = [], 0, 0, 0, 0
            for poses, depth in drawn_at(volume, seed, number, 1 + n // 200):
                hu, labels = slicers[case].planes(poses, depth)
                drawn += len(hu)
                met += int((labels == label).flatten(1).any(1).sum())
                fair = kept(hu, labels, volume.label_names, organ).nonzero()[:, 0]
                within = slicers[case].outside(poses[fair], depth[fair]) <= outside
                cut_off += int((~within).sum())
                rows_kept = fair[within]
                good.append((poses[rows_kept], depth[rows_kept]))
                count += len(rows_kept)
                if count >= n:
                    break
            if not count:
                size = " x ".join(f"{mm:.0f}" for mm in volume.hu.shape * np.linalg.norm(volume.affine[:3, :3], axis=0))
                raise ValueError(
                    f"CT {case}: none of {drawn} views from its stomach shows enough {organ} without bone "
                    f"and lies within the CT ({met} meet it; {cut_off} are refused since more than {outside:.0%} of "
                    f"the fan lies beyond its {size} mm): choose another organ or leave this CT out")
            count = min(count, n)
            rows.append({"case": case, "drawn": drawn, f"meet the {organ}": met, "kept": count})
            parts.append((torch.full((count,), number), *(torch.cat(some)[:n] for some in zip(*good))))
        cases, poses, depth = map(torch.cat, zip(*parts))
        return cls(slicers, cases, poses, depth, organ, card, source, pd.DataFrame(rows))

    def __len__(self) -> int:
        return len(self.poses)

    def __repr__(self) -> str:
        view = next(iter(self.slicers.values())).view
        return (f"Slices({self.card}: {len(self)} {self.source} planes of {view.height}x{view.width} with "
                f"{self.organ}, from {len(self.cases.unique())} CT)")

    def __getitem__(self, index) -> "Slices":
        rows = torch.from_numpy(np.atleast_1d(np.arange(len(self))[index]))
        return dataclasses.replace(self, cases=self.cases[rows], poses=self.poses[rows], depth=self.depth[rows])

    def planes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Hounsfield units (n, 1, H, W) float32 and labels (n, 1, H, W) uint8 of the planes with these numbers."""
        slicers, rows = list(self.slicers.values()), rows.cpu()
        view, device = slicers[0].view, slicers[0].hu.device
        hu = torch.empty(len(rows), 1, view.height, view.width, device=device)
        labels = torch.empty_like(hu, dtype=torch.uint8)
        for case in self.cases[rows].unique().tolist():
            here = (self.cases[rows] == case).nonzero()[:, 0]
            mine = rows[here]
            hu[here.to(device)], labels[here.to(device)] = slicers[case].planes(self.poses[mine], self.depth[mine])
        return hu, labels

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """{'image': uint8 (B, 1, H, W) in WINDOW, 'mask': the labels}, cut now."""
        hu, labels = self.planes(rows)
        return {"image": window(hu), "mask": labels}

    def images(self) -> ImageSet:
        """All planes cut, as an ImageSet with their labels as masks and the CTs as groups."""
        batch = self.batch(torch.arange(len(self)))
        names = list(self.slicers)
        table = pd.DataFrame({"file": [names[case] for case in self.cases.tolist()], "depth_mm": self.depth.numpy()})
        return ImageSet(batch["image"], self.card, self.source, table, masks=batch["mask"], groups=self.cases,
                        mask_names=next(iter(self.slicers.values())).volume.label_names, group_names=tuple(names))

    def to(self, device: torch.device | str) -> "Slices":
        """The same planes with their CTs on a device."""
        slicers = {case: Slicer(slicer.volume, slicer.view, device) for case, slicer in self.slicers.items()}
        return dataclasses.replace(self, slicers=slicers)

    def sha256(self) -> str:
        """Hash of the CTs' voxels and labels, the poses and the view: the data hash of run.json."""
        digest = hashlib.sha256()
        for slicer in self.slicers.values():
            digest.update(voxels(slicer.volume).encode() + str(slicer.view).encode())
        for value in (self.cases, self.poses, self.depth):
            digest.update(value.numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the poses to one safetensors file, atomically: 4x4 matrices, depths, cases, and the CTs' hashes."""
        from safetensors.torch import save

        about = {"organ": self.organ, "card": self.card, "source": self.source, "tally": self.tally.to_dict("list"),
                 "view": dataclasses.asdict(next(iter(self.slicers.values())).view),
                 "ct": {case: voxels(slicer.volume) for case, slicer in self.slicers.items()}}
        tensors = {"poses": self.poses, "depth": self.depth, "cases": self.cases}
        write_atomically(Path(path), lambda part: part.write_bytes(save(tensors, {"slices": json.dumps(about)})))

    @classmethod
    def load(
        cls,
        path: str | Path,
        volumes: Mapping[str, Volume],   # the CTs, by case, that the poses belong to
    ) -> "Slices":
        """Read what save() wrote. Raises ValueError, naming the file, if it is damaged or of other CTs."""
        tensors, words = read_tensors(path)
        if "slices" not in words:
            raise ValueError(f"{path} holds no saved poses; save them again")
        about = json.loads(words["slices"])
        view, slicers = View(**about["view"]), {}
        for case, digest in about["ct"].items():
            if case not in volumes or voxels(volumes[case]) != digest:
                raise ValueError(f"{path} holds poses of the CT {case}, which is "
                                 f"{'another' if case in volumes else 'not'} among those given: pass the CTs that the "
                                 "poses were drawn in")
            slicers[case] = Slicer(volumes[case], view)
        return cls(slicers, organ=about["organ"], card=about["card"], source=about["source"],
                   tally=pd.DataFrame(about["tally"]), **tensors)


def drawn_at(
    volume: Volume,
    seed: int,
    number: int,       # of the CT
    lots: int,         # of CANDIDATES poses each
) -> Iterator[tuple[Tensor, Tensor]]:
    """Poses (64, 4, 4) at the stomach and depths (64,), drawn lot by lot as they are asked for."""
    for lot in range(lots):
        stream = int(np.random.SeedSequence([seed, number, lot]).generate_state(1)[0])
        depth = torch.from_numpy(np.random.default_rng([stream, 2]).uniform(*DEPTH, CANDIDATES))
        yield from zip(candidates(volume, CANDIDATES, stream).split(64), depth.split(64))


def window(hu: Tensor) -> Tensor:
    """Hounsfield units to uint8 grey levels in WINDOW."""
    low, high = WINDOW
    return ((hu - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)


def voxels(volume: Volume) -> str:
    """Hash of a CT with its labels and place."""
    digest = hashlib.sha256()
    for value in (volume.hu, volume.labels, volume.affine):
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
