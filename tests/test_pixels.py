"""What a pixel means: every file becomes the grey levels that a viewer shows, and nothing is guessed."""

import importlib.util
import struct
from pathlib import Path

import made
import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from uslab.data import dicom, load
from uslab.data.files import read_grey, read_mask, whites


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("USLAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def sample(name: str):
    return Path(get_testdata_file(name, download=False))


# Ultrasound files that pydicom brings along; the means are those of the frames that the machines showed

def test_ybr_is_converted_once():
    frames = list(dicom.pictures(sample("examples_ybr_color.dcm"), every=15))
    assert len(frames) == 2 and frames[0].shape == (240, 320, 3)
    grey = np.array(Image.fromarray(frames[0]).convert("L"))
    assert grey.mean() == pytest.approx(9.49, abs=0.05) and grey.min() == 0
    with pytest.raises(ValueError, match=r"examples_ybr_color\.dcm holds 30 frames: .*uslab data import FOLDER"):
        read_grey(sample("examples_ybr_color.dcm"))


@pytest.mark.parametrize(("name", "mean"), [
    ("examples_palette.dcm", 19.44), ("examples_jpeg2k.dcm", 35.6), ("examples_rgb_color.dcm", 35.33)])
def test_palette_jpeg_2000_and_rgb_have_their_true_brightness(name, mean):
    grey, colour = read_grey(sample(name))
    assert grey.mean() == pytest.approx(mean, abs=0.3) and grey.min() == 0
    assert colour > 0


def test_a_missing_decoder_is_named():
    for name in ("JPEGLSNearLossless_08.dcm", "SC_rgb_jpeg_gdcm.dcm"):    # JPEG-LS, JPEG Lossless
        if importlib.util.find_spec("gdcm"):
            assert read_grey(sample(name))[0].any()
        else:
            with pytest.raises(ValueError, match=rf"{name} cannot be read.*: pip install 'uslab\[formats\]'$"):
                read_grey(sample(name))


# Windows, tables and shapes

def test_dicom_of_all_kinds_is_the_same_image(tmp_path):
    grey = made.scan(1)
    twelve = np.rint(grey * (4095 / 255)).astype(np.uint16)
    files = [made.dicom(tmp_path / "8.dcm", grey), made.dicom(tmp_path / "12.dcm", twelve, BitsStored=12),
             made.dicom(tmp_path / "inverse.dcm", 255 - grey, PhotometricInterpretation="MONOCHROME1"),
             made.dicom(tmp_path / "shape.dcm", 255 - grey, PresentationLUTShape="INVERSE"),
             made.dicom(tmp_path / "signed.dcm", grey.astype(np.int16) - 128, BitsStored=8, PixelRepresentation=1),
             made.dicom(tmp_path / "rgb.dcm", np.repeat(grey[..., None], 3, 2)),
             made.dicom(tmp_path / "IM000001", grey)]
    assert all(np.array_equal(read_grey(path)[0], grey) for path in files)
    images = load("folder", tmp_path, 64)
    assert len(images) == 7 and len(images.groups.unique()) == 1  # copies, so one group
    assert torch.equal(images.images[0], images.images[3])
    assert any("6 images are copies of others" in note for note in images.notes)


def test_the_window_and_the_rescale_of_a_dicom_are_applied(tmp_path):
    grey = made.scan(1)
    values = (grey.astype(np.int16) * 2 + 1000)      # shown by a window from 1000 to 1510 after 1 * x + 0
    path = made.dicom(tmp_path / "w.dcm", values, BitsStored=12, WindowCenter=1255.5, WindowWidth=511)
    assert np.abs(read_grey(path)[0].astype(int) - grey).max() <= 1
    path = made.dicom(tmp_path / "r.dcm", values, BitsStored=12, RescaleSlope=0.5, RescaleIntercept=-500,
                      RescaleType="US", WindowCenter=128, WindowWidth=256)
    assert np.abs(read_grey(path)[0].astype(int) - grey).max() <= 1
    # Without a window the range is that of the bits, whatever the brightest pixel.
    path = made.dicom(tmp_path / "n.dcm", values, BitsStored=12)
    assert np.array_equal(read_grey(path)[0], np.rint(values * (255 / 4095)).astype(np.uint8))


def test_a_voi_table_is_applied(tmp_path):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 8])
    table.add_new("LUTData", "US", list(range(255, -1, -1)))
    path = made.dicom(tmp_path / "v.dcm", made.scan(1), VOILUTSequence=Sequence([table]))
    assert np.array_equal(read_grey(path)[0], 255 - made.scan(1))


def test_dicom_films_and_damaged_dicom_are_named(tmp_path):
    path = made.dicom(tmp_path / "film.dcm", np.stack([made.scan(1)] * 2).reshape(240, 160), Rows=120,
                      NumberOfFrames=2)
    with pytest.raises(ValueError, match=r"film\.dcm holds 2 frames: write those that you want"):
        load("folder", tmp_path)
    path = made.dicom(tmp_path / "film.dcm", made.scan(1))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"film\.dcm cannot be read as a DICOM image"):
        read_grey(path)


def region(**changes):
    part = Dataset()
    values = {"RegionSpatialFormat": 1, "RegionDataType": 1, "RegionLocationMinX0": 20, "RegionLocationMinY0": 10,
              "RegionLocationMaxX1": 139, "RegionLocationMaxY1": 109, "PhysicalUnitsXDirection": 3,
              "PhysicalUnitsYDirection": 3, "PhysicalDeltaX": 0.02, "PhysicalDeltaY": 0.02}
    for name, value in (values | changes).items():
        setattr(part, name, value)
    return Sequence([part])


def test_the_region_of_a_dicom_is_the_crop_and_gives_millimetres(tmp_path):
    made.dicom(tmp_path / "r.dcm", made.scan(1), SequenceOfUltrasoundRegions=region(), BurnedInAnnotation="YES")
    images = load("folder", tmp_path, size=60)
    row = images.table.iloc[0]
    assert row.cropped == pytest.approx(1 - 120 * 100 / (160 * 120), abs=0.02)
    assert row.pixel_mm == pytest.approx(0.2 * 120 / 60, rel=0.02)      # 120 pixels of 0.2 mm on 60
    assert any("text of the patient is burnt into the pixels: r.dcm" in note for note in images.notes)
    # Pixels that are twice as high as wide come out square.
    made.dicom(tmp_path / "r.dcm", made.scan(1), SequenceOfUltrasoundRegions=region(PhysicalDeltaY=0.04))
    height, width = 200, 120
    fan = load("folder", tmp_path, size=200).images[0, 0] > 0
    assert fan.any(1).sum() == pytest.approx(height, abs=4) and fan.any(0).sum() == pytest.approx(width, abs=4)


def test_a_region_beyond_the_image_calibrates_nothing():
    """pydicom's examples were made smaller, and their headers were not told."""
    facts = dicom.facts(sample("examples_palette.dcm"))
    assert facts.box is None and np.isnan(facts.pixel_mm).all() and "not calibrated" in facts.notes[0]
    assert "its header tells" in facts.notes[-1] and "PatientID" in facts.notes[-1]
    assert facts.patient and facts.patient not in repr(facts.notes)


# Pictures of more than 8 bits

def test_deep_pictures_have_one_range_for_a_folder(tmp_path):
    grey = made.scan(1)
    paths = [made.save(tmp_path / f"{name}.tif", np.rint(grey * float(factor)).astype(np.uint16))
             for name, factor in (("full", 257), ("half", 128.5), ("dark", 25.7))]
    made.save(tmp_path / "white.png", np.full((120, 160), 65535, np.uint16))
    white = whites(tmp_path.iterdir())
    assert white == {"I": 65535}
    shown = [read_grey(path, white)[0].astype(int) for path in paths]
    assert np.array_equal(shown[0], grey) and np.abs(shown[1] - grey / 2).max() <= 1
    assert np.abs(shown[2] - grey / 10).max() <= 1      # the gain of each is seen


def test_one_pixel_more_does_not_halve_an_image(tmp_path):
    grey = made.scan(1)
    twelve = np.rint(grey * (4095 / 255)).astype(np.uint16)
    twelve[0, :2] = 4095, 4096
    made.save(tmp_path / "a.tif", twelve)
    made.save(tmp_path / "b.tif", twelve // 2)
    with pytest.raises(ValueError, match=r"a\.tif reaches the level 4096, and nothing says which level is white"):
        load("folder", tmp_path)
    (tmp_path / "labels.csv").write_text("file,white\na.tif,4095\nb.tif,4095\n")
    images = load("folder", tmp_path, 160).images[:, 0].numpy().astype(int)
    lit = images[1] > 0
    assert np.abs(images[0][lit] - 2 * images[1][lit]).max() <= 3
    assert np.abs(images[0][20:140] - grey)[2:].mean() < 1.5
    (tmp_path / "labels.csv").write_text("file,white\na.tif,4095\nb.tif,1023\n")
    with pytest.raises(ValueError, match=r"states 4095, 1023 as white: one level holds for a whole folder"):
        load("folder", tmp_path)
    (tmp_path / "labels.csv").write_text("file,white\na.tif,4095\nb.tif,\n")
    with pytest.raises(ValueError, match=r"white of 'b\.tif' is not a positive number"):
        load("folder", tmp_path)


def test_floats_of_both_ranges_are_told_apart(tmp_path):
    grey = made.scan(1)
    for white in (1, 255):
        path = made.save(tmp_path / f"{white}.tif", (grey * (white / 255)).astype(np.float32))
        assert np.array_equal(read_grey(path)[0], grey)
    # In one folder there is one range, so what is 0 to 1 beside 0 to 255 is nearly black and says so.
    with pytest.raises(ValueError, match=r"1\.tif: the image is black"):
        load("folder", tmp_path)
    for values in (-grey.astype(np.float32), np.full((120, 160), np.nan, np.float32)):
        with pytest.raises(ValueError, match=r"n\.tif holds negative or undefined grey levels"):
            read_grey(made.save(tmp_path / "n.tif", values))
    with pytest.raises(ValueError, match=r"n\.tif reaches the level 4000, and nothing says which level is white"):
        read_grey(made.save(tmp_path / "n.tif", np.full((120, 160), 4000, np.float32)))


def test_a_tiff_of_12_bits_states_its_white(tmp_path):
    values = np.arange(0, 4096, 2, dtype=np.uint16).reshape(32, 64)
    pairs = values.reshape(-1, 2).astype(int)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    tags = {256: 64, 257: 32, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 32, 279: packed.size}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "12.tif").write_bytes(
        struct.pack("<2sHI", b"II", 42, 8 + packed.size) + packed.astype(np.uint8).tobytes()
        + struct.pack("<H", len(tags)) + directory + bytes(4))
    assert np.array_equal(read_grey(tmp_path / "12.tif")[0], np.rint(values * (255 / 4095)).astype(np.uint8))


def test_a_tiff_whose_white_is_0_is_turned(tmp_path):
    grey = made.scan(1)
    Image.fromarray(grey).save(tmp_path / "8.tif", tiffinfo={262: 0})       # which Pillow turns itself
    Image.fromarray(65535 - grey.astype(np.uint16) * 257).save(tmp_path / "16.tif", tiffinfo={262: 0})
    for name in ("8.tif", "16.tif"):
        assert Image.open(tmp_path / name).tag_v2[262] == 0
        assert np.array_equal(read_grey(tmp_path / name)[0], grey), name


# Pictures

def test_a_photograph_stands_upright(tmp_path):
    grey = made.scan(1)
    exif = Image.Exif()
    exif[0x0112] = 6        # turn by 90 degrees clockwise
    Image.fromarray(np.rot90(grey).copy()).save(tmp_path / "p.png", exif=exif)
    assert np.array_equal(read_grey(tmp_path / "p.png")[0], grey)


def test_pages_are_refused_and_reduced_copies_are_not(tmp_path):
    first, second = (Image.fromarray(made.scan(seed)) for seed in (1, 2))
    path = tmp_path / "p.tif"
    first.save(path, save_all=True, append_images=[second])
    with pytest.raises(ValueError, match=r"p\.tif holds 2 pages: write those that you want"):
        load("folder", tmp_path)
    small = second.resize((40, 30))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    first.save(path, save_all=True, append_images=[small])
    assert Image.open(path).n_frames == 2 and np.array_equal(read_grey(path)[0], made.scan(1))


def test_colour_doppler_is_reported(tmp_path):
    rgb = np.repeat(made.scan(1)[..., None], 3, 2)
    rgb[:60, :40] = (200, 0, 0)
    made.save(tmp_path / "flow.png", rgb)
    made.save(tmp_path / "grey.png", made.scan(2))
    notes = load("folder", tmp_path, 64).notes
    assert any(note.startswith("1 of 2 images have colour, as colour Doppler does") and "flow.png" in note
               for note in notes)
    assert not any("colour" in note for note in load("folder", made.save(tmp_path / "g/1.png", made.scan(3)).parent, 64)
                   .notes)


# Masks

def test_masks_of_any_two_levels_have_their_structure(tmp_path):
    disc = made.disc() > 0
    for name, mask in (("01", disc.astype(np.uint8)), ("0 and 255", disc * np.uint8(255)), ("bool", disc),
                       ("16", disc.astype(np.uint16)), ("grey", disc * np.uint8(90)), ("float", disc * np.float32(1))):
        path = made.save(tmp_path / f"{name}.tif", mask)
        assert np.array_equal(read_mask(path, (120, 160)), disc), name
    Image.fromarray(made.disc()).save(tmp_path / "lossy.jpg", quality=60)
    assert np.abs(read_mask(tmp_path / "lossy.jpg", (120, 160)) - disc.astype(int)).mean() < 0.002
    with pytest.raises(ValueError, match=r"several\.png holds the levels 1, 2: a mask is of one structure"):
        read_mask(made.save(tmp_path / "several.png", disc + (made.disc(radius=9) > 0).astype(np.uint8)), (120, 160))
    assert not read_mask(made.save(tmp_path / "none.png", 0 * made.disc()), (120, 160)).any()
