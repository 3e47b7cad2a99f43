"""`uslab weights`: list, get and check the weights of pretrained networks. Heavy imports wait for their command."""

import argparse

from uslab.notebooks import UsageError


def add_parser(commands) -> None:
    """Add `weights` and its commands to the command line."""
    weights = commands.add_parser(
        "weights", help="list, get and check the weights of pretrained networks",
        description="Published weights that FID and the papers' classifiers need. They lie in one place, $USLAB_DATA/"
                    "weights or a per-user folder, where every command and notebook finds them.")
    parts = weights.add_subparsers(metavar="COMMAND", required=True)
    for name, function, text in (("list", show, "name the networks, their licence and where their files are"),
                                 ("get", get, "download a network's weights, with checksum and resume"),
                                 ("check", check, "compare what is there with the published checksums")):
        part = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if function is get:
            part.add_argument("name", metavar="NAME", help="as `uslab weights list` names it")
        part.set_defaults(command=function)


def show(options: argparse.Namespace) -> None:
    from uslab.data.weights import WEIGHTS, place

    for name, source in WEIGHTS.items():
        there = "in" if place(name).is_file() else "not yet in"
        print(f"{name:17}{source.title}\n{'':17}{source.licence}; {source.size}; {there} {place(name)}")


def get(options: argparse.Namespace) -> None:
    from uslab.data.download import fetch
    from uslab.data.weights import WEIGHTS, place

    if options.name not in WEIGHTS:
        raise UsageError(f"no weights {options.name!r}: there are {', '.join(WEIGHTS)}")
    source = WEIGHTS[options.name]
    print(f"{fetch(source.files[0], place(options.name).parent)} is complete and will be found. Licence: "
          f"{source.licence}")


def check(options: argparse.Namespace) -> None:
    from uslab.data.weights import WEIGHTS, need, place

    for name in WEIGHTS:
        print(f"{name:17}{f'{need(name)} is right' if place(name).is_file() else 'not here'}")
