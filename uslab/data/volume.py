"""Volume: a CT in Hounsfield units with its labels and its place in the patient."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT of one patient. The axes of hu and labels may point anywhere; the affine says where."""

    hu: np.ndarray                   # (X, Y, Z) float32 or int16, Hounsfield units
    affine: np.ndarray               # (4, 4) float64, voxel indices to mm, right-anterior-superior as in nibabel
    labels: np.ndarray               # (X, Y, Z) uint8, an index into label_names
    label_names: tuple[str, ...]     # 'background' first

    def __post_init__(self):
        if self.hu.ndim != 3 or self.hu.shape != self.labels.shape:
            raise ValueError(f"hu and labels must be (X, Y, Z) of one shape, not {self.hu.shape}, {self.labels.shape}")
        if self.affine.shape != (4, 4):
            raise ValueError(f"affine must be (4, 4), not {self.affine.shape}")
        if not self.label_names or self.label_names[0] != "background":
            raise ValueError(f"label_names must begin with 'background', not {self.label_names[:1]}")
        if self.labels.dtype != np.uint8 or int(self.labels.max()) >= len(self.label_names):
            raise ValueError(f"labels must be uint8 below {len(self.label_names)}, not {self.labels.dtype} up to "
                             f"{int(self.labels.max())}")
