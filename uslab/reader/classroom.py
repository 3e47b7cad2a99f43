"""A class as readers: one link for all, from which each browser gets a seat of its own."""

import contextlib
import hashlib
import io
import os
import secrets
import socket
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path

from uslab.study.study import Study

ROOM = "USLAB_STUDY_CLASS"      # in the server's environment: the hash of the class's code, and its seats
SEAT = "uslab_seat"             # the cookie by which a browser that comes by the class's link finds its seat again


@dataclass
class Room:
    """The class's link while one server runs; the code is kept nowhere."""

    address: str                # of the server, as the class sees it
    seats: int
    code: str = field(default_factory=lambda: secrets.token_urlsafe(9))

    @property
    def link(self) -> str:
        return f"{self.address}?class={self.code}"

    @property
    def environment(self) -> dict[str, str]:
        """What the server needs to know of it."""
        return {ROOM: f"{hashed(self.code)} {self.seats}"}

    def qr(self):
        """The link as a QR code."""
        import segno

        return segno.make(self.link, error="m")


def hashed(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def lan() -> str:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def seats(code: str) -> int:
    """How many seats the class of this code has. Raises ValueError for another code."""
    room, _, number = os.environ.get(ROOM, "").partition(" ")
    if not room or not compare_digest(hashed(code), room):
        raise ValueError("This is not the link of the class.")
    return int(number)


def seat(study: Study, code: str, cookie: str | None) -> str:
    """The code of a reader's own link for who comes by the class's: the one they have, or a new one.

    Raises ValueError for another code, and once all seats are taken.
    """
    number = seats(code)
    if cookie:
        with contextlib.suppress(ValueError):       # of another study
            study.session(cookie)
            return cookie
    taken = sum((reader["label"] or "class ").startswith("class ") for reader in study.readers())
    if taken >= number:
        raise ValueError(f"All {number} seats of the class are taken.")
    return study.invite(f"class {len(study.readers()) + 1:02d}")


def announced(room: Room, path: Path) -> str:
    """What the terminal says of it."""
    text = io.StringIO()
    room.qr().terminal(out=text, compact=True)
    return (f"{text.getvalue()}The class, {room.seats} seats: {room.link}\n"
            f"How the class does, for a projector: {path.resolve().as_uri()}")
