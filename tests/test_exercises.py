"""The exercises: what counts as right, and that the notebooks ask what there is an answer to."""

import ast
from pathlib import Path

import nbformat
import pytest

from uslab.widgets import check
from uslab.widgets.exercise import exercises

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


@pytest.mark.parametrize("stem", exercises())
def test_a_notebook_asks_for_every_answer_and_shows_none(stem):
    cells = [cell for cell in nbformat.read(NOTEBOOKS / f"{stem}.ipynb", 4).cells
             if cell.cell_type == "code" and "check(" in cell.source and "# TODO" in cell.source]
    assert len(cells) == 1
    tree = ast.parse(cells[0].source)
    call = tree.body[-1].value
    assert call.args[0].value == stem and [word.arg for word in call.keywords] == list(exercises()[stem])
    opened = {node.targets[0].id: node.value.value for node in tree.body[:-1]}
    assert opened == dict.fromkeys(exercises()[stem]), "nothing but TODOs"
    assert all(len(exercise["hints"]) >= 2 and exercise["how"] for exercise in exercises()[stem].values())
