"""Pages: the one Jinja environment of the HTML that is written, its templates, and how times and figures look."""

import base64
from io import BytesIO
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def environment(
    escape: bool = True,    # False for text that is no HTML
):
    """Return the Jinja environment of the templates, with the filters duration, number and encoded."""
    from jinja2 import Environment, FileSystemLoader

    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=escape, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"duration": duration, "number": number, "encoded": encoded}
    return made


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them: 8.4 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "unknown"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value) -> str:
    """Return a parameter's value with at most six significant digits, and anything else as it is; nothing for None."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def png(figure, **options) -> bytes:
    """Return a matplotlib Figure as PNG, by default at its own resolution; options as for its savefig."""
    file = BytesIO()
    figure.savefig(file, format="png", **options)
    return file.getvalue()


def encoded(data: bytes) -> str:
    """Return bytes in base64, as a data: URL or a notebook's output holds them."""
    return base64.b64encode(data).decode()
