"""Inception-v3 as FID, KID and the Inception score mean it: TensorFlow's graph of 2015-12-05, in plain PyTorch.

The layers are those of Szegedy 2016 (Rethinking the Inception Architecture, section 6). What differs from torchvision's
network is what Heusel 2017 measured with: the resize of TensorFlow 1, mean pools that leave the border's padding out, a
max pool in the last block, 1008 classes. The layers' names are those of the published weights, which torch-fidelity
(https://github.com/toshas/torch-fidelity, Apache-2.0) converted from that graph and pytorch-fid uses too.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIDE = 299


class Layer(nn.Module):
    """Convolution, batch norm, ReLU; with stride 1 the border is padded so that the size stays, unless told."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padded: bool = True):
        super().__init__()
        padding = "same" if stride == 1 and padded else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Block35(nn.Module):
    """Four branches on the grid of 35x35."""

    def __init__(self, inputs: int, pooled: int):
        super().__init__()
        self.branch1x1 = Layer(inputs, 64, 1)
        self.branch5x5_1 = Layer(inputs, 48, 1)
        self.branch5x5_2 = Layer(48, 64, 5)
        self.branch3x3dbl_1 = Layer(inputs, 64, 1)
        self.branch3x3dbl_2 = Layer(64, 96, 3)
        self.branch3x3dbl_3 = Layer(96, 96, 3)
        self.branch_pool = Layer(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)),
                          self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                          self.branch_pool(mean_pool(x))], 1)


class Down35(nn.Module):
    """From 35x35 to 17x17."""

    def __init__(self):
        super().__init__()
        self.branch3x3 = Layer(288, 384, 3, stride=2)
        self.branch3x3dbl_1 = Layer(288, 64, 1)
        self.branch3x3dbl_2 = Layer(64, 96, 3)
        self.branch3x3dbl_3 = Layer(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch3x3(x), self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                          F.max_pool2d(x, 3, 2)], 1)


class Block17(nn.Module):
    """Four branches on the grid of 17x17, with 7x7 parted into rows and columns."""

    def __init__(self, inner: int):
        super().__init__()
        self.branch1x1 = Layer(768, 192, 1)
        self.branch7x7_1 = Layer(768, inner, 1)
        self.branch7x7_2 = Layer(inner, inner, (1, 7))
        self.branch7x7_3 = Layer(inner, 192, (7, 1))
        self.branch7x7dbl_1 = Layer(768, inner, 1)
        self.branch7x7dbl_2 = Layer(inner, inner, (7, 1))
        self.branch7x7dbl_3 = Layer(inner, inner, (1, 7))
        self.branch7x7dbl_4 = Layer(inner, inner, (7, 1))
        self.branch7x7dbl_5 = Layer(inner, 192, (1, 7))
        self.branch_pool = Layer(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
                          self.branch7x7dbl_5(self.branch7x7dbl_4(twice)), self.branch_pool(mean_pool(x))], 1)


class Down17(nn.Module):
    """From 17x17 to 8x8."""

    def __init__(self):
        super().__init__()
        self.branch3x3_1 = Layer(768, 192, 1)
        self.branch3x3_2 = Layer(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Layer(768, 192, 1)
        self.branch7x7x3_2 = Layer(192, 192, (1, 7))
        self.branch7x7x3_3 = Layer(192, 192, (7, 1))
        self.branch7x7x3_4 = Layer(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(wide), F.max_pool2d(x, 3, 2)], 1)


class Block8(nn.Module):
    """Four branches on the grid of 8x8; two of them fork into a row and a column."""

    def __init__(self, inputs: int, last: bool):
        super().__init__()
        self.last = last
        self.branch1x1 = Layer(inputs, 320, 1)
        self.branch3x3_1 = Layer(inputs, 384, 1)
        self.branch3x3_2a = Layer(384, 384, (1, 3))
        self.branch3x3_2b = Layer(384, 384, (3, 1))
        self.branch3x3dbl_1 = Layer(inputs, 448, 1)
        self.branch3x3dbl_2 = Layer(448, 384, 3)
        self.branch3x3dbl_3a = Layer(384, 384, (1, 3))
        self.branch3x3dbl_3b = Layer(384, 384, (3, 1))
        self.branch_pool = Layer(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once, twice = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.last else mean_pool(x)
        return torch.cat([self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once),
                          self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(pooled)], 1)


class InceptionV3(nn.Module):
    """uint8 images (n, 1, H, W) to the features (n, 2048) of FID and KID."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Layer(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Layer(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Layer(32, 64, 3)
        self.Conv2d_3b_1x1 = Layer(64, 80, 1)
        self.Conv2d_4a_3x3 = Layer(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = Block35(192, 32), Block35(256, 64), Block35(288, 64)
        self.Mixed_6a = Down35()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (Block17(inner) for inner in (128, 160, 160, 192))
        self.Mixed_7a = Down17()
        self.Mixed_7b, self.Mixed_7c = Block8(1280, last=False), Block8(2048, last=True)
        self.fc = nn.Linear(2048, 1008)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        x = ((resize(images.float()) - 128) / 128).expand(-1, 3, -1, -1)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """The classes' logits (n, 1008) without the last bias, which the Inception score's own code leaves out."""
        return features @ self.fc.weight.T

    def fold(self) -> "InceptionV3":
        """The same function, faster: batch norms become part of their convolutions, channels lie beside each other."""
        for layer in [module for module in self.modules() if isinstance(module, Layer)]:
            layer.conv, layer.bn = fuse_conv_bn_eval(layer.conv, layer.bn), nn.Identity()
        return self.to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, path: str | Path) -> "InceptionV3":
        """The folded network with the published weights; RuntimeError where a key or a shape is not theirs."""
        model = cls()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return model.float().fold()


def resize(x: Tensor) -> Tensor:
    """To 299x299 as TensorFlow 1 does: output pixel i lies at i * size / 299, between two pixels, never averaged."""
    for dim in (3, 2):
        size = x.shape[dim]
        place = torch.arange(SIDE, dtype=x.dtype, device=x.device) * (size / SIDE)
        low = place.long()
        share = (place - low).view(-1, *[1] * (3 - dim))
        left, right = x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=size - 1))
        x = left + (right - left) * share
    return x


def mean_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
