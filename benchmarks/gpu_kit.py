"""Everything that only a GPU can show, in one go: `make gpu`, or `python benchmarks/gpu_kit.py [--out DIR]`.

Five parts, each in processes of its own, so that one that fails stops no other: the device tests; seconds of a training
step of the five models at the papers' sizes against plain PyTorch; a resume check; the five notebooks in the smoke
profile; and one short training per paper. DIR (default: benchmarks/gpu/<card>) then holds gpu.json, the logs, sheets of
samples, and README.md with the tables as they can be pasted elsewhere. At most 25 minutes on one current GPU.
"""

import argparse
import functools
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
TESTS = ("test_graphs", "test_gan", "test_training", "test_dcgan", "test_stylegan2", "test_stylegan2_ops",
         "test_augment", "test_cyclegan", "test_stackgan", "test_pgsgan")
NOTEBOOKS = ("01_dcgan_fetal_head", "02_stylegan2_breast", "03_cyclegan_ct_to_eus", "04_stackgan_liver",
             "05_pgsgan_ovary")
TRAININGS = ("dcgan_fetal_head_64", "stylegan2_breast", "cyclegan_eus_liver", "stylegan2_liver_fatty",
             "pgsgan_ovary_128")
PARTS = ("tests", "speed", "resume", "notebooks", "training")


def tests(out: Path, minutes: float) -> dict:
    """The tests of models and training; on this machine `auto` is the GPU."""
    said = started(out / "tests.txt", minutes, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                   *(f"tests/{name}.py" for name in TESTS if (ROOT / f"tests/{name}.py").is_file()))
    lines = said["text"].strip().splitlines()
    return {"result": lines[-1].strip("= ") if lines else "nothing", "seconds": said["seconds"],
            "failed": [line for line in lines if line.startswith(("FAILED", "ERROR"))]}


def speed(out: Path, minutes: float) -> dict:
    """Seconds of a step of each model, plain and ours, from a process of its own."""
    said = started(out / "speed.txt", minutes, str(Path(__file__)), "--inner", "speed")
    rows = [json.loads(line) for line in said["text"].splitlines() if line.startswith("{")]
    return {"rows": rows, "seconds": said["seconds"], "complete": said["code"] == 0}


def resume(out: Path, minutes: float) -> dict:
    """Is a training that was stopped and gone on with the same as one that was not?"""
    said = started(out / "resume.txt", minutes, str(Path(__file__)), "--inner", "resume", "--out", str(out))
    rows = [json.loads(line) for line in said["text"].splitlines() if line.startswith("{")]
    return {"rows": rows, "seconds": said["seconds"], "complete": said["code"] == 0}


def notebooks(out: Path, minutes: float) -> dict:
    """Each paper's notebook, smoke profile, side by side."""
    folder = out / "notebooks"
    running = {name: subprocess.Popen(
        [sys.executable, "-m", "uslab.cli", "run", name, "--profile", "smoke", "--out", str(folder / name)], cwd=ROOT,
        stdout=open(out / f"{name}.txt", "w"), stderr=subprocess.STDOUT) for name in NOTEBOOKS}
    end, rows = time.monotonic() + 60 * minutes, []
    for name, process in running.items():
        try:
            code = process.wait(max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            code = "out of time"
        record = folder / name / name / "run.json"
        said = [line for line in (out / f"{name}.txt").read_text().splitlines() if line.strip()]
        rows.append({"notebook": name, "result": "complete" if code == 0 else said[-1][-200:] if said else str(code),
                     "device": json.loads(record.read_text()).get("device", "") if record.is_file() else ""})
    return {"rows": rows}


def training(out: Path, minutes: float) -> dict:
    """One short training per paper, one after the other; what it saw and how fast."""
    rows = []
    for name in TRAININGS:
        said = started(out / f"{name}.txt", minutes, "tools/train_generators.py", name, "--minutes",
                       str(minutes / len(TRAININGS) * 0.7), "--runs", str(out / "runs"), "--ship", str(out / "shipped"))
        log = out / "runs" / name / "log.jsonl"
        last = json.loads(log.read_text().splitlines()[-1]) if log.is_file() and log.stat().st_size else {}
        rows.append({"generator": name, "steps": last.get("step"), "images": last.get("images"),
                     "images_per_s": last.get("images_per_s"), "result": "complete" if said["code"] == 0 else
                     (said["text"].strip().splitlines() or ["nothing"])[-1][-200:]})
    return {"rows": rows}


def started(log: Path, minutes: float, *arguments: str) -> dict:
    """Run Python with these arguments from the project's folder, its output into the log; code, seconds and text."""
    began = time.monotonic()
    with open(log, "w") as file:
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait(60 * minutes)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = "out of time"
    return {"code": code, "seconds": round(time.monotonic() - began, 1), "text": log.read_text(errors="replace")}


# What runs inside a process of its own


def at_paper_size() -> dict:
    """Name -> (class, config, batch of random images) of the five models as the paper profiles have them."""
    from uslab.models import cyclegan, dcgan, pgsgan, stackgan, stylegan2

    def images(n, height, width, top=256):
        return torch.randint(0, top, (n, 1, height, width), dtype=torch.uint8)

    style = stylegan2.preset("stylegan2", 256, augment="ada", operations="bg", p=0.3)
    return {
        "DCGAN, 64 px, batch 10": (dcgan.DCGAN, dcgan.Config(batch_size=10), {"image": images(10, 64, 64)}),
        "DCGAN, 128 px, batch 64": (dcgan.DCGAN, dcgan.Config(size=128), {"image": images(64, 128, 128)}),
        "StyleGAN2 with ADA, 256 px, batch 32": (stylegan2.StyleGAN2, style, {"image": images(32, 256, 256)}),
        "CycleGAN, 512x196 px, 9 blocks, batch 1": (
            cyclegan.CycleGAN, cyclegan.Config(size=512, identity=0.0),
            {key: images(1, 196, 512) for key in ("ct", "us")}),
        "StackGAN stage I, 256 px, SN, SA 32, batch 16": (
            stackgan.StackGAN, stackgan.Config(spectral=True, attention=32), {"image": images(16, 256, 256)}),
        "PGSGAN first phase, 256 px, 10 blocks, batch 4": (
            pgsgan.PGSGAN, pgsgan.Config(blocks=10), {"image": images(4, 512, 512), "mask": images(4, 512, 512, 4)}),
    }


def plain(gan) -> None:
    """Make a GAN what a tutorial makes of the same networks: contiguous float32, Adam's default loop."""
    for networks in (gan.G, gan.D):
        for network in networks.values() if isinstance(networks, dict) else [networks]:
            network.to(memory_format=torch.contiguous_format)
    for name, optimiser in gan.optimisers.items():
        group = optimiser.param_groups[0]
        gan.optimisers[name] = torch.optim.Adam(group["params"], lr=group["lr"], betas=group["betas"], eps=group["eps"])


def inner_speed(device: torch.device, steps: int = 12) -> None:
    """A JSON line for each model: median seconds of a step, synchronised, plain, float32, and the run's own choice."""
    from uslab.data.device import choose_dtype, prepare, synchronise

    for name, (model, config, batch) in at_paper_size().items():
        batch = {key: value.to(device) for key, value in batch.items()}
        row = {"model": name}
        for kind in ("plain", "float32", "ours"):
            # Plain is PyTorch as it comes: TF32 in convolutions alone.
            torch.backends.cuda.matmul.allow_tf32 = False
            if kind != "plain":
                prepare(device)
            dtype = torch.float32
            if kind == "ours":
                dtype = choose_dtype(functools.partial(model, config, device), batch, device, 0)
            torch.manual_seed(0)
            gan = model(config, device, dtype)
            if kind == "plain":
                plain(gan)
            elif device.type == "cuda":
                gan.use_graphs()
            seconds = []
            for _ in range(steps + 5):     # a graph is recorded in the fourth
                synchronise(device)
                start = time.perf_counter()
                gan.step(batch)
                synchronise(device)
                seconds.append(time.perf_counter() - start)
            row[kind] = statistics.median(seconds[5:])
        row |= {"dtype": str(dtype).removeprefix("torch."), "images": len(next(iter(batch.values())))}
        print(json.dumps(row), flush=True)


def inner_resume(device: torch.device, out: Path) -> None:
    """A JSON line for each setting: are the tensors of two trainings of 40 steps equal, one of them resumed at 20?"""
    from uslab import phantom
    from uslab.models.dcgan import DCGAN, Config
    from uslab.training import Run

    images = phantom.load("breast", 64, 64, 1000)
    for deterministic in (False, True):
        states = []
        for parts in ([40], [20, 40]):
            folder = out / "resumed" / f"{deterministic}_{len(parts)}"
            for steps in parts:
                run = Run(folder, DCGAN, Config(batch_size=16, ngf=16, ndf=16), images, device=str(device),
                          deterministic=deterministic)
                for batch in run.batches(steps):
                    run.log(run.gan.step(batch))
            states.append(run.gan.G.state_dict())
        gaps = [(a.float() - b.float()).abs().max().item() for a, b in zip(*(state.values() for state in states))]
        print(json.dumps({"deterministic": deterministic, "equal": max(gaps) == 0, "largest_difference": max(gaps),
                          "says": run.deterministic}), flush=True)


def card() -> dict:
    """What ran: the card, its memory, the driver, the versions."""
    from uslab.training.record import environment

    facts = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
             "versions": environment()}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts |= {"card": properties.name, "memory_gb": round(properties.total_memory / 2**30, 1)}
    return facts


def page(facts: dict) -> str:
    """The results as Markdown."""
    lines = [f"# {facts['card']}, {facts['memory_gb']:g} GB", "",
             f"torch {facts['torch']}, CUDA {facts['cuda']}, cuDNN {facts['cudnn']}; commit "
             f"{facts['versions'].get('commit', 'unknown')}. Made by `make gpu`.", ""]
    if part := facts.get("tests"):
        lines += ["## Device tests", "", part["result"], "", *(f"- {line}" for line in part["failed"]), ""]
    if part := facts.get("speed"):
        lines += ["## Seconds of a training step", "", "Plain: the same networks in contiguous float32 with Adam's "
                  "default loop. Ours: as a Run trains them.", "",
                  "| model | plain, ms | ours in float32, ms | ours, ms | precision | times as fast | images/s |",
                  "|---|---|---|---|---|---|---|"]
        lines += [f"| {row['model']} | {1000 * row['plain']:.1f} | {1000 * row['float32']:.1f} | "
                  f"{1000 * row['ours']:.1f} | {row['dtype']} | {row['plain'] / row['ours']:.2f} | "
                  f"{row['images'] / row['ours']:.0f} |"
                  for row in part["rows"]] + [""]
    if part := facts.get("resume"):
        lines += ["## Resume", ""] + [
            f"- deterministic={row['deterministic']}: {'equal to the bit' if row['equal'] else 'not equal'} after 40 "
            f"steps (largest difference of a weight {row['largest_difference']:.2g})" for row in part["rows"]] + [""]
    if part := facts.get("notebooks"):
        lines += ["## Notebooks, smoke profile", "", "| notebook | result | device |", "|---|---|---|"]
        lines += [f"| {row['notebook']} | {row['result']} | {row['device']} |" for row in part["rows"]] + [""]
    if part := facts.get("training"):
        lines += ["## One short training per paper", "", "| generator | steps | images | images/s | result |",
                  "|---|---|---|---|---|"]
        lines += [f"| {row['generator']} | {row['steps']} | {row['images']} | {row['images_per_s']} | {row['result']} |"
                  for row in part["rows"]] + [""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the results (default: benchmarks/gpu/<card>)")
    parser.add_argument("--minutes", type=float, default=25, help="time for all parts (default: 25)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
    parser.add_argument("--device", default="cuda", help="for a trial without a GPU: cpu")
    parser.add_argument("--inner", choices=("speed", "resume"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from uslab.data.device import choose_device

    device = choose_device(options.device)
    if options.inner:
        return inner_speed(device) if options.inner == "speed" else inner_resume(device, options.out)
    facts = {"card": "no GPU", "memory_gb": 0} | card()
    out = (options.out or Path(__file__).parent / "gpu" / re.sub(r"\W+", "_", facts["card"])).resolve()
    out.mkdir(parents=True, exist_ok=True)
    shares = {"tests": 0.25, "speed": 0.15, "resume": 0.1, "notebooks": 0.2, "training": 0.3}
    whole = sum(shares[part] for part in options.parts)
    for part in options.parts:
        print(f"{part} ...", flush=True)
        facts[part] = globals()[part](out, options.minutes * shares[part] / whole)
        (out / "gpu.json").write_text(json.dumps(facts, indent=1) + "\n")
        (out / "README.md").write_text(page(facts))
    print(page(facts))


if __name__ == "__main__":
    main()
