"""A course is made, solved by a script, collected and reset."""

import contextlib
import io
import json

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from uslab.cli.main import main
from uslab.course import answers, editions
from uslab.notebooks import UsageError
from uslab.training import write_record
from uslab.widgets import check, exercise, sealed
from uslab.widgets.exercise import as_number, exercises, is_right, tasks


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course") / "made"
    assert main(["course", "make", str(folder)]) == 0
    return folder


def notebook(made, edition, stem):
    return nbformat.read(made / edition / "notebooks" / f"{stem}.ipynb", 4)


def fill(path, answers):
    """Write answers as a student would."""
    node = nbformat.read(path, 4)
    for cell in node.cells:
        for name, text in answers.items():
            lines = [f"{name} = {text}" if line.startswith(f"{name} ") and "# TODO" in line else line
                     for line in cell.source.splitlines()]
            cell.source = "\n".join(lines)
    nbformat.write(node, path)


@pytest.mark.parametrize("stem", exercises())
def test_students_get_no_answers_and_solutions_are_right(made, stem):
    node = notebook(made, "student", stem)
    nbformat.validate(node)
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    graded = [cell.metadata["nbgrader"] for cell in code if "nbgrader" in cell.metadata]
    assert sum(cell["points"] for cell in graded) >= len(exercises()[stem])
    assert len({cell["grade_id"] for cell in graded}) == len(graded)
    solution = notebook(made, "solution", stem)
    asked = {name: answer for kind, name, answer, _ in answers.given(solution, stem) if kind == "exercise"}
    assert list(asked) == list(exercises()[stem])
    for cell in solution.cells:
        if any(f"def {name}(" in cell.source for name in tasks(stem)):
            exec(cell.source, {"check": lambda *_, **own: asked.update(own), "np": np, "torch": torch})
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        check(stem, **asked)
    assert said.getvalue().count(": right: ") == len(asked) == len(exercises()[stem]) + len(tasks(stem))
    assert any(cell.get("outputs") for cell in solution.cells)
    assert "not answered yet" not in nbformat.writes(solution), "an output of an exercise that was open"


def test_a_student_reads_hints_but_no_answer_and_is_still_told_what_is_right(made, monkeypatch, capsys):
    folder = made / "student" / "notebooks"
    known = json.loads((folder / "exercises.json").read_text())
    assert [(stem, *part) for stem, part in known.items()] == [(stem, *part) for stem, part in exercises().items()]
    assert all(set(one) == {"hints", "salt", "hashes"} for part in known.values() for one in part.values())
    assert len({one["salt"] for part in known.values() for one in part.values()}) == sum(map(len, known.values()))
    assert not (made / "solution" / "notebooks" / "exercises.json").exists()
    assert not (made / "student" / "docs" / "lecturer.md").exists()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(exercise, "exercises", lambda: pytest.fail("the package's answers were asked"))
    check("01_dcgan_fetal_head", ratio_of_updates="33,3", chance_of_r=0.4, loss_d_blind=1.386294361)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "ratio_of_updates: right: 33.3" and third.startswith("loss_d_blind: right")
    assert second == f"chance_of_r: not yet: 0.4. {known['01_dcgan_fetal_head']['chance_of_r']['hints'][0]}"


@pytest.mark.parametrize("stem", exercises())
def test_a_sealed_answer_is_right_where_the_open_one_is(stem, monkeypatch):
    monkeypatch.setattr(sealed, "ROUNDS", 1)
    rng = np.random.default_rng(0)
    for known in exercises()[stem].values():
        hidden = sealed.seal(known)
        near = [known["answer"] * (1 + off) for off in rng.uniform(-0.004, 0.004, 100)]
        near += [f"{known['answer'] * share:.{digits}e}" for digits in range(6)
                 for share in (1, 0.9985, 1.0005, 0.99, 1.01, 1.1, -1, 10)]
        for number in map(as_number, near):
            off = abs(float(number) / known["answer"] - 1)
            if is_right(number, known["answer"]):
                assert sealed.opens(number, hidden), number
            elif off > 0.002:       # on a grid of four digits the edge of a thousandth is up to two wide
                assert not sealed.opens(number, hidden), number


def test_resetting_twice_in_a_second_loses_nothing(made, tmp_path):
    path = tmp_path / "01_dcgan_fetal_head.ipynb"
    path.write_text("what a student wrote")
    editions.reset(path)
    with contextlib.suppress(FileExistsError):
        editions.reset(path)
    assert "what a student wrote" in [kept.read_text() for kept in tmp_path.glob("*_20*.ipynb")]


def test_links_and_committed_results_come_along(made):
    for edition in ("student", "solution"):
        assert (made / edition / "data_cards" / "busi.md").is_file()
        assert (made / edition / "notebooks" / "results" / "02_stylegan2_breast").is_dir()
    assert main(["course", "make", str(made)]) == 2


def test_a_class_is_collected_without_running_anything(made, tmp_path, capsys):
    stem, name = "01_dcgan_fetal_head", "01_dcgan_fetal_head.ipynb"
    given = {"ann": {"ratio_of_updates": "999 * 1000 / (100 * 300)", "loss_d_blind": "'1,39'", "guess_d_real": "0.5"},
             "bo": {"ratio_of_updates": "30", "psnr_ten_levels": "metrics.psnr(a, b)", "guess_d_real": "0.9"},
             "cy": {"chance_of_r": "__import__('os').remove('x')", "loss_d_blind": "10**10**10"}}
    for student, texts in given.items():
        place = tmp_path / "class" / student / "notebooks"
        place.mkdir(parents=True)
        (place / name).write_bytes((made / "student" / "notebooks" / name).read_bytes())
        fill(place / name, texts)
    assert main(["course", "collect", str(tmp_path / "class"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert [line.split()[-2:] for line in said.splitlines() if "psnr_ten_levels" in line] == [["0", "0"]]
    assert [line.split()[-2:] for line in said.splitlines() if "ratio_of_updates" in line] == [["2", "1"]]
    assert said.startswith("3 students") and (tmp_path / "out" / "answers.png").stat().st_size > 1000
    table = pd.read_csv(tmp_path / "out" / "answers.csv").set_index(["student", "name"])
    assert set(table.notebook) == {stem}
    right = table.right.map({True: True, False: False, "True": True, "False": False})
    assert right["ann", "ratio_of_updates"] and right["ann", "loss_d_blind"] and not right["bo", "ratio_of_updates"]
    assert table.answer["cy", "loss_d_blind"] == "10 ** 10 ** 10"
    assert pd.isna(right["bo", "psnr_ten_levels"]) and table.answer["bo", "psnr_ten_levels"] == "metrics.psnr(a, b)"
    assert pd.isna(right["cy", "chance_of_r"]) and pd.isna(table.answer["cy", "psnr_ten_levels"])
    assert table.kind["ann", "guess_d_real"] == "prediction" and float(table.answer["ann", "guess_d_real"]) == 0.5
    assert main(["course", "collect", str(tmp_path / "out"), "--out", str(tmp_path / "new")]) == 2


def test_a_prediction_is_what_was_said_first_with_what_it_was(made, tmp_path):
    stem, name = "01_dcgan_fetal_head", "01_dcgan_fetal_head.ipynb"
    for student in ("ann", "bo"):
        (tmp_path / student / "runs").mkdir(parents=True)
        (tmp_path / student / name).write_bytes((made / "student" / "notebooks" / name).read_bytes())
        fill(tmp_path / student / name, {"guess_d_real": "0.71"})
    path = tmp_path / "ann" / "runs" / "run.json"
    for said in (0.4, 0.71):       # the second once the answer had been seen
        write_record(path, [], {"guess_d_real": (said, 0.7123, "D(x)")}, notebook=stem)
    (tmp_path / "bo" / "runs" / "run.json").write_text("[1, ")
    (tmp_path / "cy").mkdir()
    write_record(tmp_path / "cy" / "run.json", [], {"guess_images": (9, None, "sheets")}, notebook=stem)
    table = answers.collect(tmp_path).set_index(["student", "name"])
    assert (table.answer["ann", "guess_d_real"], table.was["ann", "guess_d_real"]) == (0.4, 0.7123)
    assert table.answer["bo", "guess_d_real"] == 0.71 and pd.isna(table.was["bo", "guess_d_real"])
    assert table.answer["cy", "guess_images"] == 9 and table.kind["cy", "guess_images"] == "prediction"


def test_code_is_collected_by_what_its_check_has_printed(made, tmp_path):
    stem = "05_pgsgan_ovary"
    texts = {"ann": "fade_in: right: on 12 random inputs\n", "bo": "fade_in: not yet. It stops.\n", "cy": ""}
    for student, text in texts.items():
        node = notebook(made, "student", stem)
        cell = next(cell for cell in node.cells if "def fade_in(" in cell.source)
        cell.source = cell.source.replace("return None", "raise SystemExit")    # it would show if it were run
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
        (tmp_path / student).mkdir()
        nbformat.write(node, tmp_path / student / f"{stem}.ipynb")
    table = answers.collect(tmp_path).set_index(["name", "student"])
    assert table.kind["fade_in", "ann"] == "code"
    assert [table.right["fade_in", student] for student in texts] == [True, False, None]
    assert table.answer["fade_in", "bo"] == "not yet. It stops." and table.right["loss_of_g", "ann"] is None


def test_a_notebook_is_put_back_and_nothing_is_lost(made, tmp_path):
    path = tmp_path / "04_stackgan_liver.ipynb"
    path.write_bytes((made / "student" / "notebooks" / path.name).read_bytes())
    fill(path, {"smallest": "0.5"})
    before = path.read_bytes()
    kept = editions.reset(path)
    assert kept.read_bytes() == before
    assert path.read_bytes() == (made / "student" / "notebooks" / path.name).read_bytes()
    with pytest.raises(UsageError, match="none of the course's notebooks"):
        editions.reset(tmp_path / "mine.ipynb")
