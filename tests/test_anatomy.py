"""Outlines against edges on hand-made pictures; the probe's aim and the widget that shows it."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from uslab import phantom
from uslab.data.slicer import View
from uslab.data.slices import Slices, window
from uslab.metrics import outline_overlap
from uslab.widgets.body import Aim, Body, BodyExplorer, Scene, aimed

pytestmark = pytest.mark.numeric


def discs(n, bright=160, dark=60, noise=0.0, seed=0):
    """n images (48, 128) with one disc each, at places of their own, and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :128]
    masks = np.stack([np.hypot(y - rng.uniform(18, 30), x - place) < 11 for place in np.linspace(25, 103, n)])
    images = np.where(masks, bright, dark) + noise * rng.normal(size=masks.shape)
    return (torch.from_numpy(images.clip(0, 255).astype(np.uint8))[:, None],
            torch.from_numpy(masks.astype(np.uint8) * 2)[:, None], torch.ones(n, 1, 48, 128, dtype=torch.bool))


@pytest.mark.parametrize("swapped", [False, True])
def test_an_outline_that_is_an_edge_scores_one_whichever_side_is_bright(swapped):
    images, masks, inside = discs(5, *(60, 160) if swapped else (160, 60), noise=5)
    own, other = outline_overlap(images, masks, 2, inside)
    assert own.value > 0.99 and other.value < 0.3 and own.n == 5 and own.low <= own.value <= own.high


def test_moved_or_absent_anatomy_scores_like_chance():
    images, masks, inside = discs(6, noise=5)
    moved, _ = outline_overlap(images.roll(30, 3), masks, 2, inside)
    assert moved.value < 0.35
    noise = torch.from_numpy(np.random.default_rng(1).integers(0, 255, images.shape).astype(np.uint8))
    own, other = outline_overlap(noise, masks, 2, inside)
    assert abs(own.value - other.value) < 0.2 and own.value < 0.6


def test_the_fans_border_is_no_edge_and_no_outline():
    images, masks, inside = discs(4)
    inside[..., :64] = False
    images = images * inside
    images[2:] = 60 * inside[2:].byte()       # flat inside the fan: its border is the only step there is
    own, _ = outline_overlap(images[2:], masks[2:], 2, inside[2:])
    assert own.value == 0
    with pytest.raises(ValueError, match="0 of 2 planes show an outline of label 2 inside the fan"):
        outline_overlap(images[:2], masks[:2], 2, inside[:2])


@pytest.fixture(scope="module")
def slices():
    return Slices.find({"ct": phantom.abdomen(0)}, "liver", 6, View(24, 64), seed=0)


@pytest.mark.slow
def test_aim_turns_the_probe_in_its_place(slices):
    pose = slices.poses[0]
    assert torch.equal(aimed(pose, 0, 0), pose)
    turned = aimed(pose, 0, 90)
    torch.testing.assert_close(turned[:, 1], pose[:, 1])          # looks the same way
    torch.testing.assert_close(turned[:3, 0], -pose[:3, 2], atol=1e-12, rtol=0)
    tilted = aimed(pose, 30, 0)
    torch.testing.assert_close(tilted[:, 0], pose[:, 0])
    assert float(tilted[:3, 1] @ pose[:3, 1]) == pytest.approx(np.cos(np.pi / 6))
    for matrix in (turned, tilted, aimed(pose, -20, 130)):
        assert torch.equal(matrix[:, 3], pose[:, 3]) and torch.linalg.det(matrix[:3, :3]) == pytest.approx(1)


@pytest.mark.slow
def test_body_shows_the_plane_that_is_aimed_at(slices):
    body = Body(slices, "ct", translate=lambda images, to: 255 - images)
    shown = body.planes(Aim(pose=2, depth=float(slices.depth[2])))
    assert np.array_equal(shown["CT"], slices.batch(torch.tensor([2]))["image"][0, 0].numpy())
    assert np.array_equal(shown["back to CT"], shown["CT"]) and list(shown)[2] == "synthetic ultrasound"
    assert not np.array_equal(body.planes(Aim(pose=2, turn=90))["CT"], shown["CT"])
    liver = body.surfaces["liver"].reshape(-1, 3)
    volume = slices.slicers["ct"].volume
    voxel = (liver - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    edge = ndimage.distance_transform_edt(volume.labels != 1) + ndimage.distance_transform_edt(volume.labels == 1)
    far = ndimage.map_coordinates(edge, voxel.T, order=1, mode="nearest")
    assert np.quantile(far, 0.9) < 3, "the drawn surface lies on the label's"


@pytest.mark.slow
def test_the_fan_lies_where_the_plane_is_cut(slices):
    """The plane's pixels in 3-D, by the corner and the two ways, have the Hounsfield units that the CT has there."""
    body, aim = Body(slices, "ct"), Aim(pose=2, tilt=10, turn=40, depth=50.0)
    pixels, (corner, across, down) = body.fan(aim)
    volume = slices.slicers["ct"].volume
    row, column = np.nonzero(pixels[..., 3])
    mm = corner + np.outer(column + 0.5, across) + np.outer(row + 0.5, down)
    voxel = (mm - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    hu = ndimage.map_coordinates(volume.hu.astype(float), voxel.T, order=1, mode="constant", cval=-1000)
    gap = np.abs(window(torch.from_numpy(hu)).numpy().astype(int) - pixels[row, column, 0])
    assert np.quantile(gap, 0.95) <= 1
    assert np.array_equal(pixels[..., 0], body.planes(aim)["CT"]) and set(np.unique(pixels[..., 3])) == {0, 255}


@pytest.mark.slow
def test_the_explorer_follows_the_probe(slices, monkeypatch):
    explorer = BodyExplorer(Body(slices, "ct"), Aim())
    sent = []
    monkeypatch.setattr(Scene, "send", lambda self, message, buffers: sent.append((message, buffers)))
    explorer.screen.scene._on_message(None, {"type": "ready"}, [])
    (whole, (corners, fan)), before = sent.pop(), explorer.screen.pictures.value
    points = np.frombuffer(corners, np.float32).reshape(-1, 3)
    assert len(points) == 3 * sum(organ["triangles"] for organ in whole["organs"]) + 2 * whole["arrows"]
    assert np.abs(points).max() < 2 * whole["reach"] and len(fan) == 4 * whole["height"] * whole["width"]
    assert before[:4] == b"\x89PNG" and explorer.still()[0]["image/png"]
    explorer.apply(pose=3)
    assert explorer.screen.pictures.value != before and explorer.config == Aim(pose=3)
    (moved, (other,)), = sent
    assert moved["type"] == "plane" and moved["corner"] != whole["corner"] and other != fan
    with pytest.raises(ValueError, match="Aim.tilt is 45.0; it must lie between -30.0 and 30.0"):
        explorer.apply(tilt=45.0)


@pytest.mark.slow
def test_window_is_what_training_sees(slices):
    hu, _ = slices.planes(torch.arange(2))
    assert torch.equal(window(hu), slices.batch(torch.arange(2))["image"])
