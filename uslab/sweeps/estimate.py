"""How long a sweep will take: from its runs that are complete, or else from a short calibration on this machine."""

import dataclasses
import tempfile
import time
from pathlib import Path

from uslab import notebooks
from uslab.notebooks.batch import Job
from uslab.notebooks.page import read_card
from uslab.pages import duration
from uslab.sweeps import job
from uslab.sweeps.sweep import Sweep

MOST = 900.0   # seconds that a calibration may take


def estimate(
    told: Sweep,
    todo: list[Job],      # the runs whose time is wanted
    done: list[Job],      # runs of the same sweep that are complete
    workers: int,         # runs at a time
    threads: int | None,  # processor threads of each
) -> str:
    """Return the estimate and how it came about, in words; where there is none, why."""
    if not todo:
        return "nothing is left to run"
    if done:
        seconds = [read_card(one.output).seconds for one in done]
        how = f"from the {len(done)} complete runs, whose mean the others are taken at"
    elif told.calibrate:
        print(f"calibrating with {in_words(told.calibrate)}: at most {duration(MOST)}, Ctrl-C leaves it out",
              flush=True)
        ends = todo[:1] + todo[1:][-1:]
        try:
            seconds = calibrate(ends, told.calibrate, threads)
        except ValueError as error:
            return f"no estimate: {error}"
        except KeyboardInterrupt:
            return "no estimate: the calibration was stopped"
        each = " and ".join(duration(value) for value in seconds)
        how = (f"from {len(ends) * len(short_runs(told.calibrate))} short runs here: the first and the last run of the "
               f"grid with {in_words(told.calibrate)}, extended along each to its own length ({each}), the others at "
               "their mean; measured one at a time, so workers that share a processor or a GPU will be slower")
    else:
        return "no estimate: no run is complete, and the sweep file has no line such as `calibrate: {epochs: [1, 3]}`"
    total = sum(seconds) / len(seconds) * len(todo)
    at_once = min(workers, len(todo))
    return f"about {duration(total / at_once)} with {at_once} at a time ({duration(total)} in all), {how}"


def calibrate(
    jobs: list[Job],
    lengths: dict[str, list],   # parameters that set how long a run takes: [short, longer], or [value] only to be short
    threads: int | None,
) -> list[float]:
    """Return the seconds that each job will take. Raises ValueError where a short run does not end well or in time."""
    left, found = time.monotonic() + MOST, []
    with tempfile.TemporaryDirectory(prefix="uslab_", ignore_cleanup_errors=True) as folder:
        for i, one in enumerate(jobs):
            seconds = []
            for n, values in enumerate(short_runs(lengths)):
                output = Path(folder) / f"{i}_{n}" / one.output.name
                short = one.parameters | values | {"out": str(output.with_suffix(""))}
                limit = max(1.0, left - time.monotonic())
                written = job.write(dataclasses.replace(one, output=output, parameters=short))
                outcome = job.start(written, threads, limit, False)
                if outcome.state != "ok":
                    raise ValueError(f"the short run with {in_words({k: [v] for k, v in values.items()})} did not end "
                                     f"well: {outcome.reason}")
                seconds.append(read_card(output).seconds)
            found.append(extended(lengths, seconds, notebooks.defaults(one.notebook) | one.parameters))
    return found


def short_runs(lengths: dict[str, list]) -> list[dict]:
    """Return the parameters of the short runs: all at their first value, then each in turn at its second."""
    first = {name: values[0] for name, values in lengths.items()}
    return [first] + [first | {name: values[1]} for name, values in lengths.items() if len(values) > 1]


def extended(lengths: dict[str, list], seconds: list[float], own: dict[str, object]) -> float:
    """Return the seconds of a run of its own lengths, on the plane through the short runs, at least the shortest's.

    A slope may fall, as where a longer first phase leaves fewer of the dear steps that follow.
    """
    steps = {name: values for name, values in lengths.items() if len(values) > 1}
    slopes = [(more - seconds[0]) / (high - low) for (low, high), more in zip(steps.values(), seconds[1:])]
    total = seconds[0] + sum(slope * (own[name] - low) for slope, (name, (low, _)) in zip(slopes, steps.items()))
    return max(seconds[0], total)


def in_words(lengths: dict[str, list]) -> str:
    """Return the lengths as text: 'steps 1 and 2, fade 1'."""
    return ", ".join(f"{name} {' and '.join(f'{value:g}' for value in values)}" for name, values in lengths.items())
