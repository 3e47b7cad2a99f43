"""A run's generator as a folder to share: weights, config and samples, with a card that says what they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..data.atomic import write_text, written_aside
from ..data.files import write_sheet
from ..data.pictures import contact_sheet
from ..data.reading import read_json
from ..data.sources import SOURCES
from ..models import store
from ..models.gan import moved
from ..pages import environment as templates
from ..score import Score, read
from .record import environment

SHEET = 25      # images in samples.png


def export(
    run,                                 # a Run
    folder: Path,
    metrics: list[Score | Mapping],
    limits: str,
    discriminator: bool,
) -> Path:
    """See Run.export. Where and with what it was trained is what its run.json says, not where it is exported."""
    path = run.folder / "run.json"
    record = read_json(path) if path.is_file() else {}
    record = record if record.get("steps") == run.step else {}
    trained = {key: record[key] for key in ("device", "seconds", "settings", "versions") if key in record}
    facts = run.facts() | {"versions": environment()} | trained
    metrics = [*record.get("metrics", []), *metrics]
    if stage1 := facts["config"].get("stage1"):
        shipped = getattr(run.gan, "shipped", None)     # by a name that no folder beside a user hides
        facts["config"] = facts["config"] | {"stage1": f"generator:{store.place(stage1).name}" if shipped
                                             else "among the weights of this folder"}
    if folder.exists() and any(folder.iterdir()):
        there = store.about(folder) if (folder / store.WEIGHTS).is_file() else {}
        if any(there.get(key) != facts[key] for key in ("model", "config", "seed", "data", "data_sha256")):
            raise FileExistsError(f"{folder} holds something else: name another folder for the exported generator")
    simulated = all(part["source"] == "phantom" for part in domains(facts["trained_on"], "images").values())
    # The sheet shows what those see who load it on a processor, in float32: a GPU draws other noise from a seed.
    loaded = type(run.gan).of_state(run.gan.config, moved(run.gan.sampling_state(), torch.device("cpu")), "cpu")
    with written_aside(folder) as part:
        facts = store.write(run.gan, part, facts, simulated, discriminator)
        write_sheet(part / "samples.png", contact_sheet(loaded.sample(SHEET, 0)))
        write_text(part / "card.md", card(folder.name, facts, metrics, limits, simulated, store.size_mb(part)))
    return folder


def card(
    name: str,
    facts: dict[str, Any],               # of config.json
    metrics: list[Score | Mapping],
    limits: str,                         # what a user must know beside what is true of every generator
    simulated: bool,                     # all training images
    size_mb: float,
) -> str:
    """card.md: what the generator is, what it was trained on, how good it is, how it is used, what it is not."""
    cards, hashes = (domains(facts[key]) for key in ("data", "data_sha256"))
    parts = [about | {"domain": domain and f"{domain}: ", "card": cards[domain], "sha256": hashes[domain],
                      "licence": licence(cards[domain])}
             for domain, about in domains(facts["trained_on"], "images").items()]
    scores = [({}, metric) if isinstance(metric, Score) else read(metric) for metric in metrics]
    return templates(escape=False).get_template("card.md.j2").render(
        name=name, facts=facts, size=store.size_of_images(facts), parts=parts, scores=scores, limits=limits,
        simulated=simulated, size_mb=size_mb, nearness=any("emorisation" in score.name for _, score in scores))


def domains(fact: Any, key: str = "") -> dict[str, Any]:
    """What a run says of each of its domains; of one without a name where there is one, with `key` if it is a dict."""
    return {"": fact} if not isinstance(fact, dict) or key in fact else fact


def licence(data: str) -> str:
    """That of a data set by the name of its card."""
    if data.startswith("phantom"):
        return "Apache-2.0, simulated by this project"
    return SOURCES[data].licence if data in SOURCES else "not known here"
