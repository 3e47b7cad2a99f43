"""A GPU that is none: tensors of device cuda:0 with real numbers, which stop what would stop on a GPU.

Each holds a CPU tensor out of reach. Refused: operations of tensors of both devices, numpy, pickles and pointers of a
tensor that is not on the CPU, and a generator of the CPU for numbers of the GPU. Let through, as CUDA does: a 0-d CPU
tensor in an elementwise operation, CPU indices. What it cannot see: memory, streams and graphs, other rounding, other
random numbers (a run gives the numbers of the CPU, to the bit), kernels that CUDA lacks.
"""

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

from uslab.models.gan import GAN

GPU = torch.device("cuda", 0)
ANY_INDEX = ("aten.index.Tensor", "aten.index_put_.default", "aten.index_put.default", "aten._index_put_impl_.default",
             "aten._unsafe_index.Tensor")
COPIES = ("aten.copy_.default", "aten._to_copy.default")
SCALARS = ("aten.fill_.Tensor", "aten.masked_fill.Tensor", "aten.masked_fill_.Tensor", "aten.lerp.Tensor",
           "aten.lerp_.Tensor")


class OnGPU(torch.Tensor):
    """A tensor that says it lies on cuda:0."""

    device, is_cuda, is_cpu = property(lambda self: GPU), property(lambda self: True), property(lambda self: False)

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device="cpu")

    def __init__(self, held: torch.Tensor):
        self.held = held

    def get_device(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"OnGPU({self.held})"

    def numpy(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor first")

    def __array__(self, *_, **__):
        self.numpy()

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, str(func)
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
        mine = [value for value in tensors if isinstance(value, OnGPU)]
        for other in (value for value in tensors if not isinstance(value, OnGPU)):
            scalar = other.ndim == 0 and (torch.Tag.pointwise in func.tags or name in SCALARS)
            index = name in ANY_INDEX and isinstance(args[0], OnGPU)
            if not scalar and not index and name not in COPIES:
                raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got cuda:0 and cpu")
        if isinstance(kwargs.get("generator"), torch.Generator):
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        args, kwargs = tree_map_only(OnGPU, lambda value: value.held, (args, kwargs))
        before = {id(value.held): value for value in mine}     # what an operation in place gives back
        return tree_map_only(torch.Tensor, lambda value: before[id(value)] if id(value) in before else OnGPU(value),
                             func(*args, **kwargs))


class Devices(TorchFunctionMode):
    """Sends what asks for a device to it: factories, to(), cpu()."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = {key: value for key, value in (kwargs or {}).items() if key != "pin_memory"}
        name = getattr(func, "__name__", "")
        wanted = self.wanted(name, args, kwargs)
        if name == "one_hot" and isinstance(args[0], OnGPU):     # it makes a tensor on the device of C++
            return OnGPU(func(args[0].held, *args[1:], **kwargs))
        if wanted is None:
            return func(*args, **kwargs)
        if isinstance(kwargs.get("generator"), torch.Generator) and wanted.type == "cuda":
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        args = tuple(torch.device("cpu") if is_gpu(value) else value for value in args)
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if name in ("to", "cuda", "cpu"):
            source, moves = args[0], (wanted.type == "cuda") != isinstance(args[0], OnGPU)
            if name == "cuda":
                func, args, kwargs = torch.Tensor.cpu, args[:1], {}
            if not moves:
                return func(*args, **kwargs)
            plain = source.held if isinstance(source, OnGPU) else source.detach()
            target = args[1] if name == "to" and len(args) > 1 and isinstance(args[1], torch.Tensor) else None
            if target is not None:
                args = (args[0], target.dtype, *args[2:])
            out = func(plain, *args[1:], **kwargs)
            out = out.clone() if out is plain else out
            return OnGPU(out) if wanted.type == "cuda" else out
        out = func(*args, **kwargs)
        if wanted.type == "cuda":
            return out if isinstance(out, OnGPU) else OnGPU(out)
        return out.held if isinstance(out, OnGPU) else out

    @staticmethod
    def wanted(name: str, args, kwargs) -> torch.device | None:
        """The device that a call asks for; None if it asks for none."""
        if kwargs.get("device") is not None:
            return torch.device(kwargs["device"])
        if name in ("cpu", "cuda"):
            return torch.device(name)
        if name == "to" and len(args) > 1:
            if isinstance(args[1], torch.Tensor):
                return args[1].device
            if isinstance(args[1], (str, torch.device)):
                return torch.device(args[1])
        return None


def is_gpu(value) -> bool:
    return isinstance(value, (str, torch.device)) and str(value).startswith("cuda")


def at_once(self, function, *args, **kwargs) -> Future:
    """In the place of ThreadPoolExecutor.submit."""
    future = Future()
    try:
        future.set_result(function(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


def utilization(*_) -> int:
    """What torch.cuda.utilization does where the package that asks the driver is not installed."""
    raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed or it can't be imported.")


@contextlib.contextmanager
def gpu():
    """Within this context there is a GPU, and device='auto' takes it."""
    about = SimpleNamespace(name="No GPU", total_memory=8 * 2**30, major=9, minor=0)
    cuda = {"is_available": lambda: True, "device_count": lambda: 1, "current_device": lambda: 0,
            "get_device_properties": lambda *_: about, "get_device_name": lambda *_: about.name,
            "mem_get_info": lambda *_: (6 * 2**30, 8 * 2**30), "utilization": utilization,
            "is_bf16_supported": lambda *_, **__: False, "synchronize": lambda *_: None,
            "get_rng_state": lambda *_: torch.get_rng_state(), "set_rng_state": lambda *_: None,
            "manual_seed_all": lambda *_: None, "_lazy_init": lambda: None}
    apply = torch.nn.Module._apply

    def swapping(module, *args, **kwargs):
        """A parameter that moves becomes another kind of tensor, which can only be swapped in."""
        before = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            return apply(module, *args, **kwargs)
        finally:
            torch.__future__.set_swap_module_params_on_conversion(before)

    with contextlib.ExitStack() as stack:
        for name, stub in cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, stub))
        stack.enter_context(mock.patch.object(GAN, "use_graphs", lambda _: False))
        # Other threads are outside this context, so what goes to a pool of threads is done at once.
        stack.enter_context(mock.patch.object(ThreadPoolExecutor, "submit", at_once))
        # PyTorch knows no views of tensors like these in inference mode.
        stack.enter_context(mock.patch.multiple(
            torch.inference_mode, __enter__=lambda self: setattr(self, "off", torch.no_grad()) or self.off.__enter__(),
            __exit__=lambda self, *error: self.off.__exit__(*error)))
        stack.enter_context(mock.patch.object(torch.nn.Module, "_apply", swapping))
        stack.enter_context(Devices())
        yield
