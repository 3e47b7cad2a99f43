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
    and permutations of their own.
    """

    def __init__(
        self,
        data: ImageSet | Slices | Mapping[str, ImageSet | Slices],   # on the device where the batches are wanted
        size: int,        # images a batch, of each domain
        seed: int,
    ):
        self.domains = data if isinstance(data, Mapping) else {"": data}
        self.size, self.seed = size, seed
        self._order: dict[tuple[int, int], Tensor] = {}  # the permutations that the latest batch touched

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """{'image': (B, 1, H, W) uint8}, with 'label' (B,) and 'mask' (B, 1, H, W) where known.

        Of named domains such as 'ct' and 'us': 'ct', 'ct_mask', 'us', 'us_label' and so on.
        """
        batch, touched = {}, {}
        for number, (domain, data) in enumerate(self.domains.items()):
            n = len(data)
            first, last = step * self.size, (step + 1) * self.size - 1
            epochs = [(number, epoch) for epoch in range(first // n, last // n + 1)]
            orders = {key: self._order[key] if key in self._order else self._permutation(*key, n) for key in epochs}
            rows = torch.cat(list(orders.values()))[first % n:][:self.size]
            touched |= orders
            for name, value in data.batch(rows).items():
                batch[f"{domain}_{name}".removesuffix("_image") if domain else name] = value
        self._order = touched
        return batch

    def seed_of(self, step: int) -> int:
        """A seed for all random numbers of a step, unrelated to that of any other step or of an epoch."""
        return self._derived(0, step)

    def _permutation(self, domain: int, epoch: int, n: int) -> Tensor:
        return torch.randperm(n, generator=torch.Generator().manual_seed(self._derived(1 + domain, epoch)))

    def _derived(self, purpose: int, number: int) -> int:
        return int(np.random.SeedSequence([self.seed, purpose, number]).generate_state(1, np.uint64)[0] >> 1)
