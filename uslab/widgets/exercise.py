"""check: answers to a notebook's exercises against the right ones, kindly."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import yaml

from ..data.reading import read_json
from . import coding, sealed

SEALED = "exercises.json"        # beside the notebooks of a students' edition

_wrong: Counter = Counter()      # of each exercise, in this session: what comes next is a clearer hint


@cache
def exercises() -> dict[str, dict[str, dict]]:
    """By notebook and name: answer, hints, how it is found."""
    return yaml.safe_load((Path(__file__).parent / "exercises.yaml").read_text(encoding="utf-8"))


def sealed_exercises() -> dict[str, dict[str, dict]] | None:
    """Those of a students' edition, whose answers are hashes: the file lies beside the notebook. None without it."""
    path = Path(SEALED)
    return read_json(path) if path.is_file() else None


def tasks(notebook: str) -> dict[str, coding.Task]:
    """The exercises in code of a notebook, by name."""
    from . import coded_measures, coded_training  # noqa: F401  they fill TASKS, and load PyTorch, so they wait

    return coding.TASKS.get(notebook, {})


def check(notebook: str, **answers: float | str | Callable | None) -> None:
    """Print for each exercise whether the answer is right; if not, a hint, and a clearer one the next time.

    Right is what is right to the digits that are given, two at least: 33.3, 33 and "33,3" for 33.3. A function is tried
    on random inputs. An exercise left open stops nothing. Raises ValueError for a name that the notebook does not have.

    Args:
        notebook: Its name without the ending.
        answers: The student's numbers or functions by the exercises' names; None until there is one.
    """
    known = (sealed_exercises() or exercises())[notebook]
    for name, answer in answers.items():
        if name not in known and name not in tasks(notebook):
            names = ", ".join([*known, *tasks(notebook)])
            raise ValueError(f"{notebook} has no exercise {name!r}; it has {names}")
        task = known.get(name) or tasks(notebook)[name]
        said, hints = of_number(task, answer) if name in known else of_code(task, answer)
        if hints:
            said += f" {hints[min(_wrong[notebook, name], len(hints) - 1)]}"
            _wrong[notebook, name] += 1
        print(f"{name}: {said}")


def of_number(exercise: dict, answer: float | str | None) -> tuple[str, list[str]]:
    """What to say of an answer, and the hints if it is a wrong one."""
    if answer is None:
        return "not answered yet: put your value where its TODO is and run the cell again", []
    if (number := as_number(answer)) is None:
        return f"{answer!r} is no number", []
    if "hashes" in exercise and sealed.opens(number, exercise):
        return f"right: {number}", []
    if "answer" in exercise and is_right(number, exercise["answer"]):
        return f"right: {number} ({exercise['how']})", []
    return f"not yet: {number}.", exercise["hints"]


def of_code(task: coding.Task, answer: Callable | None) -> tuple[str, list[str]]:
    """What to say of a function, and the hints if it is a wrong one."""
    if answer is not None and not callable(answer):
        return f"{answer!r} is no function: give its name, without brackets", []
    if answer is None or (wrong := coding.fault(task, answer)) is None:
        return "not answered yet: write your lines where its TODO is and run the cell again", []
    return (f"not yet. {wrong}", task.hints) if wrong else (f"right: on {coding.DRAWS} random inputs", [])


def as_number(answer: float | str) -> Decimal | None:
    """A number as it was written; a comma may stand for the point."""
    try:
        number = Decimal(str(answer).strip().replace(",", "."))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def is_right(number: Decimal, expected: float) -> bool:
    """Whether it is the expected number, rounded to as many digits as it has, or within a thousandth of it."""
    expected = Decimal(str(expected))
    if abs(number - expected) <= abs(expected) / 1000:
        return True
    digits = len(number.as_tuple().digits)
    return digits >= 2 and abs(number - expected) <= Decimal(5).scaleb(number.as_tuple().exponent - 1)
