"""Controls of a distance: what it says where the truth is known (Grimwood 2021, table 3)."""

import dataclasses

import numpy as np
import pandas as pd
import torch

from ..data import ImageSet
from ..score import table
from .distances import fid, kid
from .features import Space, resolve
from .sets import Images, groups, pixels

# Grimwood adds noise of standard deviation 0.1 and does not say on which scale.
NOISE = {"noise 0.1 of [0, 1]": 25.5, "noise 0.1 of [-1, 1]": 12.75}  # standard deviation, grey levels


def controls(real: Images, space: str | Space | None = None, draws: int = 20, seed: int = 0,
             device: str = "auto") -> pd.DataFrame:
    """Frechet and kernel distance between random halves of the real set, and from one half to the other with noise.

    Two rows a control, with the columns control, name, value, low, high, n and note. The halves show the least that a
    distance can be at this n, the noise what a bad one is. No patient or exam is in both halves. Grimwood compares all
    images with all images plus noise, so that each has its own noisy copy in the other set; halves do not.

    Args:
        real: Real images, uint8 (N, 1, H, W) or an ImageSet.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        draws: Half-samples for the interval; fewer are faster.
        seed: Of the random draws.
        device: Where the features are computed: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    space = resolve(space)
    images, of = pixels(real), groups(real)
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(of))
    first = np.isin(of, names[:len(names) // 2])
    one, other = (real[rows] for rows in (np.flatnonzero(first), np.flatnonzero(~first)))
    sets = {"random halves": other}
    for name, deviation in NOISE.items():
        noisy = images[~first].numpy() + rng.normal(0, deviation, images[~first].shape)
        noisy = torch.from_numpy(noisy.round().clip(0, 255).astype(np.uint8))
        sets[name] = dataclasses.replace(other, images=noisy) if isinstance(other, ImageSet) else noisy
    return pd.concat([table([measure(one, images, space, draws, seed, device) for measure in (fid, kid)], control=name)
                      for name, images in sets.items()], ignore_index=True)
