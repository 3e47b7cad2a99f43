"""`uslab run`: run notebooks and leave their results in one folder."""

import argparse
from pathlib import Path

from uslab import notebooks
from uslab.cli.options import directory, number, writable
from uslab.notebooks import batch


def add_parser(commands) -> None:
    """Add `run` to the command line."""
    run = commands.add_parser(
        "run",
        help="run notebooks and leave their results, as HTML too, in one folder",
        description="Run notebooks one after another. DIR/index.html then shows their key pictures and metrics.\n"
        "If one fails, its failing cell is printed, the rest still run, and the exit code is 1.",
        epilog="examples:\n"
        "  uslab run --profile smoke                                  every notebook, a minute each\n"
        "  uslab run 01_dcgan_fetal_head --data hc18 --root ~/hc18    one paper, on its real images\n"
        "  uslab run 01_dcgan_fetal_head -p epochs 20 -p seed 3       other values for its parameters",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("notebooks", metavar="NOTEBOOK", nargs="*",
                     help="a notebook's name without .ipynb, or a path; all of them without one")
    run.add_argument("--profile", choices=notebooks.PROFILES, default="class",
                     help="smoke: a quick pass through every cell; class: a laptop, at most 10 minutes a notebook "
                     "(default); paper: the paper's protocol, on a GPU")
    run.add_argument("--data", metavar="NAME",
                     help="phantom (simulated images, the notebooks' default) or a data set such as hc18")
    run.add_argument("--root", metavar="DIR", type=directory,
                     help="folder of the data set as its authors publish it (default: $USLAB_DATA/NAME)")
    run.add_argument("--out", metavar="DIR", type=Path,
                     help="where everything is written (default: runs/ and the time); never overwritten")
    run.add_argument("-p", dest="settings", metavar=("NAME", "VALUE"), nargs=2, action="append", default=[],
                     help="set a parameter of the notebooks; may be repeated")
    run.add_argument("--timeout", metavar="SECONDS", type=number(0),
                     help="time limit for each cell, 0 for none (default: 10 minutes in smoke, an hour in class, "
                     "two weeks in paper)")
    run.add_argument("--resume", action="store_true",
                     help="go on in a folder that was stopped: complete notebooks are left, the others run again and "
                     "go on from their checkpoints")
    run.set_defaults(command=run_command)


def run_command(options: argparse.Namespace) -> int:
    """Carry out `uslab run` and return the exit code."""
    out = options.out or Path("runs") / batch.stamp()
    jobs = batch.plan(
        options.notebooks, options.profile, out,
        options.data, options.root and options.root.expanduser(), options.settings, options.timeout,
    )
    writable(out)
    code = batch.run_in(out, jobs, options.resume)
    page = out / "index.html"
    print(page if page.is_file() else f"nothing was run in {out}")
    return code
