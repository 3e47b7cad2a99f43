"""Write images as a folder that uslab.data reads: single PNG files and labels.csv, part by part."""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .atomic import write_atomically, write_json
from .imageset import ImageSet
from .lock import LOCK, alone
from .own import COLUMNS, TABLE
from .reading import read_json

SETTINGS = "generate.json"


@contextmanager
def opened(path: Path, settings: Mapping[str, Any]) -> Iterator["Folder"]:
    """A Folder of these settings, in which no other process writes meanwhile: raises InUse. What is refused stays."""
    Folder(path, settings)
    with alone(path):
        yield Folder(path, settings)


class Folder:
    """A folder of images under way. Opened again with the same settings it goes on behind what labels.csv lists."""

    def __init__(
        self,
        path: Path,                   # new, or one that was begun with the same settings
        settings: Mapping[str, Any],  # all that the images depend on but their number; kept in generate.json
    ):
        """Raises FileExistsError for a folder that holds something else."""
        self.path, settings = path, json.loads(json.dumps(settings))
        kept = path / SETTINGS
        if not path.exists() or {file.name for file in path.iterdir()} <= {LOCK}:
            path.mkdir(parents=True, exist_ok=True)
            write_json(kept, settings)
        there = read_json(kept) if kept.is_file() else {}
        differ = [name for name in settings if there.get(name) != settings[name]]
        if differ:
            raise FileExistsError(f"{path} holds something else (its {', '.join(differ)} differ): name another folder "
                                  "with --out")
        self.rows = self._whole_rows()

    def __len__(self) -> int:
        return len(self.rows)

    def write(self, images: ImageSet, **values: Any) -> None:
        """Add images, named after table.file, and their rows; values such as generator are those of all."""
        rows = []
        for i, file in enumerate(images.table.file):
            name = Path(file).with_suffix(".png").as_posix()
            row = {"file": name, **values}
            if images.labels is not None:
                row["label"] = images.classes[int(images.labels[i])]
            if images.groups is not None:
                row["group"] = images.group_names[int(images.groups[i])]
            if images.masks is not None:
                row["mask"] = f"masks/{name}"
                self._save(row["mask"], grey(images.masks[i, 0].cpu().numpy(), len(images.mask_names)))
            self._save(name, images.images[i, 0].cpu().numpy())
            rows.append({column: row[column] for column in COLUMNS if column in row})
        with open(self.path / TABLE, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            if not self.rows:
                writer.writeheader()
            writer.writerows(rows)
        self.rows += rows

    def _save(self, name: str, pixels: np.ndarray) -> None:
        write_atomically(self.path / name, lambda part: Image.fromarray(pixels).save(part, "png"))

    def _whole_rows(self) -> list[dict[str, str]]:
        """The rows of labels.csv; a last one that an interrupt cut off is dropped."""
        table = self.path / TABLE
        text = table.read_text(encoding="utf-8") if table.is_file() else ""
        whole = text[:text.rfind("\n") + 1]
        if whole != text:
            write_atomically(table, lambda part: part.write_text(whole, encoding="utf-8"))
        return list(csv.DictReader(whole.splitlines()))


def grey(
    labels: np.ndarray,     # (H, W) uint8, below `count`
    count: int,             # of labels with the background
) -> np.ndarray:
    """A mask as a picture: 255 where it has one structure, else 143, 159, 175, ... so that each is told apart.

    A reader that knows of one structure takes all of them together, since they are brighter than 127.
    """
    return np.where(labels > 0, 255 if count == 2 else 127 + 16 * labels, 0).astype(np.uint8)


def labels(
    picture: np.ndarray,    # (H, W) uint8: the labels themselves, or what grey() made of several structures
) -> np.ndarray:
    """The labels of a picture, (H, W) uint8."""
    return np.where(picture > 127, (picture.astype(int) - 127) // 16, picture).astype(np.uint8)
