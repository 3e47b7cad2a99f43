"""Every reader has a data card with the same headings, and its counts agree with the data where they are."""

import re
from pathlib import Path

import pytest

from uslab import generators
from uslab.data import READERS, load
from uslab.data.mmotu import read_split
from uslab.data.sources import SOURCES
from uslab.data.weights import WEIGHTS
from uslab.phantom import SCENES

CARDS = Path(__file__).parents[1] / "data_cards"
HEADINGS = ["What it is", "Who made it", "Licence", "How to get it", "Counts", "Layout", "Patient grouping",
            "Splits used here", "Known faults", "What the paper used", "What stands in for it here"]


def counts(name: str) -> dict[str, int]:
    """The card's table of counts."""
    section = (CARDS / f"{name}.md").read_text().split("## Counts")[1].split("\n## ")[0]
    return {what: int(number) for what, number in re.findall(r"^\| (.+?) \| (\d+) \|$", section, re.MULTILINE)}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_has_a_card_with_the_same_headings(name):
    text = (CARDS / f"{name}.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert "Not for diagnosis" in text
    for file in SOURCES[name].files:  # what the command fetches is what the card describes
        assert file.name in text and file.digest.partition(":")[2] in text


@pytest.mark.parametrize("scene", [*SCENES, "abdomen"])
def test_every_phantom_has_a_card_with_them_too(scene):
    text = (CARDS / f"phantom_{scene}.md").read_text()
    found = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in found if heading in HEADINGS] == HEADINGS
    assert "Not for diagnosis" in text and (CARDS / f"phantom_{scene}.jpg").is_file()


def test_the_counts_add_up():
    busi, mmotu, nafld = counts("busi"), counts("mmotu"), counts("nafld")
    assert busi.pop("images") == sum(busi.values()) == 780
    assert mmotu.pop("images") == mmotu.pop("train") + mmotu.pop("val") == sum(mmotu.values()) == 1469
    assert nafld["healthy"] + nafld["fatty"] == nafld["images"] == 10 * nafld["patients"]


def present(name: str, root: Path) -> dict[str, int]:
    """The same counts of the data on disk, without the slow part of reading where it can be helped."""
    if name == "busi":
        base = root / "Dataset_BUSI_with_GT"
        found = {kind.name: sum("_mask" not in path.name for path in kind.iterdir()) for kind in base.iterdir()}
        return {"images": sum(found.values()), **found}
    if name == "mmotu":
        from uslab.data.mmotu import CLASSES

        splits = {split: read_split(root / "OTU_2d", split) for split in ("train", "val")}
        labels = [label for rows in splits.values() for label in rows.label]
        return {"images": len(labels), **{split: len(rows) for split, rows in splits.items()},
                **{kind: labels.count(i) for i, kind in enumerate(CLASSES)}}
    if name == "hc18":
        from uslab.data.hc18 import read_table

        files = read_table(root).file
        return {"images": len(files), "exams": files.str.split("_").str[0].nunique()}
    if name == "nafld":
        images = load(name, root, 64)
        return {"patients": len(images.group_names)}
    return {"cases": len(load(name, root))}


@pytest.mark.parametrize("name", ["busi", "ct", "hc18", "mmotu", "nafld"])
def test_the_counts_agree_with_the_data(real_data, name):
    """The whole download has exactly these counts. A reduced copy has no more of anything, and the same things."""
    expected, found = counts(name), present(name, real_data / name)
    assert set(found) <= set(expected)
    if found.get("images", found.get("cases")) == expected.get("images", expected.get("cases")):
        assert found == {what: expected[what] for what in found}
    else:
        assert all(0 < found[what] <= expected[what] for what in found)
        if "images" in found:  # what was left out was left out evenly
            share = found["images"] / expected["images"]
            assert all(abs(found[what] / expected[what] - share) < 0.1 for what in found)


def test_every_set_weight_and_generator_has_a_licence_in_one_table():
    table = (CARDS.parent / "docs" / "licences.md").read_text().splitlines()
    for kind, known in (("data set", SOURCES), ("weights", WEIGHTS)):
        for name, source in known.items():
            rows = [row for row in table if row.startswith(f"| {kind} `{name}`")]
            assert len(rows) == 1 and f"| {source.licence} |" in rows[0], name
    listed = {row.split("`")[1] for row in table if row.startswith("| generator ")}
    assert listed == set(generators.names())
