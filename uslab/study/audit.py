"""Before a study is called blinded: side channels, which must be none, and cues in the pixels, which are reported."""

import json
import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from uslab.study import lock
from uslab.study.build import ATTENTION, orders
from uslab.study.pack import PACK, frames
from uslab.study.protocol import REAL, SYNTHETIC
from uslab.study.store import DATABASE, MIRROR, ORDERS

ALLOWED = {"version", "id", "title", "protocol", "preset", "design", "n_methods", "built", "pack_sha256",
           "key_commitment", "n_trials", "text_acknowledged", "versions"}
FILES = {"study.json", PACK, DATABASE, MIRROR, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal",
         "reading.ipynb", "voila.py"}       # the last two are written by `uslab study serve`
CHANCE = 1e-4       # p-value below which an order is said to follow the truth: a false alarm in 10 000 studies
NOTABLE = 0.7       # area from which a single cue is worth a reader's while
TELLING = 0.9       # area above which readers need not look at anything else

ADVICE = yaml.safe_load((Path(__file__).parent / "cues.yaml").read_text(encoding="utf-8"))  # of each cue of measure()


@dataclass(frozen=True)
class Audit:
    """What was found. `blinded` is False if any side channel is open."""

    channels: pd.DataFrame      # check, ok, detail
    cues: pd.DataFrame          # method, cue, area (0.5 to 1), low, high, q (false-discovery rate), advice; sorted
    together: pd.DataFrame      # method, area of all cues together, cross-validated, n
    copies: pd.DataFrame        # synthetic images that nearly equal a real one: method, file, real, correlation

    @property
    def blinded(self) -> bool:
        return bool(self.channels.ok.all())

    @property
    def notable(self) -> pd.DataFrame:
        """Cues that tell origins apart well, and not by chance among so many that were looked at."""
        return self.cues[(self.cues.area >= NOTABLE) & (self.cues.q < 0.05)]

    @property
    def highest(self) -> float:
        """The largest area of a cue that is notable, or of all cues together; 0.5 without any."""
        return float(max([0.5, *self.notable.area, *self.together.area.dropna()]))

    def __repr__(self) -> str:
        bad = self.channels[~self.channels.ok]
        lines = [f"Side channels: {'none open' if bad.empty else f'{len(bad)} OPEN'} of {len(self.channels)} checked"]
        lines += [f"  OPEN  {row.check}: {row.detail}" for row in bad.itertuples()]
        lines.append(f"Cues in the pixels with an area of {NOTABLE} or more, beyond chance: {len(self.notable)} of "
                     f"{len(self.cues)}")
        lines += [f"  {row.area:.2f}  {row.method}: {row.cue} ({row.advice})" for row in self.notable.itertuples()]
        lines += [f"  {row.area:.2f}  {row.method}: all cues together, cross-validated, {row.n} images"
                  for row in self.together.itertuples()]
        lines.append(f"Synthetic images that nearly equal a real one: {len(self.copies)}")
        return "\n".join(lines)


def audit(study, key: dict) -> Audit:
    """Check a study against its key (Study.key)."""
    images = {name: study.pack[name] for name in study.pack.names}
    main = {name: item for name, item in key["stimuli"].items() if item["phase"] == "main"}
    return Audit(channels(study, key, images), *cues(main, images), copies(main, images))


def sealed_orders(study, key: dict) -> bool:
    """Whether the sealed orders are those that the key makes."""
    try:
        return [study.order(slot, lock.order_key(key["secret"], slot)) for slot in range(key["design"]["readers"])
                ] == orders(key)
    except (ValueError, IndexError):
        return False


def channels(study, key: dict, images: dict[str, np.ndarray]) -> pd.DataFrame:
    """Side channels: what would tell the truth without looking at an image."""
    stimuli, checks = key["stimuli"], []

    def check(name: str, ok: bool, detail: str = "") -> None:
        checks.append((name, bool(ok), "" if ok else detail))

    shapes = {image.shape for image in images.values()}
    check("every stimulus has the same size in bytes", len(shapes) == 1, f"shapes {shapes}")
    odd = [name for name in images if not re.fullmatch("[0-9a-f]{16}", name)]
    check("names of stimuli are opaque", not odd, f"{odd[:3]}")
    truth = np.array([stimuli[name]["truth"] == SYNTHETIC for name in sorted(images)
                      if stimuli[name]["truth"] != ATTENTION])
    p = _rank_test(np.flatnonzero(truth), np.flatnonzero(~truth))
    check("the order of the pack does not follow the truth", p > CHANCE, f"p = {p:.2g}")
    extra = {path.name for path in study.public.iterdir()} - FILES
    check("public/ holds only what a study needs", not extra, f"also {', '.join(sorted(extra))}: move it elsewhere")
    told = set(study.about) - ALLOWED
    check("study.json holds only what it may", not told, f"also {', '.join(sorted(told))}")
    files = [path for path in study.public.rglob("*") if path.is_file() and not path.name.startswith(DATABASE)]
    served = b"".join([study.store.content(), *(path.read_bytes() for path in files)])
    words = {word for item in stimuli.values() for word in (item["file"], item["sha256"])}
    words |= {*key["methods"], key["secret"]}
    # A short name, or one that could be a piece of a hash or of a time, would be found by chance.
    telling = [word for word in words if len(word) > 3 and (len(word) > 12 or not re.fullmatch("[0-9a-fA-F.]+", word))]
    found = sorted(word for word in telling if word.encode() in served)
    check("no file name, method or secret in public/", not found, f"found {', '.join(found[:3])}")
    check("the orders are sealed, and those that the key makes", sealed_orders(study, key), "they differ")
    named = [name for name in images if name.encode() in served.replace(study.pack.path.read_bytes(), b"")]
    check("no order can be read in public/", not named, f"it names {', '.join(named[:3])}")
    seen: dict[bool, list] = {True: [], False: []}
    for plan in orders(key):
        for position, _, phase, _, names, *_ in plan:
            if phase == "main":
                seen[stimuli[names.split(",")[0]]["truth"] == SYNTHETIC].append(position)
    p = _rank_test(*map(np.array, seen.values()))
    name = "sides do not follow positions" if key["pair"] else "positions do not follow the truth"
    check(name, p > CHANCE, f"p = {p:.2g}")
    check("the pack is the one that was built", study.pack.sha256() == study.about["pack_sha256"], "its hash differs")
    if os.name == "posix":
        places = [path for path in (study.folder / "SEALED", study.folder / ORDERS, study.public,
                                    *study.public.iterdir()) if path.exists()]
        wide = [path.name for path in places if stat.S_IMODE(path.stat().st_mode) & 0o077]
        check("public/ and the keys are closed to other accounts", not wide,
              f"chmod go-rwx {' '.join(wide)}: others can read them")
    return pd.DataFrame(checks, columns=["check", "ok", "detail"])


def cues(main: dict[str, dict], images: dict[str, np.ndarray]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well each simple cue, and all together, tell real images from each method's."""
    from scipy.stats import false_discovery_control
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from uslab.study.statistics import area

    by_file = sorted(main.items(), key=lambda pair: (pair[1]["method"], pair[1]["file"]))   # names are in random order
    table = pd.DataFrame([{"method": item["method"], **measured(images[name])} for name, item in by_file])
    looked = [cue for cue in ADVICE if cue in table]
    real, single, joint = table[table.method == REAL], [], []
    for method, own in table[table.method != REAL].groupby("method"):
        for cue in looked:
            found = area(real[cue].to_numpy(), own[cue].to_numpy())
            low, high = found.low, found.high
            value = max(found.value, 1 - found.value)
            if found.value < 0.5:
                low, high = 1 - high, 1 - low
            p = _rank_test(real[cue].to_numpy(), own[cue].to_numpy())
            single.append((method, cue, value, low, high, p, ADVICE[cue]))
        both = pd.concat([real, own])[looked].to_numpy()
        label = np.repeat([0, 1], [len(real), len(own)])
        folds = min(5, len(real), len(own))
        if folds >= 2:
            guess = cross_val_predict(
                make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)), both, label,
                cv=StratifiedKFold(folds, shuffle=True, random_state=0), method="decision_function")
            found = area(guess[label == 0], guess[label == 1])
            joint.append((method, found.value, found.low, found.high, len(label)))
    table = pd.DataFrame(single, columns=["method", "cue", "area", "low", "high", "q", "advice"])
    table["q"] = false_discovery_control(table.q)
    return (table.sort_values("area", ascending=False, ignore_index=True),
            pd.DataFrame(joint, columns=["method", "area", "low", "high", "n"]))


def measured(stimulus: np.ndarray) -> dict[str, float]:
    """The cues of a still (H, W), or of a clip (F, H, W): the means of its frames, and how it moves."""
    if stimulus.ndim == 2:
        return measure(stimulus)
    levels = stimulus.astype(float)
    return {**pd.DataFrame(map(measure, stimulus)).mean(), "movement": float(np.abs(np.diff(levels, axis=0)).mean()),
            "flicker": float(levels.mean((1, 2)).std())}


def measure(image: np.ndarray) -> dict[str, float]:
    """The cues of one image, (H, W) uint8; each a number without a unit."""
    levels = image.astype(float)
    h, w = image.shape
    window = np.hanning(h)[:, None] * np.hanning(w)
    power = np.abs(np.fft.fft2((levels - levels.mean()) * window)) ** 2
    down, across = np.abs(np.fft.fftfreq(h))[:, None], np.abs(np.fft.fftfreq(w))
    radius = np.hypot(down, across)
    order = np.argsort(radius, axis=None)
    total = np.cumsum(power.ravel()[order]) / max(power.sum(), 1e-12)
    # A generator's upsampling leaves peaks at multiples of a quarter of the sampling rate.
    lattice = (down % 0.25 < 1e-9) & (across % 0.25 < 1e-9) & (radius > 0)
    near = (radius > 0.2) & ~lattice
    step = np.abs(np.diff(levels, axis=1)).mean(0)
    edge = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    lit = np.flatnonzero(levels.max(0) > 4)
    return {
        "file size": len(zlib.compress(image.tobytes(), 6)),
        "resolution": float(radius.ravel()[order][min(np.searchsorted(total, 0.99), total.size - 1)]),
        "fine texture": float(power[radius > 0.25].sum() / max(power.sum(), 1e-12)),
        "periodic pattern": float(power[lattice].mean() / max(power[near].mean(), 1e-12)),
        "8x8 blocks": float(step[7::8].mean() / max(step.mean(), 1e-12)) if w > 16 else 0.0,
        "darkest level": float(np.percentile(levels, 1)), "brightest level": float(np.percentile(levels, 99)),
        "grey levels used": len(np.unique(image)), "saturated pixels": float((image >= 254).mean()),
        "black pixels": float((image <= 2).mean()), "black border": float(w - np.ptp(lit) - 1 if len(lit) else w),
        "border brightness": float(edge.mean()), "mean brightness": float(levels.mean()),
        "contrast": float(levels.std()),
    }


def copies(main: dict[str, dict], images: dict[str, np.ndarray], limit: float = 0.95) -> pd.DataFrame:
    """Synthetic images whose pixels correlate above a limit with a real image of the study: memorised ones.

    Of clips, the two frames that are most alike count.
    """
    def flat(names: list[str]) -> np.ndarray:
        table = np.concatenate([frames(images[name]) for name in names]).reshape(-1, pixels).astype(np.float32)
        table -= table.mean(1, keepdims=True)
        return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-6)

    real = [name for name, item in main.items() if item["truth"] == REAL]
    synthetic = [name for name, item in main.items() if item["truth"] == SYNTHETIC]
    own = frames(images[real[0]])
    length, pixels = len(own), own[0].size
    them = flat(real)
    match = np.stack([(flat([name]) @ them.T).max(0).reshape(-1, length).max(1) for name in synthetic])
    found = [(main[name]["method"], main[name]["file"], main[real[int(row.argmax())]]["file"],
              round(float(row.max()), 3))
             for name, row in zip(synthetic, match) if row.max() > limit]
    return pd.DataFrame(found, columns=["method", "file", "real", "correlation"])


def _rank_test(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import mannwhitneyu

    return float(np.nan_to_num(mannwhitneyu(a, b).pvalue, nan=1.0)) if len(a) and len(b) else 1.0


def as_json(found: Audit) -> str:
    """The audit as JSON, to be kept with the report."""
    return json.dumps({"blinded": found.blinded, "channels": found.channels.to_dict("records"),
                       "cues": found.cues.round(4).to_dict("records"),
                       "together": found.together.round(4).to_dict("records"),
                       "copies": found.copies.to_dict("records")}, indent=1)
