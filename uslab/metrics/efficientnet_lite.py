"""EfficientNet-Lite (Tan 2019, Liu 2020): EfficientNet without squeeze-and-excitation, ReLU6 for swish, fixed ends.

Layers are named as in the published weight files. Google's description: "Higher accuracy on vision models with
EfficientNet-Lite" (TensorFlow blog, 2020); numbers of layers and channels as in TensorFlow's efficientnet_lite_builder.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Repeats, side of the kernel, stride, expansion, channels of each stage of Lite0 (Tan 2019, table 1).
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))
KINDS = {"lite0": (1.0, 1.0, 224, 0.2), "lite2": (1.1, 1.2, 260, 0.3)}    # width, depth, native side, dropout
STEM, HEAD = 32, 1280             # channels of the ends, which no kind scales
EPSILON, MOMENTUM = 1e-3, 0.01    # of batch normalisation
DROP_CONNECT = 0.2                # share of the images that pass by the last block in training; less before it


def channels(number: int, width: float) -> int:
    """Channels times width, rounded to a multiple of 8 that is at least 0.9 times as large."""
    rounded = max(8, int(number * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * number * width else rounded


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow pads an image of the given side: one pixel more at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, side: int, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        pad = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        self.sides = (pad // 2, pad - pad // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.sides) if any(self.sides) else x)


def norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=EPSILON, momentum=MOMENTUM)


class Block(nn.Module):
    """Expand, filter each channel, project; added to what came in where that has the same shape."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int, side: int, drop: float):
        super().__init__()
        inner = inputs * expand
        if expand > 1:
            self._expand_conv, self._bn0 = SameConv2d(inputs, inner, 1, 1, side), norm(inner)
        self._depthwise_conv, self._bn1 = SameConv2d(inner, inner, kernel, stride, side, inner), norm(inner)
        self._project_conv, self._bn2 = SameConv2d(inner, outputs, 1, 1, side), norm(outputs)
        self.expands, self.skips, self.drop = expand > 1, stride == 1 and inputs == outputs, drop

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        if not self.skips:
            return y
        if self.training and self.drop:      # stochastic depth: some images pass by
            kept = torch.rand(len(y), 1, 1, 1, dtype=y.dtype, device=y.device) >= self.drop
            y = y / (1 - self.drop) * kept
        return x + y


class EfficientNetLite(nn.Module):
    """Images (n, 3, H, W), scaled to (x - 127) / 128, to logits (n, classes)."""

    def __init__(
        self,
        kind: str,               # 'lite0' or 'lite2'
        classes: int = 1000,
    ):
        super().__init__()
        width, depth, side, dropout = KINDS[kind]
        self._conv_stem, self._bn0 = SameConv2d(3, STEM, 3, 2, side), norm(STEM)
        plan, inputs, side = [], STEM, math.ceil(side / 2)
        for number, (repeats, kernel, stride, expand, outputs) in enumerate(STAGES):
            outputs = channels(outputs, width)
            repeats = repeats if number in (0, len(STAGES) - 1) else math.ceil(depth * repeats)
            for repeat in range(repeats):
                plan.append((inputs, outputs, kernel, 1 if repeat else stride, expand, side))
                inputs, side = outputs, side if repeat else math.ceil(side / stride)
        self._blocks = nn.ModuleList(Block(*row, DROP_CONNECT * index / len(plan)) for index, row in enumerate(plan))
        self._conv_head, self._bn1 = SameConv2d(inputs, HEAD, 1, 1, side), norm(HEAD)
        self._dropout, self._fc = nn.Dropout(dropout), nn.Linear(HEAD, classes)

    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps, (n, 1280, H / 32, W / 32)."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self._fc(self._dropout(self.maps(x).mean((2, 3))))
