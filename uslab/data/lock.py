"""A lock on a file that one process at a time can hold, and that never outlives the processes that hold it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(
    path: Path,   # the lock's file; it is made where it is missing, and stays
) -> Iterator[int | None]:
    """Yield the open file's number while the lock is held, or None where another process holds it; never waits.

    The operating system keeps the lock and drops it when its holder ends, however that happens, so no lock is ever
    stale. On Linux and macOS a child process that is given the file's number holds the lock too. A network file
    system must support locks (NFS 4; Lustre mounted with `flock`); one that does not raises OSError here.
    """
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield number if _take(number) else None
    finally:
        os.close(number)


def held(path: Path) -> bool:
    """Return whether a process holds the lock at present."""
    if not path.exists():
        return False
    with locked(path) as number:
        return number is None


def _take(number: int) -> bool:
    """Take the lock of an open file, or return False where another process has it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
