"""The progress of a sweep: a bar with a line for each job that ends, or plain lines where nobody watches."""

import sys

from tqdm import tqdm

from uslab.pages import duration
from uslab.sweeps.job import Outcome

ENDS = {"ok": "complete", "failed": "FAILED", "stopped": "stopped", "killed": "KILLED", "busy": "at another sweep"}


class Board:
    """Counts jobs. Prints to standard error, where a bar does not disturb what a program reads."""

    def __init__(
        self,
        total: int,       # jobs of the sweep
        done: int,        # of these, those that were complete before
        workers: int,     # jobs at a time
    ):
        self.total, self.done, self.workers = total, done, workers
        self.ended, self.bad, self.seconds = done, 0, []
        self.bar = tqdm(total=total, initial=done, unit="job", bar_format="{n_fmt} of {total_fmt} |{bar:30}| {desc}",
                        disable=not sys.stderr.isatty(), leave=False)
        self._tell()

    def end(self, name: str, outcome: Outcome):
        """Tell how a job ended."""
        self.ended += 1
        self.bad += outcome.state != "ok"
        self.seconds += [outcome.seconds] if outcome.state == "ok" else []
        text = f"[{self.ended} of {self.total}] {name}: {ENDS[outcome.state]}, {duration(outcome.seconds)}"
        text += f": {outcome.reason}" if outcome.reason else ""
        if self.bar.disable:
            left = self._left()
            print(text + (f" ({left})" if left else ""), file=sys.stderr, flush=True)
        else:
            self.bar.write(text, file=sys.stderr)
            self.bar.update()
        self._tell()

    def close(self):
        self.bar.close()

    def _left(self) -> str:
        """Return roughly how long the rest takes if its jobs are like those that have ended."""
        rest = self.total - self.ended
        if not rest or not self.seconds:
            return ""
        return f"about {duration(sum(self.seconds) / len(self.seconds) * rest / min(self.workers, rest))} left"

    def _tell(self):
        running = min(self.workers, self.total - self.ended)
        parts = [f"{running} running", f"{self.bad} failed" if self.bad else "", self._left()]
        self.bar.set_description_str(", ".join(part for part in parts if part))
