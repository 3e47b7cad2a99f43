"""The command `uslab`. Nothing heavy is imported here before a command needs it."""

import os
import sys
import traceback

from uslab import __version__
from uslab.cli import course, data, generate, metrics, new_paper, notebooks, run, study, sweep, track, weights
from uslab.cli.options import Parser
from uslab.data.atomic import ADVICE
from uslab.notebooks.parameters import leave_out_address_grammar

# Packages that a part of uslab needs, and the extra that brings them.
EXTRAS = {"dask_jobqueue": "cluster", "distributed": "cluster", "nibabel": "ct", "pydicom": "dicom", "h5py": "formats",
          "jupyterlab": "lab", "segno": "study", "voila": "study", "monai": "tasks"}
# Errors beside OSError and ValueError that files, disks and values cause, of modules that are imported by then.
ERRORS = {"sqlite3": "Error", "safetensors": "SafetensorError", "cv2": "error"}


def parser() -> Parser:
    """Return the command line's grammar; its help is the command's documentation."""
    top = Parser(
        prog="uslab",
        description="GAN synthesis of ultrasound images: run the notebooks of the papers.",
        epilog="`uslab COMMAND --help` explains a command.",
    )
    top.add_argument("--version", action="version", version=f"uslab {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    for command in (run, notebooks, course, generate, sweep, data, weights, study, metrics, track, new_paper):
        command.add_parser(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a request that cannot be carried out."""
    debug = False
    try:
        options = parser().parse_args(arguments)
        debug = "debug" in options
        leave_out_address_grammar()
        return options.command(options) or 0
    except KeyboardInterrupt:  # between two notebooks
        print("Stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `uslab ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        print(f"uslab: this needs {package}: pip install 'uslab[{EXTRAS[package]}]'", file=sys.stderr)
        return 2
    except (OSError, ValueError, *refusals()) as error:  # what a file or a value causes, and UsageError
        if debug:
            traceback.print_exc()
        print(f"uslab: {in_words(error)}", file=sys.stderr)
        return 2


def refusals() -> tuple[type[Exception], ...]:
    """The classes of ERRORS, of the modules that are imported."""
    return tuple(getattr(sys.modules[module], name) for module, name in ERRORS.items() if module in sys.modules)


def in_words(error: Exception) -> str:
    """The error as one line, that of the operating system with the file and what to do."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        advice = ADVICE.get(error.errno)
        return f"{os.fsdecode(error.filename)}: {error.strerror}" + (f": {advice}" if advice else "")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines) or type(error).__name__
