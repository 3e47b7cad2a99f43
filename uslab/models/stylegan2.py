"""StyleGAN2 (Karras 2020a) with adaptive or differentiable augmentation, as Maack 2022 trains it on small sets.

Maack 2022: https://doi.org/10.1515/cdbme-2022-0005
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .augment import SETS, Controller, ada
from .config import check, knob
from .diffaug import FILLS, POLICIES, diff_augment
from .gan import GAN
from .layers import normalise
from .stylegan2_ops import (
    bias_act,
    blur_filter,
    conv2d_resample,
    exact,
    laid_out,
    minibatch_std,
    modulated_conv2d,
    normalise_latent,
    upsample2d,
)

PATH_DECAY, PATH_SHRINK = 0.01, 2   # of the mean path length; only half of the batch is measured (Karras 2020a, B)
AVERAGE_DECAY = 0.995               # of the mean style w, to which truncation goes


@dataclass(frozen=True)
class Config:
    """Every hyperparameter of StyleGAN2; the defaults are the preset 'auto' at 64 pixels. See also `preset`."""

    size: int = knob(64, options=(32, 64, 128, 256, 512), help="side of the images, pixels (Maack: 256)")
    batch_size: int = knob(32, 2, 256, help="images a step (StyleGAN2: 32; paper256: 64)")
    lr: float = knob(0.0025, 1e-5, 0.02, log=True, help="learning rate of both networks, before lazy regularisation")
    z: int = knob(512, 8, 512, help="dimensions of the latent z and of the style w")
    mapping_layers: int = knob(2, 1, 8, help="layers from z to w (StyleGAN2, Maack: 8; auto: 2)")
    channel_base: int = knob(16384, 64, 65536, log=True, help="channels at a resolution: base / resolution ...")
    channel_max: int = knob(512, 8, 512, help="... but at most so many")
    gamma: float = knob(0.0256, 0.0, 1000.0, help="weight of R1, the penalty on D's gradient on real images")
    r1_every: int = knob(16, 1, 64, help="steps between two R1 steps (lazy regularisation)")
    path_weight: float = knob(2.0, 0.0, 10.0, help="weight of the path length penalty on G; 0: none")
    path_every: int = knob(4, 1, 64, help="steps between two path length steps")
    style_mixing: float = knob(0.9, 0.0, 1.0, help="share of the batches whose images have two styles")
    mbstd_group: int = knob(4, 1, 32, help="images whose spread D sees together; divides the batch")
    ema_kimg: float = knob(10.0, 0.0, 100.0, help="half-life of the averaged generator, thousands of images")
    ema_rampup: float = knob(0.05, 0.0, 1.0, help="half-life at most this share of the images seen; 0: no ramp")
    augment: str = knob("ada", options=("none", "ada", "fixed", "diffaug"),
                        help="none; ADA with p that adapts, or stays at p; DiffAugment")
    operations: str = knob("ultrasound", options=tuple(SETS), help="ADA's operations (Maack: bg)")
    p: float = knob(0.0, 0.0, 1.0, help="probability of each operation: at the start with ada, always with fixed")
    ada_target: float = knob(0.6, 0.0, 1.0, help="r_t that ADA holds (Karras 2020b: 0.6)")
    ada_kimg: float = knob(500.0, 0.01, 1000.0, log=True, help="thousands of images in which p can go from 0 to 1")
    policy: str = knob(POLICIES[0], options=POLICIES, help="DiffAugment's operations (Maack: translation, cutout)")
    classes: int = knob(0, 0, 100, help="classes that G and D are told (Karras 2020b's conditional networks); 0: none")
    freeze_d: int = knob(0, 0, 30, help="convolutions of D, from the image on, that stay as they are (Mo 2020's "
                                        "freeze-D, where a training starts from another)")
    fill: str = knob("grey", options=tuple(FILLS), help="what DiffAugment fills with; grey is the paper's zero")

    def __post_init__(self):
        check(self)
        if self.batch_size % min(self.mbstd_group, self.batch_size):
            raise ValueError(f"Config.batch_size is {self.batch_size}; it must be a multiple of mbstd_group, "
                             f"{self.mbstd_group}")

    def channels(self, resolution: int) -> int:
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def resolutions(self) -> list[int]:
        """4, 8, ... size."""
        return [2**k for k in range(2, int(math.log2(self.size)) + 1)]


def preset(name: str, size: int = 256, **changes) -> Config:
    """A named configuration of the reference implementation, with changes.

    'stylegan2': Karras 2020a's for faces, for small batches and LSUN the nearest. 'paper256': Karras 2020b's at 256
    pixels. 'auto': its formulas for a size and batch; R1's weight is 0.0002 size^2 / batch. Raises ValueError for
    another name.
    """
    if name == "stylegan2":
        values = {"batch_size": 32, "channel_base": 32768, "lr": 0.002, "gamma": 10.0, "ema_kimg": 10.0,
                  "ema_rampup": 0.0, "mapping_layers": 8, "mbstd_group": 4}
    elif name == "paper256":
        values = {"batch_size": 64, "channel_base": 16384, "lr": 0.0025, "gamma": 1.0, "ema_kimg": 20.0,
                  "ema_rampup": 0.0, "mapping_layers": 8, "mbstd_group": 8}
    elif name == "auto":
        batch_size = changes.get("batch_size", min(4096 // size, 32))
        values = {"batch_size": batch_size, "channel_base": 32768 if size >= 512 else 16384, "lr": 0.0025,
                  "gamma": 0.0002 * size**2 / batch_size, "ema_kimg": batch_size * 10 / 32, "ema_rampup": 0.05,
                  "mapping_layers": 2, "mbstd_group": min(batch_size, 4)}
    else:
        raise ValueError(f"there is no preset {name!r}: choose stylegan2, paper256 or auto")
    return Config(**({"size": size} | values | changes))


def ema_beta(config: Config, images: int) -> float:
    """Share of the averaged generator that stays in a step, after so many images."""
    half_life = config.ema_kimg * 1000
    if config.ema_rampup:
        half_life = min(half_life, images * config.ema_rampup)
    return 0.5 ** (config.batch_size / max(half_life, 1e-8))


class Dense(nn.Module):
    """Fully connected layer whose weights are N(0, 1) and scaled at run time (equalised learning rate)."""

    def __init__(self, inputs: int, outputs: int, act: str = "linear", lr: float = 1.0, bias: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.act, self.lr, self.gain = act, lr, lr / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return bias_act(F.linear(x, self.weight * self.gain), self.bias * self.lr, self.act)


class Convolution(nn.Module):
    """Convolution of D: equalised learning rate, bias, leaky ReLU; with down = 2 it filters and halves the side.

    `gain` scales the output. Leaky ReLU lets a positive factor through, so all factors are put into the weights.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, down: int = 1, act: bool = True, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if act else None
        self.down, self.gain = down, gain * (math.sqrt(2) if act else 1)
        self.register_buffer("blur", blur_filter())

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[2]
        weight = self.weight * (self.gain / math.sqrt(self.weight[0].numel()))
        bias = None if self.bias is None else self.bias * self.gain
        y = conv2d_resample(x, weight, self.blur, down=self.down, padding=kernel // 2, bias=bias)
        return y if bias is None else F.leaky_relu_(y, 0.2)


class Embedding(nn.Module):
    """Labels (B,) to vectors (B, width) of unit mean square."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.dense = Dense(classes, width)

    def forward(self, labels: Tensor) -> Tensor:
        return normalise_latent(self.dense(F.one_hot(labels, self.dense.weight.shape[1]).float()))


def dense_layers(inputs: int, width: int, count: int) -> nn.Sequential:
    """The fully connected layers of a mapping network, with a hundredth of the learning rate."""
    return nn.Sequential(*[Dense(width if i else inputs, width, "lrelu", lr=0.01) for i in range(count)])


class Mapping(nn.Module):
    """Latents z (B, z), and labels (B,) where G is told classes, to styles w (B, z); `average` is the mean of w."""

    def __init__(self, config: Config):
        super().__init__()
        if config.classes:
            self.embedding = Embedding(config.classes, config.z)
        self.layers = dense_layers(config.z * (2 if config.classes else 1), config.z, config.mapping_layers)
        self.register_buffer("average", torch.zeros(config.z))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        with exact(z.device):   # eight layers of rounding would add up
            x = normalise_latent(z)
            return self.layers(x if labels is None else torch.cat([x, self.embedding(labels)], 1))


class StyleLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; with up = 2 it doubles the side first."""

    def __init__(self, config: Config, inputs: int, outputs: int, resolution: int, up: int = 1):
        super().__init__()
        self.affine = Dense(config.z, inputs, bias=1)             # A in the paper's figures
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros([]))             # of the noise, B in the paper's figures
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))
        self.register_buffer("blur", blur_filter())
        self.resolution, self.up = resolution, up

    def forward(self, x: Tensor, w: Tensor, fixed_noise: bool) -> Tensor:
        side, gain = self.resolution, math.sqrt(2)
        noise = self.noise if fixed_noise else torch.randn(len(x), 1, side, side, device=x.device)
        y = modulated_conv2d(x, self.weight, self.affine(w), noise * self.strength, self.up, padding=1, f=self.blur,
                             flip_weight=self.up == 1, gain=gain)
        return F.leaky_relu_(y.add_((self.bias * gain).to(y.dtype).view(1, -1, 1, 1)), 0.2)


class ToImage(nn.Module):
    """Modulated 1x1 convolution to grey levels, without demodulation."""

    def __init__(self, config: Config, inputs: int, channels: int):
        super().__init__()
        self.affine = Dense(config.z, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        b, i, h, width = x.shape
        styles = self.affine(w) / math.sqrt(i)
        # So few channels come out that a matrix for each image is cheaper than scaling all that go in.
        mixed = (styles[:, :, None] * self.weight[:, :, 0, 0].T).to(x.dtype)
        y = x.permute(0, 2, 3, 1).reshape(b, h * width, i) @ mixed
        return y.float().transpose(1, 2).reshape(b, -1, h, width) + self.bias.view(1, -1, 1, 1)


class Synthesis(nn.Module):
    """Styles (B, layers, z) to images (B, channels, size, size) in about [-1, 1]: each resolution adds to them."""

    def __init__(self, config: Config, channels: int = 1):
        super().__init__()
        self.constant = nn.Parameter(torch.randn(config.channels(4), 4, 4))
        self.layers, self.images = nn.ModuleList(), nn.ModuleList()
        self.register_buffer("blur", blur_filter())
        before = None
        for resolution in config.resolutions:
            width = config.channels(resolution)
            if before:
                self.layers.append(StyleLayer(config, before, width, resolution, up=2))
            self.layers.append(StyleLayer(config, width, width, resolution))
            self.images.append(ToImage(config, width, channels))
            before = width
        self.styles = len(self.layers) + 1    # the last is that of the last ToImage alone

    def forward(self, styles: Tensor, fixed_noise: bool = False) -> Tensor:
        x = laid_out(self.constant.expand(len(styles), -1, -1, -1))
        image, number = None, 0
        for block, to_image in enumerate(self.images):
            for layer in self.layers[max(0, 2 * block - 1):2 * block + 1]:
                x = layer(x, styles[:, number], fixed_noise)
                number += 1
            # An image's style is also that of the next block's first layer (Karras 2020a's code).
            grey = to_image(x, styles[:, number])
            image = grey if image is None else upsample2d(image, self.blur) + grey
        return image


class Generator(nn.Module):
    """Latents z (B, z) to images (B, channels, size, size), about in [-1, 1]."""

    def __init__(self, config: Config, channels: int = 1):
        super().__init__()
        self.mapping, self.synthesis = Mapping(config), Synthesis(config, channels)

    def styles(self, z: Tensor, truncation: float = 1.0, labels: Tensor | None = None) -> Tensor:
        """Styles (B, layers, z) of latents; truncation below 1 draws w to its mean: less variety, fewer faults."""
        w = self.mapping(z, labels)
        w = w if truncation == 1 else self.mapping.average.lerp(w, truncation)
        return w[:, None].expand(-1, self.synthesis.styles, -1)

    def forward(
        self,
        z: Tensor,                        # (B, z)
        truncation: float = 1.0,
        fixed_noise: bool = False,
        labels: Tensor | None = None,     # (B,) int64, where G is told classes
    ) -> Tensor:
        return self.synthesis(self.styles(z, truncation, labels), fixed_noise)


class Residual(nn.Module):
    """Two convolutions that halve the side, and a short cut, each with half of the variance."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        half = math.sqrt(0.5)
        self.first = Convolution(inputs, inputs, 3)
        self.second = Convolution(inputs, outputs, 3, down=2, gain=half)
        self.skip = Convolution(inputs, outputs, 1, down=2, act=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + self.skip(x)


class Discriminator(nn.Module):
    """Images (B, channels, size, size) in [-1, 1] to logits (B,); above 0 means real.

    Where D is told classes, the logit is the projection of the image's features on those of its label (Miyato 2018).
    """

    def __init__(self, config: Config, channels: int = 1):
        super().__init__()
        widths = [config.channels(resolution) for resolution in reversed(config.resolutions)]
        self.blocks = nn.Sequential(Convolution(channels, widths[0], 1),
                                    *[Residual(a, b) for a, b in zip(widths, widths[1:])])
        self.group, width = config.mbstd_group, widths[-1]
        self.last = Convolution(width + 1, width, 3)
        self.dense, self.out = Dense(width * 16, width, "lrelu"), Dense(width, width if config.classes else 1)
        if config.classes:
            self.mapping = nn.Sequential(Embedding(config.classes, width), *dense_layers(width, width, 8))

    def learn(self, frozen: int = 0) -> None:
        """Let all weights learn but those of so many convolutions, counted from the image on (Mo 2020)."""
        self.requires_grad_(True)
        for layer in [part for part in self.blocks.modules() if isinstance(part, Convolution)][:frozen]:
            layer.requires_grad_(False)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.blocks(laid_out(images))
        x = self.last(minibatch_std(x, self.group))
        x = self.out(self.dense(x.flatten(1)))
        if labels is None:
            return x[:, 0]
        with exact(images.device):
            return (x.float() * self.mapping(labels)).sum(1) / math.sqrt(x.shape[1])


class StyleGAN2(GAN):
    """Both networks, the averaged generator, their optimisers, the augmentation and one training step.

    R1 and path length stay in float32.
    """

    STATE, SAMPLES = (*GAN.STATE, "ada", "path_mean", "steps", "seen"), ("seen",)
    averages = True

    def __init__(
        self,
        config: Config = Config(),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,   # of the networks' arithmetic: float32 or bfloat16
    ):
        super().__init__(config, device, dtype)
        p = config.p if config.augment in ("ada", "fixed") else 0.0
        self.ada = Controller(p, config.augment == "ada", config.ada_target, config.ada_kimg)
        self.path_mean = torch.zeros([], device=self.device)
        self.steps = 0
        self.seen = torch.zeros(config.classes, device=self.device)     # training images of each class so far

    def build(self) -> tuple[nn.Module, nn.Module]:
        G, D = Generator(self.config), Discriminator(self.config)
        D.learn(self.config.freeze_d)
        return G, D

    def adam(self, name: str) -> dict:
        config = self.config
        every = {"G": config.path_every if config.path_weight else None, "D": config.r1_every if config.gamma else None}
        # With lazy regularisation an optimiser makes k + 1 steps where it would make k (Karras 2020a, appendix B).
        share = every[name] / (every[name] + 1) if every[name] else 1.0
        return {"lr": config.lr * share, "betas": (0.0, 0.99**share), "eps": 1e-8}

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor | float]:
        """One update of G and one of D on batch['image'], (B, 1, H, W) uint8, and every k steps a regularisation.

        A conditional GAN needs batch['label'], (B,) int64; the fakes of a step have the same labels.
        """
        self.fit(batch["image"])
        config, real, labels = self.config, normalise(batch["image"].float()), self.labels(batch)
        values = self.phase(self.update_g, len(real), labels)
        if config.path_weight and self.steps % config.path_every == 0:
            self.phase(self.regularise_g, len(real), labels)
        values |= self.phase(self.update_d, real, labels)
        self.ada.update(values.pop("signs"), len(real))
        if config.gamma and self.steps % config.r1_every == 0:
            self.phase(self.regularise_d, real, labels)
        self.average()
        self.steps += 1
        return values | {"r_t": self.ada.r, "p": self.ada.p}

    def labels(self, batch: dict[str, Tensor]) -> Tensor | None:
        """The labels of a batch, counted, where G is told classes. Raises ValueError if there are none, or others."""
        if not self.config.classes:
            return None
        if "label" not in batch:
            raise ValueError(f"the images have no labels, but Config.classes is {self.config.classes}: set it to 0")
        self.seen += F.one_hot(batch["label"], self.config.classes).sum(0)
        return batch["label"]

    # The four phases

    def update_g(self, n: int, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Descend softplus(-D(T(G(z)))): -log of D's probability that the augmented fakes are real."""
        self.D.requires_grad_(False)
        with self.autocast():
            fake = self.generate(n, labels)                                   # G(z)
            d_fake = self.D(self.augment(fake), labels).float()               # logits of D(T(G(z)))
        loss = F.softplus(-d_fake).mean()
        self.descend("G", loss)
        self.D.learn(self.config.freeze_d)
        return {"loss_g": loss.detach()}

    def update_d(self, real: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Descend softplus(D(T(G(z)))) + softplus(-D(T(x))); 'signs' is what ADA looks at, the sum of D(T(x))'s."""
        with self.autocast():
            with torch.no_grad():
                fake = self.generate(len(real), labels, move_average=False)
            d_fake = self.D(self.augment(fake), labels).float()               # logits of D(T(G(z)))
            d_real = self.D(self.augment(real), labels).float()               # logits of D(T(x))
        loss = F.softplus(d_fake).mean() + F.softplus(-d_real).mean()
        self.descend("D", loss)
        return {"loss_d": loss.detach(), "d_real": d_real.detach().sigmoid().mean(),
                "d_fake": d_fake.detach().sigmoid().mean(), "signs": d_real.detach().sign().sum()}

    def regularise_g(self, n: int, labels: Tensor | None = None) -> None:
        """Path length (Karras 2020a, equation 4): a step in w should change the image by the same length everywhere."""
        n = max(1, n // PATH_SHRINK)
        styles = self.mixed_styles(n, None if labels is None else labels[:n], move_average=False)
        images = self.G.synthesis(styles)
        noise = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
        slope, = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        length = slope.square().sum(2).mean(1).sqrt()
        mean = self.path_mean.lerp(length.mean(), PATH_DECAY)
        self.path_mean.copy_(mean.detach())
        self.descend("G", (length - mean).square().mean() * self.config.path_weight * self.config.path_every)

    def regularise_d(self, real: Tensor, labels: Tensor | None = None) -> None:
        """R1 (Mescheder 2018): gamma / 2 times D's squared gradient on the real images, through the augmentation."""
        real = real.detach().requires_grad_()
        slope, = torch.autograd.grad(self.D(self.augment(real), labels).sum(), real, create_graph=True)
        penalty = slope.square().sum((1, 2, 3)).mean()
        self.descend("D", penalty * self.config.gamma / 2 * self.config.r1_every)

    # What the phases use

    def generate(self, n: int, labels: Tensor | None = None, move_average: bool = True) -> Tensor:
        return self.G.synthesis(self.mixed_styles(n, labels, move_average))

    def mixed_styles(self, n: int, labels: Tensor | None = None, move_average: bool = True) -> Tensor:
        """Styles (n, layers, z) of new latents; with style mixing, those of another latent from a random layer on."""
        z, count = torch.randn(2, n, self.config.z, device=self.device), self.G.synthesis.styles
        w = self.G.mapping(z[0], labels)
        if move_average:
            self.G.mapping.average.lerp_(w.detach().mean(0), 1 - AVERAGE_DECAY)
        styles = w[:, None].expand(-1, count, -1)
        if self.config.style_mixing:
            # Drawn on the device, which nothing waits for: from layer `first` on, or from none.
            first = torch.randint(1, count, [], device=self.device)
            first = torch.where(torch.rand([], device=self.device) < self.config.style_mixing, first, count)
            other = self.G.mapping(z[1], labels)[:, None]
            styles = torch.where((torch.arange(count, device=self.device) < first)[:, None], styles, other)
        return styles

    def augment(self, images: Tensor) -> Tensor:
        """T: what D gets to see of an image, real or not."""
        with exact(self.device):   # bfloat16 knows fewer grey levels than an image has
            if self.config.augment == "diffaug":
                return diff_augment(images, self.config.policy, self.config.fill)
            return ada(images, SETS[self.config.operations], self.ada.p)

    @property
    def layout(self) -> torch.memory_format:
        return torch.contiguous_format if self.device.type == "cuda" else torch.channels_last

    def use_graphs(self) -> bool:
        """As any GAN, but not with ADA, whose images are padded by as much as is drawn."""
        return self.config.augment in ("none", "diffaug") and super().use_graphs()

    def ema_share(self) -> float:
        return ema_beta(self.config, self.steps * self.config.batch_size)

    def sample(
        self,
        n: int,
        seed: int,
        condition: int | Tensor | None = None,    # a class's number, or one an image (n,); None: as often as trained on
        truncation: float = 1.0,
    ) -> Tensor:
        """n synthetic images of the averaged generator, uint8 (n, 1, size, size); the same seed gives the same."""
        z = self.config.z
        inputs = torch.randn(n, z, generator=torch.Generator().manual_seed(seed))
        labels = self.drawn(n, seed) if condition is None else self.known(condition, n)
        if labels is not None:
            inputs = torch.cat([inputs, labels[:, None].float()], 1)

        def network(x: Tensor) -> Tensor:
            return self.G_ema(x[:, :z], truncation, labels=x[:, z].long() if self.config.classes else None)

        # The noise inputs come from the global generator: it is put back afterwards, for the training's sake.
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            return self.images(network, inputs, 32)

    def drawn(self, n: int, seed: int) -> Tensor | None:
        """Labels (n,) int64 on the CPU, drawn as often as the training images had them; None without classes."""
        if not self.config.classes:
            return None
        generator = torch.Generator().manual_seed(seed)
        torch.randn(n, self.config.z, generator=generator)      # the latents, so that labels do not depend on them
        shares = self.seen.cpu() if self.seen.any() else torch.ones(self.config.classes)
        return torch.multinomial(shares, n, replacement=True, generator=generator)

    def known(self, condition: int | Tensor, n: int) -> Tensor:
        """Labels (n,) int64 on the CPU of the condition given. Raises ValueError for those that G does not know."""
        if not self.config.classes:
            raise ValueError("this StyleGAN2 was told no classes (Config.classes is 0): leave condition at None")
        labels = torch.as_tensor(condition).cpu().long().expand(n)
        if n and not 0 <= int(labels.min()) <= int(labels.max()) < self.config.classes:
            raise ValueError(f"condition must be from 0 to {self.config.classes - 1}, a class's number")
        return labels
