"""Does a denoiser before D keep a generator from hiding a code? `python tools/hidden_code.py OUT [--seeds 0 1 2]`

A generator may hide in a frame what the way back needs (Chu 2017), and Grimwood 2021 (section 2.3) puts a denoiser
before each discriminator against that. A short CycleGAN hides nothing, so here G can do nothing else: it changes a
frame of another patient by 4 grey levels at most, and F has to find the CT in it. Three trainings a seed: without D,
with D, and with the denoiser before D. Writes OUT/hidden_seedS.json, records for claim G4; nine minutes of one
processor core a seed.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from uslab import phantom, score
from uslab.data.device import describe
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.models import cyclegan, denoiser
from uslab.models.layers import normalise, to_uint8
from uslab.training import write_record

VIEW = View(40, 96)     # rows and columns of a plane, pixels
MOST = 4                # grey levels that G may change
BATCH = 4
CONFIG = cyclegan.Config(size=VIEW.width, batch_size=BATCH, ngf=12, ndf=16, blocks=1, layers=2, lr=2e-3, identity=0.0,
                         denoise="off")
STEPS = 1600


def frames_of(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """The liver's frames (N, 1, 40, 96) uint8 among n of simulated patients, and whose each is (N,)."""
    found = phantom.load("eus", n, VIEW.width, seed)
    found = found[(found.labels == found.classes.index("liver")).numpy()]
    top = (VIEW.width - VIEW.height) // 2
    return found.images[:, :, top:top + VIEW.height], torch.as_tensor(found.groups)


class Hiding:
    """G and F whose only way is a code, and a D that may tell frames with one from frames without."""

    def __init__(
        self,
        seed: int,
        judge: nn.Module | None = None,     # what D looks through; None: there is no D
    ):
        torch.manual_seed(seed)
        self.G, self.F = (cyclegan.Generator(CONFIG) for _ in range(2))
        self.optimiser = torch.optim.Adam([*self.G.parameters(), *self.F.parameters()], CONFIG.lr, (0.5, 0.999))
        self.judge = judge
        if judge is not None:
            self.D = cyclegan.Discriminator(CONFIG)
            self.optimiser_d = torch.optim.Adam(self.D.parameters(), CONFIG.lr / 4, (0.5, 0.999))

    def hide(self, planes: Tensor, frames: Tensor) -> Tensor:
        """Frames with the planes in them, (B, 1, h, w) in [-1, 1]; both are given as uint8 of that shape."""
        return normalise(frames.float()) + MOST / 127.5 * self.G(normalise(planes.float()))

    def step(self, ct: Tensor, us: Tensor) -> None:
        """One step on random images of both (N, 1, 40, 96) uint8: the cycle loss, and D's as in CycleGAN."""
        planes, frames = (images[torch.randint(len(images), (BATCH,))] for images in (ct, us))
        fake = self.hide(planes, frames)
        rounded = fake + (torch.rand_like(fake) - 0.5) / 127.5       # a picture has whole grey levels
        loss = CONFIG.cycle * cyclegan.l1(self.F(rounded), normalise(planes.float()))
        if self.judge is not None:
            self.D.requires_grad_(False)
            loss = loss + cyclegan.lsgan(self.D(self.judge(fake)), 1.0)
            self.D.requires_grad_(True)
        descend(self.optimiser, loss)
        if self.judge is not None:
            real = normalise(us[torch.randint(len(us), (BATCH,))].float())
            said = self.D(self.judge(torch.cat([real, fake.detach()]))).chunk(2)
            descend(self.optimiser_d, 0.5 * (cyclegan.lsgan(said[0], 1.0) + cyclegan.lsgan(said[1], 0.0)))

    @torch.no_grad()
    def found(self, hidden: Tensor, noise: float = 0.0) -> Tensor:
        """The planes (B, 1, h, w) uint8 that F finds in such frames, after noise of so many grey levels."""
        added = noise * torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0))
        return to_uint8(self.F(normalise((hidden.float() + added).round().clamp(0, 255))))


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def far(a: Tensor, b: Tensor) -> list[float]:
    """Mean difference of each pair of images, grey levels."""
    return (a.float() - b.float()).abs().mean((1, 2, 3)).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    bodies = [Slices.find({"CT": phantom.abdomen(seed)}, "liver", 60, VIEW, 0).images().images for seed in range(4)]
    ct, planes = torch.cat(bodies[:3]), bodies[3]
    us, patient = frames_of(300, 0)
    us, others = us[patient != patient.max()], us[patient == patient.max()]
    frames = others[torch.arange(len(planes)) % len(others)]
    judges = {"no D": None, "D": nn.Identity(), "denoiser before D": denoiser.pretrained()}
    for seed in options.seeds:
        metrics, started = [], time.process_time()
        for judge, looks_through in judges.items():
            hiding = Hiding(seed, looks_through)
            for _ in range(STEPS):
                hiding.step(ct, us)
            with torch.no_grad():
                hidden = to_uint8(hiding.hide(planes, frames))
            measured = {"added by G": far(hidden, frames), "way back, error": far(hiding.found(hidden), planes),
                        "way back, error with noise of 5": far(hiding.found(hidden, 5.0), planes)}
            metrics += [score.mean(name, values, "planes, as if they were independent").as_dict() | {"judge": judge}
                        for name, values in measured.items()]
        write_record(options.out / f"hidden_seed{seed}.json", metrics, notebook="03_cyclegan_ct_to_eus",
                     source="phantom", data="phantom_abdomen", data_seed=0, seed=seed, config=vars(CONFIG),
                     steps=STEPS, images_seen=STEPS * BATCH, n_ct=len(ct), n_us=len(us),
                     device=describe(torch.device("cpu")), dtype="float32",
                     seconds=round(time.process_time() - started, 1))
        print(seed, *(f"{row['judge']}: {row['name']} {row['value']:.1f}" for row in metrics), sep="\n")


if __name__ == "__main__":
    main()
