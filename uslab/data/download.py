"""Fetch files with progress; go on where a download stopped; refuse what has another checksum."""

import hashlib
import json
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

from .sources import File

CHUNK = 1 << 20


class DownloadError(ValueError):
    """A file could not be fetched or is not the right one; the message says what to do."""


def fetch(file: File, folder: Path) -> Path:
    """Download one file into a folder, check it, unpack it if it is an archive; return what is there then.

    A complete file is not fetched again. A part left by a stopped download (.part) is continued by an HTTP range
    request; if the server cannot, it starts anew. A file with another checksum is not kept.
    """
    path = folder / file.name
    if file.creates and (folder / file.creates).exists():
        return folder / file.creates
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_name(path.name + ".part")
            file = with_digest(file)
            receive(file.url, part)
            check(part, file, delete=True)
            os.replace(part, path)
        else:
            check(path, file, delete=False)
        return unpack(path, folder / file.creates) if file.creates else path
    except urllib.error.URLError as error:  # before OSError, of which it is one
        raise DownloadError(f"{file.url} cannot be fetched ({getattr(error, 'reason', error)}): try again "
                            f"later, what has arrived is kept; or download it by hand to {path}") from None
    except OSError as error:
        raise DownloadError(f"{path} cannot be written ({error.strerror or error}): free some space or name another "
                            "folder with --root or $USLAB_DATA; what has arrived is kept") from None


def with_digest(file: File) -> File:
    """The file with the checksum that its record at Zenodo states, where none is written down here."""
    if file.digest or not file.record:
        return file
    with urllib.request.urlopen(file.record, timeout=60) as answer:
        try:
            stated = {entry["key"]: entry["checksum"] for entry in json.load(answer)["files"]}
            return replace(file, digest=stated[file.name])
        except (ValueError, KeyError, TypeError) as error:
            raise DownloadError(f"{file.record} states no checksum of {file.name} ({error!r}): download "
                                f"it by hand from {file.url}") from None


def receive(url: str, part: Path) -> None:
    """Append what is missing of a file to part, with a progress bar."""
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing, or the file on the server is shorter: the checksum tells
            return
        raise
    with answer:
        if answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with open(part, "ab" if have else "wb") as out, tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc=part.name.removesuffix(".part")) as bar:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
            if total and bar.n < total:
                raise urllib.error.URLError(f"the connection ended after {bar.n} of {total} bytes")


def check(path: Path, file: File, delete: bool) -> None:
    """Compare a file with its published checksum; raise DownloadError if it is another one."""
    if not file.digest:
        return
    kind, _, expected = file.digest.partition(":")
    with open(path, "rb") as content:
        found = hashlib.file_digest(content, kind).hexdigest()
    if found.startswith(expected):
        return
    if delete:
        path.unlink()
    raise DownloadError(f"{path.name.removesuffix('.part')} has the {kind} {found}, published is {expected}: it "
                        "is damaged or another version, and was "
                        f"{'not kept; try again' if delete else f'left alone; delete {path}'}")


def unpack(archive: Path, target: Path) -> Path:
    """Unpack a zip beside itself, so that target exists at the end only if all of it is there."""
    work = archive.with_name(archive.name + ".unpacked")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(work)
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{archive} is no complete zip file ({error}): delete it and try again") from None
    inner = work / target.name
    os.replace(inner if inner.is_dir() else work, target)
    shutil.rmtree(work, ignore_errors=True)
    return target
