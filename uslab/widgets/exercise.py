"""check: the answer of an exercise against the right one, kindly."""

import math


def check(answer: float | None, expected: float, hint: str, rtol: float = 1e-3) -> None:
    """Print whether the answer is right. An exercise left open stops nothing.

    Args:
        answer: The student's number; None until there is one.
        expected: The right one.
        hint: Said when the answer is wrong.
        rtol: Relative difference that still counts as right.
    """
    if answer is None:
        print("Not answered yet: put your value where the TODO is and run the cell again.")
    elif math.isclose(float(answer), expected, rel_tol=rtol):
        print(f"Right: {float(answer):.4g}")
    else:
        print(f"Not yet: {float(answer):.4g}. {hint}")
