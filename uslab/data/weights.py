"""Published weights of pretrained networks: what they are, and the one place where they lie and are found."""

import functools
from pathlib import Path

from .download import check
from .source import folder
from .sources import File, Source, read

WEIGHTS: dict[str, Source] = read("weights.yaml")


def place(name: str) -> Path:
    """Where the file of a network lies, there or not: in `weights`, beside the data sets (see folder())."""
    return folder("weights") / WEIGHTS[name].files[0].name


def need(name: str) -> Path:
    """The file of a network's weights, its checksum verified: other weights give other numbers under the same name.

    Raises FileNotFoundError, naming the command that fetches it, where it is not there; ValueError for another file.

    Args:
        name: 'inception', 'efficientnet-b2' or 'vgg16'.
    """
    source, path = WEIGHTS[name], place(name)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not here, the weights of {source.title} ({source.size}): run "
                                f"`uslab weights get {name}`")
    verified(path, source.files[0], path.stat().st_mtime_ns)
    return path


@functools.cache
def verified(path: Path, file: File, changed: int) -> None:
    """Check a file once, and again when it has changed."""
    check(path, file, delete=False)
