"""Bad input: each is a clear error that names the file, or the correct result."""

import os
import stat

import made
import numpy as np
import pytest
from PIL import Image

from uslab.data import ImageSet, cache, load
from uslab.data.files import read_grey
from uslab.data.folders import walk
from uslab.study import pack

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_truncated_png(tmp_path):
    path = made.save(tmp_path / "cut.png", made.scan(1))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cut\.png cannot be read as an image \(.*\): it is damaged, cut off"):
        load("folder", tmp_path)


@pytest.mark.parametrize("content",
                         [b"these are notes, no image\n", b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" * 9])
def test_a_file_that_is_no_image(tmp_path, content):
    (tmp_path / "notes.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.png cannot be read as an image \(.*get it again or take it out"):
        load("folder", tmp_path)


def test_colour_becomes_grey_and_its_share_is_known(tmp_path):
    grey = made.scan(1)
    rgb = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(read_grey(made.save(tmp_path / "rgb.png", rgb))[0], grey)
    rgb[:60, :40] = (200, 0, 0)
    image, colour = read_grey(made.save(tmp_path / "doppler.png", rgb))
    assert colour == pytest.approx(60 * 40 / grey.size) and image[0, 0] == 60  # 0.299 * 200
    assert load("folder", tmp_path, 64).table.set_index("file").colour.tolist() == [pytest.approx(0.125), 0]


def test_what_is_transparent_is_black(tmp_path):
    rgba = np.dstack([made.scan(1)] * 3 + [np.full((120, 160), 255, np.uint8)])
    rgba[:50, :, 3] = 0
    image, _ = read_grey(made.save(tmp_path / "a.png", rgba))
    assert image[:50].max() == 0 and np.array_equal(image[50:], rgba[50:, :, 0])


def test_a_palette_image_has_the_colours_of_its_palette(tmp_path):
    grey = made.scan(1)
    palette = Image.fromarray(255 - grey).convert("P")
    palette.putpalette([255 - i // 3 for i in range(768)])
    palette.save(tmp_path / "p.png")
    assert np.array_equal(read_grey(tmp_path / "p.png")[0], grey)


def test_a_mask_of_another_size(tmp_path):
    made.save(tmp_path / "a.png", made.scan(1))
    made.save(tmp_path / "m" / "a.png", made.disc(119, 160))
    (tmp_path / "labels.csv").write_text("file,mask\na.png,m/a.png\n")
    with pytest.raises(ValueError, match=r"a\.png is \(119, 160\), its image \(120, 160\): a mask has the size"):
        load("folder", tmp_path)


def test_an_empty_folder_and_a_folder_of_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no image \(\.png, .*name the folder that holds the images"):
        load("folder", tmp_path)
    (tmp_path / "read.me").touch()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        load("folder", tmp_path)
    made.save(tmp_path / "one.png", made.scan(1))
    one = load("folder", tmp_path)
    assert len(one) == 1 and one.group_names == ("one.png",)
    with pytest.raises(ValueError, match="1 groups are too few"):
        one.split(0.5, 0)


def test_a_black_and_a_tiny_image_are_named(tmp_path):
    path = made.save(tmp_path / "black.png", 0 * made.scan(1))
    with pytest.raises(ValueError, match=r"black\.png: the image is black: no scan region found; take it out"):
        load("folder", tmp_path)
    path.unlink()
    made.save(tmp_path / "icon.png", made.scan(1)[:16, :16])
    with pytest.raises(ValueError, match=r"icon\.png has only 16x16 pixels"):
        load("folder", tmp_path)


def test_a_thumbnail_does_not_make_a_study_small(tmp_path):
    for i in range(3):
        made.save(tmp_path / f"{i}.png", made.scan(i, 480, 640))
    path = made.save(tmp_path / "thumbnail.png", made.scan(3, 120, 160))
    with pytest.raises(ValueError, match=r"thumbnail\.png has 160x120 pixels, the others about 640"):
        pack.read("real", tmp_path)
    made.save(path, made.scan(3)[:16, :16])
    with pytest.raises(ValueError, match=r"thumbnail\.png has only 16x16 pixels"):
        pack.read("real", tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_a_loop_of_links_ends(tmp_path):
    made.save(tmp_path / "a" / "1.png", made.scan(1))
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "b", target_is_directory=True)  # to itself
    assert [path.name for path in walk(tmp_path)] == ["1.png"]
    assert load("folder", tmp_path, 64).classes == ("a",)


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_a_file_that_links_to_itself_is_named(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(ValueError, match=r"loop\.png cannot be read as an image"):
        load("folder", tmp_path)


def test_spaces_and_umlauts(tmp_path):
    folder = tmp_path / "Übung 1 – Köpfe"
    made.save(folder / "größer als vorher.png", made.scan(1))
    made.save(folder / "müller, anna.png", made.scan(2))
    (folder / "labels.csv").write_text('file,label\n"müller, anna.png",gut\ngrößer als vorher.png,schön\n', "utf-8-sig")
    images = load("folder", folder, 64)
    assert images.table.file.tolist() == ["müller, anna.png", "größer als vorher.png"]
    assert images.classes == ("gut", "schön")


def test_a_table_in_another_encoding_is_named(tmp_path):
    made.save(tmp_path / "a.png", made.scan(1))
    (tmp_path / "labels.csv").write_bytes("file,label\na.png,schön\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"labels\.csv cannot be read as a table .*in UTF-8"):
        load("folder", tmp_path)


def two(tmp_path):
    for i in range(2):
        made.save(tmp_path / "images" / f"{i}.png", made.scan(i))
    return tmp_path / "images"


def test_the_cache_is_used_and_gives_the_same(tmp_path, monkeypatch):
    first = load("folder", two(tmp_path), 64)
    monkeypatch.setattr("uslab.data.collect.find", lambda images: pytest.fail("computed again"))
    assert load("folder", tmp_path / "images", 64).sha256() == first.sha256()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv("USLAB_CACHE", str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="nothing was remembered in .*set USLAB_CACHE to a folder that can be written"):
        assert len(load("folder", two(tmp_path), 64)) == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied"),
                                   OSError(30, "Read-only file system")])
def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch, error):
    def refuse(*arguments, **values):
        raise error

    monkeypatch.setattr("pandas.DataFrame.to_csv", refuse)
    with pytest.warns(UserWarning, match=f"nothing was remembered in .* \\({error.strerror}\\)"):
        assert len(load("folder", two(tmp_path), 64)) == 2
    assert list(cache.folder().iterdir()) == []


def test_a_damaged_cache_is_written_anew(tmp_path):
    images = load("folder", two(tmp_path), 64)
    path, = cache.folder().iterdir()
    for content in (b"", b"\xff\xfe\x00", b"x,y\n1,2\n"):
        path.write_bytes(content)
        assert load("folder", tmp_path / "images", 64).sha256() == images.sha256()


def test_a_set_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    images = load("folder", two(tmp_path), 64)

    def full(path, content):
        with open(path, "wb") as out:
            out.write(content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            images.save(tmp_path / "set.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    images.save(tmp_path / "set.safetensors")
    assert ImageSet.load(tmp_path / "set.safetensors").sha256() == images.sha256()
