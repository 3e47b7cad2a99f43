"""The shipped generators: each is rebuilt from its files, gives the images of its own sheet, and is small."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uslab import generators, models
from uslab.data.pictures import contact_sheet
from uslab.models import store
from uslab.phantom import SCENES
from uslab.training.export import domains

CARDS = Path(__file__).parents[1] / "data_cards"


def test_they_fit_the_package():
    sizes = {name: store.size_mb(generators.folder(name)) for name in generators.names()}
    assert sizes and max(sizes.values()) <= 8 and sum(sizes.values()) <= 40


@pytest.mark.parametrize("name", generators.names())
def test_a_shipped_generator_draws_its_own_sheet(name):
    images = models.load(name, "cpu").sample(25, 0)
    height, width = images.shape[2:]
    stated = store.size_of_images(store.about(name))
    assert stated == (str(width) if width == height else f"{width}x{height}")
    assert f"images of {stated} pixels" in (generators.folder(name) / "card.md").read_text()
    sheet = np.asarray(Image.open(generators.folder(name) / "samples.png").convert("L")).astype(float)
    gaps = abs(contact_sheet(images).astype(float) - sheet)
    assert gaps.mean() < 0.5 and gaps.max() <= 8        # another processor rounds otherwise


@pytest.mark.slow
@pytest.mark.parametrize("name", generators.names())
def test_its_recipe_makes_what_is_shipped(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    recipes = importlib.import_module("train_generators")
    model, config, data, _ = recipes.RECIPES[name](recipes.Source(tmp_path, recipes.HELD_OUT, 8))
    facts = store.about(name)
    shipped = type(config)(**facts["config"])       # what an older one does not name has its default
    if hasattr(config, "epoch"):                    # as long as its set, which is short here
        config = dataclasses.replace(config, epoch=shipped.epoch)
    assert model.__name__ == facts["model"] and config == shipped


@pytest.mark.parametrize("name", generators.names())
def test_its_card_leads_to_cards_that_are_there(name):
    parts = re.findall(r"see data_cards/([^;\n]+)", (generators.folder(name) / "card.md").read_text())
    assert parts and all((CARDS / card).is_file() for part in parts for card in part.split(", "))


@pytest.mark.parametrize("name", generators.names())
def test_its_card_and_config_say_what_it_is(name):
    facts = json.loads((generators.folder(name) / "config.json").read_text())
    card = (generators.folder(name) / "card.md").read_text()
    known = {f"phantom_{scene}" for scene in (*SCENES, "abdomen")}
    assert all(known.issuperset(data.split(", ")) for data in domains(facts["data"]).values())
    assert all(part["source"] == "phantom" for part in domains(facts["trained_on"], "images").values())
    assert all(digest in card for digest in domains(facts["data_sha256"]).values())
    assert f"{facts['images_seen']} images seen" in card and "| FD-lite0 |" in card and "| floor: FD-lite0 |" in card
