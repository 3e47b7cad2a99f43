"""The sketch editor without a browser: what each stroke does to the pixel, undo, what a page gets, what is refused."""

import threading
import time

import numpy as np
import pytest
import torch
from test_widgets import STATE, Page

from uslab.widgets import Sketch
from uslab.widgets.strokes import Layers, apply


def label(side=40):
    """An ovary of 16 x 12 pixels with two follicles, and an edge left of it."""
    result = np.zeros((side, side), np.uint8)
    result[10:22, 12:28] = 1
    result[12:16, 14:18] = 2
    result[12:15, 22:26] = 2
    result[5:35, 3] = 3
    return result


def brightness(condition):
    """A synthesizer whose image is the label image made visible."""
    return condition * 60


def after(tool, *points, start=None, width=1.0):
    return apply(Layers.of(label() if start is None else start), tool, points, width).label()


# --- What a stroke does

def test_layers_give_the_label_back():
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.integers(0, 4, (30, 33)).astype(np.uint8)
        assert np.array_equal(Layers.of(noise).label(), noise)


def test_draw_and_erase():
    drawn = after("draw", (5, 30), (15, 30), (15, 35))
    assert (drawn[30, 5:16] == 3).all() and (drawn[30:36, 15] == 3).all()
    assert (drawn != label()).sum() == 11 + 5
    wide = after("draw", (10, 30), (30, 30), width=5)
    assert (wide[28:33, 20] == 3).all() and wide[26, 20] == wide[34, 20] == 0
    erased = after("erase", (0, 20), (10, 20), width=3)
    assert (erased[19:22, 3] == 0).all() and (erased[23:35, 3] == 3).all()
    # An edge under the object is not seen, and the object does not suffer from the rubber.
    assert np.array_equal(after("draw", (13, 20), (26, 20)), label())
    assert np.array_equal(after("erase", (13, 14), (26, 14), width=5), label())


def test_a_follicle_is_added_where_it_is_drawn():
    added = after("follicle", (18, 17), (22, 21))
    disc = np.argwhere((added == 2) & (label() != 2))
    assert disc.mean(0).tolist() == [19, 20]                # the middle of the box, row and column
    assert disc.min(0).tolist() == [17, 18] and disc.max(0).tolist() == [21, 22]
    clicked = after("follicle", (20, 19))
    assert 5 <= ((clicked == 2) & (label() != 2)).sum() <= 13
    grown = after("ovary", (20, 20), (36, 30))
    assert (grown == 1).sum() > (label() == 1).sum() and (grown[label() == 2] == 2).all()


def test_a_moved_follicle_leaves_ovary_behind():
    moved = after("move", (15, 13), (17, 16))
    wanted = label()
    wanted[12:16, 14:18] = 1
    wanted[15:19, 16:20] = 2                                # by 2 to the right and 3 down
    assert np.array_equal(moved, wanted)


def test_the_ovary_moves_with_its_follicles_and_stays_in_the_image():
    moved = after("move", (20, 20), (22, 17))
    body = np.isin(label(), (1, 2))
    assert np.array_equal(moved[np.roll(body, (-3, 2), (0, 1))], label()[body])
    assert (moved[label() == 3] == 3).all()
    assert (np.isin(moved, (1, 2))).sum() == body.sum()
    far = after("move", (20, 20), (500, -500))
    assert np.isin(far, (1, 2)).sum() == body.sum() and (far[0] == 1).any() and (far[:, -1] == 1).any()


def test_growing_is_about_the_centre_by_as_much_as_the_pen_went():
    start = np.zeros((60, 60), np.uint8)
    y, x = np.mgrid[:60, :60]
    start[np.hypot(x - 30, y - 30) <= 20] = 1
    start[np.hypot(x - 26, y - 30) <= 5] = 2
    for first, last, radius in (((28, 30), (33, 30), 10), ((26, 30), (26, 35), 10), ((31, 30), (29, 30), 3)):
        grown = np.argwhere(after("grow", first, last, start=start) == 2)
        assert np.sqrt(len(grown) / np.pi) == pytest.approx(radius, abs=0.4)
        assert grown.mean(0) == pytest.approx([30, 26], abs=0.2)
    ovary = after("grow", (48, 30), (52, 30), start=start)
    assert np.sqrt(np.isin(ovary, (1, 2)).sum() / np.pi) == pytest.approx(24, abs=0.4)
    assert np.array_equal(ovary == 2, start == 2)           # the follicle keeps its size


def test_delete():
    assert (after("delete", (15, 13))[12:16, 14:18] == 1).all()         # ovary is left
    assert (after("delete", (15, 13)) == 2).sum() == 12                 # the other follicle
    assert set(np.unique(after("delete", (20, 20)))) == {0, 3}          # the ovary goes with its follicles


@pytest.mark.parametrize("tool", ["move", "grow", "delete"])
def test_nothing_happens_where_nothing_is(tool):
    editor = Sketch(label(), brightness)
    editor.apply([{"tool": tool, "points": [(35, 35), (20, 20)]}])
    assert np.array_equal(editor.value, label())
    assert editor._note == f"nothing to {tool} there: begin on a follicle or on the ovary"


def test_every_value_is_one_of_the_palette():
    rng = np.random.default_rng(1)
    layers = Layers.of(label())
    for _ in range(200):
        tool = rng.choice(["draw", "erase", "follicle", "ovary", "move", "grow", "delete"])
        layers = apply(layers, tool, rng.uniform(0, 39, (rng.integers(1, 8), 2)), float(rng.uniform(0.5, 9)))
        assert np.isin(layers.label(), (0, 1, 2, 3)).all()
        assert np.array_equal(Layers.of(layers.label()).label(), layers.label())


# --- The editor

STROKES = [{"tool": "draw", "points": [(5, 30), (30, 33)], "width": 2},
           {"tool": "move", "points": [(15, 13), (17, 16)]}, {"tool": "delete", "points": [(24, 13)]}]


def test_undo_and_redo():
    editor = Sketch(label(), brightness)
    states = [editor.value]
    for stroke in STROKES:
        states.append(editor.apply([stroke]))
        assert np.array_equal(editor.image, 60 * editor.value)
    for state in states[2::-1]:
        editor.undo()
        assert np.array_equal(editor.value, state) and np.array_equal(editor.image, 60 * state)
    editor.undo()                                           # nothing is left to undo
    for state in states[1:]:
        editor.redo()
        assert np.array_equal(editor.value, state)
    editor.reset()
    assert np.array_equal(editor.value, label()) and not editor.changed.any() and not editor.marks()
    editor.undo()
    assert np.array_equal(editor.value, states[-1])
    editor.undo()
    before = editor.apply([{"tool": "delete", "points": [(20, 20)]}])
    editor.redo()                                           # a new stroke ends what could be redone
    assert np.array_equal(editor.value, before)


def test_the_marks_surround_what_was_edited():
    editor = Sketch(label(), brightness)
    editor.apply([{"tool": "draw", "points": [(32, 5), (36, 8)]}])
    outline, = editor.marks()
    x, y = np.array(outline).T
    assert 29 <= x.min() <= 32 and 36 <= x.max() <= 39 and 2 <= y.min() <= 5 and 8 <= y.max() <= 11


def test_a_pen_in_the_page_does_what_apply_does():
    editor, headless = Sketch(torch.from_numpy(label())[None, None], brightness), Sketch(label(), brightness)
    page = Page(editor)
    for stroke in STROKES:
        editor._on_message(None, {"type": "stroke", **stroke}, [])
    wait(editor)
    assert np.array_equal(editor.value, headless.apply(STROKES))
    (first, _), (last, [value, image]) = page.messages[0], page.messages[-1]
    assert first["busy"] and not last["busy"] and last["undo"] == 3 and last["redo"] == 0
    assert np.array_equal(value, headless.value) and np.array_equal(image, headless.image)
    editor._on_message(None, {"type": "undo"}, [])
    editor._on_message(None, {"type": "redo"}, [])
    wait(editor)
    assert np.array_equal(page.messages[-1][1][0], headless.value)
    assert set(editor.get_state()) == STATE                 # nothing is a trait, so nothing is in a saved notebook


def test_of_strokes_that_arrive_while_it_synthesizes_the_latest_label_counts():
    seen, at_work, go_on = [], threading.Event(), threading.Event()

    def slow(condition):
        seen.append(int((condition == 3).sum()))
        if len(seen) > 1:
            at_work.set()
            go_on.wait(10)
        return condition

    editor = Sketch(label(), slow)
    for row in range(30, 36):
        editor._on_message(None, {"type": "stroke", "tool": "draw", "points": [(10, row), (19, row)]}, [])
        assert at_work.wait(10)
    go_on.set()
    wait(editor)
    assert seen == [30, 40, 90] and np.array_equal(editor.image, editor.value)


def wait(editor):
    deadline = time.monotonic() + 10
    while editor._drawing.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not editor._drawing.running


def test_a_page_that_sends_nonsense_is_told():
    editor = Sketch(label(), brightness)
    page = Page(editor)
    for message in ({"tool": "paint", "points": [[1, 1]]}, {"tool": "draw", "points": [[1]]}, {"tool": "draw"}):
        editor._on_message(None, {"type": "stroke", **message}, [])
        wait(editor)
        assert page.messages[-1][0]["note"]
    assert np.array_equal(editor.value, label())


def test_a_synthesizer_that_fails_is_told_and_may_be_tried_again():
    fails = [False]

    def sometimes(condition):
        if fails[0]:
            raise RuntimeError("no memory")
        return condition

    editor = Sketch(label(), sometimes)
    page = Page(editor)
    fails[0] = True
    editor._on_message(None, {"type": "stroke", **STROKES[0]}, [])
    wait(editor)
    assert page.messages[-1][0]["note"] == "no image: RuntimeError: no memory"
    fails[0] = False
    editor._on_message(None, {"type": "stroke", **STROKES[1]}, [])
    wait(editor)
    assert not page.messages[-1][0]["note"] and np.array_equal(editor.image, editor.value)


@pytest.mark.parametrize("call, message", [
    (lambda editor: editor.load(label() + 3),
     "label must be one image, uint8 .* with values 0 to 3, not uint8 .* with values to 6"),
    (lambda editor: editor.load(label().astype(float)), "not float64"),
    (lambda editor: editor.load(np.stack([label()] * 2)), r"not uint8 \(2, 40, 40\)"),
    (lambda editor: editor.apply([{"tool": "paint", "points": [(1, 1)]}]), "unknown tool 'paint': choose one of draw"),
    (lambda editor: editor.apply([{"tool": "draw", "points": []}]), "pairs of x and y"),
    (lambda editor: editor.apply([{"tool": "draw", "points": [(1, float("nan"))]}]), "pairs of x and y"),
    (lambda editor: editor.apply([{"tool": "draw", "points": [(1, 2)], "width": 0}]), "width must lie between"),
])
def test_what_is_refused(call, message):
    editor = Sketch(label(), brightness)
    with pytest.raises(ValueError, match=message):
        call(editor)
    assert np.array_equal(editor.value, label())


@pytest.mark.notebook
def test_a_notebook_without_a_browser_shows_the_edit(run_cells):
    code = """
import numpy as np
from uslab.widgets import Sketch
label = np.zeros((32, 32), np.uint8)
label[8:20, 8:20] = 1
editor = Sketch(label, lambda condition: condition * 60)
display(editor)
"""
    notebook = run_cells(code, "editor.apply([{'tool': 'follicle', 'points': [(10, 10), (15, 15)]}]);")
    _, still = [output["data"] for output in notebook.cells[0].outputs]
    assert "image/png" in still and "1 edits, 24 pixels of the label changed" in still["text/plain"]
