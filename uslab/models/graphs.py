"""CUDA graphs: the phases of a training step, each recorded once and then started with one launch.

A step of a small GAN is some thousand short kernels. To start each from Python takes longer than to run it, and the GPU
waits; a graph starts all of them at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

WARM_UP = 3    # calls that run as ever before one is recorded: libraries choose their algorithms in them


@dataclass
class Recorded:
    """A phase, for inputs of one kind."""

    kind: tuple                                # shapes and types of its tensors, and what else it was called with
    calls: int = 0
    graph: torch.cuda.CUDAGraph | None = None
    inputs: list[Tensor] | None = None         # tensors from which the graph reads
    outputs: Any = None                        # and into which it writes


class Graphs:
    """Runs phases of a step on a CUDA device, from the fourth call of a kind on as graphs.

    A phase is a method that takes tensors, None and plain values, and gives a nest of tensors; it never waits for the
    device, draws its random numbers on it, and reads nothing in Python that changes but what it is called with. A
    call with other shapes or values forgets the graph and begins anew.
    """

    def __init__(self, device: torch.device):
        self.stream = torch.cuda.Stream(device)
        self.phases: dict[str, Recorded] = {}

    def __call__(self, phase: Callable, *arguments: Tensor | float | bool | None):
        given = [value for value in arguments if isinstance(value, Tensor)]
        kind = tuple((value.shape, value.dtype) if isinstance(value, Tensor) else value for value in arguments)
        known = self.phases.get(phase.__name__)
        if known is None or known.kind != kind:
            torch.cuda.synchronize(self.stream.device)     # an older graph may still run
            known = self.phases[phase.__name__] = Recorded(kind)
        known.calls += 1
        if known.calls <= WARM_UP:
            return self.beside(lambda: phase(*arguments))
        if known.graph is None:
            self.beside(lambda: self.record(known, phase, arguments))
        if given:
            torch._foreach_copy_(known.inputs, given)
        known.graph.replay()
        # The next replay writes over them.
        return tree_map_only(Tensor, torch.clone, known.outputs)

    def beside(self, work: Callable):
        """Do work on the stream that graphs are recorded on, in turn with the present one."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            done = work()
        torch.cuda.current_stream().wait_stream(self.stream)
        return done

    def record(self, known: Recorded, phase: Callable, arguments: tuple) -> None:
        copies = [value.clone() if isinstance(value, Tensor) else value for value in arguments]
        graph = torch.cuda.CUDAGraph()
        # Other threads (autograd's, the memory's watch) may call CUDA meanwhile.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            known.outputs = phase(*copies)
        known.graph, known.inputs = graph, [value for value in copies if isinstance(value, Tensor)]
