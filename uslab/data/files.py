"""Read image files of any common kind as displayed grey levels or as masks, with errors that name the file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from . import dicom
from .atomic import write_atomically

SHEET = "contact sheet of uslab"   # the mark of a picture of many images, in its file's comment
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM")    # of pictures, by Pillow
FAR_SMALLER = 4                    # times smaller than the median of its set: a thumbnail
SMALLEST = 32                      # pixels of the shorter side of an ultrasound image, at least
White = dict[str, float]           # the level that is shown white: "I" of integers of more than 8 bits, "F" of floats


def read_grey(path: Path, white: White | None = None, page: int | None = None) -> tuple[np.ndarray, float]:
    """Grey levels (H, W) uint8 as a viewer displays them, and the share of coloured pixels (0 for grey files).

    Colours become luma; transparent pixels become black; a photograph stands upright as its EXIF says; a DICOM file
    goes through its own tables and window (see dicom). Grey levels of more than 8 bits are linear from 0 to the white
    level of the folder (see whites), of the file alone if none is given. Raises ValueError, naming the file, if it is
    damaged, cut off, no image, or holds several frames and no `page` of them is asked for.
    """
    if dicom.is_dicom(path):
        if (frames := dicom.facts(path).frames) > 1:
            raise ValueError(several(path, f"{frames} frames"))
        return in_grey(next(dicom.pictures(path)))
    image = flat(opened(path, page))
    if not deep(image):
        return in_grey(np.array(image))
    values, level = levels(image, path), stated(image) or (white or whites([path]))[kind(image)]
    return dicom.shown(values, 0, level), 0.0


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A mask of one structure, (H, W) uint8, 1 in the structure, which is white, or all that is not 0 among few levels.

    A smooth or lossy mask is cut at half its brightest level. Raises ValueError, naming the file, for another shape,
    and for several levels of which nothing says which is the structure.
    """
    image = None if dicom.is_dicom(path) else flat(opened(path))
    values = levels(image, path) if image is not None and deep(image) else read_grey(path)[0]
    if values.shape != shape:
        raise ValueError(f"{path} is {values.shape}, its image {shape}: a mask has the size of its image")
    found = np.unique(values)
    found, top = found[found > 0], found[-1]
    if 1 < found.size < 8 and found[0] <= top / 2:
        raise ValueError(f"{path} holds the levels {', '.join(f'{level:g}' for level in found)}: a mask is of one "
                         "structure; save the one that is meant in white on black")
    return (values > top / 2).astype(np.uint8)


def whites(paths: Iterable[Path]) -> White:
    """The levels that are shown white in files of more than 8 bits, one for all, so that their differences stay.

    16 bits where a file uses the highest of them; floats from 0 to 1, or to 255. Raises ValueError where neither is
    so, as with 12 bits in 16, of which nothing says that they are 12: then it has to be stated.
    """
    top: dict[str, tuple[float, Path]] = {}
    for path in paths:
        try:
            with begun(path) as image:
                needed, numbers = deep(image) and not stated(image), pages(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):   # the reader will name it
            continue
        if needed:
            for page in numbers:
                image = opened(path, page)
                highest = float(levels(image, path).max())
                top[kind(image)] = max(top.get(kind(image), (-1.0, path)), (highest, path))
    return {name: white_of(name == "F", *highest) for name, highest in top.items()}


def white_of(
    floats: bool,        # whether the levels are floats
    highest: float,      # of all that share a range
    path: Path,          # where it is
) -> float:
    """The level that is shown white. Raises ValueError, naming the file, where none can be told."""
    ranges = (1.0, 255.0) if floats else (65535.0,) if highest > 32767 else ()
    if not (fit := [white for white in ranges if highest <= white]):
        raise ValueError(f"{path} reaches the level {highest:g}, and nothing says which level is white: state it, such "
                         "as 4095 for 12 bits, in the column white of labels.csv or as `uslab data import --white`")
    return fit[0]


def flat(image: Image.Image) -> Image.Image:
    """The image in L, RGB or a mode of more than 8 bits; transparent pixels are black."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image if image.mode == "L" or deep(image) else image.convert("L" if image.mode == "1" else "RGB")


def deep(image: Image.Image) -> bool:
    """Whether the pixels have more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def kind(image: Image.Image) -> str:
    return "F" if image.mode == "F" else "I"


def tag(image: Image.Image, number: int, default: int) -> int:
    """The first value of a TIFF's tag."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return value[0] if isinstance(value, tuple) else value


def stated(image: Image.Image) -> float:
    """The white level that a file of more than 8 bits states: a TIFF of 10 or 12 bits; 0 where it states none."""
    bits = tag(image, 258, 16)      # BitsPerSample
    return 2.0 ** bits - 1 if deep(image) and 8 < bits < 16 else 0.0


def levels(image: Image.Image, path: Path) -> np.ndarray:
    """Grey levels of more than 8 bits as stored, from black on. Raises ValueError for negative or undefined ones."""
    values = np.array(image)
    if tag(image, 262, 1) == 0:     # WhiteIsZero, which Pillow does not turn where there are 16 bits
        values = 2 ** tag(image, 258, 16) - 1 - values
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{path} holds negative or undefined grey levels: save it as 8- or 16-bit grey")
    return values


def in_grey(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Grey levels of (H, W) or RGB (H, W, 3) uint8; the share of coloured pixels, whose channels differ by over 40."""
    if pixels.ndim == 2:
        return pixels, 0.0
    return np.array(Image.fromarray(pixels).convert("L")), float((np.ptp(pixels, axis=2) > 40).mean())


def several(path: Path, what: str) -> str:
    return (f"{path} holds {what}: write those that you want as single images, with `uslab data import FOLDER --out "
            "SET --every 10`")


def opened(path: Path, page: int | None = None) -> Image.Image:
    """The picture, decoded and upright. Raises ValueError, naming the file, for anything but one whole picture.

    Of a file that holds several, `page` says which, as pages() numbers them.
    """
    try:
        image = begun(path)
        if image.format == "PNG":
            image.verify()      # its checksums; decoding ends before the last of them
            image = begun(path)
        numbers = pages(image)
        image.seek(numbers[0] if page is None else page)
        image.load()
        mark = is_sheet(image)
        ImageOps.exif_transpose(image, in_place=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: get the data set again, or unpack it again") from None
    except Exception as error:      # Pillow's plugins raise many kinds for damaged files
        reason = "its content is not that of an image" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{path} cannot be read as an image ({reason}): it is damaged, cut off or something else "
                         "under this name; get it again or take it out") from None
    if page is None and len(numbers) > 1:
        raise ValueError(several(path, f"{len(numbers)} pages"))
    if mark:
        raise ValueError(f"{path} is a contact sheet, a picture of many images and not one of them: take it out, or "
                         "name single images, such as those that `uslab generate RUN --out DIR` writes")
    return image


def begun(path: Path) -> Image.Image:
    """The picture, not yet decoded. Raises UnidentifiedImageError for others than FORMATS: some would run programs."""
    image = Image.open(path)
    if image.format not in FORMATS:
        raise UnidentifiedImageError(f"it is {image.format}")
    return image


def page_numbers(path: Path) -> list[int]:
    """Which pictures a file holds; [0] of one that cannot be read, which is named when it is."""
    try:
        with begun(path) as image:
            return pages(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return [0]


def pages(image: Image.Image) -> list[int]:
    """Which pictures a file holds; a TIFF's reduced copies and masks, and a photograph's second view, are not named."""
    if image.format == "MPO":
        return [0]
    numbers = list(range(getattr(image, "n_frames", 1)))
    if image.format == "TIFF" and len(numbers) > 1:
        kinds = [(image.seek(number), tag(image, 254, 0))[1] for number in numbers]     # NewSubfileType
        numbers = [number for number, bits in zip(numbers, kinds) if not bits & 5]
        image.seek(0)
    return numbers or [0]


def write_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write a picture of many images, (H, W) uint8, as .png or .jpg with the mark by which readers refuse it."""
    picture, mark = Image.fromarray(sheet), PngInfo()
    mark.add_text("Comment", SHEET)
    kind, values = ("png", {"pnginfo": mark}) if path.suffix == ".png" else ("jpeg", {"comment": SHEET, "quality": 90})
    write_atomically(path, lambda part: picture.save(part, kind, **values))


def is_sheet(image: Image.Image) -> bool:
    """Whether an image that was opened carries the mark of write_sheet."""
    return any(image.info.get(key) in (SHEET, SHEET.encode()) for key in ("Comment", "comment"))   # PNG, JPEG


def check_sizes(paths: list[Path], shapes: list[tuple[int, int]]) -> None:
    """Raise ValueError, naming it, for an image too small for ultrasound or far smaller than the others of its set."""
    sides = [max(shape) for shape in shapes]
    for path, shape in zip(paths, shapes):
        if min(shape) < SMALLEST:
            raise ValueError(f"{path} has only {shape[1]}x{shape[0]} pixels: no ultrasound image; take it out")
        if max(shape) <= np.median(sides) / FAR_SMALLER:
            raise ValueError(f"{path} has {shape[1]}x{shape[0]} pixels, the others about {np.median(sides):.0f} on "
                             "their longer side: a thumbnail? Take it out")


def stack(images: Iterable[np.ndarray]) -> torch.Tensor:
    """(H, W) uint8 arrays to one (N, 1, H, W) tensor."""
    return torch.from_numpy(np.stack(list(images)))[:, None]
