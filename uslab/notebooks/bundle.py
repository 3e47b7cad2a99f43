"""What goes with the notebooks: where it lies, in a checkout or in a wheel, and a copy of it to work with."""

import shutil
from pathlib import Path

from .parameters import UsageError, bundle

PARTS = ("notebooks", "data_cards", "docs")     # setup.py puts the same into a wheel


def copy(folder: Path) -> None:
    """Copy the notebooks and all that they read and link to. Raises UsageError rather than overwrite anything."""
    if not (bundle() / "notebooks").is_dir():
        raise UsageError(f"{bundle()} holds no notebooks: install the package anew, from a wheel or a checkout")
    for part in PARTS:
        if (folder / part).exists():
            raise UsageError(f"{folder / part} is there already: name another folder")
    for part in PARTS:
        shutil.copytree(bundle() / part, folder / part, ignore=shutil.ignore_patterns(".*"))
