"""The words of a reader's page in each of its languages, from messages.yaml."""

from functools import cache
from pathlib import Path

import yaml


@cache
def table() -> dict[str, dict]:
    """Language, such as 'en', -> its messages."""
    return yaml.safe_load((Path(__file__).parent / "messages.yaml").read_text(encoding="utf-8"))


def messages(language: str) -> dict:
    """The messages of a language. Raises ValueError for one that has none."""
    if language not in table():
        raise ValueError(f"there is no language {language!r}: choose one of {', '.join(table())}, or add it to "
                         "uslab/pages/messages.yaml")
    return table()[language]
