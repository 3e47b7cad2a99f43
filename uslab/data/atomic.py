"""Write a file or a folder whole or not at all."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What to do about errors of the operating system.
ADVICE = {errno.ENOSPC: "free some space and run it again", errno.EDQUOT: "free some space of yours and run it again",
          errno.EACCES: "change who may use it, or name another place", errno.EROFS: "name another place"}


def write_atomically(
    path: Path,
    write: Callable[[Path], object],   # writes a file at the temporary path that it is given
) -> None:
    """Write beside path, then move into place: a kill or a full disk leaves the old file whole.

    Its folder is made. Each call writes to a part of its own name, so that two processes never write into one file.
    Raises OSError, naming the file, if it cannot be written.
    """
    from safetensors import SafetensorError  # which hides the OSError of a full disk

    part = beside(path, "part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        reason, advice = getattr(error, "strerror", None) or error, ADVICE.get(getattr(error, "errno", errno.ENOSPC))
        raise OSError(f"{path} was not written ({reason}); what was there is whole" + f": {advice}" * bool(advice)
                      ) from error
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8", newline=""))


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically, indented for people."""
    write_text(path, json.dumps(value, indent=1) + "\n")


@contextmanager
def written_aside(
    folder: Path,    # absent, or one whose files of the same names are replaced
) -> Iterator[Path]:
    """A new folder beside `folder` to write into; it takes its place at the end, and after an error it is gone."""
    folder = folder.absolute()
    part = beside(folder, "part")
    try:
        part.mkdir(parents=True)
        yield part
        if folder.is_dir():
            for path in part.iterdir():
                os.replace(path, folder / path.name)
        else:
            part.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and not error.filename:
            raise OSError(f"{folder} was not written ({error.strerror}), no part of it: {ADVICE[error.errno]}"
                          ) from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def beside(path: Path, ending: str) -> Path:
    """A hidden name in the same folder that nobody else has: not another process, on another machine either."""
    return path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}.{ending}")
