"""The phantoms: speckle statistics, attenuation, geometry, and the truth that comes with every image."""

import cv2
import numpy as np
import pytest
import torch

import uslab.phantom
from uslab.data.hc18 import circumference
from uslab.phantom import fetal_head, physics

FAN = physics.Fan(radius=50, depth=100, half_angle=0.6, samples=300, lines=200)


@pytest.fixture(scope="module")
def heads():
    return uslab.phantom.load("fetal_head", 24, 256, seed=3)


@pytest.fixture(scope="module")
def speckle():
    """Envelope of 16 homogeneous blocks of amplitude 1, with a beam that widens from 1 to 4 lines."""
    rng = np.random.default_rng(0)
    beam = np.linspace(1, 4, 300)[:, None]
    field = physics.blur(physics.scatterers(np.ones((300, 200), np.float32), 16, rng), 1.5, beam)
    return np.abs(field)[:, 12:-12, 20:-20]


def test_single_look_speckle_is_rayleigh(speckle):
    # sqrt(pi / (4 - pi)) = 1.913 is the mean over the standard deviation of a Rayleigh distribution.
    assert speckle.mean() / speckle.std() == pytest.approx(1.913, rel=0.02)


def test_mean_intensity_is_kept_at_every_beam_width(speckle):
    power = (speckle**2).mean(axis=(0, 2))
    assert power[:70].mean() == pytest.approx(1, abs=0.05)
    assert power[-70:].mean() == pytest.approx(1, abs=0.08)


def test_speckle_grows_with_the_beam(speckle):
    """Correlation of the intensity of neighbouring lines, exp(-1 / (2 sigma^2)) for a Gaussian beam."""
    def neighbours(rows):
        return np.corrcoef(speckle[:, rows, :-1].ravel() ** 2, speckle[:, rows, 1:].ravel() ** 2)[0, 1]

    assert neighbours(slice(0, 20)) == pytest.approx(np.exp(-1 / (2 * 1.22**2)), abs=0.02)
    assert neighbours(slice(-20, None)) == pytest.approx(np.exp(-1 / (2 * 3.79**2)), abs=0.005)


def test_compounding_two_looks_lowers_the_contrast():
    rng = np.random.default_rng(1)
    field = physics.blur(physics.scatterers(np.ones((300, 200), np.float32), 2, rng), 1.0, np.ones((300, 1)))
    power = physics.envelope(field)[12:-12, 12:-12] ** 2
    assert power.mean() / power.std() == pytest.approx(np.sqrt(2), rel=0.05)


def test_blur_does_not_wrap_around():
    field = np.zeros((1, 60, 60), np.complex64)
    field[0, 0, 0] = 1
    spread = np.abs(physics.blur(field, 2, np.full((60, 1), 2.0)))
    assert spread[0, 0, 0] > 0.1
    assert spread[0, -8:].max() < 1e-4 and spread[0, :, -8:].max() < 1e-4


def test_smooth_mirror_has_its_stated_level():
    pulse, beam = 1.4, np.full((80, 1), 2.2)
    field = np.full((1, 80, 80), 3, np.complex64) / physics.mirror_gain(pulse, beam)
    assert np.abs(physics.blur(field, pulse, beam))[0, 40, 40] == pytest.approx(3, rel=0.01)


def test_compensated_tissue_is_level_over_depth():
    passed = physics.transmission(np.zeros((300, 4), np.float32), 0.5)
    assert np.all(passed == 1)


def test_shadow_and_enhancement_have_the_decibels_of_the_path():
    excess = np.zeros((300, 3), np.float32)
    excess[100:120, 1] = 0.5      # 10 mm of absorber, 0.5 dB/mm: 10 dB there and back
    excess[100:140, 2] = -0.1     # 20 mm of fluid: 4 dB
    level = 20 * np.log10(physics.transmission(excess, 0.5))
    assert np.allclose(level[:100], 0, atol=1e-4)
    assert np.allclose(level[140:], [0, -10, 4], atol=1e-3)


def test_log_compression_is_linear_in_decibels():
    shown = physics.log_compress(np.float32(10) ** (np.array([-60, -40, -10, 20, 30]) / 20), 20, 60, 1.0)
    assert shown == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-5)
    assert physics.log_compress(np.float32([10 ** -0.5]), 20, 60, 2.0) == pytest.approx([0.25], abs=1e-5)


@pytest.mark.parametrize("size", [64, 200, 512])
def test_scan_conversion_puts_a_point_where_it_was(size):
    sample, line = 180, 150
    away = (np.arange(300)[:, None] - sample) ** 2 + (np.arange(200)[None] - line) ** 2
    values = np.exp(-away / 8).astype(np.float32)
    picture = physics.scan_convert(values, FAN, -90, 40, 180, size, (-90, 40, 90, 220))
    depth = (sample + 0.5) / 300 * 100
    angle = -0.6 + 1.2 * line / 199
    x, y = (50 + depth) * np.sin(angle), (50 + depth) * np.cos(angle)
    rows, columns = np.mgrid[:size, :size]
    centre = (picture * columns).sum() / picture.sum(), (picture * rows).sum() / picture.sum()
    assert centre == pytest.approx(((x + 90) / 180 * size - 0.5, (y - 40) / 180 * size - 0.5), abs=0.2)


def test_black_outside_the_fan_and_the_frame():
    picture = physics.scan_convert(np.ones((300, 200), np.float32), FAN, -90, 0, 180, 360, (-60, 45, 90, 130))
    x, y = np.meshgrid(-90 + (np.arange(360) + 0.5) / 2, (np.arange(360) + 0.5) / 2)
    far, angle = np.hypot(x, y), np.arctan2(x, y)

    def shown(margin):
        return ((far > 50 + margin) & (far < 150 - margin) & (np.abs(angle) < 0.6 - margin / 50)
                & (x > -60 + margin) & (y > 45 + margin) & (y < 130 - margin))
    assert np.all(picture[~shown(-1)] == 0)
    assert np.allclose(picture[shown(1)], 1)


@pytest.mark.slow
def test_same_seed_same_images_and_a_longer_set_begins_with_the_shorter():
    longer = uslab.phantom.load("fetal_head", 24, 64, seed=5)
    shorter = uslab.phantom.load("fetal_head", 9, 64, seed=5)
    for name in ("images", "masks", "groups"):
        assert torch.equal(getattr(longer, name)[:9], getattr(shorter, name))
    assert longer.table[:9].equals(shorter.table)
    assert len({image.numpy().tobytes() for image in longer.images}) == 24
    other = uslab.phantom.load("fetal_head", 9, 64, seed=6)
    assert not any(torch.equal(a, b) for a, b in zip(shorter.images, other.images))


@pytest.mark.slow
def test_truth_is_of_the_same_scene_at_every_size(heads):
    small = uslab.phantom.load("fetal_head", 24, 64, seed=3)
    assert np.allclose(small.table.hc_mm, heads.table.hc_mm)
    assert np.allclose(small.table.pixel_mm, 4 * heads.table.pixel_mm)
    averaged = torch.nn.functional.avg_pool2d(heads.images.float(), 4)
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(averaged.numpy(), small.images.numpy())]
    assert min(likeness) > 0.98


def test_circumference_is_that_of_the_mask(heads):
    measured = 0
    for mask, row in zip(heads.masks[:, 0].numpy(), heads.table.itertuples()):
        if mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any():
            continue      # the frame cuts the ellipse
        measured += 1
        moments = cv2.moments(mask, binaryImage=True)
        a, b = moments["mu20"] / moments["m00"], moments["mu02"] / moments["m00"]
        middle, half = (a + b) / 2, np.hypot((a - b) / 2, moments["mu11"] / moments["m00"])
        # The variance along the axis of a filled ellipse is the square of half that axis over 4.
        axes = 4 * np.sqrt([middle + half, middle - half])
        assert circumference(*axes) * row.pixel_mm == pytest.approx(row.hc_mm, rel=0.005)
    assert measured >= 20


def test_heads_lie_in_the_fan_with_a_bright_skull(heads):
    for image, mask in zip(heads.images[:, 0].numpy(), heads.masks[:, 0].numpy()):
        assert 0.02 < mask.mean() < 0.5
        rows = np.flatnonzero((image > 4).mean(1) > 0.05)
        assert rows[0] <= np.flatnonzero(mask.any(1))[0] and np.flatnonzero(mask.any(1))[-1] <= rows[-1] + 2
        inner = cv2.erode(mask, np.ones((17, 17), np.uint8)) > 0
        ring = (mask > 0) & ~(cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0)
        assert (image[mask > 0] > 0).mean() > 0.75
        assert image[ring].mean() > 1.5 * image[inner].mean()


def test_exams_have_a_few_similar_images():
    groups = fetal_head.exams(4000, seed=1)
    assert 4000 / len(np.unique(groups)) == pytest.approx(999 / 806, rel=0.02)
    assert np.array_equal(groups[:100], fetal_head.exams(100, seed=1))
    assert np.all(np.diff(groups) >= 0)


@pytest.mark.slow
def test_images_of_one_exam_resemble_each_other():
    heads = uslab.phantom.load("fetal_head", 60, 64, seed=2)
    groups = heads.groups.numpy()
    same, other = [], []
    for i in range(len(groups) - 1):
        change = abs(np.log(heads.table.hc_mm[i] / heads.table.hc_mm[i + 1]))
        (same if groups[i] == groups[i + 1] else other).append(change)
    assert len(same) >= 5 and max(same) < 0.06 < np.median(other)
    first, second = heads.split(0.7, seed=0)
    assert not set(first.groups.tolist()) & set(second.groups.tolist())


@pytest.mark.parametrize("arguments, says", [
    (("fetal_haed", 2, 64), "unknown phantom 'fetal_haed'.*fetal_head"),
    (("fetal_head", 0, 64), "n must be at least 1, not 0"),
    (("fetal_head", 2, 1024), "64 to 512 pixels, not 1024"),
    (("fetal_head", 2, 64, -1), "not be negative, not -1"),
])
def test_errors_name_the_value(arguments, says):
    with pytest.raises(ValueError, match=says):
        uslab.phantom.load(*arguments)
