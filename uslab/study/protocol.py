"""Protocols of a reader study as data: what is asked, in which words, with which buttons; and the papers' designs."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from uslab.pages.messages import messages

REAL, SYNTHETIC = "real", "synthetic"
LEFT, RIGHT = "left", "right"
ATTENTION = "attention"       # the phase and truth of items of noise, which find readers who do not look

ENGLISH = messages("en")["protocol"]


def line(name: str, value) -> tuple[str, tuple[str, ...]]:
    """A line of the form, from a label or a label and options. Raises ValueError for anything else."""
    label, options = (value, ()) if isinstance(value, str) else value if len(value) == 2 else ("", ())
    if not label.strip() or isinstance(options, str) or not all(isinstance(one, str) for one in options):
        raise ValueError(f"{name} in the form is {value!r}: give a label, or a label and a list of options")
    return label, tuple(options)


def lines(values) -> dict[str, tuple[str, tuple[str, ...]]]:
    """A whole form, from names and their lines."""
    return {str(name): line(name, value) for name, value in dict(values).items()}


@dataclass(frozen=True)
class Button:
    """One answer that a reader can give with one press."""

    label: str                      # what stands on it
    choice: str                     # 'real' or 'synthetic'; in pairs 'left' or 'right', which is taken for real
    confidence: int | None = None   # 1 (a guess) to 3 (sure); None where the protocol does not ask


@dataclass(frozen=True)
class Protocol:
    """What one trial asks. Everything in it may be told to a reader: it goes to the browser as it is."""

    name: str                           # a key of PROTOCOLS
    question: str                       # stands above the buttons
    buttons: tuple[Button, ...] = ()    # from left to right; reversed for every other reader; none: only quality
    quality: tuple[str, ...] = ()       # what 1, 2, ... of the quality scale mean; none: quality is not asked
    pair: bool = False                  # two images at once, one real and one synthetic
    exposure_ms: int | None = None      # an image is shown so long; None: until the answer
    mask_ms: int = 0                    # noise, the same for all, is shown so long after the exposure
    zoom: bool = True                   # the reader may magnify, around the pointer
    smooth: bool = False                # what is enlarged is interpolated; False: each pixel is a square, as it is
    # The second press of a double click must not answer the next image, which nobody has seen yet.
    blank_ms: int = 100                 # nothing is shown so long before an image
    guard_ms: int = 400                 # no answer counts for so long after an image, or a question, came in sight
    fps: int = 0                        # frames a second of clips, 1 to 60; 0: still images
    frames: int = 0                     # of each clip; 0: as many as the shortest has
    undo: bool = False                  # the latest answer may be given anew, once, until the next; both are kept
    window: bool = False                # the reader may change window and level; each image begins without
    comment: bool = False               # a line in the reader's own words may go with the answer
    mark: bool = False                  # one point of the image may be marked: where it shows
    language: str = "en"                # of all that a reader reads: a key of uslab/pages/messages.yaml
    instructions: str = ENGLISH["instructions"]["shown"]
    consent: str = ENGLISH["consent"]
    # The reader's form: name -> (label, options); no options: a free line. Nothing in it is required.
    form: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=lambda: lines(ENGLISH["form"]))

    def spoken(self, language: str) -> "Protocol":
        """The protocol in another language; what an organiser has worded otherwise stays as it is."""
        name = self.name if self.name in PROTOCOLS else "yesno"
        before, after = worded(name, self.language), worded(name, language)
        usual = [text for text in ("question", "buttons", "quality", "instructions", "consent", "form")
                 if getattr(self, text) == getattr(before, text)]
        return dataclasses.replace(self, language=language, **{text: getattr(after, text) for text in usual})

    def worded(self, texts: dict) -> "Protocol":
        """The protocol with other words. Raises ValueError, naming what is wrong, for what readers could not be shown.

        texts: 'question', 'instructions', 'consent': text; 'form': name -> (label, options), no options for a free
        line; 'language': 'en' or 'de', of all words that are not given; each of OPTIONS: whether it is so;
        'fps', 'frames': of clips.
        """
        if unknown := sorted(set(texts) - {"question", "instructions", "consent", "form", "language", "fps", "frames",
                                             *OPTIONS}):
            raise ValueError(f"there is no text {unknown[0]!r}: a study words question, instructions, consent and form")
        texts, own = dict(texts), self
        if (language := texts.pop("language", self.language)) != self.language:
            own = self.spoken(language)
        for name in ("question", "instructions", "consent"):
            if name in texts and not (isinstance(texts[name], str) and texts[name].strip()):
                raise ValueError(f"the {name} is empty: readers must know what they are asked and agree to")
        if "form" in texts:
            texts["form"] = lines(texts["form"])
        if texts.get("undo"):
            undo = messages(language)["protocol"]["undo"]
            said = texts.get("instructions", own.instructions)
            texts["instructions"] = said.replace(undo["without"], undo["with"])
        return dataclasses.replace(own, **{name: value.strip() if isinstance(value, str) else value
                                            for name, value in texts.items()})

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Protocol":
        """The protocol that to_dict() described; what is missing has its default."""
        values = dict(values)
        values["buttons"] = tuple(Button(**button) for button in values.get("buttons", ()))
        values["quality"] = tuple(values.get("quality", ()))
        if "form" in values:
            values["form"] = {name: (label, tuple(options)) for name, (label, options) in values["form"].items()}
        return cls(**values)

    def check(self, choice: str | None, confidence: int | None, quality: int | None) -> None:
        """Raise ValueError, saying what is asked, for an answer that no reader can give with these buttons."""
        allowed = {(button.choice, button.confidence) for button in self.buttons} or {(None, None)}
        if (choice, confidence) not in allowed:
            raise ValueError(f"the answer is {choice!r} with confidence {confidence!r}; {self.name} takes "
                             + ", ".join(str(pair) for pair in sorted(allowed, key=str)))
        if self.quality and (type(quality) is not int or not 1 <= quality <= len(self.quality)):
            raise ValueError(f"quality is {quality!r}; {self.name} asks for a whole number from 1 to "
                             f"{len(self.quality)}")
        if not self.quality and quality is not None:
            raise ValueError(f"quality is {quality!r}, but {self.name} does not ask for it")

    def check_beside(self, comment: str | None, mark: dict | None, shape: tuple[int, int], frames: int = 1) -> None:
        """Raise ValueError for a comment or a mark that no reader can give.

        shape: height and width of the images; frames: of a clip, whose mark names the one that was shown, from 0.
        """
        if comment is not None and not (self.comment and isinstance(comment, str) and len(comment) <= LONGEST_COMMENT):
            raise ValueError(f"a comment is text of at most {LONGEST_COMMENT} characters" if self.comment else
                             "there is a comment, but the study does not take any")
        if mark is not None:
            if not self.mark:
                raise ValueError(f"the mark is {mark!r}, but the study does not take any")
            sides, limits = (LEFT, RIGHT) if self.pair else (None,), {"x": shape[1], "y": shape[0]}
            names = {"x", "y", "side"} | ({"frame"} if self.fps else set())
            if not isinstance(mark, dict) or set(mark) != names or mark["side"] not in sides or not all(
                    type(mark[name]) in (int, float) and 0 <= mark[name] <= most for name, most in limits.items()) or (
                    self.fps and not (type(mark["frame"]) is int and 0 <= mark["frame"] < frames)):
                raise ValueError(f"the mark is {mark!r}; it has x and y in pixels of the image, {shape[1]}x{shape[0]}, "
                                 f"and a side among {', '.join(map(str, sides))}"
                                 + (f", and a frame from 0 to {frames - 1}" if self.fps else ""))


OPTIONS = ("undo", "smooth", "window", "comment", "mark")     # of a protocol, that a study may have beside its words
LONGEST_COMMENT = 500       # characters


@dataclass(frozen=True)
class Preset:
    """A paper's design, and what a reviewer would hold against it."""

    protocol: str                   # a key of PROTOCOLS
    design: dict                    # values of Study.build
    source: str                     # where the paper says so
    weaknesses: list[str]           # printed when a study is built, and in its report


DESIGNS = yaml.safe_load((Path(__file__).parent / "protocols.yaml").read_text(encoding="utf-8"))


def worded(name: str, language: str) -> Protocol:
    """The protocol of this name in the words of a language."""
    values, words = dict(DESIGNS["protocols"][name]), messages(language)["protocol"]
    buttons = [{"label": words["buttons"][" ".join(map(str, button.values()))], **button}
               for button in values.get("buttons", ())]
    return Protocol.from_dict(values | {
        "name": name, "language": language, "question": words["questions"][values["question"]], "buttons": buttons,
        "quality": words["quality"] if values.get("quality") else (), "consent": words["consent"],
        "instructions": words["instructions"][values.get("instructions", "shown")], "form": words["form"]})


PROTOCOLS = {name: worded(name, "en") for name in DESIGNS["protocols"]}
PRESETS = {name: Preset(**values) for name, values in DESIGNS["presets"].items()}
