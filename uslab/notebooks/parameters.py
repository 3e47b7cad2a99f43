"""Notebooks and their parameters: find them, read what may be set, and run one through papermill."""

import ast
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from ..data.reading import read_json
from . import yaml12

PROFILES = ("smoke", "class", "paper")
# Seconds a cell may take. A cell that trains is one cell, so the limit is far above what a profile aims at.
TIME_LIMITS = {"smoke": 600, "class": 3600, "paper": 14 * 24 * 3600}


class UsageError(ValueError):
    """What the user asked for cannot be done; the message says what to ask for instead."""


@dataclass(frozen=True)
class Failure:
    """Why a notebook stopped, and in which cell."""

    kind: str      # the exception's class, such as 'ValueError'
    message: str
    source: str    # the cell's code
    count: int     # the cell's execution count, as In [count]


def leave_out_address_grammar() -> None:
    """Spare this process jsonschema's grammar of web addresses; for programs of the project's own alone.

    nbformat checks notebooks with jsonschema, which builds that grammar first where it finds this package: more than
    half of the time that a process of ours takes to start, for a format that no notebook uses.
    """
    sys.modules.setdefault("rfc3987_syntax", None)


def bundle() -> Path:
    """Return the folder that holds notebooks/ and data_cards/: the project's, or the one that a wheel brings."""
    package = Path(__file__).resolve().parents[1]
    return package.parent if (package.parent / "pyproject.toml").is_file() else package / "bundle"


def folder() -> Path:
    """Return the folder of the notebooks: beside the package, else in the current folder, else what a wheel brings."""
    here, installed = Path.cwd() / "notebooks", bundle().name == "bundle"
    return here if installed and any(here.glob("*.ipynb")) else bundle() / "notebooks"


def find(names: list[str]) -> list[Path]:
    """Return the paths of the notebooks named by stem or by path; all of the project's without a name."""
    known = {path.stem: path for path in sorted(folder().glob("*.ipynb"))}
    if not names:
        if not known:
            raise UsageError(f"no notebook in {folder()}")
        return list(known.values())
    paths = []
    for name in names:
        path = Path(name)
        if path.suffix == ".ipynb" and path.is_file():
            paths.append(path.resolve())
        elif name.removesuffix(".ipynb") in known:
            paths.append(known[name.removesuffix(".ipynb")])
        else:
            raise UsageError(f"no notebook {name!r}: there are {', '.join(known) or 'none'}, or give a path")
    doubles = {path.stem for path in paths if sum(path.stem == other.stem for other in paths) > 1}
    if doubles:
        raise UsageError(f"two notebooks named {', '.join(sorted(doubles))}: their results would share a folder")
    return paths


def defaults(notebook: Path) -> dict[str, object]:
    """Return the names and values that the notebook's cell tagged `parameters` assigns (literals only)."""
    cells = [cell for cell in read(notebook).cells if "parameters" in cell.metadata.get("tags", [])]
    if not cells:
        raise UsageError(f"{notebook} has no cell tagged 'parameters'")
    values = {}
    for line in ast.parse(cells[0].source).body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    values[target.id] = ast.literal_eval(line.value)
                except (ValueError, TypeError):
                    raise UsageError(f"{notebook}: parameter {target.id} must be a plain value") from None
    return values


def profile_file(notebook: Path, profile: str) -> Path:
    """Return where a profile's parameters stand; `class` has no file, being the notebook's defaults."""
    return notebook.parent / "profiles" / f"{notebook.stem}.{profile}.yaml"


def profile_values(notebook: Path, profile: str) -> dict[str, object]:
    """Return the parameters that a profile sets, checked against the notebook's own."""
    if profile == "class":
        return {"profile": "class"}
    path = profile_file(notebook, profile)
    if not path.is_file():
        raise UsageError(f"{notebook.stem} has no profile {profile!r}: expected {path}")
    known = defaults(notebook)
    return {name: checked(notebook.stem, known, name, value) for name, value in read_yaml(path).items()}


def read_yaml(path: Path) -> dict[str, object]:
    """Return the keys and values of a YAML file; raise UsageError, naming it, for anything else."""
    try:
        value = yaml12.load(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(value, dict | None):
        raise UsageError(f"{path} must hold keys and values, as in `seed: 3`")
    return value or {}


def parsed(
    stem: str,                   # the notebook, for the message
    known: dict[str, object],    # its parameters with their defaults
    name: str,
    text: str,                   # as typed by the user
) -> object:
    """Return the value that the text means for a parameter: text as it is, anything else as YAML."""
    if isinstance(known.get(name), str):
        return checked(stem, known, name, text)
    try:
        value = yaml12.load(text)
    except ValueError as error:
        raise UsageError(f"{stem}: {name} cannot be {text!r}: {error}") from None
    return checked(stem, known, name, value, text)


def checked(
    stem: str,                   # the notebook, for the message
    known: dict[str, object],    # its parameters with their defaults
    name: str,
    value: object,
    text: str | None = None,     # as it was typed, where it was
) -> object:
    """Return the value in its parameter's type, or raise UsageError for an unknown name or another type."""
    if name not in known:
        raise UsageError(f"{stem} has no parameter {name!r}: there are {', '.join(known)}")
    default = known[name]
    try:
        return fitted(default, value)
    except TypeError:
        raise UsageError(f"{stem}: {name} takes a value like {default!r} ({type(default).__name__}), not "
                         f"{value if value is not None or text is None else text!r}") from None
    except ValueError as error:
        raise UsageError(f"{stem}: {name} is {value!r}, {error}") from None


def fitted(default: object, value: object) -> object:
    """Return the value in the default's type, in lists member by member; raise TypeError or ValueError if it is none.

    Whole numbers are counts, sizes and seeds: they fall below 0 only where the default does.
    """
    if default is None:
        return value
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        return [fitted(default[0], member) for member in value] if default else list(value)
    if type(default) is float and type(value) is int:
        return float(value)
    if type(default) is int and type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not type(default):
        raise TypeError
    if type(value) is int and value < 0 <= default:
        raise ValueError("but it must not be negative")
    if isinstance(value, str):
        value.encode()      # raises UnicodeEncodeError, a ValueError, for the name of a file that is no text
    return value


def run(
    notebook: Path,
    output: Path,                      # the executed notebook, saved after every cell
    parameters: dict[str, object],     # all values that differ from the notebook's defaults; none: no cell is added
    time_limit: float | None = None,   # seconds a cell may take; None is no limit
    keep_open: tuple[int, ...] = (),   # open files that the notebook's Python shares, such as a lock
) -> Failure | None:
    """Run a notebook in its own folder, with a progress bar, and return why it stopped, or None if it is complete."""
    import papermill  # importing it loads uslab.notebooks.entry, by its entry point
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            verbatim(notebook),
            verbatim(output),
            parameters=parameters,
            engine_name="uslab",
            kernel_name="python3",
            cwd=notebook.parent,
            progress_bar={"desc": notebook.stem, "bar_format": "{desc}: {percentage:3.0f}% |{bar:30}| {elapsed}"},
            execution_timeout=time_limit,
            keep_open=keep_open,
        )
    except PapermillExecutionError as error:
        return Failure(error.ename, error.evalue, error.source, error.exec_count)
    return None


def verbatim(path: Path) -> str:
    """Return a path in which papermill finds nothing to fill in: it takes what stands in braces for a parameter."""
    return str(path).replace("{", "{{").replace("}", "}}")


def read(notebook: Path):
    """Return the notebook as an nbformat node, in the current format."""
    import nbformat

    try:
        if not isinstance(read_json(notebook).get("cells", []), list):      # nbformat says so in ten lines of a log
            raise ValueError("its cells are no list")
        node = nbformat.read(notebook, as_version=4)
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        reason = str(error).removeprefix(f"{notebook} ").partition("\n")[0][:200]
        raise UsageError(f"{notebook} cannot be read as a notebook: {reason}") from None
    return node


def source_hash(notebook) -> str:
    """Return the SHA-256 of the sources of a notebook's code cells, in order: it changes with any edit of the code."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()
