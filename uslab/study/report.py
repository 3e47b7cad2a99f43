"""The report of a study: HTML that needs no other file, Markdown with its figures, and every table as CSV."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uslab.pages import environment, png
from uslab.score import Score, holm
from uslab.study import figures, planner, quality
from uslab.study.analysis import ALL, LEANING, Analysis
from uslab.study.audit import NOTABLE, as_json, audit
from uslab.study.checklist import grras
from uslab.study.plan import DISTANCE
from uslab.study.protocol import PRESETS, REAL, SYNTHETIC
from uslab.study.unblind import integrity

BAUTISTA = ["V8", "V20", "V143", "V240"]      # the bins of the paper's figure 2
SECTIONS = ("integrity", "flow", "readers", "methods", "agreement", "several readers", "equivalence", "quality", "time",
            "cues", "checklist", "limits")


class Section:
    """One part of the report: a title and blocks (kind, content, caption), the same for HTML and Markdown."""

    def __init__(self, title: str):
        self.title, self.blocks = title, []

    def text(self, words: str) -> "Section":
        self.blocks.append(("text", words, ""))
        return self

    def items(self, lines) -> "Section":
        self.blocks.append(("items", list(lines), ""))
        return self

    def table(self, name: str, table: pd.DataFrame, caption: str = "", whole: pd.DataFrame | None = None,
              folded: str = "") -> "Section":
        """A table to read; `whole` is what its CSV holds, if that is more; `folded` names a table not shown at once."""
        if len(table):
            self.blocks.append(("table", (name, table, table if whole is None else whole, folded), caption))
        return self

    def figure(self, name: str, figure: Figure, caption: str) -> "Section":
        self.blocks.append(("figure", (name, png(figure, dpi=130, bbox_inches="tight", pad_inches=0.08)), caption))
        return self


def report(study, out: Path, key_path=None, margin: float | None = None) -> Path:
    """Study.report's work; see there."""
    found = study.analysis(key_path, margin)
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} exists and is not empty: nothing is overwritten; name another folder")
    if not 0 < found.margin < 0.5:
        raise ValueError(f"margin is {found.margin}; it must lie between 0 and 0.5")
    key, table = study.key(key_path), found.answers
    if table.empty or not (table.phase == "main").any():
        raise ValueError("there is no answer to report: 0 readers answered an image of the main part")
    cues = audit(study, key)
    sections = contents(study, key, found, cues)
    for folder in (out, out / "tables", out / "figures"):
        folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for kind, content, _ in section.blocks:
            if kind == "table":
                content[2].to_csv(out / "tables" / f"{content[0]}.csv", index=False)
            elif kind == "figure":
                (out / "figures" / f"{content[0]}.png").write_bytes(content[1])
    table.drop(columns=["file", "group"]).to_csv(out / "tables" / "answers.csv", index=False)
    found.estimates.to_csv(out / "tables" / "estimates.csv", index=False)
    (out / "audit.json").write_text(as_json(cues), encoding="utf-8")
    heading = {"title": study.about["title"], "simulated": bool(table.simulated.any()), "phantom": key["phantom"],
               "lead": lead(found, when(key, found))}
    (out / "report.md").write_text(as_markdown(heading, sections), encoding="utf-8")
    (out / "report.html").write_text(as_html(heading, sections), encoding="utf-8")
    return out / "report.html"


def when(key: dict, found: Analysis) -> str:
    """Whether the margin of equivalence was set before anybody saw an answer."""
    sealed = key["design"].get("margin")    # keys of older studies hold none
    return ("set when the study was built" if found.margin == sealed else
            f"chosen afterwards: the study was built with {'none' if sealed is None else f'{sealed:g}'}")


def lead(found: Analysis, set_when: str) -> list[str]:
    """The result in a few sentences."""
    lines = [f"{plural(len(found.readers), 'reader')}, "
             f"{plural(found.main.case.nunique(), 'pair' if found.protocol.pair else 'image')}, protocol "
             f"{found.protocol.name}."]
    for row in found.by_method.itertuples():
        lines.append(f"{row.method}: {found.merit} {row.value:.2f} ({row.low:.2f} to {row.high:.2f}); {row[7]}.")
    if found.comparison is None:
        lines.append("Too few images that all readers answered to compare methods.")
    lines.append("A result that does not differ from chance is no evidence that images cannot be told apart; only the "
                 f"test of equivalence, with the margin {found.margin:g}, speaks to that (it was {set_when}).")
    return lines


def contents(study, key: dict, found: Analysis, cues) -> list[Section]:
    """All sections, in the order of SECTIONS; those without content are left out."""
    facts = collect(study, key, found)
    parts = [
        checks(study, key, facts, cues), flow(study, found, facts), readers(found), methods(found), agreed(found),
        several(found), equivalent(found, when(key, found)), qualities(study, key, found), time(found), cue(cues),
        Section("Checklist: GRRAS").text("Kottner et al. 2011. What only the authors know is marked so.").table(
            "grras", grras(facts)),
        limits(study, key, found, facts),
    ]
    return [part for part in parts if part.blocks]


def collect(study, key: dict, found: Analysis) -> dict:
    """What the checklist and the limits say of the study, in words and numbers."""
    status, design = study.status(), key["design"]
    main = [item for item in key["stimuli"].values() if item["phase"] == "main"]
    count = Counter(item["method"] for item in main)
    forms = [reader["form"] for reader in study.readers() if reader["reader"] in found.readers]
    roles = Counter(form.get("role") or "not stated" for form in forms)
    served = [json.loads(body).get("served") for body, in study.store.rows("select body from log where kind = 'open'")]
    simulated = bool(found.answers.simulated.any())
    if simulated:
        blinding = "readers were simulated."
    elif served and all(served):
        blinding = "every page was served by uslab study serve: a reader could reach no truth."
    else:
        blinding = (f"{sum(not s for s in served)} of {len(served)} pages were opened where a reader could run code, "
                    "or answers came by the Python interface: blinded for honest readers only.")
    return {
        "uslab": study.about["versions"]["uslab"], "question": found.protocol.question, "simulated": simulated,
        "scale": ", ".join([*(button.label for button in found.protocol.buttons),
                            *(f"{i} {name}" for i, name in enumerate(found.protocol.quality, 1))]),
        "n_real": count[REAL], "methods": ", ".join(f"{count[m]} of {m}" for m in key["methods"]),
        "n_images": len(main),
        "readers": f"{plural(len(found.readers), 'simulated reader' if simulated else 'reader')} analysed",
        "n_readers": len(found.readers), "seed": key["seed"], "distance": DISTANCE, "built": study.about["built"],
        "roles": "" if simulated else "By their own account: " + ", ".join(f"{n} {role}" for role, n in roles.items())
                 + f"; {sum(form.get('seen') == 'yes' for form in forms)} had seen the data set before.",
        "repeats": len({*found.answers[found.answers.phase == "repeat"].case}), "blinding": blinding,
        "answers": len(found.main), "complete": int((status.state == "complete").sum()),
        "withdrawn": int((status.state == "withdrawn").sum()), "invited": len(status), "design": design,
        "margin": f"{found.margin:g}, {when(key, found)}",
    }


def checks(study, key: dict, facts: dict, cues) -> Section:
    table = integrity(study, key)
    section = Section("Integrity").text(f"Blinding: {facts['blinding']}")
    for name, what, rows in (("integrity", "checks of key, log and orders", table),
                             ("side_channels", "checks for side channels", cues.channels)):
        bad = int((~rows.ok).sum())
        section.text(f"{len(rows)} {what}: " + (f"{bad} FAILED. Weigh every result by that." if bad else "all hold."))
        section.table(name, words(rows.assign(ok=np.where(rows.ok, "yes", "NO"))), folded="" if bad else "which")
    return section


def flow(study, found: Analysis, facts: dict) -> Section:
    section = Section("Flow").text(
        f"{facts['invited']} invited, {facts['withdrawn']} withdrawn, {facts['complete']} complete, "
        f"{facts['n_readers']} analysed. Answers of the practice are in no result; those to repeated images serve "
        "agreement within readers only.")
    section.table("flow", words(study.status().drop(columns=["label", "last", "simulated"])))
    if found.leaning:
        section.text(f"{', '.join(found.leaning)} gave one answer in {LEANING:.0%} of the images or more. No test of "
                     "equivalence with chance can rest on such readers.")
    always, share = found.always if found.protocol.buttons else ("", np.nan)
    section.table("flags", words(found.flags), "Flags. A reader who always gives one answer, misses attention items or "
                  "answers faster than an image can be seen is named here, and is not left out.")
    if found.protocol.buttons and not found.protocol.pair and share > 0.5:
        section.text(f"Always answering '{always}' would be right in {share:.1%} of the images.")
    return section


def readers(found: Analysis) -> Section:
    section = Section("Each reader").text("Estimates with 95 % intervals over images.")
    if found.protocol.pair:
        section.text("d' is the square root of 2 times z of the accuracy. Half of the right answers are 'left'.")
    elif found.protocol.buttons:
        section.text("A hit is a synthetic image called synthetic. A criterion above 0 leans to 'real'. d' and "
                     "criterion have no finite estimate if a class was always, or never, called synthetic.")
    else:
        section.text("The area is the share of pairs in which the synthetic image was rated below the real one.")
    balanced = not found.protocol.pair and abs(found.always[1] - 0.5) < 1e-9     # then both accuracies are one
    shown = set()
    for method in [ALL, *(found.methods if len(found.methods) > 1 else [])]:
        own = found.estimates[found.estimates.method == method]
        if balanced and method == ALL and found.protocol.buttons:
            own = own[own.measure != "balanced accuracy"]
        shown |= set(own.measure)
        if len(own):
            section.table(f"readers_{method}", spread(own, "reader", "measure"),
                          "All images" if method == ALL else f"Pairs with {method}" if found.protocol.pair
                          else f"Images of {method}, with all real ones", whole=own)
    notes = sorted({f"{row.measure}: {row.note}" for row in found.estimates.itertuples()
                    if row.measure in shown and row.note and " of " not in row.note and np.isfinite(row.value)})
    return section.text("How: " + "; ".join(notes) + "; shares: Wilson's score interval.") if notes else section


def methods(found: Analysis) -> Section:
    section = Section("Each method")
    if found.by_method.empty:
        return section.text("Fewer than 5 images of a kind were answered by all readers: methods are not estimated.")
    who = "readers and images" if len(found.complete[0]) > 1 else "images, for this reader"
    section.text(f"The figure of merit is the {found.merit}; 0.5 is chance. Intervals are 95 % intervals over {who} "
                 "(Obuchowski and Rockette 1995, Hillis 2007). The test of equivalence asks whether the 90 % interval, "
                 "narrower than the 95 % one, lies within the margin: two one-sided tests of 5 %, not corrected for "
                 "the number of methods.")
    section.table("methods", words(merged(found.by_method)), whole=found.by_method)
    measure = "accuracy" if found.protocol.pair else "balanced accuracy" if found.protocol.buttons else "area"
    estimates = found.estimates if len(found.methods) > 1 else found.estimates.assign(method=found.methods[0])
    if min(len(found.readers), len(found.methods) + 1) > 2 and found.protocol.buttons:
        section.figure("radar", figures.radar(estimates, measure, found.methods, found.readers),
                       f"{measure.capitalize()} of each reader (an axis) for each method (a line), as in figure 6 (b) "
                       "of Liang et al. 2020; dashed: chance. It shows no uncertainty: read it with the next figure.")
    picture = figures.dots(estimates, measure, found.methods, found.readers, found.by_method, found.margin)
    section.figure("dots", picture,
                   f"Dots: {measure} of each reader; diamond: {found.merit}, over readers; each with its 95 % "
                   f"interval. Dashed: chance. Shaded: the margin of equivalence, {found.margin:g}.")
    if found.rated:
        section.figure("roc", figures.roc(found.main, found.methods),
                       "ROC curves from the steps of confidence, real images against those of a method. A step is a "
                       "threshold: an answer counts as 'synthetic' from there on. Thick: the answers of all readers "
                       "together; it may lie below their mean where readers use the steps differently. Dashed: chance.")
    return section


def agreed(found: Analysis) -> Section:
    section = Section("Agreement")
    if not found.between.empty:
        section.text(f"Between {len(found.complete[0])} readers, on images that all of them answered. Kappa and alpha "
                     "fall to 0 where nearly all answers are of one kind, though readers agree; AC1 does not. "
                     "ICC(A,1): absolute agreement of single readers; ICC(C,1): apart from their mean level; k: of the "
                     "mean of all readers.")
        section.table("agreement_between", merged(found.between))
    if not found.within.empty:
        section.text(f"Within readers, on images shown twice at least {DISTANCE} trials apart.")
        section.table("agreement_within", merged(found.within))
    return section


def several(found: Analysis) -> Section:
    section = Section("Methods compared over readers")
    if found.comparison is None or len(found.methods) < 2:
        return section
    section.text("Do methods differ? Obuchowski, Rockette and Hillis. 'Random readers' speaks for readers like these, "
                 "'fixed readers' for these alone. With fewer than about five readers the first has little power.")
    section.table("mrmc_tests", words(found.comparison.tests))
    gaps = found.comparison.differences
    named = gaps.assign(a=[found.methods[i] for i in gaps.a], b=[found.methods[i] for i in gaps.b])
    named["p (Holm)"] = gaps.groupby("analysis").p.transform(holm)
    section.table("mrmc_differences", merged(named, "difference"), "Differences; Holm's p-values are corrected for the "
                  "number of pairs of methods.")
    parts = pd.DataFrame([found.comparison.components]).rename(columns=lambda name: name.replace("_", " "))
    return section.table("mrmc_components", parts.map(lambda x: f"{x:.5f}"), "Components for planning the next study.",
                         whole=parts)


def equivalent(found: Analysis, set_when: str) -> Section:
    section = Section("Equivalence with chance")
    if not found.protocol.buttons:
        return section
    need = planner.images_for_one_reader(margin=found.margin) if found.margin >= 0.02 else None
    section.text(f"Two one-sided tests that accuracy lies within {found.margin:g} of 0.5, a margin {set_when}; a p-value "
                 "below 0.05 shows it. That a result 'is not significantly different from chance' shows nothing of the "
                 f"kind. One reader needs {need} images for this margin with a power of 0.8.")
    if found.equivalence.empty:
        section.text("Real and synthetic images were not equally many, so each reader's accuracy is no measure of "
                     "telling them apart; see Each method.")
    return section.table("equivalence", words(found.equivalence),
                         "Each reader: exact binomial tests, not corrected for the number of readers.")


def qualities(study, key: dict, found: Analysis) -> Section:
    section = Section("Quality")
    if not found.protocol.quality or found.protocol.pair:
        return section
    table = quality.summary(found.main)
    shown = table[["method", "ratings", "images", "mean", "lower quartile", "median", "upper quartile"]]
    section.table("quality", words(shown), "Ratings, 1 poor to 5 excellent.", whole=table)
    section.figure("quality", figures.scores(table, found.protocol.quality), "Shares of the ratings.")
    mean = found.main[found.main.truth == SYNTHETIC].groupby("case").quality.mean().astype(float)
    real = [name for name, item in key["stimuli"].items() if item["phase"] == "main" and item["truth"] == REAL]
    if len(mean) < quality.LEAST or not real:
        return section
    rated, real = (np.stack([study.pack[name] for name in names])[:, None] for names in (mean.index, real))
    measures = quality.measures(rated, real)
    method = np.array([key["stimuli"][name]["method"] for name in mean.index])
    table, n = quality.correlations(mean.to_numpy(), measures, method), len(mean)
    above, kept = int((table.r.abs() > 0.2).sum()), int((table.q < 0.05).sum())
    section.text(
        f"Does a measure of an image go with its mean quality? {len(table)} measures, {n} synthetic images: {above} "
        f"correlate with |r| above 0.2, where {len(table) * quality.by_chance(n):.0f} would among measures that have "
        f"nothing to do with quality. With the false-discovery rate held at 5 % (Benjamini and Hochberg) {kept} "
        "remain. Correlations are within methods: over all of them, whatever tells methods apart would go with quality. "
        "A Frechet distance belongs to a set of images and cannot be in this table.")
    section.table("quality_measures", words(table.head(10)),
                  "The ten least p-values of Spearman's rho; q is corrected.", whole=table)
    return section.figure("quality_measures", figures.regressions(mean, measures, BAUTISTA, table, method),
                          "The bins of figure 2 of Bautista et al. 2022, counted from 0; the paper does not say how it "
                          "counts.")


def time(found: Analysis) -> Section:
    section = Section("Learning, fatigue and response times")
    if found.protocol.buttons and found.blocks.block.nunique() > 1:
        section.figure("blocks", figures.blocks(found.blocks), "Share of right answers by block.")
        odds = found.learning
        section.text(f"Odds of a right answer, last against first trial: {odds:.2f}. Above 1 is learning, below 1 fatigue. "
                     f"{odds.note}.")
    if found.times.empty:
        return section.text("Response times were not taken.") if not section.blocks else section
    return section.table("times", words(found.times),
                         "Response times, measured in the browser from the image's first frame.")


def cue(cues) -> Section:
    section = Section("Cues in the pixels").text(
        "How well one number of an image tells real from synthetic: 0.5 not at all, 1 always. These are no leaks but "
        "what the images are; readers may use them, or not see them at all.")
    for row in cues.together.itertuples():
        section.text(f"{row.method}: all cues together, cross-validated over {row.n} images, reach "
                     f"{Score('area', row.area, row.low, row.high):.2f}.")
    shown = merged(cues.notable, "area")[["method", "cue", "area", "advice"]]
    section.table("cues", shown, f"Areas of {NOTABLE} and more, with the false-discovery rate over all cues below 5 %.",
                  whole=cues.cues)
    if len(cues.copies):
        section.table("copies", words(cues.copies),
                      "Synthetic images that nearly equal a real one of the study: memorised.")
    return section


def limits(study, key: dict, found: Analysis, facts: dict) -> Section:
    lines = ["Telling images apart says nothing of their diversity: a generator that makes one perfect image passes "
             "(Eur. Radiol. Exp. 2023;7:31).",
             "Readers judged single still images of fixed size, away from the clinic: nothing here says that images "
             "are fit for diagnosis or training."]
    if facts["simulated"]:
        lines.insert(0, "The readers are simulated. No person looked at an image; the numbers show how the analysis "
                        "works.")
    if facts["n_readers"] < 5:
        lines.append(f"{plural(facts['n_readers'], 'reader')}: results speak for them, hardly for readers at large.")
    if study.about["text_acknowledged"]:
        lines.append("Images that seem to hold burnt-in text or callipers were admitted by the organiser.")
    if found.margin != key["design"].get("margin"):
        lines.append(f"The margin of equivalence was {when(key, found)}. Tests with it are exploratory.")
    share = found.always[1]
    if found.protocol.buttons and not found.protocol.pair and share > 0.55:
        lines.append(f"Real and synthetic images are not equally many: accuracy must be held against {share:.0%}, not "
                     "50 %.")
    if found.complete[1] and len(found.complete[1]) < found.main.case.nunique():
        lines.append(f"Methods were compared on {len(found.complete[1])} of {found.main.case.nunique()} images: those "
                     f"that all of {len(found.complete[0])} readers answered.")
    preset = PRESETS.get(study.about["preset"])
    if preset:
        lines.append(f"The design follows {preset.source}. Its weaknesses:")
        lines += [f"{weakness[0].upper()}{weakness[1:]}." for weakness in preset.weaknesses]
    return Section("Limits").items(lines)


# Tables to read

def plural(n: int, name: str) -> str:
    return f"{n} {name}{'' if n == 1 else 's'}"


def number(value) -> str:
    """A cell: p-values and other floats with sense, counts as they are, nothing for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (float, np.floating)):
        return "inf" if np.isinf(value) else "< 0.001" if 0 < abs(value) < 0.0005 else f"{value + 0.0:.3g}"
    return str(value)


def words(table: pd.DataFrame) -> pd.DataFrame:
    """All cells as text."""
    return table.astype(object).map(number)


def merged(table: pd.DataFrame, value: str = "value") -> pd.DataFrame:
    """Value, low and high in one column, 0.64 (0.55 to 0.72)."""
    cells = [f"{Score(value, *row):.2f}" for row in zip(table[value], table.low, table.high)]
    return words(table.assign(**{value: cells}).drop(columns=["low", "high"]))


def spread(table: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    """Estimates as a table of rows by columns."""
    cells = table.assign(cell=[f"{Score('', *row):.2f}" for row in zip(table.value, table.low, table.high)])
    order = list(dict.fromkeys(table[columns]))
    return cells.pivot(index=rows, columns=columns, values="cell")[order].reset_index()


# Formats

def as_html(heading: dict, sections: list[Section]) -> str:
    return environment().get_template("study.html.j2").render(**heading, sections=sections)


def as_markdown(heading: dict, sections: list[Section]) -> str:
    lines = [f"# {heading['title']}", ""]
    if heading["simulated"]:
        lines += ["**SIMULATED READERS. No person looked at an image.**", ""]
    if heading["phantom"]:
        lines += ["**PHANTOMS. The images called real are simulated ultrasound.**", ""]
    lines += [f"- {line}" for line in heading["lead"]] + [""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for kind, content, caption in section.blocks:
            if kind == "text":
                lines += [content, ""]
            elif kind == "items":
                lines += [f"- {line}" for line in content] + [""]
            elif kind == "figure":
                lines += [f"![{caption}](figures/{content[0]}.png)", "", f"*{caption}*", ""]
            else:
                table = content[1]
                lines += ["| " + " | ".join(map(str, table.columns)) + " |", "|" + " --- |" * len(table.columns)]
                lines += ["| " + " | ".join(str(x).replace("|", "/") for x in row) + " |"
                          for row in table.itertuples(index=False)]
                lines += ["", *([f"*{caption}*", ""] if caption else [])]
    return "\n".join(lines)
