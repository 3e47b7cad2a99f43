"""Real and synthetic images in one training set: by their share of it or relative to the real ones."""

import dataclasses

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..data import ImageSet
from .splits import identities

SYNTHETIC = "synthetic"   # the column of the table that says which images are, and the name of their group


def synthetic_set(
    images: Tensor, trained_on: ImageSet, label: int | str | Tensor | None = None, masks: Tensor | None = None,
) -> ImageSet:
    """Synthetic images as an ImageSet that remembers in `seen` what its generator was trained on.

    Without a label the set has none. Raises ValueError for a class that trained_on does not name.

    Args:
        images: (n, 1, H, W) uint8, from a GAN's sample().
        trained_on: All images that the GAN was trained on.
        label: One class of trained_on for all of them, or (n,) int64.
        masks: (n, 1, H, W) uint8 that a conditional GAN was given, structures of trained_on.
    """
    n, classes = len(images), trained_on.classes
    if isinstance(label, str):
        if label not in classes:
            raise ValueError(f"no class {label!r}: there are {', '.join(classes)}")
        label = classes.index(label)
    labels = None if label is None else torch.as_tensor(label).cpu().long().expand(n).clone()
    return ImageSet(
        images=images.cpu(), card=trained_on.card, source=trained_on.source, labels=labels,
        classes=() if labels is None else classes, masks=masks,
        mask_names=() if masks is None else trained_on.mask_names,
        table=pd.DataFrame({"file": [f"synthetic {i:05d}" for i in range(n)], SYNTHETIC: True}),
        groups=torch.zeros(n, dtype=torch.int64), group_names=(SYNTHETIC,), seen=identities(trained_on))


def join(*sets: ImageSet) -> ImageSet:
    """All images of several sets of one size and with the same classes, real and synthetic, in their order.

    The table's column `synthetic` says which are; `seen` holds what any of their generators was trained on. All
    synthetic images form one group. Masks are kept if all sets have the same structures. Raises ValueError for sets
    that do not fit together.

    Args:
        *sets: The sets, of one size and with the same classes.
    """
    first = sets[0]
    for other in sets[1:]:
        if other.classes != first.classes:
            raise ValueError(f"the classes {other.classes} and {first.classes} cannot be joined")
        if other.images.shape[2:] != first.images.shape[2:]:
            raise ValueError(f"images of {tuple(other.images.shape[2:])} and {tuple(first.images.shape[2:])} pixels "
                             "cannot be joined: give both one preparation and one size")
    names: dict[str, int] = {}
    groups = []
    for number, images in enumerate(sets):
        if images.groups is None:   # every image is its own patient
            own = [f"{number} {file}" for file in images.table.file]
        else:
            own = [images.group_names[i] for i in images.groups.tolist()]
        groups += [names.setdefault(name, len(names)) for name in own]
    table = pd.concat([images.table.assign(**{SYNTHETIC: images.table.get(SYNTHETIC, False)}) for images in sets],
                      ignore_index=True)
    masked = all(images.masks is not None and images.mask_names == first.mask_names for images in sets)
    return dataclasses.replace(
        first, images=torch.cat([images.images for images in sets]), table=table,
        labels=torch.cat([images.labels for images in sets]) if first.classes else None,
        masks=torch.cat([images.masks for images in sets]) if masked else None,
        mask_names=first.mask_names if masked else (),
        groups=torch.tensor(groups), group_names=tuple(names),
        seen=tuple(dict.fromkeys(name for images in sets for name in images.seen)),
        notes=tuple(dict.fromkeys(note for images in sets for note in images.notes)))


def mix(
    train: ImageSet, synthetic: ImageSet, *, share: float | None = None, relative: float | None = None,
    fixed: str = "real", seed: int = 0,
) -> ImageSet:
    """A training set of real and synthetic images, drawn without replacement, in the same proportion in each class.

    A share of 25, 50, 75 % is 33, 100, 300 % relative to the real images: the papers use both, so there are two
    arguments, of which one is given. With fixed='real' synthetic images are added; with fixed='total' they replace
    real ones. Raises ValueError if both or none is given, or where a class has too few synthetic images.

    Args:
        train: Real images with labels.
        synthetic: At least as many of each class as are wanted, from synthetic_set or join.
        share: Synthetic images in the mixture, 0 to below 1 (Grimwood: 0, 0.25, 0.5, 0.75).
        relative: Synthetic images for each real one in the mixture (Maack: 0.5, 1, 2).
        fixed: 'real': all real images stay; 'total': the mixture is as large as train.
        seed: Which images are drawn.
    """
    if (share is None) == (relative is None):
        raise ValueError("give share (of the mixture) or relative (to the real images), one of them")
    if share is not None and not 0 <= share < 1:
        raise ValueError(f"share is {share}: it is a part of the mixture, from 0 to below 1; 3 synthetic images for "
                         "each real one are share=0.75 or relative=3")
    if relative is not None and relative < 0:
        raise ValueError(f"relative is {relative}: it is the number of synthetic images for each real one, at least 0")
    if fixed not in ("real", "total"):
        raise ValueError(f"fixed is {fixed!r}: choose 'real' or 'total'")
    if train.labels is None or synthetic.labels is None:
        raise ValueError("both sets need labels: images are mixed class by class")
    share = relative / (1 + relative) if share is None else share
    rng = np.random.default_rng(seed)
    counts = np.bincount(train.labels.cpu().numpy(), minlength=len(train.classes))
    wanted = allot(counts * (share if fixed == "total" else share / (1 - share)))
    kept, added = [], []
    for label, (name, n) in enumerate(zip(train.classes, wanted)):
        real, made = (rng.permutation(np.flatnonzero(images.labels.cpu().numpy() == label))
                      for images in (train, synthetic))
        if n > len(made):
            raise ValueError(f"{n} synthetic images of the class {name} are wanted, but there are {len(made)}: sample "
                             "more, or choose a smaller share")
        kept.append(real[:len(real) - n] if fixed == "total" else real)
        added.append(made[:n])
    return join(train[np.sort(np.concatenate(kept))], synthetic[np.sort(np.concatenate(added))])


def allot(exact: np.ndarray) -> np.ndarray:
    """Whole numbers nearest to the exact ones, with their rounded sum: the largest remainders are rounded up."""
    found = np.floor(exact + 1e-9).astype(int)
    short = round(float(exact.sum())) - found.sum()
    found[np.argsort(found - exact, kind="stable")[:short]] += 1
    return found
