"""Abdominal CT with organ labels, in the layouts of TotalSegmentator and of BTCV (img/, label/)."""

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .tables import ASIDE, aside
from .volume import Volume

LABELS = ("background", "liver", "pancreas", "stomach", "aorta")
BTCV_IDS = {"liver": 6, "pancreas": 11, "stomach": 7, "aorta": 8}
HELP = ("unpack Totalsegmentator_dataset_small_v201.zip there, or BTCV's img/ and label/, as data_cards/ct.md "
        f"describes; a case that {ASIDE} names is left out")


class Cases(Sequence):
    """The cases of a folder, read when asked for: cases[0] or cases["s0001"] is a Volume; cases.names has the names."""

    def __init__(
        self,
        sources: dict[str, tuple[Path, dict[str, Path] | Path]],
        left_out: Sequence[str] = (),     # what lies beside the cases and is none
    ):
        self.left_out = tuple(left_out)
        self.sources = sources   # name: (the CT's file, {organ: its mask's file} or one file of BTCV's numbers)
        self.names = tuple(sources)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, case: int | str) -> Volume:
        ct, labels = self.sources[self.names[case] if isinstance(case, int) else case]
        return read_case(ct, labels)

    def __repr__(self) -> str:
        return f"Cases({len(self)} CT: {', '.join(self.names[:4])}{', ...' if len(self) > 4 else ''}" + (
            f"; left out: {', '.join(self.left_out)})" if self.left_out else ")")


def read(
    root: Path,           # folder that holds the cases, or the folder of the unpacked archive above them
    size: int | None,     # None: a CT keeps its voxels
) -> Cases:
    """All cases, none read yet. Raises FileNotFoundError for missing folders and masks, ValueError for a size."""
    if size is not None:
        raise ValueError(f"size={size}: a CT keeps its voxels; load it without size and cut planes from the Volume")
    left = aside(root)
    for base in (root, *sorted(path for path in root.iterdir() if path.is_dir()), root / "RawData" / "Training"):
        if (base / "img").is_dir():
            cases = btcv(base, left)
            return Cases(cases, unused(root, cases))
        if found := sorted(base.glob("*/ct.nii.gz")):
            cases = {path.parent.name: (path, organs(path.parent)) for path in found if path.parent.name not in left}
            others = sorted(path.name for path in base.iterdir() if path.is_dir() and path.name not in cases)
            return Cases(cases, others + [name for name in unused(root, cases) if Path(name).parent.name not in others])
    raise FileNotFoundError(f"{root} holds no <case>/ct.nii.gz and no img/: {HELP}")


def unused(root: Path, cases: dict[str, tuple[Path, dict[str, Path] | Path]]) -> list[str]:
    """CTs and files of labels below the folder that belong to none of the cases, such as those of a second archive."""
    used = {path for files in cases.values() for path in files if isinstance(path, Path)}
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.nii.gz")
                  if path.parent.name != "segmentations" and path not in used)


def organs(case: Path) -> dict[str, Path]:
    return {organ: there(case / "segmentations" / f"{organ}.nii.gz") for organ in LABELS[1:]}


def btcv(base: Path, left: frozenset[str]) -> dict[str, tuple[Path, Path]]:
    sources = {}
    for path in sorted((base / "img").glob("img*.nii.gz")):
        number = re.sub(r"\D", "", path.name)
        if number not in left:
            sources[number] = path, there(base / "label" / f"label{number}.nii.gz")
    if not sources:
        raise FileNotFoundError(f"{base / 'img'} holds no img0001.nii.gz or the like: {HELP}")
    return sources


def there(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: a CT without its labels cannot be used here; {HELP}")
    return path


def read_case(ct: Path, labels: dict[str, Path] | Path) -> Volume:
    """One case with axes turned to right, anterior, superior; masks may lie in the file in another orientation.

    Raises ValueError, naming the file, if one is damaged or does not cover the same voxels as the CT.
    """
    image = opened(ct)
    hu = np.asarray(image.dataobj)
    if hu.ndim != 3:
        raise ValueError(f"{ct} is {hu.shape}, expected one volume (X, Y, Z): {HELP}")
    merged = np.zeros(hu.shape, np.uint8)
    if isinstance(labels, Path):
        numbers = on_grid(labels, image)
        for organ, number in BTCV_IDS.items():
            merged[numbers == number] = LABELS.index(organ)
    else:
        for organ, path in labels.items():
            merged[on_grid(path, image) > 0] = LABELS.index(organ)
    fits = np.issubdtype(hu.dtype, np.integer) and -2 ** 15 <= hu.min() and hu.max() < 2 ** 15
    dtype = np.int16 if fits else np.float32
    return Volume(hu=hu.astype(dtype), affine=image.affine.astype(np.float64), labels=merged, label_names=LABELS)


def on_grid(path: Path, ct) -> np.ndarray:
    """The voxels of a mask, which must be those of the CT."""
    mask = opened(path)
    if mask.shape != ct.shape or not np.allclose(mask.affine, ct.affine, atol=0.05):
        raise ValueError(f"{path} covers {mask.shape} voxels at {np.round(mask.affine[:3, 3], 1).tolist()} mm, its CT "
                         f"{ct.shape} at {np.round(ct.affine[:3, 3], 1).tolist()} mm: they belong to different scans")
    return np.asarray(mask.dataobj)


def opened(path: Path):
    import nibabel

    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)      # to its end, where the checksum is
        kind = nibabel.Nifti2Image if int.from_bytes(content[:4], "little") == 540 else nibabel.Nifti1Image
        image = nibabel.as_closest_canonical(kind.from_bytes(content))
        if not np.isfinite(np.asarray(image.dataobj)).all():    # a file that is cut off fails here
            raise ValueError("it holds undefined values")
    except Exception as error:  # nibabel, gzip and zlib raise many kinds
        raise ValueError(f"{path} cannot be read as NIfTI ({error}): it is damaged or cut off; {HELP}") from None
    return image
