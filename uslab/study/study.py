"""Study: a folder with what is served (public/) and what is sealed (SEALED/), from build to report."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from uslab.data.atomic import written_aside
from uslab.data.reading import read_json
from uslab.pages.messages import messages
from uslab.study import evidence, lock
from uslab.study.pack import PACK, Pack, unseal
from uslab.study.protocol import Protocol
from uslab.study.session import Session
from uslab.study.store import FORMAT, ORDERS, Store


class Study:
    """A blinded reader study on disk.

    In its folder lie

        public/     study.json (protocol, design, commitment to the key), stimuli.safetensors (pixels under opaque
                    names), answers.db and its readable mirror answers.jsonl. It is what is served, and holds no truth.
                    The orders in it, which balanced as they are could be solved for the truth, open each with its
                    reader's code alone.
        orders.key  opens every order, so that readers can be invited: for the organiser's eyes.
        SEALED/     key.json: the truth, method and source of every stimulus, and the secret of the orders. Move it to
                    another machine until the study is closed.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder).expanduser()
        self.folder = folder.parent if folder.name == "public" else folder
        self.public = self.folder / "public"
        path = self.public / "study.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: name the folder that `uslab study build` wrote")
        self.about = read_json(path)
        if self.about.get("version") != FORMAT:
            raise ValueError(f"{path} was written by another version of uslab (format {self.about.get('version')}, "
                             f"this one reads {FORMAT}): finish the study with that version, or build it anew")
        self.protocol = Protocol.from_dict(self.about["protocol"])
        self.store = Store(self.public)

    @classmethod
    def open(cls, folder: str | Path) -> "Study":
        """The study in a folder, or in its public/ alone. Raises FileNotFoundError if there is none.

        Args:
            folder: The study's folder, or its public/ alone.
        """
        return cls(folder)

    @classmethod
    def build(
        cls, real: Any, synthetic: dict[str, Any], protocol: str | Protocol = "yesno_conf", *, out: str | Path,
        n_per_method: int | None = None, n_real: int | None = None, repeats: float | None = None,
        practice: int | None = None, attention: int | None = None, readers: int | None = None,
        margin: float | None = None, rules: dict | None = None, seed: int = 0, title: str | None = None,
        texts: Mapping | None = None, exclude: Sequence[str] = (),
        size: int | None = None, crop: bool = False, acknowledge_text: bool = False,
    ) -> "Study":
        """Build a study. Nothing given stays in it but pixels: no file name, metadata, size or format reaches a reader.

        Raises ValueError, naming the value or file, for too few images, equal images, burnt-in text, an impossible
        design; FileExistsError if the folder is in use.

        Args:
            real: Any source of uslab.data.open, such as an ImageSet or 'phantom:liver'.
            synthetic: Method -> the same, such as the folder of a run: the last set that it kept.
            protocol: A key of PROTOCOLS or PRESETS, or a Protocol.
            out: The study's folder, new or empty.
            n_per_method: Synthetic images (pairs, in 2afc) of each method; default 20.
            n_real: Real images; default: as many as synthetic ones.
            repeats: Share of the images shown twice, for agreement within readers; 0.15.
            practice: Trials with feedback before, never analysed, even; 4.
            attention: Items of pure noise, to find readers who do not look; 5.
            readers: Readers that can be invited at most, each with an order of their own; 20.
            margin: Of equivalence: accuracies within 0.5 +- margin count as guessing; 0.1.
            rules: Other values for rules.RULES, by which readers are flagged and equivalence is withheld.
            seed: The same seed chooses the same images; orders need the sealed secret too.
            title: Readers see it; default 'Reader study', in the study's language.
            texts: Other words than the protocol's, 'language', or 'fps' for clips, frames that share a `clip` in the
                table of their set: see Protocol.worded.
            exclude: Files that are left out, as their origins call them.
            size: Side of the images, pixels; default: the smallest origin's.
            crop: Crop all images to the scan region and paint over text first.
            acknowledge_text: Go on though images seem to hold burnt-in text.
        """
        from uslab.study.build import build

        build(real, synthetic, protocol, seed, Path(out).expanduser(), title, dict(texts or {}), exclude, size, crop,
              acknowledge_text,
              n_per_method=n_per_method, n_real=n_real, repeats=repeats, practice=practice, attention=attention,
              readers=readers, margin=margin, rules=rules)
        study = cls(out)
        study.store.event("", "build", evidence.hashes(study) | {"key": study.about["key_commitment"]})
        evidence.deposit(study, "build")
        return study

    def __repr__(self) -> str:
        n = self.about["n_trials"]
        clips = f", clips of {self.pack.shape[0]} frames at {self.protocol.fps} a second" if self.protocol.fps else ""
        return (f"Study({self.about['title']!r}, {self.protocol.name}: {n} trials a reader{clips}, "
                f"{len(self.readers())} readers invited{', closed' if self.store.closed() else ''})")

    @cached_property
    def pack(self) -> Pack:
        return Pack(self.public / PACK)

    @property
    def consent_sha256(self) -> str:
        """Hash of the consent text, which a page hands back with the consent."""
        return hashlib.sha256(self.protocol.consent.encode()).hexdigest()

    def readers(self) -> list[dict]:
        """Every invited reader: id, slot, simulated, label (None after a withdrawal), form."""
        rows = self.store.rows("select r.id, r.slot, r.simulated, p.label, p.form from reader r left join person p "
                               "on p.reader = r.id order by r.slot")
        return [{"reader": id, "slot": slot, "simulated": bool(simulated), "label": label,
                 "form": json.loads(form or "{}")}
                for id, slot, simulated, label, form in rows]

    def invite(
        self,
        label: str,                 # how the organiser knows the reader; deleted if the reader withdraws
        simulated: bool = False,    # a SimulatedReader; a study has either people or simulated readers
        replacing: str | None = None,   # label or id of a reader who does not go on: the new one gets the same order
    ) -> str:
        """A new reader; returns the code of their link. Only its hash is kept, so note it: it cannot be shown again."""
        readers = self.readers()
        if any(reader["simulated"] != simulated for reader in readers):
            raise ValueError("people and simulated readers cannot be in one study: build another one")
        if any(reader["label"] == label for reader in readers):
            raise ValueError(f"{label!r} is invited already: give every reader a label of their own")
        if self.store.closed():
            raise ValueError("the study is closed: nobody can be invited any more")
        slots, taken = self.store.rows("select count(*) from plan")[0][0], {reader["slot"] for reader in readers}
        if replacing is None and len(taken) >= slots:
            raise ValueError(f"all {slots} orders are given out: build the study with more readers, or let a new one "
                             "replace one who does not go on (replacing=, --replacing)")
        slot = self._found(replacing)["slot"] if replacing else min(set(range(slots)) - taken)
        code, reader = secrets.token_urlsafe(12), f"R{len(readers) + 1:02d}"
        self.store.write(("insert into reader values (?, ?, ?)", (reader, slot, int(simulated))),
                         ("insert into person values (?, ?, null)", (reader, label)),
                         ("insert into code values (?, ?, ?)", (_hash(code), reader, self._wrapped(code, slot))),
                         event=("invite", {"reader": reader, "slot": slot, "simulated": simulated,
                                           "code": _hash(code)}))
        return code

    def reissue(
        self,
        label: str,                 # of the reader, or their id
    ) -> str:
        """A new code for a reader who lost theirs; the old one is refused from now on."""
        reader, code = self._found(label), secrets.token_urlsafe(12)
        self.store.write(("insert into code values (?, ?, ?)",
                          (_hash(code), reader["reader"], self._wrapped(code, reader["slot"]))),
                         event=("reissue", {"reader": reader["reader"], "code": _hash(code)}))
        return code

    def withdraw(
        self,
        label: str,                 # of the reader, or their id
    ) -> None:
        """Withdraw a reader who asked for it, as their own page does: Session.withdraw."""
        Session(self, self._found(label)["reader"], False, []).withdraw()

    def session(
        self,
        code: str,      # from the reader's link
    ) -> Session:
        """The session of a reader, new or resumed. Raises ValueError for a code that belongs to nobody."""
        found = self.store.rows("select r.id, r.simulated, r.slot, c.sealed from code c join reader r "
                                "on r.id = c.reader where c.hash = ? and c.rowid = "
                                "(select max(rowid) from code where reader = r.id)", _hash(code))
        if not found:
            raise ValueError("this invitation is not known here: check the link")
        reader, simulated, slot, sealed = found[0]
        key = bytes.fromhex(lock.unlock(lock.of_code(code), sealed))
        return Session(self, reader, bool(simulated), self.order(slot, key))

    def order(
        self,
        slot: int,
        key: bytes,     # from a reader's code, or lock.order_key of the sealed key
    ) -> list[list]:
        """The order of a slot, as build.rows made it. Raises ValueError for another key."""
        return lock.unlock(key, self.store.rows("select sealed from plan where slot = ?", slot)[0][0])

    def status(self):
        """DataFrame, one row a reader: reader, label, answered, of, state, last (UTC time of the last answer)."""
        import pandas as pd

        n = self.about["n_trials"]
        rows = []
        for reader in self.readers():
            done, last = self.store.rows("select count(*), max(at) from log where reader = ? and kind = 'answer'",
                                         reader["reader"])[0]
            kinds = {kind for kind, in self.store.rows("select distinct kind from log where reader = ?",
                                                       reader["reader"])}
            state = ("withdrawn" if "withdraw" in kinds else "complete" if done == n else "reading" if done
                     else "consented" if "consent" in kinds else "invited")
            rows.append((reader["reader"], reader["label"], done, n, state, reader["simulated"],
                         pd.to_datetime(last, unit="s", utc=True).floor("s") if last else pd.NaT))
        return pd.DataFrame(rows, columns=["reader", "label", "answered", "of", "state", "simulated", "last"])

    def close(self) -> None:
        """Take no answers any more. It cannot be undone."""
        if not self.store.closed():
            self.store.event("", "close")
            evidence.deposit(self, "close")

    def backup(self, folder: str | Path) -> Path:
        """Copy public/ whole into a new folder while readers answer; SEALED is not copied."""
        import shutil

        folder = Path(folder).expanduser()
        if folder.exists():
            raise FileExistsError(f"{folder} exists: nothing is overwritten; name another folder")
        with written_aside(folder) as part:
            (part / "public").mkdir(mode=0o700)
            for name in ("study.json", PACK):
                shutil.copy2(self.public / name, part / "public" / name)
            self.store.backup(part / "public")
        return folder

    def rehearsal(
        self,
        out: str | Path,    # the rehearsal's folder, new or empty
    ) -> "Study":
        """A study with the same protocol, words, design and rules on simulated images: to be answered whole, closed and
        reported before anybody is invited. Its images stand in for this study's, so nothing of it tells their truth.

        Raises FileExistsError if the folder is in use.
        """
        from uslab.study.rehearsal import stand_ins

        design = dict(self.about["design"])
        return Study.build(*stand_ins(self), self.protocol, out=out,
                           title=messages(self.protocol.language)["rehearsal"].format(title=self.about["title"]),
                           acknowledge_text=True, **design)

    def autoplay(
        self,
        *readers,                           # SimulatedReader each; a study with people in it takes none
        key: str | Path | None = None,      # as for key(); simulated readers need the truth
    ) -> None:
        """Let simulated readers answer every trial. They are marked so, and so is every result that rests on them."""
        import numpy as np

        stimuli = self.key(key)["stimuli"]
        for reader in readers:
            session = self.session(self.invite(f"simulated {len(self.readers()) + 1}", simulated=True))
            session.consent(self.consent_sha256)
            session.play(reader, stimuli, np.random.default_rng([reader.seed, len(self.readers())]))

    def audit(self, key: str | Path | None = None):
        """Side channels and cues, an audit.Audit; `blinded` is False if a side channel is open. key: as for key()."""
        from uslab.study.audit import audit

        found = audit(self, self.key(key))
        self.store.event("", "audit", {"blinded": found.blinded, "highest": round(found.highest, 3)})
        return found

    def unaudited(self) -> str:
        """What speaks against showing the study to readers, by its latest audit, in words; '' if nothing does."""
        import json

        from uslab.study.audit import TELLING

        said = self.store.rows("select body from log where kind = 'audit' order by seq desc limit 1")
        if not said:
            return "this study was never audited: run `uslab study audit` before readers see it"
        latest = json.loads(said[0][0])
        if not latest["blinded"]:
            return "the latest audit found a side channel open: run `uslab study audit` again"
        if latest["highest"] > TELLING:
            return (f"the latest audit found cues that tell origins apart with an area of {latest['highest']:.2f}: "
                    "readers need not look at the anatomy; `uslab study audit` says what to prepare otherwise")
        return ""

    def unblind(
        self,
        key: str | Path | None = None,  # as for key()
        early: str | None = None,       # why the answers are looked at before the study is closed; kept in the log
    ):
        """Answers with their truth, a DataFrame (see unblind.answers), also kept as UNBLINDED/answers.csv.

        Raises ValueError while the study is open and no reason is given, if the key is another one, or if the log was
        changed.
        """
        from uslab.study.unblind import unblind

        return unblind(self, key, early)

    def analysis(
        self,
        key: str | Path | None = None,  # as for key()
        margin: float | None = None,    # of equivalence with chance; None: the one that was sealed with the key
    ):
        """Every table of the report, an analysis.Analysis. Raises ValueError before unblinding."""
        from uslab.study.analysis import Analysis
        from uslab.study.unblind import answers

        self._unblinded()
        sealed = self.key(key)
        design = sealed["design"]
        margin = design["margin"] if margin is None else margin
        return Analysis(answers(self, sealed), self.protocol, sealed["methods"], margin, design["rules"])

    def report(
        self,
        out: str | Path,                # new folder: report.html, report.md, figures/, tables/, audit.json
        key: str | Path | None = None,  # as for key()
        margin: float | None = None,    # of equivalence; another one than was sealed is called so in the report
        head: str | None = None,        # of the chain, as it was deposited at build or close; the report checks it
    ) -> Path:
        """Write the report and return its page. Raises ValueError before unblinding, and without any answer."""
        from uslab.study.report import report

        return report(self, Path(out).expanduser(), key, margin, head)

    def export(
        self,
        kind: str,                      # 'csv', 'imrmc' or 'codebook', the data dictionary of both tables
        key: str | Path | None = None,  # as for key()
    ) -> str:
        """All answers with their truth as text of that kind. Raises ValueError before unblinding."""
        from uslab.study import exports
        from uslab.study.codebook import codebook
        from uslab.study.unblind import answers

        if kind not in exports.KINDS:
            raise ValueError(f"no export {kind!r}: choose one of {', '.join(exports.KINDS)}")
        if kind == "codebook":
            return codebook(self.protocol).to_csv(index=False)
        self._unblinded()
        sealed = self.key(key)
        table = answers(self, sealed)
        return exports.tidy(table) if kind == "csv" else exports.imrmc(table, self.protocol, sealed["methods"])

    def key(self, path: str | Path | None = None) -> dict:
        """The sealed key, checked against the commitment. path: key.json or its folder; None: SEALED/ by public/."""
        path = Path(path).expanduser() if path else self.folder / "SEALED"
        return unseal(path / "key.json" if path.is_dir() else path, self.about["key_commitment"])

    def _found(self, label: str) -> dict:
        """The reader with this label or id."""
        found = [reader for reader in self.readers() if label in (reader["label"], reader["reader"])]
        if not found:
            raise ValueError(f"there is no reader {label!r}: `uslab study status` lists them")
        return found[0]

    def _wrapped(self, code: str, slot: int) -> bytes:
        """The key of a slot's order under a reader's code."""
        path = self.folder / ORDERS
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: readers are invited where the study was built, or where this "
                                    "file lies beside public/")
        return lock.lock(lock.of_code(code), json.loads(path.read_text())[slot])

    def _unblinded(self) -> None:
        if not self.store.rows("select 1 from log where kind = 'unblind'"):
            raise ValueError("the study is still blinded: run Study.unblind or `uslab study unblind` first")


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
