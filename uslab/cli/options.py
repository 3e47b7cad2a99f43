"""What the options of all commands share: numbers with a range, places that can be written, refusals in one line."""

import argparse
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from uslab.notebooks import UsageError

SEED = 2**32 - 1    # the largest seed that NumPy, scikit-learn and PyTorch all take


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, and which has --debug at every command."""

    def __init__(self, *arguments, **values):
        super().__init__(*arguments, **values)
        self.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                          help="show where in the program an error came up")

    def error(self, message: str):
        raise UsageError(f"{message} (`{self.prog} --help` explains the command)")


def directory(text: str) -> Path:
    """The type of an option that names a folder; '' would be the one that somebody happens to be in."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of the folder is empty (. is the current one)")
    return Path(text)


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """The type of an option that takes a whole number from least to most."""
    return _ranged(int, least, most, "a whole number")


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """The type of an option that takes a finite number from least to most."""
    return _ranged(float, least, most, "a number")


def _ranged(kind: type, least: float, most: float, what: str) -> Callable:
    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or value == math.inf:
            limits = f"from {least:g} to {most:.10g}" if most < math.inf else f"of at least {least:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} {limits}")
        return value

    return read


seed = whole(0, SEED)
side = whole(32, 4096)      # of images, pixels


def new_file(path: Path) -> Path:
    """The path of a file that can be written when all is done. Raises UsageError now for what would fail then."""
    if path.exists():
        raise UsageError(f"{path} exists: name another file")
    writable(path.parent)
    return path


def writable(folder: Path) -> None:
    """Raise UsageError if no file can be made in a folder; where there is none yet, in the one above it."""
    place = folder
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UsageError(f"{place} takes no files ({error.strerror}): name another place with --out") from None
