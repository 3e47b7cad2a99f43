"""Read image files of any common kind as grey levels or as class numbers, with errors that name the file."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from .atomic import write_atomically

SHEET = "contact sheet of uslab"   # the mark of a picture of many images, in its file's comment
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".dicom")


def read_grey(path: Path) -> tuple[np.ndarray, float]:
    """Grey levels (H, W) uint8 of an image file, and the share of its pixels that are coloured (0 for grey files).

    Colours become luma; transparent pixels become black; more than 8 bits are scaled from the fewest bits that hold
    the brightest pixel, so a 12-bit image in a 16-bit file keeps its brightness. A DICOM file must hold one frame.
    Raises ValueError, naming the file, if it is damaged, cut off or no image.
    """
    if path.suffix.lower() in (".dcm", ".dicom"):
        return read_dicom(path)
    image = opened(path)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode == "L":
        return np.array(image), 0.0
    if image.mode.startswith("I") or image.mode == "F":
        return eight_bits(np.array(image), path), 0.0
    return luma(np.array(image.convert("RGB")))


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A mask of one structure, (H, W) uint8, 1 where the file is not black. Raises ValueError for another shape."""
    mask = (read_grey(path)[0] > 127).astype(np.uint8)
    if mask.shape != shape:
        raise ValueError(f"{path} is {mask.shape}, its image {shape}: a mask has the size of its image")
    return mask


def opened(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: get the data set again, or unpack it again") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "its content is not that of an image" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{path} cannot be read as an image ({reason}): it is damaged, cut off or something else "
                         "under this name; get it again or take it out") from None
    if is_sheet(image):
        raise ValueError(f"{path} is a contact sheet, a picture of many images and not one of them: take it out, or "
                         "name single images, such as those that `uslab generate RUN --out DIR` writes")
    return image


def read_dicom(path: Path) -> tuple[np.ndarray, float]:
    import pydicom

    try:
        dicom = pydicom.dcmread(path)
        pixels = dicom.pixel_array
    except Exception as error:  # pydicom raises many kinds for damaged files
        raise ValueError(f"{path} cannot be read as a DICOM image ({error}): get it again or take it out") from None
    if int(dicom.get("NumberOfFrames") or 1) > 1:
        raise ValueError(f"{path} holds {dicom.NumberOfFrames} frames: save the frames that you want as single images")
    kind = dicom.PhotometricInterpretation
    if kind.startswith("YBR"):
        pixels = pydicom.pixels.convert_color_space(pixels, kind, "RGB")
    if pixels.ndim == 3:
        return luma(pixels.astype(np.uint8))
    pixels = pixels.astype(np.int64) - (pixels.min() if dicom.PixelRepresentation else 0)
    grey = np.right_shift(pixels, max(0, int(dicom.BitsStored) - 8)).clip(0, 255).astype(np.uint8)
    return (255 - grey if kind == "MONOCHROME1" else grey), 0.0


def eight_bits(values: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{path} holds negative or undefined grey levels: save it as 8- or 16-bit grey")
    bits = max(8, int(values.max()).bit_length())
    return (values / 2 ** (bits - 8)).astype(np.uint8)


def luma(rgb: np.ndarray) -> tuple[np.ndarray, float]:
    """Grey levels of a (H, W, 3) uint8 image and the share of coloured pixels: channels that differ by over 40."""
    grey = np.array(Image.fromarray(rgb).convert("L"))
    return grey, float((np.ptp(rgb, axis=2) > 40).mean())


def write_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write a picture of many images, (H, W) uint8, as .png or .jpg with the mark by which readers refuse it."""
    picture, mark = Image.fromarray(sheet), PngInfo()
    mark.add_text("Comment", SHEET)
    kind, values = ("png", {"pnginfo": mark}) if path.suffix == ".png" else ("jpeg", {"comment": SHEET, "quality": 90})
    write_atomically(path, lambda part: picture.save(part, kind, **values))


def is_sheet(image: Image.Image) -> bool:
    """Whether an image that was opened carries the mark of write_sheet."""
    return any(image.info.get(key) in (SHEET, SHEET.encode()) for key in ("Comment", "comment"))   # PNG, JPEG


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training: config.json beside a checkpoint, sets or contact sheets."""
    return (folder / "config.json").is_file() and any(
        (folder / name).exists() for name in ("checkpoint.safetensors", "samples", "sheets"))


def walk(root: Path) -> list[Path]:
    """All image files under a folder, sorted; links to folders are followed, but never in a loop."""
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(folder, name) for name in sorted(files)
                  if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return found


def stack(images: Iterable[np.ndarray]) -> torch.Tensor:
    """(H, W) uint8 arrays to one (N, 1, H, W) tensor."""
    return torch.from_numpy(np.stack(list(images)))[:, None]
