"""Which images and which random numbers belong to a step: a function of the seed and the step alone."""

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet


class Batches:
    """Batches of an ImageSet by step: windows of an endless row of permutations, one permutation an epoch.

    A batch may span two epochs, so every image is seen equally often, whatever the sizes.
    """

    def __init__(
        self,
        data: ImageSet,   # on the device where the batches are wanted
        size: int,        # images a batch
        seed: int,
    ):
        self.data, self.size, self.seed = data, size, seed
        self._order: dict[int, Tensor] = {}  # the permutation of each epoch that the latest batch touched

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """{'image': (B, 1, H, W) uint8}, with 'label' (B,) and 'mask' (B, 1, H, W) where known."""
        n = len(self.data)
        first, last = step * self.size, (step + 1) * self.size - 1
        epochs = range(first // n, last // n + 1)
        self._order = {epoch: self._order[epoch] if epoch in self._order else self._permutation(epoch)
                       for epoch in epochs}
        row = torch.cat([self._order[epoch] for epoch in epochs])
        rows = row[first - epochs[0] * n:][:self.size].to(self.data.images.device)
        named = {"image": self.data.images, "label": self.data.labels, "mask": self.data.masks}
        return {name: value[rows] for name, value in named.items() if value is not None}

    def seed_of(self, step: int) -> int:
        """A seed for all random numbers of a step, unrelated to that of any other step or of an epoch."""
        return self._derived(0, step)

    def _permutation(self, epoch: int) -> Tensor:
        return torch.randperm(len(self.data), generator=torch.Generator().manual_seed(self._derived(1, epoch)))

    def _derived(self, purpose: int, number: int) -> int:
        return int(np.random.SeedSequence([self.seed, purpose, number]).generate_state(1, np.uint64)[0] >> 1)
