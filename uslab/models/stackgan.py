"""Stacked GAN (Che 2021): a DCGAN draws the liver, a second GAN redraws its image; one model a class.

Che 2021: https://doi.org/10.1007/978-3-030-87583-1_18
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..data.reading import read_json, read_tensors
from . import dcgan, store, stylegan2
from .attention import SelfAttention
from .config import check, knob
from .gan import LatentGAN
from .layers import init_weights, normalise

FIRST = ("StackGAN", "StyleGAN2")     # models of a run that may be stage I


@dataclass(frozen=True)
class Config:
    """Every hyperparameter of both stages: train with stage 1, then with the same values, stage 2 and stage1."""

    stage: int = knob(1, options=(1, 2), help="which stage a step trains; the other one stays as it is")
    stage1: str = knob("", help="for stage 2: folder of the run that trained stage 1, or name of a shipped generator")
    size: int = knob(256, options=(64, 128, 256), help="side of the images, pixels (Che, section 3.1: 256)")
    size1: int = knob(256, options=(64, 128, 256), help="side of stage I's images, pixels: 'mid-resolution' in Che's "
                                                        "section 2, 256 in section 2.2")
    spectral: bool = knob(False, options=(False, True),
                          help="spectral normalisation in stage I's G and D (Miyato 2018)")
    attention: int = knob(0, options=(0, 8, 16, 32, 64),
                          help="side of the feature maps with self-attention in stage I's G "
                                                           "and D; 0: none (SAGAN, table 2: 32 or 64)")
    skips: bool = knob(True, options=(False, True), help="skip connections from stage II's encoder into its decoder")
    batch_size: int = knob(16, 2, 512, help="images a step (Che, section 3.1: 16)")
    lr: float = knob(2e-4, 1e-5, 1e-2, log=True, help="learning rate of all Adam optimisers (Che, section 3.1)")
    beta1: float = knob(0.5, 0.0, 0.99, help="Adam's decay of the mean gradient (Che, section 3.1)")
    beta2: float = knob(0.999, 0.9, 0.9999, help="Adam's decay of the squared gradient (Che, section 3.1)")
    z: int = knob(100, 8, 512, help="dimensions of the latent vector (Radford: 100)")
    ngf: int = knob(64, 4, 512,
                    help="width of stage I's generator: channels before the last layer (Radford: 64 at 64 px)")
    ndf: int = knob(64, 4, 512, help="width of stage I's discriminator: channels after the first layer")
    width2: int = knob(64, 4, 512, help="the same two widths in stage II; twice the size doubles DCGAN's inner layers")
    ndf2: int = knob(0, 0, 512, help="width of stage II's discriminator alone; 0: width2")
    weight_l1: float = knob(0.0, 0.0, 1000.0, help="weight of the L1 distance of stage II's images, reduced to size1, "
                                                   "from stage I's; 0: none, as Che")
    init_std: float = knob(0.02, 1e-4, 0.2, log=True, help="standard deviation of the initial weights (Radford: 0.02)")
    ema: float = knob(0.0, 0.0, 0.9999,
                      help="share of the averaged generator, which then samples, that stays in a step; "
                                             "0: none, as Che")

    def __post_init__(self):
        check(self)
        if self.size1 > self.size:
            raise ValueError(f"Config.size1 is {self.size1}; it must not exceed size, {self.size}")
        if self.attention >= self.size1:
            raise ValueError(f"Config.attention is {self.attention}; it must lie below size1, {self.size1}")
        if self.stage == 2 and not self.stage1:
            raise ValueError("Config.stage1 is empty; stage 2 needs the folder of the run that trained stage 1, or the "
                             "name of a shipped generator")

    @property
    def dcgan(self) -> dcgan.Config:
        """The DCGAN that the stage's networks are made from."""
        if self.stage == 1:
            return dcgan.Config(size=self.size1, z=self.z, ngf=self.ngf, ndf=self.ndf)
        return dcgan.Config(size=self.size, z=self.z, ngf=self.width2, ndf=self.ndf2 or self.width2)


class Generator(dcgan.Generator):
    """Stage I: z (B, z, 1, 1) to images (B, 1, size1, size1) in [-1, 1]; DCGAN's, with attention where it is wanted."""

    def __init__(self, config: Config):
        super().__init__(config.dcgan)
        if config.attention:  # after the block of convolution, BatchNorm and ReLU that reaches the side
            at = next(3 * i + 3 for i in range(6) if 4 << i == config.attention)
            self.main.insert(at, SelfAttention(config.ngf * config.size1 // (2 * config.attention)))


class Discriminator(dcgan.Discriminator):
    """Stage I: images (B, 1, size1, size1) in [-1, 1] to logits (B,); DCGAN's, with attention where it is wanted."""

    def __init__(self, config: Config):
        super().__init__(config.dcgan)
        if config.attention:  # the first block has no BatchNorm, so the i-th block from 0 ends at 3 i + 2
            at = next(3 * i + 2 for i in range(6) if config.size1 >> (i + 1) == config.attention)
            self.main.insert(at, SelfAttention(config.ndf * config.size1 // (2 * config.attention)))


class Refiner(nn.Module):
    """Stage II: the image (B, 1, size1, size1) of stage I and its latent to (B, 1, size, size), all in [-1, 1].

    The encoder's blocks are convolution and max-pooling down to 4x4, where z joins as channels; the decoder is DCGAN's
    from there, and takes the encoder's feature map of the same side at each side where both have one (Che, 2.2).
    """

    def __init__(self, config: Config):
        super().__init__()

        def width(side: int) -> int:
            # DCGAN's: width2 at the last hidden side, then doubling.
            return max(1, config.width2 * config.size // (2 * side))

        self.encoder, self.decoder, self.skips = nn.ModuleList(), nn.ModuleList(), config.skips
        channels, side = 1, config.size1
        while side > 4:
            # The block that works at a side ends in the width of the next one, so that pooling meets the decoder's.
            self.encoder.append(nn.Sequential(nn.Conv2d(channels, width(side), 3, 1, 1, bias=False),
                                              nn.BatchNorm2d(width(side)), nn.LeakyReLU(0.2, True)))
            channels, side = width(side), side // 2
        channels += config.z
        while 2 * side < config.size:
            side *= 2
            self.decoder.append(nn.Sequential(nn.ConvTranspose2d(channels, width(side), 4, 2, 1, bias=False),
                                              nn.BatchNorm2d(width(side)), nn.ReLU(True)))
            channels = width(side) * (2 if config.skips and side <= config.size1 else 1)
        self.last = nn.Sequential(nn.ConvTranspose2d(channels, 1, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, image: Tensor, z: Tensor) -> Tensor:
        return self.decode(*self.encode(image), z)

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The bottleneck (B, C, 4, 4), and the feature maps for the skip connections from the smallest side, 8, up."""
        maps = []
        for block in self.encoder:
            maps.append(block(image))
            image = F.max_pool2d(maps[-1], 2)
        return image, maps[::-1]

    def decode(self, bottleneck: Tensor, maps: list[Tensor], z: Tensor) -> Tensor:
        """What encode() gave, and z (B, z, 1, 1), to the image."""
        x = torch.cat([bottleneck, z.to(bottleneck.dtype).expand(-1, -1, 4, 4)], 1)
        for i, block in enumerate(self.decoder):
            x = block(x)
            if self.skips and i < len(maps):
                x = torch.cat([x, maps[i]], 1)
        return self.last(x)


class StyleFirst(stylegan2.Generator):
    """StyleGAN2's averaged generator as stage I, which Che's conclusion asks for: z (B, z, 1, 1) to images in [-1, 1].

    Its noise inputs are fixed, so that one latent is one image.
    """

    def __init__(self, config: stylegan2.Config):
        super().__init__(config)
        self.config = config

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z.flatten(1), fixed_noise=True).clamp(-1, 1)


class Stack(nn.Module):
    """z (B, z, 1, 1) to images (B, 1, size, size) in [-1, 1] through a frozen stage I and the refiner.

    `drawn` is what stage I made of the latest z, (B, 1, size1, size1).
    """

    def __init__(self, first: Generator | StyleFirst, second: Refiner):
        super().__init__()
        self.first, self.second = first.requires_grad_(False), second
        self.train()

    def forward(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            self.drawn = self.first(z)
        return self.second(self.drawn, z)

    def train(self, mode: bool = True) -> "Stack":
        """Put stage II into training mode. Stage I stays in eval mode: in training mode its BatchNorm would go on
        averaging, its spectral norm iterating, and one latent's image would depend on the rest of the batch.
        """
        super().train(mode)
        self.first.eval()
        return self


class StackGAN(LatentGAN):
    """One class's stacked GAN; a step trains the stage that the config names (Che 2021, equation 1).

    In stage 1, G and D are a DCGAN on the images reduced to size1. In stage 2, G is stage I, frozen, and the refiner,
    and D is DCGAN's on the whole images. Both stages draw the same latents from the same seed, so sample(n, seed)
    gives the same livers before and after stage II. An export holds both stages, but for a stage I that this package
    ships: that is at hand wherever the export can be loaded.
    """

    SAMPLES = ("style", "shipped")

    def __init__(
        self,
        config: Config,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        first: Generator | StyleFirst | None = None,    # stage I; None: for stage 2 from config.stage1
    ):
        self.first = first
        super().__init__(config, device, dtype)
        self.style = asdict(self.first.config) if isinstance(self.first, StyleFirst) else None   # of a StyleGAN2
        # What tells a stage I that this package ships from others.
        named = config.stage == 2 and first is None and ships(config)
        self.shipped = store.signature(config.stage1) if named else None

    @classmethod
    def of_state(cls, config: Config, state: dict, device: torch.device | str = "cpu") -> "StackGAN":
        """A stacked GAN with both stages from the state; where stage I is a StyleGAN2, state['style'] is its Config.

        The checkpoint of a run does not say it: then the config.json in the folder config.stage1 does. Raises
        ValueError for an export whose stage I is a shipped one that has changed since.
        """
        if config.stage == 2 and ships(config):
            gan = cls(config, device)
            if state.get("shipped", gan.shipped) != gan.shipped:
                raise ValueError(f"this stage II was trained on {state['shipped']}; "
                                 f"what is shipped now is {gan.shipped}")
            first = {f"first.{name}": value for name, value in gan.first.state_dict().items()}
            state = {"style": gan.style, "shipped": gan.shipped} | state | {"G": first | state["G"]}
        else:
            path = Path(config.stage1) / "config.json"
            if "style" not in state:
                stage1 = read_json(path) if config.stage == 2 and path.is_file() else {}
                state = state | {"style": stage1["config"] if stage1.get("model") == "StyleGAN2" else None}
            gan = cls(config, device, first=blank(config, state["style"]) if config.stage == 2 else None)
        gan.load_sampling_state({"shipped": None} | state)
        return gan

    def sampling_state(self) -> dict:
        """What sampling needs, but for a stage I that this package ships."""
        state = super().sampling_state()
        if self.shipped:
            state["G"] = {name: value for name, value in state["G"].items() if not name.startswith("first.")}
        return state

    def build(self) -> tuple[nn.Module, nn.Module]:
        config = self.config
        if config.stage == 1:
            G, D = Generator(config), Discriminator(config)
        else:
            G, D = Refiner(config), dcgan.Discriminator(config.dcgan)
        for network in (G, D):
            init_weights(network, config.init_std)
            if config.spectral and config.stage == 1:
                normalise_spectrum(network)
        if config.stage == 1:
            return G, D
        self.first = self.first or stage_one(config)
        stack = Stack(self.first, G)
        if config.weight_l1:
            stack.register_forward_hook(remember)
        return stack, D

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of D and one of G on batch['image'], (B, 1, size, size) uint8 on the GAN's device."""
        config, images = self.config, batch["image"]
        self.fit(images)    # both stages take images of size
        real = images.float()
        if config.stage == 1:
            real = F.avg_pool2d(real, config.size // config.size1)
        return self.phase(self.update, normalise(real), torch.randn(len(real), config.z, 1, 1, device=self.device))

    def descend(self, name: str, loss: Tensor) -> None:
        """One optimiser step; in stage 2 the loss of G may hold how far its images lie from what stage I drew."""
        config = self.config
        if name == "G" and config.stage == 2 and config.weight_l1:
            reduced = F.avg_pool2d(self.G.made.float(), config.size // config.size1)
            loss = loss + config.weight_l1 * F.l1_loss(reduced, self.G.drawn.float())
        super().descend(name, loss)

    def load_state_dict(self, state: dict) -> None:
        """Restore what state_dict gave. Raises ValueError if stage I has been trained on since."""
        if self.config.stage == 2:
            for name, value in self.G.first.state_dict().items():
                if not torch.equal(value, state["G"][f"first.{name}"].to(value.device)):
                    raise ValueError(f"stage I in {self.config.stage1} is not the one that this stage II "
                                     f"was trained on ({name} differs): train stage II anew, in another folder")
        super().load_state_dict(state)


def remember(stack: Stack, latents: tuple[Tensor], images: Tensor) -> None:
    """Keep the images (B, 1, size, size) that a stack has just made, for the loss that compares them with `drawn`."""
    stack.made = images


def normalise_spectrum(network: nn.Module) -> None:
    """Divide every convolution's weight by its largest singular value, estimated by power iteration (Miyato 2018).

    The matrix is that of the reshaped weight, output channels by the rest, as in the paper: not the convolution's own
    operator norm. In training mode each forward pass makes one iteration; eval mode leaves the estimate as it is.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            spectral_norm(module)


def ships(config: Config) -> bool:
    """Whether stage I is a generator that this package ships."""
    name = config.stage1.removeprefix("generator:")
    return not Path(config.stage1).is_dir() and (store.SHIPPED / name / store.WEIGHTS).is_file()


def blank(config: Config, style: dict | None) -> Generator | StyleFirst:
    """Stage I before it is trained: this module's, or a StyleGAN2 with the Config of those values."""
    if style:
        return StyleFirst(stylegan2.Config(**style))
    first = Generator(replace(config, stage=1))
    if config.spectral:
        normalise_spectrum(first)
    return first


def stage_one(config: Config) -> Generator | StyleFirst:
    """Stage I's trained generator from config.stage1, a run's folder or a shipped name: this module's, or a StyleGAN2.

    Raises FileNotFoundError without it, and ValueError for one of something else or of another config.
    """
    folder = store.place(config.stage1) if ships(config) else Path(config.stage1)
    path = folder / (store.WEIGHTS if ships(config) else "checkpoint.safetensors")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: train stage 1 first (Config(stage=1, ...)), and give its run's "
                                "folder, or the name of a shipped generator, as stage1")
    trained = read_json(folder / "config.json")
    if trained["model"] == "StyleGAN2":
        size, z = trained["config"]["size"], trained["config"]["z"]
        if (size, z) != (config.size1, config.z):
            raise ValueError(f"{folder} holds a StyleGAN2 of size {size} and z {z}; size1 is {config.size1} "
                             f"and z {config.z}: they must be the same")
        if trained["config"].get("classes"):
            raise ValueError(f"{folder} holds a StyleGAN2 that is told classes: stage I draws one class from z alone")
    first = blank(config, trained["config"] if trained["model"] == "StyleGAN2" else None)
    # How the names of the generator's tensors begin: the averaged generator where there is one.
    start = "" if ships(config) else (
        "/gan/G_ema/" if trained["model"] == "StyleGAN2" or trained["config"].get("ema") else "/gan/G/")
    try:
        if trained["model"] not in FIRST:
            raise KeyError(f"it is of {trained['model']}")
        first.load_state_dict({name.removeprefix(start): value for name, value in read_tensors(path)[0].items()
                               if name.startswith(start)})
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} does not hold stage I of this config ({reason}): size1, z, ngf, spectral "
                         "and attention must be those that it was trained with") from error
    return first
