"""A class sees itself: a page with the link, how far all are, and how well they tell, anew every few seconds."""

import io
import math
import threading
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from uslab.data.atomic import write_text
from uslab.reader.classroom import Room
from uslab.score import detection, mean
from uslab.study import figures
from uslab.study.protocol import REAL, SYNTHETIC
from uslab.study.study import Study
from uslab.study.unblind import answers

EVERY = 5       # seconds between two pictures of the class
PAGE = """<!DOCTYPE html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content={every}>
<title>{title}</title>
<body style="font: 22px/1.4 system-ui, sans-serif; margin: 1em 2em">
<h1 style="font-size: 28px">{title}</h1>
<div style="display: flex; flex-wrap: wrap; gap: 2em; align-items: center">
<div>{qr}<p><code>{link}</code></p></div><div>{said}</div><div>{pictures}</div></div>
"""


def page(study: Study, key: dict, room: Room) -> str:
    """What the class looks at, as HTML: the link, how far all are, and how well they tell."""
    status = study.status()
    table = answers(study, key)
    main = table[(table.phase == "main") & table.truth.isin([REAL, SYNTHETIC])]
    said = [f"{len(status)} of {room.seats} seats taken, {(status.state == 'complete').sum()} done, "
            f"{len(main)} answers"]
    pictures = ""
    if len(main):
        right = [float(own.correct.mean()) for _, own in main.groupby("reader")]
        d = [d_prime(own) for _, own in main.groupby("reader")]
        finite = [value for value in d if math.isfinite(value)]
        said.append(f"{sum(right) / len(right):.0%} right in the mean")
        said += [str(mean("mean d'", finite, "readers"))] if finite else []
        if len(finite) < len(d):
            said.append(f"no finite d' as yet: {len(d) - len(finite)} of {len(d)}")
        methods = sorted(set(main.method[main.truth == SYNTHETIC]))
        pictures = drawn(histograms(right, finite)) + drawn(figures.roc(main, methods))
    return PAGE.format(every=EVERY, title=escape(study.about["title"]), link=escape(room.link),
                       qr=room.qr().svg_inline(scale=8), said="".join(f"<p>{escape(line)}</p>" for line in said),
                       pictures=pictures)


def d_prime(own) -> float:
    """d' of one reader's answers; not a number where there is no finite one."""
    synthetic, called = own.truth == SYNTHETIC, own.choice == SYNTHETIC
    return detection(int((called & synthetic).sum()), int(synthetic.sum()),
                     int((called & ~synthetic).sum()), int((~synthetic).sum()))[0].value


def histograms(right: list[float], d: list[float]) -> Figure:
    """Shares of right answers and d', one value a reader."""
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    for axis, (values, name, chance, bins) in zip(figure.subplots(1, 2), (
            (right, "right answers", 0.5, [k / 10 for k in range(11)]), (d, "d'", 0, 8))):
        axis.hist(values, bins=bins, color=figures.COLOURS[0])
        axis.axvline(chance, color=figures.GREY, ls="--", lw=1)
        axis.set(xlabel=name, ylabel="readers")
        axis.yaxis.get_major_locator().set_params(integer=True)
        figures.plain(axis)
    return figure


def drawn(figure: Figure) -> str:
    """A figure as SVG in a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue().partition("<svg")[2].join(("<svg", ""))


def follow(folder: Path, room: Room, path: Path, stop: threading.Event) -> None:
    """Write the page anew every few seconds until told to stop."""
    study = Study.open(folder)
    key = study.key()
    while not stop.wait(EVERY):
        write_text(path, page(study, key, room))
    study.store.close()


def begin(study: Study, room: Room) -> Path:
    """Before a class is served: note that its results are looked at, and write its page. Returns the page's path.

    Raises ValueError for a protocol whose answers are not real or synthetic, and OSError without the sealed key.
    """
    if study.protocol.pair or not study.protocol.buttons:
        raise ValueError(f"--class shows how well readers tell real from synthetic, which {study.protocol.name} does "
                         "not ask of single images: build the study with --protocol yesno or yesno_conf")
    slots, taken = study.about["design"]["readers"], len(study.readers())
    if slots - taken < room.seats:
        raise ValueError(f"the study has {slots - taken} orders left, for {room.seats} seats: build it with --readers "
                         f"{room.seats + taken} or more")
    first, path = page(study, study.key(), room), study.folder / "class.html"
    study.unblind(early="the class saw its results while it answered")
    write_text(path, first)
    return path
