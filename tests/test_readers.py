"""The readers of BUSI, MMOTU, NAFLD and of anyone's own folder, on hand-made files and on real images."""

import shutil
import unicodedata

import cv2
import made
import numpy as np
import pytest
import torch
from PIL import Image

import uslab.phantom
from uslab.data import load, mmotu
from uslab.data.overlays import burnt_in, crosses, lone
from uslab.data.prepare import frame

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    """A function that loads a real set once for the whole file."""
    sets = {}

    def load_once(name):
        if name not in sets:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("USLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
                sets[name] = load(name, real_data / name, size=128)
        return sets[name]

    return load_once


# Preparation

def test_text_and_callipers_are_painted_over_and_tissue_is_not():
    clean = made.scan(3, 240, 320)
    assert burnt_in(clean).mean() == 0
    marked = cv2.putText(clean.copy(), "LT UOQ", (120, 200), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
    for place in ((60, 60), (200, 100)):
        cv2.drawMarker(marked, place, 255, cv2.MARKER_CROSS, 9, 1)
    changed = cv2.absdiff(marked, clean) > 30
    found = burnt_in(marked)
    assert found[changed].mean() > 0.9 and found.mean() < 0.015
    painted = frame(marked)
    assert painted.overlay == pytest.approx(found.mean(), abs=1e-4)
    left, drawn = (np.abs(image.astype(int) - clean)[changed].mean() for image in (painted.image, marked))
    assert left < 0.3 * drawn


def test_a_callipers_number_and_dotted_line_go_with_its_marks():
    clean = made.scan(3, 240, 320)
    marked = clean.copy()
    for x in range(80, 220, 4):
        cv2.circle(marked, (x, round(60 + (x - 70) * 0.4)), 1, 235, cv2.FILLED)
    for place in ((70, 60), (230, 124)):
        cv2.drawMarker(marked, place, 255, cv2.MARKER_CROSS, 9, 1)
    cv2.putText(marked, "1", (52, 58), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1, cv2.LINE_AA)
    changed = cv2.absdiff(marked, clean) > 40
    found = burnt_in(marked)
    assert found[changed].mean() > 0.9 and found.mean() < 0.02


@pytest.mark.parametrize("glyph", ["R", "2", "+", "arrow"])
def test_a_sharp_glyph_that_stands_alone_on_calm_ground_is_painted_over(glyph):
    clean = np.minimum(made.scan(3, 240, 320) // 2, 60)     # dark and calm ground
    marked = clean.copy()
    if glyph == "arrow":
        cv2.fillPoly(marked, [np.array([(150, 120), (157, 125), (150, 131)])], 255)
    elif glyph == "+":
        cv2.drawMarker(marked, (150, 120), 255, cv2.MARKER_CROSS, 9, 1)
    else:
        cv2.putText(marked, glyph, (150, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    changed = cv2.absdiff(marked, clean) > 60
    found = burnt_in(marked)
    assert found[changed].mean() > 0.9 and found.sum() < 7 * changed.sum()
    # With soft edges, on tissue, it may be tissue.
    tissue = made.scan(3, 240, 320)
    soft = cv2.GaussianBlur(np.float32(changed), (0, 0), 3)
    assert not burnt_in(np.maximum(tissue, np.round(255 * soft / soft.max())).astype(np.uint8)).any()


@pytest.mark.slow
@pytest.mark.parametrize("scene", uslab.phantom.SCENES)
def test_no_bright_spot_of_a_phantom_is_a_lone_glyph(scene):
    images = uslab.phantom.load(scene, 6, 256, seed=8).images[:, 0].numpy()
    for image in images:
        contrast = cv2.subtract(image, cv2.medianBlur(image, 15))
        assert not lone(image, ((contrast > 60) & (image > 130)).astype(np.uint8), 256).any()


@pytest.mark.slow
def test_streaks_and_the_array_of_an_ovary_are_no_callipers():
    """Rings of the array beside the black outside the fan, and bright streaks, cross as the arms of a mark do."""
    for image in uslab.phantom.load("ovary", 22, 256).images[:, 0].numpy():
        assert not crosses(image, cv2.subtract(image, cv2.medianBlur(image, 15)), 256)


def test_layers_of_tissue_are_no_text():
    layers = made.scan(4, 240, 320)
    for y in range(20, 220, 14):  # bright, thin, broken in depth's direction only
        for x in range(10, 300, 37):
            cv2.line(layers, (x, y), (x + 28, y + 1), 235, 2)
    assert burnt_in(layers).mean() < 0.002


def test_a_lesion_is_never_cropped_away():
    image = made.scan(5)
    image[70:] = 0
    keep = made.disc(centre=(80, 95), radius=10) > 0
    prepared = frame(image, keep)
    assert prepared.box[0].stop == 106 and keep[prepared.box].sum() == keep.sum()
    assert prepared.cropped == pytest.approx(1 - 106 / 120, abs=0.02)


# BUSI

def test_busi_merges_masks_and_keeps_classes(tmp_path):
    breasts = load("busi", made.busi(tmp_path), size=160)
    assert breasts.classes == ("benign", "malignant", "normal") and breasts.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert breasts.table.file.tolist() == ["benign (1).png", "benign (2).png", "benign (3).png", "malignant (1).png",
                                           "malignant (2).png", "normal (1).png"]
    areas = breasts.masks.sum((1, 2, 3)).tolist()
    assert areas[:2] == pytest.approx([np.pi * 400] * 2, rel=0.05)
    assert areas[2] == pytest.approx(np.pi * 500, rel=0.05) and areas[5] == 0
    assert any("1 images with several lesion masks" in note for note in breasts.notes)
    assert load("busi", tmp_path / "Dataset_BUSI_with_GT", size=160).sha256() == breasts.sha256()


def test_copies_share_a_group_and_so_never_part(tmp_path):
    base = made.busi(tmp_path) / "Dataset_BUSI_with_GT"
    copy = cv2.resize(made.scan(1), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)[4:, 5:]
    made.save(base / "malignant" / "malignant (3).png", copy)
    made.save(base / "malignant" / "malignant (3)_mask.png", made.disc(*copy.shape))
    made.save(base / "malignant" / "malignant (4).png", made.scan(1, speckle=9))
    made.save(base / "malignant" / "malignant (4)_mask.png", made.disc())
    breasts = load("busi", tmp_path, size=160)
    groups = dict(zip(breasts.table.file, breasts.groups.tolist()))
    assert groups["benign (1).png"] == groups["malignant (3).png"]
    assert len(set(groups.values())) == 7
    assert any("no patient ids" in note and "1 pairs" in note for note in breasts.notes)


@pytest.mark.parametrize(("damage", "error", "message"), [
    (lambda base: shutil.rmtree(base / "normal"), FileNotFoundError, "normal is not a folder: unpack Dataset_BUSI"),
    (lambda base: (base / "benign/benign (2)_mask.png").unlink(), FileNotFoundError,
     r"benign \(2\)_mask\.png is missing, and 0 more"),
    (lambda base: (base / "benign/benign (2).png").unlink(), FileNotFoundError, r"benign \(2\)\.png is missing"),
    (lambda base: made.save(base / "benign/photo.png", made.scan(1)), ValueError, "photo.png is no BUSI file name"),
    (lambda base: made.save(base / "benign/benign (1)_mask.png", made.disc(60, 80)), ValueError,
     r"benign \(1\)_mask\.png is \(60, 80\), its image \(120, 160\)"),
    (lambda base: [made.save(base / f"normal/normal (1){mask}.png", 0 * made.disc()) for mask in ("", "_mask")],
     ValueError, r"normal \(1\)\.png: the image is black"),
    (lambda base: made.save(base / "benign/benign (1)_mask.png", 0 * made.disc()), ValueError,
     r"benign \(1\)_mask\.png is empty, but its image has a lesion"),
    (lambda base: made.save(base / "normal/normal (1)_mask.png", made.disc()), ValueError,
     r"normal \(1\)_mask\.png shows a lesion, but its image is normal"),
    (lambda base: made.save(base / "benign/benign (01).PNG", made.scan(9)), ValueError,
     r"benign \(1\)\.png and benign \(01\)\.PNG are one image twice"),
    (lambda base: made.save(base / "benign/benign (1).png", made.scan(1)[:16, :20]) and
     made.save(base / "benign/benign (1)_mask.png", made.disc()[:16, :20]), ValueError, "has only 20x16 pixels"),
    (lambda base: [made.save(base / f"normal/normal (2){name}.png", image)
                   for name, image in (("", made.scan(2, 700, 800)), ("_mask", 0 * made.disc(700, 800)))]
     + [made.save(base / f"normal/normal (3){name}.png", image)
        for name, image in (("", made.scan(2, 35, 40)), ("_mask", 0 * made.disc(35, 40)))],
     ValueError, r"normal \(3\)\.png has 40x35 pixels, the others about 160"),
])
def test_busi_names_what_is_damaged(tmp_path, damage, error, message):
    base = made.busi(tmp_path) / "Dataset_BUSI_with_GT"
    damage(base)
    with pytest.raises(error, match=message):
        load("busi", tmp_path)


def test_masks_of_0_and_1_and_files_in_capitals_are_read_and_the_rest_is_counted(tmp_path):
    base = made.busi(tmp_path) / "Dataset_BUSI_with_GT"
    before = load("busi", tmp_path, size=160)
    for path in [*base.rglob("*_mask.png")]:
        made.save(path, np.array(Image.open(path)) // 255)
    for path in [*base.rglob("benign*.png")]:
        path.rename(path.with_suffix(".PNG"))
    (base / "notes.txt").write_text("...")
    made.save(base / "more" / "1.png", made.scan(1))
    after = load("busi", tmp_path, size=160)
    assert torch.equal(after.masks, before.masks) and torch.equal(after.images, before.images)
    assert "left out: 1 .png, 1 .txt, such as notes.txt" in after.notes
    assert not any("left out" in note for note in before.notes)


@pytest.mark.slow
def test_busi_on_real_images(real, real_data):
    breasts = real("busi")
    files = [path for path in (real_data / "busi").rglob("*.png") if "_mask" not in path.name]
    assert len(breasts) == len(files)
    lesions = breasts.masks.flatten(1).any(1)
    assert (lesions == (breasts.labels != 2)).all()  # every lesion survives the crop; normal breasts have none
    assert breasts.table.overlay.gt(0).mean() == pytest.approx(0.27, abs=0.08)
    # 4 to 9 are frames of one sweep; all of them are one group, as far as they are in this copy.
    sweep = breasts.groups[breasts.table.file.isin([f"malignant ({i}).png" for i in range(4, 10)]).to_numpy().copy()]
    assert len(sweep) > 2 and len(set(sweep.tolist())) == 1


# MMOTU

def test_mmotu_reads_classes_splits_and_palette_masks(tmp_path):
    ovaries = load("mmotu", made.mmotu(tmp_path), size=160)
    assert ovaries.table.file.tolist() == ["1.JPG", "4.JPG", "2.JPG"]
    assert ovaries.table.split.tolist() == ["train", "train", "val"]
    assert [ovaries.classes[label] for label in ovaries.labels] == ["teratoma", "normal ovary", "high-grade serous"]
    assert [int(mask.max()) for mask in ovaries.masks] == [1, 2, 1]
    assert ovaries.mask_names == ("background", "lesion", "ovary")


def test_full_colour_masks_are_read_like_palette_masks(tmp_path):
    before = load("mmotu", made.mmotu(tmp_path), size=160).masks
    for path in (tmp_path / "OTU_2d" / "annotations").iterdir():
        Image.open(path).convert("RGB").save(path)
    assert torch.equal(load("mmotu", tmp_path, size=160).masks, before)


def test_follicles_are_derived_and_called_so(tmp_path):
    derived = mmotu.derived_follicles(load("mmotu", made.mmotu(tmp_path), size=160))
    assert len(derived) == 1 and derived.mask_names[3] == "follicle (derived)"
    assert any("derived" in note for note in derived.notes)
    truth = np.zeros((120, 160), np.uint8)
    cv2.circle(cv2.circle(truth, (75, 55), 5, 1, -1), (90, 65), 6, 1, -1)
    found = derived.masks[0, 0, 20:140].numpy() == 3
    assert 2 * (found & (truth > 0)).sum() / (found.sum() + truth.sum()) > 0.75
    plain = made.scan(9)
    assert mmotu.dark_blobs(plain, made.disc() > 0).sum() < 0.2 * (made.disc() > 0).sum()


@pytest.mark.parametrize(("damage", "error", "message"), [
    (lambda base: (base / "val_cls.txt").unlink(), FileNotFoundError, "val_cls.txt is missing: unpack OTU_2d.zip"),
    (lambda base: (base / "images/4.JPG").unlink(), FileNotFoundError, r"4\.JPG is missing, but train_cls.txt lists"),
    (lambda base: (base / "val_cls.txt").write_text("2.JPG  8\n"), ValueError,
     "val_cls.txt, line 1: '2.JPG  8' is not"),
    (lambda base: (base / "val_cls.txt").write_text("1.JPG  2\n"), ValueError,
     "1.JPG is listed twice in train and val"),
    (lambda base: shutil.copy(base / "annotations/1.PNG", base / "annotations/2.PNG"), ValueError,
     r"2\.PNG holds the colour \(0, 0, 64\), but its class, high-grade serous, has \(0, 0, 128\)"),
    (lambda base: made.save(base / "annotations/1.PNG", made.disc(60, 80)), ValueError, r"1\.PNG is \(60, 80\), its"),
    (lambda base: made.save(base / "annotations/1.PNG", 0 * made.disc()), ValueError,
     r"1\.PNG is empty, but its image is one of teratoma"),
    (lambda base: (base / "val_cls.txt").write_bytes(b"\xe9.JPG  2\n"), ValueError,
     r"val_cls\.txt cannot be read as a table \(byte 1 is not UTF-8\)"),
    (lambda base: (base / "val_cls.txt").write_text("1.jpg  2\n"), ValueError, "1.jpg is listed twice"),
])
def test_mmotu_names_what_is_damaged(tmp_path, damage, error, message):
    damage(made.mmotu(tmp_path) / "OTU_2d")
    with pytest.raises(error, match=message):
        load("mmotu", tmp_path)


@pytest.mark.slow
def test_mmotu_on_real_images(real, real_data):
    ovaries = real("mmotu")
    lines = [line.split() for split in ("train", "val")
             for line in (real_data / "mmotu" / "OTU_2d" / f"{split}_cls.txt").read_text().splitlines()]
    assert ovaries.table.file.tolist() == [file for file, _ in lines]
    assert ovaries.labels.tolist() == [int(label) for _, label in lines]
    normal = ovaries.labels == mmotu.NORMAL
    kinds = [set(ovaries.masks[chosen].unique().tolist()) for chosen in (normal, ~normal)]
    assert kinds == [{0, 2}, {0, 1}]
    assert ovaries.masks.flatten(1).any(1).all()


# NAFLD

def test_nafld_groups_frames_by_patient_and_crops_to_the_fan(tmp_path):
    root, fan = made.nafld(tmp_path)
    livers = load("nafld", root)
    assert livers.labels.tolist() == [0, 0, 1, 1, 1, 1] and livers.classes == ("healthy", "fatty")
    assert livers.group_names == ("01", "02", "07") and livers.groups.tolist() == [0, 0, 1, 2, 2, 2]
    assert livers.table.fat[:3].tolist() == [2, 2, 30] and livers.table.fat[3:].isna().all()
    bright = (livers.images[0, 0] > 0).sum() / fan.sum()
    assert 0.9 < bright <= 1.0  # the fan stays, the ECG and the bar go


@pytest.mark.parametrize(("changes", "message"), [
    ({"images": np.zeros((3, 4))}, "no struct 'data'"),
    ({"data": np.zeros((1, 2), [("id", "O"), ("image", "O")])}, r"the fields \['id', 'image'\], expected"),
    ({"data": np.array([[(1, 0, 2.0, np.zeros((2, 9, 9)))]], [(n, "O") for n in ("id", "class", "fat", "images")])},
     r"images of record 1 are float64 \(2, 9, 9\)"),
    ({"data": np.array([[(1, 3, 2.0, np.zeros((2, 9, 9), np.uint8))]],
                       [(n, "O") for n in ("id", "class", "fat", "images")])}, "record 1 has class 3, expected 0 or 1"),
    ({"data": np.array([[(1, 0, 2.0, np.zeros((2, 9, 9), np.uint8))] * 2],
                       [(n, "O") for n in ("id", "class", "fat", "images")])}, "record 2 is patient 1 a second time"),
    ({"data": np.array([[(1, 0, 200.0, np.zeros((2, 9, 9), np.uint8))]],
                       [(n, "O") for n in ("id", "class", "fat", "images")])}, "record 1 has 200.0 % fat"),
])
def test_a_mat_file_of_another_structure_is_refused(tmp_path, changes, message):
    root, _ = made.nafld(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        load("nafld", root)


def test_a_damaged_or_absent_mat_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"IJCARS\.mat is missing: download"):
        load("nafld", tmp_path)
    root, _ = made.nafld(tmp_path)
    path = root / "dataset_liver_bmodes_steatosis_assessment_IJCARS.mat"
    path.write_bytes(path.read_bytes()[:50000])
    with pytest.raises(ValueError, match=r"IJCARS\.mat is damaged"):
        load("nafld", root)


def test_nafld_on_real_images(real):
    livers = real("nafld")
    assert len(livers.group_names) == 33 and livers.labels.bincount().tolist()[0] == 23
    known = livers.table.fat.notna().to_numpy()
    assert ((livers.table.fat >= 5).to_numpy() == livers.labels.numpy().astype(bool))[known].all()
    # Nothing is left beside the fan: the lowest corners held the ECG and the heart rate.
    assert livers.images[:, 0, 100:, :20].max() == 0 and livers.images[:, 0, 100:, -20:].max() == 0


@pytest.mark.parametrize("name", ["busi", "mmotu", "nafld"])
def test_every_reader_records_size_colour_and_crop_of_its_files(tmp_path, name):
    getattr(made, name)(tmp_path)
    table = load(name, tmp_path, size=64).table
    height, width = (217, 318) if name == "nafld" else (120, 160)
    assert (table.height == height).all() and (table.width == width).all() and (table.colour == 0).all()
    assert table.cropped.between(0, 0.7).all() and (table.scale * 64 <= max(height, width)).all()


# Anyone's own folder

def test_folder_reads_labels_groups_and_masks(tmp_path):
    for i in range(4):
        made.save(tmp_path / f"{i}.png", made.scan(i))
    made.save(tmp_path / "masks" / "m1.png", made.disc())
    (tmp_path / "labels.csv").write_text("file,label,group,mask\n0.png,cyst,anna,\n1.png,solid,anna,masks/m1.png\n"
                                         "3.png,cyst,berta,\n")
    images = load("folder", tmp_path, size=160)
    assert images.table.file.tolist() == ["0.png", "1.png", "3.png"]
    assert images.classes == ("cyst", "solid") and images.labels.tolist() == [0, 1, 0]
    assert images.group_names == ("anna", "berta") and images.groups.tolist() == [0, 0, 1]
    assert images.masks.flatten(1).any(1).tolist() == [False, True, False]


def test_folder_takes_subfolders_as_classes_and_other_formats(tmp_path):
    made.save(tmp_path / "a" / "1.jpg", made.scan(1))
    made.save(tmp_path / "b" / "2.tif", made.scan(2))
    made.save(tmp_path / "b" / "deeper" / "3.jpeg", made.scan(3))
    images = load("folder", tmp_path, size=64)
    assert images.classes == ("a", "b") and images.labels.tolist() == [0, 1, 1]
    made.save(tmp_path / "4.png", made.scan(4))
    assert load("folder", tmp_path, size=64).labels is None


@pytest.mark.parametrize(("text", "error", "message"), [
    ("name,label\n1.png,a\n", ValueError, r"labels\.csv has the columns \['name', 'label'\]"),
    ("file,label\n9.png,a\n", FileNotFoundError, r"9\.png is missing, but labels\.csv lists it"),
    ("file,label\n1.png,a\n1.png,b\n", ValueError, r"lists '1\.png' twice"),
    ("file,label\n1.png,\n", ValueError, r"'1\.png' has no label"),
    ("file,label\n1.png,a\n./1.png,a\n", ValueError, r"lists '\./1\.png' twice"),
    ("file,label\n1.png,a,b\n", ValueError, r"line 2, cannot be read as a table \(3 cells, but the header has 2\)"),
    ("file,label\n1.png\n", ValueError, r"line 2, cannot be read as a table \(1 cells"),
    ('file,label\n"1.png,a\n', ValueError, r"labels\.csv, line 2, cannot be read"),
    ("file,file\n1.png,a\n", ValueError, r"columns of different names"),
    ("file,label\n", ValueError, r"and 0 rows"),
    ("file,label\n1.png,Benign\n2.png,benign\n", ValueError, r"the classes 'Benign' and 'benign': give one class one"),
    ("file,pixel_mm\n1.png,-1\n", ValueError, r"pixel_mm of '1\.png' is not a positive number"),
    ("file,pixel_mm\n1.png,inf\n", ValueError, r"pixel_mm of '1\.png' is not a positive number"),
    ("file,mask\n1.png,gone.png\n", FileNotFoundError, r"gone\.png is missing"),
])
def test_a_wrong_list_is_refused(tmp_path, text, error, message):
    for name in ("1.png", "2.png"):
        made.save(tmp_path / name, made.scan(1))
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(error, match=message):
        load("folder", tmp_path)


def test_what_is_typed_a_little_wrong_is_read_right(tmp_path):
    """Blanks, empty rows, a byte order mark, semicolons, delimiters at the end, names in a Mac's code points."""
    for name in ("1.png", unicodedata.normalize("NFD", "größe.png")):
        made.save(tmp_path / name, made.scan(len(name)))
    for text in ("\ufefffile,label\n1.png, benign \n\ngröße.png,benign\n",
                 "file;label\n1.png;benign;\ngröße.png;benign\n;\n"):
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        images = load("folder", tmp_path, size=64)
        assert images.classes == ("benign",) and len(images) == 2


def test_folders_of_images_and_masks_are_no_classes(tmp_path):
    for folder, image in (("images", made.scan(1)), ("masks", made.disc())):
        made.save(tmp_path / "pairs" / folder / "1.png", image)
    with pytest.raises(ValueError, match=r"masks/1\.png seems to be a mask, no image: .* mask of labels\.csv which"):
        load("folder", tmp_path / "pairs")
    for name, image in (("1", made.scan(1)), ("1_mask", made.disc())):
        made.save(tmp_path / "beside" / f"{name}.png", image)
    with pytest.raises(ValueError, match=r"1_mask\.png seems to be a mask"):
        load("folder", tmp_path / "beside")
    for name in ("benign", "benign "):
        made.save(tmp_path / "two" / name / "1.png", made.scan(len(name)))
    with pytest.raises(ValueError, match=r"two has the classes 'benign' and 'benign ': give one class one spelling"):
        load("folder", tmp_path / "two")


def test_a_folder_counts_what_it_leaves_out_and_keeps_millimetres(tmp_path):
    for name in ("1.png", "2.png", "3.png"):
        made.save(tmp_path / name, made.scan(int(name[0])))
    made.save(tmp_path / "m.png", made.disc())
    (tmp_path / "notes.docx").touch()
    (tmp_path / "labels.csv").write_text("file,mask,pixel_mm\n1.png,m.png,0.1\n2.png,,\n")
    images = load("folder", tmp_path, size=80)
    assert "left out: 1 .docx, 1 .png, such as 3.png" in images.notes
    assert images.table.pixel_mm[0] == pytest.approx(0.2, rel=0.05) and np.isnan(images.table.pixel_mm[1])
    assert images.masks.flatten(1).any(1).tolist() == [True, False]
