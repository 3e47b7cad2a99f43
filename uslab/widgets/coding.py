"""Exercises in code: a student's function beside the right one on random inputs, and in words what it gets wrong."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 12      # sets of random inputs on which a function is tried


@dataclass(frozen=True)
class Task:
    """What a student is to write, and how it is judged."""

    solution: Callable              # with the name, the arguments and the docstring of the student's
    draw: Callable                  # a numpy Generator to one tuple of arguments
    hints: list[str]                # from a nudge to nearly all of it
    slips: dict[str, Callable]      # typical mistakes: what to say of one, and a function that makes it
    judge: Callable | None          # (function, *arguments) to what is wrong or ""; None: compare with the solution


TASKS: dict[str, dict[str, Task]] = {}      # by notebook and name


def asked(
    notebook: str,                  # its name without the ending
    draw: Callable,
    hints: list[str],
    slips: dict[str, Callable] | None = None,
    judge: Callable | None = None,
) -> Callable:
    """Decorate a solution: a notebook asks for a function of this name. Like the notebook it may use np and torch."""
    def keep(solution: Callable) -> Callable:
        TASKS.setdefault(notebook, {})[solution.__name__] = Task(solution, draw, hints, slips or {}, judge)
        return solution
    return keep


def source(task: Task) -> str:
    """The solution as it stands in a cell."""
    text = inspect.getsource(task.solution)
    return text[text.index("\ndef ") + 1:].rstrip()


def fault(task: Task, mine: Callable) -> str | None:
    """What is wrong with a student's function, in words; "" if nothing is; None while it returns nothing."""
    rng = np.random.default_rng(0)
    inputs = [task.draw(rng) for _ in range(DRAWS)]
    try:
        if any(mine(*copy.deepcopy(given)) is None for given in inputs):
            return None
        if task.judge:
            return next(filter(None, (task.judge(mine, *given) for given in inputs)), "")
        found = [called(mine, given) for given in inputs]
    except NotImplementedError:
        return None
    except Exception as error:      # whatever a student's lines may raise is an answer to speak about
        return f"It stops with {type(error).__name__}: {error}."
    wanted = [called(task.solution, given) for given in inputs]
    if alike(found, wanted):
        return ""
    for words, slip in task.slips.items():
        if alike(found, [called(slip, given) for given in inputs]):
            return words
    for one, right in zip(found, wanted):
        if one.shape != right.shape:
            return f"It returns numbers of the shape {one.shape}, and {right.shape} is wanted."
        if not np.isfinite(one).all():
            return "It returns a value that is infinite or no number."
    return "Its numbers are not the right ones."


def called(function: Callable, given: tuple) -> np.ndarray:
    """What a function returns for copies of the arguments, as numbers. Raises TypeError where it is none."""
    value: Any = function(*copy.deepcopy(given))
    if hasattr(value, "detach"):
        value = value.detach()
    return np.asarray(value, dtype=float)


def alike(found: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    """Whether all are the same, but for the rounding of float32."""
    return all(one.shape == right.shape and np.allclose(one, right, rtol=1e-3, atol=1e-5, equal_nan=True)
               for one, right in zip(found, wanted))
