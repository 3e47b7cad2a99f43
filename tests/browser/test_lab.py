"""The widgets in a real JupyterLab: a board that moves while its cell trains, knobs by keyboard, a quiz by keyboard."""

import math
import time

import nbformat
import pytest
from conftest import Notebook, write

pytestmark = pytest.mark.browser

BOARD = """
import time, numpy as np
from uslab.widgets import Monitor
rng = np.random.default_rng(0)
seen = []
def train(steps, seconds):
    monitor = Monitor(steps)
    display(monitor)
    for step in range(1, steps + 1):
        time.sleep(seconds)
        monitor.update({"step": step, "images": 64 * step, "seconds": step * seconds, "images_per_s": 64 / seconds,
                        "loss_d": 1.3 + rng.normal(0, .1), "loss_g": .9 + 6 * np.exp(-step / 30) + rng.normal(0, .2),
                        "d_real": .6 + .3 * np.exp(-step / 40) + rng.normal(0, .04),
                        "d_fake": .4 - .3 * np.exp(-step / 40) + rng.normal(0, .04)})
        if step % 60 == 0:
            monitor.show(rng.integers(0, 256, (16, 1, 64, 64), dtype=np.uint8))
        seen.append(monitor.answered)
    monitor.close()
    return monitor
"""
QUIZ = """
import numpy as np
from uslab.widgets import Quiz
images = np.random.default_rng(0).integers(0, 256, (10, 1, 64, 64), dtype=np.uint8)
quiz = Quiz(images, images[::-1], n=4)
display(quiz)
"""
KNOBS = """
from uslab.models.dcgan import Config
from uslab.widgets import knobs
panel = knobs(Config(lr=1e-3))
display(panel)
panel.apply(init_std=0.012345)
"""
AIM = """
from matplotlib.figure import Figure
from uslab.widgets import FigureExplorer
from uslab.widgets.body import Aim
def drawn(view):
    figure = Figure(figsize=(10, 4))
    figure.subplots().text(0.5, 0.5, str(view))
    return figure
display(FigureExplorer(Aim(), drawn))
"""
BODY = """
from uslab import phantom
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.widgets.body import Aim, Body, BodyExplorer
body = Body(Slices.find({"CT": phantom.abdomen(0)}, "liver", 8, View(40, 96), 0), "CT")
explorer = BodyExplorer(body, Aim(depth=45.0))
display(explorer)
"""
SCENE = "() => document.querySelector('.uslab-body canvas').toDataURL()"
PIXELS = "() => document.querySelector('.uslab-monitor canvas').toDataURL()"
HEIGHTS = """() => {
  const box = document.querySelector('.uslab-monitor').closest('.jp-OutputArea'); window.heights = [];
  (function look() { window.heights.push(box.offsetHeight); requestAnimationFrame(look); })(); }"""


def outputs(notebook) -> list[list[str]]:
    """MIME types of each output of the saved notebook's cells."""
    notebook.save()
    return [[sorted(output["data"]) for output in cell.outputs if "data" in output]
            for cell in nbformat.read(notebook.path, 4).cells]


def test_the_board_moves_while_the_cell_trains(lab):
    notebook = lab(BOARD, "board = train(160, 0.05)")
    page = notebook.page
    notebook.run_all()
    page.wait_for_selector(".uslab-monitor.uslab-live")
    page.evaluate(HEIGHTS)
    looks = []
    for _ in range(3):
        looks.append((page.locator(".uslab-monitor .status").inner_text(), page.evaluate(PIXELS)))
        page.wait_for_timeout(1000)
    assert page.locator(".jp-InputArea-prompt:has-text('*')").count()      # still training
    assert len({text for text, _ in looks}) == len({pixels for _, pixels in looks}) == 3
    notebook.wait_idle()
    assert page.locator(".uslab-monitor .status b").inner_text() == "step 160 of 160"
    assert len(page.evaluate("() => [...new Set(window.heights)]")) == 1
    assert notebook.run("seen[-1]") == "True"        # the page was answered while the cell ran
    notebook.shoot("board")
    # The live view hides the still, which is in the file for those who open it without a kernel.
    assert page.locator(".jp-OutputArea img").count() == 1
    assert not page.locator(".jp-OutputArea img").is_visible()
    live, still = outputs(notebook)[1]
    assert "application/vnd.jupyter.widget-view+json" in live and "image/png" in still


def test_samples_can_be_judged_at_every_width(lab):
    notebook = lab(BOARD, "board = train(60, 0.001)")
    page = notebook.page
    notebook.run_all()
    notebook.wait_idle()
    for width in (1440, 1024, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        side = float(page.locator(".uslab-monitor .samples canvas").get_attribute("data-side"))
        assert side >= 96
        notebook.shoot(f"board-{width}")
        tops = [page.locator(f".uslab-monitor {place}").first.bounding_box()["y"] for place in (".samples", ".panel")]
        narrow = page.locator(".uslab-monitor").bounding_box()["width"] <= 760
        assert narrow == (tops[0] < tops[1]) and narrow == (width == 800), "below each other, the samples come first"
    assert page.locator(".uslab-monitor .size").inner_text() == "16 of 64×64 px"


def test_120_updates_are_light(lab):
    notebook = lab(BOARD, "board = train(120, 0.05)")
    sizes = []

    def count(frame):
        frame = frame if isinstance(frame, bytes) else frame.encode()
        if b'"points"' in frame:
            sizes.append(len(frame))

    notebook.page.on("websocket", lambda socket: socket.on("framereceived", count))
    notebook.page.reload()      # the sockets open again, where they can be listened to
    notebook.wait_ready()
    notebook.run_all()
    notebook.wait_idle()
    assert len(sizes) > 20 and sum(sizes) < 200_000, f"{sum(sizes)} bytes in {len(sizes)} frames"


@pytest.mark.parametrize("when", ["while it trains", "afterwards"])
def test_the_board_is_whole_after_a_reload(lab, when):
    notebook = lab(BOARD, "board = train(160, 0.05)")
    notebook.run_all()
    notebook.page.wait_for_selector(".uslab-monitor.uslab-live")
    if when == "afterwards":
        notebook.wait_idle()
    notebook.reload()
    board = notebook.page.wait_for_selector(".uslab-monitor.uslab-live", timeout=60000)
    notebook.page.wait_for_function("() => document.querySelector('.uslab-monitor .status').innerText.includes('took')")
    assert board.get_attribute("data-points") == notebook.run("len(board._rows)") == "160"
    assert notebook.page.locator(".uslab-monitor .title").last.inner_text() == "Samples at step 120"
    notebook.shoot("board_reloaded_" + when.replace(" ", "_"))


def test_a_knob_moved_by_keyboard_changes_the_config(lab):
    notebook = lab(KNOBS)
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".uslab-code input")
    notebook.wait_idle()
    page.locator(".uslab-knobs .noUi-handle").nth(1).focus()       # lr, after batch; size is a list
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.uslab-code input').value === "
                           "'Config(lr=0.002, init_std=0.012345)'")
    assert "was 0.001" in page.locator(".uslab-knobs").inner_text()
    page.click("button:has-text('Copy as code')")
    selected = page.evaluate("() => getSelection().toString() || document.activeElement.value")
    assert selected == "Config(lr=0.002, init_std=0.012345)"
    notebook.shoot("knobs")
    # Nothing but the key has changed a value: neither showing the panel nor a value between two stops.
    assert notebook.run("panel.config == Config(lr=0.002, init_std=0.012345)") == "True"
    page.click("button:has-text('Reset')")
    page.wait_for_function("() => document.querySelector('.uslab-code input').value === 'Config(lr=0.001)'")
    assert notebook.run("panel.config == Config(lr=1e-3)") == "True"


def test_arrow_keys_move_a_knob_in_notebook_7(chromium, server):
    """There they are shortcuts of the page, which sees every key first."""
    folder, address, token = server
    write(folder / "seven.ipynb", KNOBS)
    page = chromium.new_page(viewport={"width": 1200, "height": 1000})
    page.goto(f"{address}/notebooks/seven.ipynb?token={token}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60000)
    notebook = Notebook(page, folder / "seven.ipynb")
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60000)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".uslab-code input", timeout=60000)
    notebook.wait_idle()
    page.locator(".uslab-knobs .noUi-handle").nth(1).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.uslab-code input').value.startsWith('Config(lr=0.002, ')")
    page.close()


def test_the_quiz_by_keyboard_and_after_a_reload(lab):
    notebook = lab(QUIZ)
    notebook.run_all()
    page = notebook.page
    quiz = page.locator(".uslab-quiz")
    page.wait_for_selector(".uslab-quiz[data-phase=choice]")
    notebook.wait_idle()
    quiz.focus()
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_timeout(300)
    assert page.locator(".jp-Cell").count() == cells     # JupyterLab's d d would delete the cell

    def press(key, phase):
        page.keyboard.press(key)
        page.wait_for_selector(f".uslab-quiz[data-phase={phase}]")

    press("r", "quality")
    notebook.shoot("quiz_rate")
    press("4", "feedback")
    notebook.shoot("quiz_feedback")
    truth = notebook.run("quiz.results.truth[0]")
    assert page.locator(".uslab-quiz .ask").inner_text().endswith(f"this image is {truth}.")
    page.click(".uslab-quiz .buttons button")
    page.wait_for_selector(".uslab-quiz[data-phase=choice][data-done='1']")
    page.click(".uslab-quiz button:has-text('Synthetic')")     # by mouse; the keys must go on working
    page.wait_for_selector(".uslab-quiz[data-phase=quality]")
    press("1", "feedback")

    notebook.reload()
    page.wait_for_selector(".uslab-quiz[data-phase=choice][data-done='2']", timeout=60000)
    notebook.shoot("quiz_resumed")
    page.locator(".uslab-quiz").focus()
    for done in (3, 4):
        page.wait_for_timeout(100)      # two frames, before which a key does not count
        press("s", "quality")
        press("5", "feedback")
        press("Enter", "choice" if done < 4 else "summary")
    notebook.shoot("quiz_summary")
    assert notebook.run("quiz.results.answer.tolist()") == "['real', 'synthetic', 'synthetic', 'synthetic']"
    assert notebook.run("quiz.results.quality.tolist()") == "[4, 1, 5, 5]"
    assert notebook.run("quiz.results.rt_ms.between(1, 60000).all()") == "True"
    notebook.save()
    saved = nbformat.read(notebook.path, 4).cells[0].outputs[1]["data"]["text/plain"]
    assert "4 of 4 answered" in saved or "2 of 4 answered" in saved     # a reloaded page no longer gets changed outputs


def test_the_page_is_answered_while_another_cell_runs(lab):
    notebook = lab(QUIZ, "import time; time.sleep(8)")
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".uslab-quiz[data-phase=choice]", timeout=6000)
    page.wait_for_timeout(1500)         # JupyterLab opens its second way into the kernel
    page.locator(".uslab-quiz").focus()
    page.keyboard.press("s")
    page.wait_for_selector(".uslab-quiz[data-phase=quality]", timeout=4000)     # a key counts once a question is open
    page.keyboard.press("3")
    page.wait_for_selector(".uslab-quiz[data-phase=feedback]", timeout=4000)
    assert page.locator(".jp-InputArea-prompt:has-text('*')").count()


EXPLORER = """
from uslab.phantom import scanner
from uslab.widgets import Explorer
explorer = Explorer(scanner.Config(), scanner.scan)
display(explorer)
"""
SCREEN = "() => document.querySelector('.uslab-screen canvas').toDataURL()"
FRAMES = "() => Number(document.querySelector('.uslab-screen').dataset.frames)"


def test_the_picture_follows_a_slider_while_it_is_dragged(lab):
    notebook = lab(EXPLORER)
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".uslab-screen[data-frames]")
    notebook.wait_idle()
    notebook.shoot("explorer")
    # The still is for those who open the file without a kernel.
    assert page.locator(".jp-OutputArea img").count() == 1 and not page.locator(".jp-OutputArea img").is_visible()
    handle = page.locator(".uslab-explorer .noUi-handle").first        # frequency
    track = page.locator(".uslab-explorer .noUi-base").first.bounding_box()
    grip = handle.bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    before, start, looks = page.evaluate(FRAMES), time.monotonic(), []
    for turn in range(120):
        share = 0.5 + 0.4 * math.sin(turn / 8)
        page.mouse.move(track["x"] + share * track["width"], track["y"] + 2)
        page.wait_for_timeout(25)
        if turn % 40 == 39:
            looks.append(page.evaluate(SCREEN))
    seconds, frames = time.monotonic() - start, page.evaluate(FRAMES) - before
    print(f"\n{frames} pictures in {seconds:.1f} s while the slider is dragged: {frames / seconds:.1f} a second")
    assert len(set(looks)) == 3         # still dragging
    page.mouse.move(track["x"] + track["width"] + 30, track["y"] + 2)
    page.mouse.up()
    # The last value wins.
    page.wait_for_function("() => document.querySelector('.uslab-screen .note').innerText.includes('0.13 × 0.26 mm')")
    page.wait_for_timeout(1000)
    assert notebook.run("explorer.config.frequency") == "12.0"
    assert notebook.run("(explorer.picture.pixels == scanner.scan(explorer.config).pixels).all()") == "True"
    notebook.shoot("explorer_dragged")
    notebook.save()
    assert "frequency=12.0" in nbformat.read(notebook.path, 4).cells[0].outputs[1]["data"]["text/plain"]


def test_the_body_is_turned_by_mouse_and_keys_while_the_kernel_is_busy(lab):
    notebook = lab(BODY, "import time; time.sleep(60)")
    page = notebook.page
    notebook.run_all()
    page.wait_for_selector(".uslab-body[data-frames]")
    page.wait_for_selector(".jp-InputArea-prompt:has-text('*')")
    root, canvas = page.locator(".uslab-body"), page.locator(".uslab-body canvas")
    first, box = page.evaluate(SCENE), canvas.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 80, steps=12)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.uslab-body').dataset.azimuth == 40")
    assert root.get_attribute("data-elevation") == "2" and page.evaluate(SCENE) != first
    notebook.shoot("body-turned")
    for key, azimuth in (("ArrowRight", "35"), ("ArrowLeft", "40"), ("Home", "70")):
        page.keyboard.press(key)
        page.wait_for_function(f"() => document.querySelector('.uslab-body').dataset.azimuth == {azimuth}")
    page.wait_for_function(f"before => ({SCENE})() === before", arg=first)
    for width in (1440, 1024, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        notebook.shoot(f"body-{width}")
        box = canvas.bounding_box()
        assert box["x"] + box["width"] <= width and box["height"] / box["width"] == pytest.approx(420 / 520, 0.02)


def test_every_slider_can_be_used_at_every_width(lab):
    """Beside a figure, on a page of its own: nothing else there has loaded the explorer's style."""
    notebook = lab(AIM)
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".uslab-explorer .widget-slider")
    notebook.wait_idle()
    for width in (800, 1024, 1366, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(500)
        boxes = [slider.bounding_box() for slider in page.locator(".uslab-explorer .widget-slider").all()]
        cell = page.locator(".jp-OutputArea-output:has(.uslab-explorer)").first.bounding_box()
        assert len(boxes) >= 4 and min(box["width"] for box in boxes) >= 150, (width, boxes)
        notebook.shoot(f"aim_{width}")
        image = page.locator(".uslab-explorer img").first.bounding_box()
        assert max(box["x"] + box["width"] for box in [*boxes, image]) <= cell["x"] + cell["width"] + 1, width


def test_knobs_wait_while_a_cell_runs(lab):
    """Three arrow keys, then Reset, while a cell runs: afterwards slider, number, code and the kernel's value agree."""
    notebook = lab(KNOBS, "import time\ntime.sleep(8)")
    page = notebook.page
    notebook.run_all()
    page.wait_for_selector(".uslab-knobs .noUi-handle", timeout=60000)
    page.locator(".uslab-knobs .noUi-handle").nth(1).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(120)
    page.wait_for_selector(".uslab-knobs.uslab-busy")
    assert "The kernel is busy" in page.inner_text(".uslab-waits")
    notebook.shoot("knobs_busy")
    page.locator(".uslab-knobs button:text-is('Reset')").click(force=True)      # it is inert: nothing happens
    notebook.wait_idle()
    page.wait_for_selector(".uslab-knobs:not(.uslab-busy)")
    page.wait_for_timeout(500)
    shown = page.locator(".uslab-knobs input[type=number][aria-label=lr]").input_value()
    assert 0.001 < float(shown) == float(notebook.run("panel.config.lr"))
    assert f"lr={float(shown)!r}" in page.locator(".uslab-code input").input_value()
    page.locator(".uslab-knobs button:text-is('Reset')").click()
    page.wait_for_function("() => document.querySelector('.uslab-code input').value === 'Config(lr=0.001)'")
    assert float(notebook.run("panel.config.lr")) == 0.001


def test_a_quiz_says_when_its_keys_are_the_notebooks(lab):
    """Before it is clicked it says so; afterwards no key reaches the notebook."""
    notebook = lab(QUIZ, "1 + 1")
    page = notebook.page
    notebook.run_all()
    page.wait_for_selector(".uslab-quiz[data-phase=choice]", timeout=60000)
    notebook.wait_idle()
    said = page.locator(".uslab-quiz .click")
    assert said.is_visible()
    notebook.shoot("quiz_unfocused")
    said.click()
    assert not said.is_visible()
    page.wait_for_timeout(500)          # the guard
    page.keyboard.press("r")            # real; JupyterLab's r makes a cell raw
    page.wait_for_function("() => document.querySelector('.uslab-quiz').dataset.phase !== 'choice'")
    assert page.locator(".jp-RawCell").count() == 0
