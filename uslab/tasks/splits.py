"""Folds that part no patient, and the guard that no generator or classifier has seen what it is tested on."""

import hashlib
from collections.abc import Iterable

import numpy as np

from ..data import ImageSet


def folds(images: ImageSet, k: int, seed: int = 0) -> list[tuple[ImageSet, ImageSet]]:
    """k pairs (train, test): each image is in one test set, no patient or exam in two, classes in nearly equal shares.

    Without groups every image counts as its own patient. Raises ValueError without labels, for fewer groups than folds
    and for a set that holds synthetic images, which belong into no test set.

    Args:
        images: Real images with labels, and with groups where patients are known.
        k: Number of folds, at least 2.
        seed: The same seed gives the same folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if images.labels is None:
        raise ValueError(f"the set {images.card} has no labels: folds are stratified by class")
    if "synthetic" in images.table and images.table.synthetic.any():
        raise ValueError("the set holds synthetic images: make the folds of the real images, then mix in each training "
                         "set")
    labels, groups = images.labels.cpu().numpy(), images.group_numbers()
    if not 2 <= k <= len(np.unique(groups)):
        raise ValueError(f"k is {k}: {len(np.unique(groups))} patients or exams allow 2 to that many folds")
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    return [(images[train], images[test]) for train, test in splitter.split(labels, labels, groups)]


def group_labels(images: ImageSet) -> list:
    """The name of each image's patient or exam; where none is known its number."""
    if images.groups is None:
        return list(range(len(images)))
    return [images.group_names[i] for i in images.groups.tolist()]


def identities(images: ImageSet) -> tuple[str, ...]:
    """What an image can be recognised by: a hash of its pixels, and the data set with the name of its patient or exam.

    The pixels find a copy in a set of the same size and preparation; the patient is found at any size.
    """
    pixels = images.images.cpu().contiguous().numpy()
    shape = str(pixels.shape[1:]).encode()
    found = dict.fromkeys("image " + hashlib.sha256(shape + image.tobytes()).hexdigest()[:24] for image in pixels)
    if images.groups is not None:
        found |= dict.fromkeys(f"group {images.card} {images.group_names[i]}" for i in images.groups.unique().tolist())
    return tuple(found)


def guard(
    test: ImageSet,                           # images of a test or validation fold
    seen: ImageSet | Iterable[str],           # a synthetic set, real training images, or what identities() gives
) -> None:
    """Raise ValueError if an image or a patient of a fold was among the images that a network was trained on.

    Of a synthetic set its `seen` counts, the images of its generator; of real images they themselves and `seen`.
    """
    if isinstance(seen, ImageSet):
        synthetic = seen.table.get("synthetic", np.zeros(len(seen), bool))
        seen = (*seen.seen, *identities(seen[~np.asarray(synthetic, bool)]))
    found = [identity.split(" ", 1) for identity in identities(test) if identity in set(seen)]
    if found:
        images = sum(kind == "image" for kind, _ in found)
        names = [name for kind, name in found if kind == "group"]
        what = [f"{images} of {len(test)} images"] if images else []
        what += [f"the patients or exams {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"] if names else []
        raise ValueError(f"{' and '.join(what)} of the test fold were seen in training: split the patients first, and "
                         "train generator and classifier on the training part alone")
