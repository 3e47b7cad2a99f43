"""Check, before anything is installed, that this Python can set the project up. Runs on any Python, even 2.7."""

import sys

NEEDED = (3, 11)
GIGABYTES = 3


def problem(folder):
    """Return what is in the way of a virtual environment at `folder`, in one line, or None."""
    if sys.version_info < NEEDED:
        have, need = ("%d.%d" % tuple(version[:2]) for version in (sys.version_info, NEEDED))
        return (
            "Python %s is too old (%s): install Python %s or newer, and name it with make PYTHON=/path/to/python3"
            % (have, sys.executable, need)
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
