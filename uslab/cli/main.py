"""The command `uslab`. Nothing heavy is imported here before a command needs it."""

import argparse
import os
import sys

from uslab import __version__
from uslab.cli import data, generate, metrics, run, study, sweep
from uslab.notebooks.parameters import leave_out_address_grammar


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar; its help is the command's documentation."""
    top = argparse.ArgumentParser(
        prog="uslab",
        description="GAN synthesis of ultrasound images: run the notebooks of the papers.",
        epilog="`uslab COMMAND --help` explains a command.",
    )
    top.add_argument("--version", action="version", version=f"uslab {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    for command in (run, generate, sweep, data, study, metrics):
        command.add_parser(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a request that cannot be carried out."""
    options = parser().parse_args(arguments)
    leave_out_address_grammar()
    try:
        return options.command(options) or 0
    except KeyboardInterrupt:  # between two notebooks
        print("Stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `uslab ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError) as error:  # what a reader, a study or a measure refuses, and UsageError
        print(f"uslab: {error}", file=sys.stderr)
        return 2

