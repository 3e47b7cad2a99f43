"""Board: the live loop of a run's training, with its curves, its sample sheets and the sets that are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from IPython import get_ipython
from IPython.display import display

from uslab.widgets.monitor import Monitor

if TYPE_CHECKING:
    from torch import Tensor

    from uslab.data import ImageSet
    from uslab.training import Run


class Board:
    """Train a run before the reader's eyes; the step itself stays in the notebook.

        board = Board(run, steps=1000)
        for batch in board.batches():
            board.log(run.gan.step(batch))

    Args:
        run: The run; a Run that an earlier session has begun goes on, and its curves are drawn again.
        steps: Length of the whole training, counted over all sessions.
        sheet: Samples on a contact sheet, from the latents of the run's seed; or a function of the GAN that gives the
            images of one, (n, 1, H, W) uint8.
        keep: Shares of the steps, above 0 to 1, at which a set of images is kept for measuring and for reader studies;
            one is kept where the training is interrupted, too.
        n_kept: Images in such a set, from the latents of the next seed; or a function of the GAN that gives the set.
        looks: How often in a training a sheet is saved and shown, beside the first step.
        watch: A function of the GAN, such as metrics.Distance(test), that gives numbers by name. They are drawn, and
            each line of log.jsonl holds the latest.
        watches: How often in a training it is called, beside before the first step.
    """

    def __init__(
        self,
        run: Run,
        steps: int,
        sheet: int | Callable[..., Tensor] = 24,
        keep: Sequence[float] = (0.5, 1.0),
        n_kept: int | Callable[..., Tensor | ImageSet] = 400,
        looks: int = 40,
        watch: Callable[..., dict[str, float]] | None = None,
        watches: int = 8,
    ):
        if not all(0 < share <= 1 for share in keep):
            raise ValueError(f"keep is {list(keep)}: it holds shares of the steps, above 0 and at most 1")
        self.run, self.steps, self.sheet, self.n_kept = run, steps, sheet, n_kept
        self.kept_at = {max(1, round(share * steps)) for share in keep}
        self.shown_at = {1, *(steps * look // looks for look in range(1, looks + 1))}
        self.watch, self.watched = watch, {}
        self.watched_at = {steps * look // watches for look in range(1, watches + 1)} if watch else set()
        self.monitor = Monitor(steps)
        self._batches: Iterator | None = None

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """Show the board and hand out the batches of Run.batches; what is due after a step is done before the next.

        The board is closed when the loop ends, whether the training is complete, interrupted or broken off by an error.
        """
        display(self.monitor)
        for record in self.run.records:     # of an earlier session
            self.monitor.update(record)
        self._batches = self.run.batches(self.steps)
        # An error in a step leaves this generator waiting, held by the traceback, so the end of the cell closes it too.
        if get_ipython() is not None and threading.current_thread() is threading.main_thread():
            get_ipython().events.register("post_run_cell", self.close)
        shown = None
        if self.watch and self.run.step < self.steps:
            self.watched = self.watch(self.run.gan)
        try:
            for batch in self._batches:
                yield batch
                if self.run.step in self.shown_at:
                    shown = self._show()
                if self.run.step in self.kept_at:
                    self._keep()
            if self.run.step and shown != self.run.step:    # interrupted between two looks, or trained before
                self._show()
            kept = self.run.step in self.kept_at or self.run.interrupted
            if kept and self.run.step not in self.run.sets():
                self._keep()
        finally:
            self.close()

    def log(self, values: dict[str, Tensor]) -> None:
        """Pass a step's values, 0-d tensors, to Run.log and draw the line that it writes now and then.

        What `watch` gives is measured first where it is due, so the last line holds it, too.
        """
        if self.run.step in self.watched_at:
            self.watched = self.watch(self.run.gan)
        self.monitor.update(self.run.log(values | self.watched))

    def close(self, *_) -> None:
        """Finish the board; a second call does nothing."""
        if get_ipython() is not None and self.close in get_ipython().events.callbacks["post_run_cell"]:
            get_ipython().events.unregister("post_run_cell", self.close)
        if self._batches is not None:
            self._batches.close()   # gives the stop button back
        self.monitor.close()

    def _show(self) -> int:
        """Save and show a sheet; returns its step."""
        self.monitor.show(self.run.save_samples(self._drawn(self.sheet, self.run.seed)))
        return self.run.step

    def _keep(self) -> None:
        self.run.save_set(self._drawn(self.n_kept, self.run.seed + 1))

    def _drawn(self, what: int | Callable, seed: int):
        return what(self.run.gan) if callable(what) else self.run.gan.sample(what, seed)
