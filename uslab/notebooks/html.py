"""An executed notebook as one HTML file that needs nothing from the network: formulas, pictures and styles inside."""

import base64
import io
import os
import re
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image

from uslab.data.atomic import write_atomically, write_text
from uslab.notebooks import folder, read
from uslab.pages import TEMPLATES, encoded

LINKED = "linked"    # in a folder of executed notebooks: copies of the project's files that they link to
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([\w./-]+\.\w+)(#[\w-]*)?\)")    # to a file, in Markdown; pictures are none
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class MathMLRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML, which browsers draw themselves; MathJax would have to be fetched."""

    def block_math(self, body: str) -> str:
        return self._mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return self._mathml(body, "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return self._mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")

    def _mathml(self, body: str, display: str) -> str:
        try:
            return convert(body, display=display)
        except Exception:  # the converter raises many kinds; a formula that it cannot read is shown as it is written
            return f"<code>{self.escape_html(body)}</code>"


class OfflineExporter(HTMLExporter):
    """nbconvert's HTML with the renderer above, and a template without remote scripts."""

    def __init__(self, **options):
        super().__init__(embed_images=True, **options)
        self.raw_template = (TEMPLATES / "notebook.html.j2").read_text()

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        cell = context.get("cell", {})
        renderer = MathMLRenderer(
            escape=False,
            attachments=cell.get("attachments", {}),
            embed_images=True,
            path=str(folder()),    # pictures lie beside the notebooks, wherever the executed one does
            anchor_link_text="",
        )
        return MarkdownWithMath(renderer=renderer).render(source)

    def default_filters(self):
        yield from super().default_filters()
        yield "markdown2html", self.markdown2html


def drop_widgets(notebook):
    """Take live widgets out of a notebook in memory: without a kernel only their static alternative can be seen."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)


def shrink_pictures(notebook):
    """Write the PNG pictures of a notebook in memory anew, in half the bytes: matplotlib's hold 32 bits a pixel.

    Grey pictures become 8-bit grey and lose nothing; others get a palette of 256 colours, their own if they have no
    more. A picture with transparency, or one that would not become smaller, stays as it is.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _smaller(data["image/png"])


def _smaller(text: str) -> str:
    """A PNG in base64 as a smaller one."""
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    rgba = np.asarray(picture.convert("RGBA"))
    if rgba[..., 3].min() < 255:
        return text
    grey = (rgba[..., :1] == rgba[..., :3]).all()
    smaller = io.BytesIO()
    (Image.fromarray(rgba[..., 0]) if grey else picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)).save(
        smaller, "PNG", optimize=True)
    return min(text, encoded(smaller.getvalue()), key=len)


def with_links(
    out: Path,    # the folder in which a notebook's HTML lies
) -> Callable[[str], str]:
    """Changes Markdown of the notebooks' folder so that each link to a file leads somewhere from `out`.

    Another notebook is its HTML, or its place on the front page; a file of the project is copied; any other says that
    it is not here.
    """
    project = folder().parent.resolve()

    def changed(link: re.Match) -> str:
        text, target, mark = link.groups()
        path = (folder() / target).resolve()
        if path.suffix == ".ipynb":
            page = f"{path.stem}.html"
            return f"[{text}]({page if (out / page).is_file() else f'index.html#{path.stem}'})"
        if not path.is_file() or not path.is_relative_to(project):
            return f"{text} (not here: `{target}`)"
        copy = Path(LINKED, path.relative_to(project))
        write_atomically(out / copy, lambda part: shutil.copyfile(path, part))
        return f"[{text}]({copy.as_posix()}{mark or ''})"

    return lambda source: LINK.sub(changed, source)


def describe_pictures(notebook) -> None:
    """Give each picture of a notebook in memory a text for who cannot see it: its section and the cell that made it."""
    section = notebook.cells[0].source.lstrip("# ").partition("\n")[0] if notebook.cells else ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            section = next(reversed(re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)), section)
        for number, output in enumerate(cell.get("outputs", []), 1):
            alt = f"{section}: output {number} of In [{cell.execution_count}]"
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data):
                output.metadata["alt"] = alt
            if "text/html" in data:
                data["text/html"] = re.sub(r"<img (?![^>]*\balt=)", f'<img alt="{escape(alt)}" ', data["text/html"])


def to_html(
    notebook: Path,   # an executed notebook; it stays as it is
) -> Path:
    """Write the notebook as HTML beside it and return the file's path."""
    node = read(notebook)
    drop_widgets(node)
    describe_pictures(node)
    project, follow = Path(os.path.relpath(folder().parent, notebook.parent)).as_posix(), with_links(notebook.parent)
    for cell in node.cells:  # links such as ../data_cards were written for the notebooks' own folder
        if cell.cell_type == "markdown":
            cell.source = follow(cell.source).replace("](../", f"]({project}/")
    resources = {"metadata": {"name": notebook.stem}}
    body, _ = OfflineExporter().from_notebook_node(node, resources=resources)
    path = notebook.with_suffix(".html")
    write_text(path, body)
    return path
