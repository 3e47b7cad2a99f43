"""What readers did, so kept that nothing acknowledged is lost, doubled or changed unseen: SQLite, hash chain, mirror.

One table, `log`, holds every answer and event in order; triggers forbid to change or delete a row, and each row's hash
covers the row before it. `person` alone can be deleted from: it holds what readers say of themselves.
"""

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORMAT = 2      # of a study's folder; what was built in another is refused, not misread
ORDERS = "orders.key"   # in the study's folder, not in public/: opens every order, for `invite`
DATABASE, MIRROR = "answers.db", "answers.jsonl"
COLUMNS = ("seq", "at", "reader", "kind", "trial", "nonce", "body")
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NETWORK = ("nfs", "cifs", "smb", "fuse", "9p", "drvfs", "davfs", "afs", "ncp")   # file systems without shared memory

SCHEMA = """
create table if not exists reader (id text primary key, slot integer not null, simulated integer not null);
create table if not exists code (hash text primary key, reader text not null references reader, sealed blob not null);
create table if not exists person (reader text primary key references reader, label text not null, form text);
create table if not exists plan (slot integer primary key, sealed blob not null);
create table if not exists log (seq integer primary key, at real not null, reader text not null, kind text not null,
                                trial text, nonce text, body text not null, hash text not null);
create unique index if not exists one_answer on log (reader, trial) where kind = 'answer';
create unique index if not exists one_correction on log (reader, trial) where kind = 'correction';
create unique index if not exists one_nonce on log (reader, nonce) where nonce is not null;
"""
TRIGGERS = "".join(
    f"create trigger if not exists {table}_no_{verb} before {verb} on {table} "
    f"begin select raise(abort, '{table} is append-only'); end;\n"
    for table in ("log", "plan", "reader", "code") for verb in ("update", "delete"))


class Store:
    """The database of one study. Safe to use from several threads and from several processes at once.

    Write-ahead log with full sync, so that an answer is on the disk before it is acknowledged; on network file systems,
    which have no shared memory, a rollback journal with full sync.
    """

    def __init__(self, folder: Path, create: bool = False):
        self.path, self.mirror = folder / DATABASE, folder / MIRROR
        if not create and not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is missing: copy the study's folder public/ whole")
        if create:      # SQLite gives its further files the rights of this one
            self.path.touch(mode=0o600)
        self._lock = threading.RLock()      # JupyterLab handles a page's messages in threads of their own
        self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            journal = "delete" if on_network(folder) else "wal"
            self.mode = self._db.execute(f"pragma journal_mode={journal}").fetchone()[0]
            sound = self._db.execute("pragma quick_check").fetchone()[0]
        except sqlite3.DatabaseError as error:
            # Else the disk is full, another process holds the lock, or the folder takes no files.
            if getattr(error, "sqlite_errorcode", 0) & 0xff not in DAMAGED:
                self._db.close()
                raise OSError(f"{self.path} cannot be opened ({error}): nothing in it is lost; make room or give the "
                              "rights to write there, and try again") from None
            sound = str(error)
        if sound != "ok":
            self._db.close()
            raise ValueError(f"{self.path} is damaged ({sound.splitlines()[0]}), as by a copy taken while a reader "
                             f"answered: copy again with `uslab study backup`. Every answer is in {MIRROR} too")
        self._db.execute("pragma synchronous=full")
        self._db.execute("pragma secure_delete=on")     # what a reader withdraws is overwritten
        if create:
            self._db.executescript(SCHEMA + TRIGGERS)
        self._catch_up()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def content(self) -> bytes:
        """The whole database as its file holds it, once all is written.

        To read the file itself would end the locks that this process has on it (POSIX), and other processes would then
        write a database of their own.
        """
        with self._lock:
            return self._db.serialize()

    def rows(self, query: str, *values) -> list[tuple]:
        """The rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def write(self, *statements: tuple[str, tuple], event: tuple[str, dict] | None = None) -> None:
        """Carry out statements, and append an organiser's event (kind, body), in one transaction."""
        with self._transaction():
            for statement, values in statements:
                self._db.execute(statement, values)
            if event:
                self._append("", event[0], None, None, event[1])

    def event(self, reader: str, kind: str, body: dict | None = None, trial: str | None = None) -> None:
        """Append an event; reader '' stands for the organiser."""
        with self._transaction():
            self._append(reader, kind, trial, None, body or {})

    def answer(self, reader: str, trial: str, nonce: str, body: dict, kind: str = "answer") -> bool:
        """Append an answer, or its 'correction', exactly once.

        True if it counts, False if this trial had its answer from another window.

        The same nonce gives the same reply, however often it is sent. Raises ValueError if a nonce comes again with
        another trial, and Closed if the study is closed and this answer is new.
        """
        with self._transaction():
            before = self._db.execute("select trial from log where reader = ? and nonce = ?",
                                      (reader, nonce)).fetchone()
            if before:
                if before[0] != trial:
                    raise ValueError(f"the nonce of trial {before[0]} came again with trial {trial}")
                return True
            if self.closed():
                raise Closed("the study is closed: no answers are taken any more")
            taken = self._db.execute("select 1 from log where kind = ? and reader = ? and trial = ?",
                                     (kind, reader, trial)).fetchone()
            if not taken:
                self._append(reader, kind, trial, nonce, body)
            return not taken

    def answer_all(self, reader: str, answers: list[tuple[str, str, dict]]) -> None:
        """Append many answers (trial, nonce, body) of a simulated reader in one transaction, all or none."""
        with self._transaction():
            if self.closed():
                raise Closed("the study is closed: no answers are taken any more")
            for trial, nonce, body in answers:
                self._append(reader, "answer", trial, nonce, body)

    def closed(self) -> bool:
        return bool(self.rows("select 1 from log where kind = 'close'"))

    def verify(self) -> tuple[int, str]:
        """Number of rows of the log and the last hash. Raises ValueError, naming the row, if the chain is broken."""
        head = ""
        count = 0
        for *values, found in self.rows(f"select {', '.join(COLUMNS)}, hash from log order by seq"):
            count += 1
            head = digest(head, values)
            if head != found or values[0] != count:
                raise ValueError(f"{self.path}: row {values[0]} of the log was changed, or a row before it taken out: "
                                 f"the answers cannot be trusted. Compare with {self.mirror.name} and with a backup")
        return count, head

    def mirrored(self) -> bool:
        """Whether the mirror says the same as the log, row for row."""
        try:
            lines = [json.loads(line) for line in self.mirror.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError):
            return False
        return lines == list(map(_line, self.rows("select * from log order by seq")))

    def backup(self, folder: Path) -> None:
        """Copy the database whole while readers answer, and its mirror."""
        with self._lock:
            (folder / DATABASE).touch(mode=0o600)
            copy = sqlite3.connect(folder / DATABASE)
            self._db.backup(copy)
            copy.close()
        Store(folder).close()     # writes its mirror

    # Inside

    @contextmanager
    def _transaction(self, mirrored: bool = True) -> Iterator[None]:
        """Begin with the write lock; commit and bring the mirror up to it, or roll back on an error."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
            if mirrored:
                self._catch_up()

    def _append(self, reader: str, kind: str, trial: str | None, nonce: str | None, body: dict) -> None:
        last = self._db.execute("select seq, hash from log order by seq desc limit 1").fetchone() or (0, "")
        values = [last[0] + 1, round(time.time(), 3), reader, kind, trial, nonce, json.dumps(body, sort_keys=True)]
        self._db.execute("insert into log values (?, ?, ?, ?, ?, ?, ?, ?)", (*values, digest(last[1], values)))

    def _catch_up(self) -> None:
        """Bring the mirror up to the log: after every commit, and after a kill between a commit and this.

        The database's own write lock keeps two processes apart. A mirror that cannot be written stops nobody: the
        answers are safe, and the next row tries again.
        """
        try:
            with self._transaction(mirrored=False):
                if not self._db.execute("select 1 from sqlite_master where name = 'log'").fetchone():
                    return
                with open(self.mirror, "a+b", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                    done = _last_complete(file)
                    rows = self._db.execute("select * from log where seq > ? order by seq", (done,)).fetchall()
                    for row in rows:
                        file.write(json.dumps(_line(row)).encode() + b"\n")
                    if rows:
                        file.flush()
                        os.fsync(file.fileno())
        except OSError:
            pass


class Closed(ValueError):
    """The study takes no answers any more."""


def _line(row: tuple) -> dict:
    """A row of the log as a line of the mirror holds it."""
    line = dict(zip((*COLUMNS, "hash"), row))
    return line | {"body": json.loads(line["body"])}


def digest(before: str, values: list) -> str:
    """SHA-256 of a row of the log and of the hash before it."""
    return hashlib.sha256((before + json.dumps(list(values))).encode()).hexdigest()


def _last_complete(file) -> int:
    """The number of the mirror's last whole line; a line that a kill cut off is removed."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end and tail.count(b"\n") < 2:
        start = max(0, end - 65536)
        file.seek(start)
        tail = file.read(end - start) + tail
        end = start
    whole = tail[:tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        file.truncate(end + len(whole))
    file.seek(0, os.SEEK_END)
    return json.loads(whole.splitlines()[-1])["seq"] if whole else 0


def on_network(folder: Path) -> bool:
    """Whether a folder lies on a network file system, where a write-ahead log must not be used."""
    import psutil

    folder = str(folder.resolve())
    places = [part for part in psutil.disk_partitions(all=True)
              if folder == part.mountpoint or folder.startswith(part.mountpoint.rstrip("/\\") + os.sep)]
    kind = max(places, key=lambda part: len(part.mountpoint)).fstype.lower() if places else ""
    return kind.startswith(NETWORK)
