"""Seconds of the measures, beside the plain form of each in the same run.

    python benchmarks/metrics_speed.py

Prints one line a measure: ours, the plain form, the ratio, and how far the two results are apart. About two minutes on
two quiet cores; beside other busy processes the plain forms and the linear algebra slow down tenfold and more.
"""

import copy
import time

import numpy as np
import scipy.linalg
import torch

from uslab import metrics, phantom
from uslab.metrics.features import LITE0_SIZE, lite0
from uslab.metrics.inception_v3 import InceptionV3


def seconds(function, *arguments):
    """The result and the seconds of one call."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def matrix_root(a: np.ndarray, b: np.ndarray) -> float:
    """The Frechet distance as pytorch-fid and others compute it."""
    one, two = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(one @ two).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + two - 2 * root))


def subset_kernel(a: np.ndarray, b: np.ndarray) -> float:
    """The kernel distance over 100 subsets of 1000, as usual; each is computed anew."""
    rng = np.random.default_rng(0)
    return float(np.mean([metrics.kernel_distance(a[rng.choice(len(a), 1000, False)],
                                                  b[rng.choice(len(b), 1000, False)])
                          for _ in range(100)]))


def plain_features(embed, images: torch.Tensor) -> np.ndarray:
    """The features in batches of 64, with torch's threads in each layer, as a plain loop has it."""
    with torch.inference_mode():
        return torch.cat([embed(part) for part in images.split(64)]).numpy()


def inception_features(images: torch.Tensor) -> None:
    """Inception-v3 with random weights, as its speed does not depend on them; plain is the network as published."""
    torch.manual_seed(0)
    network = InceptionV3()
    space = metrics.Space.of("random", copy.deepcopy(network).fold(), batch=4)  # as the space 'inception' has it
    line(f"Inception features of {len(images)} (random weights), against plain",
         seconds(metrics.features, images, space), seconds(plain_features, network, images))


def line(what: str, ours: tuple, plain: tuple) -> None:
    gap = np.abs(np.asarray(ours[0]) - plain[0]).max() / np.abs(plain[0]).max()
    print(f"{what:60} {ours[1]:8.2f} s  plain {plain[1]:8.2f} s  {plain[1] / ours[1]:6.1f} times as fast  "
          f"apart {gap:.0e}")


def main():
    rng = np.random.default_rng(0)
    scale = np.arange(1, 2049) ** -0.5  # features have a decaying spectrum
    a, b = (rng.normal(size=(3000, 2048)) * scale + shift for shift in (0, 0.01))
    for n in (400, 3000):
        line(f"Frechet distance, {n} x 2048, against sqrtm", seconds(metrics.frechet_distance, a[:n], b[:n]),
             seconds(matrix_root, a[:n], b[:n]))
    line("kernel distance, 3000 x 2048, against 100 subsets", seconds(metrics.kernel_distance, a, b),
         seconds(subset_kernel, a, b))

    real, fake = (phantom.load("fetal_head", 500, 64, seed=seed) for seed in (0, 1))
    lite0()
    line(f"lite0 features of 500 at {LITE0_SIZE} px, against plain", seconds(metrics.features, real),
         seconds(plain_features, lite0().embed, real.images))
    inception_features(real.images[:64])
    print(f"{'compare(500 real, 500 synthetic of 64x64)':60} {seconds(metrics.compare, real, fake)[1]:8.2f} s")


if __name__ == "__main__":
    main()
