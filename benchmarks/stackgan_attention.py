"""Self-attention without the map in memory: uslab's against the same equations with the map written out.

    python benchmarks/stackgan_attention.py [--sides 16 32 64] [--device auto]

Prints the median seconds of a forward and a backward pass, what each keeps in memory for the backward pass, and how far
the outputs are apart.
"""

import argparse
import copy
import statistics
import time

import torch
from torch.autograd.graph import saved_tensors_hooks

from uslab.data.device import choose_device, describe
from uslab.models.attention import SelfAttention, pixels

BATCH, CHANNELS = 16, 64


class Plain(SelfAttention):
    """As SAGAN's public implementations do it: the map of all pixels by all pixels is a tensor."""

    def forward(self, x):
        query, key, value = (pixels(layer(x)).squeeze(1) for layer in (self.query, self.key, self.value))
        attended = torch.bmm(torch.bmm(query, key.transpose(1, 2)).softmax(-1), value)
        return x + self.gamma * self.out(attended.transpose(1, 2).unflatten(2, x.shape[2:]))


def measure(module, x, repeats):
    """Median seconds, bytes kept for the backward pass, and the output."""
    kept = {}
    seconds = []
    for _ in range(repeats):
        x.grad = None
        start = time.perf_counter()
        with saved_tensors_hooks(lambda t: (kept.__setitem__(t.untyped_storage().data_ptr(),
                                                             t.untyped_storage().nbytes()),
                                            t)[1], lambda t: t):
            kept.clear()
            y = module(x)
        y.square().sum().backward()
        if x.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), sum(kept.values()), y.detach()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    print(f"{describe(device)}, float32, {BATCH} feature maps of {CHANNELS} channels")
    for side in options.sides:
        torch.manual_seed(0)
        ours = SelfAttention(CHANNELS).to(device)
        torch.nn.init.constant_(ours.gamma, 0.5)
        plain = Plain(CHANNELS).to(device)
        plain.load_state_dict(copy.deepcopy(ours.state_dict()))
        x = torch.randn(BATCH, CHANNELS, side, side, device=device, requires_grad=True)
        (slow, much, a), (fast, little, b) = (measure(module, x, options.repeats) for module in (plain, ours))
        print(f"{side}x{side}: plain {slow:.3f} s and {much / 2**20:.0f} MB kept, uslab {fast:.3f} s and "
              f"{little / 2**20:.0f} MB: {slow / fast:.1f} times as fast; outputs at most {(a - b).abs().max():.1g} "
              "apart")


if __name__ == "__main__":
    main()
