"""From tissue to picture: the speckle model of B-mode ultrasound that all scenes share.

An image line is the sum of the echoes of many small scatterers, blurred by the pulse along depth and by the beam
across it (the convolution model of Bamber and Dickinson 1980), so fully developed speckle has a Rayleigh envelope.
Everything happens on a polar grid (samples along depth, lines across) as the scanner does it; scan_convert then
draws the picture. A scene gives amplitudes (1 is soft tissue, 0 is fluid) and attenuations on that grid.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft


@dataclass(frozen=True)
class Fan:
    """Field of view of a curved array. Millimetres; the origin is the array's centre of curvature, y points down."""

    radius: float       # of the edge where the picture begins, mm
    depth: float        # shown beyond that edge, mm
    half_angle: float   # between the central line and the outermost one, radians
    samples: int        # along depth
    lines: int          # across

    @property
    def sample_mm(self) -> float:
        return self.depth / self.samples

    def grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Where the samples lie: x and y (samples, lines), depth (samples, 1), angle (1, lines)."""
        depth = (np.arange(self.samples, dtype=np.float32)[:, None] + 0.5) * self.sample_mm
        angle = np.linspace(-self.half_angle, self.half_angle, self.lines, dtype=np.float32)[None]
        return (self.radius + depth) * np.sin(angle), (self.radius + depth) * np.cos(angle), depth, angle

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fractional sample and line of points in mm, and whether they lie in the field of view."""
        depth, angle = np.hypot(x, y) - self.radius, np.arctan2(x, y)
        inside = (depth >= 0) & (depth <= self.depth) & (np.abs(angle) <= self.half_angle)
        line = (angle / self.half_angle + 1) / 2 * (self.lines - 1)
        return depth / self.sample_mm - 0.5, line, inside

    def lines_per_mm(self) -> np.ndarray:
        """Line density at each depth, (samples, 1)."""
        return (self.lines - 1) / (2 * self.half_angle * (self.radius + self.grid()[2]))


@dataclass(frozen=True)
class Linear:
    """Field of view of a linear array, with what Fan has. Millimetres; the origin is the middle of the array."""

    width: float        # of the array, mm
    depth: float        # shown, mm
    flare: float        # between the central line and the outermost one, radians: 0 a rectangle, else a trapezoid
    samples: int        # along depth
    lines: int          # across

    @property
    def sample_mm(self) -> float:
        return self.depth / self.samples

    @property
    def _slope(self) -> float:
        return 2 * np.tan(self.flare) / self.width    # tangent of a line's angle, per mm of the array

    def grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Where the samples lie: x and y (samples, lines), depth (samples, 1), angle (1, lines)."""
        depth = (np.arange(self.samples, dtype=np.float32)[:, None] + 0.5) * self.sample_mm
        start = np.linspace(-self.width / 2, self.width / 2, self.lines, dtype=np.float32)[None]
        return (start * (1 + self._slope * depth), np.repeat(depth, self.lines, 1), depth,
                np.arctan(self._slope * start).astype(np.float32))

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fractional sample and line of points in mm, and whether they lie in the field of view."""
        x, y = np.broadcast_arrays(x, y)
        start = x / (1 + self._slope * np.maximum(y, 0))
        inside = (y >= 0) & (y <= self.depth) & (np.abs(start) <= self.width / 2)
        return y / self.sample_mm - 0.5, (start / self.width + 0.5) * (self.lines - 1), inside

    def lines_per_mm(self) -> np.ndarray:
        """Line density at each depth, (samples, 1)."""
        return (self.lines - 1) / (self.width * (1 + self._slope * self.grid()[2]))


def scatterers(
    echogenicity: np.ndarray,    # (samples, lines) root mean square amplitude
    looks: int,                  # independent views to be compounded
    rng: np.random.Generator,
) -> np.ndarray:
    """Complex Gaussian reflectivity, (looks, samples, lines): many scatterers of random phase in each cell."""
    real, imaginary = rng.standard_normal((2, looks, *echogenicity.shape), dtype=np.float32)
    return (real + 1j * imaginary) * (echogenicity / np.float32(np.sqrt(2)))


def transmission(
    excess: np.ndarray,   # (samples, lines) attenuation beyond what the time gain assumes, dB/mm one way
    sample_mm: float,     # distance between samples, mm
) -> np.ndarray:
    """Two-way amplitude that reaches each sample and returns.

    Positive excess (bone) casts a shadow; negative excess (fluid, which attenuates less than the compensation
    assumes) leaves what lies behind it brighter.
    """
    passed = np.cumsum(excess, axis=0, dtype=np.float32) - excess / 2
    return 10 ** (passed * np.float32(-2 * sample_mm / 20))


def blur(
    field: np.ndarray,      # (looks, samples, lines) complex reflectivity times transmission
    pulse: float,           # standard deviation of the pulse along depth, samples
    beam: np.ndarray,       # (samples, 1) standard deviation of the beam across, lines
) -> np.ndarray:
    """Convolve with a Gaussian point spread function whose width across varies with depth.

    The kernel has unit energy, so scatterers of amplitude 1 give a mean intensity of 1 at any width. The widths
    should be 0.5 or more. Both directions go through the Fourier transform, where each depth has its own width.
    """
    for axis, width in ((-2, np.full((1, 1), pulse)), (-1, beam)):
        count = field.shape[axis]
        # Zeros beyond the end, so that no edge meets its opposite.
        padded = fft.next_fast_len(count + int(np.ceil(8 * width.max())))
        frequency = fft.fftfreq(padded)
        frequency = frequency[:, None] if axis == -2 else frequency[None]
        transfer = np.sqrt(2 * np.sqrt(np.pi) * width) * np.exp(-2 * (np.pi * width * frequency) ** 2)
        spectrum = fft.fft(field, padded, axis=axis)
        spectrum *= transfer.astype(np.float32)
        field = fft.ifft(spectrum, axis=axis, overwrite_x=True)
        field = field[:, :count] if axis == -2 else field[:, :, :count]
    return field


def envelope(field: np.ndarray) -> np.ndarray:
    """Amplitude of the echoes, (samples, lines), from (looks, samples, lines): compounding averages their power.

    One look is raw speckle, mean over standard deviation 1.91; scanners of today compound several.
    """
    return np.sqrt(np.mean(field.real**2 + field.imag**2, axis=0))


def mirror_gain(
    pulse: float,           # as for blur()
    beam: np.ndarray,
) -> np.ndarray:
    """By how much blur() raises a smooth coherent echo, (samples, 1): divide by it to state such an echo's level."""
    return np.sqrt(4 * np.pi * pulse * beam)


def insonify(
    echo: np.ndarray,            # (samples, lines) amplitude of the scatterers
    mirror: np.ndarray,          # (samples, lines) level of the coherent echoes
    excess: np.ndarray,          # (samples, lines) as for transmission()
    sample_mm: float,
    looks: int,                  # as for scatterers()
    pulse: float,                # as for blur()
    beam: np.ndarray,
    rng: np.random.Generator,
    noise: np.ndarray | None = None,            # amplitude of the receiver's noise, which no tissue dims: (samples, 1)
    hiss: np.random.Generator | None = None,    # of the noise, where frames share their speckle but not their noise
) -> np.ndarray:
    """All of it: tissue to the amplitude of its echoes, (samples, lines), 1 for soft tissue."""
    passed = transmission(excess, sample_mm)
    if noise is not None and hiss is None:
        echo = np.hypot(echo, noise / passed)     # independent powers add, so one draw serves both
    field = (scatterers(echo, looks, rng) + mirror / mirror_gain(pulse, beam)) * passed
    if hiss is not None:
        field += scatterers(np.broadcast_to(noise, echo.shape), looks, hiss)
    return envelope(blur(field, pulse, beam))


def beam_width(
    depth: np.ndarray,    # (samples, 1) mm
    focus: float,         # depth of the narrowest beam, mm
    waist: float,         # standard deviation there, mm
    spread: float,        # growth away from the focus, mm per mm
) -> np.ndarray:
    """Standard deviation of the beam across, mm: narrowest at the focus, wider before and behind it."""
    return np.hypot(waist, spread * (depth - focus))


def log_compress(
    envelope: np.ndarray,   # amplitude, 1 is soft tissue
    brightest: float,       # level shown as 1, dB above soft tissue
    span: float,            # dynamic range, dB: brightest - span is shown as 0
    gamma: float,           # grey map: above 1 it darkens the middle levels
) -> np.ndarray:
    """Decibels to display values in [0, 1]."""
    level = 20 * np.log10(np.maximum(envelope, np.float32(1e-6)))
    return np.clip((level - brightest) / span + 1, 0, 1) ** np.float32(gamma)


def scan_convert(
    values: np.ndarray,   # (samples, lines) float32 display values
    fan: Fan | Linear,
    left: float,          # left edge of the square window, mm
    top: float,           # top edge, mm
    side: float,          # its side, mm
    size: int,            # pixels along a side of the result
    shown: tuple[float, float, float, float],   # left, top, right, bottom of the screen's frame, mm
) -> np.ndarray:
    """Draw the lines where they were scanned: (size, size) float32, exactly 0 outside the fan and the frame.

    The picture is drawn with at least 384 pixels and averaged over areas, as a stored frame is when it is made
    smaller, so a small picture is neither jagged nor blurred.
    """
    fine = size * -(-384 // size)
    grid = (np.arange(fine, dtype=np.float32) + 0.5) * np.float32(side / fine)
    x, y = left + grid[None], top + grid[:, None]
    sample, line, inside = fan.locate(x, y)
    inside &= (x >= shown[0]) & (x <= shown[2]) & (y >= shown[1]) & (y <= shown[3])
    drawn = cv2.remap(values, line.astype(np.float32), sample.astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE) * inside
    return drawn if fine == size else cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)
