"""`uslab track` gives three tools what log.jsonl holds; they are stand-ins here, which remember what they are told."""

import json
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest

from uslab.cli.main import main

RECORDS = [{"step": 10, "loss_d": 1.5, "seconds": 2}, {"step": 20, "loss_d": 1.25, "seconds": 4, "gpu_busy": 90}]
FACTS = {"lr": 2e-4, "z": 8, "model": "DCGAN", "seed": 3, "data": "phantom_liver"}
VALUES = [(record["step"], {name: record[name] for name in record if name != "step"}) for record in RECORDS]


@pytest.fixture
def run(tmp_path):
    """A run's folder, whose log is being written: its last line is cut off."""
    folder = tmp_path / "run-1"
    folder.mkdir()
    told = {"model": "DCGAN", "config": {"lr": 2e-4, "z": 8}, "seed": 3, "data": "phantom_liver", "data_sha256": "0"}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS) + '{"step": 30, "lo')
    return folder


def stand_in(monkeypatch, name: str, **members) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_tensorboard_gets_every_value_at_its_step(run, monkeypatch, capsys):
    scalars, asked = [], {}

    class Writer:
        def __init__(self, **options):
            asked.update(options)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked["closed"] = True

        def add_scalar(self, name, value, step):
            scalars.append((step, name, value))

    stand_in(monkeypatch, "torch.utils.tensorboard", SummaryWriter=Writer)
    assert main(["track", str(run), "--to", "tensorboard"]) == 0
    assert scalars == [(step, name, value) for step, values in VALUES for name, value in values.items()]
    assert asked == {"log_dir": str(run / "tensorboard"), "purge_step": 0, "closed": True}
    assert f"tensorboard --logdir {run / 'tensorboard'}" in capsys.readouterr().out


def test_mlflow_gets_the_config_and_the_values(run, monkeypatch, capsys):
    told = []

    @contextmanager
    def start_run(run_name):
        told.append(run_name)
        yield SimpleNamespace(info=SimpleNamespace(run_id="7f"))
        told.append("ended")

    stand_in(monkeypatch, "mlflow", start_run=start_run, log_params=told.append,
             log_metrics=lambda values, step: told.append((step, values)))
    assert main(["track", str(run), "--to", "mlflow"]) == 0
    assert told == ["run-1", FACTS, *VALUES, "ended"] and "run 7f" in capsys.readouterr().out


@pytest.mark.parametrize("project", [None, "mine"])
def test_wandb_gets_them_in_the_project_that_is_asked_for(run, monkeypatch, capsys, project):
    told = []
    made = SimpleNamespace(id="q1", log=lambda values, step: told.append((step, values)),
                           finish=lambda: told.append("ended"))

    def init(**options):
        told.append(options)
        return made

    stand_in(monkeypatch, "wandb", init=init)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    if project:
        monkeypatch.setenv("WANDB_PROJECT", project)
    assert main(["track", str(run), "--to", "wandb"]) == 0
    assert told == [{"project": project or "uslab", "name": "run-1", "config": FACTS}, *VALUES, "ended"]
    assert "run q1" in capsys.readouterr().out


@pytest.mark.parametrize("tool", ["tensorboard", "mlflow", "wandb"])
def test_a_tool_that_is_not_installed_is_named_in_one_line(run, monkeypatch, capsys, tool):
    for module in (tool, "torch.utils.tensorboard"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, tool, None)
    assert main(["track", str(run), "--to", tool]) == 2
    said = capsys.readouterr().err
    assert f"--to {tool} needs the package {tool}, which is not installed: pip install {tool}" in said
    assert said.count("\n") == 1


def test_what_is_no_run_is_refused_before_a_tool_is_asked(tmp_path, capsys):
    assert main(["track", str(tmp_path), "--to", "wandb"]) == 2
    assert "is no folder of a run, as it holds no log.jsonl" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["track", "--help"])
    assert "{tensorboard,mlflow,wandb}" in capsys.readouterr().out
