"""`uslab generate` and `translate`: the same images by number, as files that the readers take."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from gans import CASES
from gans import images as pictures
from PIL import Image
from test_export import trained

from uslab import data, generators, phantom
from uslab.cli.main import main
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.data.written import grey, labels
from uslab.generators.lots import image_sets
from uslab.models import store


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder of exported generators by the name of their case."""
    folder = tmp_path_factory.mktemp("generators")
    for name in ("dcgan", "stylegan2_classes", "pgsgan"):
        trained(folder / "runs" / name, CASES[name], 40 if name == "pgsgan" else 2).export(folder / name)
    return folder


def files_of(folder) -> dict:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


@pytest.mark.parametrize("name", ["dcgan", "stylegan2_classes", "pgsgan"])
def test_an_image_depends_on_the_seed_and_its_number_alone(exported, name):
    def drawn(n: int, seed: int = 4, first: int = 0) -> torch.Tensor:
        return torch.cat([part.images for part in image_sets(exported / name, n, seed, first=first, device="cpu")])

    whole = drawn(19)
    assert len(whole) == 19 and torch.equal(drawn(5), whole[:5]) and torch.equal(drawn(19, first=11), whole[11:])
    assert not torch.equal(drawn(19, seed=5), whole)


def test_generate_writes_single_images_that_the_reader_takes(exported, tmp_path, capsys):
    out = tmp_path / "heads"
    assert main(["generate", str(exported / "dcgan"), "--n", "10", "--seed", "2", "--out", str(out)]) == 0
    assert {path.name for path in out.glob("*.png")} == {f"{i:05d}.png" for i in range(10)}
    assert (out / "labels.csv").read_text().splitlines()[:2] == ["file,generator,seed", "00000.png,dcgan,2"]
    pixels = np.stack([np.array(Image.open(path)) for path in sorted(out.glob("*.png"))])
    expected = torch.cat([part.images for part in image_sets(exported / "dcgan", 10, 2)])
    assert np.array_equal(pixels[:, None], expected.numpy())
    images = data.open(out)
    assert len(images) == 10 and images.table.synthetic.all() and set(images.table.generator) == {"dcgan"}
    assert main(["generate", str(exported / "dcgan"), "--n", "10", "--seed", "2", "--out", str(out)]) == 2
    assert "holds 10 images already" in capsys.readouterr().err


def test_an_interrupted_folder_is_completed_with_the_same_images(exported, tmp_path, capsys):
    command = ["generate", str(exported / "stylegan2_classes"), "--seed", "1", "--out"]
    assert main([*command, str(tmp_path / "whole"), "--n", "21"]) == 0
    assert main([*command, str(tmp_path / "parts"), "--n", "9"]) == 0
    table = tmp_path / "parts" / "labels.csv"
    table.write_text(table.read_text() + "00009.png,b,styl")       # cut off
    assert main([*command, str(tmp_path / "parts"), "--n", "21"]) == 0
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "parts")
    assert main([*command, str(tmp_path / "parts"), "--n", "30", "--seed", "2"]) == 2
    assert "its seed differ" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    assert main([*command, str(tmp_path / "mine")]) == 2 and "holds something else" in capsys.readouterr().err
    assert files_of(tmp_path / "mine") == {"a.txt": b"mine"}


def test_a_class_can_be_asked_for(exported, tmp_path, capsys):
    source = str(exported / "stylegan2_classes")
    assert main(["generate", source, "--n", "6", "--condition", "b", "--out", str(tmp_path / "b")]) == 0
    images = data.open(tmp_path / "b")
    assert images.classes == ("b",) and len(images) == 6
    assert main(["generate", source, "--condition", "c", "--out", str(tmp_path / "c")]) == 2
    assert "does not know the class 'c': choose one of a, b" in capsys.readouterr().err


@pytest.mark.slow
def test_phantoms_are_written_by_the_same_command_with_patients_and_masks(tmp_path):
    assert main(["generate", "phantom:liver", "--n", "35", "--size", "64", "--seed", "3", "--out",
                 str(tmp_path / "l")]) == 0
    expected = phantom.load("liver", 35, 64, 3)
    images = data.open(tmp_path / "l", size=64)
    assert images.source == "phantom" and len(images) == 35
    assert [images.classes[i] for i in images.labels] == [expected.classes[i] for i in expected.labels]
    assert [images.group_names[i] for i in images.groups] == [expected.group_names[i] for i in expected.groups]
    pixels = [np.array(Image.open(tmp_path / "l" / f"{i:05d}.png")) for i in range(35)]
    masks = [labels(np.array(Image.open(tmp_path / "l" / "masks" / f"{i:05d}.png"))) for i in range(35)]
    assert np.array_equal(np.stack(pixels)[:, None], expected.images)
    assert np.array_equal(np.stack(masks)[:, None], expected.masks)
    part = phantom.load("liver", 35, 64, 3, first=30)
    assert torch.equal(part.images, expected.images[30:])
    assert part.table.file.tolist() == expected.table.file.tolist()[30:]


def test_masks_are_pictures_and_come_back():
    values = np.arange(5, dtype=np.uint8)[None]
    assert np.array_equal(labels(grey(values, 5)), values) and np.array_equal(labels(values), values)
    assert grey(np.array([[0, 1]], np.uint8), 2).tolist() == [[0, 255]]
    assert (grey(values, 5)[values > 0] > 127).all(), "the reader of folders takes all structures as one"


def test_label_images_are_translated_one_by_one(exported, tmp_path, capsys):
    given = CASES["pgsgan"].data.masks
    for i, mask in enumerate(given):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(mask[0].numpy() if i % 2 else grey(mask[0].numpy(), 4)).save(tmp_path / "in" / f"case {i}.png")
    assert main(["translate", str(exported / "pgsgan"), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    expected = store.load(exported / "pgsgan", "cpu").sample(len(given), 0, given)
    assert expected.shape[2:] == (64, 64)
    for i, image in enumerate(expected):
        assert np.array_equal(np.array(Image.open(tmp_path / "out" / f"case {i}.png")), image[0])
        assert np.array_equal(labels(np.array(Image.open(tmp_path / "out" / "masks" / f"case {i}.png"))), given[i, 0])
    assert main(["translate", str(exported / "dcgan"), str(tmp_path / "in"), "--out", str(tmp_path / "no")]) == 2
    assert "is a DCGAN, which translates nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_ct_is_cut_and_translated_case_by_case(tmp_path):
    import nibabel

    from uslab.data.ct import LABELS

    volumes = {f"s{i}": phantom.abdomen(i) for i in (1, 2)}
    for name, volume in volumes.items():
        (tmp_path / "ct" / name / "segmentations").mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(volume.hu, volume.affine), tmp_path / "ct" / name / "ct.nii.gz")
        for organ in LABELS[1:]:
            mask = (volume.labels == volume.label_names.index(organ)).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(mask, volume.affine),
                         tmp_path / "ct" / name / "segmentations" / f"{organ}.nii.gz")
    planes = Slices.find({"a": volumes["s1"]}, "liver", 3, View(48, 64), 0)
    case = CASES["cyclegan"]
    data_of = {"ct": planes, "us": pictures(5, 48, 64)}
    run = trained(tmp_path / "run", case._replace(config=replace(case.config, size=64), data=data_of))
    out, command = tmp_path / "out", ["translate", str(run.folder), str(tmp_path / "ct"), "--planes", "4", "--out"]
    assert main([*command, str(out)]) == 0
    images = data.open(out)
    assert len(images) == 8 and images.group_names == ("s1", "s2") and images.mask_names == ("background", "structure")
    assert np.array(Image.open(out / "s1" / "000.png")).shape == (48, 64)
    again = tmp_path / "again"       # as if it had been interrupted behind the first case
    again.mkdir()
    for name in ("generate.json", "labels.csv"):
        lines = (out / name).read_text().splitlines(keepends=True)
        (again / name).write_text("".join(lines[:5] if name == "labels.csv" else lines))
    for name in [name for name in files_of(out) if "s1" in name]:
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        (again / name).write_bytes((out / name).read_bytes())
    assert main([*command, str(again)]) == 0 and files_of(again) == files_of(out)


def test_shipped_generators_are_named_images_and_listed(exported, monkeypatch, capsys):
    monkeypatch.setattr(store, "SHIPPED", exported)
    images = data.open("generator:stylegan2_classes?n=11,seed=2")
    assert len(images) == 11 and images.classes == ("a", "b") and images.table.synthetic.all()
    assert torch.equal(images.images, generators.sample("stylegan2_classes", 11, 2).images)
    labelled = data.open("generator:pgsgan?n=3")
    assert labelled.masks.shape == labelled.images.shape and labelled.mask_names[1:] == ("ovary", "follicle", "sketch")
    assert main(["generators"]) == 0
    told = capsys.readouterr().out
    assert "stylegan2_classes\n    StyleGAN2, 32 px" in told and "trained on noise, 8 images seen" in told


def test_a_run_is_a_source_until_it_is_trained_further(tmp_path, capsys):
    run = trained(tmp_path / "run", CASES["dcgan"])
    command = ["generate", str(run.folder), "--n", "4", "--out", str(tmp_path / "out")]
    assert main(command) == 0 and len(data.open(tmp_path / "out")) == 4
    assert json.loads((tmp_path / "out" / "generate.json").read_text()).keys() == {"weights", "seed", "condition"}
    for batch in run.batches(3):
        run.gan.step(batch)
    assert main([*command[:3], "8", *command[4:]]) == 2 and "its weights differ" in capsys.readouterr().err


def test_a_second_command_is_told_who_writes_there(tmp_path, capsys):
    out = tmp_path / "out"
    code = (f"import time; from pathlib import Path; from uslab.data.lock import alone\n"
            f"with alone(Path({str(out)!r})):\n    print('held', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert main(["generate", "phantom:breast", "--n", "2", "--size", "64", "--out", str(out)]) == 2
        assert "is in use by process" in capsys.readouterr().err
        holder.kill()
    assert main(["generate", "phantom:breast", "--n", "2", "--size", "64", "--out", str(out)]) == 0
    assert len(data.open(out)) == 2, "the lock is no image"
