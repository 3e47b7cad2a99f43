"""Quiz: a self-test, real or synthetic, with the answer after each image (teaching mode; nothing is blinded)."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from uslab.pages.messages import messages
from uslab.score import detection, proportion
from uslab.widgets.live import Live, source

CLASSES = ("real", "synthetic")
GUARD_MS = 400  # no press counts for so long after an image came in sight: it may be the second of a double click
BLOCK = 4       # items of a block hold both classes equally, so position tells nothing and runs stay short
QUALITY = {     # the question that follows the choice, as the page is told it
    "name": "quality", "ask": "How good is the image?",
    "options": [{"value": value, "text": str(value), "key": str(value), "word": word,
                 "label": f"quality {value}, {word}"}
                for value, word in enumerate(("poor", "fair", "good", "very good", "excellent"), start=1)],
}
CHOICE = {
    "name": "choice", "ask": "Is this image real or synthetic?",
    "options": [{"value": name, "text": name.capitalize(), "key": name[0]} for name in CLASSES],
}


def face(language: str = "en") -> str:
    """The page's script of a quiz or a reading, in the words of a language."""
    return (f"const WORDS = {json.dumps(messages(language)['page'])};\n"
            + source("live.js", "words.js", "stage.js", "pages.js", "shades.js", "beside.js", "quiz.js"))


class Quiz(Live):
    """Self-test over n images, half of them real, in a seeded order that is balanced in every block of four.

    A person answers by mouse, touch or keyboard; `answer` and `autoplay` do so without a browser. The class of an
    image is sent to the browser only once the image is answered, and pixels only as messages, never as traits. But
    the key is in this object: it teaches, it does not blind.

    Args:
        real: ImageSet or uint8 (N, 1, H, W).
        synthetic: The same, of the same size.
        n: Images to answer, even; half from each.
        seed: The same seed gives the same images in the same order.
        quality: Also ask for the image's quality, 1 (poor) to 5 (excellent).
        why: 'real' and 'synthetic': what gives such an image away, told after it.
    """

    _esm = face()
    _css = source("live.css", "quiz.css")

    def __init__(
        self, real: Any, synthetic: Any, n: int = 20, seed: int = 0, quality: bool = True,
        why: Mapping[str, str] | None = None,
    ):
        real, synthetic = _pixels("real", real), _pixels("synthetic", synthetic)
        if real.shape[2:] != synthetic.shape[2:]:
            raise ValueError(f"real images are {_size(real)} and synthetic ones {_size(synthetic)}: the "
                             "size alone would tell them apart; prepare both alike")
        if n < 2 or n % 2:
            raise ValueError(f"n is {n}; it must be even and at least 2, half real and half synthetic")
        for name, images in (("real", real), ("synthetic", synthetic)):
            if len(images) < n // 2:
                raise ValueError(f"n = {n} needs {n // 2} {name} images, but there are {len(images)}")
        if wrong := set(why or {}) - set(CLASSES):
            raise ValueError(f"why explains {sorted(wrong)}; it takes 'real' and 'synthetic'")
        rng = np.random.default_rng(seed)
        self.n, self.quality, self.why = n, bool(quality), dict(why or {})
        self._truth = order(n, rng)
        chosen = {name: iter(rng.choice(len(images), n // 2, replace=False))
                  for name, images in (("real", real), ("synthetic", synthetic))}
        pools = {"real": real, "synthetic": synthetic}
        self._images = np.stack([pools[truth][next(chosen[truth]), 0] for truth in self._truth])
        self._rows: list[dict] = []
        self._simulated = ""        # how the simulated reader was made, once there is one
        super().__init__()

    def __repr__(self) -> str:
        return f"Self-test, real or synthetic: {self.summary()}"

    def answer(
        self,
        choice: str,                    # 'real' or 'synthetic'
        quality: int | None = None,     # 1 (poor) to 5 (excellent), where the quiz asks for it
    ) -> str:
        """Answer the current image; returns the feedback. Raises ValueError for an answer that the quiz cannot take."""
        with self._lock:
            feedback = self._record(choice, quality)
            self._show()
            self.refresh()
        return feedback

    @property
    def results(self):
        """DataFrame, one row an answered image: item (from 1), truth, answer, correct, quality, rt_ms, simulated.

        quality and rt_ms (milliseconds from the image's appearance to the choice, measured in the browser) are missing
        where they were not taken.
        """
        import pandas as pd

        columns = ["item", "truth", "answer", "correct", "quality", "rt_ms", "simulated"]
        kinds = {"item": int, "correct": bool, "quality": "Int64", "rt_ms": float, "simulated": bool}
        return pd.DataFrame(self._rows, columns=columns).astype(kinds)

    def summary(self) -> str:
        """How many were answered, accuracy with its interval, each class, d' and criterion where they exist."""
        return "\n".join(summarise(self._rows, self.n, self._simulated))

    def review(self):
        """A Figure of the images that were answered wrongly, by what they are; None, and a word, if there are none."""
        import torch

        from uslab.widgets.figures import show_images

        sets = {}
        for truth, answer in (CLASSES, CLASSES[::-1]):
            wrong = [row["item"] - 1 for row in self._rows if (row["truth"], row["answer"]) == (truth, answer)]
            if wrong:
                sets[f"{truth}, called {answer}"] = torch.from_numpy(self._images[wrong][:, None])
        if not sets:
            print("All answers so far were right." if self._rows else "Nothing is answered yet.")
            return None
        longest = max(map(len, sets.values()))
        columns = min(5, longest)
        return show_images(sets, -(-longest // columns), columns, 1.4 * columns * len(sets))

    def autoplay(
        self,
        dprime: float = 1.0,        # distance of the classes in the reader's eye, in standard deviations; 0 guesses
        criterion: float = 0.0,     # above 0 the reader says 'real' more readily
        seed: int = 0,
    ) -> None:
        """Let a simulated reader answer what is left; results and summary say so. Without a time, rt_ms is missing.

        Equal-variance signal detection: evidence for 'synthetic' is normal with mean +d'/2 for a synthetic image and
        -d'/2 for a real one, and the reader answers 'synthetic' where it exceeds the criterion.
        """
        rng = np.random.default_rng(seed)
        with self._lock:
            if len(self._rows) < self.n:
                self._simulated = f"d' {dprime:g}, criterion {criterion:g}, seed {seed}"
            for item in range(len(self._rows), self.n):
                evidence = rng.normal(dprime / 2 if self._truth[item] == "synthetic" else -dprime / 2)
                rating = int(np.clip(np.rint(3 - evidence), 1, 5)) if self.quality else None
                self._record("synthetic" if evidence > criterion else "real", rating, simulated=True)
            self._show()
            self.refresh()

    def resend(self) -> None:
        self._show()

    def receive(self, message: dict) -> None:
        """An answer from the page, or its wish for the next image. A repeated answer is confirmed, not counted."""
        if message["type"] == "answer" and message["id"] <= len(self._rows) + 1:
            if message["id"] == len(self._rows) + 1:
                self._record(message["reply"]["choice"], message["reply"].get("quality"), message["rt_ms"])
            row = self._rows[message["id"] - 1]
            feedback = {"correct": row["correct"], "last": message["id"] == self.n,
                        "text": f"{'Right' if row['correct'] else 'Wrong'}: this image is {row['truth']}."}
            if row["truth"] in self.why:
                feedback["why"] = self.why[row["truth"]]
            self.tell({"type": "ack", "nonce": message["nonce"], "feedback": feedback})
            self.refresh()
        elif message["type"] == "next":
            self._show()

    def _record(self, choice: str, quality: int | None, rt_ms: float | None = None, simulated: bool = False) -> str:
        item = len(self._rows)
        if item == self.n:
            raise ValueError(f"all {self.n} images are answered; make a new Quiz to begin again")
        if choice not in CLASSES:
            raise ValueError(f"the answer is {choice!r}; it must be 'real' or 'synthetic'")
        if self.quality and quality not in (1, 2, 3, 4, 5):
            raise ValueError(f"quality is {quality!r}; this quiz asks for a whole number from 1 (poor) "
                             "to 5 (excellent)")
        if not self.quality and quality is not None:
            raise ValueError(f"quality is {quality!r}, but this quiz does not ask for it (quality=False)")
        truth = self._truth[item]
        self._rows.append({"item": item + 1, "truth": truth, "answer": choice, "correct": choice == truth,
                           "quality": quality, "rt_ms": rt_ms, "simulated": simulated})
        verdict = "Right" if choice == truth else "Wrong"
        return f"{verdict}: image {item + 1} is {truth}. {self.why.get(truth, '')}".rstrip()

    def _show(self) -> None:
        """Send the current image, or the summary at the end."""
        done = len(self._rows)
        about = {"whole": True, "done": done, "n": self.n, "marks": [row["correct"] for row in self._rows]}
        if done < self.n:
            h, w = self._images[done].shape
            self.tell({**about, "type": "item", "id": done + 1, "h": h, "w": w, "zoom": True, "smooth": False,
                       "guard_ms": GUARD_MS,
                       "steps": [CHOICE, QUALITY] if self.quality else [CHOICE],
                       "hint": "self-test: the answer follows each image"}, self._images[done])
        else:
            right = sum(row["correct"] for row in self._rows)
            share = proportion(right, done)
            lines = summarise(self._rows, self.n, self._simulated)
            self.tell({**about, "type": "summary", "id": "summary", "heading": lines[0], "lines": lines,
                       "right": right, "interval": [share.low, share.high]})


def order(n: int, rng: np.random.Generator) -> list[str]:
    """n classes, n even: blocks of four hold two of each in random order, and the last block may be one pair."""
    classes = []
    for start in range(0, n, BLOCK):
        half = min(BLOCK, n - start) // 2
        classes += [str(name) for name in rng.permutation(CLASSES * half)]
    return classes


def summarise(
    rows: list[dict],       # answered items: truth, answer, correct, rt_ms, simulated
    n: int,                 # items of the whole quiz
    simulated: str = "",    # how the simulated reader was made
) -> list[str]:
    """The quiz's results as sentences."""
    lines = [f"{len(rows)} of {n} answered"]
    if not rows:
        return lines
    robots = sum(row["simulated"] for row in rows)
    if robots:
        lines.append(f"SIMULATED READER ({simulated}): {robots} of {len(rows)} answers")
    correct = sum(row["correct"] for row in rows)
    right = proportion(correct, len(rows))
    lines.append(f"Accuracy {right.value:.2f} ({correct} of {len(rows)}), 95 % interval {right.low:.2f} to "
                 f"{right.high:.2f} (Wilson)")
    counts = {}
    for truth in CLASSES:
        of = [row for row in rows if row["truth"] == truth]
        counts[truth] = sum(row["answer"] == "synthetic" for row in of), len(of)
        called = sum(row["correct"] for row in of)
        lines.append(f"{truth.capitalize()} images called {truth}: {called} of {len(of)}")
    (false_alarms, n_real), (hits, n_synthetic) = counts["real"], counts["synthetic"]
    d, criterion = detection(hits, n_synthetic, false_alarms, n_real)
    if math.isfinite(d.value):
        lines.append(f"d' {d.value:.2f}, 95 % interval {d.low:.2f} to {d.high:.2f} (approximate); "
                     f"criterion {criterion.value:z.2f} (above 0: leans to 'real')")
    else:
        lines.append(f"d' and criterion: not estimable, because {d.note}")
    if len(rows) > 1 and len({row["answer"] for row in rows}) == 1:
        lines.append(f"Every answer was '{rows[0]['answer']}': the accuracy then says nothing about telling them apart")
    elif right.low <= 0.5 <= right.high:
        lines.append("Chance (0.50) lies within the interval, which does not show that they cannot be told apart")
    times = [row["rt_ms"] for row in rows if row["rt_ms"] is not None]
    if times:
        lines.append(f"Median response time {np.median(times) / 1000:.1f} s over {len(times)} images")
    return lines


def _pixels(name: str, images: Any) -> np.ndarray:
    """uint8 (N, 1, H, W) from an ImageSet, a tensor or an array."""
    images = getattr(images, "images", images)
    images = np.asarray(images.cpu() if hasattr(images, "cpu") else images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"{name} must be an ImageSet or uint8 (N, 1, H, W), not {images.dtype} {images.shape}")
    return images


def _size(images: np.ndarray) -> str:
    return f"{images.shape[2]}x{images.shape[3]} px"
