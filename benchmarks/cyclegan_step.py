"""Seconds of a full update of CycleGAN at 256x256, batch 1, 9 blocks: uslab's against a plain float32 one.

    python benchmarks/cyclegan_step.py [--steps 5] [--device auto]

Both run the same networks from the same weights, without the denoiser, which the plain form has not: float32 and
contiguous, one image through a network at a time, D's weights not frozen while G learns, Adam's default loop.
"""

import argparse
import copy
import statistics
import time

import torch

from uslab.data.device import choose_device, describe, has_native_bfloat16
from uslab.models.cyclegan import Config, CycleGAN, l1, lsgan


class Plain:
    """The update as tutorials write it."""

    def __init__(self, gan: CycleGAN):
        self.config, self.pools = gan.config, copy.deepcopy(gan.pools)
        self.G, self.D = ({domain: copy.deepcopy(network).to(memory_format=torch.contiguous_format)
                           for domain, network in networks.items()} for networks in (gan.G, gan.D))
        self.optimisers = {
            name: torch.optim.Adam([p for network in networks.values() for p in network.parameters()],
                                   lr=gan.config.lr, betas=(gan.config.beta1, gan.config.beta2))
            for name, networks in (("G", self.G), ("D", self.D))}

    def update(self, ct, us):
        real = {"ct": ct, "us": us}
        fake = {"us": self.G["us"](ct), "ct": self.G["ct"](us)}
        back = {"ct": self.G["ct"](fake["us"]), "us": self.G["us"](fake["ct"])}
        loss_g = sum(lsgan(self.D[domain](fake[domain]), 1.0) for domain in fake)
        loss_cycle = sum(l1(back[domain], real[domain]) for domain in real)
        loss_identity = sum(l1(self.G[domain](real[domain]), real[domain]) for domain in real)
        self.optimisers["G"].zero_grad()
        (loss_g + self.config.cycle * loss_cycle + self.config.identity * loss_identity).backward()
        self.optimisers["G"].step()
        self.optimisers["D"].zero_grad()
        loss_d = 0
        for domain in real:
            shown = self.pools[domain].query(fake[domain])
            loss = 0.5 * (lsgan(self.D[domain](real[domain]), 1.0) + lsgan(self.D[domain](shown), 0.0))
            loss.backward()
            loss_d = loss_d + loss.detach()
        self.optimisers["D"].step()
        return {"loss_d": loss_d, "loss_g": loss_g.detach(), "loss_cycle": loss_cycle.detach(),
                "loss_identity": loss_identity.detach()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device, config = choose_device(options.device), Config(denoise="off", margin=0)
    dtype = torch.bfloat16 if has_native_bfloat16(device) else torch.float32
    torch.manual_seed(0)
    ours = CycleGAN(config, device, dtype)
    plain = Plain(ours)
    seconds = {"plain": [], "uslab": []}
    for _ in range(options.steps):
        images = torch.rand(2, 1, 1, 256, 256, device=device) * 2 - 1
        for name, gan in (("plain", plain), ("uslab", ours)):     # in turn, so that a busy machine slows both
            start = time.perf_counter()
            values = {key: value.item() for key, value in gan.update(*images).items()}
            seconds[name].append(time.perf_counter() - start)
            shown = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
            print(f"{name:5s} {seconds[name][-1]:6.2f} s  {shown}", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{describe(device)}, {dtype}: plain float32 {medians['plain']:.2f} s, uslab {medians['uslab']:.2f} s an "
          f"update: {medians['plain'] / medians['uslab']:.2f} times as fast")


if __name__ == "__main__":
    main()
