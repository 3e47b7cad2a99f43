"""Write a file whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(
    path: Path,
    write: Callable[[Path], object],   # writes a file at the temporary path that it is given
) -> None:
    """Write beside path, then move into place: a kill or a full disk leaves the old file whole.

    Raises OSError, naming the file, if it cannot be written.
    """
    from safetensors import SafetensorError  # which hides the OSError of a full disk

    part = path.with_name(path.name + ".part")
    try:
        write(part)
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} was not written ({error}); what was there is whole. Free some space and run again"
                      ) from error
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically, indented for people."""
    write_atomically(path, lambda part: part.write_text(json.dumps(value, indent=1) + "\n"))
