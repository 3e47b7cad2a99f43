"""Inception-v3 against the network of torch-fidelity 0.4.0, both with weights by one formula.

golden/inception_v3.json holds that network's keys and shapes, to which the published file is loaded strictly, and
golden/inception_v3.npz its features and logits without bias of made_image().
"""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from emulated import gpu

from uslab import metrics
from uslab.data.weights import WEIGHTS, place
from uslab.metrics.features import sha256
from uslab.metrics.inception_v3 import InceptionV3, resize

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {key: tuple(shape) for key, shape in json.loads((GOLDEN / "inception_v3.json").read_text()).items()}


def made_weights():
    """Weights that keep the activations' variance: standard normal numbers, scaled, in the sorted order of the keys."""
    rng, state = np.random.default_rng(0), {}
    for key in sorted(SHAPES):
        x = rng.standard_normal(SHAPES[key], dtype=np.float32)
        if x.ndim > 1:
            x *= (2 / x[0].size) ** 0.5
        elif key.endswith("running_var"):
            x = 1 + x * x
        else:
            x = x / 16 + key.endswith("bn.weight")
        state[key] = torch.from_numpy(x.astype(np.float32))
    return state


def made_image(height, width):
    """Rings, bars and steps: what the resize, the scaling and the pools do to them is seen in the features."""
    y, x = np.ogrid[:height, :width]
    grey = (x * x + 3 * y * y) // 64 + x * y // 32 + 40 * (x // 9 + y // 7)
    return torch.from_numpy((grey % 256).astype(np.uint8))[None, None]


@pytest.fixture(scope="module")
def weights():
    return made_weights()


@pytest.fixture(scope="module")
def path(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "made.pth"
    torch.save(weights, path)
    return path


@pytest.fixture
def published(path, tmp_path, monkeypatch):
    """The file of the made weights, in the place of the published ones and with their checksum."""
    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    file = dataclasses.replace(WEIGHTS["inception"].files[0], digest=f"sha256:{sha256(path)}")
    monkeypatch.setitem(WEIGHTS, "inception", dataclasses.replace(WEIGHTS["inception"], files=(file,)))
    place("inception").parent.mkdir()
    shutil.copy(path, place("inception"))
    return place("inception")


def test_keys_and_shapes_are_the_published_ones():
    ours = {key: tuple(value.shape) for key, value in InceptionV3().state_dict().items()}
    assert {key: ours[key] for key in ours if not key.endswith("num_batches_tracked")} == SHAPES  # PyTorch's counter
    assert len(SHAPES) == 94 * 5 + 2 and sum(np.prod(shape) for shape in SHAPES.values()) == 23_885_392


@pytest.mark.slow
def test_features_and_probabilities_are_torch_fidelitys(published):
    space, golden = metrics.resolve("inception"), np.load(GOLDEN / "inception_v3.npz")
    for size in ((64, 64), (97, 131), (299, 299), (401, 350)):  # smaller than 299 pixels, equal and larger
        image, name = made_image(*size), "{}x{}".format(*size)
        features = golden[f"features/{name}"]
        np.testing.assert_allclose(metrics.features(image, space)[0], features, rtol=0, atol=1e-5 * features.max())
        expected = torch.from_numpy(golden[f"logits/{name}"]).softmax(0)
        with torch.inference_mode():
            torch.testing.assert_close(space.head(space.embed(image))[0], expected, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_folding_changes_rounding_alone(weights):
    plain, folded = InceptionV3(), InceptionV3()
    for model in (plain, folded):
        model.load_state_dict(weights)
    folded.fold()
    image = made_image(75, 80)
    torch.testing.assert_close(folded(image), plain(image), rtol=1e-4, atol=1e-6)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())


@pytest.mark.parametrize("key, value, message", [
    ("fc.bias", None, "Missing.*fc.bias"),
    ("surplus", torch.zeros(1), "Unexpected.*surplus"),
    ("Mixed_7c.branch1x1.conv.weight", torch.zeros(320, 9, 1, 1), "size mismatch for Mixed_7c.branch1x1.conv"),
])
def test_other_state_dicts_are_refused(key, value, message, weights, tmp_path):
    state = {name: entry for name, entry in {**weights, key: value}.items() if entry is not None}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match=message):
        InceptionV3.load(tmp_path / "other.pth")


def test_resize_is_tensorflow_1s():
    row = torch.arange(598.0).view(1, 1, 1, -1)
    assert resize(row)[0, 0, 7].equal(torch.arange(0, 598.0, 2))   # every second pixel; a mean would give 0.5, 2.5, ...
    two = resize(torch.tensor([0.0, 299.0]).view(1, 1, 1, -1))[0, 0, 0]
    torch.testing.assert_close(two, (2 * torch.arange(299.0)).clamp(max=299))  # from the corner, then the last pixel


@pytest.mark.slow
def test_only_inception_is_called_fid(published):
    a, b = torch.cat([made_image(20 + i, 20 + i)[:, :, -20:, -20:] for i in range(6)]).split(3)
    with pytest.raises(ValueError, match="is taken"):
        metrics.Space.of("inception", torch.nn.Flatten())
    assert metrics.fid(a, b).name == "FID" and metrics.kid(a, b).name == "KID"
    assert "Inception-v3" in metrics.fid(a, b).note
    assert metrics.fid(a, b, metrics.Space.of("flat", torch.nn.Flatten())).name == "FD-flat"
    published.write_bytes(published.read_bytes()[:-1])
    with pytest.raises(ValueError, match="weights-inception.*has the sha256.*published is"):
        metrics.fid(a, b)  # other weights do not make a FID
    published.unlink()
    assert metrics.fid(a, b).name == "FD-lite0"
    with pytest.raises(FileNotFoundError, match="run `uslab weights get inception`"):
        metrics.features(a, "inception")


@pytest.mark.slow
def test_inception_on_a_gpu_gives_its_features_in_batches(published, monkeypatch):
    images, space = torch.cat([made_image(40, 40).roll(i, 3) for i in range(5)]), metrics.resolve("inception")
    seen, forward = [], InceptionV3.forward
    monkeypatch.setattr(InceptionV3, "forward", lambda self, x: seen.append((len(x), x.is_cuda)) or forward(self, x))
    monkeypatch.setattr(sys.modules["uslab.metrics.features"], "ON_GPU", 3)
    with gpu():
        there = metrics.features(images, space)
        score = metrics.inception_score(images, space, splits=1)
    assert seen == [(3, True), (3, True)]
    here = metrics.features(images, space, "cpu")
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-4 * here.max())
    assert score.value == pytest.approx(metrics.inception_score(images, space, 1, device="cpu").value, rel=1e-4)
