"""Comments, marks, windows and languages in a real browser: the point that was meant, keys that write, true greys."""

import numpy as np
import pytest
from test_messages import ENGLISH
from test_reading_page import SIZE, Reader, answers, build, served

pytestmark = pytest.mark.browser

RING = """() => { const box = document.querySelector('.point')?.getBoundingClientRect();
                  return box && [box.left + box.width / 2, box.top + box.height / 2]; }"""


def at(one: Reader, x: float, y: float, canvas: int = -1) -> tuple[float, float]:
    """Where in the window a point of an image is."""
    box = one.page.locator("canvas").nth(canvas).bounding_box()
    return box["x"] + x / SIZE * box["width"], box["y"] + y / SIZE * box["height"]


def ring(one: Reader, x: float, y: float) -> bool:
    """Whether the mark is drawn around this point of the right image."""
    return one.page.evaluate(RING) == pytest.approx(at(one, x, y), abs=1.5)

# All that a page shows, reads out or hints at.
SAID = """() => [document.body.innerText, ...[...document.querySelectorAll('.uslab-quiz, .uslab-quiz *')].flatMap(
  (node) => ['aria-label', 'title', 'placeholder', 'alt'].map((name) => node.getAttribute(name) ?? ''))].join('\\n')"""


def test_a_mark_and_a_comment(chromium, tmp_path):
    study = build(tmp_path / "beside", "2afc", practice=0, texts={"mark": True, "comment": True, "undo": True})
    with served(study) as (_, address, _):
        code = study.invite("Dr A")
        one = Reader(chromium, address, code, viewport={"width": 1366, "height": 650})
        page = one.page
        one.begin()
        one.at("[data-phase=choice]")
        page.mouse.click(*at(one, 12, 50, 0))
        page.wait_for_selector(".where:has-text('left, 12, 50')")
        page.mouse.move(*at(one, 40, 20))
        for _ in range(11):
            page.mouse.wheel(0, -100)
        page.wait_for_selector(".note:has-text('out of sight')")
        start = at(one, 14, 21)
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(start[0] - 90, start[1] + 40, steps=4)      # a drag moves the image, and no mark
        page.mouse.up()
        assert page.inner_text(".where") == "Marked: left, 12, 50"
        page.mouse.click(*at(one, 12.5, 20.5))
        page.wait_for_selector(".where:has-text('right')")
        assert ring(one, 12.5, 20.5)
        one.shoot("mark_zoomed")
        page.keyboard.press("0")
        assert ring(one, 12.5, 20.5) and not answers(study, code)
        page.keyboard.press("Delete")
        assert page.evaluate(RING) is None and page.locator("text=Remove the mark").count() == 0
        page.mouse.dblclick(*at(one, 12.5, 20.5))           # marks, and does not zoom
        assert ring(one, 12.5, 20.5) and "zoom" not in page.inner_text(".note")

        page.click(".comment")
        page.keyboard.type("1 2 0+- rim")
        for key in ("ArrowLeft", "ArrowRight", "Backspace", "m"):
            page.keyboard.press(key)
        page.wait_for_timeout(300)
        assert not answers(study, code) and page.get_attribute(".uslab-quiz", "data-phase") == "choice"
        page.goto(one.address, timeout=90000)               # all that was given so far outlives a reload
        page.click("a:text-is('Open the study')", timeout=90000)
        one.go_on("welcome")
        one.at("[data-phase=choice]")
        assert page.input_value(".comment") == "1 2 0+- rim" and ring(one, 12.5, 20.5)
        page.click(".comment")
        page.keyboard.press("Enter")                        # gives the keys back
        one.answer("ArrowLeft")
        first, = answers(study, code)
        assert first["comment"] == "1 2 0+- rim" and first["mark"]["side"] == "right"
        assert (first["mark"]["x"], first["mark"]["y"]) == pytest.approx((12.5, 20.5), abs=0.3)
        assert page.input_value(".comment") == "" and page.evaluate(RING) is None and one.saved() == []
        page.click("button:text-is('Undo the last answer')")
        page.wait_for_selector("button:text-is('Keep my answer')")
        page.wait_for_selector(".point")
        assert page.input_value(".comment") == "1 2 0+- rim" and ring(one, 12.5, 20.5)
        assert one.watch.leaks(address) == []
        one.context.close()

        code = study.invite("Dr B")
        one = Reader(chromium, address, code, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True,
                     device_scale_factor=3)
        one.begin()
        one.at("[data-phase=choice]")
        one.page.touchscreen.tap(*at(one, 20.5, 30.5))
        one.page.wait_for_selector(".where:has-text('right')")
        assert one.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        one.page.tap("button:text-is('Remove the mark')")
        one.page.touchscreen.tap(*at(one, 30.5, 10.5))
        one.page.tap(".buttons button:nth-child(1)")
        one.page.wait_for_function("() => document.querySelector('.uslab-quiz').dataset.done === '1'")
        mark = answers(study, code)[0]["mark"]
        assert (mark["x"], mark["y"]) == pytest.approx((30.5, 10.5), abs=0.6)
        one.context.close()


def test_a_german_page_is_german(chromium, tmp_path):
    texts = {"language": "de", "mark": True, "comment": True, "undo": True}
    study = build(tmp_path / "deutsch", "yesno_likert", n=1, texts=texts, title="Köpfe")
    with served(study) as (_, address, _):
        page = chromium.new_page()
        page.goto(f"{address}?r=guess")
        assert page.get_attribute("html", "lang") == "de" and "Dieser Link ist hier nicht bekannt" in page.content()
        link = f"{address}?r={study.invite('Dr A')}"
        page.goto(link)
        assert page.get_attribute("html", "lang") == "de" and not ENGLISH.search(page.inner_text("body"))
        page.set_viewport_size({"width": 1366, "height": 650})
        page.click("a:text-is('Studie öffnen')")
        seen = []

        def look(selector: str) -> None:
            page.wait_for_selector(f".uslab-quiz{selector}", timeout=60000)
            page.wait_for_timeout(500)      # past the guard
            seen.append(page.evaluate(SAID))

        look("[data-name=consent]")
        assert page.get_attribute("html", "lang") == "de"
        assert "Einen Augenblick, die Seite wird vorbereitet" in page.content()
        page.check("label.check input")
        page.click(".page button")
        look("[data-name=welcome]")
        page.keyboard.press("Enter")
        for _ in range(2):
            look("[data-phase=choice]")
            page.click("canvas")
            page.keyboard.press("+")
            look(":has(.point)")
            page.keyboard.press("ArrowLeft")
            look("[data-phase=quality]")
            page.keyboard.press("4")
            look("[data-phase=feedback]")
            page.keyboard.press("Enter")
        look("[data-name=break]")
        page.keyboard.press("Enter")
        look("[data-phase=choice]")
        page.click("button:text-is('Pause')")
        look("[data-name=pause]")
        page.keyboard.press("Enter")
        look("[data-phase=choice]")
        page.close()
    assert len(seen) == 14 and "Zoom" in seen[3] and "Markiert" in seen[3]
    assert not [text for text in seen if ENGLISH.search(text)]


GREYS = """() => { const canvas = document.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [...data].filter((_, i) => i % 4 === 0); }"""


def test_window_and_level_change_what_is_shown_and_nothing_else(chromium, tmp_path):
    study = build(tmp_path / "window", "yesno", practice=0, texts={"window": True, "mark": True})
    with served(study) as (_, address, _):
        code = study.invite("Dr A")
        one = Reader(chromium, address, code, viewport={"width": 1366, "height": 650})
        page, width, level = one.page, *(one.page.locator(".shades input").nth(i) for i in (0, 1))

        def shown() -> bool:
            """Whether the picture is the image under the window and level of the sliders."""
            raw = study.session(code).next().pixels[0].astype(float).ravel()
            w, mid = int(width.input_value()), int(level.input_value())
            meant = np.clip((raw - mid + w / 2) * 256 / w, 0, 255)
            return np.abs(np.array(page.evaluate(GREYS)) - meant).max() <= 0.5

        one.begin()
        one.at("[data-phase=choice]")
        assert (width.input_value(), level.input_value()) == ("256", "128") and shown()
        page.keyboard.press("+")
        before = page.locator("canvas").bounding_box()
        start = at(one, 32, 32)
        page.mouse.move(*start)
        page.mouse.down(button="right")
        page.mouse.move(start[0] - 150, start[1] - 40, steps=4)
        page.mouse.up(button="right")
        assert (width.input_value(), level.input_value()) == ("106", "88") and shown()
        assert page.locator("canvas").bounding_box() == before and page.evaluate(RING) is None      # no pan, no mark
        one.shoot("window")
        level.focus()
        page.keyboard.press("ArrowRight")           # moves the slider and answers nothing
        page.wait_for_timeout(300)
        assert level.input_value() == "89" and shown() and not answers(study, code)
        page.click("canvas")                        # gives the keys back
        one.answer("ArrowRight")
        assert [answers(study, code)[0]["client"][name] for name in ("window", "level", "zoom")] == [106, 89, 2]
        assert (width.input_value(), level.input_value()) == ("256", "128") and shown()     # the next image is as it is
        box = width.bounding_box()
        page.mouse.click(box["x"] + 5, box["y"] + box["height"] / 2)
        assert int(width.input_value()) < 60 and shown()
        page.click("button:text-is('Reset')")
        one.answer("ArrowRight")                    # the slider and the button gave the keys back
        assert [answers(study, code)[1]["client"][name] for name in ("window", "level")] == [256, 128]
        assert one.watch.leaks(address) == []
        one.context.close()
