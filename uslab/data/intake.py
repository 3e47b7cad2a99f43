"""Bring images as people have them into a folder that uslab.data reads, and account for every file."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from . import clips, dicom, files, own, prepare, tables
from .atomic import write_text, written_aside
from .collect import COLOURED
from .folders import files_under

SHOWN = 20      # files left out that are named on the screen; the report names all


@dataclass
class Intake:
    """What became of a folder."""

    folder: Path                                           # where the images are written
    rows: list[dict] = field(default_factory=list)         # of labels.csv, one an image
    report: list[dict] = field(default_factory=list)       # one an image, and one for each file or frame left out
    masked: bool = False                                   # whether an image without a mask has no structure
    grouped: bool = False                                  # whether patients are told apart

    @property
    def table(self) -> pd.DataFrame:
        """labels.csv: of the columns those that tell something of every image."""
        table = pd.DataFrame(self.rows)
        told = {"file": True, "group": self.grouped or table.group.nunique() < len(table),
                "label": (table.label != "").all(), "mask": self.masked or (table["mask"] != "").all(),
                "pixel_mm": (table.pixel_mm != "").any()}
        return table[[name for name in own.COLUMNS if told.get(name)]]

    def __repr__(self) -> str:
        left = [row for row in self.report if not row["file"]]
        said = Counter(note for row in self.report for note in row["notes"].split("; ") if note)
        lines = [f"{len(self.rows)} images of {len({row['source'] for row in self.report if row['file']})} files"]
        lines += [f"- {count} of them: {note}" for note, count in said.most_common()]
        for name in {"label", "mask"} - set(self.table if self.rows else ()):
            if any(row[name] for row in self.rows):
                lines.append(f"- no column {name}, since only some of the images have one")
        lines += [f"- left out: {row['source']}: {row['left_out']}" for row in left[:SHOWN]]
        return "\n".join(lines + [f"- left out: {len(left) - SHOWN} more, see the report"] * (len(left) > SHOWN))

    def leave_out(self, source: str, why: str, frame: int | str = "") -> None:
        """Account for a file, or one frame of it, that is not used."""
        self.report.append({"file": "", "source": source, "frame": frame, "notes": "", "left_out": why})

    def remove(self, source: str, why: str) -> None:
        """Take back what was written of a file, and account for it as left out."""
        gone = {row["file"] for row in self.report if row["source"] == source and row["file"]}
        for row in self.rows:
            for name in (row["file"], row["mask"]) if row["file"] in gone else ():
                (self.folder / name).unlink() if name else None
        self.rows = [row for row in self.rows if row["file"] not in gone]
        self.report = [row for row in self.report if row["source"] != source]
        self.leave_out(source, why)


def bring_in(
    source: Path,                 # folder of images, cine DICOM, videos, stacks; with labels.csv or without
    out: Path,                    # new folder; beside it OUT_report.csv, which alone names the sources
    every: int = 1,               # of the frames of a clip, take each so-manieth
    white: float | None = None,   # the level shown white in files of more than 8 bits; None: as the files need
) -> Intake:
    """Write every image as a prepared 8-bit PNG with labels.csv: region or fan alone, text painted over.

    The frames of one clip are one group; so are, where their files tell patients apart, all images of a patient. The
    new files have numbers for names and none of the headers, so nothing in OUT names a patient or a date. Damaged and
    unfit files are left out, with the reason in the report. Raises FileExistsError for an `out` that is there, and
    ValueError for a folder of which nothing could be used.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not a folder: name the one that holds the images")
    report = out.absolute().with_name(f"{out.absolute().name}_report.csv")
    for path in (out, report):
        if path.exists():
            raise FileExistsError(f"{path} exists: name another folder with --out")
    table = own.listed(source, clips.ENDINGS)
    levels = own.white_levels(source, table) if white is None else dict.fromkeys("IF", white)
    facts = {file: told for file in table.file if (told := facts_of(source / file))}
    for label in table.get("label", pd.Series(dtype=str)).unique():
        if any(word in label.casefold() for fact in facts.values() for word in fact.called):
            raise ValueError(f"{source / label} is called after a patient, and would be a class of that name: give "
                             f"each file its class in {own.TABLE}, or rename the folder")
    patients = sorted({fact.patient for fact in facts.values()} - {""})
    numbers = {patient: f"patient {i:03d}" for i, patient in enumerate(patients, 1)} if len(patients) > 1 else {}
    with written_aside(out) as folder:
        taken = Intake(folder, masked="mask" in table, grouped="group" in table or bool(numbers))
        for number, row in enumerate(table.to_dict("records"), 1):
            fact, name = facts.get(row["file"]), f"{number:05d}"
            group = row.get("group") or (numbers.get(fact.patient) if fact else "") or f"file {name}"
            try:
                for shot in clips.shots(source / row["file"], every, levels):
                    try:
                        write(shot, f"{name}/{shot.number:05d}.png", row | {"group": group}, source, fact, taken)
                    except ValueError as error:
                        taken.leave_out(row["file"], str(error), shot.number)
            except (ValueError, OSError) as error:
                taken.remove(row["file"], str(error))
        leave_out_thumbnails(taken)
        names = (*table.file, *table.get("mask", []), own.TABLE, tables.ASIDE)
        used = {(source / name).resolve() for name in names if name}
        why = "labels.csv does not list it" if (source / own.TABLE).is_file() else "neither image nor clip nor stack"
        for path in files_under(source):
            if path.resolve() not in used:
                name = path.relative_to(source).as_posix()
                taken.leave_out(name, "set_aside.txt names it" if name in tables.aside(source) else why)
        if not taken.rows:
            first = taken.report[0]
            raise ValueError(f"{source} holds nothing that can be used: {first['source']}: {first['left_out']}")
        taken.table.to_csv(folder / own.TABLE, index=False, lineterminator="\n")
        write_text(report, pd.DataFrame(taken.report, dtype=object).to_csv(index=False, lineterminator="\n"))
    return taken


def facts_of(path: Path) -> dicom.Facts | None:
    """What a DICOM file says; None of other files and of damaged ones, which are named when their pixels are read."""
    try:
        return dicom.facts(path) if dicom.is_dicom(path) else None
    except ValueError:
        return None


def write(
    shot: clips.Shot,
    file: str,                     # what to call it
    row: dict[str, str],           # of the source's table, with a group
    source: Path,
    fact: dicom.Facts | None,
    taken: Intake,
) -> None:
    """Prepare one frame, write it and its mask, and add its rows. Raises ValueError if it is no ultrasound image."""
    image, mask, notes = shot.grey, shot.mask, []
    files.check_sizes([source / row["file"]], [image.shape])
    if row.get("mask"):
        mask = files.read_mask(source / row["mask"], image.shape)
    pixel_mm = (float(row.get("pixel_mm") or "nan"),) * 2
    if fact:
        image, notes = fact.inside(image), [*fact.notes]
        pixel_mm = fact.pixel_mm if np.isnan(pixel_mm[0]) else pixel_mm
    even = prepare.isotropic(image, *pixel_mm)
    mask = None if mask is None else prepare.isotropic(mask, *pixel_mm, labels=True)
    frame = prepare.frame(even, None if mask is None else mask > 0)
    save(taken.folder / file, frame.image)
    if mask is not None:
        save(taken.folder / "masks" / file, 255 * mask[frame.box])
    for note, true in (("made of square pixels", even.shape != image.shape),
                       ("text or callipers painted over", frame.overlay > 0),
                       ("colour, as colour Doppler has, made grey", shot.colour > COLOURED)):
        notes += [note] * bool(true)
    side = "" if np.isnan(pixel_mm[1]) else f"{pixel_mm[1]:.6g}"
    taken.rows.append({"file": file, "label": shot.label or row.get("label", ""), "group": shot.group or row["group"],
                       "mask": "" if mask is None else f"masks/{file}", "pixel_mm": side})
    taken.report.append({"file": file, "source": row["file"], "frame": shot.number, "height": shot.grey.shape[0],
                         "width": shot.grey.shape[1], "pixel_mm": side, "cropped": round(frame.cropped, 4),
                         "overlay": round(frame.overlay, 4), "colour": round(shot.colour, 4),
                         "notes": "; ".join(notes), "left_out": ""})


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def leave_out_thumbnails(taken: Intake) -> None:
    """Take back the files whose images are far smaller than the others, as a reader would refuse them."""
    sides = {row["source"]: max(row["height"], row["width"]) for row in taken.report if row["file"]}
    median = np.median(list(sides.values())) if sides else 0
    for source, side in sides.items():
        if side <= median / files.FAR_SMALLER:
            taken.remove(source, f"{side} pixels on its longer side, the others about {median:.0f}: a thumbnail?")
