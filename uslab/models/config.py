"""knob: a hyperparameter of a Config, with the range in which it is valid and its help."""

import dataclasses
from typing import Any


def knob(
    default: Any,
    low: float | None = None,       # smallest valid value
    high: float | None = None,      # largest valid value
    *,
    log: bool = False,              # a slider moves in powers of ten
    options: tuple = (),            # the only valid values, instead of a range
    help: str = "",                 # one line: what it does, its unit, its source
) -> Any:
    """A dataclass field for a Config; `check` and `uslab.widgets.knobs` read the metadata."""
    return dataclasses.field(
        default=default, metadata={"low": low, "high": high, "log": log, "options": options, "help": help})


def check(config: Any) -> None:
    """Raise ValueError for the first value outside its range, naming the field, the value and the range."""
    for field in dataclasses.fields(config):
        value, meta = getattr(config, field.name), field.metadata
        name = f"{type(config).__name__}.{field.name}"
        if meta.get("options") and value not in meta["options"]:
            raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, meta['options']))}")
        low, high = meta.get("low"), meta.get("high")
        if low is not None and not low <= value or high is not None and not value <= high:
            raise ValueError(f"{name} is {value!r}; it must lie between {low} and {high}")
