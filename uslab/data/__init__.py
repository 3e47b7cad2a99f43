"""Image sets: one reader for each data set in its official layout."""

import importlib
import os
from pathlib import Path

from .audits import Audit, audit
from .imageset import ImageSet

__all__ = ["Audit", "ImageSet", "audit", "folder", "load"]

# Each a module beside this file with read(root, size); the name that users know is not always the module's.
READERS = {"busi": "busi", "ct": "ct", "eus": "eus", "folder": "own", "hc18": "hc18", "mmotu": "mmotu", "nafld": "nafld"}


def folder(name: str, root: str | Path | None = None) -> Path:
    """Where a data set lies: root if given, else $USLAB_DATA/<name>, else a per-user folder."""
    if root:
        return Path(root).expanduser()
    if base := os.environ.get("USLAB_DATA"):
        return Path(base).expanduser() / name
    import platformdirs

    return Path(platformdirs.user_data_dir("uslab", appauthor=False)) / name


def load(
    name: str,                        # one of READERS, such as 'hc18'
    root: str | Path | None = None,   # folder that holds the official layout; default: see folder()
    size: int | None = None,          # side of the square images, pixels; None: the native longest side
) -> ImageSet:
    """Read a real data set from its official layout on disk.

    Raises ValueError for an unknown name; what a reader raises names the file and what to do.
    """
    if name not in READERS:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(READERS)}, or use uslab.phantom.load")
    root = folder(name, root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is not a folder; data_cards/{name}.md says how to get {name}. Pass its folder as root, or set "
            f"USLAB_DATA to the folder that holds {name}/")
    return importlib.import_module(f".{READERS[name]}", __name__).read(root, size)
