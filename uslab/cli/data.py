"""`uslab data`: list, get, check, show, audit and compare data sets. Heavy imports wait for their command."""

import argparse
from pathlib import Path

from uslab.notebooks import UsageError


def add_parser(commands) -> None:
    """Add `data` and its commands to the command line."""
    data = commands.add_parser("data", help="list, get, check, show, audit and compare data sets",
                               description="Data sets: their readers, downloads and faults. Nothing real is shipped.")
    parts = data.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function, text: str, named: bool = True, size: int | None = None, out: str = ""):
        part = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if named:
            part.add_argument("name", metavar="NAME", help="a data set, as `uslab data list` names it")
            part.add_argument("--root", metavar="DIR", type=Path,
                              help="folder of the data set (default: $USLAB_DATA/NAME, else a per-user folder)")
        if size:
            part.add_argument("--size", metavar="PIXELS", type=int, default=size,
                              help=f"side of the images (default: {size})")
        if out:
            part.add_argument("--out", metavar="FILE", type=Path,
                              help=f"where to write the picture or page (default: NAME_{out})")
        part.set_defaults(command=run, function=function, ending=out)
        return part

    add("list", list_sets, "name the data sets, their licence and where they are looked for", named=False)
    add("get", get, "download a data set, or say what to request where")
    add("check", check, "read a data set and say what is there, or what is wrong")
    add("show", show, "draw a sheet of images with the outlines of their masks; a NAME such as phantom:fetal_head "
        "draws simulated ones", size=256, out="sheet.png")
    add("audit", audit, "look for duplicates, leaks, overlays and outliers; writes a page", size=256, out="audit.html")
    part = add("compare", compare, "draw a phantom beside a local set of real images and measure how near it is",
               size=256, out="compare.png")
    part.add_argument("--phantom", metavar="NAME", required=True, help="a scene of uslab.phantom, such as fetal_head")


def run(options: argparse.Namespace) -> int:
    """Carry out a command; what a reader refuses becomes a message without a traceback."""
    from uslab.data.download import DownloadError

    if options.ending:  # asked before anything slow begins
        options.out = options.out or Path(f"{options.name.replace(':', '_')}_{options.ending}")
        if options.out.exists():
            raise UsageError(f"{options.out} exists: name another file with --out")
    try:
        return options.function(options) or 0
    except (DownloadError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error


def list_sets(options: argparse.Namespace) -> None:
    from uslab.data import folder
    from uslab.data.sources import SOURCES

    for name, source in SOURCES.items():
        root = folder(name)
        how = ("get: " + source.size if source.size else "get") if source.files else "ask"
        print(f"{name:8}{source.title}\n        {source.licence}; {how}; {'in' if root.is_dir() else 'not yet in'} {root}")


def source_of(name: str):
    from uslab.data.sources import SOURCES

    if name not in SOURCES:
        raise UsageError(f"no data set {name!r}: there are {', '.join(SOURCES)}")
    return SOURCES[name]


def get(options: argparse.Namespace) -> None:
    from uslab.data import folder
    from uslab.data.download import fetch

    source, root = source_of(options.name), folder(options.name, options.root)
    for file in source.files:
        fetch(file, root)
    if source.files:
        print(f"{options.name} is in {root}. Licence: {source.licence}. See data_cards/{options.name}.md, then run "
              f"`uslab data check {options.name}`")
    if source.ask:
        print(source.ask.format(root=root))


def check(options: argparse.Namespace) -> None:
    images = loaded(options)
    print(images)
    for note in getattr(images, "notes", ()):
        print(f"- {note}")
    if hasattr(images, "names"):  # CT: read every case once
        for name in images.names:
            case = images[name]
            print(f"- {name}: {case.hu.shape} voxels, {len(set(case.labels.ravel().tolist())) - 1} labels")


def show(options: argparse.Namespace) -> None:
    import cv2

    from uslab import phantom
    from uslab.data.pictures import set_sheet

    if options.out.suffix not in (".png", ".jpg"):
        raise UsageError(f"{options.out}: the sheet is a .png or a .jpg")
    kind, _, scene = options.name.partition(":")
    images = phantom.load(scene, 24, options.size) if kind == "phantom" else pictures(options)
    write(options.out, cv2.imencode(options.out.suffix, set_sheet(images))[1].tobytes())


def audit(options: argparse.Namespace) -> None:
    from uslab.data import audit as look

    found = look(pictures(options))
    print(found)
    print(found.page(options.out))


def compare(options: argparse.Namespace) -> None:
    import cv2

    from uslab.data.pictures import sheet
    from uslab.metrics.nearness import nearness
    from uslab.phantom import load

    real = pictures(options)
    phantom = load(options.phantom, min(len(real), 300), options.size)
    print(nearness(real.images, phantom.images).to_string())
    rows = [(images.images[i * len(images) // 18, 0].numpy(), name)
            for images, name in ((real, options.name), (phantom, f"phantom {options.phantom}")) for i in range(18)]
    write(options.out, cv2.imencode(".png", sheet(*zip(*rows)))[1].tobytes())


def loaded(options: argparse.Namespace):
    from uslab.data import load

    source_of(options.name)
    return load(options.name, options.root, getattr(options, "size", None) if options.name != "ct" else None)


def pictures(options: argparse.Namespace):
    if options.name == "ct":
        raise UsageError("ct holds volumes, not images: use `uslab data check ct`")
    return loaded(options)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    print(path)
