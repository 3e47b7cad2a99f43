"""The stimuli of a study: one preparation for real and synthetic images, opaque names, and the key that is sealed."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

PACK = "stimuli.safetensors"


@dataclass(frozen=True)
class Source:
    """Images of one origin as they came, before the common preparation."""

    name: str
    images: list[np.ndarray]            # (H, W) uint8 each; of clips (F, H, W)
    files: list[str]                    # what each is called where it came from
    groups: list[str] | None = None     # patient or exam of each, where known
    phantom: bool = False               # simulated ultrasound
    clips: list[str] | None = None      # the clip of which each image is a frame, where known


def read(
    name: str,                  # 'real', or the method
    given: Any,                 # any source of uslab.data.open
    side: int | None = None,    # of phantoms, which are drawn as large as is wanted, pixels
) -> Source:
    """The images of an origin. Raises ValueError or FileNotFoundError, naming it, for what holds no images.

    Files of a folder keep their own sizes: they are read as grey levels and nothing else is done to them here.
    """
    from uslab.data import own, source
    from uslab.data.files import check_sizes

    try:
        if source.kind(given) == "folder":
            folder = Path(given).expanduser()
            table = own.listed(folder)
            images = own.greys(folder, table)
            check_sizes([folder / file for file in table.file], [image.shape for image in images])
            return Source(name, images, table.file.tolist(), table.group.tolist() if "group" in table else None,
                          own.simulated(table), table["clip"].tolist() if "clip" in table else None)
        images = source.open(given, size=side if source.kind(given) == "phantom" else None)
    except (OSError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{name}: {error}") from None
    files = [f"{name} {i}" for i in range(len(images))]
    if isinstance(given, (str, Path)) or hasattr(given, "table"):
        files = images.table.file.astype(str).tolist()
    groups = None if images.groups is None else [images.group_names[i] for i in images.groups.tolist()]
    clips = images.table["clip"].fillna("").astype(str).tolist() if "clip" in images.table else None
    return Source(name, list(images.images[:, 0].cpu().numpy()), files, groups, images.source == "phantom", clips)


def choose(source: Source, n: int, rng: np.random.Generator) -> list[int]:
    """n different images at random, from as many patients as there are. Raises ValueError if there are too few."""
    seen, groups, rank = set(), {}, []
    for i in rng.permutation(len(source.images)):
        digest = hashlib.sha256(source.images[i].tobytes()).digest()
        if digest not in seen:      # an image saved twice would come back as if it were a repetition
            seen.add(digest)
            group = source.groups[i] if source.groups else int(i)
            groups[group] = groups.get(group, 0) + 1
            rank.append((groups[group], int(i)))
    if len(rank) < n:
        raise ValueError(f"{source.name}: {n} different images are needed, but there are {len(rank)} "
                         f"({len(source.images)} with copies)")
    return [i for _, i in sorted(rank, key=lambda pair: pair[0])][:n]


def prepare(
    sources: list[Source],      # all origins, real and synthetic
    size: int | None,           # side of the images, pixels; None: the smallest longest side among all
    crop: bool,                 # crop every image to its scan region first, and paint over text
) -> list[Source]:
    """The same preparation for every image, whatever its origin: crop if asked, pad to a square, resize.

    Nothing is enlarged: a size above the smallest image's would tell its origin by blur. Raises ValueError for that.
    """
    from uslab.data import prepare as common

    if crop:
        sources = [replace(s, images=[common.frame(image).image for image in s.images]) for s in sources]
    sides = {s.name: min(max(image.shape[-2:]) for image in s.images) for s in sources}
    smallest = min(sides, key=sides.get)
    if size and size > sides[smallest]:
        raise ValueError(f"size is {size}, but {smallest} has images of {sides[smallest]} pixels: enlarging them alone "
                         "would tell them from the rest; take at most that size")
    size = size or sides[smallest]
    return [replace(s, images=[np.stack([common.square(frame, size) for frame in frames(image)]).reshape(
        *image.shape[:-2], size, size) for image in s.images]) for s in sources]


def frames(stimulus: np.ndarray) -> np.ndarray:
    """(F, H, W) of a clip; a still is one frame."""
    return stimulus.reshape(-1, *stimulus.shape[-2:])


def middle(stimulus: np.ndarray) -> np.ndarray:
    """(H, W) of the middle frame of a clip; a still as it is."""
    own = frames(stimulus)
    return own[len(own) // 2]


def with_text(sources: list[Source]) -> list[str]:
    """'origin: file' of each image that seems to hold burnt-in text or callipers."""
    from uslab.data.prepare import burnt_in

    return [f"{s.name}: {file}" for s in sources for image, file in zip(s.images, s.files)
            if any(burnt_in(frame).any() for frame in frames(image))]


def identity(secret: bytes, image: np.ndarray) -> str:
    """The opaque name of an image: 16 hexadecimal digits that only the holder of the secret can connect with pixels."""
    return hmac.new(secret, repr(image.shape).encode() + image.tobytes(), hashlib.sha256).hexdigest()[:16]


def noise_like(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An attention item: the pixels of a real image in random order, which nobody can take for a scan."""
    return rng.permutation(image.reshape(-1)).reshape(image.shape)


def write(path: Path, stimuli: dict[str, np.ndarray]) -> str:
    """Write the pack, images or clips of one shape in the order of their opaque names; returns its SHA-256."""
    from safetensors.numpy import save

    names = sorted(stimuli)
    content = save({"pixels": np.stack([stimuli[name] for name in names])}, {"names": json.dumps(names)})
    path.touch(mode=0o600)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


class Pack:
    """The stimuli on disk; an image is read when it is asked for."""

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: copy the study's folder public/ whole")
        self.path = path
        try:
            with safe_open(path, "np") as file:
                self.names = json.loads(file.metadata()["names"])
                self.shape = tuple(file.get_slice("pixels").get_shape()[1:])
                self.length = self.shape[0] if len(self.shape) == 3 else 1      # frames
        except (SafetensorError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({error}): copy the study's folder public/ whole") from None
        self._row = {name: row for row, name in enumerate(self.names)}

    def __getitem__(self, name: str) -> np.ndarray:
        """(H, W) uint8 of one stimulus; of a clip (F, H, W)."""
        from safetensors import safe_open

        row = self._row[name]
        with safe_open(self.path, "np") as file:
            return file.get_slice("pixels")[row:row + 1][0]

    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def commitment(key: dict, nonce: str) -> str:
    """SHA-256 of the key's canonical JSON and a secret nonce: known before, it proves later that nothing changed."""
    canonical = json.dumps(key, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical + bytes.fromhex(nonce)).hexdigest()


def seal(path: Path, key: dict) -> str:
    """Write the key readable by its owner alone; returns the commitment."""
    import os

    nonce = secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"nonce": nonce, "key": key}, file, indent=1, sort_keys=True)
    return commitment(key, nonce)


def unseal(path: Path, expected: str) -> dict:
    """The key. Raises ValueError if it is not the one that the study was built with."""
    try:
        content = json.loads(path.read_text())
        found = commitment(content["key"], content["nonce"])
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: name the sealed key's file, or the folder SEALED") from None
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no key of a study ({error})") from None
    if found != expected:
        raise ValueError(f"{path} is not the key that this study was built with: its hash is {found[:12]}..., the "
                         f"study committed itself to {expected[:12]}.... Find the original file; no result may rest on "
                         "this one")
    return content["key"]
