"""knobs: a panel of sliders and fields made from a Config, for the next run."""

import dataclasses
import math
from collections.abc import Callable
from html import escape
from typing import Any

import anywidget
import ipywidgets as w

from uslab.models.config import check
from uslab.widgets.live import Still, source

STYLE = f"<style>{source('live.css', 'knobs.css')}</style>"

# The older copy command needs no permission, unlike the clipboard interface, and the field can be copied by hand.
COPY = ("const i = this.previousElementSibling; i.select(); "
        "if (document.execCommand('copy')) this.textContent = 'Copied'")


class Names(anywidget.AnyWidget):
    """Names each control of a panel for programs that read the screen aloud, and says when the kernel is busy.

    It answers whatever it is asked, so a page that gets no answer knows that a cell is running.
    """

    _esm = source("names.js")

    def __init__(self):
        super().__init__()
        self.on_msg(lambda *_: self.send({"type": "answer"}))


class Knobs(Still, w.VBox):
    """The panel that `knobs` makes. `config` is the Config as set now; it applies to the next run."""

    def __init__(self, config: Any, first: tuple[str, ...] = ()):
        self._start = self._config = config
        self._parts = {}        # name -> (control, slider or None, its stops, mark)
        self._follow = lambda config: None
        rows = {}
        for field in dataclasses.fields(config):
            value, meta = getattr(config, field.name), field.metadata
            ranged = meta.get("options") or meta.get("low") is not None or meta.get("high") is not None
            if not ranged and not ("help" in meta and isinstance(value, bool)):
                continue
            control, stops = _control(value, meta)
            slider = w.IntSlider(max=len(stops) - 1, readout=False, layout=w.Layout(width="230px")) if stops else None
            name = w.HTML(f'<span class="uslab-name">{escape(field.name)}</span>', layout=w.Layout(width="130px"))
            mark = w.HTML(layout=w.Layout(flex="1 1 0", min_width="120px"))
            self._parts[field.name] = control, slider, stops, mark
            control.observe(lambda change, name=field.name: self._moved(name, change["new"]), "value")
            if slider:
                slider.observe(lambda change, name=field.name: self._slid(name, change["new"]), "value")
            rows[field.name] = w.HBox([part for part in (name, slider, control, mark) if part],
                                      layout=w.Layout(align_items="center", overflow="visible"))
        if unknown := [name for name in first if name not in rows]:
            raise ValueError(f"the panel has no {unknown[0]!r}; it has {', '.join(rows)}")
        shown = [rows.pop(name) for name in first or list(rows)]
        if rows:
            shown.append(w.Accordion([w.VBox(list(rows.values()))], selected_index=None))
            shown[-1].set_title(0, f"{len(rows)} more")
        self._code = w.HTML(layout=w.Layout(flex="1 1 0"))
        reset = w.Button(description="Reset", tooltip="back to the values that the panel started from",
                         layout=w.Layout(width="80px"))
        reset.on_click(lambda _: self.reset())
        foot = w.HBox([reset, self._code], layout=w.Layout(align_items="center", margin="6px 0 0 0"))
        super().__init__([w.HTML(STYLE, layout=w.Layout(display="none")), *shown, foot, Names()])
        self.add_class("uslab-knobs")
        self.add_class("uslab-live")
        self._set(config)

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

    def on_change(self, follow: Callable[[Any], None]) -> None:
        """Call `follow` with the new Config whenever a value has changed."""
        self._follow = follow

    def reset(self) -> None:
        """Back to the values that the panel started from."""
        self._set(self._start)

    def _set(self, config: Any) -> None:
        """Show a Config. It is set first, so that the controls' own notices find nothing left to change."""
        self._config = config
        for name, (control, slider, stops, mark) in self._parts.items():
            start, now = getattr(self._start, name), getattr(config, name)
            control.value = now
            if slider:
                slider.value = _nearest(stops, now)
            help = escape(type(config).__dataclass_fields__[name].metadata["help"])
            was = f'<span class="uslab-was">● was {escape(str(start))}</span> ' if now != start else ""
            mark.value = f'<div class="uslab-help" title="{help}">{was}{help}</div>'
        self._code.value = (f'<div class="uslab-code"><input readonly aria-label="the Config as Python" '
                            f'onclick="this.select()" value="{escape(self.code)}">'
                            f'<button type="button" onclick="{COPY}">Copy as code</button></div>')
        self.refresh()
        self._follow(config)

    def _moved(self, name: str, value: Any) -> None:
        if value != getattr(self._config, name):
            self._set(dataclasses.replace(self._config, **{name: value}))

    def _slid(self, name: str, index: int) -> None:
        # A value between two stops stays as it is until the slider leaves its place.
        stops = self._parts[name][2]
        if index != _nearest(stops, getattr(self._config, name)):
            self._moved(name, stops[index])


def knobs(config: Any, *first: str) -> Knobs:
    """A panel for the fields that have a range or options; it starts from the values of `config`.

    `panel.config` is the Config as set now, `panel.apply(lr=1e-3)` sets values without a browser, `panel.code` is the
    Config as Python. Raises ValueError if `config` is not valid.

    Args:
        config: A Config: a dataclass whose fields are made by uslab.models.config.knob.
        first: Names of the fields to show; the others are folded away below them. None: all are shown.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"config must be an instance of a Config dataclass, such as Config(), not {config!r}")
    check(config)
    return Knobs(config, first)


def _control(value: Any, meta: dict) -> tuple[w.Widget, list]:
    """The plain widget that holds a field's value, and the stops of a slider beside it, if it has a range.

    ipywidgets' own float sliders are not used: on display they round their value to a step and send it back.
    """
    low, high = meta["low"], meta["high"]
    if meta["options"]:
        options = [(str(option), option) for option in meta["options"]]
        return w.Dropdown(options=options, value=value, layout=w.Layout(width="340px")), []
    if isinstance(value, bool):
        return w.Checkbox(value=value, indent=False, layout=w.Layout(width="340px")), []
    kind, most = (w.BoundedIntText, 2 ** 53) if isinstance(value, int) else (w.BoundedFloatText, math.inf)
    stops = [] if low is None or high is None else _stops(low, high, meta["log"], isinstance(value, int))
    control = kind(value=value, min=-most if low is None else low, max=most if high is None else high,
                   layout=w.Layout(width="106px" if stops else "340px"))
    return control, stops


def _stops(low: float, high: float, log: bool, whole: bool) -> list:
    """Round values from low to high: ten a decade with two digits if log, else at least a hundred, evenly spaced."""
    if log:
        tenths = range(math.ceil(10 * math.log10(low)), math.floor(10 * math.log10(high)) + 1)
        values = [float(f"{10 ** (tenth / 10):.2g}") for tenth in tenths]
    else:
        power = max(math.floor(math.log10((high - low) / 100) + 1e-9), 0 if whole else -math.inf)
        step = 10.0 ** power
        values = [round(low + i * step, 12) for i in range(int((high - low) / step + 1e-9) + 1)]
    values = sorted({low, *(value for value in values if low < value < high), high})
    return sorted({int(round(value)) for value in values}) if whole else [float(value) for value in values]


def _nearest(stops: list, value: float) -> int:
    """Index of the stop nearest to a value."""
    return min(range(len(stops)), key=lambda i: abs(stops[i] - value))


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
