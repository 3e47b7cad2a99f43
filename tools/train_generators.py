"""Train the generators that the package ships, on phantoms: `python tools/train_generators.py [NAME ...]`.

Each name is one recipe below, and one run in runs/generators/NAME: stopped and started again, it goes on from its
checkpoint. At the end it is measured against phantoms that it has not seen, and exported to uslab/generators/NAME.
`--minutes` stops early, with a checkpoint and an export of what has been learnt (0 exports what there is);
`--together` trains several at a time, each in a process of its own.

The phantoms have seeds of their own, DATA_SEED and HELD_OUT and on, which no notebook uses: whatever a notebook holds
out, these generators have not seen either.
"""

import argparse
import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import torch

from uslab import metrics, phantom
from uslab.data import ImageSet
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.models import cyclegan, dcgan, pgsgan, sketches, stackgan, stylegan2
from uslab.training import Run

DATA_SEED, HELD_OUT = 1000, 2000
N_MEASURED = 300         # images that a generator is measured with, and as many unseen ones
SHIPPED = Path(__file__).parents[1] / "uslab" / "generators"
EUS = View(100, 256)     # rows and columns of a plane, pixels; a frame of 256 pixels has its fan in these rows


def heads(size: int, **changes):
    """DCGAN on fetal heads."""
    config = dcgan.Config(size=size, batch_size=64, ngf=2560 // size, ndf=2560 // size, ema=0.999, **changes)
    return dcgan.DCGAN, config, phantom.load("fetal_head", 2000, size, DATA_SEED), 60_000


def breasts(n: int, steps: int, batch_size: int = 32, conditional: bool = False, **changes):
    """StyleGAN2 on breasts of all classes, at 64 pixels."""
    images = phantom.load("breast", n, 64, DATA_SEED)
    config = stylegan2.preset("auto", 64, batch_size=batch_size, mbstd_group=4, gamma=0.5, lr=0.002, z=128,
                              channel_base=2048, channel_max=128, path_weight=0.0, ema_kimg=5.0,
                              operations="ultrasound", ada_kimg=100.0,
                              classes=len(images.classes) if conditional else 0, **changes)
    return stylegan2.StyleGAN2, config, dataclasses.replace(images, masks=None, mask_names=()), steps


def organs():
    """StyleGAN2 on four organs at once: the base from which a small set is learnt."""
    parts = [phantom.load(name, 800, 64, DATA_SEED) for name in ("breast", "fetal_head", "liver", "ovary")]
    _, config, _, _ = breasts(64, 0, 64, augment="ada")
    images = ImageSet(torch.cat([part.images for part in parts]), ", ".join(part.card for part in parts), "phantom",
                      table=parts[0].table.iloc[:0].reindex(range(sum(map(len, parts)))).assign(
                          file=[f"{part.card}/{file}" for part in parts for file in part.table.file]))
    return stylegan2.StyleGAN2, config, images, 12_000


def livers(label: str, stage: int, runs: Path):
    """The stacked GAN on livers of one class, 64 pixels and then 128."""
    images = phantom.load("liver", 1400, 128, DATA_SEED)
    images = images[(images.labels == images.classes.index(label)).numpy()]
    # 70 patients of ten frames: a wider D knows them by heart after 30 thousand images, and G draws one bare sector.
    config = stackgan.Config(stage=1, size=128, size1=64, batch_size=32, z=64, ngf=40, ndf=12, width2=24, ema=0.99)
    if stage == 2:
        config = dataclasses.replace(config, stage=2, width2=16,
                                     stage1=str(runs / f"stackgan_liver_{label}_stage1"))
    return stackgan.StackGAN, config, images, 25_000


def eus(organ: str):
    """CycleGAN from CT planes to endoscopic ultrasound, one organ."""
    frames = phantom.load("eus", 600, 256, DATA_SEED)
    frames = frames[(frames.labels == frames.classes.index(organ)).numpy()]
    top = (256 - EUS.height) // 2
    frames = dataclasses.replace(frames, images=frames.images[:, :, top:top + EUS.height], masks=None, mask_names=())
    planes = Slices.find({f"CT{i}": phantom.abdomen(DATA_SEED + i) for i in range(8)}, organ, 60, EUS, DATA_SEED)
    config = cyclegan.Config(size=256, batch_size=4, epoch=len(frames) // 4, epochs=60.0, decay=60.0, ngf=24, ndf=32,
                             blocks=6, layers=3, identity=2.0, denoise="discriminator", upsample="nearest", margin=8,
                             ema=0.999)
    return cyclegan.CycleGAN, config, {"ct": planes, "us": frames}, config.steps


def ovaries(sketch: bool, grow: bool):
    """Liang's models on ovaries: mask alone or with sketch at 64 pixels, or growing to 128."""
    images = sketches.conditioned(phantom.load("ovary", 500, 128, DATA_SEED), blur=2.0)
    config = pgsgan.Config(size=64, sketch=sketch, grow=grow, first=6000, fade=100, batch_size=8, lr_g=5e-4, lr_d=2e-4,
                           ngf=32 if grow else 24, ndf=32, blocks=6 if grow else 4, weight_l1=50.0, ema=0.998)
    return pgsgan.PGSGAN, config, images if grow else sketches.halved(images), 20_000 if grow else 12_000


RECIPES = {
    "dcgan_fetal_head_64": lambda runs: heads(64),
    "dcgan_fetal_head_128": lambda runs: heads(128),
    "stylegan2_breast": lambda runs: breasts(2500, 13_000, 16, conditional=True, augment="ada"),
    "stylegan2_breast_50_none": lambda runs: breasts(50, 6000, augment="none"),
    "stylegan2_breast_50_ada": lambda runs: breasts(50, 8000, augment="ada"),
    "stylegan2_organs": lambda runs: organs(),
    "stackgan_liver_healthy_stage1": lambda runs: livers("healthy", 1, runs),
    "stackgan_liver_healthy": lambda runs: livers("healthy", 2, runs),
    "stackgan_liver_fatty_stage1": lambda runs: livers("fatty", 1, runs),
    "stackgan_liver_fatty": lambda runs: livers("fatty", 2, runs),
    "cyclegan_eus_liver": lambda runs: eus("liver"),
    "cyclegan_eus_pancreas": lambda runs: eus("pancreas"),
    "cyclegan_eus_aorta": lambda runs: eus("aorta"),
    "pgsgan_ovary_128": lambda runs: ovaries(sketch=True, grow=True),
    "sgan_ovary_64": lambda runs: ovaries(sketch=True, grow=False),
    "cgan_ovary_64": lambda runs: ovaries(sketch=False, grow=False),
}


def train(
    name: str,
    minutes: float,    # after which it stops
    runs: Path,        # folder of the runs
    ship: Path,        # folder of the exported generators
) -> None:
    """Train one recipe, or go on with it, and export what it has learnt."""
    end = time.monotonic() + 60 * minutes
    model, config, data, steps = RECIPES[name](runs)
    run = Run(runs / name, model, config, data, seed=0, checkpoint_seconds=30, log_every=100, data_seed=DATA_SEED)
    print(name, run, f"for {steps} steps", flush=True)
    for batch in run.batches(steps) if minutes else ():
        record = run.log(run.gan.step(batch))
        if record and run.step % max(100, steps // 40 // 100 * 100) == 0:
            run.save_samples(run.gan.sample(36, 0))
            print(name, record, flush=True)
        if time.monotonic() > end:
            run.stop()
    run.save_set(run.gan.sample(200, 1))
    if not name.endswith("_stage1"):
        scores, limits = measured(run, data) if isinstance(run.gan, (dcgan.DCGAN, stylegan2.StyleGAN2)) else ([], "")
        run.export(ship / name, scores, limits)


def measured(run: Run, known: ImageSet) -> tuple[list, str]:
    """Scores of the images that a seed gives, the floor beside them, and what they were measured against."""
    scene, size = known.card.removeprefix("phantom_"), run.config.size
    unseen, half = (phantom.load(scene, N_MEASURED, size, seed) for seed in (HELD_OUT, HELD_OUT + 500))
    scores = metrics.scores(unseen, run.gan.sample(N_MEASURED, 1), known)
    floors = [metrics.fid(unseen, half), *metrics.precision_recall(unseen, half)]
    scores += [dataclasses.replace(score, name=f"floor: {score.name}", note="other simulated images in its place")
               for score in floors]
    return scores, f"Measured against {N_MEASURED} simulated images of other patients (data seed {HELD_OUT})."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of them without one: {', '.join(RECIPES)}")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="stop each after so long (default: a day)")
    parser.add_argument("--together", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs/generators"), help="folder of the runs")
    parser.add_argument("--ship", type=Path, default=SHIPPED, help="folder of the exported generators")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in RECIPES]:
        sys.exit(f"there is no recipe {unknown[0]!r}: choose among {', '.join(RECIPES)}")
    names = options.names or list(RECIPES)
    if options.together == 1:
        for name in names:
            train(name, options.minutes, options.runs, options.ship)
        return
    command = [sys.executable, __file__, "--runs", str(options.runs), "--ship", str(options.ship)]
    running = {}
    while names or running:
        for name, process in list(running.items()):
            if process.poll() is not None:
                print(f"{name}: ended with exit code {process.returncode}", flush=True)
                del running[name]
        # A second stage waits for its first.
        ready = [name for name in names if f"{name}_stage1" not in [*names, *running]]
        for name in ready[:options.together - len(running)]:
            names.remove(name)
            # Two stages share the time of one.
            minutes = options.minutes / 2 if f"{name.removesuffix('_stage1')}_stage1" in RECIPES else options.minutes
            running[name] = subprocess.Popen([*command, "--minutes", str(minutes), name])
        time.sleep(0.2)


if __name__ == "__main__":
    main()
