"""A run's generator as a folder to share: weights, config and samples, with a card that says what they are."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import score
from ..data.files import write_sheet
from ..data.pictures import contact_sheet
from ..data.sources import SOURCES
from ..models import store
from ..score import Score
from .record import environment

SHEET = 25      # images in samples.png


def export(
    run,                                 # a Run
    folder: Path,
    metrics: Iterable[Score | Mapping],
    limits: str,
) -> Path:
    """See Run.export."""
    facts = run.facts() | {"versions": environment()}
    if facts["config"].get("stage1"):
        facts["config"] = facts["config"] | {"stage1": "among the weights of this folder"}
    if folder.exists() and any(folder.iterdir()):
        there = store.about(folder) if (folder / store.WEIGHTS).is_file() else {}
        if any(there.get(key) != facts[key] for key in ("model", "config", "seed", "data", "data_sha256")):
            raise FileExistsError(f"{folder} holds something else: name another folder for the exported generator")
    real = "phantom" not in str(facts["trained_on"])
    facts = store.write(run.gan, folder, facts, conditions=not real)
    write_sheet(folder / "samples.png", contact_sheet(run.gan.sample(SHEET, 0)))
    (folder / "card.md").write_text(card(folder.name, facts, list(metrics), limits, store.size_mb(folder)))
    return folder


def card(
    name: str,
    facts: dict[str, Any],               # of config.json
    metrics: list[Score | Mapping],
    limits: str,                         # what a user must know beside what is true of every generator
    size_mb: float,
) -> str:
    """card.md: what the generator is, what it was trained on, how good it is, how it is used, what it is not."""
    conditional = facts["model"] in ("CycleGAN", "PGSGAN")
    data = facts["data"] if isinstance(facts["data"], dict) else {"": facts["data"]}
    rows = [f"| {score.name} | {score.shown} | {score.interval or 'none'} | {score.n} | {score.note} |"
            for score in (metric if isinstance(metric, Score) else score_of(metric) for metric in metrics)]
    measures = ["| measure | value | 95 % interval | n | how |", "|---|---|---|---|---|", *rows] if rows else [
        "None were recorded: `uslab metrics REAL generator:" + name + "` measures it."]
    copies = ("The measure called Memorisation says how near its images lie to those it was trained on."
              if any("emorisation" in row for row in rows) else
              "How near its images lie to those it was trained on was not measured.")
    about = facts["trained_on"] if "images" not in facts["trained_on"] else {"": facts["trained_on"]}
    lines = [
        "---", f"license: {'apache-2.0' if all(map(is_phantom, data.values())) else 'other'}", "library_name: uslab",
        f"pipeline_tag: {'image-to-image' if conditional else 'unconditional-image-generation'}",
        f"tags: [gan, ultrasound, synthetic, {facts['model'].lower()}]", "---",
        f"# {name}", "",
        f"{facts['model']}, images of {facts['config']['size']} pixels, {facts['dtype']}, {size_mb:.1f} MB.", "",
        "![samples](samples.png)", "", "## Trained on", "",
        *(f"- {domain + ': ' if domain else ''}{part['images']} {part['source']} images of `{data[domain]}`"
          f"{classes_of(part)}; licence: {licence(data[domain])}; see "
          f"data_cards/{data[domain]}.md" for domain, part in about.items()),
        f"- data seed {facts['data_seed']}, SHA-256 {store.shown(facts, 'data_sha256')}", "", "## Training", "",
        f"{facts['images_seen']} images seen in {facts['steps']} steps and {facts['seconds'] / 3600:.2f} h on "
        f"{facts['device']}; seed {facts['seed']}; commit {facts['versions'].get('commit', 'not recorded')}; "
        f"torch {facts['versions'].get('torch', 'not recorded')}. Every hyperparameter stands in config.json.", "",
        "## Measures", "", *measures, "", copies, "", "## Use", "", "```python", "from uslab import models",
        f'images = models.load("{name}").sample(16, seed=0)     # uint8 (16, 1, H, W)', "```", "",
        f"`uslab generate {name} --n 100 --out images` writes single files with a table.", "", "## Limits", "",
        "Synthetic images, for teaching and research, not for diagnosis. They show what the training images show and "
        "nothing else, with the faults that the measures and samples.png let you see; two of them may be almost the same."
        + (" Its training images are simulated: real ultrasound is more varied." if any(
            map(is_phantom, data.values())) else ""), *([limits] if limits else []), ""]
    return "\n".join(lines)


def score_of(metric: Mapping) -> Score:
    """The score of an entry of run.json, with what tells it apart in its name."""
    beside, found = score.read(metric)
    return Score(", ".join(map(str, (*beside.values(), found.name))), found.value, found.low, found.high, found.n, found.note)


def classes_of(part: Mapping) -> str:
    """The classes among training images with their numbers, in words after a comma."""
    return "".join(f", {count} {name}" for name, count in part["classes"].items() if count)


def is_phantom(data: str) -> bool:
    return data.startswith("phantom")


def licence(data: str) -> str:
    """That of a data set by the name of its card."""
    if is_phantom(data):
        return "Apache-2.0, simulated by this project"
    return SOURCES[data].licence if data in SOURCES else "not known here"
