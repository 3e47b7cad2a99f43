"""ADA, adaptive discriminator augmentation (Karras 2020b): what the discriminator sees and the generator does not.

It acts on batches (B, 1, H, W) in [-1, 1], on real and synthetic images alike, and lets gradients through. What is
random is drawn first, on the CPU, as numbers with a meaning; what is done with them is a function without chance.
DiffAugment, which has no controller, is in diffaug.py.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .warp import NAMES, matrix, operator, warp


@dataclass(frozen=True)
class Operations:
    """ADA's operations: of each the probability as a multiple of p, 0 to leave it out, and its strength.

    The strengths are those of Karras 2020b, appendix B. Hue and saturation turn about the grey axis: on one channel
    they change nothing, so they are not here.
    """

    xflip: float = 0.0              # mirror left and right
    rotate90: float = 0.0           # by 0, 90, 180 or 270 degrees
    xint: float = 0.0               # shift by whole pixels
    scale: float = 0.0              # one factor for both axes
    rotate: float = 0.0             # by any angle, before and after the anisotropic scaling
    aniso: float = 0.0              # stretch one axis, shrink the other
    xfrac: float = 0.0              # shift by fractions of pixels
    brightness: float = 0.0
    contrast: float = 0.0
    lumaflip: float = 0.0           # black becomes white
    imgfilter: float = 0.0          # amplify or damp each of four frequency bands
    noise: float = 0.0              # add white noise
    cutout: float = 0.0             # blank a square, in mid-grey
    xint_max: float = 0.125         # largest shift, share of the side
    scale_std: float = 0.2          # of the binary logarithm of the factor
    rotate_max: float = 1.0         # largest angle, share of half a turn
    aniso_std: float = 0.2          # of the binary logarithm
    xfrac_std: float = 0.125        # share of the side
    brightness_std: float = 0.2     # of images in [-1, 1]
    contrast_std: float = 0.5       # of the binary logarithm
    imgfilter_std: float = 1.0      # of the binary logarithm
    noise_std: float = 0.1          # of images in [-1, 1]
    cutout_size: float = 0.5        # share of the side


BLIT = {"xflip": 1, "rotate90": 1, "xint": 1}
GEOMETRY = {"scale": 1, "rotate": 1, "aniso": 1, "xfrac": 1}
COLOUR = {"brightness": 1, "contrast": 1, "lumaflip": 1}
# An ultrasound beam comes from above and speckle has a direction: no quarter turns, no inversion, and only what
# another hand on the transducer, another depth or another gain would do.
SETS = {
    "bg": Operations(**BLIT, **GEOMETRY),              # pixel blitting and general geometry: Maack 2022
    "bgc": Operations(**BLIT, **GEOMETRY, **COLOUR),   # the default of Karras 2020b
    "ultrasound": Operations(xflip=1, xint=1, **GEOMETRY, brightness=1, contrast=1, rotate_max=1 / 18, scale_std=0.1,
                             aniso_std=0.1, xfrac_std=0.0625, brightness_std=0.1, contrast_std=0.25),
}


def ada(
    images: Tensor,            # (B, 1, H, W) in [-1, 1]
    operations: Operations,
    p: float,                  # probability of each operation, 0 to 1
) -> Tensor:
    """The images, each with its own random operations. At p = 0 they come back as they are."""
    return apply(images, draw(len(images), operations, p)) if p > 0 else images


def draw(
    n: int,                    # images
    operations: Operations,
    p: float,                  # probability, 0 to 1
) -> dict[str, Tensor]:
    """Random numbers of the operations in use, one row an image, on the CPU: the argument of `apply`."""
    found = {}

    def put(name: str, chance: float, value: Tensor, neutral: float) -> None:
        """Keep the value in a share of the images and the neutral one in the rest."""
        if chance > 0:
            hit = (torch.rand(n) < chance).view(n, *[1] * (value.ndim - 1))
            found[name] = torch.where(hit, value, torch.tensor(neutral))

    o = operations
    put("xflip", o.xflip * p, torch.randint(2, (n,)).float(), 0)
    put("rotate90", o.rotate90 * p, torch.randint(4, (n,)).float(), 0)
    put("xint", o.xint * p, (2 * torch.rand(n, 2) - 1) * o.xint_max, 0)
    put("scale", o.scale * p, torch.exp2(torch.randn(n) * o.scale_std), 1)
    # Two rotations, so each has the probability that leaves p for at least one of them.
    once = 1 - math.sqrt(max(0.0, 1 - o.rotate * p))
    put("rotate_before", once, (2 * torch.rand(n) - 1) * math.pi * o.rotate_max, 0)
    put("aniso", o.aniso * p, torch.exp2(torch.randn(n) * o.aniso_std), 1)
    put("rotate_after", once, (2 * torch.rand(n) - 1) * math.pi * o.rotate_max, 0)
    put("xfrac", o.xfrac * p, torch.randn(n, 2) * o.xfrac_std, 0)
    put("brightness", o.brightness * p, torch.randn(n) * o.brightness_std, 0)
    put("contrast", o.contrast * p, torch.exp2(torch.randn(n) * o.contrast_std), 1)
    put("lumaflip", o.lumaflip * p, torch.randint(2, (n,)).float(), 0)
    if o.imgfilter * p > 0:
        strength = torch.exp2(torch.randn(n, 4) * o.imgfilter_std)
        found["imgfilter"] = torch.where(torch.rand(n, 4) < o.imgfilter * p, strength, torch.tensor(1.0))
    put("noise", o.noise * p, torch.randn(n).abs() * o.noise_std, 0)
    put("cutout", o.cutout * p, torch.full((n,), o.cutout_size), 0)
    if "cutout" in found:
        found["centre"] = torch.rand(n, 2)
    return found


def apply(
    images: Tensor,               # (B, 1, H, W)
    numbers: dict[str, Tensor],   # what `draw` returns; an operation without numbers is left out
) -> Tensor:
    """The operations in the order of Karras 2020b: geometry, brightness and contrast, frequency bands, corruptions."""
    device, (h, w) = images.device, images.shape[2:]
    if numbers.keys() & set(NAMES):
        images = warp(images, matrix(numbers, h, w))
    if numbers.keys() & {"brightness", "contrast", "lumaflip"}:
        gain, offset = (value.to(device).view(-1, 1, 1, 1) for value in grey_levels(numbers))
        images = images * gain + offset
    if "imgfilter" in numbers:
        taps = band_filter(numbers["imgfilter"]).to(images)
        rows, columns = (operator(side, BANDS.shape[1] // 2, BANDS.shape[1] // 2, taps) for side in (h, w))
        images = rows @ images @ columns.mT
    if "noise" in numbers:
        images = images + torch.randn_like(images) * numbers["noise"].to(device).view(-1, 1, 1, 1)
    if "cutout" in numbers:
        size, centre = numbers["cutout"].to(device).view(-1, 1), numbers["centre"].to(device)
        out = [((torch.arange(side, device=device) + 0.5) / side - centre[:, axis, None]).abs() >= size / 2
               for axis, side in enumerate((w, h))]
        images = images * (out[0][:, None, None, :] | out[1][:, None, :, None])
    return images


# Grey levels and frequency bands

def grey_levels(numbers: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Gain and offset, (B,) each, of brightness, then contrast, then inversion."""
    n = len(next(iter(numbers.values())))
    factor = numbers.get("contrast", torch.ones(n)) * (1 - 2 * numbers.get("lumaflip", torch.zeros(n)))
    return factor, factor * numbers.get("brightness", torch.zeros(n))


def filter_bank() -> Tensor:
    """(4, 43): zero-phase filters of four octaves from sym2, which add up to no change (Karras 2020b, appendix B)."""
    low = torch.tensor([-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025],
                       dtype=torch.float64)
    high = low * torch.tensor([1, -1, 1, -1])

    def through(taps: Tensor, other: Tensor) -> Tensor:
        """Full convolution of rows with one symmetric filter."""
        return F.conv1d(taps[:, None], other[None, None], padding=len(other) - 1)[:, 0]

    low2, high2 = (through(half[None], half)[0] / 2 for half in (low, high))
    bank = torch.eye(4, 1, dtype=torch.float64)
    for band in range(1, 4):
        bank = torch.stack([bank, torch.zeros_like(bank)], 2).flatten(1)[:, :-1]
        bank = through(bank, low2)
        start = (bank.shape[1] - len(high2)) // 2
        bank[band, start:start + len(high2)] += high2
    return bank.float()


BANDS = filter_bank()


def band_filter(strengths: Tensor) -> Tensor:
    """Taps (B, 43) that amplify the four bands by the strengths (B, 4), each balanced so that the power expected of
    natural images, 10 : 1 : 1 : 1, stays the same."""
    power = torch.tensor([10.0, 1, 1, 1]) / 13
    gain = torch.ones_like(strengths)
    for band in range(4):
        one = torch.ones_like(strengths)
        one[:, band] = strengths[:, band]
        gain = gain * one / (power * one.square()).sum(1, keepdim=True).sqrt()
    return gain @ BANDS


# How much of it: the controller

class Controller:
    """Karras 2020b's overfitting heuristic r_t, the mean sign of D's logits of real images, and p, which follows it.

    Every four batches p rises if r_t is above the target and falls if it is below, by as much as would take it from 0
    to 1 in `kimg` thousand images; it is kept in [0, 0.8], since above that the augmentations leak (section 2.2 there).
    """

    EVERY, MOST = 4, 0.8

    def __init__(
        self,
        p: float = 0.0,                # where p starts
        moves: bool = True,            # False: p stays, r_t is only watched
        target: float = 0.6,           # r_t that is wanted
        kimg: float = 500.0,           # thousands of images from p = 0 to 1
    ):
        self.p, self.r, self.moves, self.target, self.kimg = p, 0.0, moves, target, kimg
        self.signs, self.batches, self.images = None, 0, 0

    def update(self, signs: Tensor, n: int) -> None:
        """Take the sum of the signs, 0-d, of D's logits of n augmented real images; waits once in four batches."""
        self.signs = signs if self.signs is None else self.signs + signs
        self.batches, self.images = self.batches + 1, self.images + n
        if self.batches == self.EVERY:
            self.r = self.signs.item() / self.images
            if self.moves:
                step = self.images / (self.kimg * 1000)
                self.p = min(max(self.p + ((self.r > self.target) - (self.r < self.target)) * step, 0.0), self.MOST)
            self.signs, self.batches, self.images = None, 0, 0

    def state_dict(self) -> dict:
        signs = None if self.signs is None else self.signs.item()
        return {"p": self.p, "r": self.r, "signs": signs, "batches": self.batches, "images": self.images}

    def load_state_dict(self, state: dict) -> None:
        self.p, self.r, self.batches, self.images = (state[key] for key in ("p", "r", "batches", "images"))
        self.signs = None if state["signs"] is None else torch.tensor(state["signs"])
