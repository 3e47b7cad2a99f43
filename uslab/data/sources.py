"""Where data sets and weights come from: files with their checksums, or what to ask for where. Cards say the rest."""

from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class File:
    """One file of a download."""

    name: str              # as it is saved, below the set's folder
    url: str
    digest: str = ""       # 'md5:...' or 'sha256:...' as published or its beginning; empty: read from the record
    creates: str = ""      # what unpacking it leaves; empty: not an archive
    record: str = ""       # address of Zenodo's JSON record of the file, which states its checksum


@dataclass(frozen=True)
class Source:
    """How to get one data set, or the weights of one network."""

    title: str
    licence: str
    size: str = ""                      # of the download, for a person; empty where it is not known here
    files: tuple[File, ...] = ()        # empty: nobody may fetch it for you, see ask
    ask: str = ""                       # what to request where, and where to put it


def read(name: str) -> dict[str, Source]:
    """The sources that a file of this folder lists."""
    words = yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return {key: Source(**values | {"files": tuple(File(**file) for file in values.get("files", ()))})
            for key, values in words.items()}


SOURCES = read("sources.yaml")
