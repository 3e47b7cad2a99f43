"""Which files a folder holds: images, a training, and what nobody uses."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from . import dicom

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".dicom")


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training: config.json beside a checkpoint, sets or contact sheets."""
    return (folder / "config.json").is_file() and any(
        (folder / name).exists() for name in ("checkpoint.safetensors", "samples", "sheets"))


def walk(root: Path, endings: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """All files under a folder with these endings, and DICOM without one, sorted."""
    return [path for path in files_under(root) if path.name.lower().endswith(endings) or dicom.is_dicom(path)]


def files_under(root: Path) -> list[Path]:
    """All files under a folder, sorted; links to folders are followed, but never in a loop.

    What is hidden or in a hidden folder, such as the copies of an editor, is none of them.
    """
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(files) if not name.startswith(".")]
    return found


def left_out(root: Path, used: Iterable[Path]) -> tuple[str, ...]:
    """A note that counts the files under a folder that are not used, by their endings; none if all are."""
    used = {os.path.realpath(path) for path in used}
    rest = [path for path in files_under(root) if os.path.realpath(path) not in used]
    kinds = Counter(path.suffix.lower() or "without an ending" for path in rest)
    words = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
    return (f"left out: {words}, such as {rest[0].relative_to(root).as_posix()}",) if rest else ()
