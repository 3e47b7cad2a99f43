"""`uslab course`: editions of the notebooks for a class, and what it has answered. Heavy imports wait."""

import argparse
from pathlib import Path

from uslab.cli.options import directory, writable
from uslab.notebooks import UsageError


def add_parser(commands) -> None:
    """Add `course` and its commands to the command line."""
    parts = commands.add_parser(
        "course", help="editions of the notebooks for students, and what a class has answered",
        description="For lecturers: docs/lecturer.md has the plan of a course.",
    ).add_subparsers(metavar="COMMAND", required=True)
    for name, function, text in (
        ("make", made, "write an edition for students and one with the answers"),
        ("collect", collected, "gather the answers and predictions of a class in one table, with histograms"),
        ("reset", put_back, "put a student's notebook back as it came; what was there is kept beside it"),
    ):
        part = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        part.set_defaults(command=function)
        if name == "make":
            part.add_argument("folder", metavar="DIR", type=Path, help="new folder, for student/ and solution/")
        elif name == "collect":
            part.add_argument("folder", metavar="DIR", type=directory, help="with a folder for each student")
            part.add_argument("--out", metavar="DIR", type=Path, required=True, help="new folder")
        else:
            part.add_argument("notebook", metavar="NOTEBOOK", type=Path, help="the student's file")


def made(options: argparse.Namespace) -> None:
    from uslab.course import editions

    editions.make(options.folder)
    print(f"{options.folder / 'student'} is for students; {options.folder / 'solution'} holds the answers")


def collected(options: argparse.Namespace) -> None:
    from uslab.course import answers
    from uslab.data.atomic import write_text, written_aside

    if options.out.exists():
        raise UsageError(f"{options.out} is there already: name another folder")
    writable(options.out)
    table = answers.collect(options.folder)
    with written_aside(options.out) as part:
        write_text(part / "answers.csv", table.to_csv(index=False))
        answers.histograms(table).savefig(part / "answers.png", dpi=100)
    asked = table[table.kind != "prediction"].astype({"right": "boolean"})
    shares = asked.groupby(["notebook", "name"], sort=False).right.agg(answered="count", right="sum")
    print(f"{table.student.nunique()} students; answers.csv and answers.png are in {options.out}")
    print(shares.to_string())


def put_back(options: argparse.Namespace) -> None:
    from uslab.course import editions

    if not options.notebook.is_file():
        raise UsageError(f"{options.notebook} is not a file")
    print(f"{options.notebook} is as it came; what was there is {editions.reset(options.notebook)}")
