"""Run the jobs of a sweep: what is complete is left, what another sweep is at is waited for, each is run once."""

import concurrent.futures
import sys
import time
from pathlib import Path

from uslab.data.lock import LOCK, holder
from uslab.notebooks.batch import Job, status
from uslab.sweeps import job
from uslab.sweeps.board import Board
from uslab.sweeps.job import Outcome
from uslab.sweeps.workers import Workers

POLL = 2.0   # seconds between two looks at a job that another sweep is at


def open_jobs(
    jobs: list[Job],
    retry: bool,       # whether jobs that failed before are run again
) -> tuple[list[Job], list[Job]]:
    """Return the jobs that are to run, and those that failed before and are left."""
    states = {one.output: status(one.output) for one in jobs}
    failed = [one for one in jobs if states[one.output] == "failed" and not retry]
    return [one for one in jobs if states[one.output] != "ok" and one not in failed], failed


def run(
    jobs: list[Job],          # those that are to run
    workers: Workers,
    board: Board,
    retry: bool = False,      # whether jobs that failed before are run again
) -> dict[Path, Outcome]:
    """Run the jobs and return how each ended, by its folder. Ctrl-C lets those that run write their checkpoints."""
    outcomes, waiting, told = {}, {}, set()

    def submit(one: Job, again: bool):
        folder = one.output.parent
        future = workers.executor.submit(job.start, folder.resolve(), workers.threads, one.time_limit, again)
        waiting[future] = one

    for one in jobs:
        job.write(one)
        submit(one, retry)
    busy: list[tuple[float, Job]] = []   # at another sweep, and when to look again
    try:
        while waiting or busy:
            ended, _ = concurrent.futures.wait(waiting, POLL, concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                one = waiting.pop(future)
                outcome = result(future)
                if outcome.state == "busy":
                    folder = one.output.parent
                    if folder not in told:
                        print(f"{folder} is in use by {holder(folder / LOCK)}: waiting for it", file=sys.stderr)
                        told.add(folder)
                    busy.append((time.monotonic() + POLL, one))
                    continue
                outcomes[one.output.parent] = outcome
                board.end(one.output.parent.name, outcome)
            if not waiting and busy:
                time.sleep(max(0.0, busy[0][0] - time.monotonic()))
            for due in [item for item in busy if item[0] <= time.monotonic()]:
                busy.remove(due)
                submit(due[1], False)  # if the other sweep's run of it fails, that was its one run
    except KeyboardInterrupt:
        print("\nStopping when the jobs that run have written their checkpoints; Ctrl-C again stops at once",
              file=sys.stderr)
        for future in waiting:
            future.cancel()
        job.stop()
        try:
            workers.executor.shutdown(wait=True)
        except KeyboardInterrupt:
            job.stop()
        raise
    finally:
        board.close()
    return outcomes


def result(future: concurrent.futures.Future) -> Outcome:
    """Return a job's outcome; that its worker or the whole cluster is gone is one too."""
    try:
        return future.result()
    except (Exception, concurrent.futures.CancelledError) as error:  # Dask has many kinds
        return Outcome("killed", 0.0, f"its worker or the cluster is gone ({type(error).__name__})")
