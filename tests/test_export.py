"""A trained generator in a folder of its own: exported, loaded without its data, sampled by name."""

import dataclasses
import json

import pytest
import torch
from gans import CASES, images
from safetensors.torch import load_file

from uslab import generators, models
from uslab.data.files import read_grey
from uslab.models import store
from uslab.models.dcgan import Config, Generator
from uslab.models.stackgan import StackGAN
from uslab.models.stylegan2 import StyleGAN2, preset
from uslab.score import Score
from uslab.training import Run


def trained(folder, case, steps: int = 2, **values) -> Run:
    run = Run(folder, case.model, case.config, case.data, seed=3, device="cpu", **values)
    for batch in run.batches(steps):
        run.log(run.gan.step(batch))
    run.gan.dtype = torch.float32       # a loaded generator computes in it, whatever the processor trained in
    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_is_exported_or_kept_by_a_run_samples_the_same_without_its_data(tmp_path, name):
    run = trained(tmp_path / "run", CASES[name])
    expected = run.gan.sample(6, seed=5)
    assert torch.equal(models.load(tmp_path / "run", "cpu").sample(6, seed=5), expected)
    folder = run.export(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} - {store.CONDITIONS} == {
        "generator.safetensors", "config.json", "card.md", "samples.png"}
    gan = models.load(folder, "cpu")
    assert type(gan) is CASES[name].model and (gan.sample(6, 5).int() - expected.int()).abs().max() <= 1
    assert (folder / store.CONDITIONS).exists() == hasattr(gan, "conditions")
    if hasattr(gan, "translate"):
        assert (gan.translate(expected, "ct").int() - run.gan.translate(expected, "ct").int()).abs().max() <= 1
    with pytest.raises(ValueError, match="is a contact sheet"):
        read_grey(folder / "samples.png")
    for batch in run.batches(3):
        run.gan.step(batch)
    run.export(folder)      # the same run, later
    assert store.about(folder)["steps"] == 3
    with pytest.raises(FileExistsError, match="holds something else"):
        run.export(tmp_path / "run")


def test_the_weights_are_the_averaged_generator_alone_under_its_own_names(tmp_path):
    run = trained(tmp_path / "run", CASES["dcgan_ema"])
    weights = load_file(run.export(tmp_path / "out") / "generator.safetensors")
    Generator(Config(z=8, ngf=4, ndf=4)).load_state_dict(weights)
    averaged = run.gan.G_ema.state_dict()
    assert weights.keys() == averaged.keys()
    assert all(torch.allclose(value.float(), averaged[name].float(), rtol=1e-3, atol=1e-4)
               for name, value in weights.items())


def test_weights_are_halved_only_where_the_images_stay_the_same(tmp_path):
    run = trained(tmp_path / "run", CASES["dcgan"])
    assert store.about(run.export(tmp_path / "small"))["dtype"] == "float16"
    with torch.no_grad():
        for layer in run.gan.G.main:     # logits far from 0: a rounding of the weights shows in the grey levels
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.weight.mul_(60)
    folder = run.export(tmp_path / "large")
    assert store.about(folder)["dtype"] == "float32"
    weights = load_file(folder / "generator.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in run.gan.G.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("style", [False, True])
def test_an_exported_second_stage_needs_no_first_one(tmp_path, style):
    case = CASES["stackgan"]
    if style:
        config = preset("auto", 64, batch_size=4, z=8, channel_base=256, channel_max=8, path_weight=0.0)
        first = trained(tmp_path / "one", case._replace(model=StyleGAN2, config=config, data=images(10, 64)))
    else:
        first = trained(tmp_path / "one", case)
    config = dataclasses.replace(case.config, stage=2, stage1=str(first.folder))
    run = trained(tmp_path / "two", case._replace(config=config))
    expected = run.gan.sample(4, 1)
    assert torch.equal(models.load(tmp_path / "two", "cpu").sample(4, 1), expected)
    folder = run.export(tmp_path / "out")
    first.folder.rename(tmp_path / "elsewhere")
    gan = models.load(folder, "cpu")
    assert isinstance(gan, StackGAN) and (gan.sample(4, 1).int() - expected.int()).abs().max() <= 1
    assert str(tmp_path) not in (folder / "config.json").read_text() + (folder / "card.md").read_text()


@pytest.mark.slow
def test_a_second_stage_on_a_shipped_first_one_is_exported_alone_and_knows_it(tmp_path, monkeypatch):
    name = "stylegan2_liver_fatty"
    config = dataclasses.replace(CASES["stackgan"].config, stage=2, stage1=name, size=64, size1=64, z=128)
    run = trained(tmp_path / "two", CASES["stackgan"]._replace(config=config, data=images(10, 64)))
    expected, first = run.gan.sample(4, 1), models.load(name, "cpu")
    latents = torch.randn(4, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(run.gan.first(latents[..., None, None]),
                           first.sampler.eval()(latents, fixed_noise=True).clamp(-1, 1))
    assert torch.equal(models.load(tmp_path / "two", "cpu").sample(4, 1), expected)
    folder = run.export(tmp_path / "out")
    assert not [key for key in load_file(folder / store.WEIGHTS) if key.startswith("first.")]
    assert store.about(folder)["config"]["stage1"] == f"generator:{name}"
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)     # a folder of the shipped name hides nothing
    assert (models.load(folder, "cpu").sample(4, 1).int() - expected.int()).abs().max() <= 1
    # Another class begins with this stage II, and keeps its own stage I.
    config = dataclasses.replace(config, stage1="generator:stylegan2_liver_healthy")
    other = Run(tmp_path / "three", StackGAN, config, images(10, 64), device="cpu", start=str(tmp_path / "two"))
    own = models.load("stylegan2_liver_healthy", "cpu").sampler.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in other.gan.first.state_dict().items())
    assert torch.equal(other.gan.G.second.last[0].weight, run.gan.G.second.last[0].weight)
    monkeypatch.setattr(store, "signature", lambda source: "another one")
    with pytest.raises(ValueError, match="was trained on stylegan2_liver_fatty, SHA-256 .*; what is shipped now is an"):
        models.load(folder, "cpu")


def test_the_card_says_what_it_is(tmp_path):
    score = Score("KID", 0.05, 0.04, 0.06, 200, "lite0")
    run = trained(tmp_path / "run", CASES["stylegan2_classes"], data_seed=7)
    record = json.loads((run.folder / "run.json").read_text()) | {"device": "a GPU far away"}
    (run.folder / "run.json").write_text(json.dumps(record))
    folder = run.export(tmp_path / "breasts", [score, score.as_dict() | {"set": "ada"}], "Small lesions are missing.")
    text, facts = (folder / "card.md").read_text(), json.loads((folder / "config.json").read_text())
    for part in ("license: apache-2.0", "# breasts", "10 phantom images of `noise`, 5 a, 5 b",
                 "licence: not known here", "data seed 7", "8 images seen in 2 steps", "on a GPU far away; seed 3",
                 "| KID | 0.05 | [0.04, 0.06] | 200 | lite0 |", "| ada, KID |", "Small lesions are missing.",
                 "not for diagnosis", 'models.load("breasts")'):
        assert part in text, part
    assert facts["config"]["batch_size"] == 4 and facts["images_seen"] == 8 and facts["versions"]["torch"]
    assert (facts["seed"], facts["data_seed"], facts["trained_on"]["size"]) == (3, 7, [32, 32])


def test_images_of_patients_are_not_exported_as_conditions(tmp_path):
    case = CASES["pgsgan"]
    run = trained(tmp_path / "run", case._replace(data=dataclasses.replace(case.data, source="real")))
    folder = run.export(tmp_path / "out")
    assert not (folder / store.CONDITIONS).exists()
    gan = models.load(folder, "cpu")
    with pytest.raises(ValueError, match="nothing has been trained on yet: give condition"):
        gan.sample(2, 0)
    assert len(gan.sample(2, 0, case.data.masks[:2])) == 2


def test_what_holds_no_generator_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing is neither the folder of a run"):
        models.load("nothing")
    run = Run(tmp_path / "new", CASES["dcgan"].model, CASES["dcgan"].config, CASES["dcgan"].data, device="cpu")
    with pytest.raises(FileNotFoundError, match="has not come to its first checkpoint"):
        models.load(run.folder)
    path = trained(tmp_path / "run", CASES["dcgan"]).folder / "config.json"
    path.write_text(path.read_text().replace('"ngf": 4', '"ngf": 8'))
    with pytest.raises(ValueError, match="do not fit this version of uslab"):
        models.load(path.parent)


def test_a_shipped_generator_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    trained(tmp_path / "run", CASES["dcgan"]).export(tmp_path / "heads")
    assert generators.names() == ["heads"] and generators.folder("heads") == tmp_path / "heads"
    assert models.load("heads", "cpu").sample(2, 0).shape == (2, 1, 64, 64)
    with pytest.raises(ValueError, match="no shipped generator 'tails': there are heads"):
        generators.folder("tails")
