"""A run's log for the tools that follow experiments: what log.jsonl holds, sent after the training or while it goes on.

Their packages are imported when they are asked for, and are no part of any extra.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ..data.reading import read_json
from ..notebooks import UsageError

Lines = list[tuple[int, dict[str, float]]]    # the step and the values of each line of a log


def lines(folder: Path) -> Lines:
    """The complete lines of a run's log. Raises UsageError for a folder without one."""
    path = folder / "log.jsonl"
    if not path.is_file():
        raise UsageError(f"{folder} is no folder of a run, as it holds no log.jsonl: name one such as run-1234abcd")
    return list(read_lines(path))


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(text)
        except ValueError:      # the line that is being written
            return
        yield record.pop("step"), {name: value for name, value in record.items() if isinstance(value, int | float)}


def facts(folder: Path) -> dict[str, object]:
    """The model, its hyperparameters, the seed and the data of a run, flat."""
    told = read_json(folder / "config.json")
    return {**told.get("config", {}), **{name: told[name] for name in ("model", "seed", "data") if name in told}}


def tensorboard(folder: Path, told: Lines) -> str:
    """Scalars in RUN/tensorboard; when written again, they take the place of the earlier ones."""
    from torch.utils.tensorboard import SummaryWriter

    place = folder / "tensorboard"
    with SummaryWriter(log_dir=str(place), purge_step=0) as writer:
        for step, values in told:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
    return f"tensorboard --logdir {place}"


def mlflow(folder: Path, told: Lines) -> str:
    """A run in the experiment that MLFLOW_EXPERIMENT_NAME and MLFLOW_TRACKING_URI choose."""
    import mlflow

    with mlflow.start_run(run_name=folder.resolve().name) as run:
        mlflow.log_params(facts(folder))
        for step, values in told:
            mlflow.log_metrics(values, step=step)
    return f"MLflow has it as run {run.info.run_id}"


def wandb(folder: Path, told: Lines) -> str:
    """A run in the project 'uslab', or in the one of WANDB_PROJECT; WANDB_MODE=offline sends nothing."""
    import wandb

    run = wandb.init(project=os.environ.get("WANDB_PROJECT", "uslab"), name=folder.resolve().name,
                     config=facts(folder))
    for step, values in told:
        run.log(values, step=step)
    run.finish()
    return f"Weights & Biases has it as run {run.id}"


WRITERS: dict[str, Callable[[Path, Lines], str]] = {"tensorboard": tensorboard, "mlflow": mlflow, "wandb": wandb}


def track(
    folder: Path,    # of a run
    to: str,         # a name in WRITERS
) -> str:
    """Hand a run's log to a tool and return where it is. Raises UsageError where the tool is not installed."""
    told = lines(folder)
    try:
        return WRITERS[to](folder, told)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != to:
            raise
        raise UsageError(f"--to {to} needs the package {to}, which is not installed: pip install {to}") from None
