"""How a notebook's kernel is reached. Needs traitlets alone, so that whoever starts a kernel can ask here."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from traitlets.config import Config

LONGEST = 100   # bytes of a Unix socket's path: Linux takes 107, macOS 103


@contextmanager
def private_sockets() -> Iterator[Config]:
    """Yield settings for a KernelManager: Unix sockets in a folder that nobody else may enter, gone at the end.

    Jupyter's default is five ports that are free when the kernel is asked for. One of them may be taken when it begins,
    and then it dies (jupyter_client issue 487): of 112 kernels that were asked for eight at a time, one did.
    Where there are no such sockets (Windows, a temporary folder of a very long name) the default stays.
    """
    with tempfile.TemporaryDirectory(prefix="uslab_", ignore_cleanup_errors=True) as folder:
        file = Path(folder).absolute() / "kernel.json"
        if os.name == "posix" and len(os.fsencode(file)) < LONGEST:
            yield Config(KernelManager={"transport": "ipc", "connection_file": str(file)})
        else:
            yield Config()
