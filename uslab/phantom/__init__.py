"""Simulated ultrasound with exact truth: one scene per organ on a shared speckle physics."""

import importlib

from uslab.data import ImageSet

__all__ = ["abdomen", "load"]

# Each a module beside this file with make(n, size, seed, first).
SCENES = ("breast", "eus", "fetal_head", "liver", "ovary")


def load(name: str, n: int, size: int, seed: int = 0, first: int = 0) -> ImageSet:
    """Simulate an image set. Raises ValueError for an unknown name and for n, size or seed out of range.

    Args:
        name: 'breast', 'eus', 'fetal_head', 'liver' or 'ovary'.
        n: Number of images.
        size: Side of the square images, pixels, 64 to 512.
        seed: Image i depends on (seed, i) alone: a longer set begins with the shorter one.
        first: Index of the first image: of a set that is made in parts.
    """
    if name not in SCENES:
        raise ValueError(f"unknown phantom {name!r}: choose one of {', '.join(SCENES)}, or use uslab.data.load")
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if not 0 <= first < n:
        raise ValueError(f"first must be 0 to {n - 1}, not {first}")
    if not 64 <= size <= 512:
        raise ValueError(f"size must be 64 to 512 pixels, not {size}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    return importlib.import_module(f".{name}", __name__).make(n, size, seed, first)


def abdomen(seed: int):
    """Simulate a CT of the upper abdomen: a uslab.data.volume.Volume of 176x144x96 voxels of 2 mm.

    hu is int16; the labels are liver, pancreas, stomach (with what is in it), aorta, spleen, kidney, spine, ribs and
    fat. The seed decides anatomy, Hounsfield units and noise. Raises ValueError for a negative seed.

    Args:
        seed: The patient; those of the set 'eus' are others.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    return importlib.import_module(".ct", __name__).volume(seed)
