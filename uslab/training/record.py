"""run.json: what ran, on what, and what came out."""

import contextlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..data.atomic import write_json
from ..data.reading import read_json
from ..score import Score, short

PACKAGES = ("torch", "numpy", "scipy", "pandas", "scikit-image", "opencv-python", "opencv-python-headless")


@cache
def environment() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on, and the commit where there is one.

    As they were at the first call in this process, which a Run makes when it is opened: that is the code it runs.
    """
    found = {"python": platform.python_version(), "uslab": __version__}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):     # OpenCV comes under several names
            found[name] = version(name)
    here = Path(__file__).parent
    git = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True,
                         text=True) if (here.parents[1] / ".git").exists() else None
    return found | ({"commit": git.stdout.strip()} if git and git.returncode == 0 else {})


def beside_notebook(path: str | Path) -> Path:
    """A notebook's output path. Raises ValueError for ../... in a process that was not started beside a notebook."""
    path = Path(path)
    if path.parts[:1] == ("..",) and not any(Path().glob("*.ipynb")):
        raise ValueError(f"{path} is relative to the notebook, but this process runs in {Path.cwd()}, where none lies: "
                         "give papermill --cwd with the notebook's folder, or --engine uslab, or make out absolute")
    return path


def write_record(
    path: str | Path,
    metrics: list[Score | dict],
    predictions: dict[str, tuple] | None = None,
    **facts: Any,
) -> None:
    """Write a run.json: the facts, the environment and the metrics; what a Run has written there itself stays.

    Every prediction stays, too: a guess is no guess any more once its answer has been seen, so one that was changed
    for another run stands behind the first. Prints what was said beside what it was.

    Args:
        path: Where run.json goes.
        metrics: Scores, or score.as_dict() | {"set": ...} where one needs a key beside its own.
        predictions: By name, what was said before, None for nothing; what it was, None where no number says that;
            and what that is, in words.
        **facts: Notebook, profile, data, seed, seconds, device, data_sha256, ...
    """
    path = beside_notebook(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    there = read_json(path) if path.is_file() else {}
    own = "notebook" not in there and facts.get("data_sha256") in (None, there.get("data_sha256"))
    if predictions is not None:
        same = there.get("notebook") == facts.get("notebook")
        earlier = [one for one in there.get("predictions", []) if same and one["said"] is not None]
        said = [{"name": name, "said": guess, "was": was, "what": what}
                for name, (guess, was, what) in predictions.items()]
        for one in said:
            if one["said"] is not None and one["was"] is not None:
                was = short(one["was"]) if isinstance(one["was"], float) else one["was"]
                print(f"you said {one['said']}, it was {was}: {one['what']}")
        known = {(one["name"], str(one["said"])) for one in earlier}
        facts["predictions"] = earlier + [one for one in said if (one["name"], str(one["said"])) not in known]
    write_json(path, {**(there if own else {}), **facts, "versions": environment(), "metrics": [
        metric.as_dict() if isinstance(metric, Score) else metric for metric in metrics]})
