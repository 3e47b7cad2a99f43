"""Protocols of a reader study as data: what is asked, in which words, with which buttons; and the papers' designs."""

import dataclasses
from dataclasses import dataclass, field

REAL, SYNTHETIC = "real", "synthetic"
LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Button:
    """One answer that a reader can give with one press."""

    label: str                      # what stands on it
    choice: str                     # 'real' or 'synthetic'; in pairs 'left' or 'right', the image that is taken for real
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
    zoom: bool = True                   # the reader may magnify in whole steps
    instructions: str = ("You will see ultrasound images. Some are from patients or phantoms, others were made by a "
                         "computer. There is no time limit, and no answer can be changed.")
    consent: str = ("Your answers, their times and the form below are kept for this study. Your name is not asked. You "
                    "may stop at any time. If you withdraw, the form is deleted and your answers are not analysed.")
    # The reader's form: name -> (label, options); no options: a free line. Nothing in it is required.
    form: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=lambda: {
        "role": ("Your profession", ("sonographer", "radiologist", "other physician", "engineer", "student", "other")),
        "years": ("Years of experience with ultrasound", ("none", "under 2", "2 to 5", "5 to 10", "over 10")),
        "seen": ("Have you seen this data set before?", ("no", "yes", "not sure")),
        "display": ("Which display do you use?", ()),
    })

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Protocol":
        """The protocol that to_dict() described."""
        values = dict(values)
        values["buttons"] = tuple(Button(**button) for button in values["buttons"])
        values["quality"] = tuple(values["quality"])
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


QUESTION = "Is this image real or synthetic?"
QUALITY = ("poor", "fair", "moderate", "good", "excellent")
YES_NO = (Button("Synthetic", SYNTHETIC), Button("Real", REAL))
SIX_POINTS = (
    Button("Surely synthetic", SYNTHETIC, 3), Button("Probably synthetic", SYNTHETIC, 2),
    Button("Perhaps synthetic", SYNTHETIC, 1), Button("Perhaps real", REAL, 1),
    Button("Probably real", REAL, 2), Button("Surely real", REAL, 3),
)

PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol("yesno", QUESTION, YES_NO),
    Protocol("yesno_conf", QUESTION, SIX_POINTS),
    Protocol("2afc", "One image is real and one synthetic. Which is real?",
             (Button("Left", LEFT), Button("Right", RIGHT)), pair=True),
    Protocol("likert", "How good is this image?", quality=QUALITY),
    Protocol("yesno_likert", QUESTION, YES_NO, quality=QUALITY),
    Protocol("timed", QUESTION, YES_NO, exposure_ms=500, mask_ms=250, zoom=False,
             instructions="You will see ultrasound images, each for half a second. Some are from patients or phantoms, "
             "others were made by a computer. Answer after each; no answer can be changed."),
)}


@dataclass(frozen=True)
class Preset:
    """A paper's design, and what a reviewer would hold against it."""

    protocol: str                   # a key of PROTOCOLS
    design: dict                    # values of Study.build
    source: str                     # where the paper says so
    weaknesses: tuple[str, ...]     # printed when a study is built, and in its report


PRESETS = {
    "liang2020": Preset(
        "yesno", {"n_per_method": 40, "repeats": 0.0, "practice": 0, "attention": 0, "readers": 3},
        "Liang et al. 2020, section 3 and figure 6 (b): three doctors, real images against cGAN, Sgan and PGSGan",
        ("the number of images is not stated; 40 of each method and as many real ones are our choice",
         "accuracies (0.64, 0.55, 0.43) have no interval, and 0.43 is below chance: a bias to one answer would do that",
         "accuracy alone mixes telling apart with a leaning to one answer; d' and criterion part them",
         "three readers are these three readers: the result does not speak for doctors at large",
         "no practice, no repeated images, no agreement between or within readers",
         "no test says that images cannot be told apart; that needs an equivalence test with a margin set before"),
    ),
    "bautista2022": Preset(
        "yesno_likert",
        {"n_per_method": 57, "n_real": 11, "repeats": 0.0, "practice": 0, "attention": 0, "readers": 3},
        "Bautista et al. 2022: 68 real and synthetic images, one clinician and two engineers, label and quality 1 to 5",
        ("the shares of real and synthetic are not stated; 57 and 11 follow from the accuracy of 56.14 % (32 of 57)",
         "with 57 synthetic and 11 real images, always answering 'synthetic' scores 83.8 %",
         "the clinician called every image synthetic: d' and quality against the label then say nothing",
         "images of 64x64 pixels: the reader judges the resolution",
         "correlations over r > 0.2 among 256 bins of a texture histogram: about 100 pass by chance with 20 images",
         "the Frechet distance belongs to a set of images, not to an image that was rated",
         "68 images cannot show that two kinds are indistinguishable: a margin of 10 points needs over 200"),
    ),
    "bautista2022_balanced": Preset(
        "yesno_likert",
        {"n_per_method": 34, "n_real": 34, "repeats": 0.15, "practice": 4, "attention": 2, "readers": 6},
        "Bautista et al. 2022 with half of the 68 images real, practice, repeats and attention items",
        ("68 images cannot show that two kinds are indistinguishable: a margin of 10 points needs over 200",
         "each quality is a single number from each reader: report its agreement before its correlations"),
    ),
}
