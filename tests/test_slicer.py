"""The slicer against planes that are known: linear fields, a sphere, a cube, the array's own slices."""

import numpy as np
import pytest
import torch

from uslab import phantom
from uslab.data.slicer import AIR, BONE, WALL, Slicer, View, candidates, kept, surface
from uslab.data.slices import Slices, window
from uslab.data.volume import Volume

pytestmark = pytest.mark.numeric

NAMES = ("background", "liver", "pancreas", "stomach", "aorta")
OBLIQUE = np.array([[-1.2, 0.3, 0.1, 40], [0.2, 1.9, -0.4, -70], [0.1, 0.5, 2.4, -90], [0, 0, 0, 1.0]])   # mirrored


def places(shape, affine):
    """(X, Y, Z, 3) mm of every voxel."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def pose(right, ahead, origin):
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, ahead, np.cross(right, ahead), origin], axis=1)
    return torch.from_numpy(matrix)[None]


def turned(seed, origin):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return pose(q[:, 0], q[:, 1], origin)


def in_the_plane(view, depth):
    """x and y of the pose, mm, of every pixel's middle."""
    pixel = 2 * (view.radius + depth) * np.sin(np.radians(view.half_angle)) / view.width
    y, x = np.meshgrid((np.arange(view.height) + 0.5) * pixel - 0.15 * view.radius,
                       (np.arange(view.width) + 0.5 - view.width / 2) * pixel, indexing="ij")
    return x, y


def patients_mm(view, depth, matrix):
    x, y = in_the_plane(view, depth)
    return np.stack([x, y, 0 * x, 0 * x + 1], axis=-1) @ matrix[0].numpy().T[:, :3]


def ball(shape=(60, 60, 60), affine=None, centre=(3.0, -2.0, 5.0), radius=20.0):
    affine = np.diag([1.0, 1.0, 1.0, 1.0]) if affine is None else affine
    affine = affine.copy()
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    inside = np.linalg.norm(places(shape, affine) - centre, axis=-1) < radius
    return Volume(np.where(inside, 50, -100).astype(np.int16), affine, inside.astype(np.uint8) * 3, NAMES)


@pytest.mark.parametrize("affine", [np.diag([1.5, 2, 3, 1.0]), np.diag([-2, -2, 2, 1.0]), OBLIQUE])
def test_a_linear_field_is_cut_exactly_whatever_the_affine(affine):
    """Trilinear interpolation keeps linear functions, so every pixel tells the patient's mm that it was read at."""
    shape, way = (70, 60, 50), np.array([3.0, -2.0, 1.5])
    hu = (places(shape, affine) @ way + 20).astype(np.float32)
    volume = Volume(hu, affine, np.zeros(shape, np.uint8), NAMES)
    middle = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    view, depth = View(40, 104), 24.0
    poses = torch.cat([turned(seed, middle) for seed in range(9)])     # more than one batch of the cutter
    got, _ = Slicer(volume, view).planes(poses, torch.full((9,), depth))
    inside = view.inside(torch.tensor([depth]))[0]
    for number in range(9):
        expected = patients_mm(view, depth, poses[number:number + 1]) @ way + 20
        within = inside & torch.from_numpy(covered(patients_mm(view, depth, poses[number:number + 1]), affine, shape))
        assert within.sum() > 800
        assert np.abs(got[number, 0][within].numpy() - expected[within.numpy()]).max() < 0.02


def covered(points, affine, shape):
    voxel = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    return ((voxel >= 0) & (voxel <= np.array(shape) - 1)).all(-1)


@pytest.mark.parametrize("distance", [0.0, 6.0, 14.0, 21.0])
@pytest.mark.parametrize("affine", [None, np.diag([-0.8, 0.8, 1.5, 1])])
def test_a_sphere_is_cut_into_discs(distance, affine):
    """At a distance d of a sphere of radius R the plane shows a disc of radius sqrt(R^2 - d^2)."""
    volume = ball(affine=affine, shape=(80, 80, 50) if affine is not None else (60, 60, 60))
    view, depth = View(160, 160, radius=2), 60.0     # the fan begins near its corner and holds the whole disc
    matrix = turned(3, np.zeros(3))
    centre = np.array([3.0, -2.0, 5.0])
    matrix[0, :3, 3] = torch.from_numpy(centre) - 30 * matrix[0, :3, 1] + distance * matrix[0, :3, 2]
    hu, labels = Slicer(volume, view).planes(matrix, torch.tensor([depth]))
    x, y = in_the_plane(view, depth)
    r, expected = np.hypot(x, y - 30), np.sqrt(max(20.0**2 - distance**2, 0))
    found = labels[0, 0].numpy() == 3
    # Nearest voxels err by half their diagonal at the edge of the disc, and more in r where the sphere is grazed.
    slack = 1.1 * 20 / max(expected, 5)
    assert found[r < expected - slack].all() and not found[r > expected + slack].any()
    if expected:
        pixel = float(view.pixel_mm(torch.tensor(depth)))
        assert found.sum() * pixel**2 == pytest.approx(np.pi * expected**2, rel=0.03)
        assert np.abs(hu[0, 0].numpy()[r < expected - 2 * slack] - 50).max() < 0.01


def test_a_cube_cut_across_its_edge_is_a_rectangle():
    """A plane through the axis of a cube of side a, turned by 45 degrees, shows a rectangle of a by a sqrt(2)."""
    shape, half = (80, 80, 80), 12.0
    affine = np.eye(4)
    affine[:3, 3] = -39.5
    place = places(shape, affine)
    cube = (np.abs(place) < half).all(-1)
    volume = Volume(np.where(cube, 80, 0).astype(np.int16), affine, cube.astype(np.uint8), NAMES)
    view, depth = View(160, 160), 60.0
    across = np.array([1, 1, 0]) / np.sqrt(2)
    _, labels = Slicer(volume, view).planes(pose(across, [0, 0, 1.0], [0, 0, -30.0]), torch.tensor([depth]))
    x, y = in_the_plane(view, depth)
    found = labels[0, 0].numpy() == 1
    wide, high = np.abs(x) - half * np.sqrt(2), np.abs(y - 30) - half
    assert found[(wide < -0.8) & (high < -0.8)].all() and not found[(wide > 0.8) | (high > 0.8)].any()


@pytest.mark.parametrize(("right", "down"), [(0, 1), (1, 2), (2, 0), (1, 0)])
def test_right_angles_give_the_arrays_own_slices(right, down):
    """With pixels of the voxel's size and axes along the array's, a plane is a slice of the array, to the bit."""
    rng = np.random.default_rng(0)
    shape = (50, 50, 50)
    hu, labels = rng.integers(-900, 900, shape).astype(np.int16), rng.integers(0, 5, shape).astype(np.uint8)
    volume = Volume(hu, np.eye(4), labels, NAMES)
    view = View(24, 36, radius=12, half_angle=30)     # sin 30 = 1/2: at 24 mm depth a pixel is 1 mm
    assert float(view.pixel_mm(torch.tensor(24.0))) == pytest.approx(1)
    rest, = {0, 1, 2} - {right, down}
    origin = np.zeros(3)
    origin[right], origin[down], origin[rest] = 18 + 5 - 0.5, 0.15 * 12 + 7 - 0.5, 31     # first pixel on voxel (5, 7)
    got, found = Slicer(volume, view).planes(pose(np.eye(3)[right], np.eye(3)[down], origin), torch.tensor([24.0]))
    slab = np.moveaxis(hu, (down, right, rest), (0, 1, 2))[7:31, 5:41, 31]
    truth = np.moveaxis(labels, (down, right, rest), (0, 1, 2))[7:31, 5:41, 31]
    inside = view.inside(torch.tensor([24.0]))[0].numpy()
    assert inside.sum() > 300
    assert np.abs(got[0, 0].numpy() - slab)[inside].max() < 0.02 and (got[0, 0].numpy()[~inside] == AIR).all()
    assert np.array_equal(found[0, 0].numpy()[inside], truth[inside]) and not found[0, 0].numpy()[~inside].any()


def test_outside_the_volume_is_air_without_a_label():
    volume = Volume(np.full((20, 20, 20), 70, np.int16), np.eye(4), np.ones((20, 20, 20), np.uint8), NAMES)
    hu, labels = Slicer(volume, View(64, 160)).planes(pose([1, 0, 0], [0, 1, 0], [10, 10, 40]), torch.tensor([40.0]))
    assert (hu == AIR).all() and not labels.any()


def test_the_share_of_a_fan_beyond_the_volume():
    """A fan within the volume, one that lies half below it, one below it, whatever the batch."""
    shape, affine = (200, 200, 100), np.eye(4)
    affine[:3, 3] = -99.5, -99.5, 0.5     # upwards from 0 mm
    slicer = Slicer(Volume(np.zeros(shape, np.int16), affine, np.zeros(shape, np.uint8), NAMES), View(100, 261))
    poses = torch.cat([pose([1, 0, 0], [0, 1, 0], [0, 0, 50.0]), pose([0, 0, 1], [0, 1, 0], [0, 0, 0.0]),
                       pose([1, 0, 0], [0, 1, 0], [0, 0, -40.0])])
    assert slicer.outside(poses, torch.tensor([50.0, 45, 40])).tolist() == pytest.approx([0, 0.5, 1], abs=0.005)


@pytest.mark.slow
def test_a_plane_does_not_depend_on_its_batch_or_on_how_the_file_was_stored():
    volume = phantom.abdomen(1)
    stored = Volume(volume.hu[::-1].transpose(2, 0, 1), volume.affine @ np.array(
        [[0, -1, 0, volume.hu.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]),
        volume.labels[::-1].transpose(2, 0, 1), volume.label_names)
    poses, depth = candidates(volume, 20, 0), torch.linspace(40, 60, 20)
    hu, labels = Slicer(volume, View(48, 128)).planes(poses, depth)
    alone, _ = Slicer(volume, View(48, 128)).planes(poses[13:14], depth[13:14])
    torch.testing.assert_close(alone[0], hu[13], rtol=0, atol=0.05)
    again, others = Slicer(stored, View(48, 128)).planes(poses, depth)
    assert (again - hu).abs().max() < 0.5      # float32 voxel indices along other axes, at edges of 1000 HU
    assert (others == labels).float().mean() > 0.9999


def test_surface_of_a_ball():
    volume = ball(affine=np.diag([-0.8, 0.8, 1.5, 1]), shape=(80, 80, 50))
    points, normals = surface(volume, 4000, 0)
    way = points - [3.0, -2.0, 5.0]
    r = np.linalg.norm(way, axis=1)
    assert np.abs(r - 20).max() < 1.2
    assert np.sum(normals * way / r[:, None], axis=1).min() > np.cos(np.radians(6))
    octants = np.bincount((way > 0) @ [1, 2, 4], minlength=8)
    assert np.abs(octants - 500).max() < 4.5 * np.sqrt(500 * 7 / 8)     # even by area


def test_surface_ignores_holes_crumbs_and_the_volumes_edge():
    volume = ball()
    labels = volume.labels.copy()
    labels[28:32, 28:32, 28:32] = 0     # a hole
    labels[1:4, 1:4, 1:4] = 3           # a crumb
    cut = Volume(volume.hu[:, :, 25:], volume.affine, labels[:, :, 25:], NAMES)
    points, _ = surface(cut, 2000, 0)
    voxel = points - cut.affine[:3, 3]
    assert np.abs(np.linalg.norm(voxel - [29.5, 29.5, 4.5], axis=1) - 20).max() < 1.2
    with pytest.raises(ValueError, match="shows 0 voxels of stomach in one piece"):
        surface(Volume(volume.hu, volume.affine, volume.labels * 0, NAMES), 10, 0)
    with pytest.raises(ValueError, match="no label 'spleen': choose one of liver, pancreas, stomach, aorta"):
        surface(volume, 10, 0, "spleen")


def test_candidates_fill_the_cone():
    volume = ball()
    poses = candidates(volume, 3000, 5).numpy()
    points, normals = surface(volume, 3000, 5)
    turn, origin = poses[:, :3, :3], poses[:, :3, 3]
    assert np.abs(turn.transpose(0, 2, 1) @ turn - np.eye(3)).max() < 1e-9 and np.linalg.det(turn).min() > 0.999
    cosine = np.sum(turn[:, :, 1] * normals, axis=1)
    assert cosine.min() >= np.cos(np.radians(30)) - 1e-9
    assert cosine.mean() == pytest.approx((1 + np.cos(np.radians(30))) / 2, abs=0.003)    # evenly over the cap
    assert np.abs(np.linalg.norm(points - origin, axis=1) - WALL).max() < 1e-9
    assert np.linalg.norm(turn.mean(0)) < 0.1      # no way is preferred
    assert np.array_equal(poses[:50], candidates(volume, 3000, 5).numpy()[:50])
    assert not np.array_equal(poses, candidates(volume, 3000, 6).numpy())


@pytest.mark.parametrize(("height", "width", "scale"), [(200, 522, 1), (100, 261, 4)])
def test_the_rule_scales_with_the_area(height, width, scale):
    def plane(organ, bone, aorta=0):
        hu, labels = torch.zeros(1, 1, height * width), torch.zeros(1, 1, height * width, dtype=torch.uint8)
        labels[..., :organ], hu[..., -bone - aorta:] = 2, BONE + 1
        labels[..., hu.shape[2] - aorta:] = 4
        return kept(hu.view(1, 1, height, width), labels.view(1, 1, height, width), NAMES, "pancreas").item()

    assert plane(1000 // scale + 1, 1) and not plane(1000 // scale, 1)
    assert plane(5000, 49 // scale) and not plane(5000, -(-50 // scale))
    assert plane(5000, 1, aorta=300), "contrast medium in the aorta is no bone"


@pytest.fixture(scope="module")
def volumes():
    return {f"ct{seed}": phantom.abdomen(seed) for seed in (0, 1)}


@pytest.fixture(scope="module")
def slices(volumes):
    return Slices.find(volumes, "aorta", 7, View(48, 128), seed=3)


@pytest.mark.slow
def test_slices_show_the_organ_and_no_bone(slices, volumes):
    hu, labels = slices.planes(torch.arange(14))
    assert kept(hu, labels, volumes["ct0"].label_names, "aorta").all()
    tally = slices.tally
    assert tally.kept.tolist() == [7, 7] and (tally["meet the aorta"] <= tally.drawn).all()
    assert slices.cases.tolist() == [0] * 7 + [1] * 7 and 40 <= slices.depth.min() and slices.depth.max() <= 60


@pytest.mark.slow
def test_batches_are_cut_in_any_order(slices):
    whole = slices.images()
    batch = slices.batch(torch.tensor([9, 0, 13]))
    assert torch.equal(batch["image"], whole.images[[9, 0, 13]])
    assert torch.equal(batch["mask"], whole.masks[[9, 0, 13]]) and whole.groups.tolist() == slices.cases.tolist()
    assert torch.equal(slices[9:11].images().images, whole.images[9:11])
    assert slices[:5].sha256() != slices.sha256()


@pytest.mark.slow
def test_poses_are_saved_and_read_back(slices, volumes, tmp_path):
    slices.save(tmp_path / "poses.safetensors")
    again = Slices.load(tmp_path / "poses.safetensors", volumes)
    assert again.poses.shape == (14, 4, 4) and torch.equal(again.poses, slices.poses)
    assert again.sha256() == slices.sha256() and again.tally.equals(slices.tally)
    assert torch.equal(again.images().images, slices.images().images)
    with pytest.raises(ValueError, match="of the CT ct1, which is another among those given"):
        Slices.load(tmp_path / "poses.safetensors", volumes | {"ct1": volumes["ct0"]})
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"bad\.safetensors is damaged"):
        Slices.load(tmp_path / "bad.safetensors", volumes)


@pytest.mark.slow
def test_a_ct_without_the_organ_is_named(volumes):
    volume = volumes["ct0"]
    bare = Volume(volume.hu, volume.affine, np.where(volume.labels == 2, 0, volume.labels).astype(np.uint8),
                  volume.label_names)
    with pytest.raises(ValueError, match="CT bare: none of 4000 views .* shows enough pancreas"):
        Slices.find({"bare": bare}, "pancreas", 5, View(24, 64), seed=0)


def in_liver(shape):
    """A ball of stomach with liver on all sides, as far as the CT reaches."""
    volume = ball(shape, np.diag([4.0, 4, 4, 1]))
    return {"a": Volume(np.full(shape, 50, np.int16), volume.affine, np.maximum(volume.labels, 1), NAMES)}


@pytest.mark.slow
def test_planes_that_the_edge_of_the_ct_cuts_off_are_refused():
    view, slab = View(24, 64), in_liver((50, 50, 10))
    strict, lax = (Slices.find(slab, "liver", 20, view, seed=0, outside=limit) for limit in (0.2, 1.0))
    shares = [some.slicers["a"].outside(some.poses, some.depth) for some in (strict, lax)]
    assert len(strict) == len(lax) == 20 and shares[0].max() <= 0.2 < shares[1].max()
    whole = in_liver((50, 50, 50))     # every plane fits
    assert torch.equal(Slices.find(whole, "liver", 20, view, seed=0, outside=0.0).poses,
                       Slices.find(whole, "liver", 20, view, seed=0, outside=1.0).poses)
    with pytest.raises(ValueError,
                       match=r"CT a: none of 4000 .*\(4000 meet it; 4000 are refused since more than 40% of "
                             "the fan lies beyond its 48 x 48 x 48 mm"):
        Slices.find(in_liver((12, 12, 12)), "liver", 5, view, seed=0)


@pytest.mark.slow
def test_many_planes_are_drawn_in_lots():
    """As many planes as a large experiment wants come out of one CT, all different, and the first are the same."""
    slab = in_liver((50, 50, 6))
    few, many = (Slices.find(slab, "liver", n, View(12, 32), seed=0, outside=0.1) for n in (100, 800))
    assert len(many) > 400 and many.tally.drawn[0] > 4000 and len(many.poses.unique(dim=0)) == len(many)
    assert torch.equal(many.poses[:len(few)], few.poses) and torch.equal(many.depth[:len(few)], few.depth)


def test_window():
    hu = torch.tensor([-1000.0, -300, -100, 0, 300, 900])
    assert window(hu).tolist() == [0, 0, 85, 128, 255, 255]


def test_real_ct_gives_planes(real_data):
    from uslab.data import load

    ct = load("ct", real_data / "ct")["s0001"]
    found = Slices.find({"s0001": ct}, "liver", 8, View(48, 128), seed=0, card="ct", source="real")
    hu, labels = found.planes(torch.arange(8))
    liver = hu[labels == 1]
    assert len(found) == 8 and 40 < liver.median() < 150
