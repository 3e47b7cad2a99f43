"""Where each data set comes from: files with their checksums, or what to ask for where. The cards say the rest."""

from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class File:
    """One file of a download."""

    name: str              # as it is saved, below the set's folder
    url: str
    digest: str = ""       # 'md5:...' or 'sha256:...' as published; empty where it is read from the record
    creates: str = ""      # what unpacking it leaves; empty: not an archive
    record: str = ""       # address of Zenodo's JSON record of the file, which states its checksum


@dataclass(frozen=True)
class Source:
    """How to get one data set."""

    title: str
    licence: str
    size: str = ""                      # of the download, for a person; empty where it is not known here
    files: tuple[File, ...] = ()        # empty: nobody may fetch it for you, see ask
    ask: str = ""                       # what to request where, and where to put it


WORDS = yaml.safe_load((Path(__file__).parent / "sources.yaml").read_text(encoding="utf-8"))
SOURCES = {name: Source(**values | {"files": tuple(File(**file) for file in values.get("files", ()))})
           for name, values in WORDS.items()}
