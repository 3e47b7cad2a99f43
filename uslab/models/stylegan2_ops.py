"""Operations of StyleGAN2 (Karras 2020a, 2020b): resampling with a filter, modulated convolution, activations.

Plain PyTorch, differentiable twice. Filters are 2-D, or 1-D for a separable one, and are convolved (mirrored), not
correlated, unless told otherwise.
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR = (1.0, 3.0, 3.0, 1.0)   # the low-pass of every resampling in StyleGAN2

# name: (function of x and alpha, default alpha, default gain)
ACTIVATIONS = {
    "linear": (lambda x, alpha: x, 0, 1.0),
    "relu": (lambda x, alpha: F.relu(x), 0, math.sqrt(2)),
    "lrelu": (F.leaky_relu, 0.2, math.sqrt(2)),
    "tanh": (lambda x, alpha: x.tanh(), 0, 1.0),
    "sigmoid": (lambda x, alpha: x.sigmoid(), 0, 1.0),
    "elu": (lambda x, alpha: F.elu(x), 0, 1.0),
    "selu": (lambda x, alpha: F.selu(x), 0, 1.0),
    "softplus": (lambda x, alpha: F.softplus(x), 0, 1.0),
    "swish": (lambda x, alpha: x.sigmoid() * x, 0, math.sqrt(2)),
}


def blur_filter(taps: tuple[float, ...] = BLUR) -> Tensor:
    """The separable filter as a square, (n, n), with sum 1."""
    row = torch.tensor(taps)
    square = torch.outer(row, row)
    return square / square.sum()


def pair(value: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def sides(padding: int | list[int]) -> list[int]:
    """Padding as left, right, top, bottom: from one number, from x and y, or from all four."""
    if isinstance(padding, int):
        return [padding] * 4
    return [padding[0], padding[0], padding[1], padding[1]] if len(padding) == 2 else list(padding)


def upfirdn2d(
    x: Tensor,                                # (B, C, H, W)
    f: Tensor | None,                         # (h, w) or (n,); None: no filter
    up: int | tuple[int, int] = 1,            # zeros are put between pixels; one factor, or x and y
    down: int | tuple[int, int] = 1,          # every down-th pixel is kept
    padding: int | list[int] = 0,             # of the raised image: left, right, top, bottom; negative crops
    flip: bool = False,                       # True: correlate with f instead of convolving
    gain: float = 1.0,
) -> Tensor:
    """Raise the resolution, pad, filter, lower the resolution (Karras 2020b, appendix A)."""
    (up_x, up_y), (down_x, down_y) = pair(up), pair(down)
    left, right, top, bottom = sides(padding)
    x = raised(x, up_x, up_y) if up_x > 1 or up_y > 1 else x
    f = torch.ones(1, 1, device=x.device) if f is None else f
    f = f * gain ** (f.ndim / 2)
    f = f if flip else f.flip(list(range(f.ndim)))
    kernels = [f] if f.ndim == 2 else [f[None, :], f[:, None]]
    # A convolution pads with zeros by itself where both ends are alike, which saves a copy of the image.
    alike = left == right >= 0 and top == bottom >= 0 and len(kernels) == 1
    inside = (top, left) if alike else (0, 0)
    x = x if alike else F.pad(x, (left, right, top, bottom))
    for kernel in kernels:
        stride = (down_y if kernel.shape[0] > 1 or len(kernels) == 1 else 1,
                  down_x if kernel.shape[1] > 1 or len(kernels) == 1 else 1)
        x = Filter.apply(x, kernel, stride, inside)
    return x


class Filter(torch.autograd.Function):
    """Correlate every channel with one fixed filter (h, w).

    The gradient of a filter is the mirrored filter on raised gradients. Done so, and not by the convolution's own
    backward pass, it is up to ten times as fast on CPUs in bfloat16, and can be differentiated again.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.kernel, ctx.stride, ctx.padding, ctx.shape = kernel, stride, padding, x.shape
        c = x.shape[1]
        return F.conv2d(x, kernel.to(x.dtype).expand(c, 1, *kernel.shape), stride=stride, padding=padding, groups=c)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (h, w), (k_y, k_x), (s_y, s_x) = ctx.shape[2:], ctx.kernel.shape, ctx.stride
        top, left = (k - 1 - p for k, p in zip(ctx.kernel.shape, ctx.padding))
        bottom = h + k_y - 1 - top - ((gradient.shape[2] - 1) * s_y + 1)
        right = w + k_x - 1 - left - ((gradient.shape[3] - 1) * s_x + 1)
        if ctx.stride != (1, 1):   # the zeros behind the last row and column are cropped again
            gradient = raised(gradient, s_x, s_y)
            bottom, right = bottom - s_y + 1, right - s_x + 1
        alike = top == bottom >= 0 and left == right >= 0
        gradient = gradient if alike else F.pad(gradient, (left, right, top, bottom))
        start = (top, left) if alike else (0, 0)
        return Filter.apply(gradient, ctx.kernel.flip([0, 1]), (1, 1), start), None, None, None


def raised(x: Tensor, up_x: int, up_y: int) -> Tensor:
    """Put up - 1 zeros behind every pixel: (B, C, H, W) to (B, C, H up_y, W up_x)."""
    b, c, h, w = x.shape
    if x.is_contiguous():
        wide = x.new_zeros(b, c, h * up_y, w * up_x)
    else:
        wide = x.new_zeros(b, h * up_y, w * up_x, c).permute(0, 3, 1, 2)
    wide[:, :, ::up_y, ::up_x] = x
    return wide


def laid_out(x: Tensor) -> Tensor:
    """Images in the memory format that the networks work in.

    Processors want the channels last. On CUDA that sends the filters, which see each channel alone, to kernels that
    take three times as long as PyTorch's own, and these want the channels first.
    """
    return x if x.is_cuda else x.contiguous(memory_format=torch.channels_last)


def upsample2d(x: Tensor, f: Tensor, up: int = 2, padding: int | list[int] = 0, gain: float = 1.0) -> Tensor:
    """Enlarge by a whole factor; the mean stays."""
    return upfirdn2d(x, f, up=up, padding=around(f, up, 1, padding), gain=gain * up**2)


def around(f: Tensor, up: int, down: int, padding: int | list[int] = 0) -> list[int]:
    """The padding that keeps the image in its place under a filter, plus more of one's own."""
    left, right, top, bottom = sides(padding)
    h, w = f.shape if f.ndim == 2 else (len(f), len(f))
    if up > 1:
        before, after = [(n + up - 1) // 2 for n in (w, h)], [(n - up) // 2 for n in (w, h)]
    else:
        before, after = [(n - down + 1) // 2 for n in (w, h)], [(n - down) // 2 for n in (w, h)]
    return [left + before[0], right + after[0], top + before[1], bottom + after[1]]


def conv2d_resample(
    x: Tensor,                        # (B, I, H, W)
    w: Tensor,                        # (O, I / groups, k, k)
    f: Tensor | None = None,          # low-pass, needed with up or down
    up: int = 1,
    down: int = 1,
    padding: int | list[int] = 0,     # of the raised image
    groups: int = 1,
    flip_weight: bool = True,         # True: correlate, as F.conv2d does; False: convolve
    flip_filter: bool = False,
    bias: Tensor | None = None,       # (O,), only without up
) -> Tensor:
    """Raise the resolution, convolve, lower the resolution, in the cheapest order that gives the same result."""
    if up == down == 1:
        left, right, top, bottom = sides(padding)
        alike = left == right >= 0 and top == bottom >= 0
        x = x if alike else F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, oriented(w, flip_weight), bias, padding=(top, left) if alike else 0, groups=groups)
    padding = [a + b for a, b in zip(sides(padding), around(f, up, down) if up == 1 or down == 1 else around(f, up, 1))]
    if up == 1:
        if w.shape[2] == 1:   # lower first: a 1x1 convolution sees no neighbours
            x = upfirdn2d(x, f, down=down, padding=padding, flip=flip_filter)
            return F.conv2d(x, oriented(w, flip_weight), bias, groups=groups)
        x = upfirdn2d(x, f, padding=padding, flip=flip_filter)
        return F.conv2d(x, oriented(w, flip_weight), bias, stride=down, groups=groups)
    if down > 1:
        # Both at once: half of the filter's reach on the way down is added here.
        padding = [a + b for a, b in zip(padding, around(f, 1, down))]
    if w.shape[2] == 1 and down == 1:   # convolve first, while the image is small
        x = F.conv2d(x, oriented(w, flip_weight), groups=groups)
        return upfirdn2d(x, f, up=up, padding=padding, gain=up**2, flip=flip_filter)
    # A transposed convolution skips the zeros between the pixels. Its full margin is k - 1 before and k - up behind.
    o, i, k, _ = w.shape
    turned = w.view(groups, o // groups, i, k, k).transpose(1, 2).reshape(groups * i, o // groups, k, k)
    left, right, top, bottom = [p - (k - 1 if side % 2 == 0 else k - up) for side, p in enumerate(padding)]
    crop_x, crop_y = max(min(-left, -right), 0), max(min(-top, -bottom), 0)
    x = F.conv_transpose2d(x, oriented(turned, not flip_weight), stride=up, padding=(crop_y, crop_x), groups=groups)
    padding = [left + crop_x, right + crop_x, top + crop_y, bottom + crop_y]
    x = upfirdn2d(x, f, padding=padding, gain=up**2, flip=flip_filter)
    return upfirdn2d(x, f, down=down, flip=flip_filter) if down > 1 else x


def oriented(w: Tensor, correlate: bool) -> Tensor:
    return w if correlate else w.flip([2, 3])


def modulated_conv2d(
    x: Tensor,                        # (B, I, H, W)
    weight: Tensor,                   # (O, I, k, k)
    styles: Tensor,                   # (B, I): s, by which each image scales its input channels
    noise: Tensor | None = None,      # (B, 1, H', W'), added to all channels of the output
    up: int = 1,
    padding: int = 0,
    f: Tensor | None = None,          # low-pass for up
    demodulate: bool = True,
    flip_weight: bool = True,
    gain: float = 1.0,                # of the output, with the noise
) -> Tensor:
    """Convolution with weights s_i * w_ijk, divided by their norm over i and k (Karras 2020a, equations 1 and 3).

    Scaling the weights of each image and scaling its channels before and after a shared convolution are the same; the
    second needs one convolution for the whole batch.
    """
    y = conv2d_resample(x * styles.to(x.dtype)[:, :, None, None], weight, f, up=up, padding=padding,
                        flip_weight=flip_weight)
    if demodulate:
        with exact(x.device):
            norm = styles.float().square() if styles.dtype != torch.float64 else styles.square()
            scale = gain * (norm @ weight.to(norm.dtype).square().sum((2, 3)).T + 1e-8).rsqrt()
        scale = scale.to(y.dtype)[:, :, None, None]
        return y * scale if noise is None else torch.addcmul((gain * noise).to(y.dtype), y, scale)
    y = y if gain == 1 else y * gain
    return y if noise is None else y + (gain * noise).to(y.dtype)


def exact(device: torch.device) -> AbstractContextManager:
    """No autocast inside; the meta device, which only knows shapes, has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def bias_act(
    x: Tensor,                      # (B, C, ...)
    b: Tensor | None = None,        # (C,)
    act: str = "linear",            # one of ACTIVATIONS
    alpha: float | None = None,     # slope of 'lrelu'; None: its default
    gain: float | None = None,      # of the output; None: the activation's default, which keeps the variance
    clamp: float | None = None,     # bound of the output, plus and minus
) -> Tensor:
    """Add a bias to each channel, then the activation, its gain and a clamp."""
    function, default_alpha, default_gain = ACTIVATIONS[act]
    x = x if b is None else x + b.to(x.dtype).view(1, -1, *[1] * (x.ndim - 2))
    x = function(x, default_alpha if alpha is None else alpha) * (default_gain if gain is None else gain)
    return x if clamp is None else x.clamp(-clamp, clamp)


def minibatch_std(
    x: Tensor,              # (B, C, H, W)
    group: int | None,      # images whose spread is taken together; None: the whole batch
    channels: int = 1,      # features that are appended
) -> Tensor:
    """Append the mean standard deviation over each group of images as new channels (Karras 2018, section 3)."""
    b, c, h, w = x.shape
    group = b if group is None else min(group, b)
    spread = x.float().view(group, -1, channels, c // channels, h, w).var(0, correction=0).add(1e-8).sqrt()
    spread = spread.mean((2, 3, 4)).view(-1, channels, 1, 1).repeat(group, 1, h, w)
    return torch.cat([x, spread.to(x.dtype)], 1)


def normalise_latent(z: Tensor) -> Tensor:
    """Scale each latent (B, z) to a mean square of 1."""
    return z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
