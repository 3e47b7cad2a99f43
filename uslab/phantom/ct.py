"""CT of a simulated upper abdomen, in Hounsfield units, with the organs labelled."""

import numpy as np
from scipy.ndimage import gaussian_filter

from uslab.data.volume import Volume

from .anatomy import TISSUES, Anatomy

SHAPE, VOXEL = (176, 144, 96), 2.0     # voxels; mm
LABELS = ("background", "liver", "pancreas", "stomach", "aorta", "spleen", "kidney", "spine", "ribs", "fat")
# Of each tissue: its label, and the mean and spread between patients of its Hounsfield units, late arterial phase.
MEANING = {
    "air": ("background", -1000, 0), "skin": ("background", 10, 5), "fat": ("fat", -98, 6),
    "muscle": ("background", 55, 4), "lung": ("background", -830, 25), "cortex": ("spine", 480, 60),
    "marrow": ("spine", 220, 25), "rib": ("ribs", 330, 40), "disc": ("background", 85, 8), "liver": ("liver", 58, 2),
    "liver vein": ("liver", 88, 8),
    "vein": ("background", 105, 12), "spleen": ("spleen", 100, 8), "kidney": ("kidney", 140, 12),
    "bile": ("background", 8, 4), "bowel": ("background", 35, 8), "gas": ("background", -950, 10),
    "stomach wall": ("stomach", 55, 5), "stomach fluid": ("stomach", 12, 6), "stomach gas": ("stomach", -960, 8),
    "pancreas": ("pancreas", 85, 6), "duct": ("pancreas", 45, 5), "aorta": ("aorta", 220, 25),
}


def volume(seed: int) -> Volume:
    """What uslab.phantom.abdomen returns.

    The array runs from right to left, from front to back and from feet to head, as most CT files do; the affine says
    so.
    """
    anatomy = Anatomy(np.random.default_rng([0, seed]))
    rng = np.random.default_rng([1, seed])
    affine = np.diag([-VOXEL, -VOXEL, VOXEL, 1.0])
    affine[:3, 3] = [VOXEL * (SHAPE[0] - 1) / 2, VOXEL * (SHAPE[1] - 1) / 2, -VOXEL * (SHAPE[2] - 1) / 2]
    places = np.meshgrid(*(affine[axis, axis] * np.arange(count, dtype=np.float32) + affine[axis, 3]
                           for axis, count in enumerate(SHAPE)), indexing="ij")
    tissue = anatomy.tissue(*(place.astype(np.float32) for place in places))
    level = np.array([rng.normal(*MEANING[name][1:]) for name in TISSUES], np.float32)
    label = np.array([LABELS.index(MEANING[name][0]) for name in TISSUES], np.uint8)
    # A voxel averages over its surroundings; noise of a smooth kernel, and tissue that is not quite even.
    hu = gaussian_filter(level[tissue], 0.5, truncate=3)
    coarse = gaussian_filter(rng.standard_normal([count // 2 for count in SHAPE], dtype=np.float32), 1)
    hu += 30 * np.repeat(np.repeat(np.repeat(coarse, 2, 0), 2, 1), 2, 2) * (tissue > 0)
    hu += rng.uniform(40, 65) * gaussian_filter(rng.standard_normal(SHAPE, dtype=np.float32), 0.7, truncate=3)
    return Volume(np.clip(np.round(hu), -1024, 3071).astype(np.int16), affine, label[tissue], LABELS)
