"""`uslab sweep`: a grid of runs from a YAML file; `uslab report`: what runs measured, as a page.

Heavy imports wait for their command.
"""

import argparse
import sys
from pathlib import Path

from uslab.cli.options import directory, number, whole, writable
from uslab.notebooks import UsageError


def add_parser(commands) -> None:
    """Add `sweep` and `report` to the command line."""
    sweep = commands.add_parser(
        "sweep",
        help="run a notebook with every combination of some parameters",
        description="Run a notebook with every combination of the values in FILE's grid, each in a folder of its own\n"
        "under DIR. What is complete is left as it is, so the same command goes on where it was stopped.",
        epilog="a sweep file:\n"
        "  notebook: 01_dcgan_fetal_head    # a name or a path\n"
        "  profile: class                   # smoke, class or paper\n"
        "  data: phantom                    # or a data set such as hc18\n"
        "  root: ~/hc18                     # where it lies; may be left out\n"
        "  parameters: {epochs: 100}        # values for all runs; may be left out\n"
        "  grid:\n"
        "    n_train: [100, 300, 500]\n"
        "    seed: [0, 1]\n"
        "  calibrate: {epochs: [1, 3]}      # for --dry-run: short lengths to extend a line from; may be left out",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument("file", metavar="FILE", type=Path, help="the sweep file")
    sweep.add_argument("--out", metavar="DIR", type=Path,
                       help="where everything is written (default: runs/ and the file's name)")
    sweep.add_argument("--root", metavar="DIR", type=directory, help="folder of the data set, in place of the file's")
    sweep.add_argument("--workers", metavar="N", type=whole(1),
                       help="runs at a time (default: one a GPU, or without a GPU one for every two cores)")
    sweep.add_argument("--threads", metavar="N", type=whole(1),
                       help="processor threads for each run (default: the cores, shared among the workers)")
    sweep.add_argument("--cluster", metavar="ADDRESS",
                       help="run on Dask workers: a scheduler's address such as tcp://node1:8786, or slurm, which "
                       "starts --workers jobs as jobqueue.slurm in Dask's configuration says")
    sweep.add_argument("--timeout", metavar="SECONDS", type=number(0),
                       help="time limit for each cell of the notebook, 0 for none (default: as in `uslab run`)")
    sweep.add_argument("--retry", action="store_true", help="run those again that failed; they go on from a checkpoint")
    sweep.add_argument("--dry-run", action="store_true",
                       help="print what would run and about how long it takes here, from the runs that are complete or "
                       "from a calibration of at most a quarter of an hour; nothing is kept")
    sweep.set_defaults(command=run)

    report = commands.add_parser(
        "report",
        help="gather what the runs in a folder measured into one page and two tables",
        description="Read all run.json files and executed notebooks below DIR, of `uslab sweep` and `uslab run`,\n"
        "while they run or after, and write report.html (measures over the parameters that differ, key pictures side\n"
        "by side, failures), metrics.csv (one row a measure of a run) and runs.csv (one row a run).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("folder", metavar="DIR", type=Path, help="such as the --out of a sweep")
    report.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: into the folder itself)")
    report.add_argument("--claims", metavar="FILE", type=Path,
                        help="instead: write a verdict on each claim of the papers as Markdown, from the records in "
                        "DIR/NOTEBOOK, such as notebooks/results")
    report.set_defaults(command=gather)


def run(options: argparse.Namespace) -> int:
    """Carry out `uslab sweep` and return the exit code: 0, or 1 where a run failed."""
    from uslab.sweeps import estimate, runner, sweep, workers
    from uslab.sweeps.board import Board

    told = sweep.read(options.file, options.root)
    out = options.out or Path("runs") / options.file.stem
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; name a folder")
    if not options.dry_run:
        writable(out)
    jobs = sweep.jobs(told, out, options.timeout)
    todo, failed = runner.open_jobs(jobs, options.retry)
    done = len(jobs) - len(todo) - len(failed)
    print(f"{len(jobs)} runs of {told.notebook.stem}: {done} complete, {len(failed)} failed, {len(todo)} to do")
    if options.dry_run:
        for job in jobs:
            state = "" if job in todo else " (failed)" if job in failed else " (complete)"
            print(f"  {job.output.parent.name}{state}")
        with workers.local(options.workers, options.threads, len(todo)) as there:
            complete = [job for job in jobs if job not in todo and job not in failed]
            print(estimate.estimate(told, todo, complete, there.count, there.threads))
        return 0
    outcomes = {}
    if todo:
        place = (workers.dask(options.cluster, options.workers, options.threads, len(todo)) if options.cluster
                 else workers.local(options.workers, options.threads, len(todo)))
        with place as there:
            print(f"{there.text}; everything is written into {out}", flush=True)
            board = Board(len(jobs), done + len(failed), there.count)
            outcomes = runner.run(todo, there, board, options.retry)
    for job in failed:
        print(f"failed before: {job.output.parent / 'log.txt'}; run it again with --retry", file=sys.stderr)
    bad = [folder for folder, outcome in outcomes.items() if outcome.state != "ok"]
    for folder in bad:
        print(f"{outcomes[folder].state}: {folder / 'log.txt'}", file=sys.stderr)
    return 1 if bad or failed else 0


def gather(options: argparse.Namespace) -> int:
    """Carry out `uslab report`."""
    if options.claims:
        from uslab.data.atomic import write_atomically
        from uslab.notebooks.verdicts import claims, markdown

        text = markdown(claims(results=options.folder))
        write_atomically(options.claims, lambda part: part.write_text(text))
        print(options.claims)
        return 0
    from uslab.sweeps.report import write

    out = options.out or options.folder
    writable(out)
    page, unread = write(options.folder, out)
    for reason in unread:
        print(f"left out: {reason}", file=sys.stderr)
    print(page)
    return 0
