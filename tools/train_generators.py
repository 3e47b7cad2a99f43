"""Train the generators that the package ships, on phantoms: `python tools/train_generators.py [NAME ...]`.

Each name is one recipe below, and one run in runs/generators/NAME: stopped and started again, it goes on from its
checkpoint. At the end it is exported to uslab/generators/NAME, and what stands there is measured against phantoms that
it has not seen. `--minutes` stops early, with a checkpoint and an export of what has been learnt (0 exports what there
is); `--do train` leaves the measures for later, `--do measure` takes them; `--together` trains several at a time, each
in a process of its own.

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

from uslab import metrics, models, phantom
from uslab.data import ImageSet
from uslab.data.atomic import write_text
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.models import cyclegan, dcgan, pgsgan, sketches, stackgan, store, stylegan2
from uslab.training import Run
from uslab.training.export import card

# Of training, of the images to measure with, of those for the floor, of the conditions that go with a generator.
DATA_SEED, HELD_OUT, OTHERS, FRESH = 1000, 2000, 2500, 3000
N_MEASURED = 300         # images that a generator is measured with; of one class what three times as many hold
SHIPPED = Path(__file__).parents[1] / "uslab" / "generators"
EUS = View(40, 96)       # rows and columns of a plane, pixels; a frame of 96 pixels has its fan in these rows


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a recipe takes its simulated images from."""

    runs: Path                # those of the training are kept in runs/images: they take as long as a small training
    seed: int = DATA_SEED
    n: int | None = None      # images, where a recipe's own number is not wanted

    def load(self, scene: str, n: int, size: int) -> ImageSet:
        if self.seed != DATA_SEED:
            return phantom.load(scene, self.n or n, size, self.seed)
        path = self.runs / "images" / f"{scene}_{size}_{n}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            phantom.load(scene, n, size, self.seed).save(path)
        return ImageSet.load(path)[:self.n]

    def of_class(self, name: str, scene: str, n: int, size: int) -> ImageSet:
        """The images of one class, without their masks."""
        images = dataclasses.replace(self, n=self.n and 3 * self.n).load(scene, n, size)
        images = images[(images.labels == images.classes.index(name)).numpy()]
        return dataclasses.replace(images, masks=None, mask_names=())


# Each gives a model, its Config, its data and its steps.

def heads(source: Source, size: int, **changes):
    """DCGAN on fetal heads."""
    return (dcgan.DCGAN, dcgan.Config(size=size, batch_size=64, ema=0.999, **changes),
            source.load("fetal_head", 2000, size), 60_000)


def style(images: ImageSet, steps: int, batch_size: int = 32, **changes):
    """StyleGAN2 at 64 pixels, as small as it still learns."""
    config = stylegan2.preset("auto", 64, batch_size=batch_size, mbstd_group=4, gamma=0.5, lr=0.002, channel_base=2048,
                              channel_max=128, path_weight=0.0, operations="ultrasound", ada_kimg=100.0,
                              **{"z": 128, "augment": "diffaug", "ema_kimg": 10.0, "fill": "black"} | changes)
    return stylegan2.StyleGAN2, config, dataclasses.replace(images, masks=None, mask_names=()), steps


def breasts(source: Source, n: int, steps: int, batch_size: int = 32, conditional: bool = False, **changes):
    """StyleGAN2 on breasts of all classes."""
    images = source.load("breast", 4000, 64)[:n if source.seed == DATA_SEED else None]
    return style(images, steps, batch_size, classes=len(images.classes) if conditional else 0, **changes)


def organs(source: Source):
    """StyleGAN2 on four organs at once: the base from which a small set is learnt."""
    n = 800 if source.n is None else source.n // 4
    source = dataclasses.replace(source, n=n)
    parts = [source.load(name, {"breast": 4000, "liver": 3000}.get(name, 800), 64)
             for name in ("breast", "fetal_head", "liver", "ovary")]
    images = ImageSet(torch.cat([part.images for part in parts]), ", ".join(part.card for part in parts), "phantom",
                      table=parts[0].table.iloc[:0].reindex(range(sum(map(len, parts)))).assign(
                          file=[f"{part.card}/{file}" for part in parts for file in part.table.file]))
    return style(images, 30_000)


def livers(source: Source, label: str, stage: int):
    """Livers of one class: a StyleGAN2 of 64 pixels as stage I of the stacked GAN, then the refiner to 128.

    DCGAN's discriminator knows the frames of some forty patients by heart after 30 thousand images, and its generator
    then draws one bare sector. Stage II needs its L1 loss: without it D wins where it is as wide as G, and where it is
    a third as wide, the refiner draws speckle and forgets the kidney. A weight of 20 is not enough where two thirds of
    a picture are black; with 200 the kidney fades after ten thousand images, with 1000 it stays, under a lattice.
    """
    if stage == 1:
        return style(source.of_class(label, "liver", 6000, 64), 12_000, augment="ada", ema_kimg=5.0, fill="grey")
    images = source.of_class(label, "liver", 3000, 128)
    config = stackgan.Config(stage=2, size=128, size1=64, lr=4e-4, z=128, width2=12, ndf2=8, weight_l1=200.0, ema=0.99,
                             stage1=f"generator:stylegan2_liver_{label}")
    return stackgan.StackGAN, config, images, 5000


def eus(source: Source, organ: str):
    """CycleGAN from CT planes to endoscopic ultrasound, one organ."""
    frames = source.of_class(organ, "eus", 900, EUS.width)
    top = (EUS.width - EUS.height) // 2
    frames = dataclasses.replace(frames, images=frames.images[:, :, top:top + EUS.height])
    planes = Slices.find({f"CT{i}": phantom.abdomen(source.seed + i) for i in range(8)}, organ,
                         60 if source.n is None else len(frames) // 8 + 1, EUS, source.seed)
    config = cyclegan.Config(size=EUS.width, batch_size=1, epoch=len(frames), epochs=25.0, decay=25.0, lr=5e-4, ngf=16,
                             ndf=16, blocks=6, layers=2, identity=2.0, denoise="off", upsample="nearest", margin=4,
                             ema=0.998)
    return cyclegan.CycleGAN, config, {"ct": planes, "us": frames}, config.steps


def ovaries(source: Source, sketch: bool, grow: bool):
    """Liang's models on ovaries: mask alone or with sketch at 64 pixels, or growing to 128."""
    images = sketches.conditioned(source.load("ovary", 3000, 128), blur=2.0)
    first, fade = (5000, 60) if grow else (6000, 100)
    config = pgsgan.Config(size=64, sketch=sketch, grow=grow, first=first, fade=fade, batch_size=8, lr_g=5e-4,
                           lr_d=2e-4, ngf=32 if grow else 24, ndf=32, blocks=6 if grow else 4, weight_l1=50.0,
                           ema=0.998)
    return pgsgan.PGSGAN, config, images if grow else sketches.halved(images), 20_000


RECIPES = {
    "dcgan_fetal_head_64": lambda source: heads(source, 64, ngf=40, ndf=40),
    # At 128 pixels a discriminator as wide as the generator wins.
    "dcgan_fetal_head_128": lambda source: heads(source, 128, ngf=32, ndf=12),
    "stylegan2_breast": lambda source: breasts(source, 2500, 13_000, 16, conditional=True, augment="ada", ema_kimg=5.0,
                                               fill="grey"),
    "stylegan2_breast_50_none": lambda source: breasts(source, 50, 6000, augment="none"),
    "stylegan2_breast_50_ada": lambda source: breasts(source, 50, 6000, augment="ada"),
    "stylegan2_organs": organs,
    "stylegan2_liver_healthy": lambda source: livers(source, "healthy", 1),
    "stylegan2_liver_fatty": lambda source: livers(source, "fatty", 1),
    "stackgan_liver_healthy": lambda source: livers(source, "healthy", 2),
    "stackgan_liver_fatty": lambda source: livers(source, "fatty", 2),
    "cyclegan_eus_liver": lambda source: eus(source, "liver"),
    "cyclegan_eus_pancreas": lambda source: eus(source, "pancreas"),
    "cyclegan_eus_aorta": lambda source: eus(source, "aorta"),
    "pgsgan_ovary_128": lambda source: ovaries(source, True, True),
    "sgan_ovary_64": lambda source: ovaries(source, True, False),
    "cgan_ovary_64": lambda source: ovaries(source, False, False),
}


# What a training begins with, where it is not chance.
START = dict.fromkeys(("stylegan2_breast", "stylegan2_liver_healthy", "stylegan2_liver_fatty"), "stylegan2_organs")

# What a second stage waits for.
FIRST = {f"stackgan_liver_{label}": f"stylegan2_liver_{label}" for label in ("healthy", "fatty")}


def train(
    name: str,
    minutes: float,    # after which it stops
    runs: Path,        # folder of the runs
    ship: Path,        # folder of the exported generators
) -> None:
    """Train one recipe, or go on with it, and export what it has learnt."""
    end = time.monotonic() + 60 * minutes
    model, config, data, steps = RECIPES[name](Source(runs))
    run = Run(runs / name, model, config, data, seed=0, checkpoint_seconds=30, log_every=100, data_seed=DATA_SEED,
              start=START.get(name, ""))
    print(name, run, f"for {steps} steps", flush=True)
    for batch in run.batches(steps) if minutes else ():
        record = run.log(run.gan.step(batch))
        if record and run.step % max(100, steps // 40 // 100 * 100) == 0:
            run.save_samples(run.gan.sample(36, 0))
            print(name, record, flush=True)
        if time.monotonic() > end:
            run.stop()
    run.save_set(run.gan.sample(200, 1))
    show_unseen(run.gan, name, runs)
    run.export(ship / name, discriminator=name == "stylegan2_organs")


def show_unseen(gan, name: str, runs: Path) -> None:
    """Have a GAN from images draw from conditions that it was not trained on: it may know those by heart."""
    if isinstance(gan, (cyclegan.CycleGAN, pgsgan.PGSGAN)):
        data = RECIPES[name](Source(runs, FRESH, 64))[2]
        found = data["ct"].images().images if isinstance(gan, cyclegan.CycleGAN) else data.masks
        gan.conditions = found[:64].to(gan.device)


def measure(name: str, runs: Path, ship: Path) -> None:
    """Write the card of an exported generator anew, with measures of the images that a seed gives.

    They are taken against unseen phantoms; beside them stands the floor: what other unseen phantoms have there.
    """
    gan, facts = models.load(ship / name), store.about(ship / name)
    known, unseen, others = (RECIPES[name](Source(runs, seed, None if seed == DATA_SEED else N_MEASURED))[2]
                             for seed in (DATA_SEED, HELD_OUT, OTHERS))
    if isinstance(gan, cyclegan.CycleGAN):
        planes = unseen["ct"].images().images[:len(unseen["us"])]
        images = gan.sample(len(planes), 1, planes)
        known, unseen, others = known["us"], unseen["us"], others["us"]
        beside = [("the planes as they are", metrics.fid(unseen, planes))]
    else:
        images = gan.sample(len(unseen), 1, unseen.masks if isinstance(gan, pgsgan.PGSGAN) else None)
        beside = []
    scores = metrics.scores(unseen, images, known)
    beside += [("floor", score) for score in (metrics.fid(unseen, others), *metrics.precision_recall(unseen, others))]
    scores += [dataclasses.replace(score, name=f"{what}: {score.name}") for what, score in beside]
    given = {cyclegan.CycleGAN: ", from their CT planes", pgsgan.PGSGAN: ", from their label images"}
    limits = (f"Measured against {len(unseen)} simulated images of other patients (data seed {HELD_OUT})"
              f"{given.get(type(gan), '')}; the floor is what those of data seed {OTHERS} have there.")
    write_text(ship / name / "card.md", card(name, facts, scores, limits, True, store.size_mb(ship / name)))
    print(f"{name}: {scores[0]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of them without one: {', '.join(RECIPES)}")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="stop each after so long (default: a day)")
    parser.add_argument("--together", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs/generators"), help="folder of the runs")
    parser.add_argument("--do", choices=("all", "train", "measure"), default="all",
                        help="both, training and export alone, or measures of what is exported alone (default: all)")
    parser.add_argument("--ship", type=Path, default=SHIPPED,
                        help="folder of the exported generators; a second stage takes its first from the package")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in RECIPES]:
        sys.exit(f"there is no recipe {unknown[0]!r}: choose among {', '.join(RECIPES)}")
    names = options.names or list(RECIPES)
    if options.together == 1:
        for name in names:
            if options.do != "measure":
                train(name, options.minutes, options.runs, options.ship)
            if options.do != "train":
                measure(name, options.runs, options.ship)
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
        ready = [name for name in names if FIRST.get(name) not in [*names, *running]]
        for name in ready[:options.together - len(running)]:
            names.remove(name)
            running[name] = subprocess.Popen([*command, "--minutes", str(options.minutes), name])
        time.sleep(0.2)


if __name__ == "__main__":
    main()
