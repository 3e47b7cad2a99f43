"""One page and two tables of all runs in a folder: what each measured over the parameters that differ, and what failed.

It reads files alone: the executed notebooks of `uslab run` and `uslab sweep`, and run.json files that were kept
without their notebook, as notebooks/results holds them. So it can be made while a sweep is under way.
"""

import base64
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from uslab import notebooks, score
from uslab.data.atomic import write_text
from uslab.data.reading import read_json
from uslab.notebooks import UsageError
from uslab.notebooks.committed import read_record
from uslab.notebooks.page import STATUSES, Card, read_card
from uslab.pages import encoded, environment, png
from uslab.score import FIELDS, Score
from uslab.sweeps import job

STATES = STATUSES | {"running": "running", "waiting": "not begun"}
LEFT_OUT = ("out", "root", "profile", "device")   # parameters that do not change what is measured


@dataclass
class Entry:
    """One run: its place, its state and its values."""

    name: str                     # unique within the folder
    state: str                    # as uslab.sweeps.job.state() says it
    notebook: str                 # the notebook's stem
    parameters: dict[str, object]
    card: Card                    # from the executed notebook; of a run.json kept alone, the record only
    link: str = ""                # the executed notebook's path without suffix, relative to the folder
    log: str = ""                 # the log's path, where there is one

    @property
    def state_text(self) -> str:
        """The state in words, with how far a run is that goes on."""
        return STATES.get(self.state, self.state) + (f", cell {self.card.cells}" if self.state == "running" else "")


def gather(
    folder: Path,
    unread: list[str] | None = None,    # gets a line for each file that is left out since it cannot be read
) -> list[Entry]:
    """Return all runs below the folder, sorted by name; raise UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found, unread = {}, [] if unread is None else unread

    def add(key: Path, path: Path, make: Callable[[Path, Path], Entry | None]) -> None:
        try:
            entry = make(path, folder)
            if entry and entry.card.scores is not None:     # numbers that cannot be read fail here
                found[key] = entry
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            unread.append(str(error) if str(path) in str(error) else f"{path} is not what a run writes ({error!r})")

    for path in sorted(folder.rglob("job.json")):
        add(path.parent, path, _of_job)
    for path in sorted(folder.rglob("*.ipynb")):
        if path.parent not in found:
            add(path.with_suffix(""), path, _of_notebook)
    taken = {where / "run.json" for where in found}
    taken |= {where / one.notebook / "run.json" for where, one in found.items()}
    for path in sorted(folder.rglob("*.json")):
        if path not in taken:
            add(path, path, _of_record)
    if not found:
        raise UsageError("; ".join([f"{folder} holds no executed notebook and no run.json", *unread]))
    return sorted(found.values(), key=lambda entry: (entry.notebook, entry.name))


def varied(entries: list[Entry]) -> list[str]:
    """Return the parameters in which runs of one notebook differ, in the order of its parameters cell."""
    names = {name: None for entry in entries for name in entry.parameters if name not in LEFT_OUT}
    return [name for name in names if len({repr(entry.parameters.get(name)) for entry in entries}) > 1]


def runs(folder: str | Path) -> pd.DataFrame:
    """Return one row a run: its notebook, the parameters that differ, its state, progress, seconds, device, commit."""
    entries = gather(Path(folder))
    names = varied(entries)
    return pd.DataFrame([{
        "run": entry.name, "notebook": entry.notebook, **{name: entry.parameters.get(name) for name in names},
        "state": entry.state_text, "seconds": entry.card.seconds,
        "data": entry.card.data, "device": entry.card.record.get("device"),
        "commit": entry.card.record.get("versions", {}).get("commit"),
    } for entry in entries])


def metrics(entries: list[Entry], names: list[str]) -> pd.DataFrame:
    """Return one row a score of each complete run: the run, the parameters `names`, the score's own keys, the score."""
    rows = []
    for entry in entries:
        values = {f"{name} (parameter)" if name in FIELDS else name: entry.parameters.get(name) for name in names}
        rows += [{"run": entry.name, **values, **metric}
                 for metric in entry.card.record.get("metrics", []) if entry.state == "ok"]
    return score.table({name: _plain(value) for name, value in row.items()} for row in rows)


def averaged(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with runs that differ by their seed alone made one row, as uslab.score.over_seeds does.

    Runs that nothing else tells apart, such as one that was repeated, are no further seeds: they keep their name as
    `run`. Scores of one run that nothing tells apart are numbered, as their `entry`.
    """
    blank = {name: scores[name].astype(object).where(scores[name].notna(), "")
             for name in keys(scores) if scores[name].isna().any()}
    scores = scores.assign(**blank) if "seed" in scores else scores.assign(**blank, seed=0)
    entry = scores.groupby(["name", *keys(scores)], sort=False).cumcount() + 1
    scores = scores.assign(entry=entry) if entry.max() > 1 else scores
    twice = scores.duplicated(["name", *(name for name in keys(scores) if name != "run")], keep=False)
    scores = scores.assign(run=scores.run.where(twice, "")) if twice.any() else scores.drop(columns="run")
    return score.over_seeds(scores)


def keys(scores: pd.DataFrame) -> list[str]:
    """Return the columns that tell the scores of one measure apart."""
    return [name for name in scores if name not in (*FIELDS, "seeds")]


def pivot(scores: pd.DataFrame) -> tuple[list[str], tuple, list]:
    """Return (header, (last key, its values), lines) of the table as papers print it.

    A line for each measure and each combination of all keys but the last, a column for each value of the last. A line
    is (labels, cells), a cell (score, number of seeds) or None.
    """
    *rows, column = keys(scores) or [None]
    columns, found = _unique(scores[column]) if column else [None], {}
    for row in scores.to_dict("records"):
        cell = Score(**{name: row[name] for name in FIELDS if name in row}), row["seeds"]
        labels, value = (row["name"], *(row[name] for name in rows)), row[column] if column else None
        found.setdefault(repr(labels), (labels, {}))[1][repr(value)] = cell
    lines = [([name, *labels], [found[repr((name, *labels))][1].get(repr(value)) for value in columns])
             for name in dict.fromkeys(scores.name)
             for labels in _unique(labels for (other, *labels), _ in found.values() if other == name)]
    return ["measure", *rows], (column, columns), lines


def figure(table: pd.DataFrame):
    """Return a matplotlib figure with a panel a measure: value and interval over the number that has most values."""
    import matplotlib
    from matplotlib.figure import Figure

    names = keys(table)
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(table[name])]
    measures = [name for name in dict.fromkeys(table.name) if table[table.name == name].value.notna().any()]
    if not numeric or not measures:
        return None
    along = max(numeric, key=lambda name: table[name].nunique())
    others = [name for name in names if name != along]
    across = min(len(measures), 4)
    down = -(-len(measures) // across)
    picture = Figure(figsize=(3.1 * across, 2.5 * down), layout="constrained")
    axes = picture.subplots(down, across, squeeze=False).ravel()
    combinations = _unique(table[others].apply(tuple, axis=1)) if others else [()]
    colours = matplotlib.colormaps["viridis"]
    for axis, measure in zip(axes, measures):
        for i, key in enumerate(combinations):
            here = table[table.name == measure]
            here = here[here[others].apply(tuple, axis=1) == key] if others else here
            here = here.sort_values(along)
            value, low, high = (here[column].astype(float) for column in ("value", "low", "high"))
            errors = [(value - low).clip(lower=0).fillna(0), (high - value).clip(lower=0).fillna(0)]
            label = ", ".join(f"{name} {text}" for name, text in zip(others, key))
            axis.errorbar(here[along], value, yerr=errors, marker="o", ms=4, lw=1, capsize=2, label=label,
                          color=colours(0.9 * i / max(1, len(combinations) - 1)))
        axis.set_title(measure, fontsize=9)
        axis.set_xlabel(along, fontsize=8)
        axis.tick_params(labelsize=7)
        values = table[along].dropna()
        if values.min() > 0 and values.max() >= 8 * values.min():
            axis.set_xscale("log")
            axis.minorticks_off()
        if values.nunique() <= 6:
            axis.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
    for axis in axes[len(measures):]:
        axis.axis("off")
    if others and len(combinations) <= 12:
        lines, labels = axes[0].get_legend_handles_labels()
        fitting = int(14 * 3.1 * across / (7 + max(map(len, labels))))      # about 14 letters an inch
        picture.legend(lines, labels, loc="outside lower center", ncols=max(1, fitting), fontsize=8)
    return picture


def write(folder: Path, out: Path) -> tuple[Path, list[str]]:
    """Write report.html, runs.csv and metrics.csv into `out`; return the page's path, and what could not be read."""
    unread = []
    entries = gather(folder, unread)
    groups = []
    for stem in dict.fromkeys(entry.notebook for entry in entries):
        members = [entry for entry in entries if entry.notebook == stem]
        names = varied(members)
        scores = metrics(members, list(dict.fromkeys([*names, "seed"])))
        table = averaged(scores) if len(scores) else scores
        header, columns, lines = pivot(table) if len(table) else ([], (None, []), [])
        plot = figure(table) if len(table) else None
        groups.append({"stem": stem, "entries": members, "names": names, "keys": keys(table), "header": header,
                       "columns": columns, "lines": lines, "plot": encoded(png(plot, dpi=130)) if plot else "",
                       "pictures": _side_by_side(members, names)})
    page = environment().get_template("report.html.j2").render(
        name=folder.resolve().name, entries=entries, groups=groups, unread=unread,
        base=Path(os.path.relpath(folder, out)).as_posix())
    write_text(out / "runs.csv", runs(folder).to_csv(index=False))
    write_text(out / "metrics.csv", metrics(entries, varied(entries)).to_csv(index=False))
    path = out / "report.html"
    write_text(path, page)
    return path, unread


def _of_job(path: Path, folder: Path) -> Entry:
    """Return the run of a sweep's job.json."""
    told = read_json(path)
    notebook = path.parent / Path(told["notebook"]).name
    card = read_card(notebook) if notebook.is_file() else Card(notebook.stem, notebook.stem, "waiting", {}, None, False)
    name = path.parent.relative_to(folder).as_posix()
    log = f"{name}/log.txt" if (path.parent / "log.txt").is_file() else ""
    link = f"{name}/{notebook.stem}" if notebook.is_file() else ""
    parameters = _defaults(Path(told["notebook"])) | told["parameters"]
    return Entry(name, job.state(path.parent), notebook.stem, parameters, card, link, log)


def _of_notebook(path: Path, folder: Path) -> Entry | None:
    """Return the run of an executed notebook; None for one that was not executed."""
    if "papermill" not in notebooks.read(path).metadata:
        return None
    card, link = read_card(path), path.relative_to(folder).with_suffix("").as_posix()
    return Entry(link, card.status, path.stem, _values(path.stem, card), card, link)


def _of_record(path: Path, folder: Path) -> Entry | None:
    """Return the run of a run.json that was kept alone, under any name; None for another JSON file."""
    if path.name == "run.json":
        read_json(path)     # of another name, what is damaged is nobody's loss
    if not (record := read_record(path)):
        return None
    stem, name = record["notebook"], path.relative_to(folder).with_suffix("").as_posix()
    card = Card(stem, stem, "ok", {}, record.get("seconds"), False, record=record)
    return Entry(name, "ok", stem, _values(stem, card), card)


def _values(stem: str, card: Card) -> dict[str, object]:
    """Return the parameters of a run without a job.json: the notebook's own, those set, those that run.json names."""
    known = _defaults(notebooks.folder() / f"{stem}.ipynb")
    said = card.record | card.record.get("config", {})
    return known | {name: said[name] for name in known if name in said} | card.parameters


def _defaults(notebook: Path) -> dict[str, object]:
    return notebooks.defaults(notebook) if notebook.is_file() else {}


def _plain(value):
    """Return a value that a table can be grouped by: a list as text."""
    return str(value) if isinstance(value, (list, dict)) else value


def _unique(values: Iterable) -> list:
    """Return the different values, sorted where they can be: numbers by size."""
    kept = list({repr(value): value for value in values}.values())
    try:
        return sorted(kept)
    except TypeError:
        return kept


def _side_by_side(entries: list[Entry], names: list[str]) -> list[list[tuple]]:
    """Return, for each of the notebook's key pictures, (entry, caption, small picture) of all runs that have it."""
    most = max((len(entry.card.pictures) for entry in entries), default=0)
    return [[(entry, ", ".join(f"{name} {entry.parameters.get(name)}" for name in names) or entry.name,
              _small(entry.card.pictures[i])) for entry in entries if i < len(entry.card.pictures)]
            for i in range(most)]


def _small(png: str, width: int = 560) -> str:
    """Return a picture no wider than `width` pixels, as WebP in base64, so that a page of many stays light."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail((width, 2 * width))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=82)
    return encoded(buffer.getvalue())
