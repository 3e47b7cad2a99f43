"""classify_all: the rows of a table of training sets, equally trained, with the controls that it needs."""

import math
from collections.abc import Mapping

import numpy as np
import torch

from ..data import ImageSet
from .classify import classify
from .mix import SYNTHETIC, join, synthetic_set
from .result import Result
from .splits import identities


def classify_all(
    train: ImageSet, test: ImageSet, sets: Mapping[str, ImageSet], model: str = "features", *, epochs: int = 10,
    batch_size: int = 32, weighted=True, seed: int = 0, **settings,
) -> dict[str, Result]:
    """Results by row on the same test images: the real images alone, the controls, then the given training sets.

    Each row gets the same number of optimiser steps, whatever is in it: `epochs` passes through the largest set. Only
    'real only' gets the steps of its own epochs, as in most papers ('features' takes no steps and has no such row
    twice). The controls ask how much of a gain comes without a generator: from more steps; from copies, or noise, in
    the place of the synthetic images of the set that has most of them; from class weights (or none, where the other
    rows have them); and from copies that make the classes equal. Raises ValueError like classify, and where a generator
    has seen real images that are not in `train`: its row would have more real images than the others.

    Args:
        train: The real images of the fold, with labels.
        test: Real images of other patients.
        sets: Training sets by row, from mix or join.
        model: See classify.
        epochs: Passes through the largest set, of which the number of steps follows.
        batch_size: Images a step.
        weighted: See classify.
        seed: Of the copies, the noise, the initial weights and the batches.
        **settings: Further arguments of classify: lr, weights, device.
    """
    known = set(identities(train))
    for title, images in sets.items():
        if strangers := set(images.seen) - known:
            raise ValueError(f"the generator of {title!r} has seen {len(strangers)} real images or patients that are "
                             "not in train: train it on the images that the real-only row is given")
    rows = {"real only, same steps": train, **controls(train, sets, seed), **sets}
    steps = {name: epochs * math.ceil(size / batch_size)
             for name, size in (("own", len(train)), ("all", max(map(len, rows.values()))))}

    def result(images: ImageSet, updates: int, weigh=weighted) -> Result:
        return classify(images, test, model, steps=updates, batch_size=batch_size, weighted=weigh, seed=seed,
                        **settings)

    found = {"real only": result(train, steps["own"])}
    if model == "features":
        del rows["real only, same steps"]
    weigh = "class weights" if weighted is False else "no class weights"
    found[f"real only, {weigh}"] = result(train, steps["all"], weighted is False)
    return found | {title: result(images, steps["all"]) for title, images in rows.items()}


def controls(train: ImageSet, sets: Mapping[str, ImageSet], seed: int) -> dict[str, ImageSet]:
    """Training sets without a generator: classes made equal; copies and noise in the place of synthetic images."""
    rng = np.random.default_rng(seed)

    def copies(images: ImageSet, labels: np.ndarray) -> list[int]:
        """Rows of images of these classes, each image as often as the others of its class."""
        own = images.labels.cpu().numpy()
        return [row for label in np.unique(labels) if (own == label).any() for row in np.resize(
            rng.permutation(np.flatnonzero(own == label)), np.sum(labels == label))]

    labels = train.labels.cpu().numpy()
    largest = np.bincount(labels).max()
    found = {"real, oversampled": train[np.sort(copies(train, np.repeat(np.unique(labels), largest)))]}
    made = [np.asarray(images.table.get(SYNTHETIC, np.zeros(len(images))), bool) for images in sets.values()]
    if not any(mask.any() for mask in made):
        return found
    most = int(np.argmax([mask.sum() for mask in made]))
    mixture, fake = list(sets.values())[most], made[most]
    real, wanted = mixture[~fake], mixture.labels[torch.tensor(fake)].cpu()
    noise = torch.from_numpy(rng.integers(0, 256, (len(wanted), *train.images.shape[1:]), dtype=np.uint8))
    return found | {"real, duplicated": join(real, real[copies(real, wanted.numpy())]),
                    "real + noise": join(real, synthetic_set(noise, train, wanted))}
