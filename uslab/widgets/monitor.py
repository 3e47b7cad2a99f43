"""Monitor: the live training board of a notebook."""

import sys
import time
from collections import deque

import numpy as np
import psutil
from IPython.display import display

from uslab.pages import duration, encoded
from uslab.widgets.curves import HEIGHT, PANELS, WIDTH, columns, draw, thin
from uslab.widgets.live import Live, source

POINTS = 2000                       # the board keeps at most so many points; beyond, it keeps the telling half
EVERY = 0.2                         # seconds between two messages to the browser
GRID = 640                          # widest sample grid that is sent, in pixels
NOT_CURVES = {"step", "images", "seconds", "images_per_s"}
NOTHING = {"text/html": "", "text/plain": ""}
LABELS = {"loss_d": "loss D", "loss_g": "loss G", "d_real": "D(x)", "d_fake": "D(G(z))", "r_t": "r_t",
          "gpu_memory": "memory", "gpu_busy": "busy"}
# Okabe and Ito's colours, which colour-blind readers tell apart, shifted so that each reads on white and on black.
COLOURS = ["#2f86d1", "#d9661f", "#0e9f77", "#c46ea5", "#b8860b", "#7a7fd0", "#8a8a8a"]


class Monitor(Live):
    """A board of curves, samples and one line of status that follows a training loop.

    The points are kept here, at most 2000, so a page that reloads gets the whole board again; the browser gets each
    point once, in messages at most 5 times a second. Thread-safe.
    """

    _esm = source("live.js", "monitor.js")
    _css = source("live.css", "monitor.css")

    def __init__(
        self,
        steps: int,     # length of the whole run, in steps
    ):
        self.steps = steps
        self._rows: list[dict] = []         # one dict a point: step and the curves' values
        self._names: list[str] = []         # curves in the order of their first point
        self._values: dict = {}             # what update got last
        self._told = 0                      # points that the browser has been sent
        self._sent = -np.inf                # when the last message went
        self._clock = deque(maxlen=50)      # (second, step) of the latest updates, for the time left
        self._images = None                 # dict: pixels (n, h, w) uint8, and what to say of them
        self._started = time.monotonic()
        self._closed = False
        self._alone = False                 # the live view has been taken away, as no page had asked for it
        super().__init__()

    def __repr__(self) -> str:
        return "Training board: " + ", ".join(self._status())

    def __del__(self):
        """Widget.__del__ would call close(), which here draws a figure."""

    def update(
        self,
        values: dict | None,    # what Run.log returned: step, images_per_s, the curves; None does nothing
    ) -> None:
        """Add a point to each curve. Keys that start with 'loss' go to the first panel, with 'gpu' or 'distance' to
        panels of their own, which are hidden without them, the others to the second."""
        if values is None:
            return
        now = time.monotonic()
        with self._lock:
            row = {key: float(value) for key, value in values.items() if key not in NOT_CURVES}
            row["step"] = values["step"]
            # A run that was resumed from a checkpoint repeats steps; the repeated ones are what counts.
            while self._rows and self._rows[-1]["step"] >= row["step"]:
                self._rows.pop()
                self._told = min(self._told, len(self._rows))
            new = [key for key in row if key != "step" and key not in self._names]
            self._rows.append(row)
            self._values = values
            self._clock.append((now, row["step"]))
            if new:
                self._names = sorted(self._names + new, key=_order)
                self._told = 0
            if len(self._rows) > POINTS:
                self._rows = [self._rows[i] for i in thin(self._table(), POINTS // 2)]
                self._told = 0
            if now - self._sent >= EVERY:
                self._flush()

    def show(
        self,
        images,     # uint8 (n, 1, H, W), tensor or array: samples from a fixed latent
    ) -> None:
        """Show a grid of samples; large ones are sent reduced by a whole factor."""
        images = np.asarray(images.cpu() if hasattr(images, "cpu") else images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 1 or not len(images):
            raise ValueError(f"images must be uint8 (n, 1, H, W) with n at least 1, not {images.dtype} {images.shape}")
        n, _, h, w = images.shape
        factor = -(-columns(n) * w // GRID)
        small = images[:, 0, :h // factor * factor, :w // factor * factor]
        if factor > 1:
            small = small.reshape(n, h // factor, factor, w // factor, factor).mean((2, 4))
        title = f"Samples at step {self._values.get('step', 0):,}"
        size = f"{n} of {h}×{w} px" + (f", shown at 1/{factor}" if factor > 1 else "")
        with self._lock:
            self._images = {"pixels": np.ascontiguousarray(small.round(), np.uint8), "title": title, "size": size}
            self._flush()
            self._send_images()

    def close(self) -> None:
        """Finish the board; the figure that stays in the saved notebook is drawn now. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._flush()
        self._place()

    def resend(self) -> None:
        self._told = 0
        self._flush(whole=True)
        if self._images is not None:
            self._send_images()
        if self._closed and self._alone:
            # A kernel without subshells hears of its page only after the cell: the live view comes back now.
            self._alone = False
            self.refresh(self.view())

    def still(self) -> tuple[dict, dict]:
        """The figure of a finished board; before that, nothing that would push the live view about."""
        if not self._closed:
            return NOTHING, {}
        samples = self._images and (self._images["pixels"], self._images["title"])
        figure = draw(self._table(), self._curves(), self._status(), samples)
        data = {"image/png": encoded(figure), "text/plain": repr(self)}
        return data, {"image/png": {"width": WIDTH, "height": HEIGHT}}

    def _place(self) -> None:
        """Leave the figure in the notebook; where no page asked for the live view, only the figure."""
        self._alone = not self.answered
        if self.displayed:
            self.refresh(NOTHING if self._alone else None)
        elif self._alone and "ipykernel" in sys.modules:
            data, metadata = self.still()
            display(data, metadata=metadata, raw=True)

    def _table(self, start: int = 0) -> np.ndarray:
        """Points as float32 (rows, 1 + curves): the step, then the curves in the order of their names."""
        keys = ["step", *self._names]
        rows = [[row.get(key, np.nan) for key in keys] for row in self._rows[start:]]
        return np.array(rows, np.float32).reshape(-1, len(keys))

    def _flush(self, whole: bool = False) -> None:
        """Send the points that the browser lacks, and the line of status."""
        message = {"type": "points", "from": self._told, "status": self._status(), "share": self._share()}
        if self._told == 0:
            message["curves"] = self._curves()
        if whole:
            message["whole"] = True
        self.tell(message, self._table(self._told))
        self._told = len(self._rows)
        self._sent = time.monotonic()

    def _send_images(self) -> None:
        n, h, w = self._images["pixels"].shape
        about = {"type": "images", "n": n, "h": h, "w": w, "columns": columns(n)}
        self.tell({**about, "title": self._images["title"], "size": self._images["size"]}, self._images["pixels"])

    def _curves(self) -> list[dict]:
        seen = [0] * len(PANELS)
        curves = []
        for name in self._names:
            panel = {"loss": 0, "gpu": 2, "distance": 3}.get(name.partition("_")[0], 1)
            label = LABELS.get(name, name.removeprefix("distance_").replace("_", " "))
            curves.append({"label": label, "panel": panel,
                           "colour": COLOURS[seen[panel] % len(COLOURS)], "dash": seen[panel] >= len(COLOURS)})
            seen[panel] += 1
        return curves

    def _share(self) -> float:
        return min(1.0, self._values.get("step", 0) / max(1, self.steps))

    def _status(self) -> list[str]:
        step = self._values.get("step", 0)
        parts = [f"step {step:,} of {self.steps:,}"]
        if self._closed and step < self.steps:
            parts[0] = "stopped at " + parts[0]
        if "images_per_s" in self._values:
            if self._closed and self._values.get("seconds"):
                parts.append(f"{self._values['images'] / self._values['seconds']:,.0f} images/s on average")
            else:
                parts.append(f"{self._values['images_per_s']:,.0f} images/s")
        if self._closed:
            parts.append(f"took {duration(self._values.get('seconds', time.monotonic() - self._started))}")
        elif len(self._clock) > 1:
            (t0, s0), (t1, s1) = self._clock[0], self._clock[-1]
            parts.append(f"{duration((self.steps - step) * (t1 - t0) / max(1, s1 - s0))} left")
        parts.append(f"memory {psutil.Process().memory_info().rss / 1e9:.1f} GB")
        return parts


def _order(name: str) -> tuple:
    """Curves that have a label of their own come first, in its order, so their colours are always the same."""
    known = list(LABELS)
    return known.index(name) if name in known else len(known), name
