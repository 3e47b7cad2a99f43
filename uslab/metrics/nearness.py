"""How near simulated images are to real ones of their kind: grey levels, speckle size and spectrum."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from .sets import Images, both
from .texture import js_distance

PATCH = 28   # pixels, side of the patches of tissue in which speckle is measured
BANDS = 11   # of spatial frequency, from 0 to half a cycle a pixel


def nearness(real: Images, simulated: Images) -> pd.DataFrame:
    """A table with a row a measure and the columns real, simulated and distance.

    Grey levels: the Jensen-Shannon distance (base 2) of the pooled histograms, with the distance of two halves of the
    real images as the floor. Speckle: half width at half height of the autocorrelation, pixels, median over patches of
    even tissue. Spectrum: the largest difference of the radial power spectra, decibels.
    """
    real, simulated = both(real, simulated)
    order = np.random.default_rng(0).permutation(len(real))
    halves = [real[order[i::2]] for i in range(2)]
    widths = [speckle(images) for images in (real, simulated)]
    spectra = [spectrum(images) for images in (real, simulated)]
    gap = np.abs(spectra[0] - spectra[1])
    rows = {
        "mean grey level": (*(float(images.float().mean()) for images in (real, simulated)), np.nan),
        "grey levels, JS distance": (np.nan, np.nan, js_distance(real, simulated)),
        "the same, two halves of the real images": (np.nan, np.nan, js_distance(*halves) if len(real) > 1 else np.nan),
        "speckle along depth, pixels": (widths[0][0], widths[1][0], abs(widths[0][0] - widths[1][0])),
        "speckle across, pixels": (widths[0][1], widths[1][1], abs(widths[0][1] - widths[1][1])),
        "radial spectrum, largest gap, dB": (np.nan, np.nan, float(gap.max())),
    }
    return pd.DataFrame.from_dict(rows, "index", columns=["real", "simulated", "distance"]).round(3)


def speckle(images) -> tuple[float, float]:
    """Half width at half height of the speckle's autocorrelation along depth and across, pixels; NaN without tissue.

    Patches hold no black or white pixel and are brighter than 25 on average; a Gaussian average of a fifth of the
    patch is taken away first, so anatomy counts little.
    """
    widths = []
    for image in images[:, 0].numpy():
        for y in range(0, image.shape[0] - PATCH + 1, PATCH):
            for x in range(0, image.shape[1] - PATCH + 1, PATCH):
                patch = image[y:y + PATCH, x:x + PATCH].astype(float)
                if patch.min() == 0 or patch.max() == 255 or patch.mean() < 25:
                    continue
                patch -= gaussian_filter(patch, PATCH / 5)
                power = np.abs(np.fft.fft2(patch - patch.mean(), (2 * PATCH, 2 * PATCH))) ** 2
                correlation = np.fft.ifft2(power).real
                widths.append([half_width(line / line[0]) for line in (correlation[:PATCH, 0], correlation[0, :PATCH])])
    return tuple(np.median(widths, axis=0)) if widths else (np.nan, np.nan)


def half_width(correlation: np.ndarray) -> float:
    """Where a correlation that begins at 1 first falls to a half, interpolated."""
    below = np.flatnonzero(correlation < 0.5)
    if not len(below):
        return float(len(correlation))
    i = below[0]
    return i - 1 + (correlation[i - 1] - 0.5) / (correlation[i - 1] - correlation[i])


def spectrum(images) -> np.ndarray:
    """(BANDS,) mean radial power spectrum, decibels, of the images under a Hann window."""
    height, width = images.shape[2:]
    window = np.hanning(height)[:, None] * np.hanning(width)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    band = np.minimum((radius / 0.5 * BANDS).astype(int), BANDS)
    power = np.zeros(BANDS)
    for image in images[:, 0].numpy():
        values = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
        power += np.bincount(band.ravel(), values.ravel(), BANDS + 1)[:BANDS]
    counts = np.bincount(band.ravel(), minlength=BANDS + 1)[:BANDS]
    return 10 * np.log10(power / (len(images) * counts) + 1e-12)
