"""What the measures accept: an ImageSet, or uint8 images (N, 1, H, W) as a tensor or an array."""

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet
from ..data.device import choose_device

Images = ImageSet | Tensor | np.ndarray


def pixels(images: Images) -> Tensor:
    """The images as a uint8 tensor (N, 1, H, W) on the CPU, N at least 1.

    Raises ValueError for any other type or shape: a measure of images scaled to [-1, 1] would be a wrong number.
    """
    values = torch.as_tensor(images.images if isinstance(images, ImageSet) else images).detach().cpu()
    if values.dtype != torch.uint8 or values.ndim != 4 or values.shape[1] != 1:
        raise ValueError(f"measures take uint8 images (N, 1, H, W), not {values.dtype} {tuple(values.shape)}: "
                         "scale to grey levels 0 to 255 and round first")
    if not len(values):
        raise ValueError("the set holds no images")
    return values


def both(a: Images, b: Images) -> tuple[Tensor, Tensor]:
    """Two sets of images of the same height and width; raises ValueError otherwise."""
    a, b = pixels(a), pixels(b)
    if a.shape[2:] != b.shape[2:]:
        raise ValueError(f"images of {a.shape[2]}x{a.shape[3]} and {b.shape[2]}x{b.shape[3]} cannot be compared: "
                         "give real and synthetic images one preparation and one size")
    return a, b


def groups(images: Images) -> np.ndarray:
    """(N,) number of each image's patient or exam; where none is known every image is its own group."""
    return images.group_numbers() if isinstance(images, ImageSet) else np.arange(len(images))


def on(device: str) -> torch.device:
    """Where a measure is computed; 'auto' is a CUDA card or the processor: on 'mps' no measure has been checked."""
    found = choose_device(device)
    return torch.device("cpu") if device == "auto" and found.type == "mps" else found
