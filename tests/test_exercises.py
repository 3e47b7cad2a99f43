"""The exercises: what counts as right, and that the notebooks ask what there is an answer to."""

import ast
import math
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from scipy import stats

from uslab.widgets import check, coding, exercise
from uslab.widgets.exercise import exercises, tasks

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.parametrize("answer, right", [
    (33.3, True), (33, True), ("33,3", True), (33.30, True), (999 * 1000 / (100 * 300), True), ("33.28", True),
    (33.4, False), (32, False), (30, False), (0, False), (-33.3, False),
])
def test_an_answer_is_right_to_the_digits_that_are_given(capsys, answer, right):
    check("01_dcgan_fetal_head", ratio_of_updates=answer)
    assert ("right" in capsys.readouterr().out) == right


@pytest.mark.parametrize("name, answer, right", [
    ("loss_d_blind", 1.39, True), ("loss_d_blind", "1,39", True), ("loss_d_blind", 1.3, False),
    ("loss_d_blind", 1, False), ("chance_of_r", 0.4, False), ("chance_of_r", 0.40, False),
    ("chance_of_r", "0.40", True), ("chance_of_r", 0.398, True)])
def test_two_digits_at_least(capsys, name, answer, right):
    check("01_dcgan_fetal_head", **{name: answer})
    assert ("right" in capsys.readouterr().out) == right


def test_hints_get_clearer_and_what_is_open_or_no_number_is_said(capsys):
    check("04_stackgan_liver", images_gained=7, smallest=None, standard_error="a tenth")
    check("04_stackgan_liver", images_gained=8)
    check("04_stackgan_liver", images_gained=9)
    said = capsys.readouterr().out.splitlines()
    first, second = exercises()["04_stackgan_liver"]["images_gained"]["hints"]
    assert first in said[0] and second in said[3] and second in said[4]
    assert "not answered yet" in said[1] and "is no number" in said[2]
    with pytest.raises(ValueError, match="has no exercise 'wrong'; it has images_gained"):
        check("04_stackgan_liver", wrong=1)


WORDS = {"log": math.log, "log10": math.log10, "sqrt": math.sqrt, "e": math.e, "z": stats.norm.ppf, "stats": stats}


@pytest.mark.parametrize("stem, name", [(stem, name) for stem, asked in exercises().items() for name in asked])
def test_an_answer_is_what_its_sum_gives(stem, name):
    known = exercises()[stem][name]
    formula = known["how"].split(", which")[0].replace("²", "**2").replace("^", "**")
    assert eval(formula, WORDS) == pytest.approx(known["answer"], rel=2e-5)


def opened(stem):
    """The code cells of a notebook that ask something and check it."""
    return [cell for cell in nbformat.read(NOTEBOOKS / f"{stem}.ipynb", 4).cells
            if cell.cell_type == "code" and "check(" in cell.source and "# TODO" in cell.source]


@pytest.mark.parametrize("stem", exercises())
def test_a_notebook_asks_for_every_answer_and_shows_none(stem):
    numbers, *functions = opened(stem)
    tree = ast.parse(numbers.source)
    call = tree.body[-1].value
    assert call.args[0].value == stem and [word.arg for word in call.keywords] == list(exercises()[stem])
    given = {node.targets[0].id: node.value.value for node in tree.body[:-1]}
    assert given == dict.fromkeys(exercises()[stem]), "nothing but TODOs"
    assert all(len(exercise["hints"]) >= 2 and exercise["how"] for exercise in exercises()[stem].values())
    stubs = {node.name: node for cell in functions for node in ast.parse(cell.source).body
             if isinstance(node, ast.FunctionDef)}
    assert set(stubs) == set(tasks(stem))
    for name, stub in stubs.items():
        solution = ast.parse(coding.source(tasks(stem)[name])).body[0]
        assert ast.unparse(stub.args) == ast.unparse(solution.args)
        assert ast.get_docstring(stub) == ast.get_docstring(solution), "a solution that answers another question"
        assert [ast.unparse(line) for line in stub.body[1:]] == ["return None"], "nothing but a TODO"


@pytest.mark.parametrize("stem", exercises())
def test_every_prediction_goes_into_the_record(stem):
    trees = [ast.parse(cell.source) for cell in nbformat.read(NOTEBOOKS / f"{stem}.ipynb", 4).cells
             if cell.cell_type == "code" and not cell.source.startswith("%")]
    asked = {node.targets[0].id for tree in trees for node in tree.body if isinstance(node, ast.Assign)
             and getattr(node.targets[0], "id", "").startswith("guess_")}
    kept = [node.value for node in trees[-1].body if isinstance(node, ast.Assign)
            and getattr(node.targets[0], "id", "") == "predictions"][0]
    assert {key.value for key in kept.keys} == asked
    assert all(key.value == value.elts[0].id for key, value in zip(kept.keys, kept.values))
    call = next(node.value for node in trees[-1].body if "write_record" in ast.unparse(node))
    assert call.args[2].id == "predictions"


CODE = [(stem, name) for stem in exercises() for name in tasks(stem)]


def said_of(stem, name, function, capsys):
    check(stem, **{name: function})
    return capsys.readouterr().out


def test_each_paper_asks_for_two_functions():
    assert Counter(stem for stem, _ in CODE) == {stem: 2 for stem in exercises() if "01" <= stem[:2] <= "05"}


@pytest.mark.parametrize("stem, name", CODE)
def test_an_open_stub_stops_nothing_and_a_solution_is_right(stem, name, capsys):
    cell = next(cell for cell in opened(stem) if f"def {name}(" in cell.source)
    exec(cell.source, space := {"check": check, "np": np, "torch": torch})
    assert capsys.readouterr().out == cell.outputs[0].text and "not answered yet" in cell.outputs[0].text
    task = tasks(stem)[name]
    solved = coding.source(task)
    exec(solved, space)     # as it stands in the solution's cell, with what the notebook has imported
    assert said_of(stem, name, space[name], capsys).startswith(f"{name}: right")
    assert len(task.hints) == 3


@pytest.mark.parametrize("stem, name", CODE)
def test_a_typical_mistake_is_called_by_its_name(stem, name, capsys):
    task = tasks(stem)[name]
    assert len(task.slips) >= 4 or task.judge
    for words, slip in task.slips.items():
        assert f"not yet. {words}" in said_of(stem, name, slip, capsys)
    everything = said_of(stem, name, lambda *_: np.zeros((7, 7)), capsys)
    assert "not yet" in everything and "wanted" in everything and task.hints[2] in everything or task.judge


@pytest.mark.parametrize("split, words", [
    (lambda groups, share, seed: np.random.default_rng(seed).random(len(groups)) < share, "of one patient lie on both"),
    (lambda groups, share, seed: np.isin(groups, np.unique(groups)[:round(share * len(set(groups)))]),
     "have to be drawn"),
    (lambda groups, share, seed: np.isin(groups, np.random.choice(np.unique(groups), round(share * len(set(groups))),
                                                                  replace=False)), "nobody could repeat"),
    (lambda groups, share, seed: groups == groups[seed % len(groups)], "It holds out 1 of 10 patients"),
    (lambda groups, share, seed: np.unique(groups)[:3], "A bool array of"),
    (lambda groups, share: groups > 3, "It stops with TypeError")])
def test_a_split_that_leaks_or_cannot_be_repeated_is_refused(split, words, capsys):
    assert words in said_of("01_dcgan_fetal_head", "hold_out_patients", split, capsys)


def test_hints_of_code_get_clearer_and_nothing_but_a_function_is_taken(capsys):
    stem, hints = "03_cyclegan_ct_to_eus", tasks("03_cyclegan_ct_to_eus")["cycle_loss"].hints
    exercise._wrong.clear()
    said = [said_of(stem, "cycle_loss", lambda x, y, to_us, to_ct: 1 / 0, capsys) for _ in range(4)]
    assert all("It stops with ZeroDivisionError: division by zero." in line for line in said)
    assert [next(hint for hint in hints if hint in line) for line in said] == [*hints, hints[2]]
    assert "is no function" in said_of(stem, "cycle_loss", 3.5, capsys)
    assert "not answered yet" in said_of(stem, "cycle_loss", None, capsys)
    assert "is infinite or no number" in said_of(stem, "cycle_loss", lambda *_: float("nan"), capsys)
    assert "It stops with" in said_of(stem, "cycle_loss", lambda *_: "a word", capsys)
