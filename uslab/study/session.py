"""One reader's way through a study: which trial is next, and their answers."""

import json
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trial:
    """What may be told to a reader about one trial; neither its truth nor its image's name is in it."""

    trial: str                  # its id within this reader's plan
    pixels: np.ndarray          # (1, H, W) uint8; in pairs (2, H, W), left and right; clips (.., F, H, W)
    buttons: tuple[dict, ...]   # label, choice, confidence; in the order in which they stand for this reader
    quality: tuple[str, ...]    # what the steps of the quality scale mean; empty where it is not asked
    phase: str                  # 'practice' or 'main': repetitions and attention items look like any other
    block: int                  # counted from 1; 0 is the practice. A pause is offered where it changes
    position: int               # of this phase, counted from 1
    n: int                      # trials of this phase
    exposure_ms: int | None     # None: shown until the answer
    mask_ms: int                # noise after the exposure
    beside: dict                # 'comment' and 'mark' of an answer that is given anew


class Session:
    """One reader at work; made by Study.session(code). Several may be open for one reader: the first answer counts.

    Everything is read from the store each time, so a session goes on after a reload, a crash or on another computer.
    """

    def __init__(self, study, reader: str, simulated: bool, order: list[list]):
        self.study, self.reader, self.simulated = study, reader, simulated
        self._store = study.store
        self._plan = [dict(zip(("trial", "phase", "block", "stimuli", "reversed", "told"), row[1:])) for row in order]
        for shown in (("practice",), ("main", "repeat", "attention")):
            members = [row for row in self._plan if row["phase"] in shown]
            for i, row in enumerate(members, 1):
                row["position"], row["n"] = i, len(members)
        self._by_trial = {row["trial"]: row for row in self._plan}

    def __repr__(self) -> str:
        done, n = self.progress
        return f"Session({self.reader}: {done} of {n} answered{', withdrawn' if self.withdrawn else ''})"

    @property
    def consented(self) -> bool:
        return self._has("consent")

    @property
    def withdrawn(self) -> bool:
        return self._has("withdraw")

    @property
    def progress(self) -> tuple[int, int]:
        """Answered trials and all trials, the practice included."""
        return len(self._answered()), len(self._plan)

    def next(
        self,
        ahead: int = 0,     # 1: the trial after the next, for a page that fetches an image before it is due
    ) -> Trial | None:
        """The trial to answer now; None at the end, after a withdrawal, or once the study is closed.

        Nothing is written, so it may be asked any number of times. Raises ValueError before the consent.
        """
        if not self.consented:
            raise ValueError(f"{self.reader} has not consented yet: call consent() first")
        if self.withdrawn or self._store.closed():
            return None
        answered = self._answered()
        rest = [row for row in self._plan if row["trial"] not in answered]
        if len(rest) <= ahead:
            return None
        return self._trial(rest[ahead])

    def answer(
        self,
        trial: str,                     # Trial.trial
        choice: str | None = None,      # of the button
        confidence: int | None = None,  # of the button
        quality: int | None = None,     # counted from 1, where the protocol asks for it
        rt_ms: float | None = None,     # from the image's first frame to the press, measured in the browser
        nonce: str = "",                # made by the client for this answer; sent again with every retry
        client: dict | None = None,     # facts: zoom, blurs, changes of mind, frame times, screen
        comment: str | None = None,     # where the protocol takes one, at most 500 characters
        mark: dict | None = None,       # where it takes one: x, y in pixels from the image's corner; side in pairs
    ) -> dict:
        """Keep an answer on the disk, then acknowledge it: {'nonce', 'counts'} and for practice {'truth'}.

        A retry with the same nonce gives the same acknowledgement. 'counts' is False if the trial had its answer
        already, from another window: go on with next(). Raises ValueError for what no reader can answer, for a trial
        that is not due yet, and after a withdrawal; store.Closed once the study is closed.
        """
        body = self._checked(trial, choice, confidence, quality, rt_ms, nonce, client, comment, mark)
        row = self._by_trial[trial]
        answered = self._answered()
        due = next((r["trial"] for r in self._plan if r["trial"] not in answered), None)
        if trial not in answered and trial != due:
            raise ValueError(f"trial {trial} is not due yet: {due} is")
        counts = self._store.answer(self.reader, trial, nonce, body)
        reply = {"nonce": nonce, "counts": counts}
        if row["phase"] == "practice" and self.study.protocol.buttons:
            reply["truth"] = row["told"]
        return reply

    def last(self) -> Trial | None:
        """The image whose answer may still be given anew: the latest one, once; None where the protocol has no undo."""
        row, body = self._correctable() if self.study.protocol.undo and self.next() else (None, None)
        return row and self._trial(row, {name: body[name] for name in ("comment", "mark") if body.get(name)})

    def correct(
        self,
        trial: str,                     # Trial.trial of last()
        choice: str | None = None,
        confidence: int | None = None,
        quality: int | None = None,
        rt_ms: float | None = None,
        nonce: str = "",
        client: dict | None = None,
        comment: str | None = None,
        mark: dict | None = None,
    ) -> dict:
        """Give the latest answer anew, as answer() takes it; both are kept, and the correction counts."""
        body = self._checked(trial, choice, confidence, quality, rt_ms, nonce, client, comment, mark)
        row, _ = self._correctable()
        repeated = self._store.rows("select 1 from log where reader = ? and nonce = ?", self.reader, nonce)
        if not repeated and (not self.study.protocol.undo or row is None or row["trial"] != trial):
            raise ValueError(f"the answer of trial {trial} cannot be given anew: only the latest can, and once")
        return {"nonce": nonce, "counts": self._store.answer(self.reader, trial, nonce, body, "correction")}

    def event(self, kind: str, body: dict | None = None, trial: str | None = None) -> None:
        """Keep an event of the page: 'ready', 'blur', 'focus', 'resize', 'pause', 'resume', 'takeover', 'error', ..."""
        if kind in ("answer", "correction", "consent", "withdraw", "build", "invite", "reissue", "close", "unblind"):
            raise ValueError(f"{kind!r} is no event of a page")
        self._store.event(self.reader, kind, body, trial)

    def consent(
        self,
        text_sha256: str,               # of the text that was shown: Study.consent_sha256
        form: dict[str, str] | None = None,  # what the reader said of themselves; kept apart and deleted on withdrawal
    ) -> None:
        """Keep the consent. Raises ValueError if another text was shown than the study's."""
        if text_sha256 != self.study.consent_sha256:
            raise ValueError("the reader was shown another consent text than this study's: reload the page")
        if not self.consented:
            self._store.write(("update person set form = ? where reader = ?", (json.dumps(form or {}), self.reader)))
            self._store.event(self.reader, "consent", {"text_sha256": text_sha256})

    def withdraw(self) -> None:
        """Delete what the reader said of themselves and exclude their answers, which stay in the chain."""
        if not self.withdrawn:
            self._store.event(self.reader, "withdraw")
        self._store.write(("delete from person where reader = ?", (self.reader,)))
        self._store.rows("pragma wal_checkpoint(truncate)")     # the form must not survive in the log of the database

    def play(self, reader, stimuli: dict[str, dict], rng: np.random.Generator) -> None:
        """Answer all that is left as a SimulatedReader does. They take no time, so rt_ms is missing."""
        if not self.simulated:
            raise ValueError(f"{self.reader} is a person: simulated readers are invited by Study.autoplay")
        answered, given, own = self._answered(), [], {name: rng.normal() for name in sorted(stimuli)}
        for i, row in enumerate(self._plan):
            if row["trial"] not in answered:
                shown = [(stimuli[name]["truth"], stimuli[name]["method"], own[name])
                         for name in row["stimuli"].split(",")]
                reply = reader.respond(self.study.protocol, shown, i / max(1, len(self._plan) - 1), rng)
                body = {**reply, "rt_ms": None, "client": {"simulated": True}}
                given.append((row["trial"], rng.bytes(16).hex(), body))
        self._store.answer_all(self.reader, given)

    # Inside

    def _checked(self, trial, choice, confidence, quality, rt_ms, nonce, client, comment, mark) -> dict:
        """What the log keeps of an answer. Raises ValueError for what no reader can answer."""
        if trial not in self._by_trial:
            raise ValueError(f"there is no trial {trial!r} in the plan of {self.reader}")
        if not isinstance(nonce, str) or not 8 <= len(nonce) <= 64:
            raise ValueError("nonce must be text of 8 to 64 characters, new for each answer")
        if not self.consented or self.withdrawn:
            raise ValueError(f"{self.reader} has {'withdrawn' if self.withdrawn else 'not consented'}: no answer is "
                             "taken")
        self.study.protocol.check(choice, confidence, quality)
        self.study.protocol.check_beside(comment, mark, self.study.pack.shape[-2:], self.study.pack.length)
        if rt_ms is not None and not (isinstance(rt_ms, (int, float)) and 0 <= rt_ms < 1e9):
            raise ValueError(f"rt_ms is {rt_ms!r}; it is a time in milliseconds")
        beside = {name: value for name, value in (("comment", comment and comment.strip()), ("mark", mark)) if value}
        return {"choice": choice, "confidence": confidence, "quality": quality, "rt_ms": rt_ms, "client": client or {},
                **beside}

    def _trial(self, row: dict, beside: dict | None = None) -> Trial:
        protocol = self.study.protocol
        buttons = protocol.buttons[::-1] if row["reversed"] else protocol.buttons
        return Trial(
            trial=row["trial"], pixels=np.stack([self.study.pack[name] for name in row["stimuli"].split(",")]),
            buttons=tuple({"label": b.label, "choice": b.choice, "confidence": b.confidence} for b in buttons),
            quality=protocol.quality, phase="practice" if row["phase"] == "practice" else "main", block=row["block"],
            position=row["position"], n=row["n"], exposure_ms=protocol.exposure_ms, mask_ms=protocol.mask_ms,
            beside=beside or {},
        )

    def _correctable(self) -> tuple[dict | None, dict]:
        """The row of the plan whose answer may be given anew, if there is one, and that answer."""
        latest = self._store.rows("select kind, trial, body from log where reader = ? "
                                  "and kind in ('answer', 'correction') order by seq desc limit 1", self.reader)
        row = self._by_trial[latest[0][1]] if latest and latest[0][0] == "answer" else None
        return (row, json.loads(latest[0][2])) if row and row["phase"] != "practice" else (None, {})

    def _has(self, kind: str) -> bool:
        return bool(self._store.rows("select 1 from log where reader = ? and kind = ?", self.reader, kind))

    def _answered(self) -> set[str]:
        return {trial for trial, in self._store.rows(
            "select trial from log where reader = ? and kind = 'answer'", self.reader)}
