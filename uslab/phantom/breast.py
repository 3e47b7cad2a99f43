"""Breast as in BUSI, simulated: a linear array over skin, fat, gland, muscle and ribs, with or without a lesion."""

from dataclasses import replace

import cv2
import numpy as np

from uslab.data import ImageSet

from . import physics, series
from .brush import Ellipse, amplitude, facing, fibres, sheets, unevenness
from .mass import draw_mass
from .series import Scene

SAMPLES, LINES, LOOKS = 320, 256, 4   # the grid, whatever the size of the picture, and the compounded views
EXAM_SIZES = np.cumsum([0.77, 0.17])  # share of patients with 1, 2 and else 3 images: about 600 of 780 images
CLASSES = ("normal", "benign", "malignant")
COUNTS = (133, 437, 210)              # images of BUSI


def draw_scene(rng: np.random.Generator, kind: int) -> Scene:
    """One patient of a class, an index into CLASSES."""
    width = rng.uniform(36, 52)
    depth = width / np.clip(np.exp(rng.normal(0.2, 0.12)), 0.95, 1.6)
    parts = np.array([rng.uniform(0.06, 0.28), rng.uniform(0.2, 0.45), rng.uniform(0.15, 0.5)]) * depth
    return Scene(
        width=float(width),  # of the array
        depth=float(depth),  # of the picture
        flare=float(rng.uniform(0.15, 0.3) if rng.random() < 0.06 else 0),  # of a trapezoid picture; 0: a rectangle
        skin=float(rng.uniform(1.2, 2.2)),  # thickness
        fat=float(parts[0]),  # thickness
        gland=float(parts[1]),  # thickness
        muscle=float(parts[2]),  # thickness
        dense=float(rng.beta(1.6, 1.4)),  # the gland: 0 is fat with strands, 1 is fibrous
        tilt=float(rng.normal(0, 0.1)),  # of the layers
        wavy=float(rng.uniform(0.01, 0.04) * depth),  # height of their waves
        ribs=bool(rng.random() < 0.3),  # cut across: ovals with a shadow; else the bright line of the pleura
        # Of fat, gland and muscle, above soft tissue.
        levels=(float(rng.uniform(-15, -7)), float(rng.uniform(-3, 5)), float(rng.uniform(-14, -4))),
        septa=float(rng.uniform(5, 20)),  # how much brighter the sheets between the lobules of fat are
        fade=float(rng.normal(24, 8)),  # loss from top to bottom that the time gain leaves
        noise=float(rng.normal(-50.5, 3.2)),  # of the receiver, at the lower edge, below white
        gain=float(rng.normal(18.6, 4)),  # level shown as white, above soft tissue
        span=float(rng.uniform(51, 63)),  # dynamic range
        lesion=draw_mass(rng, kind == 2, width, depth) if kind else None,
        anatomy=int(rng.integers(2**32)),  # seed of everything irregular
    )


def next_view(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same breast and lesion in another plane."""
    turned = scene.lesion
    if turned:
        moved = turned.centre[0] + rng.normal(0, 0.04) * scene.width, turned.centre[1] * rng.normal(1, 0.03)
        turned = replace(turned, centre=moved, axes=tuple(np.array(turned.axes) * rng.normal(1, 0.07, 2)),
                         shape=int(rng.integers(2**32)))
    return scene.changed(lesion=turned, tilt=scene.tilt + float(rng.normal(0, 0.05)),
                         gain=scene.gain + float(rng.normal(0, 1)), anatomy=int(rng.integers(2**32)))


def paint(scene: Scene, probe: physics.Linear) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tissue on the grid: amplitude of the scatterers, amplitude of mirrors, attenuation beyond the TGC's."""
    rng = np.random.default_rng(scene.anatomy)
    x, y, depth, _ = probe.grid()
    lesion = scene.lesion
    # Layers follow a bent depth; a smooth mass pushes them apart.
    bent = y + np.tan(scene.tilt) * x * np.minimum(1, y / 8)
    bent += scene.wavy * unevenness(rng, probe, 3, 2) * np.minimum(1, y / (0.2 * scene.depth))
    bent += 0.25 * fibres(rng, x, y, 5, 5, 0)
    if lesion:
        radius, _ = lesion.radius(x, y)
        if not lesion.spicules:
            bent -= 0.6 * (y - lesion.centre[1]) * np.exp(-np.maximum(radius**2 - 1, 0) / 0.8)

    def boundary(at, height, cells):     # smooth step from 0 above to 1 below
        wave = height * unevenness(rng, probe, cells, 2)
        return 1 / (1 + np.exp(-(bent - at - wave) / np.float32(0.25)))

    fat_end, gland_end = scene.skin + scene.fat, scene.skin + scene.fat + scene.gland
    wall = gland_end + scene.muscle
    in_gland = boundary(fat_end, 0.25 * scene.fat, 6)
    in_muscle = boundary(gland_end, 0.6, 4)
    in_chest = boundary(wall, 0.8, 4)
    # Fat: dark lobules between thin bright sheets.
    lobules = fibres(rng, x, bent, 15, 4, 0)
    septa = sheets(lobules + 0.25 * fibres(rng, x, bent, 4, 1.5, 0), probe, 0.13, 3)
    septa += 0.5 * sheets(fibres(rng, x, bent, 12, 3, 0), probe, 0.1, 3)
    fat = scene.levels[0] + 1.2 * lobules + 1.5 * fibres(rng, x, bent, 3, 1, 0)
    # Gland: bright fibrous tissue, streaked along the layers, with dark lobules and ducts.
    streaks = fibres(rng, x, bent, 5, 0.8, 0)
    islands = np.clip(fibres(rng, x, bent, 9, 3, 0) + 1.6 * (scene.dense - 0.4), -1, 1)
    gland = scene.levels[1] + 5 * islands + 2.5 * streaks + 2.5 * fibres(rng, x, bent, 2, 0.6, 0)
    gland -= 9 * np.clip(fibres(rng, x, bent, 4, 1.4, 0) - 0.7, 0, 1.3) + 3 * sheets(islands, probe, 0.3, 1)
    # Muscle: darker, with fibres that run along it.
    strands = fibres(rng, x, bent, 9, 0.7, 0)
    muscle = scene.levels[2] + 3 * np.maximum(strands, -0.7)
    muscle += 2 * fibres(rng, x, bent, 14, 2, 0) + 2 * fibres(rng, x, bent, 2.5, 0.5, 0)
    tissue = fat + (gland - fat) * in_gland
    tissue += (muscle - tissue) * in_muscle
    tissue += (scene.levels[2] - 3 + 2 * strands - tissue) * in_chest
    tissue += 3 * unevenness(rng, probe, 4, 3)
    # Thin sheets: bright where the beam meets them squarely, and broken, as all of it is by the speckle.
    strength = np.clip(0.6 + 0.6 * fibres(rng, x, bent, 9, 9, 0) + 0.5 * fibres(rng, x, bent, 1.5, 1.5, 0), 0, 2)
    lines = septa * (1 - in_gland) * np.float32(scene.septa / 9) + 0.5 * septa * in_gland * (1 - in_muscle)
    lines += 0.6 * sheets(streaks, probe, 0.13, 4) * in_gland
    lines += 0.5 * sheets(strands, probe, 0.13, 6) * in_muscle * (1 - in_chest)
    lines += np.exp(-(((in_muscle - 0.5) / 0.2) ** 2))
    lines += np.exp(-(((in_chest - 0.5) / 0.3) ** 2)) * (0.3 if scene.ribs else 1.3)
    tissue += 10 * lines * strength
    mirror = amplitude(3) * lines * strength
    # Skin: a bright band with a brighter lower edge.
    skin = y - scene.skin - 0.12 * unevenness(rng, probe, 7, 2)
    tissue += 6 * np.clip(0.5 - skin / 0.4, 0, 1) + 9 * np.exp(-((y / 0.35) ** 2)) + 7 * np.exp(-((skin / 0.2) ** 2))
    # What the time gain does not make up for, and poor contact: dark columns.
    loss = amplitude(-scene.fade * np.maximum(depth / scene.depth - 0.2, 0) / 0.8)
    echo, mirror = amplitude(tissue) * loss, mirror * loss
    excess = 0.2 * np.clip(unevenness(rng, probe, 9, 3) - 0.5, 0, None) * np.minimum(1, y / 6)
    excess += 0.2 * in_chest
    if scene.ribs:
        paint_ribs(scene, probe, rng, wall, amplitude(12) * loss * strength, echo, mirror, excess)
    if lesion:
        lesion.paint(probe, rng, loss, echo, mirror, excess)
    # A beam is as wide as its aperture, so no shadow has a sharp side.
    return echo, mirror, cv2.GaussianBlur(excess, (0, 0), 3, sigmaY=0.5)


def paint_ribs(scene, probe, rng, wall, shine, echo, mirror, excess) -> None:
    """Ribs cut across, along the chest wall: a bright front, a dark inside, a shadow. Changes the last three."""
    angle = probe.grid()[3]
    at = rng.uniform(-0.5, 0.1) * scene.width
    while at < 0.6 * scene.width:
        rib = Ellipse(probe, (at, wall - np.tan(scene.tilt) * at + 1), (rng.uniform(5, 8), rng.uniform(2, 3.2)),
                      -scene.tilt, 1)
        bone = np.clip(0.5 - rib.outside / 0.6, 0, 1)
        echo *= 1 - 0.75 * bone
        mirror *= 1 - bone
        mirror += shine * np.exp(-((rib.outside / 0.35) ** 2)) * facing(*rib.normal, angle, 6) * (rib.v < 0)
        excess += 0.5 * bone
        at += rng.uniform(17, 26)


def render(scene: Scene, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Image and lesion mask, both (size, size) uint8, and the millimetres per pixel."""
    probe = physics.Linear(scene.width, scene.depth, scene.flare, SAMPLES, LINES)
    echo, mirror, excess = paint(scene, probe)
    focus = scene.lesion.centre[1] if scene.lesion else 0.4 * scene.depth
    width = physics.beam_width(probe.grid()[2], focus, 0.22, 0.006)
    beam, pulse = np.maximum(width * probe.lines_per_mm(), 0.5), max(0.124 / probe.sample_mm, 0.6)
    # The time gain raises the receiver's noise with depth.
    noise = amplitude(scene.gain + scene.noise - 6 * (1 - probe.grid()[2] / scene.depth))
    heard = physics.insonify(echo, mirror, excess, probe.sample_mm, LOOKS, pulse, beam, rng, noise)
    # The darkest tissue is stored as 1: only the screen around the scan is 0.
    values = np.maximum(physics.log_compress(heard, scene.gain, scene.span, 1.3), np.float32(1 / 255))
    wide = scene.width + 2 * np.tan(scene.flare) * scene.depth
    side = max(wide, scene.depth)
    left, top = -side / 2, (scene.depth - side) / 2
    image = physics.scan_convert(values, probe, left, top, side, size, (-wide / 2, 0, wide / 2, scene.depth))
    grid = (np.arange(size, dtype=np.float32) + 0.5) * (side / size)
    x, y = left + grid[None], top + grid[:, None]
    mask = np.zeros((size, size), np.uint8)
    if scene.lesion:
        mask[(scene.lesion.radius(x, y)[0] <= 1) & probe.locate(x, y)[2]] = 1
    return np.round(255 * image).astype(np.uint8), mask, side / size


def make(n: int, size: int, seed: int, first: int = 0) -> ImageSet:
    """The image set that uslab.phantom.load returns."""
    groups = series.groups(n, seed, EXAM_SIZES)
    kinds = series.lots(groups[-1] + 1, seed, COUNTS)

    def one(index: int):
        rng = np.random.default_rng([seed, 2, index])
        patient = groups[index]
        scene = next_view(draw_scene(np.random.default_rng([seed, 1, patient]), kinds[patient]), rng)
        image, mask, pixel = render(scene, size, rng)
        behind = scene.lesion.posterior if scene.lesion else np.nan
        return image, mask, {"label": kinds[patient], "pixel_mm": pixel, "posterior_db": behind}

    return series.image_set(one, groups, "breast", seed, first, ("background", "lesion"), CLASSES)
