"""GAN: what the models of all five papers share; a model adds its networks, its step and how it samples."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .graphs import Graphs
from .layers import bce, to_uint8

KEPT = 64      # conditions that a conditional model keeps for sampling without one


class GAN:
    """Two networks or two dicts of networks by domain, G and D, with their optimisers, on one device.

    A model gives `Config`, `build`, `step(batch) -> values` and `sample(n, seed, condition=None) -> images`. A step's
    values are 0-d tensors of the device, or floats; nothing in a step waits for the device. Images are uint8
    (n, 1, H, W) on the CPU. bfloat16 runs the networks under autocast; weights, losses and optimisers stay in float32.
    """

    STATE: tuple[str, ...] = ("G", "D", "G_ema", "optimisers")   # attributes that a checkpoint keeps
    ANY_HEIGHT = False                                           # whether images need not be square
    SAMPLES: tuple[str, ...] = ()                                # those that sampling needs beside the generator

    def __init__(
        self,
        config: Any,                              # the model's Config
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,       # of the networks' arithmetic: float32 or bfloat16
    ):
        self.config, self.device, self.dtype = config, torch.device(device), dtype
        self.graphs: Graphs | None = None           # a Run on CUDA sets it
        self.G, self.D = self.build()
        self.optimisers = {}
        for name, networks in (("G", self.G), ("D", self.D)):
            for network in parts(networks):
                network.to(self.device, memory_format=self.layout)
            weights = [p for network in parts(networks) for p in network.parameters() if p.requires_grad]
            self.optimisers[name] = torch.optim.Adam(weights, fused=True, **self.adam(name))
        self.G_ema = copy.deepcopy(self.G) if self.averages else None
        for network in parts(self.G_ema):
            network.eval().requires_grad_(False)

    def build(self) -> tuple[nn.Module | dict[str, nn.Module], nn.Module | dict[str, nn.Module]]:
        """G and D with their initial weights, on the CPU."""
        raise NotImplementedError

    def adam(self, name: str) -> dict[str, Any]:
        """Arguments of Adam for the network called name, 'G' or 'D'."""
        return {"lr": self.config.lr, "betas": (self.config.beta1, self.config.beta2)}

    def phase(self, work: Callable, *arguments: Tensor | float | None) -> Any:
        """work(*arguments), as a CUDA graph where the run has them: see `Graphs` for what a phase must keep to."""
        return work(*arguments) if self.graphs is None else self.graphs(work, *arguments)

    def use_graphs(self) -> bool:
        """Record the phases of a step as CUDA graphs from now on; says whether this model does so."""
        self.graphs = Graphs(self.device)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["capturable"] = True
        return True

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step of the network called name on a 0-d loss."""
        self.optimisers[name].zero_grad()
        loss.backward()
        self.optimisers[name].step()

    @property
    def layout(self) -> torch.memory_format:
        """How the weights of convolutions lie in memory."""
        return torch.channels_last

    @property
    def side(self) -> int:
        """Side of the images that a step is given, pixels."""
        return self.config.size

    def fit(self, images: Tensor) -> None:
        """Raise ValueError for images (B, 1, H, W) of another size than a step takes: every step asks here."""
        height, width = images.shape[2:]
        if width != self.side or not (self.ANY_HEIGHT or height == self.side):
            wanted = f"{self.side} px wide" if self.ANY_HEIGHT else f"{self.side}x{self.side} px"
            raise ValueError(f"the images are {height}x{width} px, but {type(self).__name__} with Config.size "
                             f"{self.config.size} takes them {wanted}: load them with that size")

    @property
    def averages(self) -> bool:
        """Whether there is an averaged generator, G_ema."""
        return self.config.ema > 0

    @property
    def sampler(self) -> nn.Module | dict[str, nn.Module]:
        """The generator that samples: the averaged one where there is one."""
        return self.G if self.G_ema is None else self.G_ema

    def ema_share(self) -> float:
        """Share of the averaged generator that stays in this step."""
        return self.config.ema

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged generator, if there is one, towards G; buffers such as BatchNorm's are copied."""
        for mean, network in zip(parts(self.G_ema), parts(self.G)):
            torch._foreach_lerp_(list(mean.parameters()), list(network.parameters()), 1 - self.ema_share())
            if kept := list(mean.buffers()):
                torch._foreach_copy_(kept, list(network.buffers()))

    def drawn(self, n: int, seed: int) -> Tensor | None:
        """The conditions that sample(n, seed) draws, one an image; None where G takes none."""
        return None

    def autocast(self) -> torch.autocast:
        """The context in which the networks run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @torch.inference_mode()
    def images(
        self,
        network: Callable[[Tensor], Tensor],     # to (n, 1, H, W) in [-1, 1]
        inputs: Tensor,                          # (N, ...), on any device
        part: int,                               # inputs at a time
    ) -> Tensor:
        """What a network makes of inputs, uint8 (N, 1, H, W) on the CPU."""
        with self.autocast():
            return torch.cat([to_uint8(network(some.to(self.device))).cpu() for some in inputs.split(part)])

    def state_dict(self) -> dict:
        """The nested state of networks, optimisers and what else STATE names."""
        return {name: state_of(getattr(self, name)) for name in self.STATE}

    def load_state_dict(self, state: dict) -> None:
        """Restore what state_dict() gave, from whatever device."""
        for name in self.STATE:
            setattr(self, name, restored(getattr(self, name), moved(state[name], self.device)))
        if self.graphs is not None:    # they know the optimisers' earlier tensors
            self.use_graphs()

    def sampling_state(self) -> dict:
        """The part of the state that sampling needs; 'G' is the generator that samples."""
        return {"G": state_of(self.sampler)} | {name: getattr(self, name) for name in self.SAMPLES}

    @classmethod
    def of_state(cls, config: Any, state: dict, device: torch.device | str = "cpu") -> "GAN":
        """A GAN that samples like the one whose sampling_state() this is; its discriminator is not trained."""
        gan = cls(config, device)
        gan.load_sampling_state(state)
        return gan

    def load_sampling_state(self, state: dict) -> None:
        for networks in filter(None, (self.G, self.G_ema)):
            restored(networks, state["G"])
        for name in self.SAMPLES:
            setattr(self, name, moved(state[name], self.device))


class LatentGAN(GAN):
    """A GAN from latent vectors alone, with the losses of Goodfellow 2014."""

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
        self.average()
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach(),
                "d_real": d_real.detach().float().sigmoid().mean(), "d_fake": d_fake.detach().float().sigmoid().mean()}

    def sample(self, n: int, seed: int, condition: None = None) -> Tensor:
        """n synthetic images, uint8 (n, 1, size, size); the same seed gives the same latents, drawn on the CPU."""
        if condition is not None:
            raise ValueError(f"{type(self).__name__} is unconditional: leave condition at None")
        latents = torch.randn(n, self.config.z, 1, 1, generator=torch.Generator().manual_seed(seed))
        network = self.sampler.eval()
        try:
            return self.images(network, latents, 256)
        finally:
            self.G.train()


class ConditionalGAN(GAN):
    """A GAN from images; it keeps the first 64 conditions that it is trained on, on the device, to sample from."""

    STATE, SAMPLES = (*GAN.STATE, "steps", "conditions"), ("steps", "conditions")
    UNSEEN = "nothing has been trained on yet: give condition"    # what is said when none is kept

    def __init__(self, config: Any, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32):
        super().__init__(config, device, dtype)
        self.steps = 0                              # steps taken
        self.conditions: Tensor | None = None       # (k, 1, H, W) uint8

    def keep(self, conditions: Tensor) -> None:
        """Keep conditions (B, 1, H, W) of a batch, until there are enough."""
        kept = conditions[:0] if self.conditions is None else self.conditions
        if len(kept) < KEPT:
            self.conditions = torch.cat([kept, conditions])[:KEPT]

    def drawn(self, n: int, seed: int) -> Tensor:
        """n of the conditions kept, with replacement, on the device. Raises ValueError if there are none."""
        if self.conditions is None:
            raise ValueError(self.UNSEEN)
        rows = torch.randint(len(self.conditions), (n,), generator=torch.Generator().manual_seed(seed))
        return self.conditions[rows.to(self.device)]


def parts(networks: nn.Module | dict[str, nn.Module] | None) -> list[nn.Module]:
    """The networks as a list, empty for None."""
    return list(networks.values()) if isinstance(networks, dict) else [networks] if networks is not None else []


# A nested state

def state_of(value: Any) -> Any:
    """The state_dict() of a network or optimiser, of each in a dict of them; any other value as it is."""
    if hasattr(value, "state_dict"):
        return value.state_dict()
    return {key: state_of(part) for key, part in value.items()} if isinstance(value, dict) else value


def restored(value: Any, state: Any) -> Any:
    """The network, optimiser or dict of them with the state that state_of() gave; of any other value the state."""
    if hasattr(value, "load_state_dict"):
        value.load_state_dict(state)
        return value
    return {key: restored(part, state[key]) for key, part in value.items()} if isinstance(value, dict) else state


def moved(state: Any, device: torch.device) -> Any:
    """A nested state with its tensors on the device."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {key: moved(value, device) for key, value in state.items()}
    return [moved(value, device) for value in state] if isinstance(state, (list, tuple)) else state
