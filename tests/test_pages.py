"""Pages: how times, numbers and figures are put there, and that every template is in the one environment."""

import base64
import io
import json
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from uslab import pages
from uslab.notebooks.html import to_html
from uslab.notebooks.page import THUMBNAIL, write_index

ROOT = Path(__file__).parents[1]


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


def png(width: int = 400, height: int = 300) -> str:
    return pages.encoded(pages.png(Figure(figsize=(width / 100, height / 100), dpi=100)))


def executed(out: Path, stem: str, *texts: str, scores: list | None = None, broken: bool = False) -> Path:
    """An executed notebook of a key picture, a picture in HTML and texts; with a run.json where scores are given."""
    picture = "aGVsbG8=" if broken else png()
    outputs = [new_output("display_data", {"image/png": picture, "text/plain": "<Figure>"}),
               new_output("display_data", {"text/html": f'<b>x</b><img src="data:image/png;base64,{png()}">'})]
    cells = [new_markdown_cell(f"# The {stem}"), *map(new_markdown_cell, texts), new_code_cell(
        "1", execution_count=3, outputs=outputs, metadata={"tags": ["key-picture"]})]
    node = new_notebook(cells=cells)
    node.metadata.papermill = {"end_time": "2026", "duration": 75.0, "parameters": {}}
    out.mkdir(exist_ok=True)
    nbformat.write(node, out / f"{stem}.ipynb")
    if scores is not None:
        (out / stem).mkdir()
        (out / stem / "run.json").write_text(json.dumps({"notebook": stem, "metrics": scores}))
    return out / f"{stem}.ipynb"


def test_every_picture_of_an_exported_page_says_what_it_is(tmp_path):
    page = to_html(executed(tmp_path, "a", '## "Look" & see')).read_text()
    alts = [picture.get("alt") for picture in BeautifulSoup(page, "html.parser").find_all("img")]
    assert alts == [f'"Look" & see: output {number} of In [3]' for number in (1, 2)]


def test_a_diagram_of_the_notebooks_is_in_an_exported_page_wherever_it_lies(tmp_path):
    page = to_html(executed(tmp_path / "o", "a", "![two networks](diagrams/dcgan.svg)")).read_text()
    picture = BeautifulSoup(page, "html.parser").find("img", alt="two networks")
    kind, _, data = picture["src"].partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert base64.b64decode(data) == (ROOT / "notebooks" / "diagrams" / "dcgan.svg").read_bytes()


def test_links_of_an_exported_page_lead_somewhere_within_its_folder(tmp_path):
    text = ("## Links\n[card](../data_cards/hc18.md) [claims](../docs/claims.md#x) [gone](../docs/gone.md) "
            "[outside](../../secret.txt) [next](02_stylegan2_breast.ipynb) [here](b.ipynb) "
            "[web](https://example.org/a.md) [part](#Links)")
    to_html(executed(tmp_path / "o", "b"))
    (tmp_path / "secret.txt").write_text("s")
    page = to_html(executed(tmp_path / "o", "a", text)).read_text()
    write_index(tmp_path / "o")
    found = dict(re.findall(r'<a href="([^"]+)">([^<]+)</a>', page))
    assert found == {"linked/data_cards/hc18.md": "card", "linked/docs/claims.md#x": "claims",
                     "index.html#02_stylegan2_breast": "next", "b.html": "here", "https://example.org/a.md": "web",
                     "#Links": "part"}
    assert "gone (not here: <code>../docs/gone.md</code>)" in page and "outside (not here" in page
    inside = [link.partition("#")[0] for link in found if not link.startswith(("http", "#"))]
    assert all((tmp_path / "o" / link).is_file() for link in inside)
    assert (tmp_path / "o" / "linked/data_cards/hc18.md").read_text() == (ROOT / "data_cards/hc18.md").read_text()


def test_the_front_page_of_several_notebooks_begins_with_a_table_of_them(tmp_path):
    scores = [{"name": "odd", "value": None, "n": 3}, {"name": "KD-lite0", "value": 0.5, "low": 0.25, "high": 0.75,
                                                       "set": "ada", "side": 64, "deviation": 0.0003, "spread": None}]
    executed(tmp_path, "a", scores=scores)
    assert 'id="overview"' not in write_index(tmp_path).read_text(), "one notebook needs no table"
    executed(tmp_path, "b", broken=True)
    page = write_index(tmp_path).read_text()
    table = page[page.index('id="overview"'):page.index('<article id="a"')]
    rows = [re.sub(r"<[^>]*>|\s+", " ", row).split() for row in re.findall("<tr>(.*?)</tr>", table, re.DOTALL)]
    assert rows[0] == "notebook status key measure time".split()
    assert rows[1] == "The a complete ada, 64, KD-lite0 0.5 [0.25, 0.75] 1 min 15 s".split()
    assert rows[2] == "The b complete 1 min 15 s".split()
    assert re.findall(r'href="#(\w+)"', table) == ["a", "b"]
    small, = re.findall(r'<img src="data:image/png;base64,([^"]+)"\s+alt="The a: key picture, small"', table)
    width, height = Image.open(io.BytesIO(base64.b64decode(small))).size
    assert (width, height) == (120, 90) and width <= THUMBNAIL[0]
