"""Editions of the notebooks: one for students, one with the answers."""

import ast
import copy
import time
from pathlib import Path
from typing import Any

from ..data.atomic import write_json, write_text, written_aside
from ..notebooks import UsageError, bundle, find, read
from ..widgets import coding
from ..widgets.exercise import SEALED, exercises, tasks
from ..widgets.sealed import seal

OPEN = "# TODO"            # what a line holds that a student is to fill


def make(
    folder: Path,    # new
) -> None:
    """Write two editions, each with all that its notebooks read and link to: student/ and solution/.

    The student's has no outputs, its open cells carry nbgrader's metadata, a point for each open line, and the answers
    of its exercises are salted hashes in a file beside the notebooks. In the solution the exercises are answered, with
    how, and the committed outputs stand.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already: name another folder")
    with written_aside(folder) as part:
        for edition, change in (("student", stripped), ("solution", answered)):
            bundle.copy(part / edition)
            for notebook in (part / edition / "notebooks").glob("*.ipynb"):
                write(change(read(notebook), notebook.stem), notebook)
        (part / "student" / "docs" / "lecturer.md").unlink()     # it has the answers to the exam's questions
        write_json(part / "student" / "notebooks" / SEALED, {
            stem: {name: seal(exercise) for name, exercise in known.items()} for stem, known in exercises().items()})


def write(node: Any, path: Path) -> None:
    import nbformat

    write_text(path, nbformat.writes(node))


def stripped(node: Any, stem: str) -> Any:
    """A notebook without outputs, its open cells marked for nbgrader."""
    node = copy.deepcopy(node)
    node.metadata.pop("uslab", None)
    for number, cell in enumerate(node.cells):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if points := cell.source.count(OPEN):
                cell.metadata["nbgrader"] = {"grade": True, "solution": True, "locked": False, "task": False,
                                             "points": points, "grade_id": f"{stem}-{number}", "schema_version": 3}
    return node


def answered(node: Any, stem: str) -> Any:
    """A notebook whose exercises are answered."""
    node = copy.deepcopy(node)
    node.metadata.pop("uslab", None)
    known, code = exercises().get(stem, {}), tasks(stem)
    for cell in node.cells:
        lines = cell.source.splitlines()
        if cell.cell_type != "code" or OPEN not in cell.source:
            continue
        for row, line in enumerate(lines):
            name = line.partition("=")[0].strip()
            if OPEN in line and name in known:
                lines[row] = f"{name} = {known[name]['answer']}    # {known[name]['how']}"
        for part in reversed(ast.parse(cell.source).body):
            if isinstance(part, ast.FunctionDef) and part.name in code:
                lines[part.lineno - 1:part.end_lineno] = coding.source(code[part.name]).splitlines()
        if cell.source != (solved := "\n".join(lines)):
            cell.source, cell.outputs = solved, []      # which say that nothing is answered yet
    return node


def reset(
    notebook: Path,    # a student's, of one of the project's names
) -> Path:
    """Put the student's edition in the place of a notebook; the path of what was there, which is kept beside it."""
    if notebook.stem not in {path.stem for path in find([])}:
        raise UsageError(f"{notebook} is none of the course's notebooks")
    node = stripped(read(find([notebook.stem])[0]), notebook.stem)
    kept = notebook.with_name(f"{notebook.stem}_{time.strftime('%Y-%m-%d_%H%M%S')}.ipynb")
    kept.hardlink_to(notebook)      # fails where a file of that name is; a rename would replace it
    notebook.unlink()
    write(node, notebook)
    return kept
