"""The geometric operations of ADA: one matrix, one resampling between two low-passes (Karras 2020b, appendix B)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# The wavelet sym6 (Daubechies 1992), low-pass, as the reference uses it: 12 taps with sum 1.
SYM6 = torch.tensor([
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148], dtype=torch.float64)
SYM6 = (SYM6 / SYM6.sum()).float()
REACH = len(SYM6) // 4     # of the low-pass beyond the image, pixels
NAMES = ("xflip", "rotate90", "xint", "scale", "rotate_before", "aniso", "rotate_after", "xfrac")


def matrix(
    numbers: dict[str, Tensor],
    h: int,                       # height, pixels
    w: int,                       # width, pixels
) -> Tensor:
    """(B, 3, 3): from a place in the augmented image to the place it comes from; pixels from the centre, x first."""
    n = len(next(iter(numbers.values())))
    one, zero = torch.ones(n), torch.zeros(n)

    def of(*rows: Tensor) -> Tensor:
        return torch.stack([*rows, zero, zero, one], 1).view(n, 3, 3)

    def scaled(x: Tensor, y: Tensor) -> Tensor:
        return of(x, zero, zero, zero, y, zero)

    def turned(angle: Tensor) -> Tensor:
        return of(angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero)

    def shifted(x: Tensor, y: Tensor) -> Tensor:
        return of(one, zero, -x, zero, one, -y)

    side = torch.tensor([w, h])
    steps = {
        "xflip": lambda flip: scaled(1 / (1 - 2 * flip), one),
        "rotate90": lambda quarters: turned(quarters * (math.pi / 2)),
        "xint": lambda share: shifted(*(share * side).round().T),
        "scale": lambda factor: scaled(1 / factor, 1 / factor),
        "rotate_before": turned,
        "aniso": lambda factor: scaled(1 / factor, factor),
        "rotate_after": turned,
        "xfrac": lambda share: shifted(*(share * side).T),
    }
    whole = torch.eye(3).expand(n, 3, 3)
    for name, step in steps.items():
        if name in numbers:
            whole = whole @ step(numbers[name])
    return whole


def warp(
    images: Tensor,   # (B, C, H, W)
    inverse: Tensor,  # (B, 3, 3) on the CPU, from `matrix`
) -> Tensor:
    """Resample at twice the resolution between two sym6 low-passes, so that nothing aliases; beyond the edge, mirror.

    Padding, mirroring and filtering are linear along each axis, so each side is one matrix multiplication. An identity
    comes back as it was, because sym6 is orthogonal.
    """
    h, w = images.shape[2:]
    theta, (left, right, top, bottom) = sampling(inverse, h, w)
    images = raise_matrix(h, top, bottom, images) @ images @ raise_matrix(w, left, right, images).mT
    size = [len(images), images.shape[1], 2 * (h + 2 * REACH), 2 * (w + 2 * REACH)]
    grid = F.affine_grid(theta.to(images), size, align_corners=False)
    return lower_matrix(h, images) @ Resample.apply(images, grid) @ lower_matrix(w, images).mT


def sampling(
    inverse: Tensor,   # (B, 3, 3), pixels from the centre
    h: int,
    w: int,
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """The matrix for F.affine_grid on the padded image at twice the resolution, (B, 2, 3), and the padding that the
    corners of the batch ask for: left, right, top, bottom, pixels."""
    half = torch.tensor([(w - 1) / 2, (h - 1) / 2])
    corners = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * half
    reach = (inverse[:, :2, :2] @ corners.T + inverse[:, :2, 2:]).transpose(0, 1).flatten(1)
    margins = torch.cat([-reach.amin(1), reach.amax(1)]) + 2 * REACH - half.repeat(2)
    most = torch.tensor([w - 1, h - 1]).repeat(2)
    left, top, right, bottom = margins.clamp(min=0).minimum(most).ceil().int().tolist()

    def affine(scale_x, scale_y, x, y):
        return torch.tensor([[scale_x, 0, x], [0, scale_y, y], [0, 0, 1.0]])

    full_w, full_h = w + left + right, h + top + bottom    # of the padded image
    theta = affine(1, 1, (left - right) / 2, (top - bottom) / 2) @ inverse
    # Twice the resolution puts the centres of the pixels half a pixel off.
    theta = affine(2, 2, -0.5, -0.5) @ theta @ affine(0.5, 0.5, 0.25, 0.25)
    theta = affine(1 / full_w, 1 / full_h, 0, 0) @ theta @ affine(w + 2 * REACH, h + 2 * REACH, 0, 0)
    return theta[:, :2], (left, right, top, bottom)


def operator(
    n: int,          # length of a row, pixels
    before: int,     # mirrored pixels before the row
    after: int,      # and behind it
    taps: Tensor,    # (B, K): one filter an image
) -> Tensor:
    """(B, 1, n + before + after - K + 1, n): mirror a row at its ends and correlate it with each image's taps."""
    mirrored = F.pad(torch.eye(n, device=taps.device, dtype=taps.dtype)[:, None], (before, after), mode="reflect")
    return F.conv1d(mirrored, taps[:, None]).permute(1, 2, 0)[:, None]


def raise_matrix(n: int, before: int, after: int, like: Tensor) -> Tensor:
    """(2 (n + before + after), n): mirror, put zeros between the pixels, low-pass with gain 2."""
    mirrored = F.pad(torch.eye(n, device=like.device, dtype=like.dtype)[:, None], (before, after), mode="reflect")
    # Every other tap meets a zero, so even and odd places have six taps each.
    f, zero = 2 * SYM6.to(like), torch.zeros(1, device=like.device, dtype=like.dtype)
    even, odd = torch.cat([f.flip(0)[0::2], zero]), torch.cat([zero, f.flip(0)[1::2]])
    return F.conv1d(mirrored, torch.stack([even, odd])[:, None], padding=REACH).permute(2, 1, 0).reshape(-1, n)


def lower_matrix(n: int, like: Tensor) -> Tensor:
    """(n, 2 (n + 2 REACH)): low-pass and keep every other pixel, without the margin."""
    eye = torch.eye(2 * (n + 2 * REACH), device=like.device, dtype=like.dtype)[:, None, 1:-1]
    return F.conv1d(eye, SYM6.to(like)[None, None], stride=2)[:, 0].T


class Resample(torch.autograd.Function):
    """Bilinear F.grid_sample that can be differentiated twice in the images, as R1 needs; not in the grid."""

    @staticmethod
    def forward(ctx, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return Spread.apply(gradient, *ctx.saved_tensors, ctx.shape), None


class Spread(torch.autograd.Function):
    """The transpose of Resample; its own gradient is Resample again."""

    @staticmethod
    def forward(ctx, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        # The images themselves only matter for the gradient in the grid, which is not asked for.
        images = gradient.new_zeros(1).expand(shape)
        return torch.ops.aten.grid_sampler_2d_backward(gradient, images, grid, 0, 0, False, (True, False))[0]

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return Resample.apply(gradient, *ctx.saved_tensors), None, None
