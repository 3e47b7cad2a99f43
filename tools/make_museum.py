"""Make the failure museum, notebooks/museum: `python tools/make_museum.py [NAME ...]`.

Each exhibit is one recipe below: a small training, seeded, on one thread, in minutes. It gives one film strip: a column
is a moment; a row is a training, and above it its healthy twin with the same seed, or else a row is a view of the one
training. What a strip cost stands in its PNG, and README.md is written anew from all that are there.
"""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hidden_code import VIEW, Hiding, frames_of
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from uslab import models, phantom
from uslab.data.atomic import write_atomically, write_text
from uslab.data.pictures import contact_sheet
from uslab.data.slices import Slices
from uslab.models import augment, dcgan, pgsgan, sketches, stackgan, store
from uslab.models.layers import bce, init_weights, normalise, to_uint8

MUSEUM = Path(__file__).parents[1] / "notebooks" / "museum"
SEED = 0                                         # of the phantoms, the weights, the batches and the latents
Rows = dict[str, list[tuple[str, Tensor]]]       # of a training's name: what stands above a moment, and its images


# The film

def film(gan, data: list[dict[str, Tensor]], moments: tuple[int, ...], look: Callable) -> list[tuple[str, Tensor]]:
    """Train on random batches, and look(gan) after each of the steps in moments; rows of one dict stay together."""
    torch.manual_seed(SEED)
    frames = []
    for step in range(1, moments[-1] + 1):
        batch = {}
        for part in data:
            rows = torch.randint(len(next(iter(part.values()))), (gan.config.batch_size,))
            batch |= {name: values[rows] for name, values in part.items()}
        gan.step(batch)
        if step in moments:
            frames.append((f"step {step}", look(gan)))
    return frames


def made(gan_class, config, start: str = "", **given):
    """A GAN with the seed's weights, or with those of a shipped generator."""
    torch.manual_seed(SEED)
    gan = gan_class(config, **given)
    if start:
        store.begin(gan, start)
    return gan


# The pictures

def strip(rows: Rows, columns: int, scale: float) -> Image.Image:
    """The film strip in 32 grey levels, which keeps speckle small: white ground, a line of words above each tile."""
    font, tiles = ImageFont.load_default(11), {}
    for name, frames in rows.items():
        for title, images in frames:
            sheet = Image.fromarray(contact_sheet(images, columns))
            size = round(sheet.width * scale), round(sheet.height * scale)
            tiles[name, title] = sheet.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
    width, height = (max(side) for side in zip(*(tile.size for tile in tiles.values())))
    most = max(len(frames) for frames in rows.values())
    canvas = Image.new("L", (most * (width + 6) - 6, len(rows) * (height + 38)), 255)
    draw = ImageDraw.Draw(canvas)
    for row, (name, frames) in enumerate(rows.items()):
        top = row * (height + 38)
        draw.text((0, top), name, 0, font)
        for column, (title, _) in enumerate(frames):
            left = column * (width + 6)
            draw.text((left, top + 16), title, 70, font)
            canvas.paste(tiles[name, title], (left, top + 32))
    return Image.fromarray(np.uint8(np.round(np.asarray(canvas) / 255 * 31) * 255 / 31))


# DCGAN on fetal heads

class Uneven(dcgan.DCGAN):
    """DCGAN whose networks learn at rates of their own; it remembers how strong the last push on G was."""

    RATES, LOSS = {"G": 1.0, "D": 1.0}, "non-saturating"

    def adam(self, name: str) -> dict:
        given = super().adam(name)
        return given | {"lr": given["lr"] * self.RATES[name]}

    def descend(self, name: str, loss: Tensor) -> None:
        super().descend(name, loss)
        if name == "G":
            self.push = float(torch.cat([weight.grad.flatten() for weight in self.G.parameters()]).norm())


class Running(Uneven):
    RATES = {"G": 5.0, "D": 1.0}


class Silenced(Uneven):
    """G descends the loss of the theory, log(1 - D(G(z))), against a D that learns ten times as fast."""

    RATES = {"G": 1.0, "D": 10.0}

    def update(self, real: Tensor, z: Tensor) -> dict[str, Tensor]:
        fake = self.G(z)
        self.descend("D", bce(self.D(real), 1.0) + bce(self.D(fake.detach()), 0.0))
        self.descend("G", -bce(self.D(fake), 0.0))
        return {}


def heads(gan_class) -> list[tuple[str, Tensor]]:
    """From scratch: the push on G stands above each moment."""
    config = dcgan.Config(size=64, batch_size=16, ngf=16, ndf=16, rotation=0.0, lr=4e-4)
    images, pushes = phantom.load("fetal_head", 300, 64, SEED).images, []

    def look(gan):
        pushes.append(gan.push)
        return gan.sample(4, SEED)

    frames = film(made(gan_class, config), [{"image": images}], (10, 100, 200, 350, 500, 700), look)
    return [(f"{title}, push {push:.0e}", shown) for (title, shown), push in zip(frames, pushes)]


def d_wins() -> Rows:
    return {"equal rates, the non-saturating loss": heads(Uneven),
            "D ten times as fast, the saturating loss": heads(Silenced)}


def heads_collapse() -> Rows:
    """A generator that draws heads goes on with a new D."""
    config = dcgan.Config(size=64, batch_size=16, ngf=40, ndf=16, rotation=0.0)
    images = phantom.load("fetal_head", 300, 64, SEED).images
    return {title: film(made(gan_class, dataclasses.replace(config, beta1=beta1), "dcgan_fetal_head_64"),
                        [{"image": images}], (1, 20, 50, 80, 120, 160), lambda gan: gan.sample(9, SEED))
            for title, gan_class, beta1 in (("equal rates", Uneven, 0.5), ("G five times as fast", Running, 0.9))}


class Redrawn(dcgan.DCGAN):
    """The shipped generator of heads with a new last layer, and a new D."""

    def build(self) -> tuple[nn.Module, nn.Module]:
        G, D = super().build()
        G.load_state_dict(models.load("dcgan_fetal_head_64", "cpu").G.state_dict())
        G.main[-2] = self.last(self.config.ngf)
        init_weights(G.main[-2], 0.1)
        return G, D

    @staticmethod
    def last(width: int) -> nn.Module:
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, 1, 3, 1, 1, bias=False))


class Latticed(Redrawn):
    @staticmethod
    def last(width: int) -> nn.Module:
        return nn.ConvTranspose2d(width, 1, 3, 2, 1, 1, bias=False)


def lattice() -> Rows:
    config = dcgan.Config(size=64, batch_size=16, ngf=40, ndf=16, rotation=0.0)
    images = phantom.load("fetal_head", 300, 64, SEED).images
    return {title: film(made(gan_class, config), [{"image": images}], (1, 10, 20, 40, 70, 100),
                        lambda gan: gan.sample(1, SEED)) for title, gan_class in
            (("nearest neighbour and a convolution", Redrawn), ("transposed, kernel 3, stride 2", Latticed))}


# DCGAN on breasts: augmentation that leaks

def turned(images: Tensor) -> Tensor:
    """Each image by itself, by 0, 90, 180 or 270 degrees."""
    return augment.ada(images, augment.Operations(rotate90=1), 1.0)


class Turned(dcgan.DCGAN):
    """D sees every image, real or not, turned at random."""

    def __init__(self, config: dcgan.Config):
        super().__init__(config)
        judge = self.D.forward
        self.D.forward = lambda images: judge(turned(images))


def leaking() -> Rows:
    config = dcgan.Config(size=64, batch_size=16, ngf=16, ndf=16, rotation=0.0, lr=4e-4)
    images = phantom.load("breast", 300, 64, SEED).images
    torch.manual_seed(SEED)
    seen = to_uint8(turned(normalise(images[:4].float())))
    return {title: [("what D sees", shown), *film(made(gan_class, config), [{"image": images}],
                                                  (200, 350, 500, 650, 800), lambda gan: gan.sample(4, SEED))]
            for title, gan_class, shown in (("breasts as they are", dcgan.DCGAN, images[:4]),
                                            ("every image turned at random", Turned, seen))}


# Eight hills on a ring

def dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2),
                         nn.Linear(64, outputs))


def ring(lr_d: float, lr_g: float, betas: tuple[float, float]) -> list[tuple[str, Tensor]]:
    """The game of notebook 00 in two dimensions: grey hills, and what G makes of 600 latents in white."""
    torch.manual_seed(SEED)
    angles = torch.arange(8) * math.tau / 8
    centres = 2 * torch.stack([angles.cos(), angles.sin()], 1)
    D, G = dense(2, 1), dense(8, 2)
    of_d, of_g = (torch.optim.Adam(network.parameters(), lr=lr, betas=betas)
                  for network, lr in ((D, lr_d), (G, lr_g)))
    fixed, frames = torch.randn(600, 8), []
    side = torch.linspace(-3, 3, 120)
    grid = torch.stack(torch.meshgrid(side, side, indexing="ij"), 2).view(-1, 2)
    hills = torch.where(torch.cdist(grid, centres).min(1).values < 0.36, 110, 0).view(120, 120).byte()
    for step in range(1, 3001):
        points = G(torch.randn(256, 8))
        real = centres[torch.randint(8, (256,))] + 0.12 * torch.randn(256, 2)
        of_d.zero_grad()
        (bce(D(real), 1.0) + bce(D(points.detach()), 0.0)).backward()
        of_d.step()
        of_g.zero_grad()
        bce(D(points), 1.0).backward()
        of_g.step()
        if step in (100, 600, 1200, 1800, 2400, 3000):
            with torch.no_grad():
                at = ((G(fixed) + 3) / 6 * 120).long().clamp(0, 119)
            picture = hills.clone()
            picture[at[:, 0], at[:, 1]] = 255
            frames.append((f"step {step}", picture[None, None]))
    return frames


def mode_collapse() -> Rows:
    return {"both learn as fast as each other": ring(1e-3, 1e-3, (0.5, 0.9)),
            "G learns ten times as fast as D": ring(2e-4, 2e-3, (0.9, 0.999))}


# StackGAN: stage I in training mode

class Unfrozen(stackgan.StackGAN):
    """Stage II over a stage I whose weights are frozen and whose BatchNorm is not."""

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.G.first.train()
        return super().step(batch)


def batchnorm() -> Rows:
    config = stackgan.Config(stage=2, stage1="dcgan_fetal_head_64", size=64, size1=64, batch_size=4, ngf=40, ndf=40,
                             width2=8)
    images = phantom.load("fetal_head", 200, 64, SEED).images
    first = stackgan.Generator(dataclasses.replace(config, stage=1))
    first.load_state_dict(models.load(config.stage1, "cpu").G.state_dict())
    torch.manual_seed(SEED)
    latents = torch.randn(2, config.z, 1, 1)
    gan = made(Unfrozen, config, first=first)
    before = gan.images(first, latents, 2)

    def among_others(gan):
        return gan.images(gan.G.first, torch.cat([latents, torch.randn(2, config.z, 1, 1)]), 4)[:2]

    frames = film(gan, [{"image": images}], (1, 10, 20, 40, 60, 80), among_others)
    moved = [(title, (4 * (shown.float() - before.float()).abs()).clamp(0, 255).byte()) for title, shown in frames]
    return {"eval mode: the same at every step": [(title, before) for title, _ in frames],
            "training mode: the same two latents among others of a batch": frames,
            "the difference between the two, four times as bright": moved}


# PGSGAN: growth at once

def no_fading() -> Rows:
    """The shipped GAN of 64 pixels grows to 128; its new layers have the seed's weights."""
    images = sketches.conditioned(phantom.load("ovary", 60, 128, SEED))
    config = pgsgan.Config(size=64, fade=2, top=1.0, batch_size=2, lr_g=5e-4, lr_d=2e-4, ngf=24, ndf=8, blocks=4,
                           weight_l1=50.0)
    rows = {}
    for title, start in (("faded in over 60 steps", config.starts[1]), ("at once", config.starts[2])):
        gan = made(pgsgan.PGSGAN, config, "sgan_ovary_64")

        def look(gan):
            return gan.sample(1, SEED, images.masks[:1])

        before = pgsgan.enlarge(look(gan).float()).byte()
        gan.steps = start
        rows[title] = [("before", before), *film(gan, [{"image": images.images, "mask": images.masks}],
                                                 (1, 5, 15, 30, 60), look)]
    return rows


# PGSGAN: fifty images by heart

def memorising() -> Rows:
    """The shipped GAN of 64 pixels goes on with fifty pairs; a row is one label, of theirs or of another phantom."""
    few, other = (sketches.conditioned(phantom.load("ovary", n, 64, seed)) for n, seed in ((50, SEED), (1, 99)))
    config = pgsgan.Config(size=64, grow=False, lr_g=1e-3, lr_d=1e-4, ngf=24, ndf=8, blocks=4, weight_l1=100.0)
    labels = torch.cat([few.masks[:1], other.masks])
    gan = made(pgsgan.PGSGAN, config, "sgan_ovary_64")
    shown = [("its image", torch.cat([few.images[:1], other.images])), ("step 0", gan.sample(2, SEED, labels)),
             *film(gan, [{"image": few.images, "mask": few.masks}], (50, 150, 350, 700),
                   lambda gan: gan.sample(2, SEED, labels))]
    return {"from a label of the fifty": [(title, images[:1]) for title, images in shown],
            "from a label of another phantom": [(title, images[1:]) for title, images in shown]}


# CycleGAN: a hidden code

def hidden_code() -> Rows:
    """G may change a frame of another patient by 4 grey levels; the way back must find the CT in that."""
    ct = Slices.find({"CT": phantom.abdomen(SEED)}, "liver", 60, VIEW, SEED).images().images
    us, _ = frames_of(40, SEED)
    hiding = Hiding(SEED)
    plane, frame = ct[45:46], us[:1]
    rows = {"what G makes of the CT: a frame of another patient": [("the frame", frame)],
            "what G added to the frame, 30 times as bright": [("nothing yet", torch.full_like(frame, 128))],
            "the way back": [("the CT", plane)],
            "the way back, after noise of 10 grey levels": [("the CT", plane)]}
    for step in range(1, 1601):
        hiding.step(ct, us)
        if step in (1, 20, 100, 400, 1600):
            with torch.no_grad():
                coded = to_uint8(hiding.hide(plane, frame))
            code = (128 + 30 * (coded.float() - frame)).clamp(0, 255).byte()
            shown = coded, code, hiding.found(coded), hiding.found(coded, 10.0)
            for row, images in zip(rows.values(), shown):
                row.append((f"step {step}", images))
    return rows


# What hangs where

@dataclasses.dataclass(frozen=True)
class Exhibit:
    make: Callable[[], Rows]
    columns: int      # images side by side in a tile
    scale: float      # of a tile
    failed: str       # three phrases of the README's table
    see: str
    recipe: str


EXHIBITS = {
    "mode_collapse": Exhibit(
        mode_collapse, 1, 1, "Mode collapse: G runs to one place that D believes, D comes after it, G runs on",
        "Above, the white points end on all eight grey hills; below, from step 600 on, they lie in one heap, elsewhere "
        "each time but the last",
        "Two dimensions, networks of 64 x 64 units, 3000 steps of 256 points; G's rate 0.002, D's 0.0002, Adam's betas "
        "0.9 and 0.999"),
    "heads_collapse": Exhibit(
        heads_collapse, 3, 0.75, "Mode collapse in pictures: nine latents, one picture",
        "Nine heads at step 1; below, at steps 50, 80 and 160, nine times nearly the same pattern, another one each "
        "time",
        "DCGAN from the shipped dcgan_fetal_head_64 with a new D, 160 steps of 16; G's rate five times D's, beta1 0.9"),
    "d_wins": Exhibit(
        d_wins, 2, 1, "D wins: it is sure, and G's gradient dies",
        "Above, heads come; below, for 350 steps nothing but grey, while the push, the length of G's gradient, is up "
        "to half a million times smaller; then bands. Rate and loss differ between the rows",
        "DCGAN from scratch, 700 steps of 16; D's rate ten times G's, and the saturating loss"),
    "batchnorm": Exhibit(
        batchnorm, 2, 1, "Stage I is frozen, its BatchNorm is not",
        "The third row would be black if one latent were one image",
        "StackGAN, stage II over the shipped dcgan_fetal_head_64, 80 steps of 4, `first.train()` before each"),
    "no_fading": Exhibit(
        no_fading, 1, 1, "Growth without fading: new layers draw from their first step",
        "Above, the picture passes into a smoother one; below, it is gone at step 1, and at step 60 "
        "only its large shapes have come back",
        "PGSGAN, 64 pixels to 128, from the shipped sgan_ovary_64 with a new D, 60 steps of 2; G's alpha is 1 from the "
        "first step"),
    "lattice": Exhibit(
        lattice, 1, 3, "A lattice: a kernel of 3 that steps by 2 covers every second pixel twice",
        "One latent, enlarged three times: below, single pixels are light and dark by turns at every moment; above, "
        "the spots of the new layer are two pixels wide, and gone at step 70",
        "DCGAN from the shipped dcgan_fetal_head_64 with a new D and a new last layer, whose weights begin with a "
        "standard deviation of 0.1, 100 steps of 16"),
    "leaking": Exhibit(
        leaking, 2, 1, "Augmentation leaks: G draws what D is shown, turned breasts",
        "Above, the layers lie flat, in the end under a black upper edge; below, from "
        "step 350 on, they stand on end",
        "DCGAN from scratch, 800 steps of 16; D sees real and made images through ADA's quarter turns, p = 1"),
    "memorising": Exhibit(
        memorising, 1, 2, "Fifty images by heart: a label of the training brings back its very picture",
        "Above, at step 700 the image that belongs to the label is back, almost to the grain; below, the same network "
        "draws another texture than that of the image, and one follicle",
        "PGSGAN's Sgan from the shipped sgan_ovary_64 with a new D, 50 pairs, 700 steps of 4; the L1 loss weighs 100"),
    "hidden_code": Exhibit(
        hidden_code, 1, 1.5, "A hidden code: the way back reads what no eye sees",
        "The first row shows the frame, no CT; the third restores the CT from it all the same; the fourth, when noise "
        "covers the code, has holes and a torn edge. Of what G adds, the strip's grey, in steps of 8, shows little",
        "CycleGAN's generators, 1 block, 1600 steps of 4: G adds up to 4 grey levels to frames of another patient, and "
        "the cycle loss alone is learnt"),
}


def hang(name: str, rows: Rows, seconds: float) -> None:
    """Write a strip, with what it cost in the PNG itself."""
    facts = PngInfo()
    facts.add_text("seed", str(SEED))
    facts.add_text("seconds", f"{seconds:.0f}")
    picture = strip(rows, EXHIBITS[name].columns, EXHIBITS[name].scale)
    write_atomically(MUSEUM / f"{name}.png", lambda part: picture.save(part, "PNG", optimize=True, pnginfo=facts))


def catalogue() -> str:
    """README.md: a row for each strip that hangs."""
    lines = ["# The failure museum", "",
             "What goes wrong when a GAN is trained, on simulated images: a row is a training or a view of it, a "
             "column is a moment. `python tools/make_museum.py [NAME ...]` makes a strip anew, on one thread. The "
             "seconds are those of one processor core.", "",
             "| strip | what failed | how to see it | recipe | seed | seconds |", "|---|---|---|---|---|---|"]
    for name, exhibit in EXHIBITS.items():
        if (path := MUSEUM / f"{name}.png").is_file():
            with Image.open(path) as picture:
                facts = picture.text
            lines.append(f"| [{name}]({name}.png) | {exhibit.failed} | {exhibit.see} | {exhibit.recipe} | "
                         f"{facts['seed']} | {facts['seconds']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of them without one: {', '.join(EXHIBITS)}")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in EXHIBITS]:
        sys.exit(f"there is no recipe {unknown[0]!r}: choose among {', '.join(EXHIBITS)}")
    torch.set_num_threads(1)
    for name in names or EXHIBITS:
        started = time.process_time()
        hang(name, EXHIBITS[name].make(), time.process_time() - started)
        print(f"{name}: {time.process_time() - started:.0f} s", flush=True)
    write_text(MUSEUM / "README.md", catalogue())


if __name__ == "__main__":
    main()
