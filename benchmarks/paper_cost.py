"""Arithmetic of the papers' trainings at the papers' sizes, and what their grids would cost on a GPU, on paper.

    python benchmarks/paper_cost.py

Counts the multiplications and additions of one training step per image with torch's FLOP counter, on real steps of a
small batch (a few minutes on one core). No GPU was at hand, so hours follow from one rate that others measured:
NVIDIA's StyleGAN2-ADA trains 1000 images of 256x256 in 21.6 to 24.2 s on a V100 (README of stylegan2-ada-pytorch, cfg
`auto`). Divided into our count for the same configuration, that is the arithmetic that a V100 keeps up. A step is taken
to last at least LAUNCH, since small networks wait for their kernels' launches and not for arithmetic.
"""

import math

import torch
from torch.utils.flop_counter import FlopCounterMode

from uslab.models import cyclegan, dcgan, pgsgan, stackgan, stylegan2

V100_SECONDS = 22.9      # of 1000 images, the middle of NVIDIA's range
LAUNCH = 0.010           # seconds, a guess: about a thousand kernels of 10 microseconds


def images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.full((n, 1, height, width), 128, dtype=torch.uint8)


def step(gan, **batch: torch.Tensor) -> float:
    """GFLOP of one training step, per image."""
    with FlopCounterMode(display=False) as counter:
        gan.step(batch)
    return counter.get_total_flops() / len(next(iter(batch.values()))) / 1e9


def stylegan(name: str) -> float:
    """GFLOP of one training image at 256 px: forward passes counted, a backward pass taken as twice a forward one.

    G's phase passes through G three times and through D three (its weights' gradients left out: two); D's through G
    once and through D six times. Path length: seven times G on half a batch in every fourth step; R1: seven times D in
    every sixteenth.
    """
    gan = stylegan2.StyleGAN2(stylegan2.preset(name, augment="none", batch_size=4))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        fake = gan.generate(4)
        g = counter.get_total_flops() / 4e9
        gan.D(fake)
        d = counter.get_total_flops() / 4e9 - g
    return 4 * g + 8 * d + 0.5 * 7 * g / 4 + 7 * d / 16


def main():
    per_image = {
        "DCGAN, 64 px": step(dcgan.DCGAN(dcgan.Config(ngf=64, ndf=64, batch_size=10)), image=images(10, 64, 64)),
        "DCGAN, 128 px": step(dcgan.DCGAN(dcgan.Config(size=128, ngf=64, ndf=64, batch_size=2)),
                              image=images(2, 128, 128)),
        "StyleGAN2, 256 px, reference's auto": stylegan("auto"),
        "StyleGAN2, 256 px": stylegan("stylegan2"),
        "StackGAN stage I, 256 px": step(stackgan.StackGAN(stackgan.Config(batch_size=2, spectral=True, attention=32)),
                                         image=images(2, 256, 256)),
    }
    # These two are convolutions alone, so that their arithmetic grows with the area: counted small, then multiplied.
    cycle = cyclegan.CycleGAN(cyclegan.Config(size=104, batch_size=1, identity=0.0, denoise="off"))
    per_image["CycleGAN, 472x156 px"] = step(cycle, ct=images(1, 104, 104), us=images(1, 104, 104)) * 472 * 156 / 64**2
    for name, grow, at, factor in (("cGAN and SGAN, 256 px", False, 0, 16), ("SGAN, 512 px", False, 0, 64),
                                   ("PGSGAN, 256 px grown to 512", True, 10**7, 16)):
        gan = pgsgan.PGSGAN(pgsgan.Config(size=64, grow=grow, batch_size=1))
        gan.steps, side = at, gan.config.full
        per_image[name] = step(gan, image=images(1, side, side), mask=images(1, side, side) * 0) * factor

    rate = per_image["StyleGAN2, 256 px, reference's auto"] / V100_SECONDS   # TFLOP/s: GFLOP an image, 1000 images
    print(f"V100: {rate:.1f} TFLOP/s kept up\n\n{'network':38} GFLOP an image")
    for name, value in per_image.items():
        print(f"{name:38} {value:8.1f}")

    def hours(name: str, images_seen: float, batch: int) -> float:
        return images_seen / batch * max(LAUNCH, batch * per_image[name] / 1000 / rate) / 3600

    # Each sweep: hours of each of its runs, as the sweep file and the paper profile say.
    large, small = hours("SGAN, 512 px", 142_400 * 4, 4), hours("cGAN and SGAN, 256 px", 142_400 * 4, 4)
    grown = hours("PGSGAN, 256 px grown to 512", 284_800 * 4, 4)
    sweeps = {
        "01_dcgan_fetal_head": [hours("DCGAN, 64 px", 1000 * n, 10) for n in (100, 300, 500, 800, 999)],
        "01_dcgan_resolution_and_rate": [hours(f"DCGAN, {size} px", 1000 * 999, 10) for size in (64, 128)] * 3,
        "02_stylegan2_breast.paper": [3 * hours("StyleGAN2, 256 px", 1e6, 32)] * 36,
        # An epoch takes nine tenths of the organ's frames, those of aorta, liver and pancreas in table 1.
        "03_cyclegan_organs": [hours("CycleGAN, 472x156 px", 180 * frames, 1) for frames in (3194, 2214, 10491)] * 9,
        "04_stackgan_six_models": [2 * 3 * hours("StackGAN stage I, 256 px", 20_000 * 16, 16)] * 15,
        "05_pgsgan_ovary": [small, small, large, large, grown],
        "05_pgsgan_growing": [grown] * 6,
    }
    print(f"\n{'sweep':32} runs  longest  one GPU  eight GPUs   (hours of a V100)")
    for name, each in sweeps.items():
        eight = max(max(each), sum(each) / 8) if len(set(each)) > 1 else math.ceil(len(each) / 8) * each[0]
        print(f"{name:32} {len(each):4d} {max(each):8.1f} {sum(each):8.1f} {eight:11.1f}")


if __name__ == "__main__":
    main()
