"""The failure museum: each strip has a recipe, a row in its catalogue, and a notebook that shows it."""

import runpy
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))     # as for a script that is run there
TOOL = runpy.run_path(str(ROOT / "tools" / "make_museum.py"))
MUSEUM = ROOT / "notebooks" / "museum"


def test_each_recipe_hangs_and_is_shown():
    strips = {path.stem for path in MUSEUM.glob("*.png")}
    assert strips == set(TOOL["EXHIBITS"]) and len(strips) >= 4
    assert (MUSEUM / "README.md").read_text() == TOOL["catalogue"](), "run: python tools/make_museum.py"
    notebooks = " ".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert all(f"](museum/{name}.png)" in notebooks for name in strips)
    for path in MUSEUM.glob("*.png"):
        assert path.stat().st_size < 150_000 and min(Image.open(path).size) > 100


def test_what_hides_stays_hidden_and_only_what_is_judged_has_a_judge():
    """G changes no pixel by more than four grey levels; each of the networks that there are learns in a step."""
    torch, nn, hiding = TOOL["torch"], TOOL["nn"], TOOL["Hiding"]
    images = torch.randint(0, 256, (8, 1, 40, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for judge, networks in ((None, "GF"), (nn.Identity(), "GFD")):
        one = hiding(0, judge)
        assert hasattr(one, "D") == ("D" in networks)
        before = {name: [value.clone() for value in getattr(one, name).parameters()] for name in networks}
        one.step(images[:4], images[4:])
        assert all(any((a != b).any() for a, b in zip(old, getattr(one, name).parameters()))
                   for name, old in before.items())
        changed = 127.5 * (one.hide(images[:4], images[4:]) + 1) - images[4:]
        assert 0 < changed.abs().max() <= 4.001


def test_a_strip_holds_each_row_and_moment():
    """Two rows of two moments: as wide as the moments, as high as the rows with their words, no tile left white."""
    torch = TOOL["torch"]
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    found = TOOL["strip"]({"a": [("step 1", images), ("step 2", images)], "b": [("step 1", images)] * 2}, 2, 1.0)
    assert found.size == (2 * 16 + 6, 2 * (16 + 38))
    for left, top in ((0, 32), (22, 32), (0, 86), (22, 86)):
        assert found.crop((left, top, left + 16, top + 16)).getextrema() == (0, 0)
