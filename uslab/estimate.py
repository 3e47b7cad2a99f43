"""How long a sweep will take: from its runs that are complete, or else from a short calibration on this machine."""

import dataclasses
import tempfile
import time
from pathlib import Path

from uslab import job, notebooks
from uslab.batch import Job
from uslab.page import duration, read_card
from uslab.sweep import Sweep

MOST = 300.0   # seconds that a calibration may take


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
        (name, lengths), = told.calibrate.items()
        print(f"calibrating with {name} {lengths[0]} and {lengths[1]}: at most {duration(MOST)}, Ctrl-C leaves it out",
              flush=True)
        ends = todo[:1] + todo[1:][-1:]
        try:
            seconds = calibrate(ends, name, lengths, threads)
        except ValueError as error:
            return f"no estimate: {error}"
        except KeyboardInterrupt:
            return "no estimate: the calibration was stopped"
        each = " and ".join(duration(value) for value in seconds)
        how = (f"from {2 * len(ends)} short runs here: the first and the last run of the grid with {name} {lengths[0]} and "
               f"{lengths[1]}, a straight line through each up to its own {name} ({each}), the others at their mean; "
               "measured one at a time, so workers that share a processor or a GPU will be slower")
    else:
        return "no estimate: no run is complete, and the sweep file has no `calibrate`, such as `calibrate: {epochs: [1, 3]}`"
    total = sum(seconds) / len(seconds) * len(todo)
    at_once = min(workers, len(todo))
    return f"about {duration(total / at_once)} with {at_once} at a time ({duration(total)} in all), {how}"


def calibrate(
    jobs: list[Job],
    name: str,                  # the parameter that sets the training's length
    lengths: list[float],       # its two values for the short runs
    threads: int | None,
) -> list[float]:
    """Return the seconds that each job will take. Raises ValueError where a short run does not end well or in time."""
    left, found = time.monotonic() + MOST, []
    with tempfile.TemporaryDirectory(prefix="uslab_", ignore_cleanup_errors=True) as folder:
        for i, one in enumerate(jobs):
            points = []
            for length in lengths:
                output = Path(folder) / f"{i}_{length}" / one.output.name
                short = one.parameters | {name: length, "out": str(output.with_suffix(""))}
                limit = max(1.0, left - time.monotonic())
                outcome = job.start(job.write(dataclasses.replace(one, output=output, parameters=short)), threads, limit, False)
                if outcome.state != "ok":
                    raise ValueError(f"the short run with {name} {length} did not end well: {outcome.reason}")
                points.append(read_card(output).seconds)
            own = one.parameters.get(name, notebooks.defaults(one.notebook)[name])
            found.append(extended(lengths, points, own))
    return found


def extended(lengths: list[float], seconds: list[float], own: float) -> float:
    """Return the seconds at length `own` on the straight line through two points; it never falls with the length."""
    slope = max(0.0, (seconds[1] - seconds[0]) / (lengths[1] - lengths[0]))
    return seconds[0] + slope * (own - lengths[0])
