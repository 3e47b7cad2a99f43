"""Images of a trained generator by number: image i depends on the seed and i alone, however many are asked for."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..data import ImageSet
from ..models import store
from ..models.sketches import PALETTE, shrink

LOT = 8       # images that share the seed of one call of sample()


def image_sets(
    source: str | Path,               # a run's folder, an exported generator's, or a shipped generator's name
    n: int,                           # one behind the number of the last image
    seed: int,
    condition: str | None = None,     # a class, of a GAN that is told classes; None: as often as it was trained on
    first: int = 0,                   # number of the first image
    device: str = "auto",
) -> Iterator[ImageSet]:
    """Images first to n - 1, up to LOT at a time, with labels and masks where the generator was given some.

    Raises ValueError for a class that it does not know.
    """
    gan, facts = store.load(source, device), store.about(source)
    card, data = facts["data"], facts.get("trained_on", {})
    if isinstance(card, dict):      # of two domains, the last is the one that is translated to
        card, data = list(card.values())[-1], list(data.values())[-1] if data else {}
    classes, told = tuple(data.get("classes", ())), getattr(gan.config, "classes", 0)
    if condition is not None and not (told and condition in classes):
        raise ValueError(f"{source} does not know the class {condition!r}: "
                         + (f"choose one of {', '.join(classes)}" if told else "it was trained on one kind of image"))
    present = tuple(name for name, count in data.get("classes", {}).items() if count)
    for number in range(first // LOT, -(-n // LOT)):
        start = number * LOT
        of_lot = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
        given = gan.drawn(LOT, of_lot) if condition is None else torch.full((LOT,), classes.index(condition))
        rows = slice(max(first - start, 0), min(n - start, LOT))
        images = gan.sample(LOT, of_lot, given)[rows]
        names = [f"{start + i:05d}" for i in range(LOT)[rows]]
        table = pd.DataFrame({"file": names, "synthetic": True, "generator": Path(source).name, "seed": seed})
        values = {}
        if told:
            values = {"labels": given[rows].long(), "classes": classes}
        elif len(present) == 1:
            values = {"labels": torch.zeros(len(images), dtype=torch.int64), "classes": present}
        if facts["model"] == "PGSGAN":
            values |= {"masks": as_large_as(given[rows].cpu(), images), "mask_names": PALETTE}
        yield ImageSet(images, card, "phantom" if card.startswith("phantom") else "real", table, **values)


def as_large_as(labels: Tensor, images: Tensor) -> Tensor:
    """Label images at the side of images that have not grown yet."""
    return labels if labels.shape == images.shape else shrink(labels)




def joined(parts: list[ImageSet]) -> ImageSet:
    """Parts of one set, one behind the other."""
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels", "masks")
               if getattr(parts[0], name) is not None}
    return dataclasses.replace(parts[0], table=pd.concat([part.table for part in parts], ignore_index=True), **tensors)
