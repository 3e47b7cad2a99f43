"""The sketch editor in a real JupyterLab: every tool with the mouse, undo by keyboard, colours exact to the palette."""

import numpy as np
import pytest

EDITOR = """
import numpy as np
from uslab.widgets import Sketch
label = np.zeros((64, 64), np.uint8)
y, x = np.mgrid[:64, :64]
label[((x - 34) / 16) ** 2 + ((y - 34) / 12) ** 2 <= 1] = 1
label[(x - 28) ** 2 + (y - 34) ** 2 <= 16] = 2
label[5:60, 6] = 3
grey = np.array([40, 110, 10, 200], np.uint8)
speckle = np.random.default_rng(0).normal(1, .15, (64, 64))
def synthesize(condition):
    import torch
    painted = grey[np.asarray(condition)[0, 0]] * speckle
    return torch.from_numpy(painted.clip(0, 255).astype(np.uint8))[None, None]
editor = Sketch(label, synthesize)
display(editor)
"""
# The colour in the middle of every pixel of the label image, as numbers of the palette.
READ = """() => { const board = document.querySelector('.uslab-sketch .board'), n = 64, zoom = board.width / n;
  const data = board.getContext('2d').getImageData(0, 0, board.width, board.height).data;
  const known = {'0,0,0': 0, '217,115,31': 1, '63,155,232': 2, '255,255,255': 3}, out = [];
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) {
    const at = 4 * (Math.floor((y + .5) * zoom) * board.width + Math.floor((x + .5) * zoom));
    out.push(known[data.slice(at, at + 3).join()] ?? -1); }
  return out; }"""


class Pen:
    """The mouse over the board, in pixels of the label image."""

    def __init__(self, page):
        self.page, self.edits = page, 0

    def use(self, tool, *points):
        self.page.click(f".uslab-sketch [data-tool={tool}]")
        box = self.page.locator(".uslab-sketch .board").bounding_box()
        pixel = box["width"] / 64
        places = [(box["x"] + (x + 0.5) * pixel, box["y"] + (y + 0.5) * pixel) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()
        self.edits += 1
        self.settled(self.edits)

    def settled(self, undo):
        self.page.wait_for_selector(f".uslab-sketch[data-undo='{undo}'][data-busy=false]")

    def label(self):
        return np.array(self.page.evaluate(READ)).reshape(64, 64)


@pytest.fixture
def editor(lab):
    notebook = lab(EDITOR)
    notebook.run_all()
    notebook.page.wait_for_selector(".uslab-sketch.uslab-live[data-undo='0'][data-busy=false]")
    notebook.wait_idle()
    return notebook


def test_every_tool_with_the_mouse(editor):
    page = editor.page
    pen = Pen(page)
    pen.use("draw", (12, 8), (30, 12), (50, 8))
    pen.use("erase", (2, 20), (12, 20))
    pen.use("follicle", (37, 30), (44, 36))
    pen.use("move", (28, 34), (26, 36))
    pen.use("grow", (41, 33), (42, 37))
    editor.shoot("sketch_edited")
    pen.use("ovary", (44, 40), (56, 50))
    assert editor.run("len(editor._past)") == "6"
    # What the mouse did is what apply does with the points that were sent.
    pen.use("delete", (26, 36))
    value = np.array(eval(editor.run("editor.value.tolist()")))
    assert (value[8:13, 12:51] == 3).any() and value[20, 6] == 0 and value[40, 6] == 3
    # Opaque and without marks, the board shows the label in the palette's colours and in no other.
    page.locator(".uslab-sketch input[aria-label=opacity]").fill("1")
    page.uncheck(".uslab-sketch input[type=checkbox]")
    assert np.array_equal(pen.label(), value)
    editor.shoot("sketch_opaque")
    # The still beneath is for those who open the file without a kernel.
    assert page.locator(".jp-OutputArea img").count() == 1 and not page.locator(".jp-OutputArea img").is_visible()


def test_undo_by_keyboard_and_after_a_reload(editor):
    page = editor.page
    pen = Pen(page)
    page.locator(".uslab-sketch input[aria-label=opacity]").fill("1")
    page.uncheck(".uslab-sketch input[type=checkbox]")
    before = pen.label()
    assert set(before.flat) == {0, 1, 2, 3}
    pen.use("draw", (12, 8), (30, 12))
    drawn = pen.label()
    assert (drawn != before).any()
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("Control+z")
    pen.settled(0)
    assert np.array_equal(pen.label(), before) and page.locator(".jp-Cell").count() == cells
    page.keyboard.press("Control+Shift+z")
    pen.settled(1)
    assert np.array_equal(pen.label(), drawn)
    editor.reload()
    page.wait_for_selector(".uslab-sketch.uslab-live[data-undo='1']", timeout=60000)
    page.locator(".uslab-sketch input[aria-label=opacity]").fill("1")
    page.uncheck(".uslab-sketch input[type=checkbox]")
    assert np.array_equal(pen.label(), drawn)
    page.click(".uslab-sketch button:has-text('Reset')")
    pen.settled(2)
    assert np.array_equal(pen.label(), before)


def test_a_stroke_travels_light(lab):
    notebook, sent = lab(EDITOR), []
    notebook.page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(len(frame))))
    notebook.page.reload()      # the sockets open again, where they can be listened to
    notebook.wait_ready()
    notebook.run_all()
    notebook.page.wait_for_selector(".uslab-sketch.uslab-live[data-undo='0'][data-busy=false]")
    notebook.wait_idle()
    sent.clear()
    Pen(notebook.page).use("draw", *[(10 + i % 40, 10 + i // 8) for i in range(60)])
    assert 0 < sum(sent) < 20_000, f"{sum(sent)} bytes in {len(sent)} frames"
