"""The one way in: whatever names images, from a phantom to a run, becomes an ImageSet."""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .ct import Cases
from .folders import is_run
from .imageset import ImageSet
from .reading import read_json, read_tensors

# Each a module beside this file with read(root, size); the name that users know is not always the module's.
READERS = {"busi": "busi", "ct": "ct", "eus": "eus", "folder": "own", "hc18": "hc18", "mmotu": "mmotu",
           "nafld": "nafld"}
# What makes images lies on floors above this one, so these modules are named here and imported when asked for.
MAKERS = {"phantom": "uslab.phantom", "generator": "uslab.generators"}
N, SIZE = 100, 256      # images of a maker, and the side of a phantom, where nobody says


def open(
    source: Any, root: str | Path | None = None, size: int | None = None, crop: str | None = None,
) -> ImageSet:
    """The images of any source that a command, a notebook or a study can name.

        phantom:NAME                  simulated ultrasound, such as phantom:liver or phantom:liver?n=50,seed=3
        hc18, busi, ...               a data set in its official layout; ./busi is a folder of your own
        a folder of images            with its labels.csv, if there is one
        a run's folder                the last set that it kept up to its checkpoint (Run.save_set)
        generator:NAME                images of a shipped generator; n and seed as with a phantom
        a .safetensors file           a saved ImageSet, or a set that a run kept
        an ImageSet, array or tensor  uint8 (N, 1, H, W) or (N, H, W)

    Saved and generated images have one size, so another `size` is refused. Raises FileNotFoundError or ValueError,
    naming the source and what to do.

    Args:
        source: What names the images, as above; a Path is always a file or folder.
        root: Folder of a data set; default: see folder().
        size: Side of the square images, pixels; None: their own, of a phantom 256.
        crop: As load() takes it; of other sources nothing is cropped.
    """
    what = kind(source)
    if what == "data set" and source == "ct":
        raise ValueError("ct holds volumes, not images: look at it with `uslab data check ct` or uslab.data.load('ct')")
    if what == "data set":
        return load(source, root, size, crop)
    if what == "folder":
        return load("folder", Path(source), size, crop)
    if what == "phantom":
        name, asked = parsed(source)
        return importlib.import_module(MAKERS[what]).load(name, asked.get("n", N), size or SIZE, asked.get("seed", 0))
    if what == "generator":
        name, asked = parsed(source)
        images = importlib.import_module(MAKERS[what]).sample(name, asked.get("n", N), asked.get("seed", 0))
    elif what == "images":
        images = source if isinstance(source, ImageSet) else from_array(source)
    else:
        path = Path(source).expanduser()
        images = saved(last_set(path) if what == "run" else path)
    if len(images) and what != "run" and int(images.images.max()) <= 1:
        raise ValueError(f"{named(source)} holds the grey levels 0 and 1 alone, which show as black: images of 0 to 1 "
                         "that were made uint8? Multiply by 255 first")
    side = max(images.images.shape[2:])
    if size not in (None, side):
        raise ValueError(f"{named(source)} holds images of {side} px, which are"
                         f" taken as they are: leave out the size or give that one")
    return images


def named(source: Any) -> str:
    """What to call a source in words."""
    return str(source) if isinstance(source, (str, Path)) else "the set"


def kind(source: Any) -> str:
    """'phantom', 'generator', 'data set', 'folder', 'run', 'saved' or 'images'. Raises FileNotFoundError for none."""
    if not isinstance(source, (str, Path)):
        return "images"
    if maker(source):
        return maker(source)
    if isinstance(source, str) and source in READERS:
        return "data set"
    if not str(source).strip():
        raise ValueError("the source is empty: name a folder of images (. is this one), a run or a data set")
    path = Path(source).expanduser()
    if path.suffix == ".safetensors" and path.is_file():
        return "saved"
    if not path.is_dir():
        raise FileNotFoundError(
            f"{source} is neither a folder of images or of a run, nor a .safetensors set, a data set "
            f"({', '.join(READERS)}), phantom:NAME or generator:NAME")
    return "run" if is_run(path) else "folder"


def maker(source: Any) -> str:
    """'phantom' or 'generator' for a source that begins so, else ''."""
    begin = source.partition(":")[0] if isinstance(source, str) else ""
    return begin if begin in MAKERS else ""


def parsed(source: str) -> tuple[str, dict[str, int]]:
    """The name and the numbers n and seed that a phantom's or generator's source gives."""
    name, _, words = source.partition(":")[2].partition("?")
    asked = {}
    for word in filter(None, words.split(",")):
        key, _, number = word.partition("=")
        if key not in ("n", "seed") or not number.isdecimal():
            raise ValueError(f"{source}: {word!r} is neither n=NUMBER nor seed=NUMBER, as in phantom:liver?n=50,seed=3")
        asked[key] = int(number)
    return name, asked


def completed(source: Any, **numbers: int) -> Any:
    """The source with n and seed where it names a phantom or a generator and does not give them; else as it is."""
    if not maker(source):
        return source
    asked = numbers | parsed(source)[1]
    return f"{source.partition('?')[0]}?{','.join(f'{key}={number}' for key, number in asked.items())}"


def folder(name: str, root: str | Path | None = None) -> Path:
    """Where a data set lies: root if given, else $USLAB_DATA/<name>, else a per-user folder."""
    if root:
        return Path(root).expanduser()
    if base := os.environ.get("USLAB_DATA"):
        return Path(base).expanduser() / name
    import platformdirs

    return Path(platformdirs.user_data_dir("uslab", appauthor=False)) / name


def load(
    name: str, root: str | Path | None = None, size: int | None = None, crop: str | None = None,
) -> ImageSet | Cases:
    """Read a real data set from its official layout on disk; 'ct' gives Cases, which reads a Volume when asked for it.

    Raises ValueError for an unknown name; what a reader raises names the file and what to do.

    Args:
        name: One of READERS, such as 'hc18'.
        root: Folder that holds the official layout; default: see folder().
        size: Side of the square images, pixels; None: the native longest side.
        crop: Of 'eus' and 'folder', to the scan region: "each" image by itself (the default of 'folder'), once a
            "patient" (that of 'eus'), so that all its frames have one scale, or "none". Frames that come out in one
            shape of the latter two keep it, `size` being its longest side. Other sets have no choice.
    """
    if name not in READERS:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(READERS)}, or use uslab.phantom.load")
    root = folder(name, root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is not a folder; data_cards/{name}.md says how to get {name}. Pass its folder as root, or set "
            f"USLAB_DATA to the folder that holds {name}/; a folder of your own by this name is ./{name}")
    return importlib.import_module(f".{READERS[name]}", __package__).read(
        root, size, **({"crop": crop} if crop and name in ("eus", "folder") else {}))


def from_array(images: Any) -> ImageSet:
    pixels = np.ascontiguousarray(images.cpu() if isinstance(images, torch.Tensor) else images)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 1:
        raise ValueError(f"give an ImageSet, a folder, or grey images as uint8 (N, 1, H, W), not {pixels.dtype} "
                         f"{pixels.shape}")
    table = pd.DataFrame({"file": [f"{i:05d}" for i in range(len(pixels))]})
    return ImageSet(torch.from_numpy(pixels), "folder", "real", table)


def saved(path: Path) -> ImageSet:
    """A saved ImageSet, or a file with the tensor 'images' alone, as runs keep them."""
    tensors, words = read_tensors(path)
    if "imageset" in words:
        return ImageSet.load(path)
    if "images" not in tensors:
        raise ValueError(f"{path} is no saved ImageSet and holds no tensor 'images'")
    images = tensors["images"]
    table, card = pd.DataFrame({"file": [f"{path.name} {i}" for i in range(len(images))]}), "folder"
    if path.absolute().parent.name == "samples" and is_run(path.absolute().parents[1]):
        table["synthetic"] = True
        trained_on = read_json(path.absolute().parents[1] / "config.json").get("data", card)
        # Of two domains, the last is the one that is translated to.
        card = trained_on if isinstance(trained_on, str) else list(trained_on.values())[-1]
    try:
        return ImageSet(images, card, "phantom" if card.startswith("phantom") else "real", table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def last_set(run: Path) -> Path:
    """The last set of samples that a run kept, of a step that its checkpoint has reached."""
    sets = {int(path.stem): path for path in (run / "samples").glob("*.safetensors") if path.stem.isdecimal()}
    checkpoint = run / "checkpoint.json"
    reached = read_json(checkpoint).get("step", 0) if checkpoint.is_file() else max(sets, default=0)
    steps = [step for step in sets if step <= reached]
    if not steps:
        raise FileNotFoundError(f"{run} is a run that kept no set of samples: write some with "
                                f"`uslab generate {run} --out DIR`, then name DIR")
    return sets[max(steps)]
