"""What a class has answered: read from its notebooks, of which nothing is run."""

import ast
import contextlib
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..data.reading import read_json
from ..notebooks import UsageError, read
from ..widgets.exercise import as_number, exercises, is_right, tasks

ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
              ast.Pow: operator.pow}
SIGNS = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def collect(
    folder: Path,    # with a folder of notebooks for each student
):
    """DataFrame, one row an answer: student, notebook, kind (exercise, code, prediction), name, answer, right, was.

    Nothing of a student's is run: what stands behind the names is read, and of code what its check has printed in the
    notebook. `right` is missing for predictions, for what is open, and for what is no plain number. `was` is what a
    prediction was compared to, where a run.json lies in the student's folder; the answer is then what was said first.
    """
    import pandas as pd

    rows, said = [], first_said(folder)
    for path in sorted(folder.rglob("*.ipynb")):
        student = path.relative_to(folder).parts[0]
        if path.stem in exercises() and student != path.name and ".ipynb_checkpoints" not in path.parts:
            for kind, name, answer, right in given(read(path), path.stem):
                recorded = said.pop((student, path.stem, name), None) if kind == "prediction" else None
                answer, was = recorded or (answer, None)
                rows.append((student, path.stem, kind, name, answer, right, was))
    rows += [(student, stem, "prediction", name, answer, None, was)
             for (student, stem, name), (answer, was) in said.items()]     # of which no notebook was handed in
    if not rows:
        raise UsageError(f"{folder} holds no notebooks of the course: give the folder in which each student has one")
    return pd.DataFrame(rows, columns=["student", "notebook", "kind", "name", "answer", "right", "was"])


def first_said(folder: Path) -> dict[tuple[str, str, str], tuple]:
    """By student, notebook and name: what a run.json says was predicted first, and what it was; damaged files are left.
    """
    found = {}
    for path in sorted(folder.rglob("run.json")):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            record = read_json(path)
            for one in record.get("predictions", []):
                if record["notebook"] in exercises() and one["said"] is not None:
                    key = path.relative_to(folder).parts[0], record["notebook"], one["name"]
                    found.setdefault(key, (one["said"], one["was"]))
    return found


def given(node: Any, stem: str) -> Iterator[tuple[str, str, Any, bool | None]]:
    """Kind, name, answer and whether it is right, of each exercise and prediction; None where it is open."""
    known, code = exercises()[stem], tasks(stem)
    for cell in node.cells:
        if cell.cell_type != "code":
            continue
        try:
            body = ast.parse(cell.source).body
        except SyntaxError:     # as in a cell with a shell command, or one that is half written
            continue
        for line in body:
            name = getattr(line.targets[0], "id", "") if isinstance(line, ast.Assign) else getattr(line, "name", "")
            if name in code and isinstance(line, ast.FunctionDef):
                answer = printed(cell, name)
                yield "code", name, answer, None if answer is None else answer.startswith("right")
            elif name in known and isinstance(line, ast.Assign):
                answer = value(line.value)
                number = None if answer is None else as_number(answer)
                yield "exercise", name, answer, None if number is None else is_right(number, known[name]["answer"])
            elif name.startswith("guess_") and isinstance(line, ast.Assign):
                yield "prediction", name, value(line.value), None


def printed(cell: Any, name: str) -> str | None:
    """What the check of a function said when the cell last ran; None while it is open."""
    for output in cell.get("outputs", []):
        for line in output.get("text", "").splitlines():
            if line.startswith(f"{name}: ") and "not answered yet" not in line:
                return line.removeprefix(f"{name}: ")
    return None


def value(node: ast.expr) -> Any:
    """A constant, or the value of plain arithmetic on numbers; the text of anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    try:
        return number(node)
    except (TypeError, ValueError, ArithmeticError, KeyError, RecursionError):
        return ast.unparse(node)


def number(node: ast.expr) -> float:
    """The value of an expression of numbers, in floats: whole numbers could be made to fill the memory."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp):
        return SIGNS[type(node.op)](number(node.operand))
    if isinstance(node, ast.BinOp):
        found = ARITHMETIC[type(node.op)](number(node.left), number(node.right))
        if isinstance(found, float):
            return found
    raise TypeError("no arithmetic")


def histograms(table):
    """A Figure: what a class answered to each question that somebody answered with a number."""
    import pandas as pd
    from matplotlib.figure import Figure

    numbers = table.assign(number=pd.to_numeric(table.answer, errors="coerce")).dropna(subset="number")
    groups = list(numbers.groupby(["notebook", "name"], sort=False))
    rows = max(1, -(-len(groups) // 4))
    figure = Figure(figsize=(12, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False).flat
    for axis, ((stem, name), own) in zip(axes, groups):
        axis.hist(own.number, bins=12, color="tab:blue", alpha=0.7)
        if name in exercises()[stem]:
            axis.axvline(exercises()[stem][name]["answer"], color="tab:green", lw=2)
        axis.set_title(f"{stem.split('_')[0]} {name}: {len(own)} answers", fontsize=9)
    for axis in axes:       # the places that are left
        axis.axis("off")
    return figure
