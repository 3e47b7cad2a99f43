"""A lock on a file that one process at a time can hold, and that never outlives the processes that hold it."""

import errno
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCK = "lock"       # its name in the folder that it is for
WORDS = 256         # bytes at the beginning of the file, which say who holds it; Windows locks the byte behind them
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_own: dict[Path, list] = {}     # what this process holds: how to let go, the open file's number, how often


class InUse(ValueError):
    """Another process is at work in a folder; the message says which."""


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
        taken = _take(number)
        if taken:
            words = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M')}"
            os.ftruncate(number, 0)
            os.write(number, words.encode()[:WORDS])
        yield number if taken else None
    finally:
        os.close(number)


def holder(path: Path) -> str:
    """Who holds a lock, in words, such as 'process 71 on lab3, since 2026-11-26 08:30'."""
    with open(path, "rb") as file:
        return file.read(WORDS).decode(errors="replace") or "another process"


def held(path: Path) -> bool:
    """Return whether a process holds the lock at present."""
    if not path.exists():
        return False
    with locked(path) as number:
        return number is None


@contextmanager
def alone(
    folder: Path,   # made where it is missing
) -> Iterator[tuple[int, ...]]:
    """Be the one process that works in a folder; yield the numbers of the open files that children must share.

    Further calls of the same process pass. Raises InUse, which says who is there. On a file system without locks it
    warns and goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / LOCK
    if path not in _own:
        with ExitStack() as stack:
            try:
                number = stack.enter_context(locked(path))
                if number is None:
                    raise InUse(f"{folder} is in use by {holder(path)}: wait until it ends, or name another folder")
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                warnings.warn(f"{folder} lies on a file system without locks: see to it that one process at a time "
                              "uses it", stacklevel=3)
                number = None
            _own[path] = [stack.pop_all(), number, 0]
    own = _own[path]
    own[2] += 1
    try:
        yield () if own[1] is None or sys.platform == "win32" else (own[1],)
    finally:
        own[2] -= 1
        if not own[2]:
            del _own[path]
            own[0].close()


def _take(number: int) -> bool:
    """Take the lock of an open file, or return False where another process has it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(number, WORDS, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(number, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
