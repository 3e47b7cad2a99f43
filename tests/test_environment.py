"""The environment is not taken at its word: kernels, GPUs, working folders, a default dtype that somebody changed."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch

from uslab import metrics
from uslab.models import dcgan
from uslab.sweeps import workers
from uslab.training import folder_for, write_record


def another_kernel(place: Path) -> Path:
    """A kernel named python3 that fails, as one of another environment would."""
    spec = place / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({
        "argv": [sys.executable, "-c", "raise SystemExit('another kernel')", "{connection_file}"],
        "display_name": "Python 3", "language": "python"}))
    return place


@pytest.mark.notebook
def test_kernels_are_this_python_and_relative_outputs_lie_by_the_notebook(make_notebook, tmp_path, monkeypatch):
    notebook = make_notebook("toy", "import sys, pathlib\npathlib.Path(out).mkdir(parents=True)\n"
                             "(pathlib.Path(out) / 'python').write_text(sys.executable)")
    monkeypatch.setenv("JUPYTER_PATH", str(another_kernel(tmp_path / "jupyter")))
    elsewhere = tmp_path / "a" / "b"
    elsewhere.mkdir(parents=True)
    command = [Path(sys.executable).with_name("papermill"), "--engine", "uslab", notebook, "executed.ipynb"]
    said = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    written = notebook.parent.parent / "runs" / "toy"
    assert (written / "python").read_text() == sys.executable and f"writes into {written}\n" in said.stderr
    assert nbformat.read(elsewhere / "executed.ipynb", 4).cells[-1].execution_count
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "executed.ipynb"]


def test_a_process_that_does_not_run_beside_its_notebook_writes_nothing_outside(tmp_path, monkeypatch):
    """Plain papermill runs a notebook where its caller stands: there ../runs would be beside the caller's folder."""
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    for act in (lambda: folder_for("../runs/x", dcgan.Config(), 0), lambda: write_record("../runs/x/run.json", [])):
        with pytest.raises(ValueError, match="relative to the notebook.*--cwd"):
            act()
    assert not (tmp_path / "a" / "runs").exists()
    (here / "x.ipynb").touch()
    write_record("../runs/x/run.json", [])
    assert (tmp_path / "a" / "runs" / "x" / "run.json").is_file()
    assert folder_for("runs", dcgan.Config(), 0).parts[0] == "runs"


class NVMLError(Exception):
    """What NVIDIA's library raises."""


@pytest.mark.parametrize(("count", "visible", "expected"), [
    (0, None, []), (0, "NoDevFiles", []), (0, "0,1", []), (2, None, ["0", "1"]), (2, "NoDevFiles", []), (2, "", []),
    (2, "-1", []), (2, "1", ["1"]), (2, "0, 1", ["0", "1"]), (2, "1,7,0", ["1"]), (2, "GPU-a0", ["GPU-a0"]),
    (2, "GPU-b,0", []), (2, "MIG-9", ["MIG-9"]), (None, None, []), (None, "0", []),
])
def test_gpus_are_those_that_the_driver_sees(monkeypatch, count, visible, expected):
    def refuse(*_):
        raise NVMLError("no driver")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=refuse if count is None else lambda: None, nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda i: i, nvmlDeviceGetUUID=lambda i: f"GPU-a{i}",
        nvmlDeviceGetHandleByUUID=lambda name: 9 if name == "MIG-9" else refuse()))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert workers.gpus() == expected


def test_measures_do_not_depend_on_the_default_dtype(monkeypatch):
    features = importlib.import_module("uslab.metrics.features")    # uslab.metrics.features is its function
    draw = np.random.default_rng(0)
    images = [torch.from_numpy(draw.integers(0, 256, (4, 1, 64, 64), dtype=np.uint8)) for _ in range(2)]

    def measured() -> list[float]:
        features.lite0.cache_clear()
        monkeypatch.setattr(features, "KEPT", {})
        embedded = [metrics.features(each) for each in images]
        assert all(each.dtype == np.float32 for each in embedded)
        return [float(embedded[0].sum()), metrics.mutual_information(*images),
                metrics.frechet_distance(*embedded)]

    expected = measured()
    torch.set_default_dtype(torch.float64)
    try:
        found = measured()
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == pytest.approx(expected, rel=1e-3)
    assert metrics.features(images[0]).dtype == np.float32, "what was built then is kept for the rest of the process"


@pytest.mark.parametrize("theirs, expected", [(None, "PASSIVE 0"), ("ACTIVE", "ACTIVE 0")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch, theirs, expected):
    for name in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    if theirs:
        monkeypatch.setenv("OMP_WAIT_POLICY", theirs)
    code = "import uslab, os; print(os.environ['OMP_WAIT_POLICY'], os.environ['KMP_BLOCKTIME'])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == expected
