"""A trained generator in a folder of its own, as model hubs lay it out: written once, loaded without its training data.

    generator.safetensors    the weights of the generator that samples, float16 or float32, under PyTorch's names
    conditions.npz           of a GAN from images: the conditions that sample() draws from, compressed
    discriminator.safetensors    where another training is to begin with it
    config.json              model, config, what sampling needs beside the weights, and the facts of the training
    card.md, samples.png     for people
"""

import hashlib
import importlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..data.atomic import write_atomically, write_json
from ..data.device import choose_device
from ..data.reading import read_arrays, read_json, read_tensors
from . import checkpoint
from .gan import GAN, state_of

# Each the module beside this file that has the class, with its Config.
MODELS = {"DCGAN": "dcgan", "StyleGAN2": "stylegan2", "CycleGAN": "cyclegan", "StackGAN": "stackgan",
          "PGSGAN": "pgsgan"}
SHIPPED = Path(__file__).parents[1] / "generators"
WEIGHTS, CONDITIONS, CONFIG = "generator.safetensors", "conditions.npz", "config.json"
DISCRIMINATOR = "discriminator.safetensors"


def place(source: str | Path) -> Path:
    """The folder of a run, of an exported generator, or of a shipped one by its name. Raises FileNotFoundError."""
    path = Path(source).expanduser()
    path = path if path.is_dir() else SHIPPED / str(source).removeprefix("generator:")
    if not (path / CONFIG).is_file():
        raise FileNotFoundError(f"{source} is neither the folder of a run or of an exported generator nor "
                                "the name of a shipped one: see `uslab generators`")
    return path


def size_of_images(facts: dict) -> str:
    """Of the images that the generator of these facts draws, such as '64' or '96x40' pixels, width and height."""
    config = facts["config"]
    if facts["model"] == "CycleGAN":
        height, width = list(facts["trained_on"].values())[-1]["size"]
        return f"{width}x{height}"
    if facts["model"] == "StackGAN" and config["stage"] == 1:
        return str(config["size1"])
    return str(config["size"] * 2 if config.get("grow") else config["size"])


def about(source: str | Path) -> dict:
    """What the config.json of such a folder says: model, config, data, and of an exported one the training's facts."""
    return read_json(place(source) / CONFIG)


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
    try:
        state = exported(folder, facts) if (folder / WEIGHTS).is_file() else trained(folder)
        return getattr(module, facts["model"]).of_state(module.Config(**facts["config"]), state, choose_device(device))
    except (TypeError, RuntimeError, KeyError) as error:
        raise ValueError(f"the weights and the config of {folder} do not fit this version of "
                         f"uslab ({error})") from error


def exported(folder: Path, facts: dict) -> dict:
    """The state for GAN.of_state of an exported folder."""
    weights = {name: value.float() if value.is_floating_point() else value
               for name, value in read_tensors(folder / WEIGHTS)[0].items()}
    weights = by_domain(weights, facts["domains"])
    plain = {name: torch.tensor(value) if isinstance(value, list) else value for name, value in facts["state"].items()}
    arrays = read_arrays(folder / CONDITIONS) if (folder / CONDITIONS).is_file() else {}
    return {"G": weights, **plain, **{name: torch.from_numpy(value) for name, value in arrays.items()}}


def by_domain(weights: dict[str, Tensor], domains: list[str]) -> dict:
    """Weights named DOMAIN.NAME as a dict for each domain; as they are where there are no domains."""
    return {domain: {name.removeprefix(f"{domain}."): value for name, value in weights.items()
                     if name.startswith(f"{domain}.")} for domain in domains} or weights


def trained(folder: Path) -> dict:
    """The state for GAN.of_state of a run's folder."""
    state = checkpoint.load(checkpoint_of(folder))["gan"]
    return state | {"G": state.get("G_ema") or state["G"]}


def checkpoint_of(folder: Path) -> Path:
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run has not come to its first checkpoint; train it further")
    return path


def begin(
    gan: GAN,                 # a new one
    source: str | Path,       # as in load
) -> None:
    """Transfer learning: put what a trained GAN has learnt into a new one, G, D where there is one, and the average.

    A weight of another name or shape stays as it was initialised, as in Karras 2020b's code. Raises FileNotFoundError
    for a source that holds none, and ValueError if no weight of its generator fits or a frozen D would be a new one.
    """
    folder, facts = place(source), about(source)
    if (folder / WEIGHTS).is_file():
        state = {"G": exported(folder, facts)["G"]}
        if (folder / DISCRIMINATOR).is_file():
            names = list(gan.D) if isinstance(gan.D, dict) else []
            state["D"] = by_domain(read_tensors(folder / DISCRIMINATOR)[0], names)
    else:
        state = checkpoint.load(checkpoint_of(folder))["gan"]
    for name in filter(state.get, ("G", "G_ema")):      # a stage II keeps the stage I that its config names
        state[name] = {key: value for key, value in state[name].items() if not key.startswith("first.")}
    if not taken(gan.G, state["G"]):
        raise ValueError(f"no weight of {folder} fits this {type(gan).__name__}: it holds a {facts['model']} of "
                         "another form")
    if getattr(gan.config, "freeze_d", 0) and not ("D" in state and taken(gan.D, state["D"])):
        raise ValueError(f"{folder} holds no discriminator that fits: freeze_d would freeze a new one; set it to 0")
    if "D" in state:
        taken(gan.D, state["D"])
    if gan.G_ema is not None:
        taken(gan.G_ema, state.get("G_ema") or state["G"])


def signature(source: str | Path) -> str:
    """What tells a trained GAN from others: the name of its folder, and the beginning of its weights' SHA-256."""
    folder = place(source)
    path = folder / WEIGHTS if (folder / WEIGHTS).is_file() else checkpoint_of(folder)
    with open(path, "rb") as file:
        return f"{folder.name}, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"


def taken(network: nn.Module | dict[str, nn.Module], state: dict) -> int:
    """Give a network, or those of each domain, the tensors of a state that fit by name and shape; their number."""
    if isinstance(network, dict):
        return sum(taken(part, state.get(domain, {})) for domain, part in network.items())
    own = network.state_dict()
    fit = {name: state[name] for name, value in own.items() if name in state and state[name].shape == value.shape}
    network.load_state_dict(own | fit)
    return len(fit)


def write(
    gan: GAN,
    folder: Path,                      # new, empty or of an earlier export
    facts: dict,                       # for config.json: of the training, with model and config
    conditions: bool = True,           # also write the conditions, which are images that the GAN was trained on
    discriminator: bool = False,       # also write D, in float16, for begin()
) -> dict:
    """Write weights, conditions and config.json, and return what config.json says.

    The weights are float16 if 16 images made with them differ by at most one grey level from those of float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = gan.sampling_state()
    domains = [name for name, value in state["G"].items() if isinstance(value, dict)]
    weights = named(state["G"])
    large = {name: value for name, value in state.items() if name != "G" and isinstance(value, Tensor)
             and value.ndim > 1}
    plain = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in state.items()
             if name != "G" and name not in large}
    halves = halved(weights)
    facts = facts | {"domains": domains, "state": plain, "dtype": "float16"}

    def put(name: str, tensors: dict[str, Tensor]) -> None:
        write_atomically(folder / name, lambda part: save_file(tensors, part, {"format": "pt"}))

    put(WEIGHTS, halves)
    if discriminator:
        put(DISCRIMINATOR, halved(named(state_of(gan.D))))
    if large:
        arrays = {name: value.cpu().numpy() for name, value in large.items()}
        write_atomically(folder / CONDITIONS, lambda part: compressed(part, arrays))
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


def named(state: dict) -> dict[str, Tensor]:
    """The tensors of a network, or as DOMAIN.NAME those of each domain's, on the CPU."""
    flat = {f"{domain}.{name}": value for domain, part in state.items() if isinstance(part, dict)
            for name, value in part.items()} or state
    return {name: value.detach().cpu().contiguous().clone() for name, value in flat.items()}


def halved(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}


def compressed(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as .npz, under whatever name."""
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def size_mb(folder: Path) -> float:
    """What the weights and conditions of an exported folder take, in MB."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".safetensors", ".npz")) / 1e6
