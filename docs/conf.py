"""The site, from what is there: `make site` builds runs/site with Sphinx, from the project's folder and offline.

The notebooks are shown as they are committed, none runs. The pages of commands and functions are made from the command
line's grammar and from what the packages name in __all__.
"""

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))      # uslab of this checkout, for the pages of functions

import uslab  # noqa: E402
from uslab.cli.main import parser  # noqa: E402

project, author, release = "uslab", "the authors of uslab", uslab.__version__
copyright = "the authors of uslab, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/*.ipynb", "notebooks/results/*/README.md",
                    "notebooks/museum/README.md", "data_cards/*.md",
                    "benchmarks/**/README.md", "uslab/generators/*/card.md", "README.md", "CHANGELOG.md",
                    "CONTRIBUTING.md"]

nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]   # their picture is shown
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# A card begins at its own title, and a notebook's second line may name people.
suppress_warnings = ["myst.header", "myst-nb.lexer", "mystnb.unknown_mime_type"]

autodoc_member_order = "bysource"
default_role = "literal"           # docstrings are written as Markdown is

html_theme = "furo"
html_title = "uslab"
html_copy_source = False
html_extra_path = ["site"]         # the page that leads from the folder to docs/index.html


def mathml(display: str):
    """A formula as MathML, which browsers draw themselves: MathJax would have to be fetched."""
    def visit(translator, node):
        translator.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode
    return visit, None


def helps(command: argparse.ArgumentParser, level: int = 2) -> Iterator[str]:
    """The help of a command and of those below it, as Markdown."""
    below = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if level > 2 or not below:
        yield f"{'#' * (level - 1)} {command.prog}\n\n```text\n{command.format_help()}```\n"
    for action in below:
        for part in action.choices.values():
            yield from helps(part, level + 1)


def names(package: str) -> Iterator[str]:
    """A package's description and the functions and classes of its __all__, as Markdown."""
    module = importlib.import_module(package)
    yield f"## {package}\n\n{inspect.getdoc(module)}\n\n```{{eval-rst}}"
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            yield f".. autoclass:: {package}.{name}\n   :members:\n"
        elif callable(value):
            yield f".. autofunction:: {package}.{name}\n"
    yield "```\n"


def made(app, docname: str, source: list[str]) -> None:
    """Complete the two pages that are made from the code, and leave out the badges, which lie on other machines."""
    if docname == "docs/commands":
        source[0] += "\n".join(helps(parser()))
    elif docname == "docs/api":
        packages = ("data", "phantom", "models", "generators", "training", "metrics", "tasks", "study", "widgets")
        source[0] += "\n".join(part for name in packages for part in names(f"uslab.{name}"))
    elif docname == "README":
        source[0] = re.sub("<!-- badges.*end of badges -->", "", source[0], flags=re.DOTALL)


def as_rst(app, what, name, value, options, lines: list[str]) -> None:
    """Docstrings are written for readers, not for docutils: code is indented, | is no mark, a colon names no type."""
    text = "\n".join(lines).replace("|", "\\|")
    if what == "property":
        text = text.replace(": ", " – ")
    lines[:] = re.sub("(?<=\n)\n(?=    )", "\n::\n\n", text).splitlines()


def setup(app):
    app.add_html_math_renderer("mathml", mathml("inline"), mathml("block"))
    app.config.html_math_renderer = "mathml"
    app.connect("source-read", made)
    app.connect("autodoc-process-docstring", as_rst, priority=400)    # before Args sections are read
