"""Transverse plane of a fetal head as in HC18, simulated, with the exact head circumference."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd
import torch

from uslab.data import ImageSet
from uslab.data.hc18 import circumference

from . import physics

SAMPLES, LINES = 448, 256      # the polar grid, whatever the size of the picture
EXAM_SIZES = np.cumsum([0.80, 0.17, 0.022])   # share of exams with 1, 2, 3 and else 4 images: 806 exams of 999 images
# Head circumferences by quantile, mm: first-trimester, mid-pregnancy and late scans, few in between.
HC_SHARE = [0, 0.02, 0.10, 0.18, 0.22, 0.25, 0.50, 0.75, 0.81, 0.85, 0.90, 0.98, 1]
HC_MM = [44, 68, 78, 90, 130, 156, 174, 192, 215, 262, 282, 319, 346]


@dataclass(frozen=True)
class Scene:
    """What an image shows, apart from the chance of its speckle. Lengths in mm, angles in radians, levels in dB."""

    hc: float              # head circumference
    ratio: float           # short to long diameter of the skull ellipse
    tilt: float            # of the long diameter against the horizontal
    flip: int              # 1 or -1: the forehead is right or left
    centre: tuple[float, float]      # of the head, from the middle of the frame, in frame widths
    width: float           # of the screen's frame
    half_angle: float      # of the fan
    neck: float            # half the width of the fan's upper edge, in frame widths
    crop: float            # how much of the curved upper edge the frame cuts off: 0 nothing, 1 all
    reach: float           # lower end of the fan, in frame heights
    span: float            # dynamic range
    gain: float            # level of soft tissue below white
    skull: float           # echo of the skull, perpendicular
    fluid: float           # size of the pool around the head, in head radii
    pool: tuple[float, float]        # where the pool lies against the head, in head radii
    brain: float           # echo of the brain
    haze: float            # reverberation behind the near skull
    anatomy: int           # seed of everything irregular

    @property
    def axes(self) -> tuple[float, float]:
        """Half the long and half the short diameter, mm."""
        long = self.hc / circumference(1, self.ratio)
        return long / 2, long * self.ratio / 2


def draw_scene(rng: np.random.Generator) -> Scene:
    """One exam, with sizes and views as frequent as in HC18."""
    hc = float(np.interp(rng.random(), HC_SHARE, HC_MM))
    early = hc < 115
    long = hc / circumference(1, 0.79)
    width = max(np.exp(0.68 * np.log(hc) + 1.16 + 0.17 * rng.standard_normal()), 1.25 * long)
    zoom = np.clip((1.9 - width / long) / 0.9 + 0.25 * rng.standard_normal(), 0, 1)   # a small view around the head
    turned = rng.random() < (0.35 if early else 0.08)
    return Scene(
        hc=hc,
        ratio=float(np.clip(rng.normal(0.79, 0.04), 0.69, 0.9)),
        tilt=float(rng.uniform(-np.pi / 2, np.pi / 2) if turned else rng.normal(0, 0.15)),
        flip=int(rng.choice([-1, 1])),
        centre=(float(rng.normal(0, 0.05)), float(rng.normal(0.01, 0.03))),
        width=float(width),
        half_angle=float(np.deg2rad(rng.uniform(25, 38))),
        neck=float(0.13 + 0.3 * zoom + rng.uniform(0, 0.06)),
        crop=float(rng.uniform(-0.1, 1.2)),
        reach=float(0.93 + 0.35 * rng.random() * (0.5 + zoom)),
        span=float(rng.uniform(48, 64)),
        gain=float(rng.uniform(24, 36)),
        skull=float(rng.uniform(20, 30)),
        fluid=float(rng.uniform(1.2, 2.2) if early else rng.uniform(0.9, 1.25)),
        pool=(float(rng.normal(0, 0.25)), float(rng.normal(0, 0.15))),
        brain=float(rng.normal(-6 if early else -13, 3)),
        haze=float(rng.normal(-6, 4)),
        anatomy=int(rng.integers(2**32)),
    )


def next_frame(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same exam a moment later: the hand and the fetus have moved a little."""
    return replace(
        scene,
        hc=scene.hc * float(rng.normal(1, 0.01)),
        tilt=scene.tilt + float(rng.normal(0, 0.05)),
        centre=(scene.centre[0] + float(rng.normal(0, 0.015)), scene.centre[1] + float(rng.normal(0, 0.01))),
        gain=scene.gain + float(rng.normal(0, 1)),
        skull=scene.skull + float(rng.normal(0, 1)),
    )


def amplitude(decibels):
    return np.float32(10) ** (np.asarray(decibels, np.float32) / 20)


def unevenness(rng: np.random.Generator, across: int, down: int) -> np.ndarray:
    """A smooth random field of about unit variance on the polar grid, with so many cells along each side."""
    cells = rng.standard_normal((max(down, 2), max(across, 2)), dtype=np.float32)
    return 1.3 * cv2.resize(cells, (LINES, SAMPLES), interpolation=cv2.INTER_CUBIC)


def facing(normal_x, normal_y, angle: np.ndarray, power: float) -> np.ndarray:
    """Share of a mirror's echo that comes back: most where the beam meets it at a right angle."""
    return np.abs(normal_x * np.sin(angle) + normal_y * np.cos(angle)) ** np.float32(power)


def blob(u, v, centre, radii, turn=0.0, edge=0.15) -> np.ndarray:
    """1 inside an ellipse, 0 outside, with a soft edge (a share of its radius)."""
    c, s = np.cos(turn), np.sin(turn)
    du, dv = u - np.float32(centre[0]), v - np.float32(centre[1])
    distance = np.sqrt(((du * c + dv * s) / radii[0]) ** 2 + ((dv * c - du * s) / radii[1]) ** 2)
    return np.clip((1 - distance) / edge + 0.5, 0, 1)


def stroke(u, v, start, end, bend, width) -> np.ndarray:
    """A bent line of Gaussian profile that fades out at its ends; all in head radii."""
    du, dv = end[0] - start[0], end[1] - start[1]
    length = np.hypot(du, dv)
    along = ((u - start[0]) * du + (v - start[1]) * dv) / length**2
    across = ((v - start[1]) * du - (u - start[0]) * dv) / length - 4 * bend * along * (1 - along)
    return np.exp(-((across / width) ** 2) - (2 * along - 1) ** 8)


def paint(scene: Scene, fan: physics.Fan, head: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tissue on the polar grid: amplitude of the scatterers, amplitude of mirrors, attenuation beyond the TGC's."""
    rng = np.random.default_rng(scene.anatomy)
    x, y, depth, angle = fan.grid()
    a, b = scene.axes
    c, s = np.cos(scene.tilt), np.sin(scene.tilt)
    dx, dy = x - np.float32(head[0]), y - np.float32(head[1])
    p, q = dx * c + dy * s, dy * c - dx * s           # mm along the long and the short diameter
    u, v = p / np.float32(a) * scene.flip, q / np.float32(b)
    rho = np.hypot(u, v)
    slope = np.hypot(p / a**2, q / b**2) / np.maximum(rho, 1e-3)
    outside = (rho - 1) / np.maximum(slope, 1e-6)      # mm from the skull's outer edge, about
    # Mother: layers near the array, uneven tissue below, brighter patches of placenta.
    layers = unevenness(rng, 5, int(fan.depth / 2.5))
    tissue = 3 * unevenness(rng, 8, 8) + 2.5 * unevenness(rng, 24, 28)
    tissue += layers * (2 + 5 * np.exp(-depth / 14))
    tissue += 4 * np.clip(unevenness(rng, 3, 3), -1.5, 1.5)
    # Water around the head, its wall a mirror.
    sac = np.hypot(u - scene.pool[0] * scene.flip, v - scene.pool[1]) / scene.fluid + 0.1 * unevenness(rng, 5, 5)
    wet = np.clip((1 - sac) * 12 + 0.5, 0, 1)
    echo = amplitude(tissue) * (1 - wet) + amplitude(-34) * wet
    mirror = amplitude(8) * np.exp(-(((sac - 1.02) / 0.035) ** 2)) * np.cos(angle) * np.clip(unevenness(rng, 9, 9), 0, 2)
    excess = 0.02 - 0.05 * wet
    # Skull: a few mm of bone, bright where the beam meets it squarely, in plates with sutures between them.
    thick = 0.6 + 0.0045 * scene.hc
    polar = np.arctan2(v, u)
    plates = sum(rng.normal(0, 0.5) * np.cos(k * polar + rng.uniform(0, 6.3)) for k in range(2, 9))
    bone = np.exp(-(((outside + thick * (1.3 + 0.25 * plates)) / thick) ** 2))
    normal_x, normal_y = (p / a**2 * c - q / b**2 * s) / slope / np.maximum(rho, 1e-3), (p / a**2 * s + q / b**2 * c) / slope / np.maximum(rho, 1e-3)
    squarely = facing(normal_x, normal_y, angle, 5)
    strength = np.clip(1 + 0.45 * plates, 0.12, 1.6)
    skull = amplitude(scene.skull) * bone * strength * (0.06 + 0.94 * squarely)
    excess = excess + 0.35 * bone * strength
    # Inside: dark brain in two halves.
    inside = np.clip(-outside / thick - 1.2, 0, 1)
    brain, lines = paint_brain(scene, u, v, angle, rng)
    brain = brain * amplitude(2.0 * unevenness(rng, 12, 14))
    # The near skull rings on, so the near half is hazy.
    ring = np.zeros(LINES, np.float32)
    decay = np.float32(np.exp(-fan.sample_mm / (0.09 * 2 * b)))
    haze = np.empty_like(skull)
    for row in range(SAMPLES):
        ring = ring * decay + skull[row] * (1 - decay)
        haze[row] = ring
    echo = echo * (1 - inside) + (brain + amplitude(scene.haze) * haze * 0.5) * inside
    echo = echo * (1 - bone) + amplitude(8) * bone * strength
    mirror = mirror * (1 - inside) * (1 - bone) + lines * inside + skull
    return echo, mirror, excess


def paint_brain(scene: Scene, u, v, angle, rng) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes of the brain's scatterers and of its bright lines, in head radii (u forward, v down)."""
    echo = np.full(u.shape, amplitude(scene.brain), np.float32)
    lines = np.zeros(u.shape, np.float32)
    early = scene.hc < 115

    def add_line(level, start, end, bend, width):
        du, dv = (end[0] - start[0]) * scene.flip, (end[1] - start[1]) * scene.ratio
        along = np.arctan2(dv, du) + scene.tilt
        back = facing(-np.sin(along), np.cos(along), angle, 6)
        lines[:] += amplitude(level) * (0.15 + 0.85 * back) * stroke(u, v, start, end, bend, width)

    level = scene.skull - rng.uniform(10, 18)
    # Midline echo (falx), interrupted by the cavum and the thalami.
    shift = rng.normal(0, 0.03)
    for left, right in ((-0.88, -0.35), (-0.3, 0.2), (0.55, 0.9)):
        if rng.random() < 0.85:
            add_line(level + rng.normal(0, 3), (left + rng.normal(0, 0.05), shift), (right + rng.normal(0, 0.05), shift),
                     rng.normal(0, 0.02), 0.02)
    if early:
        for side in (-1, 1):      # choroid plexuses fill the ventricles
            plexus = blob(u, v, (-0.15 + rng.normal(0, 0.05), side * 0.42), (0.5, 0.26), side * rng.normal(0.1, 0.1), 0.3)
            echo = np.maximum(echo, amplitude(scene.brain + rng.uniform(6, 12)) * plexus)
        return echo, lines
    # Cavum septi pellucidi: a dark box between two short lines.
    cavum = rng.uniform(0.3, 0.45)
    echo *= 1 - 0.8 * blob(u, v, (cavum, shift), (0.13, 0.06))
    for side in (-1, 1):
        add_line(level + rng.normal(0, 3), (cavum - 0.13, shift + 0.07 * side), (cavum + 0.13, shift + 0.07 * side), 0, 0.02)
    # Thalami: a dark pair at the middle.
    for side in (-1, 1):
        echo *= 1 - 0.5 * blob(u, v, (-0.05, shift + 0.19 * side), (0.24, 0.16), -0.4 * side, 0.4)
    # Lateral ventricle of the far half with its wall and the choroid plexus; the near one is hazier.
    for side, clear in ((1, 0), (-1, 9)):
        middle, height = rng.normal(-0.4, 0.06), side * rng.uniform(0.32, 0.45)
        echo *= 1 - 0.75 * blob(u, v, (middle, height), (0.36, 0.13), 0.15 * side)
        if rng.random() < 0.8:
            plexus = blob(u, v, (middle - 0.03, height + 0.02 * side), (rng.uniform(0.14, 0.24), rng.uniform(0.08, 0.13)), 0.25 * side, 0.3)
            echo = np.maximum(echo, amplitude(scene.brain + rng.uniform(12, 20) - clear) * plexus)
        for wall in (-0.15, 0.16):
            add_line(level + rng.normal(-3, 3) - clear, (middle - 0.35, height + wall * side), (middle + 0.35, height + wall * side * 0.8),
                     rng.normal(0, 0.03), 0.018)
        # Insula and Sylvian fissure.
        add_line(level - 4 - clear, (-0.05, 0.58 * side), (0.35, 0.55 * side), 0.05 * side, 0.025)
    # Sulci: short bright lines, more of them as the brain folds.
    for _ in range(rng.poisson(4 + scene.hc / 25)):
        radius, turn = rng.uniform(0.15, 0.85), rng.uniform(0, 2 * np.pi)
        at = radius * np.cos(turn), radius * np.sin(turn)
        half, lean = rng.uniform(0.04, 0.16), rng.normal(0, 0.35)
        add_line(level + rng.normal(-8, 4) - (6 if at[1] < 0 else 0), (at[0] - half, at[1] - half * lean),
                 (at[0] + half, at[1] + half * lean), rng.normal(0, 0.02), 0.015)
    return echo, lines


def render(scene: Scene, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Image and head mask, both (size, size) uint8, and the millimetres per pixel."""
    width, height = scene.width, scene.width * 0.675
    radius = scene.neck * width / np.sin(scene.half_angle)
    ends = radius * np.cos(scene.half_angle)
    top = ends + scene.crop * (radius - ends)
    fan = physics.Fan(radius, top + scene.reach * height - radius, scene.half_angle, SAMPLES, LINES)
    head = scene.centre[0] * width, top + (0.5 + scene.centre[1]) * height
    echo, mirror, excess = paint(scene, fan, head)
    passed = physics.transmission(excess, fan.sample_mm)
    depth = fan.grid()[2]
    beam = physics.beam_width(depth, head[1] - radius, 0.0045 * width + 0.25, 0.008) * fan.lines_per_mm()
    beam, pulse = np.maximum(beam, 0.5), 0.0022 * width / fan.sample_mm + 0.3
    field = (physics.scatterers(echo, rng) + mirror / physics.mirror_gain(pulse, beam)) * passed
    envelope = np.abs(physics.blur(field, pulse, beam))
    values = physics.log_compress(envelope, scene.gain, scene.span, 1.5)
    # The square around what the frame shows of the fan, as the preparation of real images cuts it.
    right = min(width / 2, (radius + fan.depth) * np.sin(scene.half_angle))
    low, high = max(top, ends), min(top + height, radius + fan.depth)
    side = max(2 * right, high - low)
    left, upper = -side / 2, (low + high - side) / 2
    image = physics.scan_convert(values, fan, left, upper, side, size, (-right, low, right, high))
    pixel = side / size
    a, b = scene.axes
    grid = (np.arange(size) + 0.5) * pixel
    dx, dy = left + grid[None] - head[0], upper + grid[:, None] - head[1]
    c, s = np.cos(scene.tilt), np.sin(scene.tilt)
    mask = ((dx * c + dy * s) / a) ** 2 + ((dy * c - dx * s) / b) ** 2 <= 1
    return np.round(255 * image).astype(np.uint8), mask.astype(np.uint8), pixel


def exams(n: int, seed: int) -> np.ndarray:
    """Exam of each image, (n,) int64: images of one exam follow each other."""
    sizes = 1 + np.searchsorted(EXAM_SIZES, np.random.default_rng([seed, 0]).random(n), side="right")
    return np.repeat(np.arange(n), sizes)[:n]


def make(n: int, size: int, seed: int) -> ImageSet:
    """The image set that uslab.phantom.load returns."""
    groups = exams(n, seed)

    def one(index: int):
        rng = np.random.default_rng([seed, 2, index])
        scene = next_frame(draw_scene(np.random.default_rng([seed, 1, groups[index]])), rng)
        return scene.hc, *render(scene, size, rng)

    # NumPy, SciPy and OpenCV work outside Python's lock; each image is made by one thread, so the result does not
    # depend on their number.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hc, images, masks, pixels = zip(*pool.map(one, range(n)))
    names, groups = np.unique(groups, return_inverse=True)
    return ImageSet(
        images=torch.from_numpy(np.stack(images))[:, None],
        masks=torch.from_numpy(np.stack(masks))[:, None],
        mask_names=("background", "head"),
        groups=torch.from_numpy(groups),
        group_names=tuple(f"{name:04d}" for name in names),
        table=pd.DataFrame({"file": [f"{index:05d}" for index in range(n)], "pixel_mm": pixels, "hc_mm": hc}),
        card="phantom_fetal_head",
        source="phantom",
    )
