"""The front page of a folder of executed notebooks: what ran, what it shows, what it measured, what failed."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from uslab.notebooks import UsageError, read
from uslab.notebooks.html import TEMPLATES, to_html

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
            card.record = json.loads(record.read_text())
        except json.JSONDecodeError as error:
            card.status, card.error = "failed", f"{record.name} is not valid JSON: {error}"
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


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them: 8.4 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value) -> str:
    """Return a metric's value with four significant digits, and anything else as it is; nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def interval(metric: dict) -> str:
    """Return a metric's interval, or nothing where it has none."""
    low, high = metric.get("low"), metric.get("high")
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def environment():
    """Return the pages' Jinja environment, with the filters above."""
    from jinja2 import Environment, FileSystemLoader

    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"duration": duration, "number": number, "interval": interval}
    return made


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
    path.write_text(page, encoding="utf-8")
    return path


def publish(notebook: Path) -> Path:
    """Write an executed notebook's HTML, and the front page of its folder anew; return the page's path."""
    to_html(notebook)
    return write_index(notebook.parent)
