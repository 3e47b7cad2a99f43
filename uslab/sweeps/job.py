"""One job of a sweep: a notebook that runs in a process and a folder of its own, under a lock.

`start` is what a worker of the sweep calls, on this machine or another; it runs this module as a program, which ends
by itself, with a checkpoint, when its worker is no more. A job's folder holds job.json (what is to run), lock, log.txt,
and what `uslab run` leaves. Whether it is complete stands in the executed notebook alone.
"""

import _thread
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from uslab.data.atomic import write_json
from uslab.data.lock import LOCK, held, holder, locked
from uslab.data.reading import read_json
from uslab.notebooks import batch
from uslab.notebooks.batch import Job
from uslab.notebooks.parameters import leave_out_address_grammar

BUSY = 75   # the exit code of a job that another process is at; EX_TEMPFAIL
STATES = {0: "ok", 1: "failed", 130: "stopped", BUSY: "busy"}   # of an exit code; any other is "killed"

_worker = threading.local()                    # of a worker's thread: the GPU that it uses
_running: set[subprocess.Popen] = set()        # the jobs that this process has started


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    state: str        # a value of STATES, or "killed"
    seconds: float
    reason: str = ""  # the last line of its log, where it did not end well


def write(job: Job) -> Path:
    """Write a job's job.json and return its folder."""
    write_json(job.output.parent / "job.json", {"notebook": str(job.notebook), "parameters": job.parameters})
    return job.output.parent


def state(folder: Path) -> str:
    """Return what a job's files say: running, ok, failed, stopped, unfinished (cut off), or waiting (not begun)."""
    if held(folder / LOCK):
        return "running"
    notebook = Path(read_json(folder / "job.json")["notebook"])
    return batch.status(folder / notebook.name)


def start(
    folder: Path,               # with its job.json
    threads: int | None,        # processor threads that it may use; None leaves the worker's
    time_limit: float | None,   # seconds a cell may take
    again: bool,                # whether to run it if it has failed before
) -> Outcome:
    """Run the job in a process of its own, wait for its end, and return how it ended."""
    began = time.monotonic()
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    if threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    if gpu := getattr(_worker, "gpu", None):
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    command = [sys.executable, "-m", "uslab.sweeps.job", folder, str(time_limit or 0), "again" if again else "once"]
    with open(folder / "log.txt", "ab") as log:
        at = log.tell()
        # Its own session, so that Ctrl-C in the terminal reaches the sweep alone, which then stops its jobs by stop().
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
                                   start_new_session=True)
        _running.add(process)
        try:
            code = process.wait()
        finally:
            _running.discard(process)
            process.stdin.close()
    seconds, end = time.monotonic() - began, STATES.get(code, "killed")
    if end in ("ok", "busy"):
        return Outcome(end, seconds)
    said = (folder / "log.txt").read_bytes()[at:].decode(errors="replace")
    lines = [line for line in said.splitlines() if line.strip() and "it/s" not in line]
    signalled = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return Outcome(end, seconds, signalled if end == "killed" else lines[-1].strip()[:200] if lines else signalled)


def stop() -> None:
    """Let the jobs of this process write their checkpoints and end; called once more, end them at once."""
    for process in list(_running):
        if process.stdin.closed:
            process.kill()
        else:
            process.stdin.close()


def take_gpu(gpus: queue.SimpleQueue) -> None:
    """As a worker's thread begins: take a GPU for all of its jobs."""
    _worker.gpu = gpus.get()


def main(folder: Path, time_limit: float | None, again: bool) -> int:
    """Run the job in `folder` in this process, unless it is done or another process is at it; return the exit code."""
    threading.Thread(target=_stop_without_worker, daemon=True).start()
    with locked(folder / LOCK) as number:
        if number is None:
            print(f"{batch.stamp()} in use by {holder(folder / LOCK)}")
            return BUSY
        told = read_json(folder / "job.json")
        notebook = Path(told["notebook"])
        job = Job(notebook, folder / notebook.name, told["parameters"], time_limit)
        before = batch.status(job.output)
        if before == "ok" or before == "failed" and not again:
            return 0 if before == "ok" else 1
        print(f"{batch.stamp()} {notebook.stem} {told['parameters']}")
        # The notebook's own Python holds the lock too: it may outlive this process by a moment.
        return batch.run([job], keep_open=(number,) * (sys.platform != "win32"))


def _stop_without_worker() -> None:
    """Interrupt this process, as Ctrl-C does, when the worker that started it closes the pipe or is no more."""
    os.read(0, 1)  # returns at the end of the pipe; sys.stdin would keep a lock that Python's end waits for
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


if __name__ == "__main__":
    leave_out_address_grammar()
    try:
        sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) or None, sys.argv[3] == "again"))
    except KeyboardInterrupt:  # before the notebook has begun
        sys.exit(130)
