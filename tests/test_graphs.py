"""Phases of a step: what CUDA graphs ask of them, and on a GPU that graphs train as single kernels do."""

from dataclasses import replace

import pytest
import torch
from gans import CASES
from torch.utils._pytree import tree_leaves

from uslab.models import stylegan2
from uslab.training import Run

CASES = CASES | {"pgsgan": CASES["pgsgan"]._replace(config=replace(CASES["pgsgan"].config, first=100))}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_a_phase_gives_tensors_and_changes_nothing_in_python(tmp_path, case):
    if case.model is stylegan2.StyleGAN2 and case.config.augment in ("ada", "fixed"):
        pytest.skip("ADA pads by what is drawn, so it is not recorded")
    run = Run(tmp_path, case.model, case.config, case.data, device="cpu")
    gan, seen = run.gan, []

    def phase(work, *arguments):
        before = {name: id(value) for name, value in vars(gan).items()}
        out = work(*arguments)
        assert all(isinstance(leaf, torch.Tensor) or leaf is None for leaf in tree_leaves(out))
        assert {name: id(value) for name, value in vars(gan).items()} == before, "a replay would not see it"
        seen.append(work.__name__)
        return out

    gan.phase = phase
    del vars(gan)["graphs"]
    for batch in run.batches(3):
        gan.step(batch)
    assert len(seen) >= 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are of CUDA")
def test_graphs_train_as_single_kernels_do(tmp_path, monkeypatch, case):
    monkeypatch.setattr("uslab.training.run.choose_dtype", lambda *_: torch.float32)
    losses = []
    for graphs in (False, True):
        run = Run(tmp_path / str(graphs), case.model, case.config, case.data, device="cuda", log_every=1)
        if not graphs:
            run.gan.graphs = None
        for batch in run.batches(10):
            run.log(run.gan.step(batch))
        recorded = run.gan.graphs.phases if run.gan.graphs else {}
        assert bool(recorded) == run.settings["cuda_graphs"] or not graphs
        assert not recorded or any(phase.graph for phase in recorded.values())
        losses.append([[record[key] for key in ("loss_d", "loss_g")] for record in run.records])
    plain, replayed = torch.tensor(losses)
    assert torch.allclose(plain, replayed, rtol=0.05, atol=0.02), (plain - replayed).abs().max(0)
