"""A clip on the reader's page in a real browser: it runs at its rate, stops, steps, and is told in equal messages."""

import pytest
from test_axe import findings
from test_reading_page import Reader, answers, served
from test_study_clips import build

pytestmark = pytest.mark.browser

COUNT = """() => new Promise((done) => {
  const stage = document.querySelector('.stage'), start = performance.now();
  let turns = 0;
  new MutationObserver(() => turns++).observe(stage, { attributeFilter: ['data-frame'] });
  setTimeout(() => done(1000 * turns / (performance.now() - start)), 3000);
})"""
FRAME = "() => document.querySelector('.stage').dataset.frame"
PIXELS = """() => { const canvas = document.querySelector('.stage canvas');
  return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, 1).data].filter((_, i) => i % 4 === 0); }"""


def test_a_mark_belongs_to_the_frame_it_was_set_on(chromium, tmp_path):
    with served(build(tmp_path / "study", readers=1, texts={"mark": True})) as (study, address, _):
        code = study.invite("Dr A")
        one = Reader(chromium, address, code)
        one.begin()
        one.at("[data-phase=choice]")
        one.page.keyboard.press(" ")
        frame = int(one.page.evaluate(FRAME))
        one.page.locator(".stage canvas[role]").click()
        one.page.wait_for_selector(".stage .point")
        assert one.page.locator(".beside").inner_text().count(f", frame {frame + 1}") == 1
        one.shoot("clip_marked")
        one.page.keyboard.press(".")
        assert one.page.locator(".stage .point").count() == 0, "not on the next frame"
        one.page.keyboard.press(",")
        assert one.page.locator(".stage .point").count() == 1
        one.context.close()


def test_a_clip_runs_stops_and_steps(chromium, tmp_path):
    with served(build(tmp_path / "study", readers=1)) as (study, address, _):
        code = study.invite("Dr A")
        one = Reader(chromium, address, code)
        one.begin()
        one.at("[data-phase=choice]")
        clip = study.session(code).next().pixels[0]
        assert 4 < one.page.evaluate(COUNT) < 11
        one.page.keyboard.press(" ")
        stopped = int(one.page.evaluate(FRAME))
        assert one.page.evaluate(COUNT) == 0 and one.page.evaluate(PIXELS) == clip[stopped, 0].tolist()
        for key, at in ((".", 1), (".", 2), (",", 1)):
            one.page.keyboard.press(key)
            assert one.page.evaluate(PIXELS) == clip[(stopped + at) % 5, 0].tolist()
        assert findings(one.page, "body") == []
        one.page.keyboard.press("+")        # the zoom still works
        one.page.keyboard.press(" ")
        assert one.page.evaluate(COUNT) > 4
        one.shoot("clip")
        one.page.set_viewport_size({"width": 360, "height": 800})
        assert one.page.evaluate("() => document.documentElement.scrollWidth") <= 360
        one.shoot("clip_narrow")
        one.practise()
        for _ in range(3):
            one.answer()
        client = answers(study, code)[0]["client"]
        assert client["holds"] == 1 and client["frames_shown"] > 10 and client["zoom"] == 2
        assert "images of different length" not in one.watch.leaks(address)
        one.context.close()
