"""DiffAugment (Zhao 2020): shifts, holes and grey levels that the discriminator sees and the generator does not.

Images are (B, C, H, W) in [-1, 1]. What is random is drawn in `diff_augment`; the other functions are without chance.
"""

import torch
from torch import Tensor

POLICIES = ("translation,cutout", "colour,translation,cutout", "translation", "cutout", "colour")
FILLS = {"grey": 0.0, "black": -1.0}   # of [-1, 1]: zero, as in the paper, is mid-grey and leaks as grey patches


def diff_augment(
    images: Tensor,                        # (B, C, H, W) in [-1, 1]
    policy: str = "translation,cutout",    # what to do: Maack 2022's two; the original has colour before them
    fill: str = "grey",                    # what comes in from outside and fills the hole: 'grey' or 'black'
) -> Tensor:
    """The images, each with its own random shift, hole and colour, always (there is no p)."""
    n, _, h, w = images.shape
    device = images.device
    if "colour" in policy:
        bright, saturate, contrast = torch.rand(3, n, 1, 1, 1, device=device)
        images = colour(images, bright - 0.5, 2 * saturate, contrast + 0.5)
    if "translation" in policy:
        down, right = (torch.randint(-shift, shift + 1, (n,), device=device) for shift in (largest_shift(h),
                                                                                           largest_shift(w)))
        images = translate(images, down, right, FILLS[fill])
    if "cutout" in policy:
        row, column = (torch.randint(0, side + 1 - hole(side) % 2, (n,), device=device) for side in (h, w))
        images = cut_out(images, row, column, FILLS[fill])
    return images


def largest_shift(side: int) -> int:
    """An eighth of the side, pixels, rounded half up."""
    return int(side / 8 + 0.5)


def hole(side: int) -> int:
    """Half of the side, pixels, rounded half up."""
    return int(side / 2 + 0.5)


def colour(images: Tensor, bright: Tensor, saturate: Tensor, contrast: Tensor) -> Tensor:
    """Add to all, then scale the distance from the mean of the channels, then from the mean of the image."""
    images = images + bright
    mean = images.mean(1, keepdim=True)
    images = mean + (images - mean) * saturate
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * contrast


def translate(images: Tensor, down: Tensor, right: Tensor, fill: float) -> Tensor:
    """Take each image's pixels from `down` rows below and `right` columns to the right, (B,) each; fill the rest."""
    n, _, h, w = images.shape
    rows = torch.arange(h, device=images.device) + down.view(-1, 1)
    columns = torch.arange(w, device=images.device) + right.view(-1, 1)
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None, :]
    places = rows.clamp(0, h - 1)[:, :, None] * w + columns.clamp(0, w - 1)[:, None, :]
    moved = images.flatten(2).gather(2, places.view(n, 1, -1).expand(-1, images.shape[1], -1)).view_as(images)
    return torch.where(inside[:, None], moved, fill)


def cut_out(images: Tensor, row: Tensor, column: Tensor, fill: float) -> Tensor:
    """Fill a rectangle of half the sides around each image's place, (B,) each; what lies outside is the edge's."""
    masks = []
    for side, centre in ((images.shape[2], row), (images.shape[3], column)):
        first = centre - hole(side) // 2
        last = (first + hole(side) - 1).clamp(max=side - 1)
        place = torch.arange(side, device=images.device)
        masks.append((place >= first.clamp(min=0).view(-1, 1)) & (place <= last.view(-1, 1)))
    return torch.where((masks[0][:, :, None] & masks[1][:, None, :])[:, None], fill, images)
