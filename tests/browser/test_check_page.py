"""The page that checks a reader's machine, in a real browser: what it finds, and that it shows and keeps nothing."""

import os
from pathlib import Path

import pytest
from test_axe import findings
from test_reading_page import Watch, build, kernels, served

pytestmark = pytest.mark.browser

MARKS = "() => Object.fromEntries([...document.querySelectorAll('li')].map((row) => [row.id, row.dataset.mark]))"
DEAF = "window.WebSocket = class { constructor() { setTimeout(() => this.onerror()); } close() {} }"
DONE = "() => [...document.querySelectorAll('li')].every((row) => row.dataset.mark)"


def test_a_machine_is_checked_without_a_code(chromium, tmp_path):
    with served(build(tmp_path / "study", "2afc", texts={"language": "de"})) as (study, address, process):
        before = study.store.verify()
        page = chromium.new_page(viewport={"width": 1000, "height": 800})
        watch, errors = Watch(page), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}?check=1")
        page.wait_for_function(DONE, timeout=60000)
        marks = page.evaluate(MARKS)
        assert {marks[name] for name in ("features", "window", "pixels", "clock")} == {"good"}
        assert marks["line"] in ("good", "look") and marks["greys"] == "look"       # nobody has said what they see
        assert findings(page, "body") == []
        for tick in page.locator("input").all():
            tick.check()
        assert page.evaluate(MARKS)["greys"] == "good"
        report = page.input_value("#report")
        assert report.startswith(page.inner_text("#verdict")) and "Verbindung – " in report and "Mozilla" in report
        if os.environ.get("USLAB_SHOTS"):
            page.screenshot(path=Path(os.environ["USLAB_SHOTS"]) / "study_check.png", full_page=True)
        page.set_viewport_size({"width": 140, "height": 800})       # too narrow for two images of 64 pixels
        page.wait_for_function("() => document.getElementById('window').dataset.mark === 'bad'")
        assert "noch nicht geeignet" in page.inner_text("#verdict") and "128×64" in page.inner_text("#window")
        assert watch.leaks(address) == [] and watch.stimuli() == [] and errors == []
        assert not kernels(process) and study.store.verify() == before and "Heads" not in page.content()
        page.close()

        lost = chromium.new_page()
        lost.add_init_script(DEAF)
        lost.goto(f"{address}?check=1")
        lost.wait_for_function(DONE, timeout=60000)
        assert lost.evaluate(MARKS)["line"] == "bad" and "noch nicht geeignet" in lost.inner_text("#verdict")
        lost.close()
