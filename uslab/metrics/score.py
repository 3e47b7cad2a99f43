"""Score: one measured number with its interval, its n and what it was measured with."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A value is never shown without its name, n and, where there is one, its 95 % interval."""

    name: str             # 'FID' only in Inception space, else 'FD-lite0' and the like
    value: float
    low: float            # lower end of the 95 % interval; nan where there is none
    high: float           # upper end
    n: int                # synthetic images, or pairs, that the value rests on
    note: str = ""        # feature space, weights, numbers of real images, how pairs and interval were made

    def __str__(self) -> str:
        interval = f" [{short(self.low)}, {short(self.high)}]" if math.isfinite(self.low + self.high) else ""
        return f"{self.name} {short(self.value)}{interval}, n = {self.n}" + (f" ({self.note})" if self.note else "")

    def as_dict(self) -> dict:
        """The entry for run.json; what is not finite becomes None, because JSON knows no nan."""
        numbers = {key: float(value) if math.isfinite(value := getattr(self, key)) else None
                   for key in ("value", "low", "high")}
        return {"name": self.name, **numbers, "n": int(self.n), "text": str(self)}


def short(value: float) -> str:
    """Four significant digits, without an exponent where a number of usual size needs none."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
