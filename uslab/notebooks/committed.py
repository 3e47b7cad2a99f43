"""Results of longer runs that are committed beside the notebooks: one run.json a run, and a picture with its name."""

from ..data.reading import read_json
from ..pages import duration
from .parameters import folder


def results(stem: str, pattern: str = "*", **expected) -> list[dict]:
    """The records in notebooks/results/STEM in the order of their files; empty where there are none.

    `picture` is the path of the .jpg of the same name, or None.

    Args:
        stem: The notebook.
        pattern: Of the files' names, such as 'seed*'.
        **expected: Values that a record or its config must have, such as data='phantom_breast', size=64.
    """
    records = []
    for path in sorted((folder() / "results" / stem).glob(f"{pattern}.json")):
        record, picture = read_json(path), path.with_suffix(".jpg")
        known = record.get("config", {}) | record
        if all(known.get(name) == value for name, value in expected.items()):
            records.append(record | {"picture": str(picture) if picture.is_file() else None})
    return records


def provenance(records: list[dict]) -> str:
    """One line on where committed results come from: runs, hours of training, device, commits.

    Args:
        records: What results() gives.
    """
    if not records:
        return "No committed run has this data and size."
    trained = duration(sum(record["seconds"] for record in records))
    devices = sorted({record["device"] for record in records})
    commits = sorted({record["versions"].get("commit", "?") for record in records})
    runs = f"{len(records)} run{'s' * (len(records) > 1)} on {records[0]['source']} images"
    return f"committed: {runs}, {trained} of training in all on {'; '.join(devices)}; commit {', '.join(commits)}"
