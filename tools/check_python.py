"""Check, before anything is installed, that this Python can set the project up. Runs on any Python, even 2.7."""

import sys

# What `requires-python` in pyproject.toml says, for a Python that cannot read it.
OLDEST, NEWEST = (3, 11), (3, 14)
BROKEN = [(3, 14, 1)]                    # its dataclasses fail, so networkx, which torch needs, refuses it
GIGABYTES = 3


def problem(folder):
    """Return what is in the way of a virtual environment at `folder`, in one line, or None."""
    version = tuple(sys.version_info[:3])
    fault = (
        "is too old" if version < OLDEST else
        "is too new: the pinned packages are not built for it" if version[:2] > NEWEST else
        "has a fault of its own" if version in BROKEN else None
    )
    if fault:
        return (
            "Python %d.%d.%d %s (%s): install another one from %d.%d to %d.%d, and name it with make "
            "PYTHON=/path/to/python3"
            % (version + (fault, sys.executable) + OLDEST + NEWEST)
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return (
            "Python at %s has no module %s: on Debian or Ubuntu, install python%d.%d-venv"
            % (sys.executable, error.name, sys.version_info[0], sys.version_info[1])
        )
    import os
    import shutil
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(folder))).free / 1e9
    if free < GIGABYTES and not os.path.exists(os.path.join(folder, "ready")):
        return "only %.1f GB are free for %s: %d GB are needed" % (free, os.path.abspath(folder), GIGABYTES)


if __name__ == "__main__":
    message = problem(sys.argv[1])
    if message:
        sys.exit("Cannot set up: " + message)
