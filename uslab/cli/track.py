"""`uslab track`: a run's log for TensorBoard, MLflow or Weights & Biases. Heavy imports wait."""

import argparse

from uslab.cli.options import directory


def add_parser(commands) -> None:
    """Add `track` to the command line."""
    part = commands.add_parser(
        "track", help="hand a run's log to TensorBoard, MLflow or Weights & Biases",
        description="Read RUN/log.jsonl, during a training or after it, and write its values to a tool that follows "
                    "experiments. TensorBoard's files go to RUN/tensorboard; the other two are where their own "
                    "settings say. Nothing is sent unless this command is given.")
    part.add_argument("run", metavar="RUN", type=directory, help="folder of a training, such as .../run-1234abcd")
    part.add_argument("--to", required=True, choices=("tensorboard", "mlflow", "wandb"), help="the tool")
    part.set_defaults(command=tracked)


def tracked(options: argparse.Namespace) -> None:
    from uslab.training.track import track

    print(track(options.run, options.to))
