"""Build a study's folder: choose images, prepare all alike, seal the key, plan the order of every reader to come."""

import dataclasses
import datetime
import hashlib
import json
import platform
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import uslab
from uslab.data.atomic import written_aside
from uslab.pages.messages import messages
from uslab.study import clips, lock, pack, plan
from uslab.study.protocol import ATTENTION, LEFT, PRESETS, PROTOCOLS, REAL, RIGHT, SYNTHETIC, Protocol
from uslab.study.rules import declared
from uslab.study.store import FORMAT, ORDERS, Store

HELD_OUT = 1000     # added to the seed of phantoms that stand for real images, so that no training set holds them
DESIGN = {"n_per_method": 20, "n_real": None, "repeats": 0.15, "practice": 4, "attention": 5, "readers": 20,
          "margin": 0.1, "rules": {}}


def resolve(protocol: str | Protocol, **design) -> tuple[Protocol, dict, str | None]:
    """The protocol, the design with the defaults of the preset or of DESIGN, and the preset's name if it is one."""
    preset = protocol if isinstance(protocol, str) and protocol in PRESETS else None
    defaults = DESIGN
    if preset:
        protocol, defaults = PRESETS[preset].protocol, DESIGN | PRESETS[preset].design
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise ValueError(f"no protocol {protocol!r}: choose one of {', '.join([*PROTOCOLS, *PRESETS])}, or give a "
                             "Protocol")
        protocol = PROTOCOLS[protocol]
    return protocol, defaults | {name: value for name, value in design.items() if value is not None}, preset


def build(
    real: Any, synthetic: dict[str, Any], protocol: str | Protocol, seed: int, out: Path, title: str | None,
    texts: dict, exclude: Sequence[str], size: int | None, crop: bool, acknowledge_text: bool, **design,
) -> None:
    """Study.build's work; see there."""
    protocol, design, preset = resolve(protocol, **design)
    protocol = protocol.worded(texts)
    title = messages(protocol.language)["title"] if title is None else title
    check(synthetic, design, protocol)
    if protocol.fps and crop:
        raise ValueError("clips cannot be cropped here, as each frame would be cropped by itself: crop them before")
    unread(synthetic, json.dumps([title, protocol.to_dict()], ensure_ascii=False))
    design["rules"] = declared(design["rules"], protocol)
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} exists and is not empty: nothing is overwritten; name another folder")
    origins = gather(real, synthetic, design, seed, size)
    origins = without(clips.together(origins) if protocol.fps else origins, exclude)
    origins = pack.prepare(clips.cut(origins, protocol.frames) if protocol.fps else origins, size, crop)
    secret = secrets.token_bytes(32)
    items, pixels = draw(origins, protocol, design, seed, secret)
    shown = [pack.Source(item["method"], [pixels[name]], [item["file"]]) for name, item in items.items()
             if item["truth"] != ATTENTION]
    if not acknowledge_text and (found := pack.with_text(shown)):
        raise ValueError(f"{len(found)} images seem to hold burnt-in text or callipers, which would tell their origin: "
                         f"{', '.join(found[:5])}{', ...' if len(found) > 5 else ''}. Look at them; crop them "
                         "(crop=True, --crop), take them out, or acknowledge them (acknowledge_text=True, "
                         "--acknowledge-text)")
    key = {"version": 1, "seed": seed, "secret": secret.hex(), "design": design, "methods": list(synthetic),
           "pair": protocol.pair, "phantom": origins[0].phantom, "stimuli": items}
    plans = orders(key)     # what cannot be planned fails before any file
    with written_aside(out) as part:
        public, sealed = part / "public", part / "SEALED"
        public.mkdir(mode=0o700)
        sealed.mkdir(mode=0o700)
        about = {
            "version": FORMAT, "id": secrets.token_hex(8), "title": title, "preset": preset,
            "protocol": protocol.to_dict(),
            "design": design, "n_methods": len(synthetic), "n_trials": len(plans[0]),
            "built": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "pack_sha256": pack.write(public / pack.PACK, pixels),
            "key_commitment": pack.seal(sealed / "key.json", key),
            "text_acknowledged": acknowledge_text,
            "versions": {"uslab": uslab.__version__, "python": platform.python_version(), "numpy": np.__version__},
        }
        keys = [lock.order_key(key["secret"], slot) for slot in range(len(plans))]
        for path, content in ((public / "study.json", about), (part / ORDERS, [one.hex() for one in keys])):
            path.touch(mode=0o600)
            path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        store = Store(public, create=True)
        store.write(*(("insert into plan values (?, ?)", (slot, lock.lock(one, table)))
                      for slot, (one, table) in enumerate(zip(keys, plans))))
        store.close()


def unread(methods: Iterable[str], words: str) -> None:
    """Raise ValueError if a method's name stands in what readers read: the audit could not tell it from a leak."""
    for name in methods:
        if len(name) > 3 and name in words:
            raise ValueError(f"the method's name {name!r} stands in what every reader is sent (title, question, "
                             "instructions, form and their names): name the method otherwise")


def check(synthetic: dict[str, Any], design: dict, protocol: Protocol) -> None:
    """Raise ValueError for a design that cannot be, naming the value."""
    if not isinstance(synthetic, dict) or not synthetic:
        raise ValueError("synthetic must map at least one method's name to its images, such as {'dcgan': 'runs/a'}")
    if bad := [name for name in synthetic if name.lower() in (REAL, SYNTHETIC, ATTENTION) or not name.strip()]:
        raise ValueError(f"{bad[0]!r} cannot be the name of a method")
    for name, least in (("n_per_method", 1), ("readers", 1), ("practice", 0), ("attention", 0)):
        if type(design[name]) is not int or design[name] < least:
            raise ValueError(f"{name} is {design[name]!r}; it must be a whole number, at least {least}")
    if design["n_real"] is not None and (type(design["n_real"]) is not int or design["n_real"] < 1):
        raise ValueError(f"n_real is {design['n_real']!r}; it must be a whole number, at least 1, or None for one half")
    if not isinstance(design["margin"], (int, float)) or not 0 < design["margin"] < 0.5:
        raise ValueError(f"margin is {design['margin']!r}; it must lie between 0 and 0.5")
    if (protocol.mark or protocol.window) and protocol.exposure_ms:
        raise ValueError(f"an image that is gone after {protocol.exposure_ms} ms cannot be marked, nor its window "
                         "changed: leave out mark and window")
    for name, most in (("fps", 60), ("frames", 10**4)):
        if type(value := getattr(protocol, name)) is not int or not 0 <= value <= most:
            raise ValueError(f"{name} is {value!r}; it must be a whole number from 0 to {most}")
    if protocol.frames == 1 or protocol.frames and not protocol.fps:
        raise ValueError(f"frames is {protocol.frames}: a clip has at least 2, and only with fps are clips shown")
    if protocol.pair and design["n_real"] is not None:
        raise ValueError("n_real cannot be set with pairs: each synthetic image has one real image beside it")
    if design["practice"] % 2:
        raise ValueError(f"practice is {design['practice']}; it must be even, half real and half synthetic")
    if not 0 <= design["repeats"] <= 1:
        raise ValueError(f"repeats is {design['repeats']}; it is a share of the images, between 0 and 1")


def gather(real: Any, synthetic: dict[str, Any], design: dict, seed: int, size: int | None) -> list[pack.Source]:
    """The images of all origins, real ones first: of phantoms and generators as many as the design needs.

    A phantom is drawn as large as the smallest of the others, since nothing may be enlarged.
    """
    from uslab.data import source

    main, further = design["n_per_method"], design["practice"] + design["attention"]
    n_real = (design["n_real"] or main * len(synthetic)) + further
    given = {REAL: source.completed(real, n=n_real, seed=HELD_OUT + seed)}
    given |= {name: source.completed(images, n=main + further) for name, images in synthetic.items()}
    origins: dict[str, pack.Source] = {}
    for name in sorted(given, key=lambda name: source.maker(given[name]) == "phantom"):
        sides = [max(image.shape) for origin in origins.values() for image in origin.images]
        side = size or (min(max(min(sides), 64), 512) if sides else None)       # phantoms are drawn at 64 to 512
        origins[name] = pack.read(name, given[name], side)
    return [origins[name] for name in given]


def without(origins: list[pack.Source], exclude: Sequence[str]) -> list[pack.Source]:
    """The origins without the files of these names. Raises ValueError for a name that none has."""
    if unknown := sorted(set(exclude).difference(*(origin.files for origin in origins))):
        raise ValueError(f"no image is called {unknown[0]!r}, so it cannot be left out: the first ones are "
                         f"{', '.join(origins[0].files[:3])}")
    parts = []
    for origin in origins:
        kept = [row for row, file in enumerate(origin.files) if file not in exclude]
        groups = origin.groups and [origin.groups[row] for row in kept]
        parts.append(dataclasses.replace(origin, images=[origin.images[row] for row in kept],
                                         files=[origin.files[row] for row in kept], groups=groups))
    return parts


def draw(
    origins: list[pack.Source],     # real first
    protocol: Protocol,
    design: dict,
    seed: int,
    secret: bytes,
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Choose the images of every phase; returns what the key holds of each, by opaque name, and its pixels."""
    methods, n = len(origins) - 1, design["n_per_method"]
    n_real = n * methods if design["n_real"] is None else design["n_real"]
    trials = design["practice"]
    practice = trials if protocol.pair else trials // 2                 # images of either class
    split = [practice // methods + (i < practice % methods) for i in range(methods)]
    items, pixels = {}, {}

    def add(source: pack.Source, index: int, truth: str, phase: str, pair: int | None, image: np.ndarray | None = None):
        image = source.images[index] if image is None else image
        name = pack.identity(secret, image)
        if name in items:
            raise ValueError(f"{source.files[index]} ({source.name}) shows the same pixels as {items[name]['file']} "
                             f"({items[name]['method']}): take one of them out")
        group = source.groups[index] if source.groups else None
        items[name] = {"truth": truth, "method": source.name, "phase": phase, "pair": pair, "file": source.files[index],
                       "group": group, "sha256": hashlib.sha256(image.tobytes()).hexdigest()}
        pixels[name] = image

    rng = np.random.default_rng(seed)       # who has the images knows their truth, so their choice is no secret
    # In pairs, an attention item is noise beside a real image; alone, it is noise.
    beside = design["attention"] if protocol.pair else 0
    chosen = pack.choose(origins[0], n_real + practice + beside, rng)
    for i, index in enumerate(chosen[:n_real]):
        add(origins[0], index, REAL, "main", i)
    for i, index in enumerate(chosen[n_real:n_real + practice]):
        add(origins[0], index, REAL, "practice", i)
    for i, index in enumerate(chosen[n_real + practice:]):
        add(origins[0], index, REAL, ATTENTION, i)
    for i in range(design["attention"]):
        index = chosen[i % len(chosen)]
        add(origins[0], index, ATTENTION, ATTENTION, i, pack.noise_like(origins[0].images[index], rng))
    pair = {"main": 0, "practice": 0}
    for source, wanted in zip(origins[1:], split):
        for i, index in enumerate(pack.choose(source, n + wanted, rng)):
            phase = "main" if i < n else "practice"
            add(source, index, SYNTHETIC, phase, pair[phase])
            pair[phase] += 1
    return items, pixels


def orders(key: dict) -> list[list[list]]:
    """The plans of all readers that can be invited, by slot."""
    return [rows(key, slot) for slot in range(key["design"]["readers"])]


def rows(key: dict, slot: int) -> list[list]:
    """The plan of one reader from the key alone: rows position, trial, phase, block, stimuli, reversed, told.

    Positions count from 1 over the practice and the rest; blocks from 1, the practice is block 0; stimuli are opaque
    names, two of them, left and right, in pairs. `reversed`: the buttons stand in reversed order. `told`: the truth, of
    practice alone, which is never analysed.
    """
    rng = plan.generator(bytes.fromhex(key["secret"]), key["seed"], "order", slot)
    design, strata_of = key["design"], {name: i for i, name in enumerate([REAL, *key["methods"]])}

    def trials(phase: str) -> tuple[list[str], np.ndarray]:
        """Stimuli of each trial of a phase, and its stratum."""
        by_pair: dict = {}
        for name, item in sorted(key["stimuli"].items(), key=lambda pair: (pair[1]["truth"] != REAL, pair[0])):
            if item["phase"] == phase:
                by_pair.setdefault(item["pair"] if key["pair"] else name, []).append(name)
        groups = list(by_pair.values())
        strata = np.array([strata_of[key["stimuli"][names[-1]]["method"]] for names in groups], int)
        if not key["pair"] or not groups:
            return [names[0] for names in groups], strata
        left = plan.sides(strata, rng)
        return [",".join(names if at_left else names[::-1]) for names, at_left in zip(groups, left)], 2 * strata + left

    table = []
    names, strata = trials("practice")
    if names:
        table += [("practice", names[i], 0) for i in plan.order(strata, rng)[0]]
    names, strata = trials("main")
    watchers, _ = trials(ATTENTION)
    items, block = plan.order(strata, rng)
    table += [(phase, (watchers if phase == ATTENTION else names)[item], block + 1) for phase, item, block
              in plan.with_extras(items, block, strata, design["repeats"], len(watchers), rng)]
    flip = int(slot % 2 and not key["pair"])

    def told(phase: str, stimuli: str) -> str | None:
        truths = [key["stimuli"][name]["truth"] for name in stimuli.split(",")]
        return None if phase != "practice" else (LEFT if truths[0] == REAL else RIGHT) if key["pair"] else truths[0]

    return [[i, f"t{i:04d}", phase, int(block), stimuli, flip, told(phase, stimuli)]
            for i, (phase, stimuli, block) in enumerate(table, 1)]
