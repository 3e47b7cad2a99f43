"""compare: all measures of one or more synthetic sets against one real reference, in a table."""

import dataclasses
from collections.abc import Mapping
from functools import partial

import pandas as pd

from . import distances, memorisation, similarity, texture
from .features import Space, resolve
from .score import Score
from .sets import Images


def compare(
    real: Images,                               # held-out real images: one reference for all sets
    synthetic: Images | Mapping[str, Images],   # a set, or sets by name, each with the same number of images
    train: Images | None = None,                # what the generator was trained on: adds the memorisation test
    space: str | Space | None = None,           # see uslab.metrics.features
    pairs: int = 200,                           # random pairs for PSNR and MI
    draws: int = 20,                            # half-samples an interval; 5 in smoke
    seed: int = 0,
) -> pd.DataFrame:
    """One row a measure, with the columns name, value, low, high, n and note of its Score.

    With a mapping, a first column `set` names the set. `scores(...)` returns the same as Score objects.
    """
    sets = synthetic if isinstance(synthetic, Mapping) else {"": synthetic}
    rows = [{"set": name} | dataclasses.asdict(score) for name, images in sets.items()
            for score in scores(real, images, train, space, pairs, draws, seed)]
    table = pd.DataFrame(rows)
    return table if isinstance(synthetic, Mapping) else table.drop(columns="set")


def scores(
    real: Images,
    synthetic: Images,
    train: Images | None = None,
    space: str | Space | None = None,
    pairs: int = 200,
    draws: int = 20,
    seed: int = 0,
) -> list[Score]:
    """The measures of compare() for one synthetic set."""
    space = resolve(space)
    sampled = {"draws": draws, "seed": seed}
    results = [
        distances.fid(real, synthetic, space, **sampled),
        distances.kid(real, synthetic, space, **sampled),
        texture.lbp_score(real, synthetic, **sampled),
        texture.js_score(real, synthetic, **sampled),
        similarity.pair_score("PSNR (dB)", similarity.psnr_each, real, synthetic, pairs, seed, "data range 255"),
        similarity.pair_score("MI (nats)", partial(similarity.mutual_information_each, bins=256), real, synthetic,
                              pairs, seed, "256 x 256 bins, biased upwards in small images"),
    ]
    if train is not None:
        results += [memorisation.memorisation(synthetic, train, real, space, pixel, **sampled) for pixel in (False, True)]
    return results
