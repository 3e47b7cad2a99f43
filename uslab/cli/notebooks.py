"""`uslab notebooks copy`: the notebooks of an installed package, to work with."""

import argparse
from pathlib import Path


def add_parser(commands) -> None:
    """Add `notebooks` and its command to the command line."""
    parts = commands.add_parser(
        "notebooks", help="copy the notebooks to a folder of yours",
        description="The notebooks, with their profiles, committed results, sweeps and data cards.",
    ).add_subparsers(metavar="COMMAND", required=True)
    copy = parts.add_parser("copy", help="copy them to a folder, where they can be changed",
                            description="Copy the notebooks, data cards and documents to DIR. Nothing is overwritten.")
    copy.add_argument("folder", metavar="DIR", type=Path, help="made if it is not there")
    copy.set_defaults(command=copied)


def copied(options: argparse.Namespace) -> None:
    from uslab.notebooks.bundle import copy

    copy(options.folder)
    print(f"Copied to {options.folder}. Open them with `jupyter lab {options.folder}`; what they write goes to "
          f"{options.folder / 'runs'}. `uslab run` in that folder takes these copies.")
