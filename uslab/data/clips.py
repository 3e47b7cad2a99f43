"""Single frames of whatever holds several: cine DICOM, pages, videos, arrays in NPZ and HDF5."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import dicom, files
from .folders import SUFFIXES
from .reading import read_arrays

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".wmv", ".mpg", ".mpeg")
STACKS = (".npz", ".h5", ".hdf5")
ENDINGS = (*SUFFIXES, *VIDEOS, *STACKS)


@dataclass(frozen=True)
class Shot:
    """One frame of a file."""

    number: int                        # from 0
    grey: np.ndarray                   # (H, W) uint8, as displayed
    colour: float                      # share of coloured pixels
    label: str = ""                    # these three only where an array says so
    group: str = ""
    mask: np.ndarray | None = None     # (H, W) uint8, 1 in the structure


def shots(path: Path, every: int, white: files.White) -> Iterator[Shot]:
    """The frames 0, every, 2 * every and so on of a file; an image is a clip of one frame, an array no clip.

    Raises ValueError, naming the file, if it is damaged, cut off or holds something else.
    """
    suffix = path.suffix.lower()
    if suffix in STACKS:
        yield from stack(path, white)
    elif suffix in VIDEOS:
        yield from video(path, every)
    elif dicom.is_dicom(path):
        for number, picture in enumerate(dicom.pictures(path, every)):
            yield Shot(number * every, *files.in_grey(picture))
    else:
        for page in files.page_numbers(path)[::every]:
            yield Shot(page, *files.read_grey(path, white, page))


def video(path: Path, every: int) -> Iterator[Shot]:
    import cv2

    film = cv2.VideoCapture(str(path))
    try:
        stated, number = int(film.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while film.grab():
            if number % every == 0:
                read, picture = film.retrieve()
                if not read:
                    break
                yield Shot(number, *files.in_grey(np.ascontiguousarray(picture[..., ::-1])))
            number += 1
    finally:
        film.release()
    if number < max(1, stated - 1):
        raise ValueError(f"{path} cannot be read as a video beyond frame {number} of {stated}: it is damaged or cut "
                         "off; get it again or take it out")


def stack(path: Path, white: files.White) -> Iterator[Shot]:
    """The images of an array, with labels, groups and masks where arrays of these names have an entry for each."""
    arrays = read_arrays(path)
    images = pick(arrays, ("images", "image", "x", "data"))
    if images is None:
        large = [name for name, array in arrays.items() if array.ndim >= 3]
        images = arrays[large[0]] if len(large) == 1 else None
    if images is not None and images.ndim == 4 and 1 in images.shape[1::2]:
        images = images[:, 0] if images.shape[1] == 1 else images[..., 0]
    if images is None or images.ndim != 3 or not len(images):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{path} holds the arrays {shapes or 'none'}: expected grey images (N, H, W) called images")
    further = {name: pick(arrays, names) for name, names in (
        ("label", ("labels", "label", "y")), ("group", ("groups", "group", "patients")), ("mask", ("masks", "mask")))}
    for name, array in further.items():
        if array is not None and len(array) != len(images):
            raise ValueError(f"{path} has {len(array)} {name}s for {len(images)} images")
    classes = pick(arrays, ("classes", "class_names"))
    level = 255.0
    if images.dtype != np.uint8:
        floats = np.issubdtype(images.dtype, np.floating)
        if not np.isfinite(images).all() or images.min() < 0:
            raise ValueError(f"{path} holds negative or undefined grey levels: save them as uint8")
        level = white.get("F" if floats else "I") or files.white_of(floats, float(images.max()), path)
    for i, image in enumerate(images):
        label, group = (word(further[name], i) for name in ("label", "group"))
        if classes is not None and label:
            label = word(classes, int(label))
        mask = None if further["mask"] is None else (further["mask"][i].squeeze() > 0).astype(np.uint8)
        grey = image if images.dtype == np.uint8 else dicom.shown(image, 0, level)
        yield Shot(i, np.ascontiguousarray(grey), 0.0, label, group, mask)


def pick(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    """The array whose name, without the groups that it lies in, is the first known one."""
    known = {name.rpartition("/")[2].lower(): array for name, array in reversed(arrays.items())}
    return next((known[name] for name in names if name in known), None)


def word(array: np.ndarray | None, i: int) -> str:
    value = "" if array is None else array[i]
    return value.decode() if isinstance(value, bytes) else str(value)
