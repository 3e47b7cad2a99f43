"""Bodies in space of which organs are made: each says how far outside it a point lies. Millimetres."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ball:
    """An ellipsoid, turned about z."""

    centre: tuple[float, float, float]
    axes: tuple[float, float, float]      # half the diameters
    turn: float = 0.0                     # radians

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        reach = np.array([max(self.axes[:2])] * 2 + [self.axes[2]])
        return self.centre - reach, self.centre + reach

    def outside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance from the surface along the ray from the centre, mm, negative inside."""
        dx, dy, dz = (p - np.float32(q) for p, q in zip((x, y, z), self.centre))
        c, s = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        a, b, h = np.float32(self.axes)
        radius = np.sqrt(((dx * c + dy * s) / a) ** 2 + ((dy * c - dx * s) / b) ** 2 + (dz / h) ** 2)
        return (1 - 1 / np.maximum(radius, np.float32(1e-3))) * np.sqrt(dx * dx + dy * dy + dz * dz)


@dataclass(frozen=True)
class Tube:
    """A bent tube of varying width: round cones between points on a smooth curve."""

    points: np.ndarray      # (n, 3)
    radii: np.ndarray       # (n,)

    @classmethod
    def through(cls, points, radii, pieces: int = 3) -> "Tube":
        """A tube along the natural cubic spline through the points."""
        from scipy.interpolate import CubicSpline

        course = np.column_stack([points, radii])
        dense = CubicSpline(np.arange(len(course)), course, bc_type="natural")(
            np.linspace(0, len(course) - 1, pieces * (len(course) - 1) + 1))
        return cls(dense[:, :3], np.maximum(dense[:, 3], 0.5))

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        return (self.points - self.radii[:, None]).min(0), (self.points + self.radii[:, None]).max(0)

    def outside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance from the surface, about, mm, negative inside."""
        nearest = np.full(x.shape, np.inf, np.float32)
        for start, end, first, last in zip(self.points, self.points[1:], self.radii, self.radii[1:]):
            along = (end - start).astype(np.float32)
            dx, dy, dz = (p - np.float32(q) for p, q in zip((x, y, z), start))
            share = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / (along @ along), 0, 1)
            far = np.sqrt((dx - share * along[0]) ** 2 + (dy - share * along[1]) ** 2 + (dz - share * along[2]) ** 2)
            nearest = np.minimum(nearest, far - np.float32(first) - share * np.float32(last - first))
        return nearest
