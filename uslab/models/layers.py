"""Layers, weights, losses and ranges that more than one paper's networks use."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.InstanceNorm2d):
    """InstanceNorm; for sampling on a CPU as a group norm with a channel a group, the same but for rounding.

    PyTorch's own copies images in channels-last memory to and fro, a quarter of the time of a whole sample. Its
    gradient is the faster one, so training keeps it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.is_cuda:
            return super().forward(x)
        return F.group_norm(x, x.shape[1], eps=self.eps)


class Residual(nn.Module):
    """x + F(x), two 3x3 convolutions with reflection padding and InstanceNorm (Johnson 2016, as pix2pix has it)."""

    def __init__(self, width: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), InstanceNorm(width), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), InstanceNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def init_weights(network: nn.Module, std: float) -> None:
    """Convolutions N(0, std), BatchNorm's gain N(1, std), biases 0 (Radford 2016, section 4; the code of pix2pix)."""
    for module in network.modules():
        convolution = isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
        if convolution or isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 0.0 if convolution else 1.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def normalise(grey: Tensor) -> Tensor:
    """Grey levels in [0, 255] to a generator's range [-1, 1]."""
    return grey / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """A generator's range [-1, 1] to uint8 grey levels."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def bce(logits: Tensor, target: float) -> Tensor:
    """Mean binary cross-entropy of logits against one target for all, in float32."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
