"""How far a GAN's samples are from real images, while it trains."""

import numpy as np

from .distances import frechet_distance, kernel_distance
from .features import Space, features, resolve
from .sets import Images


class Distance:
    """Frechet and kernel distance of a GAN's samples to fixed real images, as Board(watch=...) draws them.

    One that chooses a checkpoint by it must report on other images. Without intervals: at this n it is good for a
    curve, not for a table.

    Args:
        real: Real images (N, 1, H, W) uint8 or an ImageSet that the GAN does not train on.
        n: Real images, drawn once, and samples that are compared each time.
        seed: Of the draw and of the latents, which are the same each time.
        space: 'lite0', 'inception' or a Space; None: as in fid().
    """

    def __init__(self, real: Images, n: int = 100, seed: int = 0, space: str | Space | None = None):
        self.space, self.seed, self.n = resolve(space), seed, min(n, len(real))
        rows = np.sort(np.random.default_rng(seed).permutation(len(real))[:self.n])
        self.real = features(real[rows], self.space)

    def __call__(self, gan) -> dict[str, float]:
        """'distance_FD-<space>' and 'distance_KD-<space> x 1000' of n new samples; FID and KID in Inception space."""
        made = features(gan.sample(self.n, self.seed), self.space)
        names = ("FID", "KID") if self.space.name == "inception" else (f"FD-{self.space.name}", f"KD-{self.space.name}")
        return {f"distance_{names[0]}": frechet_distance(self.real, made),
                f"distance_{names[1]} x 1000": 1000 * kernel_distance(self.real, made)}
