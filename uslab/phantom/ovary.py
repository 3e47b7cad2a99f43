"""Endocavity scan of an ovary with 0 to 12 follicles, simulated, with the outline of each."""

from dataclasses import replace

import numpy as np

from uslab.data import ImageSet

from . import physics, series
from .brush import Shape, amplitude, fibres, unevenness, wavy
from .canvas import Canvas

SAMPLES, LINES, LOOKS = 416, 400, 3
PATIENT_SIZES = np.cumsum([0.40, 0.40, 0.15])   # share of patients with 1, 2, 3 and else 4 images


class Scene(series.Scene):
    """A scene whose facts imply a few more."""

    @property
    def window(self) -> tuple[float, float, float]:
        """Left and top edge and side of the square around what the frame shows, as real images are prepared."""
        left, top, right, bottom = self.frame
        side = max(right - left, bottom - top)
        return (left + right - side) / 2, (top + bottom - side) / 2, side


def draw_follicles(
    rng: np.random.Generator,
    ovary: Shape,
    polycystic: bool,        # many small ones along the edge; else often one that dominates
    pixel: float,            # of a picture of 256 pixels, mm: what is smaller or nearer than this would not be seen
) -> tuple[Shape, ...]:
    """0 to 12 follicles that lie in the ovary apart from each other."""
    wanted = int(rng.integers(8, 13)) if polycystic else min(12, int(rng.negative_binomial(2, 0.35)))
    small = max(1.2, 1.3 * pixel)
    radii = small + rng.gamma(2.0, 0.3 if polycystic else 0.75, wanted)
    if wanted and not polycystic and rng.random() < 0.4:
        radii[0] = rng.uniform(0.4, 0.75) * min(ovary.axes)
    placed: list[Shape] = []
    for radius in sorted(np.clip(radii, small, 0.75 * min(ovary.axes)), reverse=True):
        for _ in range(100):
            radius = max(small, 0.98 * radius)    # a crowded ovary has smaller ones
            turn = rng.uniform(0, 2 * np.pi)
            away = rng.uniform(0.75, 0.95) if polycystic else np.sqrt(rng.random())
            c, s = np.cos(ovary.tilt), np.sin(ovary.tilt)
            u, v = (away * max(0.0, a - radius) for a in ovary.axes)
            u, v = u * np.cos(turn), v * np.sin(turn)
            flat = rng.uniform(0.75, 1)
            follicle = Shape((ovary.centre[0] + u * c - v * s, ovary.centre[1] + u * s + v * c),
                             (radius, max(small, radius * flat)), float(rng.uniform(0, np.pi)), wavy(rng, 0.06, 5))
            rim = np.linspace(0, 2 * np.pi, 48)
            x = follicle.centre[0] + follicle.reach * np.cos(rim)
            y = follicle.centre[1] + follicle.reach * np.sin(rim)
            gap = max(0.6, 1.5 * pixel)
            clear = all(np.hypot(*np.subtract(follicle.centre, other.centre)) > follicle.reach + other.reach + gap
                        for other in placed)
            if clear and ovary.outside(x, y).max() < -gap:
                placed.append(follicle)
                break
    return tuple(placed)


def draw_scene(rng: np.random.Generator) -> Scene:
    """One patient: the field of view, the ovary in it and the settings, as varied as in MMOTU's normal ovaries."""
    wide = rng.random() < 0.38             # the whole fan is shown, or only its middle
    radius, half_angle = rng.uniform(9.5, 12.5), np.deg2rad(rng.uniform(66, 73))
    depth = rng.uniform(60, 95) if wide else rng.uniform(42, 78)
    top = radius * np.clip(rng.normal(0.45, 0.1), np.cos(half_angle), 0.8)
    height = radius + depth - top
    width = min(height * (rng.uniform(1.75, 1.85) if wide else rng.uniform(0.88, 0.96)),
                2 * (radius + depth) * np.sin(half_angle))
    aside = 0 if wide else rng.normal(0, 0.02) * width
    side = max(width, height)
    polycystic = bool(rng.random() < 0.12)
    long = rng.uniform(13, 17) if polycystic else rng.uniform(8.5, 15)
    axes = (long, long * (rng.uniform(0.65, 0.85) if polycystic else rng.uniform(0.5, 0.8)))
    tilt = rng.normal(0, 0.6)
    turn = rng.normal(0, 0.3 if wide else 0.22)
    nearest = radius + 5 + np.hypot(axes[0] * np.sin(tilt), axes[1] * np.cos(tilt))
    away = max(nearest, radius + depth * rng.uniform(0.25, 0.5))
    ovary = Shape((0, 0), axes, float(tilt), wavy(rng, 0.1))
    free = max(0, width / 2 - ovary.reach - 4)       # the whole ovary is in the frame, even when the hand moves
    x = aside + np.clip(away * np.sin(turn), -free, free)
    ovary = replace(ovary, centre=(float(x), float(away * np.cos(turn))))
    return Scene(
        fan=physics.Fan(float(radius), float(depth), float(half_angle), SAMPLES, LINES),
        # Left, top, right, bottom of the screen's frame.
        frame=(float(aside - width / 2), float(top), float(aside + width / 2), float(top + height)),
        home=ovary,  # the ovary in the patient's first image; what surrounds it was laid out by it
        ovary=ovary,
        follicles=draw_follicles(rng, ovary, polycystic, side / 256),
        stroma=float(rng.normal(-3, 2)),  # echo of the ovary's tissue
        fluid=float(rng.normal(-23, 3)),  # echo of follicles, vessels and pools: clutter of the scanner
        enhance=float(rng.uniform(0.1, 0.35)),  # attenuation that fluid spares, dB/mm
        loss=float(rng.normal(0.11, 0.035)),  # attenuation of all tissue that the time gain leaves over, dB/mm
        span=float(rng.uniform(48, 58)),  # dynamic range
        gain=float(rng.normal(20.3, 3)),  # level of soft tissue below white
        anatomy=int(rng.integers(2**32)),  # seed of everything irregular
    )


def next_frame(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same patient a moment later: the hand has moved a little."""
    dx, dy, turn = rng.normal(0, 1.2), rng.normal(0, 0.6), rng.normal(0, 0.06)
    c, s = np.cos(turn), np.sin(turn)
    x0, y0 = scene.ovary.centre

    def moved(shape: Shape) -> Shape:
        x, y = shape.centre[0] - x0, shape.centre[1] - y0
        return replace(shape, centre=(float(x0 + dx + x * c - y * s), float(y0 + dy + x * s + y * c)),
                       tilt=shape.tilt + float(turn))

    return scene.changed(ovary=moved(scene.ovary), follicles=tuple(map(moved, scene.follicles)),
                         gain=scene.gain + float(rng.normal(0, 1)))


def paint(scene: Scene) -> Canvas:
    """Tissue of the pelvis, then the ovary in it."""
    rng = np.random.default_rng(scene.anatomy)
    canvas = Canvas(scene.fan)
    x, y, depth, fan = canvas.x, canvas.y, canvas.depth, scene.fan
    # Connective tissue: lobules, fibres that follow one another, clots of fat.
    lean = rng.normal(0, 0.4)
    tissue = 3 * fibres(rng, x, y, 16, 9, lean) + 1.5 * fibres(rng, x, y, 6, 1.6, lean + rng.normal(0, 0.3))
    tissue += 1.5 * fibres(rng, x, y, 2.2, 1.0, lean) + 2 * unevenness(rng, fan, 12, 20)
    tissue += 7 * np.clip(fibres(rng, x, y, 4, 1.2, lean) - 1.2, 0, 2) + 3 * unevenness(rng, fan, 4, 4)
    tissue += 2.4 * unevenness(rng, fan, 24, 60) * np.clip(unevenness(rng, fan, 5, 5) + 0.5, 0, 2)   # streaks across
    tissue += 6 * unevenness(rng, fan, 5, int(fan.depth / 1.6)) * np.exp(-depth / rng.uniform(4, 9))
    # Contact is poor in places, most so at the sides.
    canvas.excess += scene.loss + 0.06 * np.maximum(unevenness(rng, fan, 9, 3), -0.8)
    canvas.excess += 0.07 * np.maximum(unevenness(rng, fan, 32, 3) - 0.3, -0.5)
    tissue -= rng.uniform(2, 18) * (canvas.angle / fan.half_angle) ** 4
    canvas.echo = amplitude(tissue)
    paint_layers(canvas, rng)
    for _ in range(rng.poisson(0.35)):
        paint_uterus(canvas, scene, rng)
    paint_fascia(canvas, scene, rng)
    for _ in range(rng.poisson(1.6)):
        paint_bowel(canvas, scene, rng)
    for _ in range(rng.poisson(5)):
        paint_vessel(canvas, scene, rng)
    for _ in range(rng.poisson(0.35)):
        paint_pool(canvas, scene, rng)
    paint_ovary(canvas, scene, rng)
    return canvas


def paint_layers(canvas: Canvas, rng: np.random.Generator) -> None:
    """The probe's cover and the wall it lies against: bright lines that follow the array, with echoes of their own."""
    fan, at = canvas.fan, 0.5
    for number in range(int(rng.integers(3, 7))):
        level = rng.uniform(14, 20) - 4 * number
        height = at + 0.15 * (number + 1) * np.cumsum(rng.normal(0, 1, 40)).reshape(1, -1) / 12
        height = np.interp(np.linspace(0, 39, fan.lines), np.arange(40), height[0])[None].astype(np.float32)
        uneven = 1 if number == 0 else np.clip(0.8 + 0.8 * unevenness(rng, fan, 10, 2), 0, 2)
        canvas.mirror += amplitude(level) * np.exp(-(((canvas.depth - height) / np.float32(0.22)) ** 2)) * uneven
        at += rng.uniform(0.8, 2.4)


def somewhere(scene: Scene, rng: np.random.Generator, reach: float) -> tuple[float, float]:
    """A place in the frame clear of the ovary, mm; reach is the size of what goes there."""
    left, top, right, bottom = scene.frame
    for _ in range(20):
        place = rng.uniform(left, right), rng.uniform(scene.fan.radius + 4, bottom)
        if np.hypot(*np.subtract(place, scene.home.centre)) > scene.home.reach * 0.8 + reach:
            break
    return float(place[0]), float(place[1])


def paint_uterus(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """A large even body with a brighter or darker stripe."""
    axes = rng.uniform(20, 30), rng.uniform(13, 18)
    body = Shape(somewhere(scene, rng, 18), axes, float(rng.normal(0, 0.6)), wavy(rng, 0.08))
    level = rng.normal(-3, 2) + 1.5 * fibres(rng, canvas.x, canvas.y, 5, 2, body.tilt)
    canvas.fill(body, amplitude(level), 0.02, 2)
    canvas.wall(body, rng.uniform(6, 12), 0.5, 8, 0.05, unevenness(rng, canvas.fan, 14, 14))
    stripe = replace(body, axes=(axes[0] * 0.6, axes[1] * rng.uniform(0.08, 0.3)))
    canvas.fill(stripe, amplitude(level + rng.uniform(2, 7)), 0, 2)


def paint_pool(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """The bladder, a cyst beside the ovary, or free fluid."""
    size = rng.uniform(8, 24)
    pool = Shape(somewhere(scene, rng, 0.8 * size), (size, size * rng.uniform(0.5, 0.9)), float(rng.normal(0, 0.5)),
                 wavy(rng, 0.12))
    canvas.fill(pool, amplitude(scene.fluid), -scene.enhance, 0.6)
    canvas.wall(pool, rng.uniform(10, 18), 0.5, 4, 0.05)
    canvas.refract(pool, 0.5, 0.8)


def paint_bowel(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """A loop with a dark wall around bright content, often gas that hides what is behind it."""
    size = rng.uniform(5, 12)
    loop = Shape(somewhere(scene, rng, size), (size, size * rng.uniform(0.4, 0.8)), float(rng.normal(0, 0.5)),
                 wavy(rng, 0.15))
    canvas.fill(loop, amplitude(-9), 0, 1)
    inner = replace(loop, axes=(loop.axes[0] - 2, loop.axes[1] - 2))
    canvas.fill(inner, amplitude(rng.uniform(-4, 4) + 3 * fibres(rng, canvas.x, canvas.y, 3, 1.5, loop.tilt)), 0, 1)
    if rng.random() < 0.6:
        canvas.gas(inner, rng.uniform(6, 13), rng)


def paint_vessel(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """A dark tube or its cross section, mostly beside the ovary."""
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(1.15, 1.8)
    a, b = scene.home.axes
    place = scene.home.centre[0] + away * a * np.cos(turn), scene.home.centre[1] + away * (b + 3) * np.sin(turn)
    thick = rng.uniform(0.6, 1.8)
    long = thick * rng.uniform(1, 5)
    tube = Shape(place, (long, thick), float(rng.normal(0, 0.8)), wavy(rng, 0.25), float(rng.normal(0, 0.3)) * long)
    canvas.fill(tube, amplitude(scene.fluid + rng.uniform(2, 10)), -scene.enhance, 1.0)
    canvas.wall(tube, rng.uniform(0, 8), 0.35, breaks=unevenness(rng, canvas.fan, 60, 60))


def paint_fascia(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Bright thin sheets between the tissues: the edges of long flat shapes, in pieces."""
    for _ in range(rng.poisson(6)):
        size = rng.uniform(8, 30)
        sheet = Shape(somewhere(scene, rng, 2), (size, size * rng.uniform(0.1, 0.5)), float(rng.normal(0, 0.5)),
                      wavy(rng, 0.15), float(rng.normal(0, 0.2)) * size)
        canvas.wall(sheet, rng.uniform(6, 17), rng.uniform(0.3, 0.6), 6, 0.02,
                    unevenness(rng, canvas.fan, 16, 16) - rng.uniform(0, 0.8))


def paint_ovary(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Stroma, the thin capsule, and the follicles."""
    ovary = scene.ovary
    texture = 1.5 * fibres(rng, canvas.x, canvas.y, 4, 3, ovary.tilt) + 1.5 * fibres(rng, canvas.x, canvas.y, 1.6, 1, 0)
    canvas.fill(ovary, amplitude(scene.stroma + texture), -0.01, 1.0)
    canvas.wall(ovary, rng.uniform(8, 15), 0.4, 4, 0.04, 0.6 + unevenness(rng, canvas.fan, 20, 20))
    canvas.refract(ovary, rng.uniform(0, 0.35), 0.8)
    for follicle in scene.follicles:
        # Noise of the near side makes the upper part of a large follicle grey.
        haze = np.maximum(follicle.centre[1] - canvas.y, 0) / follicle.axes[0]
        canvas.fill(follicle, amplitude(scene.fluid + 6 * haze), -scene.enhance, 0.7)
        canvas.wall(follicle, rng.uniform(2, 9), 0.3)
        canvas.refract(follicle, 0.25, 0.5)


def render(scene: Scene, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Image and mask, both (size, size) uint8, and the millimetres per pixel."""
    fan, canvas = scene.fan, paint(scene)
    width = physics.beam_width(canvas.depth, np.hypot(*scene.ovary.centre) - fan.radius, 0.2, 0.008)
    beam, pulse = np.maximum(width * fan.lines_per_mm(), 0.5), max(0.13 / fan.sample_mm, 0.5)
    echoes = physics.insonify(canvas.echo, canvas.mirror, canvas.excess, fan.sample_mm, LOOKS, pulse, beam, rng)
    values = physics.log_compress(echoes, scene.gain, scene.span, 1.8)
    left, top, side = scene.window
    image = physics.scan_convert(values, fan, left, top, side, size, scene.frame)
    grid = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(side / size)
    x, y = left + grid[None], top + grid[:, None]
    mask = (scene.ovary.outside(x, y) <= 0).astype(np.uint8)
    for follicle in scene.follicles:
        mask[follicle.outside(x, y) <= 0] = 2
    return np.round(255 * image).astype(np.uint8), mask, side / size


def make(n: int, size: int, seed: int, first: int = 0) -> ImageSet:
    """The image set that uslab.phantom.load returns."""
    patients = series.groups(n, seed, PATIENT_SIZES)

    def one(index: int):
        rng = np.random.default_rng([seed, 2, index])
        scene = next_frame(draw_scene(np.random.default_rng([seed, 1, patients[index]])), rng)
        image, mask, pixel = render(scene, size, rng)
        return image, mask, {"pixel_mm": pixel, "follicles": len(scene.follicles)}

    return series.image_set(one, patients, "ovary", seed, first, ("background", "ovary", "follicle"))
