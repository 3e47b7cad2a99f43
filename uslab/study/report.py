"""The report of a study: HTML that needs no other file, Markdown with its figures, and every table as CSV.

What it says stands in uslab/pages/templates/study.j2; here are the facts, tables and figures that it speaks of.
"""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uslab.data.atomic import written_aside
from uslab.pages import environment, png
from uslab.pages.messages import messages
from uslab.score import Score, holm, mean
from uslab.study import beside, figures, planner, quality
from uslab.study.analysis import ALL, Analysis
from uslab.study.audit import NOTABLE, as_json, audit
from uslab.study.codebook import codebook
from uslab.study.pack import middle
from uslab.study.plan import DISTANCE
from uslab.study.protocol import PRESETS, REAL, SYNTHETIC
from uslab.study.unblind import integrity, readers_facts

BAUTISTA = ["V8", "V20", "V143", "V240"]      # the bins of the paper's figure 2


def report(study, out: Path, key_path=None, margin: float | None = None, head: str | None = None) -> Path:
    """Study.report's work; see there."""
    found = study.analysis(key_path, margin)
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} exists and is not empty: nothing is overwritten; name another folder")
    if not 0 < found.margin < 0.5:
        raise ValueError(f"margin is {found.margin}; it must lie between 0 and 0.5")
    key = study.key(key_path)
    if found.answers.empty or not (found.answers.phase == "main").any():
        raise ValueError("there is no answer to report: 0 readers answered an image of the main part")
    cues, checks, related = audit(study, key), integrity(study, key, head), relations(study, key, found)
    facts = collect(study, key, found) | {
        "study": study, "found": found, "cues": cues, "related": related,
        "failed": {"integrity": int((~checks.ok).sum()), "side_channels": int((~cues.channels.ok).sum())}}
    shown, whole = tabulate(study, found, cues, checks, related)
    shown["grras"] = checklist(facts)
    drawn = draw(found, facts["measure"], related)
    drawn |= {f"marks_{name}": figures.marks(panels) for name, panels
              in beside.panels(found.answers, study.pack, key["stimuli"]).items() if panels}
    pictures = {name: png(figure, dpi=130, bbox_inches="tight", pad_inches=0.08) for name, figure in drawn.items()}
    with written_aside(out) as part:
        for folder in (part / "tables", part / "figures"):
            folder.mkdir()
        whole |= {"answers": found.answers.drop(columns=["file", "group"]), "estimates": found.estimates,
                  "codebook": codebook(found.protocol)}
        for name, table in (shown | whole).items():
            if len(table):
                table.to_csv(part / "tables" / f"{name}.csv", index=False)
        for name, picture in pictures.items():
            (part / "figures" / f"{name}.png").write_bytes(picture)
        (part / "audit.json").write_text(as_json(cues), encoding="utf-8")
        for kind in ("md", "html"):
            template = environment(escape=kind == "html").get_template(f"study.{kind}.j2")
            text = re.sub(r"\n{3,}", "\n\n", template.render(facts, tables=shown, figures=pictures, interval=cell))
            (part / f"report.{kind}").write_text(text, encoding="utf-8")
    return out / "report.html"


def collect(study, key: dict, found: Analysis) -> dict:
    """What the report and the checklist say of the study, in words and numbers."""
    status, protocol = study.status(), found.protocol
    main = [item for item in key["stimuli"].values() if item["phase"] == "main"]
    count = Counter(item["method"] for item in main)
    forms = [reader["form"] for reader in study.readers() if reader["reader"] in found.readers]
    roles = Counter(form.get("role") or "not stated" for form in forms)
    served = [json.loads(body).get("served") for body, in study.store.rows("select body from log where kind = 'open'")]
    simulated = bool(found.answers.simulated.any())
    yes = messages(protocol.language)["protocol"]["form"]["seen"][1][1]
    if simulated:
        blinding = "readers were simulated."
    elif served and all(served):
        blinding = ("every page was served by uslab study serve, which tells a page the truth of practice images "
                    "alone, after their answers.")
    else:
        blinding = (f"{sum(not s for s in served)} of {len(served)} pages were opened where a reader could run code, "
                    "or answers came by the Python interface: blinded for honest readers only.")
    margin, again = key["design"]["margin"], found.answers[found.answers.phase == "repeat"]
    return {
        "pair": protocol.pair, "buttons": bool(protocol.buttons), "simulated": simulated, "phantom": key["phantom"],
        "measure": "accuracy" if protocol.pair else "balanced accuracy" if protocol.buttons else "area",
        "scale": ", ".join([*(button.label for button in protocol.buttons),
                            *(f"{i} {name}" for i, name in enumerate(protocol.quality, 1))]),
        "n_real": count[REAL], "methods": ", ".join(f"{count[m]} of {m}" for m in key["methods"]),
        "n_images": len(main), "shown": found.main.case.nunique(), "seed": key["seed"], "distance": DISTANCE,
        "repeats": int(again.groupby("reader").size().max()) if len(again) else 0, "blinding": blinding,
        "readers": len(found.readers), "compared": len(found.complete[0]), "invited": len(status),
        "complete": int((status.state == "complete").sum()), "withdrawn": int((status.state == "withdrawn").sum()),
        "roles": "" if simulated else "By their own account: " + ", ".join(f"{n} {role}" for role, n in roles.items())
                 + f"; {sum(form.get('seen') == yes for form in forms)} had seen the data set before.",
        "normal": beside.NORMAL, "comments": len(beside.comments(found.answers)), "marked": {
            "marks": len(beside.marked(found.answers)), "least": beside.LEAST, "most": beside.MOST,
            "answers": int(found.answers.phase.isin(["main", "repeat"]).sum())},
        "answers": len(found.main), "notable": NOTABLE, "notes": how(found),
        "margin": f"{found.margin:g}", "sealed": found.margin == margin,
        "set_when": "set when the study was built" if found.margin == margin else
                    f"chosen afterwards: the study was built with {margin:g}",
        "needed": planner.images_for_one_reader(margin=found.margin) if found.margin >= 0.02 else None,
        "preset": PRESETS.get(study.about["preset"]),
    }


def checklist(facts: dict) -> pd.DataFrame:
    """GRRAS, the reporting guideline: item, what it asks for, what the study says."""
    lines = environment(escape=False).get_template("grras.j2").render(facts).splitlines()
    return pd.DataFrame([(i, *line.split(" | ", 1)) for i, line in enumerate(lines, 1)],
                        columns=["item", "asks for", "answer"])


def by_reader(found: Analysis) -> dict[str, pd.DataFrame]:
    """The estimates that are shown, by method; without one of two measures that are the same number."""
    balanced = found.protocol.buttons and not found.protocol.pair and abs(found.always[1] - 0.5) < 1e-9
    same = (found.estimates.method == ALL) & (found.estimates.measure == "balanced accuracy") & bool(balanced)
    return dict(iter(found.estimates[~same].groupby("method")))


def how(found: Analysis) -> list[str]:
    """How the estimates that are shown were made."""
    measures = {measure for table in by_reader(found).values() for measure in table.measure}
    return sorted({f"{row.measure}: {row.note}" for row in found.estimates.itertuples()
                   if row.measure in measures and row.note and " of " not in row.note and np.isfinite(row.value)})


def relations(study, key: dict, found: Analysis) -> dict | None:
    """Which measures of an image go with its mean quality; None where quality was not asked of enough images."""
    mean = found.main[found.main.truth == SYNTHETIC].groupby("case").quality.mean().astype(float)
    real = [name for name, item in key["stimuli"].items() if item["phase"] == "main" and item["truth"] == REAL]
    if not found.protocol.quality or found.protocol.pair or len(mean) < quality.LEAST or not real:
        return None
    rated, real = (np.stack([middle(study.pack[name]) for name in names])[:, None] for names in (mean.index, real))
    values = quality.measures(rated, real)
    method = np.array([key["stimuli"][name]["method"] for name in mean.index])
    table, n = quality.correlations(mean.to_numpy(), values, method), len(mean)
    return {"table": table, "drawn": (mean, values, BAUTISTA, table, method), "measures": len(table), "images": n,
            "above": int((table.r.abs() > 0.2).sum()), "kept": int((table.q < 0.05).sum()),
            "by_chance": f"{len(table) * quality.by_chance(n):.0f}"}


def tabulate(study, found: Analysis, cues, checks: pd.DataFrame, related: dict | None) -> tuple[dict, dict]:
    """All tables by name: as they are shown, in words, and, where that is more, what their CSV holds."""
    estimates = by_reader(found)
    shown = {
        **{name: words(rows.assign(ok=np.where(rows.ok, "yes", "NO")))
           for name, rows in (("integrity", checks), ("side_channels", cues.channels))},
        "flow": words(study.status().drop(columns=["label", "last", "simulated"])), "flags": words(found.flags),
        **{f"readers_{method}": spread(own, "reader", "measure") for method, own in estimates.items()},
        "methods": merged(found.by_method), "methods_without": words(pd.DataFrame()) if found.without is None else
        merged(found.without.by_method), "agreement_between": merged(found.between),
        "agreement_within": merged(found.within), "equivalence": words(found.equivalence), "times": words(found.times),
        "readers_said": words(readers_facts(study)), "subgroups": merged(subgroups(study, found)),
        "windows": words(beside.windows(found.answers)), "marks": words(beside.by_kind(found.answers)),
        "comments": words(beside.comments(found.answers)),
        "cues": merged(cues.notable, "area")[["method", "cue", "area", "advice"]], "copies": words(cues.copies),
    }
    whole = {"methods": found.by_method, "cues": cues.cues, "stimuli": found.stimuli,
             **{f"readers_{method}": own for method, own in estimates.items()}}
    if found.comparison is not None and len(found.methods) > 1:
        gaps, parts = found.comparison.differences, pd.DataFrame([found.comparison.components])
        named = gaps.assign(a=[found.methods[i] for i in gaps.a], b=[found.methods[i] for i in gaps.b])
        named["p (Holm)"] = gaps.groupby("analysis").p.transform(holm)
        whole["mrmc_components"] = parts.rename(columns=lambda name: name.replace("_", " "))
        shown |= {"mrmc_tests": words(found.comparison.tests), "mrmc_differences": merged(named, "difference"),
                  "mrmc_components": whole["mrmc_components"].map(lambda x: f"{x:.5f}")}
    if found.protocol.quality and not found.protocol.pair:
        whole["quality"] = quality.summary(found.main)
        shown["quality"] = words(whole["quality"][["method", "ratings", "images", "mean", "lower quartile", "median",
                                                   "upper quartile"]])
    if related:
        shown["quality_measures"], whole["quality_measures"] = words(related["table"].head(10)), related["table"]
    return shown, whole


def subgroups(study, found: Analysis) -> pd.DataFrame:
    """Accuracy by what readers chose in the form, such as their experience: item, said, value, low, high, readers.

    The mean over readers, each with the share of their right answers; Student's t interval from three readers on.
    """
    own = found.main.dropna(subset="correct").groupby("reader").correct.mean().astype(float)
    forms = {reader["reader"]: reader["form"] for reader in study.readers() if reader["reader"] in own.index}
    rows = []
    for name, (label, options) in found.protocol.form.items():
        for option in options:
            values = own[[reader for reader, form in forms.items() if form.get(name) == option]]
            if len(values):
                score = mean("", values, "readers")
                rows.append((label, option, score.value, max(score.low, 0.0), min(score.high, 1.0), len(values)))
    return pd.DataFrame(rows, columns=["asked", "said", "value", "low", "high", "readers"])


def draw(found: Analysis, measure: str, related: dict | None) -> dict[str, Figure]:
    """The figures by name, those alone for which there are answers."""
    drawn, buttons = {}, found.protocol.buttons
    if not found.by_method.empty:
        estimates = found.estimates if len(found.methods) > 1 else found.estimates.assign(method=found.methods[0])
        if min(len(found.readers), len(found.methods) + 1) > 2 and buttons:
            drawn["radar"] = figures.radar(estimates, measure, found.methods, found.readers)
        # Dots and diamonds are of one measure; the margin is shaded where it is of that measure.
        drawn["dots"] = figures.dots(estimates, "area" if found.rated else measure, found.methods, found.readers,
                                     found.by_method, None if found.rated else found.margin)
        if found.rated:
            drawn["roc"] = figures.roc(found.main, found.methods)
    if found.protocol.quality and not found.protocol.pair:
        drawn["quality"] = figures.scores(quality.summary(found.main), found.protocol.quality)
    if related:
        drawn["quality_measures"] = figures.regressions(*related["drawn"])
    if buttons and found.blocks.block.nunique() > 1:
        drawn["blocks"] = figures.blocks(found.blocks)
    return drawn


# Cells of tables

def number(value) -> str:
    """A cell: p-values and other floats with sense, counts as they are, nothing for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (float, np.floating)):
        return "inf" if np.isinf(value) else "< 0.001" if 0 < abs(value) < 0.0005 else f"{value + 0.0:.3g}"
    return str(value)


def cell(value: float, low: float, high: float) -> str:
    """A value with its interval, 0.64 (0.55 to 0.72)."""
    return f"{Score('', value, low, high):.2f}"


def words(table: pd.DataFrame) -> pd.DataFrame:
    """All cells as text."""
    return table.astype(object).map(number)


def merged(table: pd.DataFrame, value: str = "value") -> pd.DataFrame:
    """Value, low and high in one column; all cells as text."""
    cells = list(map(cell, table[value], table.low, table.high))
    return words(table.assign(**{value: cells}).drop(columns=["low", "high"]))


def spread(table: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    """Estimates as a table of rows by columns."""
    cells = table.assign(cell=list(map(cell, table.value, table.low, table.high)))
    order = list(dict.fromkeys(table[columns]))
    return cells.pivot(index=rows, columns=columns, values="cell")[order].reset_index()
