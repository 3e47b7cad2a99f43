"""compare: all measures of one or more synthetic sets against one real reference, in a table."""

from collections.abc import Mapping

import pandas as pd

from ..score import Score, table
from . import distances, diversity, manifold, memorisation, similarity, structure, texture
from .features import Space, features, one_thread, resolve
from .sets import Images, pixels


def compare(
    real: Images, synthetic: Images | Mapping[str, Images], train: Images | None = None,
    space: str | Space | None = None, pairs: int = 200, draws: int = 20, seed: int = 0,
    device: str = "auto",
) -> pd.DataFrame:
    """One row a measure, with the columns name, value, low, high, n and note of its Score.

    With a mapping, a first column `set` names the set. `scores(...)` returns the same as Score objects.

    Args:
        real: Held-out real images (N, 1, H, W) uint8 or an ImageSet: one reference for all sets.
        synthetic: A set, or sets by name, each with the same number of images.
        train: What the generator was trained on: adds the memorisation test.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        pairs: Random pairs for PSNR, MI, SSIM, MS-SSIM.
        draws: Half-samples an interval; fewer are faster.
        seed: Of the random draws.
        device: Of features, neighbours and LBP: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    if not isinstance(synthetic, Mapping):
        return table(scores(real, synthetic, train, space, pairs, draws, seed, device))
    return pd.concat([table(scores(real, images, train, space, pairs, draws, seed, device), set=name)
                      for name, images in synthetic.items()], ignore_index=True)


def scores(
    real: Images, synthetic: Images, train: Images | None = None, space: str | Space | None = None, pairs: int = 200,
    draws: int = 20, seed: int = 0, device: str = "auto",
) -> list[Score]:
    """The measures of compare() for one synthetic set.

    Args:
        real: Held-out real images (N, 1, H, W) uint8 or an ImageSet.
        synthetic: Synthetic images, uint8 (N, 1, H, W) or an ImageSet.
        train: What the generator was trained on: adds the memorisation test.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        pairs: Random pairs for PSNR, MI, SSIM, MS-SSIM.
        draws: Half-samples for the interval; fewer are faster.
        seed: Of the random draws.
        device: Of features, neighbours and LBP: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    space = resolve(space)
    for images in (real, synthetic) if train is None else (real, synthetic, train):
        features(images, space, device)  # on all cores, and kept for the measures below
    with one_thread():
        return measure(real, synthetic, train, space, pairs, draws, seed, device)


def measure(real, synthetic, train, space, pairs, draws, seed, device) -> list[Score]:
    sampled = {"draws": draws, "seed": seed, "device": device}
    count = structure.scales(pixels(real).shape[2:])
    results = [
        distances.fid(real, synthetic, space, **sampled),
        distances.kid(real, synthetic, space, **sampled),
        *manifold.precision_recall(real, synthetic, space, **sampled),
        texture.lbp_score(real, synthetic, **sampled),
        texture.js_score(real, synthetic, draws, seed),
    ]
    for name, each, note in (
        ("PSNR (dB)", similarity.psnr_each, "data range 255"),
        ("MI (nats)", similarity.mutual_information_each, "256 x 256 bins, biased upwards in small images"),
        ("SSIM", structure.ssim_each, "window of 11 px, sigma 1.5"),
        ("MS-SSIM", structure.ms_ssim_each, f"window of 11 px, {count} of 5 scales"),
    ):
        results.append(similarity.pair_score(name, each, real, synthetic, pairs, seed, note))
    results += [diversity.self_similarity(synthetic, real, pairs, seed),
                diversity.twins(synthetic, real, space, **sampled)]
    if train is not None:
        results += [memorisation.memorisation(synthetic, train, real, space, pixel, **sampled)
                    for pixel in (False, True)]
    return results
