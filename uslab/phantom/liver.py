"""Right lobe of the liver beside the kidney as in Byra 2018, simulated: healthy or fatty, a phased array's sector."""


import numpy as np

from uslab.data import ImageSet

from . import physics, series
from .brush import Ellipse, amplitude, at_least, darker, facing, fibres, sheets, unevenness
from .series import Scene

SAMPLES, LINES, LOOKS = 320, 224, 2   # the polar grid, whatever the size of the picture, and the compounded views
FRAMES = 10                           # of each patient, as in the real set
CLASSES = ("healthy", "fatty")
COUNTS = (17, 38)                     # patients of the real set
FATTY = 5                             # percent of the liver cells: fatty from here on


def brightness(fat):
    """How much brighter than a healthy liver one with so much fat (percent) is, dB: steep at first, then level."""
    return 8 * (1 - np.exp(-fat / 20))


def attenuation(fat):
    """What a liver with so much fat (percent) attenuates beyond a healthy one, dB/mm one way.

    0.08 at most: 0.3 dB/cm/MHz at 2.5 MHz.
    """
    return 0.08 * (1 - np.exp(-fat / 35))


def draw_scene(rng: np.random.Generator, kind: int) -> Scene:
    """One patient of a class, an index into CLASSES."""
    fat = FATTY + 1 + 69 * rng.beta(0.7, 1.5) if kind else rng.uniform(0, 4.4)
    depth, tilt = rng.normal(163, 5), np.deg2rad(rng.normal(24, 10))
    axes = rng.normal(52, 4), rng.normal(24, 2.5)
    return Scene(
        fat=float(np.round(fat)),  # share of the liver cells that hold fat, percent
        depth=float(depth),  # from the tip of the sector to its lower edge
        half_angle=float(np.deg2rad(rng.normal(51.5, 0.7))),  # of the sector
        wall=float(np.clip(rng.normal(34, 7), 20, 50)),  # thickness of the body wall
        kidney=(float(rng.normal(-30, 14)), float(rng.normal(108, 11))),  # its centre: x and y from the tip
        axes=tuple(map(float, axes)),  # half its length and half its width
        tilt=float(tilt),  # of its length against the horizontal, down to the right
        rest=float(rng.uniform(0.06, 0.35)),  # thickness of the fat between liver and kidney, in kidney half widths
        lean=float(rng.uniform(-0.25, 0.35)),  # how much thicker it grows up along the kidney
        # How far the liver's edge goes on beyond the lower pole before it goes down.
        slope=float(rng.uniform(0.4, 1.2)),
        # Centre of the diaphragm's arc, a quarter of an ellipse at the lower right.
        dome=(float(rng.normal(15, 8)), float(rng.normal(80, 8))),
        bow=(float(rng.normal(95, 8)), float(rng.normal(84, 8))),  # half its width and height
        cortex=float(rng.normal(-4.5, 1.5)),  # echo of the kidney's cortex
        # Where the array touches the skin well, from and to, angles.
        contact=tuple(np.deg2rad([min(rng.normal(-42, 10), -24), max(rng.normal(22, 10), 10)])),
        fade=float(rng.normal(-3, 3)),  # loss from top to bottom that the time gain leaves
        noise=float(rng.normal(-55, 2)),  # of the receiver, at the lower edge, below white
        # One turns the gain down for a bright liver.
        gain=float(rng.normal(39.7, 1.6) + 0.7 * brightness(fat)),  # level shown as white, above soft tissue
        span=float(rng.uniform(66, 74)),  # dynamic range
        anatomy=int(rng.integers(2**32)),  # seed of everything irregular, and of the speckle
    )


def next_frame(scene: Scene, rng: np.random.Generator) -> Scene:
    """A moment later: breath and heart have moved the organs a little."""
    dx, dy = rng.normal(0, 0.7, 2)
    return scene.changed(kidney=(scene.kidney[0] + float(dx), scene.kidney[1] + float(dy)),
                         dome=(scene.dome[0] + float(dx), scene.dome[1] + float(dy)))


def organs(
    scene: Scene,
    u: np.ndarray,        # of points along the kidney and
    v: np.ndarray,        # across it, in its half diameters
    over_x: np.ndarray,  # of points right of the middle of the diaphragm's arc and
    over_y: np.ndarray,  # below it, in its half width and height
    depth: np.ndarray,    # of points, mm
) -> tuple[np.ndarray, np.ndarray]:
    """How deep points lie inside the liver, and inside the tissue around the kidney; about mm, negative outside."""
    # The liver lies on the kidney's upper side, wraps round its lower pole, and ends at the tissue behind it.
    above = np.where(u > 0, np.hypot(u, v), -v + scene.lean * u)
    away = (np.where(v < 0, above, u - scene.slope * v) - 1 - scene.rest) * scene.axes[1]
    under_dome = (1 - np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0))) * scene.bow[1]
    return np.minimum(np.minimum(away, under_dome), depth - scene.wall), -away


def paint(scene: Scene, fan: physics.Fan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tissue on the polar grid: amplitude of the scatterers, amplitude of mirrors, attenuation beyond the TGC's."""
    rng = np.random.default_rng(scene.anatomy)
    _, _, depth, angle = fan.grid()
    kidney = Ellipse(fan, scene.kidney, scene.axes, scene.tilt, 1)
    dome = Ellipse(fan, scene.dome, scene.bow, 0.0, 1)
    share = brightness(scene.fat) / brightness(100)
    wobble = 1.5 * unevenness(rng, fan, 8, 8) + 0.35 * unevenness(rng, fan, 30, 30)
    liver_mm, around_mm = organs(scene, kidney.u, kidney.v, dome.u, dome.v, depth)
    around_mm = around_mm + wobble
    inside = np.clip(liver_mm + wobble + 0.5, 0, 1)
    deep = np.clip(depth - scene.wall, 0, 1)
    # The edge is blurred behind the kidney.
    beside = np.clip(around_mm / (1 + 4 * np.clip(kidney.v, 0, 1)) + 0.5, 0, 1)
    # The body wall: bright layers, then the liver.
    arcs = fibres(rng, angle * 60 + 0 * depth, depth + 0 * angle, 25, 2.2, 0)
    wall = 3.5 * arcs + 2 * unevenness(rng, fan, 5, 14) + 7 * np.exp(-(((depth - 0.8 * scene.wall) / 9) ** 2))
    wall -= 11 * np.exp(-((depth / 9) ** 2))
    liver = brightness(scene.fat) - 1 + 1.2 * unevenness(rng, fan, 6, 6) + 0.6 * unevenness(rng, fan, 50, 90)
    # Fat, muscle and bowel around and behind the kidney: bright and streaked.
    streaks = fibres(rng, kidney.u * scene.axes[0], kidney.v * scene.axes[1], 28, 3, 0)
    around = 6 + 4 * unevenness(rng, fan, 6, 6) + 3 * streaks + 2 * unevenness(rng, fan, 30, 30)
    tissue = wall + (liver - wall) * inside
    tissue += (around - tissue) * beside * deep
    # Past the diaphragm: the liver's faint mirror image.
    lung = np.clip(dome.outside / 3 - 0.5, 0, 1) * (dome.u > 0) * (1 - beside) * deep
    tissue += (-6 + 3 * unevenness(rng, fan, 8, 10) - tissue) * lung
    echo, mirror = amplitude(tissue), np.zeros((SAMPLES, LINES), np.float32)
    # Vessels: dark, with bright walls; fat hides them.
    for _ in range(rng.poisson(9)):
        at, radius = (rng.uniform(-0.7, 0.7), rng.uniform(-0.55, 0.75)), rng.uniform(0.012, 0.035)
        long, turn = radius * rng.choice([1, 1, 1.5, 4, 8]), rng.uniform(-0.6, 1.2)
        wall_level = brightness(scene.fat) + rng.uniform(3, 7) * (1 - share)
        dome.blob(echo, at_least(wall_level), at, (long + 0.012, radius + 0.012), turn, 0.6)
        dome.blob(echo, darker(0.85 * (1 - 0.75 * share)), at, (long, radius), turn, 0.3 + 0.4 * share)
    # The kidney: dark cortex, darker pyramids, a bright middle.
    paint_kidney(scene, kidney, rng, echo)
    # Smooth interfaces.
    broken = np.clip(0.8 + 0.6 * unevenness(rng, fan, 9, 9), 0, 2)
    sides = np.exp(-((kidney.outside / 0.9) ** 2)) * facing(*kidney.normal, angle, 3)
    rest = np.exp(-(around_mm**2)) * (kidney.v < 0.3) * facing(*kidney.normal, angle, 3)
    rest *= deep * np.clip(-dome.outside / 3, 0, 1)
    arch = np.exp(-((dome.outside / 1.6) ** 2)) * facing(*dome.normal, angle, 6)
    arch *= (dome.v > 0) * (dome.u > 0) * (1 - beside)
    layers = sheets(arcs, fan, 0.6, 4) * (1 - inside) * (depth < scene.wall)
    echo += broken * (amplitude(9) * sides + amplitude(13) * rest + amplitude(14) * arch + amplitude(8) * layers)
    mirror += broken * (amplitude(6) * sides + amplitude(15) * rest + amplitude(16) * arch + amplitude(6) * layers)
    excess = attenuation(scene.fat) * inside
    # The array touches the skin in the middle only, and ribs cast a shadow to one side or both.
    for edge, sign in zip(scene.contact, (-1, 1)):
        off = 1 / (1 + np.exp(-sign * (angle - edge) / rng.uniform(0.03, 0.2)))
        excess = excess + rng.uniform(4, 17) / (2 * scene.wall) * off * (depth < scene.wall + 6)
    excess += scene.fade / (2 * scene.depth) + 0.012 * unevenness(rng, fan, 12, 2)
    return echo, mirror, excess


def paint_kidney(scene: Scene, kidney: Ellipse, rng: np.random.Generator, echo: np.ndarray) -> None:
    """Cortex, pyramids and sinus, in place."""
    fan = kidney.fan
    rough = kidney.radius + 0.05 * unevenness(rng, fan, 12, 12)
    inside = np.clip((1 - rough) * scene.axes[1] / 1.2 + 0.5, 0, 1)
    echo += (amplitude(scene.cortex + 1.2 * unevenness(rng, fan, 20, 20)) - echo) * inside
    for turn in np.arange(0, 2 * np.pi, 0.6) + rng.uniform(0, 0.6):
        if rng.random() < 0.8:
            kidney.blob(echo, darker(rng.uniform(0.2, 0.45)), (0.72 * np.cos(turn), 0.66 * np.sin(turn)),
                        (0.13, 0.17), 0.0, 0.8)
    sinus = np.hypot(kidney.u / np.float32(0.68), kidney.v / np.float32(0.46)) + 0.3 * unevenness(rng, fan, 16, 16)
    bright = np.clip((1 - sinus) / 0.5 + 0.5, 0, 1) * np.clip(0.75 + 0.5 * unevenness(rng, fan, 30, 30), 0, 1.5)
    echo += (amplitude(scene.cortex + rng.uniform(9, 15)) - echo) * np.clip(bright, 0, 1)


def render(scene: Scene, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Image and masks of liver (1) and kidney (2), both (size, size) uint8, and the millimetres per pixel."""
    fan = physics.Fan(2.0, scene.depth - 2.0, scene.half_angle, SAMPLES, LINES)
    echo, mirror, excess = paint(scene, fan)
    depth = fan.grid()[2]
    # Near the tip the lines crowd, but the beam is no wider than the array.
    beam = np.clip(physics.beam_width(depth, 70, 0.9, 0.010) * fan.lines_per_mm(), 0.5, 12)
    # The time gain raises the receiver's noise with depth. The speckle is the patient's, the noise the frame's.
    noise = amplitude(scene.gain + scene.noise - 9 * (1 - depth / scene.depth))
    # A hand is never quite still: a sixth of the speckle's power changes from frame to frame.
    noise = np.hypot(noise, 0.45 * echo * physics.transmission(excess, fan.sample_mm))
    speckle, pulse = np.random.default_rng([scene.anatomy, 1]), max(0.33 / fan.sample_mm, 0.6)
    heard = physics.insonify(echo, mirror, excess, fan.sample_mm, LOOKS, pulse, beam, speckle, noise, rng)
    values = physics.log_compress(heard, scene.gain, scene.span, 1.0)
    widest = scene.depth * np.sin(scene.half_angle)
    side, top = 2 * widest, scene.depth / 2 - widest
    image = physics.scan_convert(values, fan, -widest, top, side, size, (-widest, 0, widest, scene.depth))
    grid = (np.arange(size, dtype=np.float32) + 0.5) * (side / size)
    mask = truth(scene, fan, grid[None] - widest, grid[:, None] + top)
    return np.round(255 * image).astype(np.uint8), mask, side / size


def truth(scene: Scene, fan: physics.Fan, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Liver (1) and kidney (2) at points in mm, uint8."""
    c, s = np.cos(scene.tilt), np.sin(scene.tilt)
    dx, dy = x - scene.kidney[0], y - scene.kidney[1]
    u, v = (dx * c + dy * s) / scene.axes[0], (dy * c - dx * s) / scene.axes[1]
    over_x, over_y = (x - scene.dome[0]) / scene.bow[0], (y - scene.dome[1]) / scene.bow[1]
    liver_mm, _ = organs(scene, u, v, over_x, over_y, np.hypot(x, y) - fan.radius)
    mask = np.where(np.hypot(u, v) <= 1, 2, liver_mm > 0).astype(np.uint8)
    return mask * fan.locate(x, y)[2]


def make(n: int, size: int, seed: int, first: int = 0) -> ImageSet:
    """The image set that uslab.phantom.load returns."""
    groups = np.arange(n) // FRAMES
    kinds = series.lots(groups[-1] + 1, seed, COUNTS)

    def one(index: int):
        patient = groups[index]
        scene = draw_scene(np.random.default_rng([seed, 1, patient]), kinds[patient])
        rng = np.random.default_rng([seed, 2, index])
        image, mask, pixel = render(next_frame(scene, rng), size, rng)
        return image, mask, {"label": kinds[patient], "pixel_mm": pixel, "fat": scene.fat}

    return series.image_set(one, groups, "liver", seed, first, ("background", "liver", "kidney"), CLASSES)
