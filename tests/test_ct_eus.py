"""The readers of CT and of endoscopic ultrasound, on hand-made files and on real CT."""

import shutil

import made
import nibabel
import numpy as np
import pytest
from PIL import Image

from uslab.data import load

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def body():
    """HU and masks of four boxes in a (12, 10, 8) volume, axes right, anterior, superior."""
    hu = np.full((12, 10, 8), -100, np.int16)
    masks = {}
    for i, organ in enumerate(("liver", "pancreas", "stomach", "aorta")):
        masks[organ] = np.zeros(hu.shape, np.uint8)
        masks[organ][2 + 2 * i:4 + 2 * i, 3:6, 2:7] = 1
        hu[masks[organ] > 0] = 40 + 10 * i
    return hu, masks


def write(path, values, affine=AFFINE, axes="RAS"):
    """Save a volume given in RAS with its voxels stored along other axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(axes))
    nibabel.save(image.as_reoriented(turn), path)


def totalsegmentator(root, axes="RAS", mask_axes="RAS"):
    hu, masks = body()
    case = root / "Totalsegmentator_dataset_small_v201" / "s0007"
    write(case / "ct.nii.gz", hu, axes=axes)
    for organ, mask in masks.items():
        write(case / "segmentations" / f"{organ}.nii.gz", mask, axes=mask_axes)
    return case


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SRA"])
@pytest.mark.parametrize("mask_axes", ["RAS", "PIR"])
def test_ct_and_masks_meet_in_any_orientation(tmp_path, axes, mask_axes):
    totalsegmentator(tmp_path, axes, mask_axes)
    cases = load("ct", tmp_path)
    assert cases.names == ("s0007",) and len(cases) == 1
    ct = cases[0]
    hu, masks = body()
    assert ct.label_names == ("background", "liver", "pancreas", "stomach", "aorta")
    assert np.array_equal(ct.hu, hu) and ct.hu.dtype == np.int16
    assert np.allclose(ct.affine, AFFINE)
    assert all(np.array_equal(ct.labels == i, mask > 0) for i, mask in enumerate(masks.values(), 1))


def test_btcv_numbers_become_the_same_labels(tmp_path):
    hu, masks = body()
    numbers = sum(mask * number for mask, number in zip(masks.values(), (6, 11, 7, 8))).astype(np.uint8)
    numbers[0, 0, 0] = 1  # spleen: not used here
    write(tmp_path / "img" / "img0035.nii.gz", hu, axes="LAS")
    write(tmp_path / "label" / "label0035.nii.gz", numbers, axes="LAS")
    ct = load("ct", tmp_path)["0035"]
    assert np.array_equal(ct.labels, sum(i * mask for i, mask in enumerate(masks.values(), 1)))


@pytest.mark.parametrize(("damage", "error", "message"), [
    (lambda case: (case / "segmentations/liver.nii.gz").unlink(), FileNotFoundError,
     r"liver\.nii\.gz is missing: a CT without its labels"),
    (lambda case: (case / "ct.nii.gz").unlink(), FileNotFoundError, r"holds no <case>/ct\.nii\.gz and no img/"),
    (lambda case: (case / "ct.nii.gz").write_bytes((case / "ct.nii.gz").read_bytes()[:90]), ValueError,
     r"ct\.nii\.gz cannot be read as NIfTI"),
    (lambda case: write(case / "segmentations/aorta.nii.gz", np.zeros((12, 10, 7), np.uint8)), ValueError,
     r"aorta\.nii\.gz covers \(12, 10, 7\) voxels"),
    (lambda case: write(case / "segmentations/aorta.nii.gz", np.zeros((12, 10, 8), np.uint8), AFFINE + np.eye(4, k=3)),
     ValueError, r"at \[1\.0, 0\.0, 0\.0\] mm, its CT .* belong to different scans"),
    (lambda case: write(case / "ct.nii.gz", np.zeros((12, 10, 8, 2), np.int16)), ValueError, r"is \(12, 10, 8, 2\)"),
])
def test_ct_names_what_is_damaged(tmp_path, damage, error, message):
    damage(totalsegmentator(tmp_path))
    with pytest.raises(error, match=message):
        load("ct", tmp_path)[0]


def test_a_bit_that_flipped_in_an_archive_is_found(tmp_path):
    path = totalsegmentator(tmp_path) / "ct.nii.gz"
    whole, first = path.read_bytes(), load("ct", tmp_path)[0]
    rng, refused = np.random.default_rng(0), 0
    for place in rng.choice(np.arange(20, len(whole)), 60, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            same = np.array_equal(load("ct", tmp_path)[0].hu, first.hu)
        except ValueError as error:
            assert str(error).startswith(f"{path} cannot be read as NIfTI")
            refused += 1
        else:
            assert same
    assert refused > 50     # the rest hit the name in the header


def test_a_second_archive_and_labels_without_a_ct_are_named(tmp_path):
    case = totalsegmentator(tmp_path)
    shutil.copytree(case.parent, tmp_path / "second")
    assert "left out: second/s0007/ct.nii.gz" in repr(load("ct", tmp_path))
    shutil.rmtree(tmp_path / "second")
    for name in ("img/img0035", "label/label0035", "label/label0036"):
        write(tmp_path / "btcv" / f"{name}.nii.gz", body()[0])
    assert "1 CT: 0035; left out: label/label0036.nii.gz" in repr(load("ct", tmp_path / "btcv"))


def test_folders_without_a_ct_are_named_and_large_values_do_not_wrap(tmp_path):
    case = totalsegmentator(tmp_path)
    (case.parent / "s0009").mkdir()
    assert "left out: s0009" in repr(load("ct", tmp_path))
    hu = body()[0].astype(np.int32)
    hu[0, 0, 0] = 40000
    write(case / "ct.nii.gz", hu)
    assert load("ct", tmp_path)[0].hu[0, 0, 0] == 40000


def test_ct_on_real_volumes(real_data):
    cases = load("ct", real_data / "ct")
    assert cases.names == ("s0001", "s0002")
    for ct in cases:
        voxel = np.abs(np.linalg.det(ct.affine[:3, :3])) / 1000
        hu = {name: float(np.median(ct.hu[ct.labels == i])) for i, name in enumerate(ct.label_names) if i}
        assert 20 < hu["aorta"] < 400 and 40 < hu["liver"] < 150 and -50 < hu["pancreas"] < 150
        assert (ct.labels == 1).sum() * voxel > 50  # millilitres of liver
        # The liver lies to the patient's right of the stomach, where the first coordinate is larger.
        right = [(ct.affine @ [*np.argwhere(ct.labels == i).mean(0), 1])[0] for i in (1, 3)]
        assert right[0] > right[1]
    with pytest.raises(ValueError, match="size=64: a CT keeps its voxels"):
        load("ct", real_data / "ct", size=64)


def lepset(root):
    for i, place in enumerate(("labeled/NPC/001/a.png", "labeled/NPC/001/b.png", "labeled/NPC/002/a.png",
                               "labeled/PC/001/a.jpg", "unlabeled/x.png", "unlabeled/y.png")):
        made.save(root / place, made.scan(i))
    return root


def test_lepset_keeps_patients_of_both_classes_apart(tmp_path):
    frames = load("eus", lepset(tmp_path), size=64)
    assert frames.classes == ("NPC", "PC", "unlabeled") and frames.labels.tolist() == [0, 0, 0, 1, 2, 2]
    names = [frames.group_names[group] for group in frames.groups]
    assert names == ["NPC/001", "NPC/001", "NPC/002", "PC/001", "unlabeled", "unlabeled"]
    assert frames.table.file[0] == "labeled/NPC/001/a.png"


def test_folders_of_frames_are_patients(tmp_path):
    for place in ("anna/1.png", "anna/2.png", "berta/1.png"):
        made.save(tmp_path / place, made.scan(len(place)))
    frames = load("eus", tmp_path, size=64)
    assert frames.labels is None and frames.groups.tolist() == [0, 0, 1]
    made.save(tmp_path / "loose.png", made.scan(1))
    with pytest.raises(ValueError, match=r"loose\.png lies in no patient's folder, nor do 0 more"):
        load("eus", tmp_path)


def strips(root, shape=(200, 522)):
    """Sixty frames of five patients, as the paper's were after their crop: dark corners and a dark lower edge."""
    rows, columns = np.indices(shape)
    outside = rows < np.abs(columns - shape[1] / 2) / 4 - 20
    for patient in range(5):
        for i in range(12):
            frame = np.where(outside, 0, made.scan(patient, *shape, speckle=i))
            frame[shape[0] - 1 - i:] = 0
            made.save(root / f"EUS{patient + 1}" / f"{i:02}.png", frame.astype(np.uint8))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("crop", ["patient", "none"])
def test_frames_that_were_cropped_before_are_taken_as_they_are(tmp_path, crop):
    frames = load("eus", strips(tmp_path), crop=crop)
    assert frames.images.shape == (60, 1, 200, 522) and (frames.table.scale == 1).all()
    assert (frames.table.cropped == 0).all() and frames.groups.bincount().tolist() == [12] * 5
    assert np.array_equal(frames.images[13, 0], np.array(Image.open(tmp_path / frames.table.file[13])))
    half = load("eus", tmp_path, size=261, crop=crop)
    assert half.images.shape == (60, 1, 100, 261) and (half.table.scale == 2).all()
    with pytest.raises(ValueError, match="crop is 'fan': choose one of each, patient, none"):
        load("eus", tmp_path, crop="fan")


def test_frames_of_one_patient_are_cropped_to_one_scale(tmp_path):
    """A frame of which less is lit has the same millimetres a pixel as the others of its patient."""
    for patient, width in (("anna", 160), ("berta", 120)):
        for i, dark in enumerate((0, 30, 50)):
            frame = np.zeros((150, 240), np.uint8)
            frame[10:130, 20:20 + width - dark] = made.scan(i, 120, width - dark)
            made.save(tmp_path / patient / f"{i}.png", frame)
    frames = load("eus", tmp_path, size=80)
    scales = frames.table.groupby(frames.groups.numpy()).scale.agg(["nunique", "first"])
    assert scales["nunique"].tolist() == [1, 1] and scales["first"].tolist() == pytest.approx([2, 1.5], rel=0.03)
    alone = load("eus", tmp_path, size=80, crop="each")
    assert alone.table.scale.nunique() > 2


def test_a_half_lepset_is_refused(tmp_path):
    lepset(tmp_path)
    for path in sorted((tmp_path / "labeled" / "PC").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "labeled" / "PC").rmdir()
    with pytest.raises(FileNotFoundError, match="PC is not a folder: ask for LEPset"):
        load("eus", tmp_path)
