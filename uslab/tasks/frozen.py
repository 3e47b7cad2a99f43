"""Features of EfficientNet-Lite0 for the classifier 'features': each image is computed once in a session."""

import hashlib

import numpy as np
import torch

from ..data import ImageSet
from ..metrics.features import batches, lite0

MOST = 20_000                          # images kept, 5 kB each
KEPT: dict[bytes, np.ndarray] = {}     # hash of the pixels -> features (1280,), oldest first


def frozen_features(images: ImageSet) -> np.ndarray:
    """(N, 1280) float32. Folds and mixtures share most of their images, so features are kept for each image."""
    pixels = images.images.cpu().contiguous()
    shape = str(tuple(pixels.shape[1:])).encode()
    keys = [hashlib.sha256(shape + image.tobytes()).digest() for image in pixels.numpy()]
    found = {key: KEPT[key] for key in keys if key in KEPT}
    rows = {key: i for i, key in enumerate(keys) if key not in found}
    if rows:
        space, wanted = lite0(), list(rows.values())
        # Whole batches only: a smaller last one may be rounded differently, and an image shall have the same features
        # whatever was computed before it.
        wanted += wanted[-1:] * (-len(wanted) % space.batch)
        values = batches(space.embed, pixels[torch.tensor(wanted)], space.batch).numpy()
        found |= dict(zip(rows, values))
        KEPT.update((key, found[key]) for key in rows)
        while len(KEPT) > MOST:
            KEPT.pop(next(iter(KEPT)))
    return np.stack([found[key] for key in keys])
