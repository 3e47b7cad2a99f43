"""The front page of a folder of executed notebooks: what ran, what it shows, what it measured, what failed."""

import base64
import contextlib
import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from uslab.data.atomic import write_text
from uslab.data.reading import read_json
from uslab.notebooks import UsageError, read
from uslab.notebooks.html import to_html
from uslab.pages import encoded, environment
from uslab.score import Score
from uslab.score import read as read_score

THUMBNAIL = 160, 90    # pixels at most, width and height
STATUSES = {"ok": "complete", "failed": "failed", "stopped": "stopped from the keyboard", "unfinished": "not finished"}
TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Card:
    """What the page shows of one notebook, read from its files alone, so the page can be made again at any time."""

    stem: str
    title: str
    status: str                                    # a key of STATUSES
    parameters: dict[str, object]                  # those that differed from the notebook's defaults
    seconds: float | None                          # wall time of the whole notebook
    html: bool                                     # whether its HTML lies beside it
    pictures: list[str] = field(default_factory=list)   # PNG in base64
    record: dict = field(default_factory=dict)     # its run.json; empty where it did not get so far
    error: str = ""                                # the end of the failing cell's traceback
    source: str = ""                               # the failing cell
    count: int | None = None                       # the failing cell's execution count
    cells: str = ""                                # how far it is, such as '12 of 40'

    @property
    def status_text(self) -> str:
        return STATUSES[self.status]

    @property
    def profile(self) -> str:
        return str(self.record.get("profile") or self.parameters.get("profile") or "class")

    @property
    def data(self) -> str:
        return str(self.record.get("data") or self.parameters.get("data") or "phantom")

    @property
    def scores(self) -> list[tuple[str, Score]]:
        """The metrics of run.json, each with its name and what tells it apart, such as its set; no further measure."""
        found = [read_score(metric) for metric in self.record.get("metrics", [])]
        return [(", ".join([*(str(key) for key in beside.values() if isinstance(key, str | int)), score.name]), score)
                for beside, score in found]

    @property
    def key(self) -> tuple[str, Score] | None:
        """The first metric that could be estimated."""
        return next((named for named in self.scores if math.isfinite(named[1].value)), None)

    @property
    def thumbnail(self) -> str | None:
        """The first key picture that can be read, small, as PNG in base64."""
        for text in self.pictures:
            with contextlib.suppress(OSError, ValueError):
                picture, small = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), io.BytesIO()
                picture.thumbnail(THUMBNAIL)
                picture.save(small, "PNG", optimize=True)
                return encoded(small.getvalue())
        return None


def read_card(notebook: Path) -> Card:
    """Read an executed notebook and its run.json. A file that was cut off, by a full disk or a kill, is unfinished."""
    try:
        node = read(notebook)
    except UsageError as error:
        return Card(notebook.stem, notebook.stem, "unfinished", {}, None, False, error=str(error))
    papermill = node.metadata.get("papermill", {})
    card = Card(
        stem=notebook.stem,
        title=heading(node) or notebook.stem,
        status="ok" if papermill.get("end_time") else "unfinished",
        parameters=papermill.get("parameters", {}),
        seconds=papermill.get("duration"),
        html=notebook.with_suffix(".html").is_file(),
    )
    for cell in node.cells:
        outputs = cell.get("outputs", [])
        if "key-picture" in cell.metadata.get("tags", []):
            card.pictures += [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
        if cell.metadata.get("papermill", {}).get("exception"):
            errors = [output for output in outputs if output.output_type == "error"]
            card.status = "stopped" if any(error.ename == "KeyboardInterrupt" for error in errors) else "failed"
            card.source, card.count = cell.source, cell.execution_count
            card.error = "\n".join(traceback_tail(error) for error in errors)
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    card.cells = f"{sum(cell.execution_count is not None for cell in code)} of {len(code)}"
    record = notebook.with_suffix("") / "run.json"
    if record.is_file():
        try:
            card.record = read_json(record)
            len(card.scores)    # numbers that cannot be read fail here
        except (OSError, ValueError) as error:
            card.status, card.error, card.record = "failed", str(error), {}
        except (LookupError, TypeError, AttributeError) as error:
            card.status, card.error, card.record = "failed", f"{record}: its metrics are none ({error!r})", {}
    return card


def heading(node) -> str:
    """Return a notebook's first heading, without its marks."""
    for cell in node.cells:
        found = re.search(r"^#+\s+(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found and "papermill-error-cell-tag" not in cell.metadata.get("tags", []):
            return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", found.group(1)).strip()
    return ""


def traceback_tail(error, lines: int = 12) -> str:
    """Return the last lines of an error output's traceback, without terminal colours."""
    text = TERMINAL_COLOURS.sub("", "\n".join(error.get("traceback", []))).strip() or f"{error.ename}: {error.evalue}"
    return "\n".join(text.splitlines()[-lines:])


def write_index(out: Path) -> Path:
    """Write index.html for the executed notebooks that lie in `out` and return its path."""
    notebooks = sorted(out.glob("*.ipynb"))
    if not notebooks:
        raise UsageError(f"{out} holds no executed notebook")
    page = environment().get_template("index.html.j2").render(
        name=out.resolve().name,
        cards=[read_card(notebook) for notebook in notebooks],
    )
    path = out / "index.html"
    write_text(path, page)
    return path


def publish(notebook: Path) -> Path:
    """Write an executed notebook's HTML, and the front page of its folder anew; return the page's path."""
    to_html(notebook)
    return write_index(notebook.parent)
