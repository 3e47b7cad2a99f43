"""The diagrams of the networks are those that the code draws now, and each stands in its notebook."""

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks" / "diagrams"
MOST_BYTES = 60_000


@pytest.fixture(scope="module")
def drawn():
    return runpy.run_path(str(ROOT / "tools" / "draw_networks.py"))["drawings"]()


def test_the_committed_diagrams_show_the_networks_as_they_are(drawn):
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    assert committed == drawn, "run: python tools/draw_networks.py"


def test_nothing_of_a_diagram_lies_outside_of_it(drawn):
    for name, text in drawn.items():
        assert len(text.encode()) < MOST_BYTES
        picture = ElementTree.fromstring(text)
        width, height = (int(picture.get(side)) for side in ("width", "height"))
        for part in picture.iter("{http://www.w3.org/2000/svg}text"):
            x, y, size = (float(part.get(key)) for key in ("x", "y", "font-size"))
            long = 0.62 * size * len(part.text or "")     # about, in DejaVu Sans
            left = x - long * {"start": 0, "middle": 0.5, "end": 1}[part.get("text-anchor")]
            assert 0 < y < height and left > 0 and left + long < width, f"{name}: {part.text}"
