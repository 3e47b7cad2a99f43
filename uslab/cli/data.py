"""`uslab data`: list, get, check, show, audit and compare data sets. Heavy imports wait for their command."""

import argparse
import re
from pathlib import Path

from uslab.cli.options import directory, new_file, number, side, whole
from uslab.notebooks import UsageError

SOURCE = ("phantom:NAME?n=50,seed=3, a data set such as hc18, a folder of images, a run's folder, generator:NAME, or a "
          ".safetensors set")
SIZE = 256      # side of the images that are drawn or audited, pixels


def add_parser(commands) -> None:
    """Add `data` and its commands to the command line."""
    data = commands.add_parser("data", help="list, get, check, show, audit and compare data sets",
                               description="Data sets: their readers, downloads and faults. Nothing real is shipped.")
    parts = data.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function, text: str, named: str = SOURCE, out: str = ""):
        part = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if named:
            part.add_argument("source", metavar="SOURCE", help=named)
            part.add_argument("--root", metavar="DIR", type=directory,
                              help="folder of a data set (default: $USLAB_DATA/NAME, else a per-user folder)")
        if out:
            part.add_argument("--size", metavar="PIXELS", type=side,
                              help=f"side of the images (default: {SIZE}; of saved and generated images their own)")
            part.add_argument("--out", metavar="FILE", type=Path,
                              help=f"where to write the picture or page (default: SOURCE_{out})")
        part.set_defaults(command=run, function=function, ending=out)
        return part

    add("list", list_sets, "name the data sets, their licence and where they are looked for", named="")
    add("get", get, "download a data set, or say what to request where", named="as `uslab data list` names it")
    add("check", check, "read images and say what is there, or what is wrong")
    add("show", show, "draw a sheet of images with the outlines of their masks", out="sheet.png")
    add("audit", audit, "look for duplicates, leaks, overlays and outliers; writes a page", out="audit.html")
    part = parts.add_parser("import", help="make a set of images, clips and stacks, with a report of all changes",
                            description="Write every image as a prepared PNG with labels.csv, without names or dates.")
    part.add_argument("source", metavar="FOLDER", type=directory,
                      help="images, DICOM, videos, NPZ and HDF5; with labels.csv or without (data_cards/folder.md)")
    part.add_argument("--out", metavar="SET", type=directory, required=True,
                      help="the new folder; SET_report.csv beside it names what was changed and what was left out")
    part.add_argument("--every", metavar="N", type=whole(1), default=1,
                      help="take each Nth frame of a clip (default: 1)")
    part.add_argument("--white", metavar="LEVEL", type=number(1e-9),
                      help="grey level shown white in files of more than 8 bits, such as 4095 (default: as files say)")
    part.set_defaults(command=run, function=bring_in, ending="")
    part = add("compare", compare, "draw a phantom beside real images and measure how near it is", out="compare.png")
    part.add_argument("--phantom", metavar="NAME", required=True, help="a scene of uslab.phantom, such as fetal_head")


def run(options: argparse.Namespace) -> int | None:
    """Carry out a command, after the questions that must be asked before anything slow begins."""
    if options.ending:
        name = re.sub("[^A-Za-z0-9.-]+", "_", options.source).strip("_")
        options.out = new_file(options.out or Path(f"{name}_{options.ending}"))
        if options.ending.endswith(".png") and options.out.suffix not in (".png", ".jpg"):
            raise UsageError(f"{options.out}: the sheet is a .png or a .jpg")
    return options.function(options)


def list_sets(options: argparse.Namespace) -> None:
    from uslab.data import folder
    from uslab.data.sources import SOURCES

    for name, source in SOURCES.items():
        root = folder(name)
        how = ("get: " + source.size if source.size else "get") if source.files else "ask"
        there = "in" if root.is_dir() else "not yet in"
        print(f"{name:8}{source.title}\n        {source.licence}; {how}; {there} {root}")


def get(options: argparse.Namespace) -> None:
    from uslab.data import folder
    from uslab.data.download import fetch
    from uslab.data.sources import SOURCES

    name = options.source
    if name not in SOURCES:
        raise UsageError(f"no data set {name!r}: there are {', '.join(SOURCES)}")
    source, root = SOURCES[name], folder(name, options.root)
    for file in source.files:
        fetch(file, root)
    if source.files:
        print(f"{name} is in {root}. Licence: {source.licence}. See data_cards/{name}.md, then run "
              f"`uslab data check {name}`")
    if source.ask:
        print(source.ask.format(root=root))


def check(options: argparse.Namespace) -> int:
    from uslab.data import folder, load
    from uslab.data.tables import ASIDE

    if options.source == "ct":
        cases = load("ct", options.root)
        print(cases)
        bad = 0
        for name in cases.names:    # reads every case once
            try:
                case = cases[name]
                print(f"- {name}: {case.hu.shape} voxels, {len(set(case.labels.ravel().tolist())) - 1} labels")
            except ValueError as error:
                bad += 1
                print(f"- {name} cannot be used: {error}")
        if bad:
            print(f"{bad} of {len(cases)} cases cannot be used: what {folder('ct', options.root) / ASIDE} names, one a "
                  "line, is left out")
        return int(bad > 0)
    images = opened(options)
    print(images)
    for note in images.notes:
        print(f"- {note}")
    return 0


def bring_in(options: argparse.Namespace) -> None:
    from uslab.data import intake

    print(intake.bring_in(options.source, options.out, options.every, options.white))
    print(f"{options.out}; what was done to each file says {options.out}_report.csv, which names the originals: keep "
          "it with them")


def show(options: argparse.Namespace) -> None:
    from uslab.data.files import write_sheet
    from uslab.data.pictures import set_sheet

    write_sheet(options.out, set_sheet(opened(options, n=24)))
    print(options.out)


def audit(options: argparse.Namespace) -> None:
    from uslab.data import audit as look
    from uslab.data.atomic import write_text

    found = look(opened(options))
    print(found)
    write_text(options.out, audit_page(found))
    print(options.out)


def audit_page(found) -> str:
    """The HTML of an audit: its counts, its tables and pictures of the cases; it needs no other file."""
    import cv2

    from uslab import pages
    from uslab.data.pictures import sheet

    pixels = dict(zip(found.images.table.file, found.images.images[:, 0].cpu().numpy()))
    sections = []

    def section(title, table, needed=(), files=(), captions=(), limit=0):
        picture = sheet([pixels[file] for file in files[:limit]], captions[:limit]) if files else None
        sections.append({
            "title": title, "count": found.count(len(table), *needed), "table": table,
            "picture": "" if picture is None else
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()})

    for title, pairs in (("One frame saved twice", found.duplicates), ("Frames of one sweep", found.sweeps)):
        # What crosses classes or splits does the harm, so it comes first.
        order = pairs.assign(harm=pairs.across.str.len()).sort_values(["harm", "score"], ascending=False)
        files = [file for row in order.itertuples() for file in (row.file_a, row.file_b)]
        captions = [text for row in order.itertuples()
                    for text in (f"{row.score:.2f} {row.file_a}", f"{row.across or 'same'} {row.file_b}")]
        section(title, order.drop(columns="harm"), (), files, captions, 36)
    section("Groups in two splits", found.groups_in_two_splits, ["split", "groups"])
    section("Classes", found.classes, ["labels"])
    for title, table, column, needed in (
            ("Text or callipers", found.overlays, "overlay", ["overlay"]),
            ("Colour", found.colour, "colour", ["colour"]), ("Exposure", found.exposure, "mean", [])):
        captions = [f"{row[column]:.3g} {row['file']}" for _, row in table.iterrows()]
        section(title, table, needed, table.file.tolist(), captions, 12)
    section("Sizes of the files", found.sizes, ["height"])
    return pages.environment().get_template("audit.html.j2").render(found=found, sections=sections)


def compare(options: argparse.Namespace) -> None:
    from uslab.data.files import write_sheet
    from uslab.data.pictures import sheet
    from uslab.metrics.nearness import nearness
    from uslab.phantom import load

    real = opened(options)
    phantom = load(options.phantom, min(len(real), 300), real.images.shape[2])
    print(nearness(real.images, phantom.images).to_string())
    rows = [(images.images[i * len(images) // 18, 0].numpy(), name)
            for images, name in ((real, options.source), (phantom, f"phantom {options.phantom}")) for i in range(18)]
    write_sheet(options.out, sheet(*zip(*rows)))
    print(options.out)


def opened(options: argparse.Namespace, **numbers: int):
    """The images of the source, of a phantom or generator as many as are asked for; pictures are drawn at SIZE."""
    from uslab.data import source

    own_size = not options.ending or source.kind(options.source) in ("run", "saved", "generator")
    size = getattr(options, "size", None) or (None if own_size else SIZE)
    return source.open(source.completed(options.source, **numbers), options.root, size)
