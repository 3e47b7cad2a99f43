"""Damaged files, made by chance: every reader gives the right set or one line that names the file."""

import shutil

import made
import nibabel
import numpy as np
import pytest
from test_ct_eus import lepset, totalsegmentator
from test_data import write_hc18

import uslab.data
from uslab.data import clips
from uslab.data.ct import Cases

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.filterwarnings("ignore")]

# In these a checksum tells of every bit that flipped. In the others what is read may differ in what the bits mean.
CHECKED = (".png", ".nii.gz", ".mat", ".safetensors", ".npz")


def folder(root):
    for i, ending in enumerate(("png", "jpg", "tif", "bmp")):
        made.save(root / f"{i}.{ending}", made.scan(i))
    made.dicom(root / "4.dcm", made.scan(4))
    made.save(root / "m.png", made.disc())
    (root / "labels.csv").write_text("file,label,group,mask\n" + "".join(
        f"{name},{'ab'[i % 2]},größe {i},{'m.png' if i else ''}\n"
        for i, name in enumerate(("0.png", "1.jpg", "2.tif", "3.bmp", "4.dcm"))), encoding="utf-8")
    return root


def saved(root):
    uslab.data.open(folder(root.parent / "folder"), size=64).save(root / "set.safetensors")
    shutil.rmtree(root.parent / "folder")
    return root


def stack(root):
    np.savez_compressed(root / "s.npz", images=np.stack([made.scan(i) for i in range(3)]), labels=np.arange(3))
    return root


READERS = {
    "folder": (folder, lambda root: uslab.data.load("folder", root, 64)),
    "busi": (made.busi, lambda root: uslab.data.load("busi", root, 64)),
    "mmotu": (made.mmotu, lambda root: uslab.data.load("mmotu", root, 64)),
    "hc18": (write_hc18, lambda root: uslab.data.load("hc18", root, 64)),
    "nafld": (lambda root: made.nafld(root)[0], lambda root: uslab.data.load("nafld", root, 64)),
    "eus": (lepset, lambda root: uslab.data.load("eus", root, 64)),
    "ct": (totalsegmentator, lambda root: uslab.data.load("ct", root)),
    "saved": (saved, lambda root: uslab.data.open(root / "set.safetensors")),
    "stack": (stack, lambda root: list(clips.shots(root / "s.npz", 1, {}))),
}


def damaged(content: bytes, text: bool, rng: np.random.Generator) -> bytes:
    """A file's bytes with one fault of those that disks, transfers and editors make."""
    place, kind = int(rng.integers(len(content))), int(rng.integers(9 if text else 5))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + bytes(min(64, len(content) - place)) + content[place + 64:]
    if kind == 2:
        return content[:place] + content[place + 7:]
    if kind == 5:
        return content.decode().encode("latin-1", "replace")
    if kind == 6:
        return content.decode().encode("utf-16")
    if kind == 7:
        return b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
    if kind == 8:
        return content.replace(b",", b";").replace(b"\n", b"\n\n")
    return content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1:]


def what_was_read(found) -> tuple:
    """What a test compares of an ImageSet, of CTs or of frames."""
    if isinstance(found, Cases):
        return tuple((volume.hu.tobytes(), volume.labels.tobytes(), volume.affine.tobytes()) for volume in found)
    if isinstance(found, list):
        return tuple((shot.grey.tobytes(), shot.label) for shot in found)
    return found.sha256(), tuple(found.table.file), found.classes, found.group_names


@pytest.mark.parametrize(("reader", "tries"), [
    *((reader, 6) for reader in READERS),
    *(pytest.param(reader, 60, marks=pytest.mark.slow) for reader in READERS)])
def test_a_damaged_file_is_read_right_or_named(tmp_path, reader, tries):
    write, read = READERS[reader]
    root = tmp_path / "set"
    root.mkdir()
    write(root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    truth = what_was_read(read(root))
    rng = np.random.default_rng([tries, *reader.encode()])
    for number in range(tries):
        path = files[int(rng.integers(len(files)))]
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, path.suffix in (".csv", ".txt"), rng))
        try:
            found = what_was_read(read(root))
        except (ValueError, OSError) as error:
            assert "\n" not in str(error) and str(root) in str(error), (number, path, error)
        else:
            assert found == truth or not path.name.lower().endswith(CHECKED), (number, path)
            assert len(found) == len(truth)
        path.write_bytes(whole)
    assert what_was_read(read(root)) == truth


def test_nifti_of_other_kinds_is_read_or_named(tmp_path):
    """Unpacked, of version 2, and what is called so and is something else."""
    case = totalsegmentator(tmp_path)
    truth = uslab.data.load("ct", tmp_path)[0]
    image = nibabel.load(case / "ct.nii.gz")
    nibabel.save(nibabel.Nifti2Image(np.asarray(image.dataobj), image.affine), case / "ct.nii.gz")
    assert np.array_equal(uslab.data.load("ct", tmp_path)[0].hu, truth.hu)
    for content in (b"", b"\x1f\x8b", bytes(400), b"notes" * 200):
        (case / "ct.nii.gz").write_bytes(content)
        with pytest.raises(ValueError, match=r"ct\.nii\.gz cannot be read as NIfTI"):
            uslab.data.load("ct", tmp_path)[0]
