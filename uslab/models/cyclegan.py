"""CycleGAN (Zhu 2017) with Grimwood 2021's denoiser: CT planes to endoscopic ultrasound and back, unpaired.

Grimwood 2021: https://doi.org/10.1007/978-3-030-87583-1_17
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import check, knob
from .denoiser import pretrained
from .gan import ConditionalGAN
from .layers import Residual, init_weights, normalise

DOMAINS = ("us", "ct")     # G["us"] makes ultrasound from CT, G["ct"] CT from ultrasound; D[x] judges images of x


@dataclass(frozen=True)
class Config:
    """Every hyperparameter; the defaults are Zhu 2017's and his code's, which Grimwood 2021 (section 2.3) kept."""

    size: int = knob(256, 32, 1024, help="width of the images, pixels; their height is free")
    batch_size: int = knob(1, 1, 64, help="images of each domain a step (Grimwood: 1)")
    lr: float = knob(2e-4, 1e-5, 1e-2, log=True, help="learning rate of both Adam optimisers (Grimwood, section 2.3)")
    beta1: float = knob(0.5, 0.0, 0.99, help="Adam's decay of the mean gradient (Zhu's code)")
    beta2: float = knob(0.999, 0.9, 0.9999, help="Adam's decay of the squared gradient (Zhu's code)")
    epoch: int = knob(1000, 1, 1_000_000, log=True, help="steps an epoch (Grimwood: the organ's ultrasound images)")
    epochs: float = knob(100.0, 0.001, 10_000.0, help="epochs at the whole learning rate (Zhu: 100)")
    decay: float = knob(100.0, 0.0, 10_000.0, help="further epochs, in which the rate falls linearly (Zhu: 100)")
    ngf: int = knob(64, 4, 256, help="width of the generators: channels of the first layer (Zhu: 64)")
    ndf: int = knob(64, 4, 256, help="width of the discriminators (Zhu: 64)")
    blocks: int = knob(9, 1, 20, help="residual blocks (Zhu: 9 at 256 pixels, 6 at 128)")
    layers: int = knob(3, 1, 5, help="strided layers of the discriminators: 1 to 5 see patches of 16, 34, 70, 142, 286")
    cycle: float = knob(10.0, 0.0, 100.0, help="weight of the cycle loss (Zhu: 10); 0: off")
    identity: float = knob(5.0, 0.0, 50.0, help="weight of the identity loss (Zhu's code: 0.5 x 10; Grimwood names "
                                                "none); 0: off")
    pool: int = knob(50, 0, 1000, help="earlier fakes that a discriminator is shown (Zhu: 50); 0: only the newest")
    denoise: str = knob("discriminator", options=("off", "discriminator", "cycle"),
                        help="where the denoiser stands: before each D (Grimwood), or between the generators (Porav)")
    upsample: str = knob("transposed", options=("transposed", "nearest"),
                         help="how the generators enlarge: transposed convolutions (Zhu), or nearest neighbours and a "
                              "convolution, against checkerboards")
    flip: float = knob(0.5, 0.0, 1.0, help="probability of a horizontal flip (Grimwood, section 2.3)")
    margin: int = knob(40, 0, 200, help="pixels that a random crop takes off height and width (Grimwood: 40 of 522), "
                                      "and up to 3 more, so that multiples of 4 are left")
    init_std: float = knob(0.02, 1e-4, 0.2, log=True, help="standard deviation of the initial weights (Zhu's code)")
    ema: float = knob(0.0, 0.0, 0.9999, help="share of the averaged generators, which then translate, that stays in a "
                                             "step; 0: none, as Zhu")

    def __post_init__(self):
        check(self)

    @property
    def steps(self) -> int:
        """Steps of the whole training; an epoch may be a part of one."""
        return max(1, round((self.epochs + self.decay) * self.epoch))

    def rate(self, step: int) -> float:
        """Learning rate at a step, counted from 0: whole for `epochs` epochs, then falling, never to exactly 0."""
        late = max(0, step // self.epoch + 1 - self.epochs)
        return self.lr * max(1 - late / (self.decay + 1), 1 / (self.decay + 1))


class Generator(nn.Module):
    """Images (B, 1, H, W) in [-1, 1] to the other domain: c7s1-w, d2w, d4w, residual blocks, u2w, uw, c7s1-1, tanh."""

    def __init__(self, config: Config):
        super().__init__()
        w = config.ngf
        self.main = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(1, w, 7), nn.InstanceNorm2d(w), nn.ReLU(True),
            nn.Conv2d(w, 2 * w, 3, 2, 1), nn.InstanceNorm2d(2 * w), nn.ReLU(True),
            nn.Conv2d(2 * w, 4 * w, 3, 2, 1), nn.InstanceNorm2d(4 * w), nn.ReLU(True),
            *(Residual(4 * w) for _ in range(config.blocks)),
            *self.enlarge(config, 4 * w, 2 * w), nn.InstanceNorm2d(2 * w), nn.ReLU(True),
            *self.enlarge(config, 2 * w, w), nn.InstanceNorm2d(w), nn.ReLU(True),
            nn.ReflectionPad2d(3), nn.Conv2d(w, 1, 7), nn.Tanh())

    @staticmethod
    def enlarge(config: Config, channels: int, width: int) -> list[nn.Module]:
        """Twice the side; both ways have the same number of weights."""
        if config.upsample == "transposed":
            return [nn.ConvTranspose2d(channels, width, 3, 2, 1, 1)]
        return [nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3)]

    def forward(self, images: Tensor) -> Tensor:
        return self.main(images)


class Discriminator(nn.Module):
    """PatchGAN: images (B, 1, H, W) in [-1, 1] to logits (B, 1, h, w), each of one patch (Isola 2017)."""

    def __init__(self, config: Config):
        super().__init__()
        widths = [config.ndf * min(2**i, 8) for i in range(config.layers + 1)]
        parts = [nn.Conv2d(1, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for i, (before, after) in enumerate(zip(widths, widths[1:]), 1):
            stride = 2 if i < config.layers else 1
            parts += [nn.Conv2d(before, after, 4, stride, 1), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2, True)]
        self.main = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.main(images)


class ImagePool:
    """Earlier fakes for a discriminator (Shrivastava 2017): store and return until full, then swap half of the time."""

    def __init__(
        self,
        size: int,                                                                          # images; 0: no pool
        uniform: Callable[[], float] = lambda: torch.rand(()).item(),                       # in [0, 1)
        slot: Callable[[int], int] = lambda count: int(torch.randint(count, ()).item()),    # below count
    ):
        self.size, self.uniform, self.slot = size, uniform, slot
        self.images: list[Tensor] = []

    def state_dict(self) -> list[Tensor]:
        return list(self.images)

    def load_state_dict(self, images: list[Tensor]) -> None:
        self.images = images

    def query(self, fakes: Tensor) -> Tensor:
        """As many images as were given, (B, 1, H, W): the fakes themselves or earlier ones, which they replace."""
        if self.size == 0:
            return fakes
        shown = []
        for fake in fakes.detach():
            if len(self.images) < self.size:
                self.images.append(fake)
            elif self.uniform() > 0.5:
                place = self.slot(self.size)
                fake, self.images[place] = self.images[place], fake
            shown.append(fake)
        return torch.stack(shown)


def augment(
    images: Tensor,      # (B, 1, H, W) uint8
    flip: float,         # probability of a horizontal flip
    margin: int,         # pixels by which height and width shrink, to the next multiple of 4
) -> Tensor:
    """Flip and crop each image by itself; (B, 1, h, w) uint8, which a generator can halve twice."""
    mirrored = (torch.rand(len(images)) < flip).tolist()
    height, width = ((side - margin) // 4 * 4 for side in images.shape[2:])
    room = images.shape[2] - height, images.shape[3] - width
    corners = [[int(torch.randint(pixels + 1, ())) for pixels in room] for _ in images]
    cropped = [image[:, y:y + height, x:x + width] for image, (y, x) in zip(images, corners)]
    return torch.stack([image.flip(2) if mirror else image for image, mirror in zip(cropped, mirrored)])


def lsgan(logits: Tensor, target: float) -> Tensor:
    """Mean squared distance of logits from one target for all (Mao 2017), in float32."""
    return (logits.float() - target).square().mean()


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference, in float32."""
    return (a.float() - b.float()).abs().mean()


class CycleGAN(ConditionalGAN):
    """Two generators, two discriminators, their optimisers, pools of earlier fakes; CT planes are the conditions."""

    STATE = (*ConditionalGAN.STATE, "pools", "denoiser")
    ANY_HEIGHT = True
    UNSEEN = "no CT plane has been seen yet: train a step, or give planes as condition"

    def __init__(
        self,
        config: Config = Config(),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,   # of the networks' arithmetic: float32 or bfloat16
    ):
        super().__init__(config, device, dtype)
        self.denoiser = pretrained().to(self.device) if config.denoise != "off" else nn.Identity()
        self.pools = {domain: ImagePool(config.pool) for domain in DOMAINS}

    def build(self) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
        G = {domain: Generator(self.config) for domain in DOMAINS}
        D = {domain: Discriminator(self.config) for domain in DOMAINS}
        for network in (*G.values(), *D.values()):
            init_weights(network, self.config.init_std)
        return G, D

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of both G, then of both D, on batch['ct'] and batch['us'], (B, 1, H, W) uint8 on the device."""
        config = self.config
        for domain in DOMAINS:
            self.fit(batch[domain])
            height, width = batch[domain].shape[2:]
            if min(height, width) < config.margin + 4:
                raise ValueError(f"{height}x{width} images less a margin of {config.margin} are nothing: choose a "
                                 "smaller margin")
        self.keep(batch["ct"])
        ct, us = (normalise(augment(batch[domain], config.flip, config.margin).float()) for domain in ("ct", "us"))
        return self.update(ct, us)

    def update(
        self,
        ct: Tensor,      # x, (B, 1, h, w) in [-1, 1]
        us: Tensor,      # y, another scene, likewise
    ) -> dict[str, Tensor]:
        """Minimise |D(G(x)) - 1|^2 + cycle + identity in both G, then |D(y) - 1|^2 + |D(G(x))|^2 over 2 in both D."""
        ct, us = (images.contiguous(memory_format=torch.channels_last) for images in (ct, us))
        rate = self.config.rate(self.steps)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = rate
        fake, values = self.phase(self.update_g, ct, us, rate)
        shown = [self.pools[domain].query(fake[domain]) for domain in DOMAINS]
        values |= self.phase(self.update_d, us, ct, *shown, rate)
        self.steps += 1
        return values

    def update_g(self, ct: Tensor, us: Tensor, rate: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The fakes by domain, float32, and the losses; `rate` is the learning rate that the optimisers have."""
        config = self.config
        # D only passes the gradient on to G here; its own weights need none, so that work is spared.
        self.trains(self.D, False)
        fake, loss_gan, loss_cycle, loss_identity = self.losses_g(ct, us)
        self.descend("G", loss_gan + config.cycle * loss_cycle + config.identity * loss_identity)
        self.trains(self.D, True)
        self.average()
        return ({domain: images.detach().float() for domain, images in fake.items()},
                {"loss_g": loss_gan.detach(), "loss_cycle": loss_cycle.detach(),
                 "loss_identity": loss_identity.detach()})

    def losses_g(self, ct: Tensor, us: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
        """The fakes by domain, and the losses of both G: adversarial, cycle and identity, the last two unweighted."""
        config, real = self.config, {"ct": ct, "us": us}
        fake, judged, loss_cycle, loss_identity = {}, {}, ct.new_zeros(()), ct.new_zeros(())
        with self.autocast():
            for domain, other in (("us", "ct"), ("ct", "us")):
                if config.identity:
                    # InstanceNorm knows no neighbours, so G(x) and the identity G(y) are one forward pass.
                    both = self.G[domain](torch.cat([real[other], real[domain]]))
                    fake[domain], same = both.chunk(2)                                   # G(x), G(y)
                    loss_identity = loss_identity + l1(same, real[domain])               # |G(y) - y|
                else:
                    fake[domain] = self.G[domain](real[other])
                judged[domain] = self.D[domain](self.seen(fake[domain]))                 # D(G(x))
            if config.cycle:
                for domain, other in (("ct", "us"), ("us", "ct")):
                    code = self.denoiser(fake[other]) if config.denoise == "cycle" else fake[other]
                    loss_cycle = loss_cycle + l1(self.G[domain](code), real[domain])     # |F(G(x)) - x|
        return fake, sum(lsgan(logits, 1.0) for logits in judged.values()), loss_cycle, loss_identity

    def update_d(self, us: Tensor, ct: Tensor, shown_us: Tensor, shown_ct: Tensor, rate: float) -> dict[str, Tensor]:
        """Real images and the fakes that are shown, each (B, 1, h, w), to the loss and the mean logits."""
        loss_d, right = self.losses_d(us, ct, shown_us, shown_ct)
        self.descend("D", loss_d)
        return {"loss_d": loss_d.detach(), "d_real": torch.stack([real for real, _ in right]).mean(),
                "d_fake": torch.stack([fake for _, fake in right]).mean()}

    def losses_d(self, us: Tensor, ct: Tensor, shown_us: Tensor, shown_ct: Tensor) -> tuple[Tensor, list]:
        """The loss of both D, and the mean logits (B,) of real images and fakes by domain."""
        loss_d, right = ct.new_zeros(()), []
        with self.autocast():
            for domain, real, shown in (("us", us, shown_us), ("ct", ct, shown_ct)):
                logits = self.D[domain](self.seen(torch.cat([real, shown])))
                d_real, d_fake = logits.chunk(2)
                loss_d = loss_d + 0.5 * (lsgan(d_real, 1.0) + lsgan(d_fake, 0.0))
                right.append(logits.detach().float().mean((1, 2, 3)).chunk(2))
        return loss_d, right

    @torch.inference_mode()
    def losses_unseen(
        self,
        ct: Tensor,      # (n, 1, H, W) uint8
        us: Tensor,      # (m, 1, H, W) uint8; the first min(n, m) of both are taken
        name: str = "unseen",
    ) -> dict[str, float]:
        """The losses that step() gives, here `loss_g_unseen` and so on, for Board(watch=...): nothing is learnt.

        Whole images, to a multiple of 4 pixels, by the networks in training, not by their average.
        """
        n = min(len(ct), len(us))
        height, width = (side // 4 * 4 for side in ct.shape[2:])
        total = {}
        for x, y in zip(ct[:n].split(16), us[:n].split(16)):
            x, y = (normalise(part[..., :height, :width].to(self.device).float()) for part in (x, y))
            fake, *losses = self.losses_g(x, y)
            losses = dict(zip(("g", "cycle", "identity"), losses))
            losses["d"] = self.losses_d(y, x, fake["us"].float(), fake["ct"].float())[0]
            for part, loss in losses.items():
                total[part] = total.get(part, 0.0) + len(x) / n * float(loss)
        return {f"loss_{part}_{name}": value for part, value in total.items()}

    def seen(self, images: Tensor) -> Tensor:
        """What a discriminator sees of images: without their noise where the denoiser stands before it."""
        return self.denoiser(images) if self.config.denoise == "discriminator" else images

    @staticmethod
    def trains(networks: dict[str, nn.Module], on: bool) -> None:
        for network in networks.values():
            network.requires_grad_(on)

    def translate(
        self,
        images: Tensor,       # (n, 1, H, W) uint8
        to: str = "us",       # 'us' or 'ct': the domain that is made
    ) -> Tensor:
        """Each image in the other domain, uint8 (n, 1, H, W); whole, without the margin of training."""
        height, width = images.shape[2:]

        def made(part: Tensor) -> Tensor:
            even = F.pad(normalise(part.float()), (0, -width % 4, 0, -height % 4), "reflect")    # can be halved twice
            return self.sampler[to](even)[:, :, :height, :width]

        return self.images(made, images, 16)

    def sample(self, n: int, seed: int, condition: Tensor | None = None) -> Tensor:
        """n synthetic ultrasound images, uint8 (n, 1, H, W), of condition, CT planes (n, 1, H, W) uint8.

        Without a condition the planes are drawn, with the seed, from the first 64 that training saw.
        """
        condition = self.drawn(n, seed) if condition is None else condition
        if len(condition) != n:
            raise ValueError(f"{n} images of {len(condition)} planes: a plane gives one image, so these must be equal")
        return self.translate(condition)
