"""`uslab notebooks copy`: the notebooks of an installed package, to work with."""

import argparse
import shutil
from pathlib import Path

from uslab.notebooks import UsageError
from uslab.notebooks.parameters import bundle

PARTS = ("notebooks", "data_cards")


def add_parser(commands) -> None:
    """Add `notebooks` and its command to the command line."""
    parts = commands.add_parser(
        "notebooks", help="copy the notebooks to a folder of yours",
        description="The notebooks, with their profiles, committed results, sweeps and data cards.",
    ).add_subparsers(metavar="COMMAND", required=True)
    copy = parts.add_parser("copy", help="copy them to a folder, where they can be changed",
                            description="Copy the notebooks and the data cards to DIR/notebooks and DIR/data_cards. "
                                        "Nothing is overwritten.")
    copy.add_argument("folder", metavar="DIR", type=Path, help="made if it is not there")
    copy.set_defaults(command=copied)


def copied(options: argparse.Namespace) -> None:
    source = bundle()
    if not (source / "notebooks").is_dir():
        raise UsageError(f"{source} holds no notebooks: install the package anew, from a wheel or a checkout")
    for part in PARTS:
        if (options.folder / part).exists():
            raise UsageError(f"{options.folder / part} is there already: name another folder")
    for part in PARTS:
        shutil.copytree(source / part, options.folder / part, ignore=shutil.ignore_patterns(".*"))
    print(f"Copied to {options.folder}. Open them with `jupyter lab {options.folder}`; what they write goes to "
          f"{options.folder / 'runs'}. `uslab run` in that folder takes these copies.")
