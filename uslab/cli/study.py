"""`uslab study`: build, invite, serve, status, audit, backup, close, unblind, report, export, plan.

Heavy imports wait for their command.
"""

import argparse
import sys
from pathlib import Path

from uslab.cli.options import directory, new_file, number, seed, side, whole, writable
from uslab.notebooks import UsageError, read_yaml


def add_parser(commands) -> None:
    """Add `study` and its commands to the command line."""
    study = commands.add_parser(
        "study", help="blinded reader studies: build, serve, unblind, report",
        description="Blinded reader studies: can readers tell synthetic images from real ones?",
        epilog="from a trained run to a served study:\n"
        "  uslab study build studies/a --real phantom:fetal_head --synthetic dcgan=runs/a/01_dcgan_fetal_head/run-1\n"
        "  uslab study invite studies/a 'Dr A' 'Dr B'\n"
        "  uslab study serve studies/a\n"
        "from a closed study to its report:\n"
        "  uslab study unblind studies/a\n"
        "  uslab study report studies/a --out studies/a_report",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = study.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function, text: str, folder: bool = True, key: bool = False) -> argparse.ArgumentParser:
        part = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if folder:
            part.add_argument("study", metavar="STUDY", type=Path, help="the study's folder")
        if key:
            part.add_argument("--key", metavar="FILE", type=Path,
                              help="the sealed key, where SEALED/ is not beside public/ any more")
        part.set_defaults(command=function)
        return part

    part = add("build", build, "choose and prepare images, seal the key, plan the orders")
    part.add_argument("--real", metavar="SOURCE", required=True,
                      help="phantom:NAME, a data set such as hc18, a folder of images or a .safetensors set")
    part.add_argument("--synthetic", metavar="NAME=SOURCE", action="append", required=True,
                      help="a method and its images: a run's folder, generator:NAME, or any source that --real takes; "
                      "repeatable")
    part.add_argument("--root", metavar="DIR", type=directory, help="folder of the data set that --real names")
    part.add_argument("--protocol", metavar="NAME", default="yesno_conf",
                      help="yesno, yesno_conf (default), 2afc, likert, yesno_likert, timed, or a paper's design: "
                      "liang2020, bautista2022, bautista2022_balanced")
    for name, kind, text in (("n", whole(1), "synthetic images of each method (default: 20)"),
                             ("n-real", whole(1), "real images (default: as many as synthetic ones)"),
                             ("repeats", number(0, 1), "share of the images shown twice (default: 0.15)"),
                             ("practice", whole(0), "trials with feedback before, even (default: 4)"),
                             ("attention", whole(0), "items of pure noise (default: 5)"),
                             ("readers", whole(1), "readers that can be invited at most (default: 20)"),
                             ("margin", number(0, 0.5), "accuracies within 0.5 +- N count as guessing (default: 0.1)"),
                             ("size", side, "side of the images in pixels (default: the smallest origin's)")):
        part.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    part.add_argument("--seed", type=seed, default=0, metavar="N", help="of the choice of images (default: 0)")
    part.add_argument("--title", metavar="TEXT", help="readers see it (default: Reader study)")
    part.add_argument("--language", metavar="LANGUAGE", default="en",
                      help="of all that readers read: en (default) or de; your own texts stay as they are")
    part.add_argument("--question", metavar="TEXT", help="above the buttons (default: the protocol's)")
    part.add_argument("--instructions", metavar="FILE", type=Path, help="text before the images (default: a short one)")
    part.add_argument("--consent", metavar="FILE", type=Path, help="text that readers agree to (default: a short one)")
    part.add_argument("--form", metavar="FILE", type=Path,
                      help="YAML of what a reader is asked of themselves: name: label, or name: [label, [options]]")
    part.add_argument("--fps", metavar="N", type=whole(1, 60),
                      help="show clips, at so many frames a second: images that share a clip in the table of their "
                      "set, or in labels.csv (default: still images)")
    part.add_argument("--frames", metavar="N", type=whole(2),
                      help="of each clip (default: as many as the shortest has)")
    part.add_argument("--undo", action="store_true", help="the latest answer may be given anew, once; both are kept")
    part.add_argument("--smooth", action="store_true", help="interpolate what is enlarged (default: squares)")
    part.add_argument("--window", action="store_true", help="readers may change window and level of an image")
    part.add_argument("--comment", action="store_true", help="readers may write a comment with each answer")
    part.add_argument("--mark", action="store_true", help="readers may mark one point of each image: where it shows")
    part.add_argument("--rules", metavar="FILE", type=Path,
                      help="YAML of quality rules, such as attention_missed: 0.1, that are sealed with the study")
    part.add_argument("--exclude", metavar="FILE", action="append", default=[],
                      help="an image to leave out, as its origin calls it; repeatable")
    part.add_argument("--crop", action="store_true", help="crop all images to the scan region and paint over text")
    part.add_argument("--acknowledge-text", action="store_true", help="go on though images seem to hold burnt-in text")

    part = add("rehearse", rehearse, "make a study of the same design on simulated images, to try it whole")
    part.add_argument("--out", metavar="DIR", type=Path, required=True, help="the rehearsal's folder, new")
    part.add_argument("--simulated", metavar="N", type=whole(1), default=0,
                      help="let N simulated readers who tell a little answer it, and write its report beside it")
    part = add("invite", invite, "make a link's code for each reader; shown once, kept nowhere")
    part.add_argument("labels", metavar="LABEL", nargs="+", help="how you know the reader, such as 'Dr A'")
    part.add_argument("--address", metavar="URL",
                      help="of the server as readers see it, such as https://study.example.org/: prints whole links")
    part.add_argument("--sheet", metavar="FILE", type=Path,
                      help="new text file with a letter to each reader, to send or to print; it holds their codes")
    part.add_argument("--replacing", metavar="LABEL", help="give the order of a reader who does not go on")
    for name, function, text in (("reissue", reissue, "make a new code for a reader who lost theirs"),
                                 ("withdraw", withdraw, "withdraw a reader who asked for it")):
        add(name, function, text).add_argument("label", metavar="LABEL", help="of the reader, or their id, such as R03")
    part = add("serve", serve, "show the study to its readers in their browsers, until Ctrl-C")
    part.epilog = "docs/serving_a_reader_study.md shows how to put the server behind a TLS reverse proxy."
    part.add_argument("--invite", metavar="LABEL", action="append", default=[],
                      help="a new reader, whose link is printed, this once; repeatable")
    part.add_argument("--class", metavar="N", type=whole(1), default=0, dest="seats",
                      help="a class of at most N: one link for all with its QR code, and a page of how the class does")
    part.add_argument("--host", metavar="ADDRESS",
                      help="address to listen on (default: 127.0.0.1, reached from this machine alone; with --class "
                      "0.0.0.0, reached from its network)")
    part.add_argument("--port", metavar="NUMBER", type=whole(1, 65535), default=8866, help="(default: 8866)")
    part.add_argument("--address", metavar="URL",
                      help="the server as readers see it, such as https://study.example.org/, for their links")
    part = add("status", status, "say who has answered how much, and whether the log is whole")
    part.add_argument("--watch", metavar="SECONDS", type=number(1, 3600), help="say it again and again, until Ctrl-C")
    add("audit", audit, "look for side channels and cues in the pixels; exit code 1 if a channel is open", key=True)
    part = add("backup", backup, "copy what is served while readers answer; the sealed key is not copied")
    part.add_argument("--out", metavar="DIR", type=Path, required=True, help="new folder")
    part = add("close", close, "take no answers any more; cannot be undone")
    part.add_argument("--yes", action="store_true", help="do not ask")
    part = add("unblind", unblind, "join answers and truth, into UNBLINDED/answers.csv", key=True)
    part.add_argument("--early", metavar="REASON", help="look before the study is closed; the report gives the reason")
    part = add("report", report, "write the report as HTML, Markdown and CSV", key=True)
    part.add_argument("--out", metavar="DIR", type=Path, help="new folder (default: STUDY_report)")
    part.add_argument("--margin", type=number(0, 0.5), metavar="M",
                      help="of equivalence (default: the one given to build); the report says so if it is another")
    part.add_argument("--head", metavar="HASH", help="of the record, as it was deposited at build or close: check it")
    part = add("export", export, "write all answers with their truth for other programs", key=True)
    part.add_argument("--kind", choices=("csv", "imrmc", "codebook"), default="csv",
                      help="tidy table (default), the format of iMRMC, MRMCaov and RJafroc, or the table's codebook, a "
                           "data dictionary that REDCap imports")
    part.add_argument("--out", metavar="FILE", type=Path, required=True, help="new file")

    part = add("plan", plan, "say how many images and readers a power or an equivalence margin needs", folder=False)
    group = part.add_mutually_exclusive_group(required=True)
    group.add_argument("--accuracy", type=number(0, 1), metavar="P", help="true accuracy that is to be told from 0.5")
    group.add_argument("--margin", type=number(0, 0.5), metavar="M",
                       help="show that an accuracy of 0.5 lies within 0.5 +- M")
    part.add_argument("--spread", type=number(0, 0.5), default=0.05, metavar="S",
                      help="standard deviation of accuracy between readers (default: 0.05)")
    part.add_argument("--correlation", type=number(0, 1), default=0.1, metavar="R",
                      help="of two readers' being right about one image (default: 0.1)")


def build(options: argparse.Namespace) -> None:
    import uslab.data
    from uslab.study import Study
    from uslab.study.protocol import OPTIONS, PRESETS

    synthetic = {}
    for text in options.synthetic:
        name, sign, given = text.partition("=")
        if not sign or not given or name in synthetic:
            raise UsageError(f"--synthetic {text}: give each method once, as NAME=SOURCE")
        synthetic[name] = given
    writable(options.study)
    real = uslab.data.open(options.real, options.root) if options.root else options.real
    texts = {name: written(path) for name in ("instructions", "consent") if (path := getattr(options, name))}
    texts |= {"question": options.question} if options.question is not None else {}
    texts |= {"form": read_yaml(options.form)} if options.form else {}
    texts |= {"language": options.language}
    texts |= {name: value for name in ("fps", "frames") if (value := getattr(options, name))}
    texts |= {name: True for name in OPTIONS if getattr(options, name)}
    study = Study.build(
        real, synthetic, options.protocol, out=options.study, n_per_method=options.n,
        n_real=options.n_real, repeats=options.repeats, practice=options.practice, attention=options.attention,
        readers=options.readers, margin=options.margin, seed=options.seed, title=options.title,
        texts=texts, exclude=options.exclude, rules=read_yaml(options.rules) if options.rules else None,
        size=options.size, crop=options.crop, acknowledge_text=options.acknowledge_text)
    print(study)
    if study.about["preset"]:
        print(f"The design follows {PRESETS[study.about['preset']].source}. What a reviewer would hold against it:")
        print("\n".join(f"- {weakness}" for weakness in PRESETS[study.about["preset"]].weaknesses))
    if study.protocol.buttons:
        print(power(study))
    print(f"The truth is in {study.folder / 'SEALED'}: move it to another machine until the study is closed.")
    deposited(study, "build")
    print(f"Next: uslab study audit {options.study}; uslab study invite {options.study} LABEL ...; "
          f"uslab study serve {options.study}")


def rehearse(options: argparse.Namespace) -> None:
    report = options.out.with_name(f"{options.out.name}_report")
    if options.simulated and report.exists():
        raise UsageError(f"{report} exists, where the report would go: nothing is overwritten; name another --out")
    writable(options.out)
    study = opened(options).rehearsal(options.out)
    print(study)
    if not options.simulated:
        print(f"Answer it yourself: uslab study serve {options.out} --invite me; then close, unblind and report "
              f"{options.out} as you will the study.")
        return
    from uslab.study import SimulatedReader

    study.autoplay(*(SimulatedReader(seed=seed) for seed in range(options.simulated)))
    study.close()
    study.unblind()
    print(study.report(report))


def written(path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not in UTF-8 (byte {error.start + 1}): save it so") from None


def power(study) -> str:
    """What the study can show with so many readers, as far as that is known before it."""
    from uslab.study import planner

    design, methods = study.about["design"], study.about["n_methods"]
    made = design["n_per_method"] * methods
    images = made if study.protocol.pair else made + (made if design["n_real"] is None else design["n_real"])
    margin, readers = design["margin"], (3, 6, 10, 20)
    table = planner.table(margin=margin, images=(images,), readers=readers).iloc[0]
    found = ", ".join(f"{table[count]:.2f} with {count}" for count in readers)
    text = (f"Power of showing that readers who guess lie within {margin:g} of chance, by their number, each with "
            f"{images} answers, a spread of 0.05 between them: {found}.")
    if table[readers[0]] < 0.5:
        enough = [count for count in readers if table[count] >= planner.POWER]
        text += (f" Three readers are too few: invite {enough[0]}" if enough else
                 " None of these is enough: take more images or a wider margin") + "; `uslab study plan` says more."
    return text


def opened(options: argparse.Namespace):
    from uslab.study import Study

    return Study.open(options.study)


def deposited(study, when: str) -> None:
    """Tell how the record can be shown to be what it was."""
    print(f"The head of the record is {study.store.verify()[1]}. Deposit {study.folder / f'deposit_{when}.txt'} with a "
          "colleague or a time-stamping service: `uslab study report --head` then shows whether all was written anew")


def reissue(options: argparse.Namespace) -> None:
    print(f"{options.label}: {opened(options).reissue(options.label)}")
    print("The old code is refused from now on.")


def withdraw(options: argparse.Namespace) -> None:
    opened(options).withdraw(options.label)
    print(f"{options.label} has withdrawn: the form is deleted, and the answers are not analysed.")


def invite(options: argparse.Namespace) -> None:
    from uslab.pages.messages import messages

    study = opened(options)
    if options.replacing and len(options.labels) > 1:
        raise UsageError("--replacing: one reader replaces one other")
    if options.sheet and not options.address:
        raise UsageError("--sheet needs --address: a letter holds the link")
    if options.sheet:
        new_file(options.sheet)
    place = options.address.rstrip("/") + "/" if options.address else ""
    start, check = place and f"{place}?r=", f"{place}?check=1"
    letters, letter = [], messages(study.protocol.language)["letter"]
    for label in options.labels:
        link = start + study.invite(label, replacing=options.replacing)
        print(f"{label}: {link}")
        letters.append(letter.format(label=label, title=study.about["title"], link=link, check=check,
                                     instructions=study.protocol.instructions, trials=study.about["n_trials"]))
    if options.sheet:
        options.sheet.touch(mode=0o600)
        options.sheet.write_text("\f".join(letters), encoding="utf-8")
        print(f"The letters are in {options.sheet}, each on a page of its own. Delete it when they are sent.")
    if place:
        print(f"On {check} they see whether their machines are fit, without a code: send it before.")
    print("Send each reader their own " + ("link" if start else "code, as a link of `uslab study serve`")
          + ". Codes are kept nowhere: note them now.")


def serve(options: argparse.Namespace) -> int:
    from uslab.reader import server

    return server.serve(options.study.expanduser(), options.host, options.port, options.address, options.invite,
                        options.seats)


def status(options: argparse.Namespace) -> None:
    import time

    from pandas import NaT

    study = opened(options)
    while True:
        print(study)
        table = study.status()
        if len(table):
            # UTC is what the log holds; the organiser's clock stands beside it.
            times = [None if last is NaT else last.to_pydatetime().astimezone() for last in table["last"]]
            table["here"] = [f"{time:%d %b %H:%M}" if time else "" for time in times]
            print(table.to_string(index=False))
        count, head = study.store.verify()
        print(f"The log is whole: {count} rows, last hash {head[:16]}...", flush=True)
        if not options.watch:
            return
        time.sleep(options.watch)
        print()


def audit(options: argparse.Namespace) -> int:
    found = opened(options).audit(options.key)
    print(found)
    return int(not found.blinded)


def backup(options: argparse.Namespace) -> None:
    writable(options.out)
    print(opened(options).backup(options.out))


def close(options: argparse.Namespace) -> None:
    study = opened(options)
    if not options.yes:
        print(f"{study}: take no answers any more? This cannot be undone [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() != "y":
            raise UsageError("the study stays open; --yes closes it without asking")
    study.close()
    print(f"{study}. Next: uslab study unblind {options.study}")
    deposited(study, "close")


def unblind(options: argparse.Namespace) -> None:
    study = opened(options)
    table = study.unblind(options.key, options.early)
    print(f"{len(table)} answers of {table.reader.nunique()} readers: {study.folder / 'UNBLINDED' / 'answers.csv'}")
    print(f"Next: uslab study report {options.study}")


def report(options: argparse.Namespace) -> None:
    study = opened(options)
    out = options.out or study.folder.with_name(f"{study.folder.resolve().name}_report")
    writable(out)
    print(study.report(out, options.key, options.margin, options.head))


def export(options: argparse.Namespace) -> None:
    from uslab.data.atomic import write_text

    write_text(new_file(options.out), opened(options).export(options.kind, options.key))
    print(options.out)


def plan(options: argparse.Namespace) -> None:
    from uslab.study import planner

    n = planner.images_for_one_reader(options.accuracy, options.margin)
    aim = (f"telling an accuracy of {options.accuracy:g} from chance" if options.accuracy
           else f"showing that an accuracy of 0.5 lies within {options.margin:g} of chance")
    print(f"One reader needs {n} images, half of them real, for a power of {planner.POWER} of {aim} "
          "(exact binomial, 5 %).")
    print(f"Power by images (rows) and readers (columns); between readers a standard deviation of {options.spread:g}, "
          f"a correlation of {options.correlation:g}. One reader's result speaks of that reader alone, that of more "
          "readers of all like them, so a few readers may need more images than one:")
    print(planner.table(options.accuracy, options.margin, options.spread, options.correlation).round(2).to_string())
