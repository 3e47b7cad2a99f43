"""The classifier 'features': frozen features of EfficientNet-Lite0, computed once in a session, and a linear head."""

import hashlib

import numpy as np
import torch
from torch import Tensor, nn

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


class FrozenClassifier(nn.Module):
    """Grey levels (B, 1, H, W), 0 to 255, to logits (B, K): Lite0 and, as its last layer, a logistic regression."""

    layer = "maps"      # whose activations Grad-CAM shows

    def __init__(self, scaler, regression, classes: int):
        """scaler, regression: fitted by scikit-learn on the features; a class that they do not know has no chance."""
        super().__init__()
        weight, bias = regression.coef_ / scaler.scale_, regression.intercept_
        bias = bias - weight @ scaler.mean_
        if len(weight) == 1:        # of two classes scikit-learn keeps one row: the logit of the second
            weight, bias = np.stack([0 * weight[0], weight[0]]), np.array([0, bias[0]])
        self.net, self.maps, self.head = lite0().embed, nn.Identity(), nn.Linear(weight.shape[1], classes)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.fill_(-torch.inf)
            self.head.weight[regression.classes_] = torch.from_numpy(weight).float()
            self.head.bias[regression.classes_] = torch.from_numpy(bias).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.maps(self.net.maps(images)).mean((2, 3)))

    @torch.inference_mode()
    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities (N, K) float64 of features (N, 1280) that frozen_features has kept."""
        return self.head(torch.from_numpy(features)).double().softmax(1).numpy()
