"""A trained generator in a folder of its own, as model hubs lay it out: written once, loaded without its training data.

    generator.safetensors    the weights of the generator that samples, float16 or float32, under PyTorch's names
    conditions.safetensors   of a GAN from images: the conditions that sample() draws from
    config.json              model, config, what sampling needs beside the weights, and the facts of the training
    card.md, samples.png     for people
"""

import importlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..data.atomic import write_atomically, write_json
from ..data.device import choose_device
from . import checkpoint
from .gan import GAN

# Each the module beside this file that has the class, with its Config.
MODELS = {"DCGAN": "dcgan", "StyleGAN2": "stylegan2", "CycleGAN": "cyclegan", "StackGAN": "stackgan",
          "PGSGAN": "pgsgan"}
SHIPPED = Path(__file__).parents[1] / "generators"
WEIGHTS, CONDITIONS, CONFIG = "generator.safetensors", "conditions.safetensors", "config.json"


def place(source: str | Path) -> Path:
    """The folder of a run, of an exported generator, or of a shipped one by its name. Raises FileNotFoundError."""
    path = Path(source).expanduser()
    path = path if path.is_dir() else SHIPPED / str(source).removeprefix("generator:")
    if not (path / CONFIG).is_file():
        raise FileNotFoundError(f"{source} is neither the folder of a run or of an exported generator nor "
                                "the name of a shipped one: see `uslab generators`")
    return path


def about(source: str | Path) -> dict:
    """What the config.json of such a folder says: model, config, data, and of an exported one the training's facts."""
    return json.loads((place(source) / CONFIG).read_text())


def load(
    source: str | Path,       # a run's folder, an exported generator's, or a shipped generator's name
    device: str = "auto",     # 'auto', 'cpu', 'cuda' or 'mps'
) -> GAN:
    """A trained GAN for sampling, without its training data; its discriminator is not trained.

    Raises FileNotFoundError for a source that holds none, and ValueError, naming it, for one that does not fit.
    """
    folder, facts = place(source), about(source)
    if facts.get("model") not in MODELS:
        raise ValueError(f"{folder} holds a {facts.get('model')}: there are {', '.join(MODELS)}")
    module = importlib.import_module(f".{MODELS[facts['model']]}", __package__)
    state = exported(folder, facts) if (folder / WEIGHTS).is_file() else trained(folder)
    try:
        return getattr(module, facts["model"]).of_state(module.Config(**facts["config"]), state, choose_device(device))
    except (TypeError, RuntimeError, KeyError) as error:
        raise ValueError(f"the weights and the config of {folder} do not fit this version of "
                         f"uslab ({error})") from error


def exported(folder: Path, facts: dict) -> dict:
    """The state for GAN.of_state of an exported folder."""
    weights = {name: value.float() if value.is_floating_point() else value
               for name, value in load_file(folder / WEIGHTS).items()}
    if facts["domains"]:
        weights = {domain: {name.removeprefix(f"{domain}."): value for name, value in weights.items()
                            if name.startswith(f"{domain}.")} for domain in facts["domains"]}
    plain = {name: torch.tensor(value) if isinstance(value, list) else value for name, value in facts["state"].items()}
    tensors = load_file(folder / CONDITIONS) if (folder / CONDITIONS).is_file() else {}
    return {"G": weights, **plain, **tensors}


def trained(folder: Path) -> dict:
    """The state for GAN.of_state of a run's folder."""
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run has not come to its first checkpoint; train it further")
    state = checkpoint.load(path)["gan"]
    return state | {"G": state.get("G_ema") or state["G"]}


def write(
    gan: GAN,
    folder: Path,                      # new, empty or of an earlier export
    facts: dict,                       # for config.json: of the training, with model and config
    conditions: bool = True,           # also write the conditions, which are images that the GAN was trained on
) -> dict:
    """Write weights, conditions and config.json, and return what config.json says.

    The weights are float16 if 16 images made with them differ by at most one grey level from those of float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = gan.sampling_state()
    domains = [name for name, value in state["G"].items() if isinstance(value, dict)]
    named = {f"{domain}.{name}": value for domain in domains for name, value in state["G"][domain].items()}
    weights = named or state["G"]
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    large = {name: value for name, value in state.items() if name != "G" and isinstance(value, Tensor)
             and value.ndim > 1}
    plain = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in state.items()
             if name != "G" and name not in large}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    facts = facts | {"domains": domains, "state": plain, "dtype": "float16"}

    def put(name: str, tensors: dict[str, Tensor]) -> None:
        write_atomically(folder / name, lambda part: save_file(tensors, part, {"format": "pt"}))

    put(WEIGHTS, halves)
    if large:
        put(CONDITIONS, {name: value.cpu().contiguous() for name, value in large.items()})
    write_json(folder / CONFIG, facts)
    whole, short = (loaded.sample(16, 0) for loaded in (type(gan).of_state(gan.config, state, gan.device),
                                                        load(folder, gan.device.type)))
    if (whole.int() - short.int()).abs().max() > 1:
        put(WEIGHTS, weights)
        facts["dtype"] = "float32"
    if large and not conditions:
        (folder / CONDITIONS).unlink()
        facts["state"] |= dict.fromkeys(large)
    write_json(folder / CONFIG, facts)
    return facts


def size_mb(folder: Path) -> float:
    """What the weights and conditions of an exported folder take, in MB."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6
