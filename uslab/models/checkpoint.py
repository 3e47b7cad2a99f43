"""Checkpoints without pickle: tensors in safetensors, everything else as JSON in the same file's header."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..data.atomic import write_atomically, write_json
from ..data.reading import read_tensors


def save(path: Path, state: dict) -> None:
    """Save a nested state (dicts, lists, tensors, plain values), atomically; a readable .json goes beside it."""
    tensors: dict[str, Tensor] = {}
    plan = _pack(state, "", tensors)
    write_atomically(path, lambda part: save_file(tensors, part, {"state": json.dumps(plan)}))
    write_json(path.with_suffix(".json"), {k: v for k, v in state.items() if isinstance(v, (str, int, float))})


def load(path: Path, device: torch.device | str = "cpu") -> dict:
    """The state that save() wrote, tensors on the device. Raises ValueError, naming the file, if it is damaged."""
    tensors, words = read_tensors(path, str(device))
    if "state" not in words:
        raise ValueError(f"{path} is no checkpoint: delete it to begin anew")
    return _unpack(json.loads(words["state"]), tensors)


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value with tensors moved into `tensors` and dicts as lists of pairs, since JSON knows only string keys."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        # Restored with other strides than its parameter's, a moment estimate would be read in the wrong order.
        last = value.ndim == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
        return {"tensor": name, "channels_last": last}
    if isinstance(value, dict):
        return {"dict": [[key, _pack(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
    return value


def _unpack(plan: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(plan, dict) and "tensor" in plan:
        tensor = tensors[plan["tensor"]]
        return tensor.contiguous(memory_format=torch.channels_last) if plan["channels_last"] else tensor
    if isinstance(plan, dict):
        return {key: _unpack(item, tensors) for key, item in plan["dict"]}
    if isinstance(plan, list):
        return [_unpack(item, tensors) for item in plan]
    return plan
