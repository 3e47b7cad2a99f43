"""Transverse plane of a fetal head as in HC18, simulated, with the exact head circumference."""


import numpy as np

from uslab.data import ImageSet
from uslab.data.hc18 import circumference

from . import physics, series
from .brush import Ellipse, amplitude, at_least, darker, facing, ring_down, sheets, unevenness

SAMPLES, LINES, LOOKS = 352, 224, 4   # the polar grid, whatever the size of the picture, and the compounded views
EXAM_SIZES = np.cumsum([0.80, 0.17, 0.022])   # share of exams with 1, 2, 3 and else 4 images: 806 exams of 999 images
# Head circumferences by quantile, mm: first-trimester, mid-pregnancy and late scans, few in between.
HC_SHARE = [0, 0.02, 0.10, 0.18, 0.22, 0.25, 0.50, 0.75, 0.81, 0.85, 0.90, 0.98, 1]
HC_MM = [44, 68, 78, 90, 130, 156, 174, 192, 215, 262, 282, 319, 346]


class Scene(series.Scene):
    """A scene whose facts imply a few more."""

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
    width = max(np.exp(0.68 * np.log(hc) + 1.12 + 0.17 * rng.standard_normal()), 1.3 * long)
    zoom = np.clip((2.1 - width / long) / 0.9 + 0.3 * rng.standard_normal(), 0, 1)   # a small view around the head
    turned = rng.random() < (0.35 if early else 0.06)
    return Scene(
        hc=hc,  # head circumference
        early=early,  # first trimester: large choroid plexuses, much fluid
        ratio=float(np.clip(rng.normal(0.79, 0.04), 0.69, 0.9)),  # short to long diameter of the skull ellipse
        # Of the long diameter against the horizontal.
        tilt=float(rng.uniform(-np.pi / 2, np.pi / 2) if turned else rng.normal(0, 0.15)),
        flip=int(rng.choice([-1, 1])),  # 1 or -1: the forehead is right or left
        # Of the head, from the middle of the frame, in frame widths.
        centre=(float(rng.normal(0, 0.05)), float(rng.normal(0.01, 0.03))),
        width=float(width),  # of the screen's frame
        # Its height to its width; 540 by 800 pixels, but a few.
        aspect=float(rng.uniform(0.7, 0.95) if rng.random() < 0.12 else 0.675),
        half_angle=float(np.deg2rad(rng.normal(37 - 10 * zoom, 4))),  # of the fan
        # Half the width of the fan's upper edge, in frame widths.
        neck=float(0.15 + 0.3 * zoom + rng.uniform(0, 0.08)),
        crop=float(rng.uniform(-0.1, 1.2)),  # how much of the curved upper edge the frame cuts off: 0 nothing, 1 all
        reach=float(0.93 + 0.35 * rng.random() * (0.5 + zoom)),  # lower end of the fan, in frame heights
        # Middle of the fan, from the middle of the frame, in frame widths.
        aside=float(rng.normal(0, 0.02 + 0.05 * zoom)),
        span=float(rng.uniform(50, 56)),  # dynamic range
        gain=float(rng.normal(27, 2.5)),  # level of soft tissue below white
        # The brightest grey that the frame is stored with, of 255.
        white=float(255 if rng.random() < 0.06 else min(rng.normal(242, 2), 243)),
        skull=float(rng.uniform(22.5, 30)),  # echo of the skull, perpendicular
        # Size of the pool around the head, in head radii.
        fluid=float(rng.uniform(1.1, 2.2) if early else rng.uniform(0.8, 1.2)),
        # Where the pool lies against the head, in head radii.
        pool=(float(rng.normal(0, 0.35)), float(rng.normal(0, 0.2))),
        brain=float(rng.normal(-6 if early else -10, 3)),  # echo of the brain
        haze=float(rng.normal(-6, 4)),  # reverberation behind the near skull
        noise=float(rng.normal(6.5, 5)),  # of the receiver above black, at the lower end of the fan
        # Patient data blanked at the lower and upper right.
        boxes=(bool(rng.random() < 0.75), bool(rng.random() < 0.25)),
        anatomy=int(rng.integers(2**32)),  # seed of everything irregular
    )


def next_frame(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same exam a moment later: the hand and the fetus have moved a little."""
    return scene.changed(
        hc=scene.hc * float(rng.normal(1, 0.01)),
        tilt=scene.tilt + float(rng.normal(0, 0.05)),
        centre=(scene.centre[0] + float(rng.normal(0, 0.015)), scene.centre[1] + float(rng.normal(0, 0.01))),
        gain=scene.gain + float(rng.normal(0, 1)),
        skull=scene.skull + float(rng.normal(0, 1)),
    )


def paint(scene: Scene, head: Ellipse) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tissue on the polar grid: amplitude of the scatterers, amplitude of mirrors, attenuation beyond the TGC's."""
    rng = np.random.default_rng(scene.anatomy)
    fan, depth, angle = head.fan, head.depth, head.angle
    # The mother: layers near the array, uneven tissue and streaks of poor contact below.
    layers = unevenness(rng, fan, 4, int(fan.depth / 2.2)) * np.exp(-depth / rng.uniform(8, 16))
    tissue = 10 * np.minimum(layers, 1.2) + rng.uniform(2, 5) * unevenness(rng, fan, 5, 14)
    tissue += 5 * np.clip(unevenness(rng, fan, 4, 4), -2, 1.4)
    tissue += 2.5 * unevenness(rng, fan, 30, 30) + 3 * unevenness(rng, fan, 50, 110)
    tissue += 2 - 4 * depth / fan.depth
    streaks = 0.025 * unevenness(rng, fan, 12, 2)
    # The outermost lines have the poorest contact.
    tissue -= rng.uniform(2, 20) * (angle / fan.half_angle) ** 2
    echo, (mirror, things) = amplitude(tissue), np.zeros((2, SAMPLES, LINES), np.float32)
    # Fascia: thin bright sheets, most of them near the array.
    fascia = sheets(unevenness(rng, fan, 4, int(fan.depth / 7)), fan, 0.3 + 0.001 * fan.depth, 6)
    fascia *= np.clip(unevenness(rng, fan, 7, 20), 0, 2) * np.exp(-depth / rng.uniform(15, 50))
    # Things beside the head: limbs, cord, uterine wall.
    for _ in range(rng.poisson(3)):
        turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(1.3, 1.8)
        at = away * np.cos(turn), away * np.sin(turn)
        if rng.random() < 0.5:
            head.blob(things, at_least(rng.uniform(5, 12)), at,
                      (rng.uniform(0.08, 0.3), rng.uniform(0.05, 0.15)), rng.uniform(0, 3), 0.6)
        else:
            half = rng.uniform(0.1, 0.35)
            lean = rng.normal(0, 0.3)
            head.line(mirror, scene.skull - rng.uniform(2, 10), (at[0] - half, at[1] - lean * half),
                      (at[0] + half, at[1] + lean * half), rng.normal(0, 0.08), 0.4 + 0.004 * scene.hc)
    # Water around the head, its wall a mirror.
    sac = np.hypot(head.u - np.float32(scene.pool[0]), head.v - np.float32(scene.pool[1])) / np.float32(scene.fluid)
    sac += 0.09 * unevenness(rng, fan, 5, 5) + 0.03 * unevenness(rng, fan, 16, 16)
    wet = np.clip((1 - sac) * 9 + 0.5, 0, 1)
    echo = np.maximum(echo * (1 - wet) + amplitude(-25) * wet, things)
    mirror += amplitude(rng.uniform(6, 16)) * fascia * (1 - wet)
    wall = np.exp(-(((sac - 1.03) / 0.03) ** 2)) * np.clip(unevenness(rng, fan, 9, 9), 0, 2)
    mirror += amplitude(6) * wall * np.cos(angle) ** 6
    excess = streaks + 0.01 - 0.05 * wet
    # Skull: a few mm of bone, rough, in plates of varied thickness with dim sutures between them, and bright where the
    # beam meets it squarely.
    thick = 0.4 + 0.0028 * scene.hc
    turn = np.linspace(-np.pi, np.pi, 1024)
    plates = ripple(rng, turn, 2, 8, 0.6) + ripple(rng, turn, 8, 40, 0.1)
    strength = np.clip(1 + 0.45 * plates, 0.2, 1.6)
    for _ in range(rng.poisson(4)):
        suture = np.sin((turn - rng.uniform(-np.pi, np.pi)) / 2) * 2 / rng.uniform(0.03, 0.14)
        strength *= 1 - rng.uniform(0.4, 0.95) * np.exp(-(suture**4))
    edge = 1.3 + 0.25 * plates + ripple(rng, turn, 6, 24, 0.05 * min(1, scene.hc / 200))
    width = np.clip(1 + ripple(rng, turn, 3, 20, 0.1), 0.5, 1.6)
    at = ((np.arctan2(head.v, head.u) + np.pi) * (1023 / (2 * np.pi))).astype(np.int32)
    strength, edge, width = (np.float32(values)[at] for values in (strength, edge, width))
    bone = np.exp(-(((head.outside / np.float32(thick) + edge) / width) ** 2))
    squarely = facing(*head.normal, angle, 5)
    grain = np.clip(1 + 0.2 * unevenness(rng, fan, 75, 120), 0.1, 2)
    skull = amplitude(scene.skull) * bone * strength * grain * (0.08 + 0.92 * squarely)
    excess += 0.5 * bone * strength
    inside = np.clip(-head.outside / thick - 1.2, 0, 1)
    brain, lines = paint_brain(scene, head, rng)
    brain *= amplitude(2 * unevenness(rng, fan, 14, 14) + 1.5 * unevenness(rng, fan, 36, 36))
    # The near skull rings on, most where the beam is perpendicular, so the near half is hazy.
    haze = ring_down(skull * squarely**5, 0.10 * 2 * scene.axes[1] / fan.sample_mm)
    echo = echo * (1 - inside) + (brain + amplitude(scene.haze) * haze) * inside
    echo = echo * (1 - bone) + amplitude(1) * bone * strength
    mirror = mirror * (1 - inside) * (1 - bone) + lines * inside + skull
    return echo, mirror, excess


def ripple(rng: np.random.Generator, turn: np.ndarray, first: int, last: int, height: float) -> np.ndarray:
    """A random function of the angle around the head: waves first to last - 1, each of a standard height."""
    return sum(rng.normal(0, height) * np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in range(first, last))


def paint_brain(scene: Scene, head: Ellipse, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes of the brain's scatterers and of its bright lines; positions in head radii, u forward, v down."""
    # The far half is darker towards the skull.
    echo = amplitude(scene.brain - 4 * np.maximum(head.radius, 0.4) ** 2)
    lines = np.zeros_like(echo)
    level = scene.skull - rng.uniform(7, 16)
    # Midline echo (falx) in pieces.
    shift, at = rng.normal(0, 0.03), -0.92
    while at < 0.9:
        piece = rng.uniform(0.08, 0.4)
        if rng.random() < 0.75:
            head.line(lines, level + rng.normal(0, 4), (at, shift + rng.normal(0, 0.012)),
                      (min(at + piece, 0.95), shift + rng.normal(0, 0.012)), rng.normal(0, 0.01))
        at += piece + rng.uniform(0.0, 0.1)
    if scene.early:
        for side in (-1, 1):      # choroid plexuses fill the ventricles
            head.blob(echo, darker(0.6), (-0.1, side * 0.48), (0.7, 0.4), side * 0.1, 0.4)
            at = rng.normal(-0.15, 0.08), side * rng.normal(0.42, 0.03)
            head.blob(echo, at_least(scene.brain + rng.uniform(3, 8)), at,
                      (rng.uniform(0.35, 0.6), rng.uniform(0.2, 0.3)), side * rng.normal(0.1, 0.15), 0.4)
        return echo, lines
    # Cavum septi pellucidi: a dark box between two short lines.
    cavum = rng.uniform(0.3, 0.5)
    head.blob(echo, darker(0.8), (cavum, shift), (0.13, 0.06))
    for side in (-1, 1):
        height = shift + 0.07 * side
        head.line(lines, level + rng.normal(0, 3), (cavum - 0.11, height), (cavum + 0.11, height))
        # Thalami: a dark pair at the middle.
        head.blob(echo, darker(0.5), (-0.05, shift + 0.19 * side), (0.24, 0.16), -0.4 * side, 0.4)
        # Lateral ventricle with its wall and the choroid plexus; that of the near half is hidden by haze.
        clear = 0 if side > 0 else 9
        middle, height = rng.normal(-0.4, 0.06), side * rng.uniform(0.32, 0.48)
        head.blob(echo, darker(0.75), (middle, height), (0.36, 0.13), 0.15 * side, 0.4)
        if rng.random() < 0.85:
            head.blob(echo, at_least(scene.brain + rng.uniform(10, 17) - clear), (middle - 0.03, height + 0.02 * side),
                      (rng.uniform(0.12, 0.24), rng.uniform(0.08, 0.15)), 0.3 * side, 0.5)
        for wall in (-0.15, 0.16):
            end = middle + rng.uniform(-0.2, 0.2)
            head.line(lines, level - clear + rng.normal(-3, 3), (end - 0.12, height + wall * side),
                      (end + 0.12, height + wall * side * 0.8), rng.normal(0, 0.02))
        # Insula and Sylvian fissure.
        insula = side * rng.uniform(0.5, 0.68)
        head.line(lines, level + rng.normal(-5, 3) - clear, (0.05, insula), (0.3, 0.95 * insula), 0.03 * side)
    # Sulci: short bright lines, more of them as the brain folds.
    for _ in range(rng.poisson(rng.uniform(2, 14) + scene.hc / 15)):
        radius, turn = rng.uniform(0.1, 0.85), rng.uniform(0, 2 * np.pi)
        at = radius * np.cos(turn), radius * np.sin(turn)
        half, lean = rng.uniform(0.02, 0.1), rng.normal(0, 0.4)
        head.line(lines, level + rng.normal(-6, 5) - (5 if at[1] < 0 else 0), (at[0] - half, at[1] - half * lean),
                  (at[0] + half, at[1] + half * lean), rng.normal(0, 0.02), 0.4)
    return echo, lines


def render(scene: Scene, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Image and head mask, both (size, size) uint8, and the millimetres per pixel."""
    a, b = scene.axes
    tall = np.hypot(a * np.sin(scene.tilt), b * np.cos(scene.tilt))    # half the height of the tilted head
    width = max(scene.width, 2.25 * tall / scene.aspect)
    height = width * scene.aspect
    radius = scene.neck * width / np.sin(scene.half_angle)
    ends = radius * np.cos(scene.half_angle)
    top = ends + scene.crop * (radius - ends)
    fan = physics.Fan(radius, max(top + scene.reach * height - radius, 2.1 * tall), scene.half_angle, SAMPLES, LINES)
    middle = -scene.aside * width                                      # of the frame
    x = middle + scene.centre[0] * width
    highest, lowest = max(radius, top) + 0.04 * height + tall, min(top + height, radius + fan.depth) - 1.04 * tall
    y = max(min(top + 0.5 * height + scene.centre[1] * width, lowest), min(highest, lowest))
    head = Ellipse(fan, (x, y), scene.axes, scene.tilt, scene.flip)
    echo, mirror, excess = paint(scene, head)
    waist = physics.beam_width(head.depth, y - radius, 0.273 + 0.00585 * width, 0.008)
    beam, pulse = np.maximum(waist * fan.lines_per_mm(), 0.5), max((0.145 + 0.0022 * width) / fan.sample_mm, 0.5)
    # The time gain raises the receiver's noise with depth.
    noise = amplitude(scene.gain - scene.span + scene.noise - 9 * (1 - head.depth / fan.depth))
    echoes = physics.insonify(echo, mirror, excess, fan.sample_mm, LOOKS, pulse, beam, rng, noise)
    values = np.float32(scene.white / 255) * physics.log_compress(echoes, scene.gain, scene.span, 1.82)
    # The square around what the frame shows of the fan, as the preparation of real images cuts it.
    widest = (radius + fan.depth) * np.sin(scene.half_angle)
    left, right = max(middle - width / 2, -widest), min(middle + width / 2, widest)
    low, high = max(top, ends), min(top + height, radius + fan.depth)
    side = max(right - left, high - low)
    corner = (left + right - side) / 2, (low + high - side) / 2
    image = physics.scan_convert(values, fan, *corner, side, size, (left, low, right, high))
    grid = (np.arange(size) + 0.5) * (side / size)
    pixel_x, pixel_y = corner[0] + grid[None], corner[1] + grid[:, None]
    for blanked, (above, below) in zip(scene.boxes, ((0.8, 1.1), (-0.1, 0.19))):
        start = 0.75 if above > 0 else 0.88
        if blanked:
            image[(pixel_x > middle + (start - 0.5) * width) & (pixel_y > top + above * height)
                  & (pixel_y < top + below * height)] = 0
    dx, dy = pixel_x - x, pixel_y - y
    c, s = np.cos(scene.tilt), np.sin(scene.tilt)
    mask = ((dx * c + dy * s) / a) ** 2 + ((dy * c - dx * s) / b) ** 2 <= 1
    return np.round(255 * image).astype(np.uint8), mask.astype(np.uint8), side / size


def exams(n: int, seed: int) -> np.ndarray:
    """Exam of each image, (n,) int64: images of one exam follow each other."""
    return series.groups(n, seed, EXAM_SIZES)


def make(n: int, size: int, seed: int, first: int = 0) -> ImageSet:
    """The image set that uslab.phantom.load returns."""
    groups = exams(n, seed)

    def one(index: int):
        rng = np.random.default_rng([seed, 2, index])
        scene = next_frame(draw_scene(np.random.default_rng([seed, 1, groups[index]])), rng)
        image, mask, pixel = render(scene, size, rng)
        return image, mask, {"pixel_mm": pixel, "hc_mm": scene.hc}

    return series.image_set(one, groups, "fetal_head", seed, first, ("background", "head"))
