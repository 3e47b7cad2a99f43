"""Seconds of one D and G step of DCGAN: uslab's against a plain float32, contiguous one on the same networks.

    python benchmarks/dcgan_step.py [--steps 20] [--device auto]

Prints the medians, their ratio, and how far the losses of the first 20 steps are apart. Both start each step from the
same weights and moments: left alone, even two float32 trainings that only sum in another order part within ten steps,
since Adam's first steps have the size of the learning rate however small the gradient.
"""

import argparse
import copy
import statistics
import time

import torch
import torch.nn.functional as F

from uslab import phantom
from uslab.data.device import choose_device, choose_dtype, describe
from uslab.models.dcgan import DCGAN, Config
from uslab.models.layers import normalise


class Plain:
    """The training step as tutorials write it: float32, contiguous, Adam's default loop, D's weights not frozen."""

    def __init__(self, gan: DCGAN):
        config, contiguous = gan.config, torch.contiguous_format
        self.G = copy.deepcopy(gan.G).to(memory_format=contiguous)
        self.D = copy.deepcopy(gan.D).to(memory_format=contiguous)
        settings = {"lr": config.lr, "betas": (config.beta1, config.beta2)}
        self.optimisers = {name: torch.optim.Adam(network.parameters(), **settings)
                           for name, network in (("G", self.G), ("D", self.D))}

    def state_dict(self):
        return {"G": self.G.state_dict(), "D": self.D.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}}

    def update(self, real, z):
        ones, zeros = torch.ones(len(real), device=real.device), torch.zeros(len(real), device=real.device)
        self.optimisers["D"].zero_grad()
        loss_real = F.binary_cross_entropy_with_logits(self.D(real), ones)
        loss_real.backward()
        fake = self.G(z)
        loss_fake = F.binary_cross_entropy_with_logits(self.D(fake.detach()), zeros)
        loss_fake.backward()
        self.optimisers["D"].step()
        self.optimisers["G"].zero_grad()
        loss_g = F.binary_cross_entropy_with_logits(self.D(fake), ones)
        loss_g.backward()
        self.optimisers["G"].step()
        return {"loss_d": loss_real.detach() + loss_fake.detach(), "loss_g": loss_g.detach()}


def channels_last(state):
    """Adam's moments in the layout of uslab's weights."""
    for optimiser in state["optimisers"].values():
        for moments in optimiser["state"].values():
            for key, value in moments.items():
                if value.ndim == 4:
                    moments[key] = value.to(memory_format=torch.channels_last)
            moments["step"] = moments["step"].float()
        optimiser["param_groups"][0].update(fused=True, foreach=None)
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device, config = choose_device(options.device), Config()
    images = phantom.load("fetal_head", 8 * config.batch_size, config.size).images.to(device)
    batches = [{"image": images[i * config.batch_size:(i + 1) * config.batch_size]} for i in range(8)]
    dtype = choose_dtype(lambda dtype: DCGAN(config, device, dtype), batches[0], device, seed=0)

    torch.manual_seed(0)
    ours = DCGAN(config, device, dtype)
    plain = Plain(ours)
    seconds, apart = {"plain": [], "uslab": []}, []
    for step in range(options.steps):
        real = normalise(batches[step % 8]["image"].float())
        z = torch.randn(config.batch_size, config.z, 1, 1, device=device)
        if step:
            ours.load_state_dict(channels_last(copy.deepcopy(plain.state_dict())))
        losses = {}
        for name, gan in (("plain", plain), ("uslab", ours)):  # in turn, so that a busy machine slows both
            start = time.perf_counter()
            losses[name] = {key: value.item() for key, value in gan.update(real, z).items()}
            seconds[name].append(time.perf_counter() - start)
        apart += [abs(losses["uslab"][key] / losses["plain"][key] - 1) for key in ("loss_d", "loss_g")]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{describe(device)}, {dtype}, batch {config.batch_size} at {config.size}x{config.size}, "
          f"{options.steps} steps")
    print(f"plain float32 {medians['plain']:.3f} s, uslab {medians['uslab']:.3f} s a step: "
          f"{medians['plain'] / medians['uslab']:.2f} times as fast")
    print(f"losses of the first 20 steps apart: median {statistics.median(apart[:40]):.2%}, "
          f"largest {max(apart[:40]):.2%}")


if __name__ == "__main__":
    main()
