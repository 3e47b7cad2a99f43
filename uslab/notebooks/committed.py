"""Results of longer runs, those that are committed beside the notebooks or a sweep of one's own: one run.json a run."""

from pathlib import Path

from ..data.reading import read_json
from ..pages import duration
from .parameters import UsageError, folder


def results(stem: str, pattern: str = "*", sweep: str | Path = "", **expected) -> list[dict]:
    """The records in notebooks/results/STEM, or of a sweep, in the order of their files; empty where none is there.

    `picture` is the path of the .jpg of the same name, or of the sheet of samples beside a run.json, or None; `whose`
    says where a record comes from. Raises UsageError for a sweep's folder without a complete run of this notebook.

    Args:
        stem: The notebook.
        pattern: Of the names of committed files, such as 'seed*'.
        sweep: The --out of `uslab sweep` or `uslab run`, of which all records of the notebook are given; "": committed.
        **expected: Values that a committed record or its config must have, such as data='phantom_breast', size=64.
    """
    if sweep:
        return of_sweep(stem, Path(sweep).expanduser())
    records = []
    for path in sorted((folder() / "results" / stem).glob(f"{pattern}.json")):
        record, picture = read_json(path), path.with_suffix(".jpg")
        known = record.get("config", {}) | record
        if all(known.get(name) == value for name, value in expected.items()):
            records.append(record | {"picture": str(picture) if picture.is_file() else None, "whose": "committed"})
    return records


def of_sweep(stem: str, place: Path) -> list[dict]:
    """The records of a notebook's complete runs below a folder."""
    records = []
    for path in sorted(place.rglob("*.json")):
        if (record := read_record(path)).get("notebook") == stem:
            beside = path.with_suffix(".jpg"), path.with_name("samples.jpg")
            picture = next((str(file) for file in beside if file.is_file()), None)
            records.append(record | {"picture": picture, "whose": f"sweep {place.resolve().name}"})
    if not records:
        raise UsageError(f"{place.resolve()} holds no complete run of {stem}: name the folder that `uslab sweep --out` "
                         "wrote, in full or as seen from the notebook's own folder")
    return records


def read_record(path: Path) -> dict:
    """A notebook's run.json, under whatever name; {} for any other file."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    told = isinstance(record.get("metrics"), list) and "notebook" in record
    return record if told else {}


def provenance(records: list[dict]) -> str:
    """One line on where results come from: runs, hours of training, device, commits.

    Args:
        records: What results() gives.
    """
    if not records:
        return "No committed run has this data and size."
    trained = duration(sum(record["seconds"] for record in records))
    devices = sorted({record["device"] for record in records})
    commits = sorted({record["versions"].get("commit", "?") for record in records})
    runs = f"{len(records)} run{'s' * (len(records) > 1)} on {records[0]['source']} images"
    return (f"{records[0]['whose']}: {runs}, {trained} of training in all on {'; '.join(devices)}; commit "
            f"{', '.join(commits)}")
