"""The sketch editor in a real JupyterLab and a real Voila: strokes of the mouse, undo, the palette's exact colours."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser

EDITOR = """
import time
import numpy as np
import torch
from uslab.widgets import Sketch
label = np.zeros((64, 64), np.uint8)
y, x = np.mgrid[:64, :64]
label[((x - 34) / 16) ** 2 + ((y - 34) / 12) ** 2 <= 1] = 1
label[(x - 28) ** 2 + (y - 34) ** 2 <= 16] = 2
label[5:60, 6] = 3
grey = np.array([40, 110, 10, 200], np.uint8)
speckle = np.random.default_rng(0).normal(1, .15, (64, 64))
def synthesize(condition):
    time.sleep(pause)
    painted = grey[condition[0, 0].numpy()] * speckle
    np.save(file, condition[0, 0].numpy())      # for who cannot ask the kernel
    return torch.from_numpy(painted.clip(0, 255).astype(np.uint8))[None, None]
pause, file = 0, "label.npy"
"""
SHOW = """
editor = Sketch(label, synthesize)
display(editor)
"""
# The colours in the middle of every pixel of the label image: red, green and blue in turn.
READ = """(which) => {
  const canvas = document.querySelector(`.uslab-sketch canvas${which}`), n = 64, zoom = canvas.width / n;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, out = [];
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) {
    const at = 4 * (Math.floor((y + .5) * zoom) * canvas.width + Math.floor((x + .5) * zoom));
    out.push(...data.slice(at, at + 3)); }
  return out; }"""
PALETTE = {(0, 0, 0): 0, (217, 115, 31): 1, (63, 155, 232): 2, (255, 255, 255): 3}


class Pen:
    """The mouse over the board, in pixels of the label image."""

    def __init__(self, page):
        self.page, self.edits = page, 0

    def down(self, tool, *points):
        """Put the pen down and draw it along the points."""
        self.page.click(f".uslab-sketch [data-tool={tool}]")
        box = self.page.locator(".uslab-sketch .board").bounding_box()
        pixel = box["width"] / 64
        places = [(box["x"] + (x + 0.5) * pixel, box["y"] + (y + 0.5) * pixel) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)

    def use(self, tool, *points):
        self.down(tool, *points)
        self.page.mouse.up()
        self.edits += 1
        self.settled(self.edits)

    def settled(self, undo):
        self.page.wait_for_selector(f".uslab-sketch[data-undo='{undo}'][data-busy=false]", timeout=60000)

    def plain(self):
        """Show the label opaque, and no marks."""
        self.page.locator(".uslab-sketch input[aria-label=opacity]").fill("1")
        self.page.uncheck(".uslab-sketch input[type=checkbox]")

    def colours(self, which):
        """The canvas '.board', or ':not(.board)' for the picture beside it, (64, 64, 3)."""
        return np.array(self.page.evaluate(READ, which)).reshape(64, 64, 3)

    def label(self):
        return np.array([[PALETTE.get(tuple(colour), -1) for colour in row] for row in self.colours(".board").tolist()])

    def picture(self):
        """Grey levels of the synthesized picture; -1 where a mark lies over it."""
        colours = self.colours(":not(.board)")
        return np.where(np.ptp(colours, axis=2) > 0, -1, colours[..., 0])


@pytest.fixture(params=["lab", "voila"])
def anywhere(request):
    """The editor in JupyterLab or in Voila."""
    notebook = request.getfixturevalue(request.param)(EDITOR + SHOW)
    if request.param == "lab":
        notebook.run_all()
    Pen(notebook.page).settled(0)
    notebook.front = request.param
    return notebook


@pytest.fixture
def headless(tmp_path):
    """The same editor here, without a page."""
    names = {}
    exec(EDITOR, names)
    names["file"] = tmp_path / "headless.npy"
    return names["Sketch"](names["label"], names["synthesize"])


@pytest.fixture
def editor(lab):
    notebook = lab(EDITOR + SHOW)
    notebook.run_all()
    Pen(notebook.page).settled(0)
    notebook.wait_idle()
    return notebook


def test_every_tool_with_the_mouse(anywhere, headless):
    page, pen, marked = anywhere.page, Pen(anywhere.page), []
    strokes = [("draw", (12, 8), (30, 8), (30, 14)), ("erase", (6, 20), (6, 40)), ("follicle", (37, 30), (43, 36)),
               ("move", (28, 34), (26, 37)), ("grow", (40, 33), (42, 37)), ("ovary", (44, 40), (56, 50)),
               ("delete", (26, 37))]
    for tool, *points in strokes:
        pen.use(tool, *points)
        headless.apply([{"tool": tool, "points": points}])
        # The picture is synthesized anew when the pen goes up, and the edit is marked in it.
        picture = pen.picture()
        assert all(picture[y, x] == -1 for mark in headless.marks() for x, y in mark)
        assert (picture == headless.image)[picture >= 0].all()
        marked.append((picture < 0).sum())
        if tool == "grow":
            anywhere.shoot(f"sketch_edited_{anywhere.front}")
    assert marked[0] > 0 and marked[2] > marked[1] > marked[0]

    def compare():
        """Kernel, board and picture hold what the same strokes make without a page."""
        assert np.array_equal(np.load(anywhere.path.parent / "label.npy"), headless.value)
        assert np.array_equal(pen.label(), headless.value) and np.array_equal(pen.picture(), headless.image)

    pen.plain()     # the board shows the palette's colours and no other
    compare()
    value = headless.value
    assert (value[20:41, 6] == 0).all() and value[19, 6] == value[41, 6] == 3 and (value[8, 12:31] == 3).all()
    anywhere.shoot(f"sketch_opaque_{anywhere.front}")
    for button, turn, undo in (("Undo", headless.undo, 6), ("Undo", headless.undo, 5), ("Redo", headless.redo, 6)):
        page.click(f".uslab-sketch button:has-text('{button}')")
        pen.settled(undo)
        turn()
        compare()
    # The still beneath is for those who open the file without a kernel.
    assert page.locator(".jp-OutputArea img").count() == 1 and not page.locator(".jp-OutputArea img").is_visible()
    if anywhere.front == "voila":       # in a window as narrow as a phone's, too, nothing is cut off
        page.set_viewport_size({"width": 390, "height": 1100})
        board = "document.querySelector('.uslab-sketch .board')"      # laid out anew a moment later
        page.wait_for_function(f"() => {board}.getBoundingClientRect().right <= 390", timeout=10_000)
        box = page.locator(".uslab-sketch .board").bounding_box()
        assert box["x"] + box["width"] <= 390 and abs(box["width"] - box["height"]) < 1
        pen.edits = 6
        pen.use("draw", (20, 60), (40, 60))
        headless.apply([{"tool": "draw", "points": [(20, 60), (40, 60)]}])
        compare()
        anywhere.shoot("sketch_narrow_voila")
    assert anywhere.errors == []


def test_undo_by_keyboard_and_after_a_reload(editor):
    page = editor.page
    pen = Pen(page)
    pen.plain()
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
    pen.plain()
    assert np.array_equal(pen.label(), drawn)
    page.click(".uslab-sketch button:has-text('Reset')")
    pen.settled(2)
    assert np.array_equal(pen.label(), before)


def test_the_line_under_the_pen_stays_while_the_last_one_is_synthesized(lab):
    notebook = lab(EDITOR + "pause = 2" + SHOW)
    notebook.run_all()
    pen = Pen(notebook.page)
    pen.settled(0)
    notebook.wait_idle()
    pen.plain()
    pen.down("draw", (12, 8), (30, 8))
    notebook.page.mouse.up()
    pen.down("draw", (12, 50), (30, 50))
    pen.settled(1)      # the picture with the first line has come; the second is being drawn
    assert (pen.label()[[8, 50], 13:30] == 3).all()
    notebook.page.mouse.up()
    pen.settled(2)
    assert (pen.label()[[8, 50], 12:31] == 3).all()


def test_a_stroke_travels_light(lab):
    notebook, sent = lab(EDITOR + SHOW), []
    notebook.page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(len(frame))))
    notebook.page.reload()      # the sockets open again, where they can be listened to
    notebook.wait_ready()
    notebook.run_all()
    Pen(notebook.page).settled(0)
    notebook.wait_idle()
    sent.clear()
    Pen(notebook.page).use("draw", *[(10 + i % 40, 10 + i // 8) for i in range(60)])
    assert 0 < sum(sent) < 20_000, f"{sum(sent)} bytes in {len(sent)} frames"
