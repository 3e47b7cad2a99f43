"""Endoscopic ultrasound frames: LEPset's layout, or folders of frames, one a patient."""

from pathlib import Path

import torch

from .collect import Item, collect, numbered
from .folders import left_out, walk
from .imageset import ImageSet
from .tables import aside

CLASSES = ("NPC", "PC")  # non-pancreatic cancer, pancreatic cancer
HELP = "ask for LEPset or lay out your own frames as data_cards/eus.md describes"


def read(
    root: Path,           # folder that holds labeled/ and perhaps unlabeled/, or one folder of frames a patient
    size: int | None,     # longest side of the images; None: the longest among the prepared frames
    crop: str = "patient",  # to the scan region: once a "patient", for one scale of all its frames, "each" or "none"
) -> ImageSet:
    """All frames with their patient, and in LEPset's layout their class: NPC, PC or unlabeled.

    Frames that lie in no patient's folder form one group, since nothing tells whose they are. Raises
    FileNotFoundError for missing folders and ValueError for frames outside a patient's folder.
    """
    if not (root / "labeled").is_dir():
        files = [path.relative_to(root) for path in walk(root)]
        if not files:
            raise FileNotFoundError(f"{root} holds neither labeled/ nor folders of frames: {HELP}")
        if loose := [file for file in files if len(file.parts) < 2]:
            raise ValueError(f"{root / loose[0]} lies in no patient's folder, nor do {len(loose) - 1} more: {HELP}")
        return frames(root, files, [file.parts[0] for file in files], size, crop)
    files, patients, labels = [], [], []
    for label, name in enumerate(CLASSES):
        if not (root / "labeled" / name).is_dir():
            raise FileNotFoundError(f"{root / 'labeled' / name} is not a folder: {HELP}")
        for path in walk(root / "labeled" / name):
            inside = path.relative_to(root / "labeled" / name).parts
            if len(inside) < 2:
                raise ValueError(f"{path} lies in no patient's folder: {HELP}")
            files.append(path.relative_to(root))
            patients.append(f"{name}/{inside[0]}")
            labels.append(label)
    if not files:
        raise FileNotFoundError(f"{root / 'labeled'} holds no frame: {HELP}")
    for path in walk(root / "unlabeled"):
        files.append(path.relative_to(root))
        patients.append("/".join(files[-1].parts[:-1][:2]))
        labels.append(len(CLASSES))
    classes = CLASSES if max(labels) < len(CLASSES) else (*CLASSES, "unlabeled")
    return frames(root, files, patients, size, crop, labels=torch.tensor(labels), classes=classes)


def frames(root: Path, files: list[Path], patients: list[str], size: int | None, crop: str, **values) -> ImageSet:
    left = aside(root)
    keep = [i for i, file in enumerate(files) if file.as_posix() not in left]
    files, patients = [files[i] for i in keep], [patients[i] for i in keep]
    if "labels" in values:
        values["labels"] = values["labels"][keep]
    groups, names = numbered(patients)
    return collect([Item(root / file, file.as_posix()) for file in files], size, crop=crop, card="eus",
                   groups=groups, group_names=names, notes=left_out(root, (root / file for file in files)), **values)
