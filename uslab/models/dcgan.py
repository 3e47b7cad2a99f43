"""DCGAN (Radford 2016), as Bautista 2022 applies it to fetal head ultrasound at 64 and 128 pixels."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import check, knob


@dataclass(frozen=True)
class Config:
    """Every hyperparameter of DCGAN; the defaults are Radford 2016's, which Bautista 2022 (section 3) kept."""

    size: int = knob(64, options=(64, 128, 256), help="side of the images, pixels (Bautista: 64 and 128)")
    batch: int = knob(64, 2, 512, help="images a step (Radford: 128; Bautista's code: 10)")
    lr: float = knob(2e-4, 1e-5, 1e-2, log=True, help="learning rate of both Adam optimisers (Bautista, section 3)")
    beta1: float = knob(0.5, 0.0, 0.99, help="Adam's decay of the mean gradient (Bautista, section 3)")
    beta2: float = knob(0.999, 0.9, 0.9999, help="Adam's decay of the squared gradient (Bautista, section 3)")
    z: int = knob(100, 8, 512, help="dimensions of the latent vector (Radford: 100)")
    ngf: int = knob(64, 4, 512, help="width of the generator: channels before its last layer (Radford: 64 at 64 px)")
    ndf: int = knob(64, 4, 512, help="width of the discriminator: channels after its first layer")
    init_std: float = knob(0.02, 1e-4, 0.2, log=True, help="standard deviation of the initial weights (Radford: 0.02)")
    flip: float = knob(0.5, 0.0, 1.0, help="probability of a horizontal flip (Bautista's code: 0.5)")
    rotation: float = knob(10.0, 0.0, 180.0, help="rotation within plus or minus so many degrees (Bautista's code: 10)")
    corner: float = knob(0.0, 0.0, 255.0, help="grey level that a rotation brings into the corners; 127.5 is what "
                                               "rotating after the normalisation to [-1, 1] does")

    def __post_init__(self):
        check(self)


class Generator(nn.Module):
    """Latent z (B, z, 1, 1) to images (B, 1, size, size) in [-1, 1]: transposed convolutions, 4x4, doubling the side."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.ngf * config.size // 8  # 512 channels on the 4x4 grid at 64 px with ngf 64
        layers = [nn.ConvTranspose2d(config.z, width, 4, 1, 0, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
        while width > config.ngf:
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(width // 2),
                       nn.ReLU(True)]
            width //= 2
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


class Discriminator(nn.Module):
    """Images (B, 1, size, size) in [-1, 1] to logits (B,): strided 4x4 convolutions; sigmoid(logit) is D(x)."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.ndf
        layers = [nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        while width < config.ndf * config.size // 8:
            layers += [nn.Conv2d(width, width * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(width * 2),
                       nn.LeakyReLU(0.2, True)]
            width *= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 0, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        return self.main(images).flatten()


def init_weights(network: nn.Module, std: float) -> None:
    """Convolutions N(0, std); BatchNorm gain N(1, std) and bias 0 (Radford 2016, section 4)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)


def augment(
    images: Tensor,      # (B, 1, H, W) uint8
    flip: float,         # probability of a horizontal flip
    rotation: float,     # degrees; angles are uniform in [-rotation, rotation]
    corner: float,       # grey level of what the rotation brings in
) -> Tensor:
    """Flip and rotate each image by itself, on its device. Returns float32 grey levels (B, 1, H, W) in [0, 255]."""
    b = len(images)
    angle = (2 * torch.rand(b, device=images.device) - 1) * math.radians(rotation)
    mirror = 1 - 2 * (torch.rand(b, device=images.device) < flip).float()
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([torch.stack([mirror * cos, -sin, zero], 1), torch.stack([mirror * sin, cos, zero], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # The sampler pads with 0, so the corner's grey level is taken as the zero and added back.
    return F.grid_sample(images.float() - corner, grid, align_corners=False) + corner


def normalise(grey: Tensor) -> Tensor:
    """Grey levels in [0, 255] to the generator's range [-1, 1]."""
    return grey / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """The generator's range [-1, 1] to uint8 grey levels."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class DCGAN:
    """Both networks, their optimisers and one training step.

    dtype bfloat16 runs the networks under autocast; weights, losses and optimisers stay in float32.
    """

    def __init__(
        self,
        config: Config = Config(),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,   # of the networks' arithmetic: float32 or bfloat16
    ):
        self.config, self.device, self.dtype = config, torch.device(device), dtype
        self.G, self.D = self.build()
        for network in (self.G, self.D):
            network.to(self.device, memory_format=torch.channels_last)
        self.optimisers = {
            name: torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=config.lr,
                                   betas=(config.beta1, config.beta2), fused=True)
            for name, network in (("G", self.G), ("D", self.D))}

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator with their initial weights, on the CPU."""
        networks = Generator(self.config), Discriminator(self.config)
        for network in networks:
            init_weights(network, self.config.init_std)
        return networks

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of D and one of G on batch['image'], (B, 1, H, W) uint8 on the GAN's device."""
        config = self.config
        real = normalise(augment(batch["image"], config.flip, config.rotation, config.corner))
        z = torch.randn(len(real), config.z, 1, 1, device=self.device)
        return self.update(real, z)

    def update(
        self,
        real: Tensor,    # x, (B, 1, H, W) in [-1, 1]
        z: Tensor,       # (B, z, 1, 1), standard normal
    ) -> dict[str, Tensor]:
        """Ascend log D(x) + log(1 - D(G(z))) in D, then log D(G(z)) in G, on the same fakes (Goodfellow 2014)."""
        with self.autocast():
            fake = self.G(z)                                                       # G(z)
            d_real = self.D(real.contiguous(memory_format=torch.channels_last))    # logits of D(x)
            d_fake = self.D(fake.detach())                                         # logits of D(G(z))
        loss_d = bce(d_real, 1.0) + bce(d_fake, 0.0)                               # -log D(x) - log(1 - D(G(z)))
        self.descend("D", loss_d)

        # D only passes the gradient on to G here; its own weights need none, so that work is spared.
        self.D.requires_grad_(False)
        with self.autocast():
            d_fake_new = self.D(fake)
        loss_g = bce(d_fake_new, 1.0)                                              # -log D(G(z)), non-saturating
        self.descend("G", loss_g)
        self.D.requires_grad_(True)
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach(),
                "d_real": d_real.detach().float().sigmoid().mean(), "d_fake": d_fake.detach().float().sigmoid().mean()}

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step of the network called name on a 0-d loss."""
        self.optimisers[name].zero_grad()
        loss.backward()
        self.optimisers[name].step()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @torch.inference_mode()
    def sample(self, n: int, seed: int, condition: None = None) -> Tensor:
        """n synthetic images, uint8 (n, 1, size, size); the same seed gives the same latents, drawn on the CPU."""
        if condition is not None:
            raise ValueError(f"{type(self).__name__} is unconditional: leave condition at None")
        latents = torch.randn(n, self.config.z, 1, 1, generator=torch.Generator().manual_seed(seed)).to(self.device)
        self.G.eval()
        try:
            with self.autocast():
                return torch.cat([to_uint8(self.G(z)) for z in latents.split(256)])
        finally:
            self.G.train()

    def state_dict(self) -> dict:
        return {"G": self.G.state_dict(), "D": self.D.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}}

    def load_state_dict(self, state: dict) -> None:
        self.G.load_state_dict(state["G"])
        self.D.load_state_dict(state["D"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])


def bce(logits: Tensor, target: float) -> Tensor:
    """Mean binary cross-entropy of logits (B,) against one target for all, in float32."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
