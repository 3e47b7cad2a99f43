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


def simulated(scene: str, n: int, size: int, runs: Path) -> ImageSet:
    """A phantom's set of DATA_SEED; kept in runs/images, since making it takes as long as a small training."""
    path = runs / "images" / f"{scene}_{size}_{n}.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        phantom.load(scene, n, size, DATA_SEED).save(path)
    return ImageSet.load(path)


def heads(size: int, runs: Path, **changes):
    """DCGAN on fetal heads."""
    config = dcgan.Config(size=size, batch_size=64, ema=0.999, **changes)
    return dcgan.DCGAN, config, simulated("fetal_head", 2000, size, runs), 60_000


def style(images: ImageSet, steps: int, batch_size: int = 32, **changes):
    """StyleGAN2 at 64 pixels, as small as it still learns."""
    config = stylegan2.preset("auto", 64, batch_size=batch_size, mbstd_group=4, gamma=0.5, lr=0.002, channel_base=2048,
                              channel_max=128, path_weight=0.0, ema_kimg=10.0, operations="ultrasound", ada_kimg=100.0,
                              fill="black", **{"z": 128, "augment": "diffaug"} | changes)
    return stylegan2.StyleGAN2, config, dataclasses.replace(images, masks=None, mask_names=()), steps


def breasts(runs: Path, n: int, steps: int, batch_size: int = 32, conditional: bool = False, **changes):
    """StyleGAN2 on breasts of all classes."""
    images = simulated("breast", 4000, 64, runs)[:n]
    return style(images, steps, batch_size, classes=len(images.classes) if conditional else 0, **changes)


def organs(runs: Path):
    """StyleGAN2 on four organs at once: the base from which a small set is learnt."""
    parts = [simulated(name, {"breast": 4000, "liver": 3000}.get(name, 800), 64, runs)[:800]
             for name in ("breast", "fetal_head", "liver", "ovary")]
    images = ImageSet(torch.cat([part.images for part in parts]), ", ".join(part.card for part in parts), "phantom",
                      table=parts[0].table.iloc[:0].reindex(range(sum(map(len, parts)))).assign(
                          file=[f"{part.card}/{file}" for part in parts for file in part.table.file]))
    return style(images, 30_000)


def livers(label: str, stage: int, runs: Path):
    """The stacked GAN on livers of one class: a StyleGAN2 of 64 pixels as stage I, then the refiner to 128.

    DCGAN's discriminator knows the frames of some forty patients by heart after 30 thousand images, and its generator
    then draws one bare sector.
    """
    images = simulated("liver", 3000, 64 if stage == 1 else 128, runs)
    images = images[(images.labels == images.classes.index(label)).numpy()]
    if stage == 1:
        return style(images, 12_000, z=64)
    config = stackgan.Config(stage=2, size=128, size1=64, batch_size=32, z=64, width2=16, ema=0.99,
                             stage1=str(runs / f"stackgan_liver_{label}_stage1"))
    return stackgan.StackGAN, config, images, 25_000


def eus(organ: str, runs: Path):
    """CycleGAN from CT planes to endoscopic ultrasound, one organ."""
    frames = simulated("eus", 900, 256, runs)
    frames = frames[(frames.labels == frames.classes.index(organ)).numpy()]
    top = (256 - EUS.height) // 2
    frames = dataclasses.replace(frames, images=frames.images[:, :, top:top + EUS.height], masks=None, mask_names=())
    planes = Slices.find({f"CT{i}": phantom.abdomen(DATA_SEED + i) for i in range(8)}, organ, 60, EUS, DATA_SEED)
    config = cyclegan.Config(size=256, batch_size=4, epoch=len(frames) // 4, epochs=50.0, decay=50.0, ngf=24, ndf=32,
                             blocks=6, layers=3, identity=2.0, denoise="discriminator", upsample="nearest", margin=8,
                             ema=0.999)
    return cyclegan.CycleGAN, config, {"ct": planes, "us": frames}, config.steps


def ovaries(sketch: bool, grow: bool, runs: Path):
    """Liang's models on ovaries: mask alone or with sketch at 64 pixels, or growing to 128."""
    images = sketches.conditioned(simulated("ovary", 500, 128, runs), blur=2.0)
    config = pgsgan.Config(size=64, sketch=sketch, grow=grow, first=5000, fade=60, batch_size=8, lr_g=5e-4, lr_d=2e-4,
                           ngf=32 if grow else 24, ndf=32, blocks=6 if grow else 4, weight_l1=50.0, ema=0.998)
    return pgsgan.PGSGAN, config, images if grow else sketches.halved(images), 16_000 if grow else 12_000


RECIPES = {
    "dcgan_fetal_head_64": lambda runs: heads(64, runs, ngf=40, ndf=40),
    "dcgan_fetal_head_128": lambda runs: heads(128, runs, ngf=32, ndf=12),
    "dcgan_fetal_head_128b": lambda runs: heads(128, runs, ngf=24, ndf=24, lr=1e-4),
    "stylegan2_breast": lambda runs: breasts(runs, 4000, 20_000, 64, conditional=True),
    "stylegan2_breast_50_none": lambda runs: breasts(runs, 50, 6000, augment="none"),
    "stylegan2_breast_50_ada": lambda runs: breasts(runs, 50, 6000, augment="ada"),
    "stylegan2_organs": lambda runs: organs(runs),
    "stackgan_liver_healthy_stage1": lambda runs: livers("healthy", 1, runs),
    "stackgan_liver_healthy": lambda runs: livers("healthy", 2, runs),
    "stackgan_liver_fatty_stage1": lambda runs: livers("fatty", 1, runs),
    "stackgan_liver_fatty": lambda runs: livers("fatty", 2, runs),
    "cyclegan_eus_liver": lambda runs: eus("liver", runs),
    "cyclegan_eus_pancreas": lambda runs: eus("pancreas", runs),
    "cyclegan_eus_aorta": lambda runs: eus("aorta", runs),
    "pgsgan_ovary_128": lambda runs: ovaries(True, True, runs),
    "sgan_ovary_64": lambda runs: ovaries(True, False, runs),
    "cgan_ovary_64": lambda runs: ovaries(False, False, runs),
}


def train(
    name: str,
    minutes: float,    # after which it stops
    runs: Path,        # folder of the runs
    ship: Path,        # folder of the exported generators
    do: str,           # 'all', or 'train': export without measuring
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
        measure = do == "all" and isinstance(run.gan, (dcgan.DCGAN, stylegan2.StyleGAN2))
        scores, limits = measured(run, data) if measure else ([], "")
        run.export(ship / name, scores, limits, discriminator=name == "stylegan2_organs")


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
    parser.add_argument("--do", choices=("all", "train"), default="all", help="train: export without measuring")
    parser.add_argument("--ship", type=Path, default=SHIPPED, help="folder of the exported generators")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in RECIPES]:
        sys.exit(f"there is no recipe {unknown[0]!r}: choose among {', '.join(RECIPES)}")
    names = options.names or list(RECIPES)
    if options.together == 1:
        for name in names:
            train(name, options.minutes, options.runs, options.ship, options.do)
        return
    command = [sys.executable, __file__, "--runs", str(options.runs), "--ship", str(options.ship), "--do",
               options.do]
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
