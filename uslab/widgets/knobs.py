"""knobs: a panel of sliders and fields made from a Config, for the next run."""

import dataclasses
import math
from html import escape
from typing import Any

import ipywidgets as w

from uslab.models.config import check
from uslab.widgets.live import Still, source

STYLE = f"<style>{source('live.css', 'knobs.css')}</style>"

# The older copy command needs no permission, unlike the clipboard interface, and the field can be copied by hand.
COPY = "const i = this.previousElementSibling; i.select(); if (document.execCommand('copy')) this.textContent = 'Copied'"


class Knobs(Still, w.VBox):
    """The panel that `knobs` makes. `config` is the Config as set now; it applies to the next run."""

    def __init__(self, config: Any):
        self._start = self._config = config
        self._parts = {}        # name -> (control, mark)
        rows = []
        for field in dataclasses.fields(config):
            value, meta = getattr(config, field.name), field.metadata
            ranged = meta.get("options") or meta.get("low") is not None or meta.get("high") is not None
            if not ranged and not ("help" in meta and isinstance(value, bool)):
                continue
            control = _control(value, meta)
            name = w.HTML(f'<span class="uslab-name">{escape(field.name)}</span>', layout=w.Layout(width="130px"))
            mark = w.HTML(layout=w.Layout(flex="1 1 0", min_width="120px"))
            control.observe(lambda change, name=field.name: self._moved(name, change["new"]), "value")
            self._parts[field.name] = control, mark
            rows.append(w.HBox([name, control, mark], layout=w.Layout(align_items="center", overflow="visible")))
        self._code = w.HTML(layout=w.Layout(flex="1 1 0"))
        reset = w.Button(description="Reset", tooltip="back to the values that the panel started from",
                         layout=w.Layout(width="80px"))
        reset.on_click(lambda _: self.reset())
        foot = w.HBox([reset, self._code], layout=w.Layout(align_items="center", margin="6px 0 0 0"))
        super().__init__([w.HTML(STYLE, layout=w.Layout(display="none")), *rows, foot])
        self.add_class("uslab-knobs")
        self.add_class("uslab-live")
        self._redraw()

    def __repr__(self) -> str:
        return f"knobs: {self._config}"

    @property
    def config(self) -> Any:
        """The Config as the panel stands, checked."""
        check(self._config)
        return self._config

    @property
    def code(self) -> str:
        """The Config as Python, naming only the values that differ from the class's defaults."""
        values = []
        for field in dataclasses.fields(self._config):
            value = getattr(self._config, field.name)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            if value != default:
                values.append(f"{field.name}={value!r}")
        return f"{type(self._config).__name__}({', '.join(values)})"

    def apply(self, **values: Any) -> None:
        """Set values by name, with or without a browser.

        Raises ValueError, naming the field and what it may be, and changes nothing, if one of them is not valid.
        """
        known = [field.name for field in dataclasses.fields(self._config)]
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"{type(self._config).__name__} has no {name!r}; it has {', '.join(known)}")
            values[name] = _typed(f"{type(self._config).__name__}.{name}", value, getattr(self._start, name))
        config = dataclasses.replace(self._config, **values)
        check(config)
        self._set(config)

    def reset(self) -> None:
        """Back to the values that the panel started from."""
        self._set(self._start)

    def _set(self, config: Any) -> None:
        for name, (control, _) in self._parts.items():
            control.value = getattr(config, name)
        # A logarithmic slider has rounded what it was given; what was given counts.
        self._config = config
        self._redraw()

    def _moved(self, name: str, value: Any) -> None:
        control = self._parts[name][0]
        if isinstance(control, w.FloatLogSlider):
            # Ten stops a decade, each with two digits: 0.0002 rather than 0.000199526.
            value = min(max(float(f"{value:.2g}"), control.base ** control.min), control.base ** control.max)
            value = int(round(value)) if isinstance(getattr(self._start, name), int) else value
        elif isinstance(value, float) and math.isfinite(value):
            value = float(f"{value:.10g}")      # a slider's steps add up to 0.30000000000000004
        self._config = dataclasses.replace(self._config, **{name: value})
        self._redraw()

    def _redraw(self) -> None:
        for field in dataclasses.fields(self._config):
            if field.name not in self._parts:
                continue
            start, now = getattr(self._start, field.name), getattr(self._config, field.name)
            help = escape(field.metadata["help"])
            was = f'<span class="uslab-was">● was {escape(str(start))}</span> ' if now != start else ""
            self._parts[field.name][1].value = f'<div class="uslab-help" title="{help}">{was}{help}</div>'
        self._code.value = (f'<div class="uslab-code"><input readonly aria-label="the Config as Python" '
                            f'onclick="this.select()" value="{escape(self.code)}">'
                            f'<button type="button" onclick="{COPY}">Copy as code</button></div>')
        self.refresh()


def knobs(
    config: Any,    # a Config: a dataclass whose fields are made by uslab.models.config.knob
) -> Knobs:
    """A panel for the fields that have a range or options; it starts from the values of `config`.

    `panel.config` is the Config as set now, `panel.apply(lr=1e-3)` sets values without a browser, `panel.code` is the
    Config as Python. Raises ValueError if `config` is not valid.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"config must be an instance of a Config dataclass, such as Config(), not {config!r}")
    check(config)
    return Knobs(config)


def _control(value: Any, meta: dict) -> w.Widget:
    """The plain widget that suits a field."""
    low, high, layout = meta["low"], meta["high"], w.Layout(width="340px")
    if meta["options"]:
        return w.Dropdown(options=[(str(option), option) for option in meta["options"]], value=value, layout=layout)
    if isinstance(value, bool):
        return w.Checkbox(value=value, indent=False, layout=layout)
    whole = isinstance(value, int)
    if low is None or high is None:
        kind, most = (w.BoundedIntText, 2 ** 53) if whole else (w.BoundedFloatText, math.inf)    # a browser's largest int
        return kind(value=value, min=-most if low is None else low, max=most if high is None else high, layout=layout)
    if meta["log"]:
        return w.FloatLogSlider(value=value, min=math.log10(low), max=math.log10(high), step=0.1,
                                readout_format=",.0f" if whole else ".2g", layout=layout)
    if whole:
        return w.IntSlider(value=value, min=low, max=high, layout=layout)
    power = math.floor(math.log10((high - low) / 100) + 1e-9)       # at least a hundred stops, of a round width
    return w.FloatSlider(value=value, min=low, max=high, step=10.0 ** power, readout_format=f".{max(0, -power)}f",
                         layout=layout)


def _typed(name: str, value: Any, like: Any) -> Any:
    """The value in the type of the field, or ValueError where that would change it."""
    if isinstance(like, bool) or not isinstance(like, (int, float)):
        if isinstance(like, bool) and not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}; it must be True or False")
        return value
    kind = int if isinstance(like, int) else float
    if isinstance(value, bool) or not isinstance(value, (int, float)) or kind(value) != value:
        raise ValueError(f"{name} is {value!r}; it must be {'a whole number' if kind is int else 'a number'}")
    return kind(value)
