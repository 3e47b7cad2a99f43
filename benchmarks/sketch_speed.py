"""Seconds from the end of a stroke to the new image: python benchmarks/sketch_speed.py

The editor on the network of notebook 05's class profile (64 grown to 128) and on the paper's (256 grown to 512, 10
residual blocks), with random weights, which take as long as trained ones. Liang 2020 reports 5.58 s an image on a CPU.
For comparison, the paper's network in plain float32 with contiguous tensors and autograd's bookkeeping.
"""

import os
import statistics
import time

import torch

from uslab import notebooks, phantom
from uslab.data.device import has_native_bfloat16
from uslab.models import sketches
from uslab.models.pgsgan import PGSGAN, Config
from uslab.widgets import Sketch

STROKES = [{"tool": "draw", "points": [(0.2, 0.8), (0.5, 0.85), (0.7, 0.8)], "width": 1},
           {"tool": "follicle", "points": [(0.45, 0.4), (0.5, 0.44)]},
           {"tool": "grow", "points": [(0.5, 0.42), (0.53, 0.42)]}]


def grown(config: Config, dtype: torch.dtype) -> PGSGAN:
    torch.manual_seed(0)
    gan = PGSGAN(config, "cpu", dtype)
    gan.steps = config.starts[2] + 1
    return gan


def stroke_seconds(gan: PGSGAN, label: torch.Tensor) -> list[float]:
    """What it takes from a stroke's points to the new label and image."""
    editor, side, seconds = Sketch(label, lambda condition: gan.sample(1, 0, condition)), label.shape[-1], []
    for _ in range(3):
        for stroke in STROKES:
            start = time.perf_counter()
            editor.apply([{**stroke, "points": [(x * side, y * side) for x, y in stroke["points"]]}])
            seconds.append(time.perf_counter() - start)
    return seconds


def main():
    values = notebooks.defaults(notebooks.find(["05_pgsgan_ovary"])[0])
    small = Config(size=values["size"], ngf=values["ngf"], ndf=values["ndf"], blocks=values["blocks"])
    dtype = torch.bfloat16 if has_native_bfloat16(torch.device("cpu")) else torch.float32
    print(f"{torch.get_num_threads()} threads, {dtype}, load {os.getloadavg()[0]:.1f}")
    for name, config in (("class", small), ("paper", Config())):
        label = sketches.conditioned(phantom.load("ovary", 1, config.full), blur=config.full / 128).masks
        seconds = stroke_seconds(grown(config, dtype), label)
        print(f"{name}: {config.full}x{config.full}, {config.blocks} blocks, a stroke is answered in "
              f"{statistics.median(seconds):.2f} s (median of {len(seconds)}, slowest {max(seconds):.2f} s)")
    gan = grown(Config(), torch.float32)
    gan.G.to(memory_format=torch.contiguous_format)
    x, large = (view.contiguous() for view in gan.views(label))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        gan.G(x, large, 0.5)
        seconds.append(time.perf_counter() - start)
    print(f"paper, plain float32: {statistics.median(seconds):.2f} s for the network alone")


if __name__ == "__main__":
    main()
