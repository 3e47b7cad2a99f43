"""Run: one training in one folder, which survives interrupts, kills and full disks."""

import dataclasses
import hashlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..data import ImageSet
from ..data.atomic import write_atomically, write_json
from ..data.batches import Batches
from ..data.device import choose_device, choose_dtype, describe, keep_freed_memory, prepare, synchronise, usage
from ..data.files import write_sheet
from ..data.lock import alone
from ..data.pictures import contact_sheet
from ..data.reading import read_json, read_tensors
from ..models import checkpoint, store
from ..score import Score
from .record import beside_notebook, environment, write_record


class Diverged(RuntimeError):
    """A loss or a weight is no longer finite."""


class Run:
    """A folder that holds one training: config.json, log.jsonl, samples/, sheets/, checkpoint.safetensors, run.json.

    samples/ holds sets of single images, which are measured; sheets/ holds contact sheets, which are looked at.
    Opening a folder that holds a checkpoint of the same model, config, data and seed goes on from it, and ends
    bit-identical to a run that was never interrupted: the batch and all random numbers of a step depend on the seed
    and the number of the step alone. On the CPU that holds for the same number of threads; on CUDA, cuDNN may choose
    other algorithms, and `deterministic` says so.

        run = Run("runs/first", DCGAN, Config(), train)
        for batch in run.batches(1000):
            run.log(run.gan.step(batch))

    Args:
        folder: The run's own folder; made if it is not there.
        model: The GAN's class, such as DCGAN.
        config: Its Config.
        data: Training images, or unpaired domains by name; they move to the device once.
        seed: Of weights, batches, latents and augmentation.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
        log_every: Steps between two lines of log.jsonl.
        checkpoint_seconds: Time between two checkpoints.
        deterministic: On CUDA: algorithms that repeat to the bit, where there are some, but slower.
        data_seed: What the data were drawn with: phantoms, split, subset; None: seed.
        start: A run's folder, an exported or a shipped generator whose weights the training begins with (transfer);
            "": new weights.
        validation: Share of the images that each epoch leaves out, others every time: see left_out().
    """

    def __init__(
        self, folder: str | Path, model: type, config, data: ImageSet | Mapping, seed: int = 0, device: str = "auto",
        log_every: int = 10, checkpoint_seconds: float = 60, deterministic: bool = False, data_seed: int | None = None,
        start: str | Path = "", validation: float = 0.0,
    ):
        self.folder, self.config, self.seed = Path(folder), config, seed
        self.data_seed = seed if data_seed is None else data_seed
        self.log_every, self.checkpoint_seconds = log_every, checkpoint_seconds
        self.device = choose_device(device)
        environment()   # the commit may change while this trains
        keep_freed_memory()
        self.deterministic = self.device.type == "cpu" or deterministic
        self.settings = prepare(self.device, deterministic)
        self.step, self.steps, self.seconds, self.interrupted = 0, 0, 0.0, False
        self._mark: tuple[int, float] | None = None  # step and clock of the last log line, for the speed
        self._looked = -math.inf                     # clock of the last look at the GPU
        self._stop = threading.Event()
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        identity = {"model": model.__name__, "config": dataclasses.asdict(config), "seed": seed,
                    "data": each(data, lambda part: part.card),
                    "data_sha256": each(data, lambda part: part.sha256()),
                    "start": store.signature(start) if start else None, "validation": validation or None}
        with alone(self.folder):
            for name in ("samples", "sheets"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._claim(identity, {"data_seed": self.data_seed, "trained_on": each(data, described)})
            self.data = each(data, lambda part: part.to(self.device))
            self._batches = Batches(self.data, config.batch_size, seed, validation)

            saved = self._load()
            dtype = getattr(torch, saved["dtype"]) if saved else choose_dtype(
                lambda dtype: model(config, self.device, dtype), self._batches[0], self.device, seed)
            torch.manual_seed(seed)
            self.gan = model(config, self.device, dtype)
            if saved:
                self._restore(saved)
            elif start:
                store.begin(self.gan, start)
            if self.device.type == "cuda":
                self.settings["cuda_graphs"] = not deterministic and self.gan.use_graphs()
            self.records = self._trimmed_log()

    def __repr__(self) -> str:
        sizes = each(self.data, len)
        images = ", ".join(f"{n} {name}" for name, n in sizes.items()) if isinstance(sizes, dict) else sizes
        return (f"Run({self.folder.name}: {type(self.gan).__name__} at step {self.step}, {images} images, on "
                f"{describe(self.device)}, {str(self.gan.dtype).removeprefix('torch.')}"
                f"{'' if self.deterministic else ', not deterministic'})")

    # The loop

    def batches(self, steps: int) -> Iterator[dict[str, Tensor]]:
        """Batches of config.batch_size images until step `steps`, counted over all sessions of the run.

        Yields {'image': (B, 1, H, W) uint8} on the device, with 'label' (B,) and 'mask' (B, 1, H, W) where known; of
        several domains {'ct': ..., 'ct_mask': ..., 'us': ...}.
        An interrupt (Ctrl-C, the stop button of Jupyter, stop()) ends the loop after the step under way, with a
        checkpoint. At the end run.json is written, so that what comes later may fail. Raises Diverged, with the last
        good checkpoint restored, if a loss is not finite; InUse, which says who, while another process trains here; and
        ValueError if it has trained here since this Run was opened.
        """
        with alone(self.folder):
            path = self.folder / "checkpoint.json"
            if path.is_file() and (reached := read_json(path).get("step", 0)) > self.step:
                raise ValueError(f"{self.folder} has come to step {reached} since this Run was opened, at step "
                                 f"{self.step}: open it again")
            self._stop.clear()
            self.interrupted, self.steps = False, steps
            first, saved = self.step, time.perf_counter()
            started, self._mark = saved - self.seconds, (self.step, saved)
            with _first_interrupt(self.stop):
                while self.step < steps and not self._stop.is_set():
                    torch.manual_seed(self._batches.seed_of(self.step))
                    batch = self._batches[self.step]
                    self.step += 1
                    yield batch
                    self.seconds = time.perf_counter() - started
                    if time.perf_counter() - saved > self.checkpoint_seconds and self.step < steps:
                        self.save()
                        saved = time.perf_counter()
            self.interrupted = self._stop.is_set()
            if self.step > first:
                synchronise(self.device)
                self.seconds = time.perf_counter() - started
                self.save()
                write_record(self.folder / "run.json", [], **self.facts())
            if self.interrupted:
                print(f"Interrupted at step {self.step} of {steps}; the checkpoint is saved. Run this again to go on.")

    def left_out(self) -> dict[str, Tensor]:
        """The images that the epoch of the latest step leaves out for validation, as batches() gives those trained on.

        The next epoch leaves out others and trains on these: their losses show convergence, not what is unseen.
        """
        return self._batches.left_out(max(0, self.step - 1))

    def stop(self) -> None:
        """End the loop after the step under way; for a Stop button, from any thread."""
        self._stop.set()

    def log(self, values: dict[str, Tensor | float]) -> dict[str, float] | None:
        """Every log_every steps and at the last, read the values, append them to log.jsonl and return the line.

        values: 0-d tensors of the run's device, or floats. In between, returns None without waiting for the device.
        On a GPU a line a second holds `gpu_memory` and `gpu_busy`, %, beside the values.
        """
        stacked = torch.stack([value.float() if isinstance(value, Tensor) else torch.full((), value, device=self.device)
                               for value in values.values()])
        self._finite &= stacked.isfinite().all()
        if self.step % self.log_every and self.step != self.steps:
            return None
        self._check_finite(values)
        (step, then), now = self._mark, time.perf_counter()
        self._mark = self.step, now
        size = self.config.batch_size
        record = {"step": self.step, "images": self.step * size, "seconds": round(self.seconds, 3),
                  "images_per_s": round((self.step - step) * size / (now - then), 1),
                  **dict(zip(values, stacked.tolist()))}
        if now - self._looked >= 1:
            record |= usage(self.device)
            self._looked = now
        with open(self._log_path, "a") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)
        return record

    # What it keeps

    def save(self) -> None:
        """Write checkpoint.safetensors, atomically. Raises Diverged instead of saving weights that are not finite."""
        state = self.gan.state_dict()
        self._check_finite({})
        weights = [value for name, value in _tensors(state) if value.is_floating_point()]
        if not torch.stack([value.isfinite().all() for value in weights]).all():
            self._diverged("a weight is not finite")
        checkpoint.save(self.folder / "checkpoint.safetensors", {
            "step": self.step, "seconds": self.seconds, "dtype": str(self.gan.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(), "gan": state})

    def save_samples(self, images: Tensor) -> Tensor:
        """Write images (n, 1, H, W) uint8 as one contact sheet, sheets/<step>.png, and return them."""
        write_sheet(self.folder / "sheets" / f"{self.step:06d}.png", contact_sheet(images))
        return images

    def save_set(self, images: Tensor | ImageSet) -> None:
        """Keep images (n, 1, H, W) uint8 of this step for measuring, samples/<step>.safetensors.

        An ImageSet keeps its labels, masks and groups; its table says that the images are synthetic.
        """
        path = self.folder / "samples" / f"{self.step:06d}.safetensors"
        if isinstance(images, ImageSet):
            dataclasses.replace(images, table=images.table.assign(synthetic=True)).save(path)
        else:
            write_atomically(path, lambda part: save_file({"images": images.cpu().contiguous()}, part))

    def sets(self) -> dict[int, Tensor]:
        """All sets that save_set kept, by step."""
        paths = sorted((self.folder / "samples").glob("*.safetensors"))
        return {int(path.stem): read_tensors(path)[0]["images"] for path in paths if int(path.stem) <= self.step}

    def facts(self) -> dict:
        """What run.json says of the run: model, config, data, seed, device, precision, steps, images, seconds."""
        return {**read_json(self.folder / "config.json"), "data_seed": self.data_seed,
                "trained_on": each(self.data, described), "device": describe(self.device),
                "dtype": str(self.gan.dtype).removeprefix("torch."), "deterministic": self.deterministic,
                **({"settings": self.settings} if self.settings else {}),
                "steps": self.step, "images_seen": self.step * self.config.batch_size,
                "seconds": round(self.seconds, 3)}

    def export(
        self,
        folder: str | Path,                           # its name is the generator's; an earlier export is replaced
        metrics: Iterable[Score | Mapping] = (),      # measures of its images, beside those in this run's run.json
        limits: str = "",                             # what a user must know beside what is true of every generator
        discriminator: bool = False,                  # D too, for trainings that start from this one
    ) -> Path:
        """Write the generator as it is now to a folder that stands for itself, and return the folder.

        generator.safetensors (G alone, the averaged one where there is one; float16 where its images are the same but
        for one grey level), config.json, card.md, samples.png, and of a GAN from simulated images the conditions that
        sampling draws from. uslab.models.load, `uslab generate` and uslab.data.open read it. Raises FileExistsError.
        """
        from .export import export

        return export(self, Path(folder), list(metrics), limits, discriminator)

    # Inside

    @property
    def _log_path(self) -> Path:
        return self.folder / "log.jsonl"

    def _claim(self, identity: dict, beside: dict) -> None:
        """Write config.json, or compare its identity with the one that is there."""
        path = self.folder / "config.json"
        identity = json.loads(json.dumps(identity))
        if not path.exists():
            write_json(path, identity | beside)
            return
        there = read_json(path)
        old, new = [{**value.pop("config"), **value} for value in ({key: there.get(key) for key in identity}, identity)]
        differ = [f"{key} is {old.get(key)!r} there and {new.get(key)!r} here"
                  for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        if differ:
            raise ValueError(f"{self.folder} holds another run: {'; '.join(differ)}. Choose another folder")

    def _load(self) -> dict | None:
        path = self.folder / "checkpoint.safetensors"
        return checkpoint.load(path, self.device) if path.exists() else None

    def _restore(self, saved: dict) -> None:
        self.gan.load_state_dict(saved["gan"])
        self.step, self.seconds = saved["step"], saved["seconds"]

    def _trimmed_log(self) -> list[dict]:
        """The log up to the present step; what is later, or was cut off by a kill, is dropped from the file too."""
        records = []
        for line in self._log_path.read_text().splitlines() if self._log_path.exists() else []:
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
        kept = [record for record in records if record["step"] <= self.step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomically(self._log_path, lambda part: part.write_text(text))
        return kept

    def _check_finite(self, values: dict[str, Tensor | float]) -> None:
        if not self._finite:
            bad = [f"{name} is {float(value)}" for name, value in values.items() if not math.isfinite(value)]
            self._diverged(", ".join(bad) or "a loss was not finite")

    def _diverged(self, reason: str) -> None:
        failed, saved = self.step, self._load()
        self._finite.fill_(True)
        if saved:
            self._restore(saved)
            self.records = self._trimmed_log()
        where = f"the last good checkpoint, step {self.step}, is restored" if saved else "there is no checkpoint yet"
        raise Diverged(f"{reason} at step {failed}; {where}. Lower the learning rate "
                       f"({getattr(self.config, 'lr', '?')}) or the other knobs, in a new folder")


@contextmanager
def _first_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """While in this context, the first interrupt calls stop(); a second one stops Python at once, as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    before = signal.getsignal(signal.SIGINT)

    def first(*_):
        signal.signal(signal.SIGINT, before)
        stop()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def described(part) -> dict:
    """What a card says of training images: how many, of what kind and size, and how many are of each class."""
    labels, classes = getattr(part, "labels", None), getattr(part, "classes", ())
    counts = [] if labels is None else torch.bincount(labels.cpu(), minlength=len(classes)).tolist()
    size = list(part.batch(torch.zeros(1, dtype=torch.int64))["image"].shape[2:])
    return {"images": len(part), "source": part.source, "size": size, "classes": dict(zip(classes, counts)),
            **({"organ": part.organ} if hasattr(part, "organ") else {})}


def each(data, function: Callable):
    """The function of a set, or {name: function of the set} of several domains."""
    return {name: function(part) for name, part in data.items()} if isinstance(data, Mapping) else function(data)


def _tensors(state, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of a nested state with their path."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, (dict, list, tuple)):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from _tensors(value, f"{name}/{key}")


def folder_for(out: str | Path, config, seed: int, data_seed: int = 0) -> Path:
    """out/run-<hash of config and seeds>: a changed knob starts a run of its own and never touches another.

    Args:
        out: The notebook's folder.
        config: A Config of the model.
        seed: Of the training.
        data_seed: Of the data.
    """
    text = json.dumps({**dataclasses.asdict(config), "seed": seed, "data_seed": data_seed}, sort_keys=True)
    return beside_notebook(out) / f"run-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
