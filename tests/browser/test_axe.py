"""axe-core over what people meet: the widgets in JupyterLab, the reader's page, exported pages, a study's report.

Only findings that axe calls critical or serious fail; of JupyterLab's and Voila's own parts none is looked at.
"""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from test_lab import AIM, BOARD, KNOBS, QUIZ
from test_reading_page import Reader, build, served
from test_sketch_page import EDITOR, SHOW

from uslab.notebooks.page import publish
from uslab.study import SimulatedReader

pytestmark = pytest.mark.browser


def findings(page, where: str) -> list[str]:
    """What axe-core finds critical or serious in the parts of a page that a selector names, one line a node."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("""async (where) => {
        const result = await axe.run({include: [[where]]}, {resultTypes: ['violations']});
        return result.violations.filter(({impact}) => ['critical', 'serious'].includes(impact)).flatMap(
            ({id, impact, nodes}) => nodes.map(({html, any, all, none}) =>
                `${impact} ${id}: ${html.slice(0, 160)}; ${[...any, ...all, ...none][0]?.message ?? ''}`));
    }""", where)
    print(*found, sep="\n")       # whole lines, where an assertion would cut them
    return found


@pytest.mark.parametrize(("name", "code", "where"), [
    ("knobs", KNOBS, ".jp-OutputArea-output"), ("quiz", QUIZ, ".uslab-quiz"),
    ("explorer", AIM, ".jp-OutputArea-output"),
    ("board", BOARD + "train(120, 0.01)", ".uslab-monitor"), ("sketch", EDITOR + SHOW, ".jp-OutputArea-output"),
])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_widgets(lab, name, code, where, theme):
    notebook = lab(code)
    if theme == "dark":
        notebook.page.click(".lm-MenuBar-itemLabel:text-is('Settings')")
        notebook.page.hover(".lm-Menu-itemLabel:text-is('Theme')")
        notebook.page.click(".lm-Menu-itemLabel:text-is('JupyterLab Dark')")
    notebook.run_all()
    notebook.page.wait_for_selector(where, timeout=60000)
    notebook.wait_idle()
    notebook.page.wait_for_timeout(1000)
    notebook.shoot(f"axe_{name}_{theme}")
    assert findings(notebook.page, where) == []


def test_a_reading_and_its_report(chromium, tmp_path):
    study = build(tmp_path / "study", "yesno_likert", n=6, texts={"comment": True, "mark": True, "window": True})
    with served(study) as (_, address, _):
        one = Reader(chromium, address, study.invite("Dr A"))
        one.at("[data-name=consent]")
        bad = findings(one.page, "body")
        one.begin()
        one.at("[data-phase=choice]")
        bad += findings(one.page, "body")
        one.page.click("canvas")
        one.page.wait_for_selector(".point")
        one.page.keyboard.press("+")
        one.page.wait_for_selector(".stage.zoomed")
        bad += findings(one.page, "body")
        one.page.keyboard.press("0")
        bad += findings(one.page, "body")
        one.page.keyboard.press("ArrowLeft")
        one.at("[data-phase=quality]")
        bad += findings(one.page, "body")
        one.page.click("button:text-is('Pause')")
        one.at("[data-phase=page]")
        bad += findings(one.page, "body")
        one.context.close()
    assert bad == []


def test_a_report(chromium, tmp_path):
    study = build(tmp_path / "study", "yesno_conf", n=12)
    study.autoplay(*(SimulatedReader(seed=seed) for seed in range(3)))
    study.close()
    study.unblind()
    page = chromium.new_page()
    page.goto(study.report(tmp_path / "report").as_uri())
    assert findings(page, "body") == []
    page.close()


def test_exported_pages(chromium, tmp_path):
    committed = Path(__file__).parents[2] / "notebooks"
    for name in ("00_start_here", "03_cyclegan_ct_to_eus"):
        shutil.copy(committed / f"{name}.ipynb", tmp_path)
    page, bad = chromium.new_page(), []
    publish(tmp_path / "00_start_here.ipynb")
    publish(tmp_path / "03_cyclegan_ct_to_eus.ipynb")
    for path in sorted(tmp_path.glob("*.html")):
        page.goto(path.as_uri())
        bad += [f"{path.name}: {finding}" for finding in findings(page, "body")]
    page.close()
    assert bad == []
