"""Speed of StyleGAN2's main phases against plain convolutions, and of ADA's pipe.

    python benchmarks/stylegan2_step.py [--size 256 --batch 4] [--dtype float32] [--repeats 3] [--device auto]

Prints seconds and GFLOP/s, both by torch's FLOP counter, of the main G and D phases (without the regularisations), and
of a stack of plain 3x3 convolutions with the same widths at the same resolutions, forward and backward, in turn, so
that a busy machine slows both. Then seconds of ADA's pipe on 8 images of 256x256.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from uslab.data.device import choose_device, describe, keep_freed_memory
from uslab.models import augment
from uslab.models.stylegan2 import StyleGAN2, preset


class Stack(nn.Module):
    """The same 3x3 convolutions, two a resolution, with nothing in between but a change of the resolution."""

    def __init__(self, config):
        super().__init__()
        widths = [config.channels(resolution) for resolution in config.resolutions]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for width, before in zip(widths, [widths[0], *widths])
                                    for a, b in ((before, width), (width, width)))

    def forward(self, x):
        for number, layer in enumerate(self.layers):
            if number and number % 2 == 0:
                x = F.interpolate(x, scale_factor=2.0)
            x = layer(x)
        return x


def measured(phases, repeats):
    """name -> (seconds, GFLOP) of functions, timed in turn; the median."""
    work, seconds = {}, {name: [] for name in phases}
    for name, phase in phases.items():   # also warms up
        with FlopCounterMode(display=False) as counter:
            phase()
        work[name] = counter.get_total_flops() / 1e9
    for _ in range(repeats):
        for name, phase in phases.items():
            start = time.perf_counter()
            phase()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: (statistics.median(seconds[name]), work[name]) for name in phases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device, dtype = choose_device(options.device), getattr(torch, options.dtype)
    keep_freed_memory()   # as Run does
    config = preset("paper256", options.size, batch_size=options.batch, mbstd_group=4, augment="none")
    gan = StyleGAN2(config, device, dtype)
    real = torch.rand(config.batch_size, 1, config.size, config.size, device=device) * 2 - 1
    stack = Stack(config).to(device, memory_format=torch.channels_last)
    x = torch.randn(config.batch_size, config.channels(4), 4, 4, device=device)
    x = x.contiguous(memory_format=torch.channels_last)

    def plain():
        with gan.autocast():
            y = stack(x)
        y.sum().backward()
        stack.zero_grad()

    result = measured({"plain convolutions": plain, "main G phase": lambda: gan.update_g(config.batch_size),
                       "main D phase": lambda: gan.update_d(real)}, options.repeats)
    print(f"{describe(device)}, {options.dtype}, batch {config.batch_size} at {config.size}x{config.size}")
    seconds, work = result["plain convolutions"]
    for name, (took, flops) in result.items():
        print(f"{name:20} {took:6.2f} s {flops:8.0f} GFLOP {flops / took:6.0f} GFLOP/s, "
              f"{flops / took / (work / seconds):4.0%} of plain")

    images = torch.rand(8, 1, 256, 256, device=device) * 2 - 1
    for name, operations in augment.SETS.items():
        for p in (0.2, 1.0):
            took = []
            for seed in range(9):
                torch.manual_seed(seed)
                start = time.perf_counter()
                augment.ada(images, operations, p)
                took.append(time.perf_counter() - start)
            print(f"ADA, 8 images of 256x256, {name:10} p = {p}: median {statistics.median(took):.3f} s")


if __name__ == "__main__":
    main()
