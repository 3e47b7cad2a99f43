"""Where the jobs of a sweep run: in processes of this machine, or on a Dask cluster, behind one kind of executor."""

import itertools
import logging
import os
import queue
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from uslab.notebooks import UsageError
from uslab.sweeps.job import take_gpu


@dataclass(frozen=True)
class Workers:
    """An executor, and what the sweep must know of it."""

    executor: Executor
    count: int               # jobs at a time
    threads: int | None      # processor threads for each job; None leaves the cluster's setting
    text: str                # what they are, in words


def cores() -> int:
    """Return how many processor cores this process may use; OMP_NUM_THREADS, where it is set, lowers it."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(wanted)) if wanted.isdigit() and int(wanted) else here


def gpus() -> list[str]:
    """Return the GPUs that the driver sees and that this process may use, as CUDA_VISIBLE_DEVICES names them.

    As CUDA does, it takes the names up to the first that is no GPU, such as SLURM's NoDevFiles.
    """
    import pynvml

    def there(name: str) -> bool:
        if name.isdecimal():
            return int(name) < len(uuids)
        try:
            return bool(name) and (any(uuid.startswith(name) for uuid in uuids)
                                   or bool(pynvml.nvmlDeviceGetHandleByUUID(name)))     # a part of one, MIG-...
        except pynvml.NVMLError:
            return False

    try:
        pynvml.nvmlInit()
        uuids = [pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(i))
                 for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # no driver, so no GPU
        return []
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is None:
        return [str(i) for i in range(len(uuids))]
    return list(itertools.takewhile(there, map(str.strip, visible.split(","))))


@contextmanager
def local(
    count: int | None,      # jobs at a time; None: one a GPU, or without a GPU one for every two cores
    threads: int | None,    # processor threads for each job; None shares the cores among the workers
    most: int,              # jobs there are
) -> Iterator[Workers]:
    """Workers on this machine. Each is a thread that only waits for its job's process; the GPUs go round."""
    devices = gpus()
    count = min(count or len(devices) or max(1, cores() // 2), max(most, 1))
    threads = threads or max(1, cores() // count)
    turn = queue.SimpleQueue()
    for i in range(count):
        turn.put(devices[i % len(devices)] if devices else None)
    text = f"{count} worker{'s' if count > 1 else ''} of {threads} thread{'s' if threads > 1 else ''}"
    text += f" on {len(devices)} GPU{'s' if len(devices) > 1 else ''}" if devices else ", no GPU"
    with ThreadPoolExecutor(count, "job", initializer=take_gpu, initargs=(turn,)) as executor:
        yield Workers(executor, count, threads, text)


@contextmanager
def dask(
    where: str,             # the address of a Dask scheduler, such as tcp://node1:8786, or "slurm"
    count: int | None,      # SLURM: how many workers to ask for
    threads: int | None,    # processor threads for each job; None leaves the workers' setting
    most: int,              # jobs there are
) -> Iterator[Workers]:
    """Workers of a Dask cluster that is there already, or that SLURM starts as Dask's own configuration says.

    Each thread of a Dask worker runs one job at a time, so a worker with one GPU is started with one thread.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--cluster needs Dask: pip install 'uslab[cluster]'") from None
    for name in ("distributed.client", "distributed.core"):  # a lost cluster is told by its jobs, without tracebacks
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if where == "slurm":
        from dask_jobqueue import SLURMCluster

        try:
            cluster = SLURMCluster()
        except (TypeError, ValueError) as error:
            raise UsageError(f"--cluster slurm: {error} (in jobqueue.slurm of Dask's configuration, $DASK_CONFIG or "
                             "~/.config/dask/jobqueue.yaml)") from error
        count = min(count or most, most)
        cluster.scale(jobs=count)
        with cluster, Client(cluster) as client:
            yield Workers(client.get_executor(pure=False), count, threads, f"{count} job{'s' * (count > 1)} of SLURM")
        return
    try:
        client = Client(where, timeout=20)
    except (OSError, ValueError) as error:
        raise UsageError(f"--cluster {where}: no Dask scheduler answers there ({error})") from error
    with client:
        here = client.nthreads()
        slots = sum(here.values())
        text = f"{slots} threads of {len(here)} Dask workers at {where}"
        yield Workers(client.get_executor(pure=False), max(slots, 1), threads, text)
