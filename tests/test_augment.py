"""ADA and DiffAugment against the reference implementations, number by number."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from uslab.models import augment, diffaug, warp
from uslab.models.augment import SETS, Controller, Operations

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parent / "golden"


def load(name):
    found = dict(np.load(GOLDEN / f"{name}.npz"))
    cases = json.loads(str(found.pop("meta_json")))
    return {key: torch.from_numpy(value) for key, value in found.items()}, [c for c in cases if c["i"] is not None]


ADA, ADA_CASES = load("ada_augment_c1")
DIFF, DIFF_CASES = load("diffaug")
OPERATIONS = json.loads((GOLDEN / "ada_fraction_changed_p0.3.json").read_text())   # share of images that each changes
# The lowest brightness is minus infinity.
ADA_CASES = [c for c in ADA_CASES if (c["spec"], c["debug_percentile"]) != ("brightness", 0.0)]


def at_percentile(asked: dict, q: float, n: int = 2) -> dict:
    """The reference's debug mode: every random number at the percentile q of its distribution, in every image."""
    normal = torch.erfinv(torch.tensor(2 * q - 1)).item()
    value = {
        "xflip": math.floor(q * 2), "rotate90": math.floor(q * 4), "xint": [(2 * q - 1) * 0.125] * 2,
        "scale": 2 ** (normal * 0.2), "rotate_before": (2 * q - 1) * math.pi, "aniso": 2 ** (normal * 0.2),
        "rotate_after": 0.0, "xfrac": [normal * 0.125] * 2, "brightness": normal * 0.2, "contrast": 2 ** (normal * 0.5),
        "lumaflip": math.floor(q * 2), "imgfilter": [2.0 ** normal] * 4, "cutout": 0.5}
    names = {"rotate_before": "rotate", "rotate_after": "rotate"}
    found = {name: torch.tensor([value[name]] * n).float() for name in value if names.get(name, name) in asked}
    return found | ({"centre": torch.full((n, 2), q)} if "cutout" in asked else {})


@pytest.mark.slow
@pytest.mark.parametrize("case", ADA_CASES, ids=lambda case: f"{case['spec']}-{case['debug_percentile']}")
def test_ada_matches_the_reference(case):
    numbers = at_percentile(case["kwargs"], case["debug_percentile"])
    images = augment.apply(ADA["x"], numbers)
    torch.testing.assert_close(images, ADA[f"y/{case['i']}"], rtol=1e-5, atol=2e-5)
    # Half and quarter turns put the corners on whole pixels, and round-off decides about a pixel of padding more.
    whole = case["debug_percentile"] in (0.0, 0.25, 0.5, 0.75) and case["kwargs"].keys() & {"rotate", "rotate90"}
    if case["affine_grid_size"] and not whole:
        theta, _ = warp.sampling(warp.matrix(numbers, 32, 32), 32, 32)
        torch.testing.assert_close(theta, ADA[f"theta/{case['i']}"], rtol=1e-5, atol=1e-5)


def test_the_low_passes_match_the_reference():
    torch.testing.assert_close(warp.SYM6, ADA["Hz_geom"], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(augment.BANDS, ADA["Hz_fbank"], rtol=1e-6, atol=1e-7)


def test_the_named_sets_are_those_of_the_reference():
    cases = {case["spec"]: case["kwargs"] for case in ADA_CASES}
    for name in ("bg", "bgc"):
        on = {key for key in OPERATIONS if getattr(SETS[name], key) == 1.0}
        assert on == set(cases[name]) - {"hue", "saturation"}, "which do nothing on one channel"
    ours = SETS["ultrasound"]
    assert ours.rotate90 == ours.lumaflip == 0 and ours.rotate_max * 180 == pytest.approx(10)


@pytest.mark.parametrize("name", OPERATIONS)
def test_ada_changes_as_many_images_as_the_reference(name):
    """Both shares are of 1000 images, so their difference has a standard deviation of at most 2.2 percentage points."""
    torch.manual_seed(0)
    images = ADA["x"][:1].expand(1000, 1, 32, 32)
    changed = (augment.ada(images, Operations(**{name: 1.0}), 0.3) - images).abs().amax((1, 2, 3)) > 1e-3
    assert changed.float().mean() == pytest.approx(OPERATIONS[name], abs=0.065)


def test_p_zero_changes_nothing_and_the_set_limits_what_happens():
    images = ADA["x"]
    assert augment.ada(images, SETS["bgc"], 0.0) is images
    assert augment.draw(2, SETS["ultrasound"], 0.5).keys() == {
        "xflip", "xint", "scale", "rotate_before", "aniso", "rotate_after", "xfrac", "brightness", "contrast"}
    angles = torch.cat([augment.draw(50, SETS["ultrasound"], 1.0)["rotate_before"] for _ in range(20)])
    assert 9 < angles.rad2deg().abs().max() <= 10.001


def test_an_identity_is_exact():
    """sym6 is orthogonal: raising and lowering the resolution without a movement gives the image back."""
    images = torch.randn(3, 1, 20, 28)
    torch.testing.assert_close(warp.warp(images, torch.eye(3).expand(3, 3, 3)), images, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_the_warp_is_linear_and_its_second_gradient_is_right():
    """R1 goes through the augmentation: the gradient of a function of the gradient must exist and be exact."""
    torch.manual_seed(1)
    inverse = warp.matrix(augment.draw(2, SETS["bg"], 1.0), 16, 16)
    images = torch.randn(2, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    theta, _ = warp.sampling(inverse, 16, 16)
    grid = F.affine_grid(theta.double(), [2, 1, 20, 24], align_corners=False)
    assert torch.autograd.gradcheck(lambda x: warp.Resample.apply(x, grid), images)
    assert torch.autograd.gradgradcheck(lambda x: warp.Resample.apply(x, grid).square(), images)
    gradient, = torch.autograd.grad(warp.warp(images, inverse).square().sum(), images, create_graph=True)
    gradient.square().sum().backward()
    assert images.grad.isfinite().all() and images.grad.abs().sum() > 0


@pytest.mark.parametrize("case", DIFF_CASES, ids=lambda case: f"{case['x']}-{case['policy']}")
def test_diffaugment_matches_the_reference(case):
    images, i = DIFF[f"x/{case['x']}"], case["i"]
    draws = [DIFF[f"draw/{i}/{j}"] for j in range(case["n_draws"])]
    for operation in case["policy"].split(","):
        if operation == "color":
            images = diffaug.colour(images, draws.pop(0) - 0.5, draws.pop(0) * 2, draws.pop(0) + 0.5)
        elif operation == "translation":
            images = diffaug.translate(images, draws.pop(0).flatten(), draws.pop(0).flatten(), 0.0)
        else:
            images = diffaug.cut_out(images, draws.pop(0).flatten(), draws.pop(0).flatten(), 0.0)
    assert not draws
    torch.testing.assert_close(images, DIFF[f"y/{i}"], rtol=1e-5, atol=1e-6)


def test_diffaugment_draws_from_the_whole_range():
    for size, shift in DIFF["translation_shift_for_size"]:
        assert diffaug.largest_shift(int(size)) == shift
    for size, holes in DIFF["cutout_size_for_size"]:
        assert diffaug.hole(int(size)) == holes
    torch.manual_seed(0)
    ramp = torch.arange(1.0, 17).view(1, 1, 1, 16).expand(400, 1, 16, 16)
    moved = diffaug.diff_augment(ramp, "translation", "black")
    assert set((moved[:, 0, 8, 8] - 9).int().tolist()) <= {-2, -1, 0, 1, 2} | {-10}, "within an eighth, or filled"
    assert {-2, -1, 0, 1, 2} <= set((moved[:, 0, 8, 8] - 9).int().tolist())
    assert moved.min() == -1 and diffaug.diff_augment(ramp, "translation", "grey").min() == 0
    holes = (diffaug.diff_augment(ramp, "cutout", "black") == -1).sum((1, 2, 3))
    assert holes.max() == 64 and holes.min() == 16, "whole in the middle, a quarter in a corner"


def test_colour_lets_the_generator_learn():
    images = torch.rand(3, 1, 16, 16, requires_grad=True)
    torch.manual_seed(0)
    diffaug.diff_augment(images, "colour,translation,cutout").sum().backward()
    assert images.grad.abs().sum() > 0


def test_the_controller_follows_the_reference():
    trace = json.loads((GOLDEN / "sg2_schedules.json").read_text())["ada"]
    controller = Controller(target=trace["target"], kimg=trace["ada_kimg"])
    for mean_sign, p in trace["trace_mean_sign_then_p"]:
        # 16 signs with the mean of the trace, in four batches of four.
        signs = torch.ones(16)
        signs[:round((1 - mean_sign) * 8)] = -1
        for logits in signs.split(4):
            controller.update((logits * 3).sign().sum(), len(logits))
        assert controller.r == pytest.approx(mean_sign)
        assert controller.p == pytest.approx(p, abs=1e-12)


def test_p_stays_within_its_limits():
    controller = Controller(kimg=0.01)
    for sign, limit in ((1, 0.8), (-1, 0.0)):
        for _ in range(80):
            controller.update(sign * torch.tensor(4.0), 4)
        assert controller.p == limit and controller.r == sign
    still = Controller(p=1.0, moves=False)
    for _ in range(8):
        still.update(torch.tensor(4.0), 4)
    assert still.p == 1.0 and still.r == 1.0


def test_a_restored_controller_goes_on_within_a_window():
    torch.manual_seed(0)
    logits = torch.randn(30, 4) + 1
    one, two = Controller(kimg=0.1), Controller(kimg=0.1)
    for batch in logits[:18]:
        one.update(batch.sign().sum(), 4)
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for batch in logits[18:]:
        one.update(batch.sign().sum(), 4), two.update(batch.sign().sum(), 4)
    assert one.state_dict() == two.state_dict() and one.p > 0
