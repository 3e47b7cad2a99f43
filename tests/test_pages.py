"""Pages: how times, numbers and figures are put there, and that every template is in the one environment."""

import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from uslab import pages


def test_durations():
    seconds = (None, 0.4, 9.94, 9.96, 59.4, 59.6, 200, 3599.6, 7500)
    assert [pages.duration(s) for s in seconds] == ["unknown", "0.4 s", "9.9 s", "10 s", "59 s", "1 min 0 s",
                                                    "3 min 20 s", "1 h 0 min", "2 h 5 min"]


def test_a_figure_keeps_its_own_size():
    figure = Figure(figsize=(3, 2), dpi=50)
    assert Image.open(io.BytesIO(pages.png(figure))).size == (150, 100)
    assert Image.open(io.BytesIO(pages.png(figure, dpi=130))).size == (390, 260)


@pytest.mark.parametrize("name", ["index.html.j2", "metrics.html.j2", "report.html.j2"])
def test_the_pages_escape_what_they_are_given(name):
    facts = {"name": "<b>", "title": "<b>", "cards": [], "entries": [], "groups": [], "lines": [],
             "pictures": {}, "scores": []}
    page = pages.environment().get_template(name).render(**facts)
    assert "&lt;b&gt;" in page and "<b>" not in page
