"""check: the answer of an exercise against the right one, kindly."""

import math


def check(
    answer: float | None,    # the student's number; None until there is one
    expected: float,         # the right one
    hint: str,               # said when the answer is wrong
    rtol: float = 1e-3,      # relative difference that still counts as right
) -> None:
    """Print whether the answer is right. An exercise left open stops nothing."""
    if answer is None:
        print("Not answered yet: put your value where the TODO is and run the cell again.")
    elif math.isclose(float(answer), expected, rel_tol=rtol):
        print(f"Right: {float(answer):.4g}")
    else:
        print(f"Not yet: {float(answer):.4g}. {hint}")
