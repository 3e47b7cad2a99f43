"""A test object under a scanner whose knobs can be turned: wires, cysts, lesions and a stone in even tissue.

It is the block that sonographers check their scanners with. The speckle physics is that of all scenes; what is left
out: refraction, reverberation, side lobes, motion, a speed of sound that differs, the slice's thickness, and that
scatterers and receivers answer differently at each frequency.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from uslab.models.config import check, knob

from . import physics
from .brush import amplitude

SOUND = 1.54        # speed in tissue, mm/µs
CYCLES = 2          # length of the pulse, wavelengths
APERTURE = 20.0     # width of the array that forms a beam, mm
SPREAD = 0.6        # growth of the beam away from the focus, over the focal depth
NOISE = -60.0       # of the receiver, dB below the echo of tissue at the array: a penetration of 120 mm at 5 MHz
LARGEST_TGC = 80.0  # what the amplifier can add, dB
TISSUE_GREY = 0.45  # share of white at which tissue is shown at 0 dB of gain
RADIUS = 50.0       # of the curved array, mm
SAMPLES, LINES = 768, 321
SIZE = 384          # side of the picture, pixels: scan_convert draws it as it is
FWHM = 2 * np.sqrt(2 * np.log(2))    # full width at half maximum over the standard deviation of a Gaussian

# The test object: mm from the middle of the array to the right, and below it.
WIRES = [(0, depth) for depth in range(10, 150, 20)] + [(1, 50), (3, 50), (6, 50)]
WIRE = 300.0        # area of tissue that scatters as much as a wire, mm²
LESIONS = {(-15, 28): -6, (-7, 28): -3, (7, 28): 3, (15, 28): 6, (-20, 120): -6, (20, 120): 6}    # dB
LESION = 3.5        # radius, mm
CYSTS = {(-17, 52): 6.0, (-9, 40): 1.5, (11, 86): 5.0}      # radius, mm
STONE = (17, 52)
STONE_RADIUS = 3.0
STONE_ATTENUATION = 6.0     # dB/cm/MHz
STONE_LEVEL = 14            # dB


@dataclass(frozen=True)
class Config:
    """What can be turned, at the scanner and in the tissue."""

    frequency: float = knob(5.0, 2.0, 12.0, help="MHz: sets pulse length, beam width and attenuation")
    depth: float = knob(100.0, 30.0, 150.0, help="mm shown")
    focus: float = knob(40.0, 10.0, 120.0, help="mm: where the beam is narrowest")
    density: float = knob(200.0, 0.1, 300.0, log=True, help="scatterers per mm² of tissue")
    attenuation: float = knob(0.5, 0.0, 1.5, help="of the tissue, dB/cm/MHz, one way")
    tgc: float = knob(0.5, 0.0, 1.5, help="attenuation that the time gain compensation assumes, dB/cm/MHz")
    gain: float = knob(0.0, -30.0, 30.0, help="dB, the same at all depths")
    dynamic_range: float = knob(60.0, 30.0, 90.0, help="dB from black to white")


@dataclass(frozen=True)
class Scan:
    """A picture and where it lies."""

    pixels: np.ndarray      # (SIZE, SIZE) uint8, 0 outside the fan
    pixel_mm: float         # the same in both directions
    top_mm: float           # depth of the upper edge: above the middle of a curved array, so negative
    focus_mm: float
    note: str               # what the settings mean

    def place(self, x: float, depth: float) -> tuple[float, float]:
        """Row and column, fractional, of a point in mm from the middle of the array."""
        return (depth - self.top_mm) / self.pixel_mm - 0.5, x / self.pixel_mm + self.pixels.shape[1] / 2 - 0.5


def resolution(config: Config) -> tuple[float, float]:
    """Width at half maximum of a point's echo in the focus, mm, along depth and across.

    Half the pulse's length, as the way is gone twice; the wavelength times focal depth over aperture.
    """
    wavelength = SOUND / config.frequency
    return CYCLES * wavelength / 2, wavelength * config.focus / APERTURE


def crowd(config: Config) -> float:
    """Scatterers in a resolution cell in the focus.

    The cell of a Gaussian pulse and beam is 2 pi times the product of their standard deviations: with N scatterers
    in it the intensity has a variance over squared mean of 1 + 2 / N, where 1 is fully developed speckle.
    """
    along, across = resolution(config)
    return config.density * 2 * np.pi * along * across / FWHM**2


def penetration(config: Config) -> float:
    """Depth at which the echo of tissue has sunk to the receiver's noise, mm; infinite without attenuation."""
    loss = 2 * config.attenuation * config.frequency / 10   # dB/mm, there and back
    return -NOISE / loss if loss else np.inf


def view(depth: float) -> physics.Fan:
    """The part of the curved array that is as wide below as the picture is deep."""
    return physics.Fan(RADIUS, depth, np.arcsin(depth / 2 / (RADIUS + depth)), SAMPLES, LINES)


@lru_cache(maxsize=2)
def tissue(
    depth: float,       # mm shown
    density: float,     # scatterers per mm²
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complex reflectivity (1, samples, lines), and the shares of tissue and of stone in each place, (samples, lines).

    Kept between calls: the tissue stays as it is while the scanner's knobs move.
    """
    fan = view(depth)
    x, y, _, _ = fan.grid()
    area = fan.sample_mm / fan.lines_per_mm()       # of a cell of the grid, mm², (samples, 1)

    def disc(centre, radius):
        return (x - centre[0]) ** 2 + (y - RADIUS - centre[1]) ** 2 < radius**2

    # So many Gaussian scatterers in a cell add up to one Gaussian of their common power.
    expected = density * area
    count = np.random.default_rng([seed, 1]).poisson(expected, x.shape)
    echo = np.sqrt(count / expected).astype(np.float32)
    soft, stone = np.ones_like(x), disc(STONE, STONE_RADIUS)
    for centre, level in LESIONS.items():
        echo[disc(centre, LESION)] *= amplitude(level)
    for centre, radius in CYSTS.items():
        cyst = disc(centre, radius)
        echo[cyst] = soft[cyst] = 0
    echo[stone] = amplitude(STONE_LEVEL)
    soft[stone] = 0
    field = physics.scatterers(echo, 1, np.random.default_rng([seed, 0]))
    wires = np.array(WIRES, np.float32).T
    sample, line, inside = fan.locate(wires[0], wires[1] + RADIUS)
    sample = np.minimum(np.rint(sample[inside]).astype(int), SAMPLES - 1)
    line = np.rint(line[inside]).astype(int)
    field[0, sample, line] += np.sqrt(WIRE / area[sample, 0])
    return field, soft, stone.astype(np.float32)


@lru_cache(maxsize=2)
def receiver_noise(seed: int, moment: int) -> np.ndarray:
    """Complex noise of the amplifier, (1, samples, lines): another at each moment."""
    level = np.full((SAMPLES, LINES), amplitude(NOISE))
    return physics.scatterers(level, 1, np.random.default_rng([seed, 2, moment]))


def echoes(
    config: Config,
    seed: int = 0,      # of the tissue
    moment: int = 0,    # of the receiver's noise: a later frame of the same tissue has another
) -> np.ndarray:
    """Envelope after the time gain compensation, (SAMPLES, LINES) on the grid of view(config.depth); tissue is 1.

    Raises ValueError for a setting out of its range.
    """
    check(config)
    field, soft, stone = tissue(config.depth, config.density, seed)
    fan = view(config.depth)
    depth = fan.grid()[2]
    along, across = resolution(config)
    pulse = max(along / FWHM / fan.sample_mm, 0.5)
    beam = physics.beam_width(depth, config.focus, across / FWHM, SPREAD / config.focus)
    beam = np.maximum(beam * fan.lines_per_mm(), 0.5)
    loss = (config.attenuation * soft + STONE_ATTENUATION * stone) * np.float32(config.frequency / 10)    # dB/mm
    field = physics.blur(field * physics.transmission(loss, fan.sample_mm), pulse, beam)
    tgc = np.minimum(2 * config.tgc * config.frequency / 10 * depth, LARGEST_TGC)
    # The noise enters in the receiver, so it is amplified but was not attenuated.
    return physics.envelope(field + receiver_noise(seed, moment)) * amplitude(tgc)


def patch(
    envelope: np.ndarray,           # as echoes() returns it
    config: Config,                 # with which it was made
    across: tuple[float, float],    # from and to, mm from the middle at the patch's middle depth
    depth: tuple[float, float],     # from and to, mm
) -> np.ndarray:
    """The part of the envelope (samples, lines) between two lines and two depths."""
    fan = view(config.depth)
    first, last = (int(end / fan.sample_mm) for end in depth)
    x = fan.grid()[0][(first + last) // 2]
    return envelope[first:last, (x > across[0]) & (x < across[1])]


def scan(
    config: Config,
    seed: int = 0,      # as for echoes()
    moment: int = 0,
) -> Scan:
    """The picture on the screen. Raises ValueError for a setting out of its range."""
    envelope = echoes(config, seed, moment)
    fan = view(config.depth)
    # Tissue keeps its grey when the dynamic range changes, so that knob changes the contrast and gain the brightness.
    brightest = (1 - TISSUE_GREY) * config.dynamic_range - config.gain
    values = physics.log_compress(envelope, brightest, config.dynamic_range, 1)
    top = RADIUS * np.cos(fan.half_angle)
    side = RADIUS + config.depth - top
    image = physics.scan_convert(values, fan, -side / 2, top, side, SIZE, (-side, 0, side, top + side))
    return Scan(np.round(255 * image).astype(np.uint8), side / SIZE, top - RADIUS, config.focus, describe(config))


def describe(config: Config) -> str:
    """What the settings mean, in a line."""
    along, across = resolution(config)
    reach = penetration(config)
    return (f"in the focus: resolution {along:.2f} × {across:.2f} mm, {crowd(config):.3g} scatterers in a cell; "
            + (f"noise from {reach:.0f} mm" if np.isfinite(reach) else "no attenuation"))
