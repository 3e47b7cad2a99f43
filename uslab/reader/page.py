"""Reading: one reader's page in a blinded study. It tells the browser what Session hands out, and that is no truth."""

import json
import os
from pathlib import Path
from urllib.parse import parse_qs

import yaml
from IPython import get_ipython

from uslab.pages.messages import messages
from uslab.reader.server import SERVED
from uslab.study import Session, Study, Trial
from uslab.widgets.live import Live, source
from uslab.widgets.quiz import face

FIXATION_MS = 500                   # a cross before each timed exposure, so that the eye is where the image will be
EVENTS = {"ready", "blur", "focus", "hidden", "visible", "zooms"}    # what a page may enter in the record
LONGEST_EVENT = 2000                # characters, and as many for the facts of an answer
PAD = 4096                          # an image's message is padded to a multiple of this, whatever number it carries
NUMBERS = 10**9                     # a kernel counts its messages from here, so that all counts have as many digits
PAGES = yaml.safe_load((Path(__file__).parent / "pages.yaml").read_text(encoding="utf-8"))


class Reading(Live):
    """The page through which one invited reader takes part: consent, practice, images, pauses, thanks.

    Every answer is on the disk before the page is told so. After a reload, a crash or on another computer the reader
    goes on where they were. Pixels travel as binary messages of one length; nothing of an image is a trait, so no saved
    notebook holds it.
    """

    _css = source("live.css", "quiz.css")

    def __init__(
        self,
        study: Study | str | Path,  # the study, or its folder
        code: str,                  # from the reader's invitation; any other text shows a page that says so
    ):
        self.study = study if isinstance(study, Study) else Study.open(study)
        self.words = messages(self.study.protocol.language)
        self._esm = face(self.study.protocol.language)
        try:
            self.session: Session | None = self.study.session(code)
        except ValueError:
            self.session = None
        self.served = os.environ.get(SERVED) == "1"
        self._stop: str | None = "welcome"      # the page to show before the next image, if any
        self._again = False                     # the latest answer is being given anew
        self._notice = ""                       # what the reader must be told with the next image
        self._shown: dict[str, int] = {}        # how often each trial was sent
        super().__init__()
        if self.session and self.session.consented:
            self._opened()

    def __repr__(self) -> str:
        if not self.session:
            return f"Reader's page of {self.study.about['title']!r}: this invitation is not known"
        done, n = self.session.progress
        return f"Reader's page of {self.study.about['title']!r}: {done} of {n} answered"

    def resend(self) -> None:
        if self.session is None:
            return self._page("refused")
        if self.session.withdrawn:
            return self._page("withdrawn")
        protocol = self.study.protocol
        if not self.session.consented:
            return self._page("consent", protocol.instructions, protocol.consent, title=self.study.about["title"],
                              fields=fields(protocol))
        trial = self.session.next()
        if self._stop == "withdraw":
            return self._page("withdraw")
        if trial is None:
            done, n = self.session.progress
            return self._page("closed" if done < n else "done")
        if self._stop:
            return self._before(trial)
        again = self.session.last() if self._again else None
        self._item(again or trial, bool(again))

    def receive(self, message: dict) -> None:
        """A message of the page. What fails is entered in the record and never told to the page."""
        try:
            self._receive(message)
        except Exception as error:      # the page retries what matters; a traceback might say too much
            if self.session and self.session.consented:
                self.session.event("error", {"error": f"{type(error).__name__}: {error}"[:500]})

    # Inside

    def _receive(self, message: dict) -> None:
        kind = message["type"]
        if self.session is None:
            return self.resend()
        if kind == "answer":
            return self._answer(message)
        if kind == "event":
            body = message.get("body") or {}
            if message["kind"] in EVENTS and self.session.consented and len(json.dumps(body)) <= LONGEST_EVENT:
                self.session.event(message["kind"], body)
            return
        if kind == "consent":
            form = {name: str(value) for name, value in message["form"].items()
                    if name in self.study.protocol.form and value is not None}
            self.session.consent(self.study.consent_sha256, form)
            self._opened()
        elif kind == "decline":
            return self._page("declined")
        elif kind == "go":
            if self._stop == "pause":
                self.session.event("resume")
            self._stop = None
        elif kind == "pause":
            self.session.event("pause")
            self._stop = "pause"
        elif kind == "withdraw":
            if message.get("sure"):
                self.session.withdraw()
            self._stop = "withdraw"
        self._again = kind == "undo" or (self._again and kind != "next")
        self.resend()

    def _opened(self) -> None:
        self.session.event("open", {"served": self.served, "server": os.environ.get("SERVER_SOFTWARE", "")})

    def _answer(self, message: dict) -> None:
        """Keep an answer and confirm it; one that can never be kept as not counted, or the page would retry."""
        trial, reply, ack = message["id"], message["reply"], {}
        facts = message["facts"] if len(json.dumps(message["facts"])) <= LONGEST_EVENT else {}
        before = self.session.next() if self.session.consented else None
        try:
            button = self.study.protocol.buttons[reply["choice"]] if "choice" in reply else None
            give = self.session.correct if message.get("again") else self.session.answer
            ack = give(trial, button and button.choice, button and button.confidence, reply.get("quality"),
                       message["rt_ms"], message["nonce"], {**facts, "shows": self._shown.get(trial, 0)},
                       reply.get("comment"), reply.get("mark"))
            self._again = False
        except (ValueError, IndexError) as error:
            if self.session.consented:
                self.session.event("refused", {"error": str(error)[:500], "trial": trial})
        if ack.get("counts") is False:
            self._notice = self.words["reading"]["taken"]
            self.session.event("takeover", {"trial": trial})
        after = self.session.next() if self.session.consented else None
        if before and after and before.trial == trial and after.block != before.block:
            self._stop = "break"
        feedback = None
        if "truth" in ack:
            right, words = button.choice == ack["truth"], self.words["reading"]
            text = words["correct" if right else "wrong"].format(truth=words[f"truth {ack['truth']}"])
            feedback = {"correct": right, "text": text,
                        "last": not after or after.phase != "practice"}
        self.tell({"type": "ack", "nonce": message["nonce"], "feedback": feedback})
        if not feedback:
            self.resend()
        if not self.served:
            self.refresh()

    def _common(self) -> dict:
        """What every message to the page carries."""
        warning = self._notice or ("" if self.served else self.words["reading"]["not blinded"])
        about = {"whole": True, "alone": self.served, "warning": warning}
        return about | ({"seat": f"{self.study.about['id']}-{self.session.reader}"} if self.session else {})

    def _page(self, key: str, *further: str, **facts) -> None:
        """Send a page of pages.yaml, with further paragraphs, and facts that are not in the file."""
        page = {"name": key, "fields": [], **PAGES[key], **self.words["pages"].get(key, {}), **facts}
        done, n = self.session.progress if self.session else (0, 0)
        text = [*(line.format(done=done, n=n) for line in page.get("text", [])), *further]
        buttons = [{"form": False, "quiet": False, **button, "text": self.words["buttons"][button["text"]]}
                   for button in page.get("buttons", [])]
        self.tell(self._common() | page | {"type": "page", "id": f"{page['name']} {page['title']}", "text": text,
                                           "buttons": buttons})

    def _before(self, trial: Trial) -> None:
        """A page between the images: before the first, between blocks, and when the reader has asked for a pause."""
        done, n = self.session.progress
        if self._stop == "welcome":
            how = guide(self.study.protocol, trial, n)
            self._page("welcome back", *how[1:]) if done else self._page("welcome", *how)
        elif self._stop == "break" and trial.position == 1:
            self._page("after practice", self.words["reading"]["counts told" if trial.buttons else "counts"])
        else:
            self._page(self._stop)

    def _item(self, trial: Trial, again: bool) -> None:
        protocol, words = self.study.protocol, self.words["reading"]
        h, w = trial.pixels.shape[-2:]
        practice = trial.phase == "practice"
        message = self._common() | {
            "type": "item", "id": trial.trial, "done": trial.position - 1, "n": trial.n, "w": w, "h": h,
            "label": words["label practice" if practice else "label pair" if protocol.pair else "label image"],
            "hint": words["again"] if again else words["follows"] if practice and trial.buttons else "",
            "again": again, "undo": not again and self.session.last() is not None, "steps": steps(protocol, trial),
            "zoom": protocol.zoom, "smooth": protocol.smooth, "comment": protocol.comment, "mark": protocol.mark,
            "window": protocol.window, "fps": protocol.fps, "frames": self.study.pack.length,
            "beside": trial.beside,
            "exposure_ms": trial.exposure_ms, "mask_ms": trial.mask_ms,
            "fixation_ms": FIXATION_MS if trial.exposure_ms else 0, "blank_ms": protocol.blank_ms,
            "guard_ms": protocol.guard_ms, "pad": ""}
        message["pad"] = " " * (-(len(json.dumps(message)) + envelope()) % PAD)
        self._notice = ""
        self._shown[trial.trial] = self._shown.get(trial.trial, 0) + 1
        self.tell(message, *trial.pixels)


def page() -> Reading:
    """The page of the reader whose link was opened: the one cell of the notebook that `uslab study serve` serves."""
    code = parse_qs(os.environ.get("QUERY_STRING", "")).get("r", [""])[0]
    return Reading(Path.cwd(), code)


def envelope() -> int:
    """Bytes around a message's content that differ between messages; 0 outside a kernel.

    Each message repeats the header of the page's message that it answers, and a time in it is shorter at a full second.
    It has a number too, which is kept from gaining a digit here. Nothing of this may ever stop a study, so a kernel of
    another make is let be.
    """
    try:
        kernel = get_ipython().kernel
        if kernel.session.message_count < NUMBERS:
            kernel.session.message_count += NUMBERS
        return len(kernel.session.pack(kernel.get_parent()["header"]))
    except Exception:
        return 0


def fields(protocol) -> list[dict]:
    """The reader form's fields, and the consent's tick at its end."""
    form = [{"name": name, "label": label, "kind": "choice" if options else "text", "options": list(options)}
            for name, (label, options) in protocol.form.items()]
    return [*form, {"name": "agreed", "label": messages(protocol.language)["reading"]["agreed"], "kind": "check",
                    "required": True}]


def steps(protocol, trial: Trial) -> list[dict]:
    """The questions of a trial as the page is told them: which button, then how good."""
    found = []
    if trial.buttons:
        pair = [("←", ["arrowleft"]), ("→", ["arrowright"])]
        keys = pair if len(trial.buttons) == 2 else [(str(i), [str(i)]) for i in range(1, len(trial.buttons) + 1)]
        places = {(button.choice, button.confidence): i for i, button in enumerate(protocol.buttons)}
        found.append({"name": "choice", "ask": protocol.question, "options": [
            {"value": places[button["choice"], button["confidence"]], "text": button["label"], "key": key, "keys": keys}
            for button, (key, keys) in zip(trial.buttons, keys)]})
    if trial.quality:
        ask = messages(protocol.language)["reading"]["rate"] if trial.buttons else protocol.question
        found.append({"name": "quality", "ask": ask, "options": [
            {"value": i, "text": str(i), "key": str(i), "word": word, "label": f"{i}, {word}"}
            for i, word in enumerate(trial.quality, 1)]})
    return found


def guide(protocol, trial: Trial, n: int) -> list[str]:
    """What a reader must know before the first image, as paragraphs."""
    words = messages(protocol.language)["reading"]
    keys = ("arrows" if len(trial.buttons) == 2 else "numbers") + " rate" * bool(protocol.quality and trial.buttons)
    how = [words["count pairs" if protocol.pair else "count"].format(n=n), words[keys]]
    how += [words[name] for name in ("fps", "zoom", "window", "mark", "comment") if getattr(protocol, name)]
    text = [protocol.instructions, " ".join(how), words["saved"]]
    if trial.phase == "practice":
        text.append(words["practice told" if trial.buttons else "practice"].format(n=trial.n))
    return text
