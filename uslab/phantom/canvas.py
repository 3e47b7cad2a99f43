"""A canvas on the polar grid: shapes are filled with tissue, walled by mirrors, and cast shadows."""

import numpy as np

from .brush import Shape, amplitude, ring_down, unevenness
from .physics import Fan


class Canvas:
    """Amplitude of scatterers (echo), of mirrors (mirror), and attenuation in dB/mm beyond the TGC's (excess).

    All are (samples, lines), float32, and so are the millimetres x and y.
    """

    def __init__(self, fan: Fan):
        self.fan = fan
        self.x, self.y, self.depth, self.angle = fan.grid()
        self.echo = np.ones_like(self.x)
        self.mirror, self.excess = np.zeros_like(self.x), np.zeros_like(self.x)

    def fill(
        self,
        shape: Shape,
        echo,                    # amplitude inside: a number or (samples, lines)
        excess: float = 0.0,     # attenuation inside, dB/mm, in addition
        edge: float = 0.5,       # width of the soft edge, mm
    ) -> None:
        """Replace what is inside by another tissue."""
        here = shape.around(self.fan, edge)
        inside = np.clip(0.5 - shape.outside(self.x[here], self.y[here]) / np.float32(edge), 0, 1)
        echo = echo[here] if isinstance(echo, np.ndarray) else np.float32(echo)
        self.echo[here] = self.echo[here] * (1 - inside) + echo * inside
        self.mirror[here] *= 1 - inside
        self.excess[here] += np.float32(excess) * inside

    def wall(
        self,
        shape: Shape,
        level: float,            # of its echo where the beam meets it squarely, dB
        width: float,            # mm
        power: float = 6.0,      # how fast the echo falls as the beam meets the wall at a slant
        diffuse: float = 0.03,   # share of the echo that comes back at any slant
        breaks: np.ndarray | None = None,    # (samples, lines) factor of the echo: gaps
    ) -> np.ndarray:
        """Add a thin mirror along the edge; returns by how much the beam meets the edge squarely, in its window."""
        here = shape.around(self.fan, 3 * width)
        outside = shape.outside(self.x[here], self.y[here])
        if min(outside.shape) < 2:
            return outside
        slope = np.gradient(outside, np.float32(self.fan.sample_mm), axis=0)
        squarely = np.clip(np.abs(slope), 0, 1)
        echo = amplitude(level) * (diffuse + (1 - diffuse) * squarely ** np.float32(power))
        echo = echo * np.exp(-((outside / np.float32(width)) ** 2))
        self.mirror[here] += echo if breaks is None else echo * np.clip(breaks[here], 0, 2)
        return squarely

    def refract(self, shape: Shape, strength: float, width: float) -> None:
        """Shadows behind the sides of a round thing: its edge takes away (dB/mm) where the beam grazes it."""
        here = shape.around(self.fan, 3 * width)
        outside = shape.outside(self.x[here], self.y[here])
        if min(outside.shape) < 2:
            return
        squarely = np.clip(np.abs(np.gradient(outside, np.float32(self.fan.sample_mm), axis=0)), 0, 1)
        self.excess[here] += np.float32(strength) * np.exp(-((outside / np.float32(width)) ** 2)) * (1 - squarely) ** 4

    def gas(
        self,
        shape: Shape,            # bowel: its upper side is the interface
        level: float,            # of the echo, dB
        rng: np.random.Generator,
    ) -> None:
        """A bright interface with a dirty shadow: what is behind it is a decaying haze."""
        here = shape.around(self.fan, 2)
        outside = shape.outside(self.x[here], self.y[here])
        if min(outside.shape) < 2:
            return
        front = np.exp(-((outside / np.float32(0.7)) ** 2)) * (np.gradient(outside, axis=0) < 0)
        uneven = np.clip(0.6 + 0.5 * unevenness(rng, self.fan, 60, 40)[here], 0, 2)
        self.echo[here] += amplitude(level) * front * uneven
        self.excess[here] += np.float32(rng.uniform(0.3, 1.0)) * front
        column = slice(here[0].start, None), here[1]
        bright = np.zeros_like(self.echo[column])
        bright[:front.shape[0]] = front * uneven
        self.echo[column] += amplitude(level + 12) * ring_down(bright, 9 / self.fan.sample_mm)
