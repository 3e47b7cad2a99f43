"""The liver phantom: what fat does to the image, the patients and their frames, and the truth."""


import cv2
import numpy as np
import pytest
import torch

import uslab.phantom
from uslab.phantom import liver, series

SIZE = 192


@pytest.fixture(scope="module")
def livers():
    return uslab.phantom.load("liver", 120, 96, seed=3)


def scenes(n: int):
    """Patients whose receiver makes no noise, shown with so wide a range that no level is cut off."""
    for seed in range(n):
        scene = liver.draw_scene(np.random.default_rng([7, seed]), 0)
        yield scene.changed(noise=-300.0, span=120.0, gain=50.0)


def levels(scene):
    """Level in dB, mask, depth of each pixel in mm, and its angle."""
    image, mask, pixel = liver.render(scene, SIZE, np.random.default_rng(1))
    widest = scene.depth * np.sin(scene.half_angle)
    grid = (np.arange(SIZE) + 0.5) * pixel
    x, y = grid[None] - widest, grid[:, None] + scene.depth / 2 - widest
    return image * (scene.span / 255) + scene.gain - scene.span, mask, np.hypot(x, y), np.arctan2(x, y)


def cortex_to_liver(scene) -> float:
    """How much brighter than the kidney the liver is, dB, in sectors and depths that hold both."""
    level, mask, depth, angle = levels(scene)
    differences = []
    for ring in np.arange(60, 160, 10):
        band = (np.abs(depth - ring) < 5) & (np.abs(angle) < 0.7)
        a, b = level[band & (mask == 1)], level[band & (mask == 2)]
        if min(a.size, b.size) > 40:
            differences.append(np.median(a) - np.median(b))
    return np.mean(differences)


def test_liver_grows_brighter_against_the_kidney_with_fat():
    steps = [0, 5, 15, 30, 75]
    for scene in scenes(4):
        echo = [liver.paint(scene.changed(fat=float(fat)), fan(scene))[0] for fat in steps]
        kidney, tissue = regions(scene)
        ratios = [np.median(one[tissue]) / np.median(one[kidney]) for one in echo]
        assert np.all(np.diff(ratios) > 0)
        assert 20 * np.log10(ratios[-1] / ratios[0]) == pytest.approx(liver.brightness(75), abs=0.5)


def fan(scene):
    return liver.physics.Fan(2.0, scene.depth - 2.0, scene.half_angle, liver.SAMPLES, liver.LINES)


def regions(scene):
    """Kidney and liver on the polar grid, both (samples, lines)."""
    x, y, _, _ = fan(scene).grid()
    mask = liver.truth(scene, fan(scene), x, y)
    return mask == 2, mask == 1


@pytest.mark.slow
def test_the_image_shows_the_liver_brighter_against_the_kidney():
    """At one depth the liver's echo crosses more fat than the kidney's, so the image shows less than the echo has."""
    steps = [0, 5, 15, 30, 75]
    shown = np.mean([[cortex_to_liver(scene.changed(fat=float(fat))) for fat in steps] for scene in scenes(6)], 0)
    assert np.all(np.diff(shown) > 0)
    assert 2 < shown[-1] - shown[0] < liver.brightness(75)


def test_fat_attenuates_by_the_decibels_of_the_path():
    drops = []
    for scene in scenes(6):
        lean, fatty = (levels(scene.changed(fat=fat)) for fat in (0.0, 60.0))
        _, mask, depth, angle = lean
        sector = (mask == 1) & (np.abs(angle - 0.2) < 0.15)
        near, far = (np.median((fatty[0] - lean[0])[sector & (np.abs(depth - scene.wall - at) < 5)]) for at in (10, 50))
        drops.append(far - near)
    assert np.mean(drops) == pytest.approx(-2 * 40 * liver.attenuation(60.0), abs=0.6)


def test_brightness_and_attenuation_grow_with_fat():
    fat = np.linspace(0, 100, 50)
    assert liver.brightness(0) == liver.attenuation(0) == 0
    assert np.all(np.diff(liver.brightness(fat)) > 0) and np.all(np.diff(liver.attenuation(fat)) > 0)


def test_vessels_are_blurred_by_fat():
    """The darkest of the liver's echo a while from its edges, against its median: the vessels."""
    gaps = []
    for scene in scenes(8):
        core = cv2.erode(regions(scene)[1].astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        for fat in (0.0, 70.0):
            echo = liver.paint(scene.changed(fat=fat), fan(scene))[0][core]
            gaps.append(20 * np.log10(np.median(echo) / np.quantile(echo, 0.002)))
    assert np.median(gaps[::2]) > np.median(gaps[1::2]) + 4


@pytest.mark.slow
def test_fatty_is_above_five_percent_and_healthy_below(livers):
    many = [liver.draw_scene(np.random.default_rng(seed), kind).fat for kind in (0, 1) for seed in range(200)]
    assert max(many[:200]) < 5 < min(many[200:])
    assert max(many[200:]) <= 75 and np.median(many[200:]) == pytest.approx(23, abs=8)
    assert np.array_equal(livers.table.fat > 5, livers.labels == 1)


@pytest.mark.slow
def test_patients_have_ten_frames_of_one_liver_and_the_real_shares(livers):
    assert livers.groups.bincount().tolist() == [10] * 12
    assert livers.table.groupby(livers.groups.numpy()).fat.nunique().eq(1).all()
    assert np.bincount(series.lots(55, 0, liver.COUNTS)) == pytest.approx([17, 38], abs=1)
    first, second = livers.split(0.7, seed=0)
    assert not set(first.groups.tolist()) & set(second.groups.tolist())


@pytest.mark.slow
def test_frames_of_a_patient_are_nearer_to_each_other_than_to_any_other_patient(livers):
    flat = livers.images.flatten(1).float()
    distance = torch.cdist(flat, flat, p=1) / flat.shape[1]
    same = livers.groups[:, None] == livers.groups[None]
    apart = distance[~same].min()
    assert distance[same].max() < 0.7 * apart
    assert distance[same][distance[same] > 0].min() > 0.5      # no two frames are copies


def test_masks_are_where_the_organs_are():
    for scene in scenes(6):
        image, mask, pixel = liver.render(scene, SIZE, np.random.default_rng(0))
        a, b = scene.axes
        rows, columns = np.nonzero(mask == 2)
        if rows.max() < 0.8 * SIZE and columns.min() > 4 and np.ptp(columns) > 0.9 * 2 * a * np.cos(scene.tilt) / pixel:
            assert rows.size * pixel**2 == pytest.approx(np.pi * a * b, rel=0.06)
        assert 0.03 < (mask == 2).mean() < 0.15 < (mask == 1).mean() + 0.05
        assert not mask[image == 0].any() or (image[mask > 0] > 0).mean() > 0.98


@pytest.mark.slow
def test_same_seed_same_images_and_a_longer_set_begins_with_the_shorter(livers):
    shorter = uslab.phantom.load("liver", 13, 96, seed=3)
    for name in ("images", "labels", "masks", "groups"):
        assert torch.equal(getattr(livers, name)[:13], getattr(shorter, name))
    assert livers.table[:13].equals(shorter.table)
    assert livers[:13].groups.tolist() == [0] * 10 + [1] * 3


def test_a_small_picture_is_the_large_one_made_smaller():
    large, small = (uslab.phantom.load("liver", 3, size, seed=5) for size in (256, 64))
    assert np.allclose(small.table.pixel_mm, 4 * large.table.pixel_mm)
    averaged = torch.nn.functional.avg_pool2d(large.images.float(), 4)
    assert min(np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(averaged.numpy(), small.images.numpy())) > 0.98
