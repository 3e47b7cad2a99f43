"""`uslab generate`, `translate` and `generators`: images of trained generators and phantoms as files."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from uslab.cli.options import seed, whole, writable
from uslab.notebooks import UsageError


def add_parser(commands) -> None:
    """Add the three commands to the command line."""
    def add(name: str, function, text: str, examples: str = ""):
        part = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=examples,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
        part.set_defaults(command=function)
        return part

    def add_common(part, what: str) -> None:
        part.add_argument("source", metavar="SOURCE", help=what)
        part.add_argument("--seed", metavar="N", type=seed, default=0, help="which images (default: 0)")
        part.add_argument("--out", metavar="DIR", type=Path, required=True,
                          help="folder for the images and labels.csv; begun and interrupted, it is completed")
        part.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto")

    part = add("generate", generate, "write synthetic images as single PNG files with labels.csv",
               "examples:\n  uslab generate dcgan_fetal_head_64 --n 500 --out heads\n"
               "  uslab generate phantom:liver --n 100 --size 128 --out livers")
    add_common(part, "a run's folder, an exported or shipped generator (`uslab generators`), or phantom:NAME")
    part.add_argument("--n", metavar="N", type=whole(1), default=100, help="images (default: 100)")
    part.add_argument("--size", metavar="PIXELS", type=whole(64, 512), default=256,
                      help="side of a phantom (default: 256)")
    part.add_argument("--condition", metavar="CLASS", help="of a generator that knows classes: images of one alone")

    part = add("translate", translate, "translate CT into ultrasound with a CycleGAN, or label images with a PGSGAN",
               "examples:\n"
               "  uslab translate cyclegan_eus_liver ct/ --out eus       CT in the layout of data_cards/ct.md\n"
               "  uslab translate pgsgan_ovary_128 masks/ --out ovaries  PNG files of the labels 0 to 3")
    add_common(part, "a run's folder, or an exported or shipped generator")
    part.add_argument("images", metavar="DIR", type=Path, help="CT cases, or images that are translated one by one")
    part.add_argument("--organ", metavar="NAME", help="of CT cases: what planes show (default: as it was trained)")
    part.add_argument("--planes", metavar="N", type=whole(1), default=20, help="planes of each CT case (default: 20)")

    add("generators", show, "list the generators that come with the package")


def show(options: argparse.Namespace) -> None:
    from uslab import generators
    from uslab.models import store

    for name in generators.names():
        folder, facts = generators.folder(name), store.about(name)
        data = " and ".join(facts["data"].values()) if isinstance(facts["data"], dict) else facts["data"]
        sizes = f"{store.size_of_images(facts)} px, {store.size_mb(folder):.1f} MB"
        print(f"{name}\n    {facts['model']}, {sizes}, trained on {data}, {facts['images_seen']} images seen; "
              f"{folder / 'card.md'}")


def generate(options: argparse.Namespace) -> None:
    from uslab.data.written import opened

    writable(options.out)
    kind, _, name = options.source.partition(":")
    settings = {"source": options.source, "size": options.size} if kind == "phantom" else weights_of(options.source)
    with opened(options.out, settings | {"seed": options.seed, "condition": options.condition}) as folder:
        if len(folder) >= options.n:
            raise UsageError(f"{options.out} holds {len(folder)} images already: ask for more, or name another folder")
        if kind == "phantom":
            if options.condition:
                raise UsageError("--condition is for generators that know classes: phantom sets hold all of theirs")
            parts, called = phantoms(name, options, len(folder)), options.source
        else:
            from uslab.generators.lots import image_sets

            called = Path(options.source).name
            parts = image_sets(options.source, options.n, options.seed, options.condition, len(folder), options.device)
        save(folder, parts, options.n, generator=called, seed=options.seed)


def phantoms(name: str, options: argparse.Namespace, first: int) -> Iterator:
    """The images of a phantom from number `first` on, 32 at a time."""
    from uslab import phantom

    for start in range(first, options.n, 32):
        yield phantom.load(name, min(start + 32, options.n), options.size, options.seed, start)


def translate(options: argparse.Namespace) -> None:
    from uslab.data import ct
    from uslab.data.written import opened
    from uslab.models import store

    if not options.images.is_dir():
        raise UsageError(f"{options.images} is not a folder")
    writable(options.out)
    facts, gan = store.about(options.source), store.load(options.source, options.device)
    if facts["model"] not in ("CycleGAN", "PGSGAN"):
        raise UsageError(f"{options.source} is a {facts['model']}, which translates nothing: use `uslab generate`")
    try:
        cases = ct.read(options.images, None) if facts["model"] == "CycleGAN" else ()
    except FileNotFoundError:
        cases = ()
    asked = {"organ": options.organ, "planes": options.planes, "seed": options.seed} if cases else {}
    with opened(options.out, weights_of(options.source) | {"images": str(options.images.resolve())} | asked) as folder:
        called = {"generator": Path(options.source).name}
        if cases:
            done = {row["group"] for row in folder.rows}
            save(folder, translated_cases(gan, facts, cases, done, options), len(cases), bar="CT", **called)
        else:
            from uslab.data.folders import walk

            files = walk(options.images)
            if len(folder) >= len(files):
                raise UsageError(f"{options.images} holds {len(files)} images, no CT, {options.out} {len(folder)} of "
                                 "them")
            save(folder, translated_images(gan, files[len(folder):], options.images), len(files), **called)


def translated_cases(gan, facts: dict, cases, done: set[str], options: argparse.Namespace) -> Iterator:
    """One set of images a CT case, with its planes' organs as masks; a case without planes is named and left out."""
    import dataclasses

    from uslab.data.slicer import View
    from uslab.data.slices import Slices

    trained_on = facts.get("trained_on", {}).get("ct", {})
    organ = options.organ or trained_on.get("organ")
    if organ is None or "size" not in trained_on:
        raise UsageError(f"{options.source} does not say of what organ and size its planes were: "
                         + ("give --organ" if "size" in trained_on else "translate single planes instead"))
    view = View(*trained_on["size"])
    for case in cases.names:
        if case in done:
            continue
        try:
            planes = Slices.find({case: cases[case]}, organ, options.planes, view, options.seed).images()
        except ValueError as error:
            print(f"{case} is left out: {error}")
            continue
        planes.table["file"] = [f"{case}/{i:03d}" for i in range(len(planes))]
        yield dataclasses.replace(planes, images=gan.translate(planes.images))


def translated_images(gan, files: list[Path], root: Path) -> Iterator:
    """Eight images at a time; a PGSGAN's label images stay beside them as masks."""
    import numpy as np
    import pandas as pd

    from uslab.data import ImageSet
    from uslab.data.files import opened, read_grey, stack, whites
    from uslab.data.written import labels
    from uslab.generators.lots import as_large_as
    from uslab.models.sketches import PALETTE

    white = whites(files) if hasattr(gan, "translate") else {}
    for start in range(0, len(files), 8):
        part, values = files[start:start + 8], {}
        if hasattr(gan, "translate"):
            pictures = [read_grey(file, white)[0] for file in part]
        else:
            pictures = [labels(np.array(image if image.mode in "LP" else image.convert("L")))
                        for image in map(opened, part)]
        if any(picture.shape != pictures[0].shape for picture in pictures):
            odd = next(file for file, picture in zip(part, pictures) if picture.shape != pictures[0].shape)
            raise ValueError(f"{odd} has another size than {part[0]}: give all images one size")
        given = stack(pictures)
        if hasattr(gan, "translate"):
            if given.shape[2] % 4 or given.shape[3] % 4:
                raise ValueError(f"{part[0]} has {given.shape[2]}x{given.shape[3]} pixels: give multiples of 4")
            images = gan.translate(given)
        else:
            images = gan.sample(len(given), 0, given)
            values = {"masks": as_large_as(given, images), "mask_names": PALETTE}
        table = pd.DataFrame({"file": [file.relative_to(root).as_posix() for file in part]})
        yield ImageSet(images, "folder", "real", table, **values)


def weights_of(source: str) -> dict[str, str]:
    """The hash of what makes the images: a run that was trained further makes others."""
    from uslab.metrics.features import sha256
    from uslab.models import store

    folder = store.place(source)
    return {"weights": sha256(next(path for path in (folder / store.WEIGHTS, folder / "checkpoint.safetensors", folder /
                                                     store.CONFIG) if path.is_file()))}


def save(folder, parts: Iterator, total: int, bar: str = "image", **values) -> None:
    """Write the parts under a progress bar, which counts images or parts."""
    from tqdm import tqdm

    with tqdm(total=total, initial=len(folder) if bar == "image" else 0, unit=bar) as progress:
        for part in parts:
            folder.write(part, **values)
            progress.update(len(part) if bar == "image" else 1)
    print(f"{folder.path}: {len(folder)} images, listed in labels.csv")
