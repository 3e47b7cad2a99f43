"""`uslab new-paper`: the files with which a further paper begins. Heavy imports wait."""

import argparse
from pathlib import Path


def add_parser(commands) -> None:
    """Add `new-paper` to the command line."""
    new = commands.add_parser(
        "new-paper", help="begin a further paper: its model, notebook, profiles, sweep and tests",
        description="In a checkout, write a model on the contract of all GANs, a notebook with the fixed sections, its "
                    "profiles, a sweep file and tests, all of which run at once. Nothing is overwritten; what the "
                    "paper says goes where TODO stands (docs/adding_a_paper.md).")
    new.add_argument("name", metavar="NAME", help="the class of its model, such as WGAN")
    new.add_argument("--organ", metavar="ORGAN", default="liver",
                     choices=("breast", "fetal_head", "liver", "ovary"),
                     help="a phantom on which it trains: %(choices)s (default: %(default)s)")
    new.set_defaults(command=made)


def made(options: argparse.Namespace) -> None:
    from uslab.notebooks.new_paper import make

    paths = make(options.name, options.organ)
    for path in paths:
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    stem = next(path.stem for path in paths if path.suffix == ".ipynb")
    test = next(path.name for path in paths if path.name.startswith("test_"))
    print(f"It is registered in uslab/models/store.py and listed in the README. It runs as it is:\n"
          f"  python -m pytest tests/{test} tests/test_gan.py\n  uslab run {stem} --profile smoke\n"
          f"Then: docs/adding_a_paper.md, and python tools/refresh_notebooks.py {stem}")
