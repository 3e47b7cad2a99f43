"""A mass in the breast: its outline, its echo, and what it does to what lies behind it."""

from dataclasses import dataclass

import numpy as np

from .brush import amplitude, unevenness
from .physics import Linear

TURNS = np.linspace(-np.pi, np.pi, 721)     # directions at which an outline is stated


@dataclass(frozen=True)
class Mass:
    """A mass. Positions and lengths in mm, levels in dB, angles in radians."""

    centre: tuple[float, float]      # x from the middle, depth
    axes: tuple[float, float]        # half the width and half the height of the ellipse it is drawn on
    tilt: float
    spicules: int                    # 0: smooth
    level: float                     # of its scatterers
    posterior: float                 # of what lies behind its thickest part: above 0 enhancement, below 0 shadow
    wall: float                      # echo of its wall where the beam meets it squarely; only a smooth one has it
    shape: int                       # seed of its outline

    def edge(self) -> np.ndarray:
        """Radius of the outline at TURNS, in radii of its ellipse, about 1."""
        rng = np.random.default_rng(self.shape)
        rough = 0.09 if self.spicules else 0.035
        edge = 1 + sum(rng.normal(0, 1.6 * rough / k**0.5) * np.cos(k * TURNS + rng.uniform(0, 2 * np.pi))
                       for k in range(2, 9 if self.spicules else 5))
        for _ in range(self.spicules):
            away = np.angle(np.exp(1j * (TURNS - rng.uniform(-np.pi, np.pi))))
            edge += rng.uniform(0.05, 0.25) * np.exp(-np.abs(away / rng.uniform(0.08, 0.25)) ** 1.5)
        return edge

    def radius(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from the centre, 1 on the outline, and the direction, of points in mm."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        dx, dy = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
        u, v = (dx * c + dy * s) / np.float32(self.axes[0]), (dy * c - dx * s) / np.float32(self.axes[1])
        turn = np.arctan2(v, u)
        edge = self.edge().astype(np.float32)
        return np.hypot(u, v) / edge[np.rint((turn + np.pi) * (360 / np.pi)).astype(np.int32)], turn

    def paint(
        self,
        probe: Linear,
        rng: np.random.Generator,
        loss: np.ndarray,      # (samples, 1) amplitude that the depth leaves
        echo: np.ndarray,      # (samples, lines) amplitude of the scatterers, changed in place, as are the next two
        mirror: np.ndarray,    # amplitude of mirrors
        excess: np.ndarray,    # attenuation beyond the TGC's, dB/mm
    ) -> None:
        """Put the mass into painted tissue."""
        spiked = bool(self.spicules)
        radius, turn = self.radius(*probe.grid()[:2])
        ragged = radius + 0.1 * spiked * unevenness(rng, probe, 22, 22)
        inside = np.clip((1 - ragged) / (0.7 if spiked else 0.09) + 0.5, 0, 1)
        level = self.level + (3.0 if spiked else 1.2) * unevenness(rng, probe, 16, 14)
        level += 1.5 * unevenness(rng, probe, 60, 80) - 5 * spiked * np.maximum(1 - radius, 0)
        if spiked:
            # Strands radiate into a bright surrounding.
            rays = np.convolve(rng.standard_normal(TURNS.size), np.hanning(31), "same") / 3.4
            halo = np.exp(-np.maximum(radius - 1, 0) / 0.25)
            echo *= amplitude((2.5 * np.interp(turn, TURNS, rays) + 4) * halo)
        echo += (amplitude(level) * loss - echo) * inside
        mirror *= 1 - inside
        if not spiked:
            # The wall is a mirror: bright above and below, where the beam meets it squarely.
            wall = np.exp(-(((radius - 1) * min(self.axes) / 0.22) ** 2)) * np.sin(turn) ** 4
            mirror += amplitude(self.wall) * loss * wall * (0.4 + 0.6 * (turn > 0))
        within = radius < 1
        thickest = within.sum(0).max() * probe.sample_mm
        excess -= self.posterior / (2 * max(thickest, probe.sample_mm)) * within    # there and back


def draw_mass(
    rng: np.random.Generator,
    malignant: bool,     # spiculated, a third taller than wide, with a shadow; else smooth, wide, with enhancement
    width: float,        # of the picture, mm
    depth: float,        # of the picture, mm
) -> Mass:
    """A mass whose size and place are about as frequent as in BUSI; 3 benign ones of 10 are cysts."""
    area = np.exp(rng.normal(np.log(0.08 if malignant else 0.035), 0.7 if malignant else 1.0))
    area = np.clip(area, 0.008 if malignant else 0.003, 0.2) * width**2
    ratio = np.exp(rng.normal(-0.13, 0.27) if malignant else rng.normal(-0.58, 0.27))    # height to width
    b = min(np.sqrt(area * ratio / np.pi), 0.3 * depth)
    a = min(b / ratio, 0.36 * width)
    cyst = not malignant and rng.random() < 0.3
    y = np.clip(rng.normal(0.4 if malignant else 0.33, 0.09) * depth, 1.25 * b + 0.06 * depth, 0.88 * depth - b)
    return Mass(
        centre=(float(np.clip(rng.normal(0, 0.14), -0.42, 0.42) * width), float(y)),
        axes=(float(a), float(b)),
        tilt=float(rng.normal(0, 0.12)),
        spicules=int(rng.integers(7, 17)) if malignant else 0,
        level=float(rng.uniform(*(-21, -7) if malignant else (-45, -26) if cyst else (-22, -11))),
        posterior=float(rng.uniform(*(-14, -2) if malignant else (8, 14) if cyst else (2, 9))),
        wall=float(rng.uniform(0, 9)),
        shape=int(rng.integers(2**32)),
    )
