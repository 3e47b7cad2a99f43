"""A sweep file: one notebook with every combination of some of its parameters, each combination a job of its own."""

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path

from uslab import notebooks
from uslab.notebooks import PROFILES, TIME_LIMITS, UsageError, checked
from uslab.notebooks.batch import Job

KEYS = ("notebook", "profile", "data", "root", "grid", "parameters", "calibrate")


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says, checked against its notebook."""

    notebook: Path
    profile: str
    values: dict[str, object]       # parameters that all jobs share: the profile's, data, root, and the fixed ones
    grid: dict[str, list]           # parameter to the values that it takes; the jobs are all combinations
    calibrate: dict[str, list]      # parameters that set how long a run takes, with one or two values for short runs


def read(
    file: Path,                    # a YAML file with the keys above
    root: Path | None = None,      # folder of the data on this machine; None keeps the file's
) -> Sweep:
    """Read a sweep file; raise UsageError for anything that its notebook could not be run with."""
    text = notebooks.read_yaml(file)
    if unknown := [str(key) for key in text if key not in KEYS]:
        raise UsageError(f"{file}: unknown key {', '.join(unknown)}; there are {', '.join(KEYS)}")
    for key, kind in (("notebook", str), ("grid", dict), ("parameters", dict), ("calibrate", dict)):
        if not isinstance(text.get(key, {} if key in ("parameters", "calibrate") else None), kind):
            raise UsageError(f"{file}: {key} must be {'a name' if kind is str else 'parameters with their values'}")

    beside = file.parent / text["notebook"]
    notebook, = notebooks.find([str(beside) if beside.suffix == ".ipynb" and beside.is_file() else text["notebook"]])
    profile = text.get("profile", "class")
    if profile not in PROFILES:
        raise UsageError(f"{file}: profile is {profile!r}, not one of {', '.join(PROFILES)}")
    known = notebooks.defaults(notebook)
    fixed, grid = text.get("parameters", {}), text["grid"]
    for name in ("profile", "data", "root", "out"):
        if name in fixed or name in grid and name != "data":
            raise UsageError(f"{file}: {name} stands at the top of the file" if name != "out" else
                             f"{file}: out is each job's own folder under --out")
    if twice := [name for name in grid if name in fixed or name == "data" and "data" in text]:
        raise UsageError(f"{file}: {', '.join(twice)} has one value for all jobs and several in the grid")

    values = notebooks.profile_values(notebook, profile)
    given = {"data": text.get("data"), "root": _folder(file, text.get("root"), root), **fixed}
    values |= {name: checked(notebook.stem, known, name, value) for name, value in given.items() if value is not None}
    for name, several in grid.items():
        if not isinstance(several, list) or not several:
            raise UsageError(f"{file}: grid: {name} takes a list of values, such as [1, 2], not {several!r}")
        grid[name] = [checked(notebook.stem, known, name, value) for value in several]
        if len(set(map(repr, grid[name]))) < len(several):
            raise UsageError(f"{file}: grid: {name} has a value twice: {several}")
    if not grid:
        raise UsageError(f"{file}: grid names no parameter: `uslab run` is for a single run")
    return Sweep(notebook, profile, values, grid, _calibration(file, notebook.stem, known, text.get("calibrate", {})))


def jobs(
    sweep: Sweep,
    out: Path,                        # each job gets a folder of its own in it
    time_limit: float | None = None,  # seconds a cell of the notebook may take; None takes the profile's, 0 is no limit
) -> list[Job]:
    """Return the jobs in the grid's order, the last parameter changing fastest."""
    limit = TIME_LIMITS[sweep.profile] if time_limit is None else time_limit or None
    found = []
    for combination in itertools.product(*sweep.grid.values()):
        varied = dict(zip(sweep.grid, combination))
        parameters = sweep.values | varied
        folder = out / name(sweep.notebook.stem, varied, parameters)
        parameters["out"] = str(folder.resolve() / sweep.notebook.stem)
        found.append(Job(sweep.notebook, folder / f"{sweep.notebook.stem}.ipynb", parameters, limit))
    return found


def name(
    stem: str,                        # the notebook
    varied: dict[str, object],        # the parameters that tell this job from the others
    parameters: dict[str, object],    # all of its parameters
) -> str:
    """Return a folder's name: what varies, to be read, and a hash of all, so that no two jobs share a folder.

    Where the data lie (`root`) differs between machines and is left out of the hash.
    """
    told = "_".join(f"{key}-{re.sub(r'[^A-Za-z0-9.]+', '-', str(value)).strip('-')}" for key, value in varied.items())
    identity = {key: value for key, value in parameters.items() if key != "out" and not key.endswith("root")}
    text = json.dumps([stem, identity], sort_keys=True)
    return f"{told[:80]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _calibration(file: Path, stem: str, known: dict[str, object], told: dict) -> dict[str, list]:
    """Return the calibration's parameters with their one or two values, checked."""
    for name, values in told.items():
        if not isinstance(values, list) or not (len(values) == 1 or len(values) == 2 and values[0] < values[1]):
            raise UsageError(f"{file}: calibrate: {name} takes two rising lengths or a short one alone, such as "
                             f"{{epochs: [1, 3], break_steps: [2]}}, not {values!r}")
    return {key: [checked(stem, known, key, value) for value in several] for key, several in told.items()}


def _folder(file: Path, written: object, given: Path | None) -> str | None:
    """Return the data's folder as an absolute path: the one given, or the file's, which may be relative to it."""
    if given is None and written is None:
        return None
    path = given.expanduser() if given is not None else file.parent / Path(str(written)).expanduser()
    if not path.is_dir():
        raise UsageError(f"{'--root' if given is not None else f'{file}: root'} {path} is not a folder")
    return str(path.resolve())
