"""check: answers to a notebook's exercises against the right ones, kindly."""

from collections import Counter
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import yaml

_wrong: Counter = Counter()      # of each exercise, in this session: what comes next is a clearer hint


@cache
def exercises() -> dict[str, dict[str, dict]]:
    """By notebook and name: answer, hints, how it is found."""
    return yaml.safe_load((Path(__file__).parent / "exercises.yaml").read_text(encoding="utf-8"))


def check(notebook: str, **answers: float | str | None) -> None:
    """Print for each exercise whether the answer is right; if not, a hint, and a clearer one the next time.

    Right is what is right to the digits that are given, two at least: 33.3, 33 and "33,3" for 33.3. An exercise left
    open stops nothing. Raises ValueError for a name that the notebook does not have.

    Args:
        notebook: Its name without the ending.
        answers: The student's numbers by the exercises' names; None until there is one.
    """
    known = exercises()[notebook]
    for name, answer in answers.items():
        if name not in known:
            raise ValueError(f"{notebook} has no exercise {name!r}; it has {', '.join(known)}")
        exercise = known[name]
        if answer is None:
            said = "not answered yet: put your value where its TODO is and run the cell again"
        elif (number := as_number(answer)) is None:
            said = f"{answer!r} is no number"
        elif is_right(number, exercise["answer"]):
            said = f"right: {number} ({exercise['how']})"
        else:
            hints = exercise["hints"]
            said = f"not yet: {number}. {hints[min(_wrong[notebook, name], len(hints) - 1)]}"
            _wrong[notebook, name] += 1
        print(f"{name}: {said}")


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
