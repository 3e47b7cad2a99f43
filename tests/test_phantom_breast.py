"""The breast phantom: the linear array, the receiver's noise, what each class of mass does, and the truth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import uslab.phantom
from uslab.phantom import breast, mass, physics, series

WIDE = physics.Linear(width=40, depth=30, flare=0.25, samples=300, lines=200)


@pytest.fixture(scope="module")
def breasts():
    return uslab.phantom.load("breast", 120, 128, seed=3)


def scenes(kind: int, n: int):
    """Scenes of a class without ribs, noise, or anything else than the mass to darken what is behind it."""
    for seed in range(n):
        scene = breast.draw_scene(np.random.default_rng([9, kind, seed]), kind)
        yield scene.changed(ribs=False, flare=0.0, noise=-300.0)


def boxes(masks):
    """Width and height of each mass that the frame does not cut, and its area as a share of its convex hull."""
    for part in masks[:, 0].numpy():
        x, y, w, h = cv2.boundingRect(part)
        if part.any() and x > 0 and x + w < part.shape[1]:
            outline = max(cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)
            yield w, h, cv2.contourArea(outline) / cv2.contourArea(cv2.convexHull(outline))


@pytest.mark.parametrize("probe", [WIDE, replace(WIDE, flare=0.0)], ids=["trapezoid", "rectangle"])
def test_linear_array_locates_its_own_grid(probe):
    x, y, depth, angle = probe.grid()
    sample, line, inside = probe.locate(x, y)
    assert inside.all()
    assert np.allclose(sample, np.arange(300)[:, None], atol=1e-2)
    assert np.allclose(line, np.arange(200)[None], atol=1e-2)
    assert angle[0, -1] == pytest.approx(probe.flare)
    assert x[-1, -1] == pytest.approx(20 + depth[-1, 0] * np.tan(probe.flare), rel=1e-5)
    assert np.allclose(1 / np.diff(x, axis=1).mean(1), probe.lines_per_mm()[:, 0], rtol=1e-4)
    assert not probe.locate(np.array([x[-1, -1] + 0.3, 0, 0]), np.array([depth[-1, 0], -0.1, 30.1]))[2].any()


def test_noise_stays_where_a_shadow_hides_the_tissue():
    rng = np.random.default_rng(0)
    excess = np.zeros((300, 200), np.float32)
    excess[100:120] = 10     # 40 dB
    heard = physics.insonify(np.ones((300, 200), np.float32), np.zeros((300, 200), np.float32), excess, 0.1, 4, 1.0,
                             np.full((300, 1), 1.0), rng, np.full((300, 1), 0.1))
    power = (heard[:, 12:-12] ** 2).mean(1)
    assert power[20:90].mean() == pytest.approx(1 + 0.1**2, rel=0.05)
    assert power[140:280].mean() == pytest.approx(0.1**2 + 1e-4, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind, sign", [(1, 1), (2, -1)], ids=["enhancement", "shadow"])
def test_what_lies_behind_a_mass_has_its_stated_level(kind, sign):
    """The image with the mass's attenuation against the same image without it, in dB behind its thickest part."""
    differences = []
    for scene in scenes(kind, 6):
        lesion = scene.lesion
        assert np.sign(lesion.posterior) == sign
        scene = scene.changed(span=150.0, gain=50.0)     # so wide a range that nothing is cut off
        without = scene.changed(lesion=replace(lesion, posterior=0.0))
        levels = []
        for one in (scene, without):
            image, part, pixel = breast.render(one, 256, np.random.default_rng(4))
            levels.append((image.astype(float) / 255) ** (1 / 1.3) * 150)
        thick = part.sum(0)
        columns = np.flatnonzero(thick > 0.93 * thick.max())
        below = np.flatnonzero(part.any(1))[-1] + round(1.5 / pixel)
        region = slice(below, below + round(3 / pixel)), columns
        differences.append((levels[0][region] - levels[1][region]).mean() / lesion.posterior)
    assert np.mean(differences) == pytest.approx(0.95, abs=0.1)


def test_posterior_level_is_exact_on_the_way_through():
    for scene in scenes(2, 3):
        probe = physics.Linear(scene.width, scene.depth, 0.0, breast.SAMPLES, breast.LINES)
        shape = breast.SAMPLES, breast.LINES
        echo, mirror, excess = np.ones(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        scene.lesion.paint(probe, np.random.default_rng(0), np.ones((shape[0], 1), np.float32), echo, mirror, excess)
        behind = 20 * np.log10(physics.transmission(excess, probe.sample_mm)[-1])
        assert behind.min() == pytest.approx(scene.lesion.posterior, rel=1e-3)
        assert behind.max() == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_malignant_is_spiculated_benign_is_wide_and_smooth(breasts):
    wide, high, solid = np.array(list(boxes(breasts.masks[breasts.labels == 1]))).T
    assert (wide > high).mean() > 0.9 and np.median(solid) > 0.96
    solid = np.array(list(boxes(breasts.masks[breasts.labels == 2])))[:, 2]
    assert np.median(solid) < 0.92


def test_a_third_of_the_malignant_and_few_benign_masses_are_taller_than_wide():
    def taller(kind: int) -> float:
        count = 0
        for seed in range(300):
            scene = breast.draw_scene(np.random.default_rng([7, kind, seed]), kind)
            x = np.linspace(-scene.width / 2, scene.width / 2, 120)[None]
            y = np.linspace(0, scene.depth, 120)[:, None]
            inside = scene.lesion.radius(x, y)[0] <= 1
            count += np.ptp(np.flatnonzero(inside.any(1))) * scene.depth > np.ptp(
                np.flatnonzero(inside.any(0))) * scene.width
        return count / 300

    assert taller(1) < 0.1 < 0.2 < taller(2) < 0.45


def test_the_darkest_tissue_is_1_and_only_the_screen_is_0():
    scene = next(scenes(0, 1)).changed(gain=80.0)     # so little gain that most of the tissue is black
    image = breast.render(scene, 128, np.random.default_rng(2))[0]
    rows = np.flatnonzero(image.any(1))
    scan = image[rows[0] + 1:rows[-1], 2:-2] if scene.width > scene.depth else image[:, np.flatnonzero(image.any(0))]
    assert scan.min() == 1 and np.median(scan) == 1


@pytest.mark.slow
def test_mask_is_the_outline_and_darker_than_its_surroundings():
    for kind in (1, 2):
        for scene in scenes(kind, 5):
            lesion = replace(scene.lesion, centre=(0.0, scene.lesion.centre[1]))
            image, part, pixel = breast.render(scene.changed(lesion=lesion), 256, np.random.default_rng(1))
            polygon = lesion.axes[0] * lesion.axes[1] * np.trapezoid(lesion.edge() ** 2, mass.TURNS) / 2
            assert part.sum() * pixel**2 == pytest.approx(polygon, rel=0.05, abs=2 * pixel**2)
            ring = cv2.dilate(part, np.ones((3, 25), np.uint8)) - part
            assert image[part > 0].mean() < 0.9 * image[ring > 0].mean()


@pytest.mark.slow
def test_normal_has_no_mass_and_masks_stay_in_the_picture(breasts):
    assert not breasts.masks[breasts.labels == 0].any()
    assert breasts.masks[breasts.labels > 0].flatten(1).any(1).all()
    assert np.array_equal(breasts.table.posterior_db.isna(), breasts.labels == 0)
    for image, part in zip(breasts.images[:, 0].numpy(), breasts.masks[:, 0].numpy()):
        rows = np.flatnonzero((image > 0).mean(1) > 0.3)
        assert not part[:rows[0]].any() and not part[rows[-1] + 1:].any()


def test_classes_have_the_shares_of_busi_in_every_series():
    assert breast.COUNTS == (133, 437, 210) and breast.CLASSES == ("normal", "benign", "malignant")
    for n in (30, 600):
        shares = np.bincount(series.lots(n, 1, breast.COUNTS)) / n
        assert shares == pytest.approx(np.array(breast.COUNTS) / 780, abs=1.5 / n)
    assert np.array_equal(series.lots(600, 1, breast.COUNTS)[:30], series.lots(30, 1, breast.COUNTS))


@pytest.mark.slow
def test_about_600_patients_of_one_class_each(breasts):
    groups = series.groups(780, 0, breast.EXAM_SIZES)
    assert groups[-1] + 1 == pytest.approx(600, rel=0.04)
    for group in breasts.groups.unique():
        assert len(breasts.labels[breasts.groups == group].unique()) == 1
    first, second = breasts.split(0.7, seed=0)
    assert not set(first.groups.tolist()) & set(second.groups.tolist())


@pytest.mark.slow
def test_same_seed_same_images_and_a_longer_set_begins_with_the_shorter(breasts):
    shorter = uslab.phantom.load("breast", 9, 128, seed=3)
    for name in ("images", "labels", "masks", "groups"):
        assert torch.equal(getattr(breasts, name)[:9], getattr(shorter, name))
    assert breasts.table[:9].equals(shorter.table)
    assert len({image.numpy().tobytes() for image in breasts.images}) == len(breasts)


@pytest.mark.slow
def test_a_small_picture_is_the_large_one_made_smaller():
    large, small = (uslab.phantom.load("breast", 9, size, seed=5) for size in (256, 64))
    assert np.allclose(small.table.pixel_mm, 4 * large.table.pixel_mm)
    averaged = torch.nn.functional.avg_pool2d(large.images.float(), 4)
    assert min(np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(averaged.numpy(), small.images.numpy())) > 0.98
