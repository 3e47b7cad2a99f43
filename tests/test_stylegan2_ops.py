"""StyleGAN2's operations against the reference implementation, in double precision."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from uslab.models import stylegan2_ops as ops

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parent / "golden"


def load(name):
    found = dict(np.load(GOLDEN / f"sg2_{name}.npz"))
    cases = json.loads(str(found.pop("meta_json")))
    found.pop("defaults_json", None)
    return {key: torch.from_numpy(value) for key, value in found.items()}, cases


RESAMPLE, RESAMPLE_CASES = load("upfirdn2d")
CONV, CONV_CASES = load("conv2d_resample")
MODULATED, MODULATED_CASES = load("modulated_conv2d")
ACT, ACT_CASES = load("bias_act")
SPREAD, SPREAD_CASES = load("minibatch_std")


def close(ours, golden):
    """The filters of the golden file are float32, all else is float64."""
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, golden, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("case", RESAMPLE_CASES, ids=lambda case: f"{case['i']}-{case['filter']}")
def test_upfirdn2d(case):
    f = None if case["filter"] == "none" else RESAMPLE[f"filter/{case['filter']}"]
    close(ops.upfirdn2d(RESAMPLE["x"], f, case["up"], case["down"], case["pad_x0x1y0y1"], case["flip_filter"],
                        case["gain"]), RESAMPLE[f"y/{case['i']}"])


def test_helpers_and_gradient():
    f = ops.blur_filter()
    torch.testing.assert_close(f, RESAMPLE["filter/f1331"], rtol=1e-6, atol=0)
    x, f = RESAMPLE["x"].clone().requires_grad_(), f.double()
    close(ops.upsample2d(x, f).detach(), RESAMPLE["helper_f1331/upsample2d"])
    close(ops.upsample2d(x, f, padding=1).detach(), RESAMPLE["helper_f1331/upsample2d_pad"])
    (ops.upsample2d(x, f) * RESAMPLE["grad/w"]).sum().backward()
    close(x.grad, RESAMPLE["grad/upsample2d_dx"])


@pytest.mark.parametrize("case", CONV_CASES, ids=lambda case: str(case["i"]))
def test_convolution_with_resampling(case):
    w = CONV[f"w{'g' if case['groups'] == 2 else ''}{case['ksize']}"]
    keys = ("up", "down", "padding", "groups", "flip_weight", "flip_filter")
    close(ops.conv2d_resample(CONV["x"], w, CONV["f"].double(), **{key: case[key] for key in keys}),
          CONV[f"y/{case['i']}"])


@pytest.mark.parametrize("case", MODULATED_CASES, ids=lambda case: str(case["i"]))
def test_modulated_convolution(case):
    noise = MODULATED[f"noise/{case['i']}"] if case["noise"] else None
    y = ops.modulated_conv2d(
        MODULATED["x"], MODULATED[f"w{case['ksize']}"], MODULATED["styles"], noise, case["up"], case["padding"],
        MODULATED["f"].double(), case["demodulate"], case["flip_weight"])
    close(y, MODULATED[f"y/{case['i']}"])


@pytest.mark.parametrize("case", ACT_CASES, ids=lambda case: f"{case['act']}-{case['i']}")
def test_bias_and_activation(case):
    keys = ("act", "alpha", "gain", "clamp")
    close(ops.bias_act(ACT["x"], ACT["b"], **{key: case[key] for key in keys}), ACT[f"y/{case['i']}"])


@pytest.mark.parametrize("case", SPREAD_CASES, ids=lambda case: str(case["i"]))
def test_minibatch_standard_deviation(case):
    i = case["i"]
    y = ops.minibatch_std(SPREAD[f"x/{i}"], case["group_size"], case["num_channels"])
    torch.testing.assert_close(y, SPREAD[f"y/{i}"], rtol=1e-5, atol=1e-6)


def test_latents_have_a_mean_square_of_one():
    close(ops.normalise_latent(SPREAD["norm2nd/x"]), SPREAD["norm2nd/y"])


@pytest.mark.slow
def test_modulation_can_be_differentiated_twice():
    """Path length regularisation needs the gradient of a gradient."""
    torch.manual_seed(0)
    x, w, s = torch.randn(2, 3, 4, 4).double(), torch.randn(4, 3, 3, 3).double(), torch.randn(2, 3).double()
    noise, f = torch.randn(2, 1, 8, 8).double(), ops.blur_filter().double()
    for value in (x, w, s):
        value.requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda *values: ops.modulated_conv2d(*values, noise, up=2, padding=1, f=f, flip_weight=False, gain=1.3),
        (x, w, s))


@pytest.mark.slow
@pytest.mark.parametrize("up, down, padding", [(1, 1, [1, 2, 1, 2]), (2, 1, [2, 1, 2, 1]), (1, 2, [1, 1, 1, 1]),
                                               (1, 2, [2, 1, 0, 3]), (2, 3, [-1, 2, 1, -1])])
def test_filters_can_be_differentiated_twice(up, down, padding):
    """Their gradient is written by hand."""
    torch.manual_seed(0)
    x, f = torch.randn(2, 2, 6, 7).double().requires_grad_(), torch.randn(3, 4).double()
    assert torch.autograd.gradcheck(lambda x: ops.upfirdn2d(x, f, up, down, padding), x)
    assert torch.autograd.gradgradcheck(lambda x: ops.upfirdn2d(x, f, up, down, padding).square(), x)
