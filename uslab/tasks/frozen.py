"""The classifier 'features': frozen features of EfficientNet-Lite0 and a linear head."""

import numpy as np
import torch
from torch import Tensor, nn

from ..metrics.features import lite0


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
        """Class probabilities (N, K) float64 of features (N, 1280), as uslab.metrics.features gives them."""
        return self.head(torch.from_numpy(features)).double().softmax(1).numpy()
