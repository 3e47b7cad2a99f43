"""`uslab run`: several notebooks one after another, each with its results in one folder, and a page that shows them."""

import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from uslab import notebooks
from uslab.data.lock import LOCK, InUse, alone, held, holder
from uslab.notebooks import TIME_LIMITS, Failure, UsageError


@dataclass(frozen=True)
class Job:
    """One notebook with all that it is to be run with."""

    notebook: Path
    output: Path                      # the executed notebook; its run folder is the same path without .ipynb
    parameters: dict[str, object]
    time_limit: float | None          # seconds a cell may take


def plan(
    names: list[str],                      # stems or paths; none means every notebook that has the profile
    profile: str,                          # a name in PROFILES
    out: Path,                             # where everything is written
    data: str | None = None,               # None leaves the choice to the notebook
    root: Path | None = None,              # folder of the data in its official layout
    settings: list[tuple[str, str]] = (),  # (parameter, value as typed)
    time_limit: float | None = None,       # seconds a cell may take; None takes the profile's, 0 is no limit
) -> list[Job]:
    """Return the jobs, or raise UsageError before anything runs: unknown notebook, profile, parameter or type."""
    limit = TIME_LIMITS[profile] if time_limit is None else time_limit or None
    reserved = {"out": "--out", "profile": "--profile"}
    names_set = [name for name, _ in settings]
    for name in names_set:
        if name in reserved:
            raise UsageError(f"set {name} with {reserved[name]}, not with -p")
        if names_set.count(name) > 1 or name == "data" and data is not None or name == "root" and root is not None:
            raise UsageError(f"{name} is given twice: which one shall it be?")
    if root is not None and not root.is_dir():
        raise UsageError(f"--root {root} is not a folder")
    jobs = []
    for notebook in notebooks.find(names):
        if not names and profile != "class" and not notebooks.profile_file(notebook, profile).is_file():
            print(f"{notebook.stem} has no profile {profile!r}: left out")
            continue
        known = notebooks.defaults(notebook)
        given = {"data": data, "root": None if root is None else str(root.resolve())}
        given = {name: value for name, value in given.items() if value is not None}
        given["out"] = str(out.resolve() / notebook.stem)
        parameters = notebooks.profile_values(notebook, profile)
        parameters |= {name: notebooks.checked(notebook.stem, known, name, value) for name, value in given.items()}
        parameters |= {name: notebooks.parsed(notebook.stem, known, name, text) for name, text in settings}
        jobs.append(Job(notebook, out / f"{notebook.stem}.ipynb", parameters, limit))
    if not jobs:
        raise UsageError(f"no notebook has the profile {profile!r}")
    return jobs


def run_in(
    out: Path,
    jobs: list[Job],
    resume: bool,       # whether results that lie there already are gone on with
) -> int:
    """Run the jobs that are still to do, alone in the folder, and return the exit code.

    Raises UsageError rather than overwrite a result, and InUse where another process is at it.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; name a folder")
    if out.is_dir() and any(path.name != LOCK or held(path) for path in out.iterdir()) and not resume:
        if held(out / LOCK):
            raise InUse(f"{out} is in use by {holder(out / LOCK)}: name another --out")
        raise UsageError(f"{out} already holds files: name another --out, or go on with what is there by --resume")
    with alone(out) as keep_open:
        return run([job for job in jobs if not (resume and finished(job))], keep_open)


def finished(job: Job) -> bool:
    """Return whether the job's notebook is there, complete."""
    from uslab.notebooks.page import read_card

    if status(job.output) != "ok":
        return False
    card = read_card(job.output)
    if card.parameters != job.parameters:
        raise UsageError(f"{job.output} was run with other parameters ({card.parameters}): name another --out")
    return True


def status(
    output: Path,   # an executed notebook, which may be absent
) -> str:
    """Return "waiting" for a notebook that is not there, and else a key of uslab.notebooks.page.STATUSES."""
    from uslab.notebooks.page import read_card

    return read_card(output).status if output.is_file() else "waiting"


def run(
    jobs: list[Job],                    # of one folder
    keep_open: tuple[int, ...] = (),    # open files that the notebooks' Python shares, such as a lock
) -> int:
    """Run the jobs one by one and return the exit code: 0, 1 where one failed, 130 where the user stopped them."""
    failed = []
    for job in jobs:
        try:
            failure = notebooks.run(job.notebook, job.output, job.parameters, job.time_limit, keep_open)
        except KeyboardInterrupt:
            show(job.output)
            print(f"Stopped. What is done lies in {job.output.parent}; go on with --resume", file=sys.stderr)
            return 130
        except Exception as error:  # such as a full disk or a kernel that does not start; the rest still run
            failure = Failure(type(error).__name__, str(error), "", None)
        if failure:
            failed.append(job.notebook.stem)
            report(job.notebook.stem, failure)
        show(job.output)
    if failed and len(jobs) > 1:
        print(f"{len(failed)} of {len(jobs)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def show(output: Path):
    """Write an executed notebook's HTML and its folder's front page, or say why that cannot be done."""
    from uslab.notebooks.page import publish

    if output.is_file():
        try:
            publish(output)
        except (OSError, UsageError) as error:  # such as a full disk, on which the notebook itself may have broken off
            print(f"{output.stem} has no page: {error}", file=sys.stderr)


def report(stem: str, failure: Failure):
    """Print the cell that failed and its error."""
    where = f"{stem}, In [{failure.count}]:" if failure.count else f"{stem}:"
    cell = "".join(f"    {line}\n" for line in failure.source.splitlines())
    print(f"\n{where}\n{cell}{failure.kind}: {failure.message}\n", file=sys.stderr)


def stamp() -> str:
    """Return the time as a folder's name that sorts and is valid on every system."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def refresh(
    names: list[str],     # stems or paths; none means every notebook
) -> int:
    """Run notebooks in place with their defaults, as they are committed; one that fails stays as it was.

    An earlier run folder of a notebook is set aside first: a finished run would be shown instead of a new training.
    """
    from nbformat import write

    from uslab.notebooks.html import drop_widgets, shrink_pictures

    code = 0
    for notebook in notebooks.find(names):
        folder = (notebook.parent / str(notebooks.defaults(notebook)["out"])).resolve()
        if folder.exists():
            print(f"{folder} is kept as {folder.rename(folder.with_name(f'{folder.name}_until_{stamp()}'))}")
        output = notebook.with_name(f".{notebook.stem}.running.ipynb")
        failure = notebooks.run(notebook, output, {}, TIME_LIMITS["class"])
        if failure:
            report(notebook.stem, failure)
            code = 1
        else:
            node = notebooks.read(output)
            drop_widgets(node)
            shrink_pictures(node)
            node.metadata = {name: node.metadata[name] for name in ("kernelspec", "language_info")}
            node.metadata["uslab"] = {"source_sha256": notebooks.source_hash(node), "profile": "class"}
            for cell in node.cells:
                for name in ("papermill", "execution"):
                    cell.metadata.pop(name, None)
            write(node, output)
            shutil.move(output, notebook)
        output.unlink(missing_ok=True)
    return code
