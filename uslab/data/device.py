"""Device and precision of a run: what there is, and what a short check allows."""

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

AGREEMENT = 0.02  # relative difference of the losses up to which bfloat16 counts as sane


def choose_device(name: str = "auto") -> torch.device:
    """'auto', 'cpu', 'cuda' or 'mps' to a device that is here. Raises ValueError for any other or an absent one."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, here in present.items() if here))
    if not present.get(name):
        here = ", ".join(kind for kind, value in present.items() if value)
        raise ValueError(f"device {name!r} is not available on this machine: choose auto or one of {here}")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device with its memory, for people and for run.json."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GB"
    import psutil

    threads = torch.get_num_threads()
    return (f"{device.type}, {threads} thread{'s' if threads > 1 else ''}, "
            f"{psutil.virtual_memory().total / 2**30:.0f} GB")


def keep_freed_memory() -> None:
    """Have the C library of Linux keep large freed blocks for the next step instead of handing them back.

    It fetches blocks above 32 MB from the kernel each time anew, page by page: for images of 256 pixels that takes
    longer than most arithmetic on them. The process stays as large as its largest step. Elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(-4, 0)     # M_MMAP_MAX: no block comes from the kernel alone
        mallopt(-1, -1)    # M_TRIM_THRESHOLD: the end of the heap is not handed back


def prepare(
    device: torch.device,
    deterministic: bool = False,    # operations that repeat to the bit, where PyTorch has them
) -> dict[str, bool]:
    """Set PyTorch up for trainings on the device, for this whole process; returns what was set, for run.json.

    On CUDA, matrix products and convolutions of float32 run in TF32 (10 bits of mantissa, float32's range, as PyTorch
    does for convolutions by itself). cuDNN does not measure its algorithms for each shape: the padding of ADA's pipe
    changes from step to step, and measuring each new one takes many times as long as the steps. With `deterministic`
    nothing sums in an order that varies; operations that have no such form, as the gradients of grid sampling and of
    reflection padding, warn and stay as they are. Elsewhere there is nothing to choose.
    """
    if device.type != "cuda":
        return {}
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return {"tf32": True, "deterministic_algorithms": deterministic}


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 as it is on CUDA, not in TF32, so that a measure is the same on every device."""
    parts = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [part.allow_tf32 for part in parts]
    try:
        for part in parts:
            part.allow_tf32 = False
        yield
    finally:
        for part, value in zip(parts, before):
            part.allow_tf32 = value


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulation is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return False


def choose_dtype(
    make_gan: Callable,            # (dtype) -> a fresh GAN on the device
    batch: dict[str, Tensor],      # one batch on the device
    device: torch.device,
    seed: int,
) -> torch.dtype:
    """bfloat16 where it is native and three steps of it give the losses of float32 within 2 %, else float32.

    On CUDA it must be faster as well: a small network waits for its kernels' launches, and bfloat16 has more of them.
    """
    if not has_native_bfloat16(device):
        return torch.float32
    values, seconds = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(seed)
        gan = make_gan(dtype)
        steps = [gan.step(batch)]
        synchronise(device)
        start = time.perf_counter()
        steps += [gan.step(batch) for _ in range(2)]
        synchronise(device)
        seconds[dtype] = time.perf_counter() - start
        values[dtype] = torch.stack([step[key].float() for step in steps for key in step if key.startswith("loss")])
    exact, rounded = values[torch.float32], values[torch.bfloat16]
    sane = torch.isfinite(rounded).all() and ((rounded - exact).abs() <= AGREEMENT * exact.abs() + 1e-3).all()
    faster = device.type != "cuda" or seconds[torch.bfloat16] < seconds[torch.float32]
    return torch.bfloat16 if sane and faster else torch.float32


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def usage(device: torch.device) -> dict[str, float]:
    """How full a GPU's memory is, by all programs, and how busy it is, in %, for a log; empty where there is no GPU."""
    if device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(device)
    found = {"gpu_memory": round(100 * (1 - free / total), 1)}
    with contextlib.suppress(Exception):    # the driver may hide it, by errors of its own: no package, a part of a GPU
        found["gpu_busy"] = float(torch.cuda.utilization(device))
    return found
