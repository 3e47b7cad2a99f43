"""CT planes a second: `python benchmarks/slicer_speed.py [--side 256]`, in batches as training takes them."""

import argparse
import time

import torch

from uslab import phantom
from uslab.data.slicer import Slicer, View, candidates


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    side = parser.parse_args().side
    volume = phantom.abdomen(0)
    slicer, poses = Slicer(volume, View(side, side)), candidates(volume, 256, 0)
    depth = torch.full((256,), 50.0)
    for batch in (1, 8, 64):
        slicer.planes(poses[:batch], depth[:batch])
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < 3:
            slicer.planes(poses[done % 192:][:batch], depth[:batch])
            done += batch
        print(f"batches of {batch:2d}: {done / (time.perf_counter() - start):.0f} planes of {side}x{side} a second, "
              f"{torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
