"""Sketch-guided progressive growing GAN (Liang 2020), with its stages, and pix2pix (Isola 2017), its baseline.

Liang 2020: https://doi.org/10.1109/ISBI45749.2020.9098384
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import check, knob
from .gan import ConditionalGAN
from .layers import InstanceNorm, Residual, bce, init_weights, normalise
from .sketches import OBJECTS, SKETCH, one_hot, shrink
from .unet import UNet

INTERVALS = 30      # alpha rises by 1/30 (section 2.4)


@dataclass(frozen=True)
class Config:
    """Every hyperparameter; the defaults are Liang 2020's (section 3), or pix2pix's where the paper is silent."""

    size: int = knob(256, options=(32, 64, 128, 256, 512), help="side of the images, pixels, before "
                                                                "they grow to twice that")
    sketch: bool = knob(True, help="the generator sees the background's sketch (Sgan), or the mask alone (cGAN)")
    network: str = knob("residual", options=("residual", "unet"),
                        help="generator: Liang's encoder with residual blocks, or pix2pix's own U-Net, which cannot "
                             "grow")
    grow: bool = knob(True, help="grow to 2 * size in four phases (PGSGAN); the images given must have that side")
    first: int = knob(100_000, 1, 10_000_000, log=True, help="steps of the first phase; without growing, it never ends")
    fade: int = knob(712, 1, 100_000, log=True, help="steps for which alpha stays before it rises by 1/30; an epoch of "
                                                      "the paper's 2848 images is 712")
    top: float = knob(0.5, 0.0, 1.0, help="where alpha of the generator ends (Liang, section 2.4: 0.5)")
    batch_size: int = knob(4, 1, 256, help="images a step (Liang: 4)")
    lr_g: float = knob(1e-3, 1e-5, 1e-2, log=True, help="learning rate of the generator (Liang: 0.001)")
    lr_d: float = knob(1e-4, 1e-6, 1e-2, log=True, help="learning rate of the discriminator (Liang: 0.0001)")
    beta1: float = knob(0.5, 0.0, 0.99, help="Adam's decay of the mean gradient (pix2pix)")
    beta2: float = knob(0.999, 0.9, 0.9999, help="Adam's decay of the squared gradient (pix2pix)")
    ngf: int = knob(64, 4, 256, help="width of the generator: channels of its first layer (pix2pix: 64)")
    ndf: int = knob(64, 4, 256, help="width of the discriminator: channels of its first layer (pix2pix: 64)")
    blocks: int = knob(10, 1, 20, help="residual blocks (Liang, section 2.1: 10)")
    weight_l1: float = knob(100.0, 0.0, 10_000.0, help="weight of the L1 loss (equation 3: 1; pix2pix: 100)")
    reduction: str = knob("mean", options=("mean", "sum"), help="L1 as the mean over the pixels, or their sum "
                                                                "an image: equation 2 is a sum")
    init_std: float = knob(0.02, 1e-4, 0.2, log=True, help="standard deviation of the initial weights (pix2pix)")
    ema: float = knob(0.0, 0.0, 0.9999,
                      help="share of the averaged generator, which then samples, that stays in a step; "
                                             "0: none, as Liang")

    def __post_init__(self):
        check(self)
        if self.network == "unet" and self.grow:
            raise ValueError("Config.network is 'unet', which has no layers to grow by: set grow to False")

    @property
    def full(self) -> int:
        """Side of the images that the GAN is given, pixels."""
        return self.size * 2 if self.grow else self.size

    @property
    def starts(self) -> tuple[int, int, int]:
        """Steps with which phases 2, 3 and 4 begin. D's alpha needs 30 intervals to 1, G's its share `top` of them."""
        second = self.first
        third = second + INTERVALS * self.fade
        return second, third, third + round(INTERVALS * self.top) * self.fade

    def phase(self, step: int) -> int:
        """1: all at `size`; 2: D grows; 3: G grows; 4: all grown. step counts from 0."""
        return 1 + sum(step >= start for start in self.starts) if self.grow else 1

    def alphas(self, step: int) -> tuple[float | None, float | None]:
        """alpha of G and of D at a step; None while that network has not grown."""
        def alpha(start: int, top: float) -> float | None:
            return min((step - start) // self.fade / INTERVALS, top) if self.grow and step >= start else None

        second, third, _ = self.starts
        return alpha(third, self.top), alpha(second, 1.0)


class FadeDown(nn.Module):
    """FIB-D (figure 3, left): side 2 * s to s. The skip is the input resized; the main stream has the new layers."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3), nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, channels, 4, 2, 1))

    def forward(
        self,
        x: Tensor,           # (B, channels, 2 * s, 2 * s)
        resized: Tensor,     # (B, channels, s, s): x as the network saw it before it grew
        alpha: float,        # share of the main stream
    ) -> Tensor:
        return alpha * self.main(x) + (1 - alpha) * resized


class FadeUp(nn.Module):
    """FIB-U (figure 3, right): side s to 2 * s. The skip enlarges the old image; the main stream starts a layer
    earlier, from the features, since one grey channel of the old size holds no more detail than the skip.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1), InstanceNorm(width), nn.ReLU(True),
            nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh())       # as the last layers before it grew

    def forward(
        self,
        features: Tensor,    # (B, channels, s, s)
        old: Tensor,         # (B, 1, s, s) in [-1, 1]: the image before it grew
        alpha: float,
    ) -> Tensor:
        return alpha * self.main(enlarge(features)) + (1 - alpha) * enlarge(old)


class Generator(nn.Module):
    """Condition (B, channels, s, s) to images (B, 1, s, s) in [-1, 1], or both at 2 * s once it has grown."""

    def __init__(self, config: Config, channels: int):
        super().__init__()
        w = config.ngf
        self.features = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(channels, w, 7), InstanceNorm(w), nn.ReLU(True),
            nn.Conv2d(w, 2 * w, 3, 2, 1), InstanceNorm(2 * w), nn.ReLU(True),
            nn.Conv2d(2 * w, 4 * w, 3, 2, 1), InstanceNorm(4 * w), nn.ReLU(True),
            *(Residual(4 * w) for _ in range(config.blocks)),
            # Enlarged and then convolved: a transposed convolution has as many weights and leaves a checkerboard.
            nn.Upsample(scale_factor=2), nn.Conv2d(4 * w, 2 * w, 3, 1, 1), InstanceNorm(2 * w), nn.ReLU(True),
            nn.Upsample(scale_factor=2), nn.Conv2d(2 * w, w, 3, 1, 1), InstanceNorm(w), nn.ReLU(True))
        self.image = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(w, 1, 7), nn.Tanh())
        self.down = FadeDown(channels, w // 2) if config.grow else None
        self.up = FadeUp(w, w // 2) if config.grow else None

    def forward(
        self,
        condition: Tensor,               # (B, channels, s, s)
        large: Tensor | None = None,     # (B, channels, 2 * s, 2 * s), once it has grown
        alpha: float | None = None,      # None: not grown
    ) -> Tensor:
        if alpha is None:
            return self.image(self.features(condition))
        features = self.features(self.down(large, condition, alpha))
        return self.up(features, self.image(features), alpha)


class Discriminator(nn.Module):
    """PatchGAN (Isola 2017) on condition and image (B, channels, s, s): logits (B, 1, s/8 - 2, s/8 - 2), 30x30 at 256.

    Each logit sees 70x70 pixels.
    """

    def __init__(self, config: Config, channels: int):
        super().__init__()
        w = config.ndf
        layers = [nn.Conv2d(channels, w, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for wide, stride in ((2 * w, 2), (4 * w, 2), (8 * w, 1)):
            layers += [nn.Conv2d(wide // 2, wide, 4, stride, 1), InstanceNorm(wide), nn.LeakyReLU(0.2, True)]
        self.main = nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 4, 1, 1))
        self.down = FadeDown(channels, w // 2) if config.grow else None

    def forward(
        self,
        pair: Tensor,                    # (B, channels, s, s)
        large: Tensor | None = None,     # (B, channels, 2 * s, 2 * s), once it has grown
        alpha: float | None = None,      # None: not grown
    ) -> Tensor:
        return self.main(pair if alpha is None else self.down(large, pair, alpha))


def enlarge(x: Tensor) -> Tensor:
    """Twice the side, bilinearly: nearest neighbour leaves blocks that a skip with alpha 0.5 keeps."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PGSGAN(ConditionalGAN):
    """Both networks, their optimisers and one training step; the phase is a function of the step and the Config.

    The layers that growth adds are there from the start and rest until their phase, so one checkpoint holds all phases.
    Label images are the conditions.
    """

    UNSEEN = "nothing has been trained on yet: give condition, label images (n, 1, H, W) uint8"

    def build(self) -> tuple[nn.Module, nn.Module]:
        channels = len(OBJECTS) + self.config.sketch
        residual = self.config.network == "residual"
        G = Generator(self.config, channels) if residual else UNet(channels, self.config.ngf, self.config.size)
        networks = G, Discriminator(self.config, channels + 1)
        for network in networks:
            init_weights(network, self.config.init_std)
        return networks

    def adam(self, name: str) -> dict:
        lr = self.config.lr_g if name == "G" else self.config.lr_d
        return {"lr": lr, "betas": (self.config.beta1, self.config.beta2)}

    @property
    def side(self) -> int:
        return self.config.full

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of D and one of G on batch['image'] and batch['mask'], both (B, 1, full, full) uint8.

        full is config.full; the masks are label images as `sketches.conditioned` makes them. Raises ValueError else.
        """
        labels = batch.get("mask")
        if labels is None:
            raise ValueError("the images have no label images: train on sketches.conditioned(images)")
        self.fit(batch["image"])
        self.keep(labels)
        alpha_g, alpha_d = self.config.alphas(self.steps)
        self.steps += 1
        return self.phase(self.update, labels, normalise(batch["image"].float()), alpha_g, alpha_d)

    def update(
        self,
        labels: Tensor,            # x, (B, 1, full, full) uint8
        real: Tensor,              # y, (B, 1, full, full) in [-1, 1]
        alpha_g: float | None,     # None: not grown
        alpha_d: float | None,
    ) -> dict[str, Tensor]:
        """Equation 3: D ascends log D(x, y) + log(1 - D(x, G(x))); then G descends -log D(x, G(x)) + weight * L1."""
        config = self.config
        x, large = self.views(labels)
        target = real if large is None or alpha_g is not None else F.avg_pool2d(real, 2)    # y, as large as G(x)
        with self.autocast():
            fake = self.G(x, large, alpha_g)                                       # G(x)
            d_real = self.judge(real, x, large, alpha_d)                           # logits of D(x, y)
            d_fake = self.judge(fake.detach(), x, large, alpha_d)                  # logits of D(x, G(x))
        loss_d = bce(d_real, 1.0) + bce(d_fake, 0.0)                               # -log D(x, y) - log(1 - D(x, G(x)))
        self.descend("D", loss_d)

        # D only passes the gradient on to G here; its own weights need none, so that work is spared.
        self.D.requires_grad_(False)
        with self.autocast():
            d_fake_new = self.judge(fake, x, large, alpha_d)
        loss_g = bce(d_fake_new, 1.0)                                              # -log D(x, G(x)), non-saturating
        loss_l1 = F.l1_loss(fake.float(), target, reduction=config.reduction)      # |y - G(x)|, equation 2
        if config.reduction == "sum":
            loss_l1 = loss_l1 / len(real)
        self.descend("G", loss_g + config.weight_l1 * loss_l1)
        self.D.requires_grad_(True)
        self.average()
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach(), "loss_l1": loss_l1.detach(),
                "d_real": d_real.detach().float().sigmoid().mean(), "d_fake": d_fake.detach().float().sigmoid().mean()}

    def views(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """The condition at `size`, as channels, and, if the GAN grows, at twice that."""
        if not self.config.grow:
            return one_hot(labels, self.config.sketch), None
        return one_hot(shrink(labels), self.config.sketch), one_hot(labels, self.config.sketch)

    def judge(
        self,
        images: Tensor,          # (B, 1, s, s) or (B, 1, 2 * s, 2 * s) in [-1, 1]
        x: Tensor,               # the condition at s
        large: Tensor | None,    # the condition at 2 * s
        alpha: float | None,     # of D; None: not grown
    ) -> Tensor:
        """D's logits, whatever has grown: D sees images at its own resolution, resized where G has another."""
        grown = large is not None and images.shape[2] == large.shape[2]
        small = F.avg_pool2d(images, 2) if grown else images
        pair = pair_up(x, small)
        if alpha is None:
            return self.D(pair)
        return self.D(pair, pair_up(large, images if grown else enlarge(images)), alpha)

    def sample(
        self,
        n: int,
        seed: int,                          # which of the kept conditions, if none are given; G itself has no chance
        condition: Tensor | None = None,    # label images (n, 1, full, full) uint8; None: of those trained on
    ) -> Tensor:
        """n synthetic images, uint8 (n, 1, side, side): side is config.size until G has grown, then twice that."""
        full = self.config.full
        condition = self.drawn(n, seed) if condition is None else condition
        if condition.dtype != torch.uint8 or tuple(condition.shape) != (n, 1, full, full):
            raise ValueError(f"condition must be uint8 {(n, 1, full, full)}, not {condition.dtype} "
                             f"{tuple(condition.shape)}")
        if n and int(condition.max()) > SKETCH:
            raise ValueError(f"condition holds {int(condition.max())}, but label images go from 0 to {SKETCH}")
        alpha, _ = self.config.alphas(max(0, self.steps - 1))    # of the last step taken
        network = self.sampler.eval()       # a U-Net's dropout is for training
        try:
            return self.images(lambda labels: network(*self.views(labels), alpha), condition, 16)
        finally:
            self.G.train()


def pair_up(condition: Tensor, images: Tensor) -> Tensor:
    """Condition and image as the channels of one input of D."""
    return torch.cat([condition, images.to(condition.dtype)], 1).contiguous(memory_format=torch.channels_last)
