"""Which images and which random numbers belong to a step: a function of the seed and the step alone."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .imageset import ImageSet
from .slices import Slices


class Batches:
    """Batches by step: windows of an endless row of permutations, one permutation an epoch.

    A batch may span two epochs, so every image is seen equally often, whatever the sizes. Unpaired domains have epochs
    and permutations of their own. With `validation` the end of each permutation is no part of its epoch: other images
    every time (Grimwood 2021, section 2.3), so that most of them are trained on in other epochs.
    """

    def __init__(
        self,
        data: ImageSet | Slices | Mapping[str, ImageSet | Slices],   # on the device where the batches are wanted
        size: int,        # images a batch, of each domain
        seed: int,
        validation: float = 0.0,    # share of the images that each epoch leaves out
    ):
        self.domains = data if isinstance(data, Mapping) else {"": data}
        self.size, self.seed = size, seed
        self.sizes = {name: len(part) - round(validation * len(part)) for name, part in self.domains.items()}
        if not all(self.sizes.values()):
            raise ValueError(f"validation is {validation:g}: it leaves no image to train on, choose a smaller share")
        self._order: dict[tuple[int, int], Tensor] = {}  # the permutations that the latest batch touched

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """{'image': (B, 1, H, W) uint8}, with 'label' (B,) and 'mask' (B, 1, H, W) where known.

        Of named domains such as 'ct' and 'us': 'ct', 'ct_mask', 'us', 'us_label' and so on.
        """
        batch, touched = {}, {}
        for number, (domain, data) in enumerate(self.domains.items()):
            n = self.sizes[domain]
            first, last = step * self.size, (step + 1) * self.size - 1
            epochs = [(number, epoch) for epoch in range(first // n, last // n + 1)]
            orders = {key: self._order[key] if key in self._order else self._permutation(*key, len(data))
                      for key in epochs}
            rows = torch.cat([order[:n] for order in orders.values()])[first % n:][:self.size]
            touched |= orders
            batch |= self._cut(domain, data, rows)
        self._order = touched
        return batch

    def left_out(self, step: int) -> dict[str, Tensor]:
        """Like a batch: all the images that the epoch in which a step ends leaves out, of each domain."""
        batch = {}
        for number, (domain, data) in enumerate(self.domains.items()):
            n = self.sizes[domain]
            order = self._permutation(number, ((step + 1) * self.size - 1) // n, len(data))
            batch |= self._cut(domain, data, order[n:])
        return batch

    @staticmethod
    def _cut(domain: str, data: ImageSet | Slices, rows: Tensor) -> dict[str, Tensor]:
        return {f"{domain}_{name}".removesuffix("_image") if domain else name: value
                for name, value in data.batch(rows).items()}

    def seed_of(self, step: int) -> int:
        """A seed for all random numbers of a step, unrelated to that of any other step or of an epoch."""
        return self._derived(0, step)

    def _permutation(self, domain: int, epoch: int, n: int) -> Tensor:
        return torch.randperm(n, generator=torch.Generator().manual_seed(self._derived(1 + domain, epoch)))

    def _derived(self, purpose: int, number: int) -> int:
        return int(np.random.SeedSequence([self.seed, purpose, number]).generate_state(1, np.uint64)[0] >> 1)
