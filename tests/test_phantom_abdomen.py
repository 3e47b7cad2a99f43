"""The abdomen phantom: Hounsfield units, arrangement and orientation of the CT, and the endoscopic ultrasound in it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, label

import uslab.phantom
from uslab.data.volume import Volume
from uslab.phantom import eus
from uslab.phantom.anatomy import INDEX, TISSUES, Anatomy
from uslab.phantom.solids import Ball, Tube

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def bodies():
    return [uslab.phantom.abdomen(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def frames():
    return uslab.phantom.load("eus", 60, 192, seed=2)


def organ(volume: Volume, name: str) -> np.ndarray:
    return volume.labels == volume.label_names.index(name)


def middle(volume: Volume, name: str) -> np.ndarray:
    """Centre of an organ, mm, right-anterior-superior."""
    return volume.affine[:3, :3] @ np.argwhere(organ(volume, name)).mean(0) + volume.affine[:3, 3]


@pytest.mark.slow
def test_a_volume_is_what_the_project_agrees_on(bodies):
    for body in bodies:
        assert body.hu.shape == body.labels.shape == (176, 144, 96)
        assert body.hu.dtype == np.int16 and body.labels.dtype == np.uint8 and body.affine.dtype == np.float64
        assert body.label_names[0] == "background"
        assert set(np.unique(body.labels)) == set(range(len(body.label_names)))


@pytest.mark.slow
@pytest.mark.parametrize("name, low, high", [
    ("liver", 50, 65), ("pancreas", 65, 105), ("aorta", 150, 300), ("spleen", 75, 125), ("kidney", 100, 180),
    ("fat", -120, -70), ("ribs", 200, 500), ("spine", 200, 600)])
def test_hounsfield_units_inside_each_organ(bodies, name, low, high):
    """Means away from the edge, where no voxel is shared between tissues."""
    for body in bodies:
        assert low < body.hu[binary_erosion(organ(body, name))].mean() < high


@pytest.mark.slow
def test_air_outside_and_noise_as_in_ct(bodies):
    for body in bodies:
        assert np.all(body.hu[[0, 0, -1, -1], [0, -1, 0, -1]] < -900)
        assert 9 < body.hu[binary_erosion(organ(body, "liver"), iterations=2)].std() < 22
        assert body.hu.min() >= -1024 and body.hu.max() <= 3071


@pytest.mark.slow
@pytest.mark.parametrize("name, low, high", [("liver", 900, 2000), ("pancreas", 25, 110), ("stomach", 100, 500),
                                             ("aorta", 40, 120), ("spleen", 60, 300), ("kidney", 150, 420)])
def test_organs_have_human_volumes_in_ml(bodies, name, low, high):
    for body in bodies:
        assert low < organ(body, name).sum() * abs(np.linalg.det(body.affine[:3, :3])) / 1000 < high


@pytest.mark.slow
def test_organs_are_in_one_piece_and_there_are_two_kidneys(bodies):
    for body in bodies:
        for name, pieces in (("liver", 1), ("pancreas", 1), ("stomach", 1), ("aorta", 1), ("spleen", 1),
                             ("kidney", 2), ("spine", 1)):
            sizes = np.sort(np.bincount(label(organ(body, name))[0].ravel())[1:])[::-1]
            assert sizes[:pieces].sum() > 0.98 * sizes.sum(), name
            assert sizes[pieces - 1] > 0.7 * sizes[0], name


@pytest.mark.slow
def test_everything_is_on_its_side(bodies):
    """In the patient's millimetres: x to the right, y to the front, z to the head."""
    for body in bodies:
        at = {name: middle(body, name) for name in ("liver", "stomach", "spleen", "aorta", "spine", "pancreas")}
        assert at["liver"][0] > 35 and at["stomach"][0] < -15 and at["spleen"][0] < -70
        assert at["aorta"][1] > at["spine"][1] + 15 and -25 < at["aorta"][0] - at["spine"][0] < 0
        assert at["pancreas"][1] > at["aorta"][1] and at["stomach"][1] > at["pancreas"][1]
        # The aorta runs through the whole height, the liver reaches higher than the pancreas.
        assert organ(body, "aorta").any((0, 1)).all()
        assert at["liver"][2] > at["pancreas"][2]


@pytest.mark.slow
def test_the_stomach_reaches_the_organs_that_are_seen_from_it(bodies):
    """Within 40 mm of the stomach's surface lie liver, pancreas and aorta."""
    from scipy.ndimage import distance_transform_edt

    for body in bodies:
        far = distance_transform_edt(~organ(body, "stomach"), sampling=2.0)
        for name, near in (("liver", 6), ("pancreas", 8), ("aorta", 40)):
            assert far[organ(body, name)].min() < near, name


@pytest.mark.slow
def test_gas_lies_in_front_in_the_stomach(bodies):
    """The patient lies on the back, so gas floats towards the front."""
    with_gas = 0
    for body in bodies:
        gas = organ(body, "stomach") & (body.hu < -800)
        fluid = binary_erosion(organ(body, "stomach"), iterations=3) & (np.abs(body.hu) < 60)
        if gas.sum() > 200:
            with_gas += 1
            front = [(body.affine[:3, :3] @ np.argwhere(part).mean(0))[1] for part in (gas, fluid)]
            assert front[0] > front[1] + 10
    assert with_gas >= 2


@pytest.mark.slow
def test_patients_differ_and_the_seed_decides(bodies):
    again = uslab.phantom.abdomen(1)
    assert np.array_equal(again.hu, bodies[1].hu) and np.array_equal(again.labels, bodies[1].labels)
    livers = [organ(body, "liver") for body in bodies]
    for first in range(4):
        for second in range(first):
            both = (livers[first] & livers[second]).sum()
            assert 2 * both / (livers[first].sum() + livers[second].sum()) < 0.97


def test_a_ball_and_a_tube_are_cut_where_they_should():
    x, y, z = np.float32([[12, 0, 0, 5], [0, 0, 4, 0], [0, 9, 0, 0]])
    ball = Ball((2, 0, 0), (5, 4, 3))
    assert ball.outside(x, y, z)[0] == pytest.approx(5)
    assert ball.outside(x, y, z)[3] == pytest.approx(-2)
    tube = Tube(np.array([[0, 0, 0], [10, 0, 0.0]]), np.array([2, 4.0]))
    assert tube.outside(*np.float32([[5, 5, -3], [7, 1, 0], [0, 0, 0]])) == pytest.approx([4, -2, 1])


def test_tissue_does_not_depend_on_which_points_are_asked_for():
    body = Anatomy(np.random.default_rng(5))
    x, y, z = np.random.default_rng(0).uniform(-100, 100, (3, 4000)).astype(np.float32)
    whole = body.tissue(x, y, z)
    assert np.array_equal(whole[::7], body.tissue(x[::7], y[::7], z[::7]))
    assert np.array_equal(whole, body.tissue(*(p.reshape(40, 100) for p in (x, y, z))).ravel())
    assert body.tissue(*np.float32([[400], [0], [0]])) == INDEX["air"] == 0


@pytest.mark.slow
def test_ultrasound_patients_are_not_those_of_the_ct():
    """No liver of the first ultrasound sets is that of any CT: their centres differ."""
    ct = [Anatomy(np.random.default_rng([0, seed])).liver[0].centre for seed in range(20)]
    scoped = [eus.Patient(seed, number, 40).anatomy.liver[0].centre for seed in range(3) for number in range(2)]
    assert min(np.abs(np.subtract(a, b)).max() for a in ct for b in scoped) > 0.01


def test_poses_start_in_the_stomachs_wall_and_look_out_of_it():
    patient = eus.Patient(1, 0, 200)
    place = np.array([pose.place for pose in patient.poses])
    ahead = np.array([pose.ahead for pose in patient.poses])
    side = np.array([pose.side for pose in patient.poses])
    assert np.allclose(np.linalg.norm(ahead, axis=1), 1) and np.allclose((ahead * side).sum(1), 0, atol=1e-6)
    start = patient.depth(place)
    assert np.median(np.abs(start + 4)) < 1.5
    assert (patient.depth(place + 8 * ahead) > start).mean() > 0.95


@pytest.mark.slow
def test_frames_show_the_organ_of_their_class(frames):
    assert frames.classes == ("aorta", "background", "liver", "pancreas")
    for image, mask, number in zip(frames.images[:, 0], frames.masks[:, 0], frames.labels.tolist()):
        name, shown = frames.classes[number], float((image > 0).sum())
        shares = {organ: float((mask == index).sum()) / shown for index, organ in enumerate(frames.mask_names)}
        if name == "background":
            assert max(shares[organ] for organ in ("aorta", "liver", "pancreas")) < 0.12
        else:
            assert shares[name] > 0.025
    counts = torch.bincount(frames.labels, minlength=4)
    assert counts.min() >= 6


@pytest.mark.slow
def test_vessels_are_darker_than_liver_and_pancreas(frames):
    levels = {name: [] for name in frames.mask_names}
    for image, mask in zip(frames.images[:, 0].numpy(), frames.masks[:, 0].numpy()):
        for index, name in enumerate(frames.mask_names[1:], 1):
            inside = binary_erosion(mask == index, iterations=2)
            if inside.sum() > 60:
                levels[name].append(image[inside].mean())
    assert np.median(levels["aorta"]) < 0.5 * np.median(levels["liver"])
    assert np.median(levels["aorta"]) < 0.5 * np.median(levels["pancreas"])


@pytest.mark.slow
def test_frames_are_strips_of_the_papers_shape(frames):
    """522 by 200 pixels, padded with black to a square; the fan reaches both sides."""
    rows = np.flatnonzero((frames.images[:, 0] > 0).any(0).any(1).numpy())
    assert (rows[-1] - rows[0] + 1) / 192 == pytest.approx(200 / 522, abs=0.012)
    assert not frames.masks[:, 0, : rows[0] - 1].any() and not frames.masks[:, 0, rows[-1] + 2:].any()


@pytest.mark.slow
def test_same_seed_same_frames_and_a_longer_set_begins_with_the_shorter(frames):
    shorter = uslab.phantom.load("eus", 7, 192, seed=2)
    for name in ("images", "masks", "labels", "groups"):
        assert torch.equal(getattr(frames, name)[:7], getattr(shorter, name))
    assert frames.groups.tolist() == [index % 5 for index in range(60)]
    assert len({image.numpy().tobytes() for image in frames.images}) == 60


def test_every_tissue_has_its_echo_and_its_hounsfield_units():
    from uslab.phantom.ct import LABELS, MEANING

    assert set(eus.ECHO) == set(MEANING) == set(TISSUES)
    assert {name for name, _, _ in MEANING.values()} == set(LABELS)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="not be negative, not -3"):
        uslab.phantom.abdomen(-3)
