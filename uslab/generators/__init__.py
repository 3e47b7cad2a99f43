"""Trained generators that are shipped: each a folder beside this file, as Run.export writes it."""

from pathlib import Path

from ..data import ImageSet
from ..models import store

__all__ = ["folder", "names", "sample"]


def names() -> list[str]:
    """The names of the shipped generators."""
    return sorted(path.parent.name for path in store.SHIPPED.glob(f"*/{store.WEIGHTS}"))


def folder(name: str) -> Path:
    """The folder of a shipped generator. Raises ValueError for an unknown name."""
    if name not in names():
        raise ValueError(f"there is no shipped generator {name!r}: there are {', '.join(names()) or 'none'}")
    return store.SHIPPED / name


def sample(
    name: str,       # of a shipped generator
    n: int,          # images
    seed: int = 0,   # image i depends on (seed, i) alone: a longer set begins with the shorter one
) -> ImageSet:
    """n images of a shipped generator, with the labels or masks that it was given; as `uslab generate` writes them."""
    from .lots import image_sets, joined

    return joined(list(image_sets(folder(name), n, seed)))
