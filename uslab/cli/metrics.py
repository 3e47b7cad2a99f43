"""`uslab metrics`: measure folders of synthetic images against a folder of real ones. Heavy imports wait."""

import argparse
import dataclasses
from pathlib import Path

from uslab import pages
from uslab.cli.options import seed, side, whole, writable
from uslab.notebooks import UsageError, batch


def add_parser(commands) -> None:
    """Add `metrics` to the command line."""
    metrics = commands.add_parser(
        "metrics",
        help="measure synthetic images against real ones",
        description="Measure synthetic images against real ones: every measure with its n and its 95 % interval.\n"
        "Each SOURCE is phantom:NAME?n=50,seed=3, a data set such as hc18, a folder of images (its labels.csv may\n"
        "name the patients), a run's folder, generator:NAME, or a .safetensors set.",
        epilog="examples:\n"
        "  uslab metrics real/ synthetic/                        writes metrics.csv and .html below runs/<time>\n"
        "  uslab metrics phantom:fetal_head RUN --size 64        the last set that a run kept, against phantoms\n"
        "  uslab metrics test/ stylegan/ ada/ --train train/     two sets, with the nearest training images",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    metrics.add_argument("real", metavar="REAL", help="real images that no generator was trained on")
    metrics.add_argument("synthetic", metavar="SYNTHETIC", nargs="+", help="synthetic images; several are compared")
    metrics.add_argument("--train", metavar="SOURCE",
                         help="the generator's training images: adds the test for copies and a sheet of neighbours")
    metrics.add_argument("--size", metavar="PIXELS", type=side,
                         help="side of the images (default: their own, if it is the same in all folders)")
    metrics.add_argument("--space", choices=("lite0", "inception"), default="lite0",
                         help="of the distances: lite0 needs no download (default), inception gives FID and KID,"
                              " after `uslab weights get inception`")
    metrics.add_argument("--draws", metavar="N", type=whole(2), default=20,
                         help="half-samples of an interval (default: 20)")
    metrics.add_argument("--seed", metavar="N", type=seed, default=0, help="of pairs and half-samples (default: 0)")
    metrics.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: runs/ and the time)")
    metrics.set_defaults(command=measure)


def measure(options: argparse.Namespace) -> None:
    """Carry out the command."""
    out = options.out or Path("runs") / batch.stamp()
    for name in ("metrics.csv", "metrics.html"):   # asked before anything slow begins
        if (out / name).exists():
            raise UsageError(f"{out / name} exists: name another folder with --out")
    writable(out)
    names = [Path(source).stem for source in options.synthetic]
    called = [*names, options.real, *([options.train] if options.train else [])]
    if len(set(called)) < len(called):
        raise UsageError(f"the sets {', '.join(called)} need different names: rename a folder")
    import uslab.data
    from uslab import metrics
    from uslab.data.atomic import write_text

    space = metrics.resolve(options.space)   # missing weights are reported before images are read
    real = uslab.data.open(options.real, size=options.size)
    train = uslab.data.open(options.train, size=options.size) if options.train else None
    # Near-duplicates among synthetic images are twins to be counted, not frames of one patient.
    made = {name: dataclasses.replace(uslab.data.open(source, size=options.size), groups=None, group_names=())
            for name, source in zip(names, options.synthetic)}
    sets = {options.real: real, **made, **({options.train: train} if train is not None else {})}
    if len({images.images.shape[2:] for images in sets.values()}) > 1:
        sides = ", ".join(f"{name} {images.images.shape[2]} px" for name, images in sets.items())
        raise UsageError(f"the images differ in size ({sides}): give the side that all shall have, such as --size "
                         f"{min(images.images.shape[2] for images in sets.values())}")
    made, note = equal(made, options.seed)
    lines = [f"{name}: {len(images)} synthetic images of {'x'.join(map(str, images.images.shape[2:]))}" if name in made
             else f"{name}: {images}" for name, images in sets.items()]
    print(*lines, sep="\n")
    table = metrics.compare(real, made, train, space, draws=options.draws, seed=options.seed)
    print(note + "\n" * bool(note) + plain(table))
    pictures = {"Measures": metrics.figure(table)}
    if train is not None:
        pictures |= {f"Nearest training images of {name}": metrics.neighbours_figure(images, train, real, space)
                     for name, images in made.items()}
    write_text(out / "metrics.csv", table.to_csv(index=False))
    title = f"{', '.join(names)} against {options.real}"
    page = pages.environment().get_template("metrics.html.j2").render(
        title=title, lines=[note, *lines], scores=rows(table),
        pictures={name: pages.png(figure, dpi=110) for name, figure in pictures.items()})
    write_text(out / "metrics.html", page)
    print(out / "metrics.csv", out / "metrics.html", sep="\n")


def equal(sets: dict, seed: int) -> tuple[dict, str]:
    """Sets with as many images as the smallest, drawn without replacement, and a sentence where some were left out."""
    import numpy as np

    n = min(map(len, sets.values()))
    if all(len(images) == n for images in sets.values()):
        return sets, ""
    rng = np.random.default_rng(seed)
    return ({name: images[np.sort(rng.permutation(len(images))[:n])] for name, images in sets.items()},
            f"{n} images of each synthetic set are used, as many as the smallest has: distances depend on n.")


def rows(table) -> list[tuple]:
    """The set and the score of each row of compare()'s table."""
    from uslab.score import read

    return [(beside["set"], score) for beside, score in map(read, table.to_dict("records"))]


def plain(table) -> str:
    """The table as text, without the notes."""
    import pandas as pd

    columns = ["set", "name", "value", "95 % interval", "n"]
    cells = [(name, score.name, score.shown, score.interval or "none", score.n) for name, score in rows(table)]
    return pd.DataFrame(cells, columns=columns).to_string(index=False)
