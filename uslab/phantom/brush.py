"""Tools to paint tissue on a polar grid: levels in dB, uneven texture, mirrors, and shapes that follow an ellipse."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.signal import lfilter

from .physics import Fan, Linear


def amplitude(decibels):
    """Amplitude of a level in dB; 0 dB is soft tissue."""
    return np.float32(10) ** (np.asarray(decibels, np.float32) / 20)


def unevenness(rng: np.random.Generator, fan: Fan | Linear, across: int, down: int) -> np.ndarray:
    """A smooth random field of about unit variance on the polar grid, with so many cells along each side."""
    cells = rng.standard_normal((max(down, 2), max(across, 2)), dtype=np.float32)
    return 1.3 * cv2.resize(cells, (fan.lines, fan.samples), interpolation=cv2.INTER_CUBIC)


def facing(normal_x, normal_y, angle: np.ndarray, power: float) -> np.ndarray:
    """Share of a mirror's echo that comes back: most where the beam meets it at a right angle."""
    return np.abs(normal_x * np.sin(angle) + normal_y * np.cos(angle)) ** np.float32(power)


def at_least(level):
    """For Ellipse.blob: the inside is no darker than this level in dB."""
    return lambda old, shape: np.maximum(old, amplitude(level) * shape)


def darker(share):
    """For Ellipse.blob: the inside loses this share of its amplitude."""
    return lambda old, shape: old * (1 - np.float32(share) * shape)


def ring_down(echo: np.ndarray, samples: float) -> np.ndarray:
    """Reverberation: what follows a strong echo along depth, decaying by 1/e over so many samples."""
    decay = np.exp(-1 / samples)
    return lfilter([1 - decay], [1, -decay], echo, axis=0).astype(np.float32)


def fibres(
    rng: np.random.Generator,
    x: np.ndarray,     # mm
    y: np.ndarray,
    along: float,      # size of the grain along its direction, mm
    across: float,     # and across it
    tilt: float,       # of that direction against the horizontal, radians
) -> np.ndarray:
    """A random field of about unit variance whose grain keeps its size in mm, shaped as x: fibres, lobules, clots."""
    tile = rng.standard_normal((128, 128), dtype=np.float32)
    c, s = np.cos(tilt), np.sin(tilt)
    p, q = (x * c + y * s) / along, (y * c - x * s) / across
    q = q + 0.6 * np.sin(p / rng.uniform(1, 2) + rng.uniform(0, 6))       # fibres bend
    return 1.3 * cv2.remap(tile, p.astype(np.float32), q.astype(np.float32), cv2.INTER_CUBIC,
                           borderMode=cv2.BORDER_WRAP)


def sheets(
    field: np.ndarray,       # (samples, lines)
    probe: Fan | Linear,
    width: float,            # of a sheet, mm
    power: float,            # as for facing()
) -> np.ndarray:
    """Thin curved sheets of tissue where a smooth field crosses 0, 1 where the beam meets them squarely."""
    down, across = np.gradient(field, probe.sample_mm, 1)
    across *= probe.lines_per_mm()
    slope = np.hypot(down, across) + np.float32(1e-6)
    return np.exp(-((field / (slope * np.float32(width))) ** 2)) * np.abs(down / slope) ** np.float32(power)


def window(fan: Fan | Linear, x, y) -> tuple[slice, slice]:
    """The part of the grid that holds a rectangle with its corners among points x, y in mm."""
    x, y = np.asarray(x), np.asarray(y)
    # The depth over a straight edge is least where it passes the middle of the fan.
    corners = np.meshgrid([x.min(), np.clip(0, x.min(), x.max()), x.max()], [y.min(), y.max()])
    sample, line, _ = fan.locate(*corners)
    return (slice(max(0, int(sample.min()) - 1), max(0, int(sample.max()) + 2)),
            slice(max(0, int(line.min()) - 1), max(0, int(line.max()) + 2)))


@dataclass(frozen=True)
class Shape:
    """A closed outline: an ellipse with a wavy edge, perhaps bent like a bow. Millimetres and radians."""

    centre: tuple[float, float]
    axes: tuple[float, float]                # half the diameters
    tilt: float                              # of the first diameter against the horizontal
    waves: tuple[tuple[int, float, float], ...] = ()   # of the edge: number around it, height in radii, phase
    bend: float = 0.0                        # by how much the ends of the first diameter sag, mm

    @property
    def reach(self) -> float:
        """Farthest distance of the edge from the centre, mm, at the most."""
        return max(self.axes) * (1 + sum(abs(height) for _, height, _ in self.waves)) + abs(self.bend)

    def outside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance of points from the edge along the ray from the centre, mm, negative inside."""
        dx, dy = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        u, v = (dx * c + dy * s) / np.float32(self.axes[0]), (dy * c - dx * s) / np.float32(self.axes[1])
        if self.bend:
            v = v - np.minimum(u**2, 4) * np.float32(self.bend / self.axes[1])
            dx, dy = u * np.float32(self.axes[0]), v * np.float32(self.axes[1])
        radius, edge = np.maximum(np.hypot(u, v), np.float32(1e-3)), 1
        if self.waves:
            turn = np.arctan2(v, u)
            edge = 1 + sum(height * np.cos(count * turn + phase) for count, height, phase in self.waves)
        return (radius - edge) * np.hypot(dx, dy) / radius

    def around(self, fan: Fan, margin: float) -> tuple[slice, slice]:
        """The part of the polar grid that holds the shape with a margin in mm."""
        reach = self.reach + margin
        return window(fan, [self.centre[0] - reach, self.centre[0] + reach],
                      [self.centre[1] - reach, self.centre[1] + reach])


def wavy(rng: np.random.Generator, height: float, count: int = 6) -> tuple[tuple[int, float, float], ...]:
    """Waves for a Shape: slow ones higher than fast ones, of the given height (share of the radius) in all, about."""
    return tuple((k, float(height * rng.normal() / k), float(rng.uniform(0, 2 * np.pi))) for k in range(2, count))


class Ellipse:
    """Coordinates of an elliptical organ on the polar grid: u along its long diameter, v across, the edge at radius 1.

    u, v, radius: (samples, lines); outside: distance from the edge, about, in mm, negative inside; normal: of the
    ellipse through each point, a pair of (samples, lines).
    """

    def __init__(
        self,
        fan: Fan | Linear,
        centre: tuple[float, float],   # x and y, mm
        axes: tuple[float, float],     # half the long and half the short diameter, mm
        tilt: float,                   # of the long diameter against the horizontal, radians
        flip: int,                     # 1: u grows to the right; -1: to the left
    ):
        self.fan, self.centre, self.axes, self.tilt, self.flip = fan, centre, axes, tilt, flip
        (x, y), (a, b) = centre, axes
        c, s = np.cos(tilt), np.sin(tilt)
        grid_x, grid_y, self.depth, self.angle = fan.grid()
        dx, dy = grid_x - np.float32(x), grid_y - np.float32(y)
        self.u, self.v = (dx * c + dy * s) * np.float32(flip / a), (dy * c - dx * s) * np.float32(1 / b)
        self.radius = np.hypot(self.u, self.v)
        # The gradient of the radius gives the normal, and its length turns radius into millimetres.
        along, across = self.u * np.float32(flip / a), self.v * np.float32(1 / b)
        slope = np.maximum(np.hypot(along, across), 1e-6)
        self.normal = (along * c - across * s) / slope, (along * s + across * c) / slope
        self.outside = (self.radius - 1) * np.maximum(self.radius, 1e-3) / slope     # mm

    def place(self, u, v):
        """Millimetres (x, y) of points (u, v)."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        p, q = u * self.axes[0] * self.flip, v * self.axes[1]
        return self.centre[0] + p * c - q * s, self.centre[1] + p * s + q * c

    def box(self, u, v, margin: float) -> tuple[slice, slice]:
        """The part of the grid that holds points (u, v) with a margin in mm, so that small things cost little."""
        x, y = self.place(np.array(u), np.array(v))
        x, y = np.add.outer(x, [-margin, margin]).ravel(), np.add.outer(y, [-margin, margin]).ravel()
        return window(self.fan, x, y)

    def blob(
        self,
        target: np.ndarray,             # (samples, lines), changed in place
        combine,                        # (old values, 1 inside to 0 outside) -> new values
        centre: tuple[float, float],    # (u, v)
        radii: tuple[float, float],     # along u and v before the turn
        turn: float = 0.0,              # radians
        edge: float = 0.2,              # width of the soft edge, a share of the radius
    ) -> None:
        """Change an amplitude inside a small ellipse."""
        reach = max(radii) * 1.2
        here = self.box([centre[0] - reach, centre[0] + reach], [centre[1] - reach, centre[1] + reach], 0)
        c, s = np.cos(turn), np.sin(turn)
        du, dv = self.u[here] - np.float32(centre[0]), self.v[here] - np.float32(centre[1])
        distance = np.hypot((du * c + dv * s) / np.float32(radii[0]), (dv * c - du * s) / np.float32(radii[1]))
        target[here] = combine(target[here], np.clip((1 - distance) / edge + 0.5, 0, 1))

    def line(
        self,
        target: np.ndarray,             # (samples, lines) amplitude of mirrors, changed in place
        level: float,                   # where the beam meets it squarely, dB
        start: tuple[float, float],     # (u, v)
        end: tuple[float, float],
        bend: float = 0.0,              # height of its arc, in v
        width: float = 0.5,             # mm
    ) -> None:
        """Add a thin bent mirror, which fades where the beam meets it at a slant."""
        a, b = self.axes
        here = self.box([start[0], end[0]], [start[1], end[1]], 3 * width + abs(bend) * b)
        du, dv = (end[0] - start[0]) * a, (end[1] - start[1]) * b
        length = np.hypot(du, dv)
        p = (self.u[here] - np.float32(start[0])) * np.float32(a)
        q = (self.v[here] - np.float32(start[1])) * np.float32(b)
        along = (p * du + q * dv) / length**2
        across = (q * du - p * dv) / length - 4 * bend * b * along * (1 - along)
        turn = np.arctan2(dv, du * self.flip) + self.tilt
        back = facing(-np.sin(turn), np.cos(turn), self.angle[:, here[1]], 10)
        profile = np.exp(-((across / width) ** 2) - np.abs(2 * along - 1) ** 6 * 3)
        target[here] += amplitude(level) * (0.08 + 0.92 * back) * profile.astype(np.float32)
