"""Endoscopic ultrasound seen from the stomach, simulated in patients of their own, labelled as in Grimwood 2021."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from uslab.data import ImageSet

from . import physics, series
from .anatomy import INDEX, TISSUES, Anatomy
from .brush import amplitude, fibres, ring_down, unevenness

SAMPLES, LINES, LOOKS = 352, 320, 3
PATIENTS = 5
CLASSES, SHARES = ("aorta", "background", "liver", "pancreas"), (0.25, 0.2, 0.25, 0.3)
MASKS = ("background", "aorta", "liver", "pancreas")
ENOUGH = np.array([0.05, 0.2, 0.08])     # share of the view that an organ of MASKS[1:] fills in an image of its class
CROP = 200 / 522                         # height to width of the paper's crop
# Of each tissue: level of its echo, dB; texture, dB; attenuation beyond the time gain, dB/mm.
ECHO = {
    "air": (-30, 0, 2.0), "skin": (0, 1, 0), "fat": (5.5, 2.5, 0.02), "muscle": (-7, 2, 0.02), "lung": (-16, 0, 0.8),
    "cortex": (-8, 0, 1.2), "marrow": (-15, 0, 0.8), "rib": (-8, 0, 1.2), "disc": (-6, 1, 0.1), "liver": (-3, 1, 0),
    "liver vein": (-20, 1, -0.05), "vein": (-22, 1, -0.08), "spleen": (-2, 0.7, 0), "kidney": (-7, 1.5, 0),
    "bile": (-26, 0, -0.12), "bowel": (-2, 4, 0.03), "gas": (-18, 0, 1.5), "stomach wall": (-6, 1, 0),
    "stomach fluid": (-22, 1, -0.1), "stomach gas": (-18, 2, 0.3), "pancreas": (-2, 3, 0), "duct": (-16, 0, -0.05),
    "aorta": (-25, 0, -0.1),
}
GASES = [INDEX[name] for name in ("air", "lung", "gas", "stomach gas")]
BONES = [INDEX[name] for name in ("cortex", "rib", "marrow")]


@dataclass(frozen=True)
class Pose:
    """The plane of an image: the middle of the array's face, mm, and unit vectors ahead and to the right."""

    place: np.ndarray
    ahead: np.ndarray
    side: np.ndarray

    def points(self, x: np.ndarray, y: np.ndarray, radius: float) -> list[np.ndarray]:
        """Patient's mm of points in the plane; y begins at the array's centre of curvature."""
        return [np.asarray(p + (y - radius) * a + x * s, np.float32)
                for p, a, s in zip(self.place, self.ahead, self.side)]


def organs(tissue: np.ndarray) -> np.ndarray:
    """Index into MASKS of tissues; the duct belongs to the pancreas, the vessels in the liver to the liver."""
    table = np.zeros(len(TISSUES), np.uint8)
    for name, organ in (("aorta", 1), ("liver", 2), ("liver vein", 2), ("pancreas", 3), ("duct", 3)):
        table[INDEX[name]] = organ
    return table[tissue]


class Patient:
    """An anatomy and candidate poses at its stomach wall, sorted by what they show."""

    def __init__(self, seed: int, number: int, count: int = 500):
        self.anatomy = Anatomy(np.random.default_rng([2, seed, number]))
        rng = np.random.default_rng([3, seed, number])
        stomach = self.anatomy.stomach
        # From the middle of the stomach outwards to its surface; what lies beyond the antrum is out of reach.
        inner = stomach.points[rng.integers(0, len(stomach.points) - 4, count)]
        way = rng.normal(size=(count, 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        steps = np.arange(0, 60, 0.75)
        beyond = self.depth((inner[:, None] + way[:, None] * steps[:, None]).astype(np.float32)) > 0
        surface = inner + way * steps[np.argmax(beyond, axis=1)][:, None]
        nudge = 2 * np.eye(3)
        normal = np.stack([self.depth(surface + step) - self.depth(surface - step) for step in nudge], axis=1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        # Within 30 degrees of the normal, evenly over the cone.
        tilt, turn = np.arccos(rng.uniform(np.cos(np.pi / 6), 1, count)), rng.uniform(0, 2 * np.pi, count)
        first = np.cross(normal, rng.normal(size=(count, 3)))
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second = np.cross(normal, first)
        lean = first * np.cos(turn)[:, None] + second * np.sin(turn)[:, None]
        ahead = normal * np.cos(tilt)[:, None] + lean * np.sin(tilt)[:, None]
        side = np.cross(ahead, rng.normal(size=(count, 3)))
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        # The array touches the inner side of the wall, 4 mm thick.
        self.poses = [Pose(*pose) for pose in zip(surface - 4 * normal, ahead, side)]
        angle, depth = np.meshgrid(np.linspace(-1, 1, 15), np.linspace(2, 36, 18))
        x, y = (12 + depth) * np.sin(angle), (12 + depth) * np.cos(angle)
        tissue = self.anatomy.tissue(*np.stack([pose.points(x, y, 12) for pose in self.poses], axis=1))
        seen = organs(tissue)
        shares = np.stack([(seen == organ).mean((1, 2)) for organ in (1, 2, 3)], axis=1) / ENOUGH
        blocked = np.isin(tissue[:, :9], GASES + BONES).mean((1, 2))
        empty = shares.max(1) + 3 * (blocked > 0.4)      # gas may hide a part of the view, not all
        self.show = {"background": np.flatnonzero(empty <= max(0.25, np.sort(empty)[20]))}
        for organ, name in enumerate(MASKS[1:]):
            others = np.delete(shares, organ, axis=1).max(1)
            fair = np.flatnonzero((shares[:, organ] > np.maximum(1.3, others)) & (blocked < 0.1))
            self.show[name] = fair if len(fair) > 5 else np.argsort(-shares[:, organ] + 3 * blocked)[:8]

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Distance outside the stomach, mm, of points (..., 3)."""
        return self.anatomy.stomach.outside(*self.anatomy.warp(*np.moveaxis(points.astype(np.float32), -1, 0)))


def paint(patient: Patient, pose: Pose, fan: physics.Fan, poor: bool, rng: np.random.Generator) -> tuple:
    """Tissue in the plane: amplitude of the scatterers, amplitude of mirrors, attenuation beyond the TGC's."""
    x, y, depth, angle = fan.grid()
    points = pose.points(x, y, fan.radius)
    tissue = patient.anatomy.tissue(*points)
    level, rough, excess = np.array([ECHO[name] for name in TISSUES], np.float32)[tissue].transpose(2, 0, 1)
    # The stomach's wall has five layers, bright and dark in turn.
    wall = tissue == INDEX["stomach wall"]
    layer = patient.depth(np.stack([p[wall] for p in points], axis=-1)) + 4
    level[wall] += np.interp(layer, [0, 0.4, 0.8, 1.4, 1.8, 2.4, 2.8, 3.5, 3.8], [8, 6, -6, -6, 7, 6, -7, -7, 7])
    lean = rng.uniform(0, np.pi)
    lobules = tissue == INDEX["pancreas"]      # small and bright between dark ones; fat is streaky
    grain = np.where(lobules, np.clip(1.6 * fibres(rng, x, y, 1.4, 1.1, lean), -1.2, 1.7),
                     0.7 * fibres(rng, x, y, 2, 1.1, lean) + 0.6 * fibres(rng, x, y, 7, 2.5, lean))
    gas, bone = np.isin(tissue, GASES), np.isin(tissue, BONES)
    smooth = gaussian_filter(level, (2.0, 1.6))
    slope = np.abs(gaussian_filter(np.gradient(smooth, np.float32(fan.sample_mm), axis=0), (0.7, 1.5))) * ~gas
    breaks = np.clip(0.7 + 0.5 * unevenness(rng, fan, 40, 40), 0, 2)
    mirror = amplitude(9) * np.clip(slope / 25, 0, 1.5) * breaks
    for hard, strength, tail in ((gas, rng.uniform(16, 22), 9.0), (bone, 20, 0.3)):
        face = hard & ~np.roll(hard, 1, axis=0)
        face[0] = False
        echo = amplitude(strength) * gaussian_filter(face.astype(np.float32), (1.2, 0.8)) * breaks
        mirror += 2 * echo
        excess = excess + 0.2 * face
        level = 20 * np.log10(amplitude(level) + 14 * ring_down(echo, tail / fan.sample_mm))
    tissue_level = smooth * ~(gas | bone) + level * (gas | bone) + rough * grain
    tissue_level += 2 * unevenness(rng, fan, 5, 5) - rng.uniform(2, 12) * (angle / fan.half_angle) ** 4
    # The array's face and the water between it and the wall.
    face = np.exp(-((depth / 0.5) ** 2)) + 0.4 * np.exp(-(((depth - rng.uniform(1, 1.6)) / 0.25) ** 2))
    mirror += amplitude(16) * face * np.clip(0.9 + 0.2 * unevenness(rng, fan, 20, 2), 0, 2)
    streaks = np.maximum(unevenness(rng, fan, 12, 2), -0.6)
    excess = excess + rng.uniform(0.06, 0.14) + 0.08 * streaks
    if poor:     # bubbles between array and wall
        excess += (depth < 8) * np.clip(unevenness(rng, fan, 9, 2), 0, 2) * rng.uniform(0.4, 1.2)
    return amplitude(tissue_level), mirror, excess


def render(patient: Patient, pose: Pose, poor: bool, size: int, rng: np.random.Generator) -> tuple:
    """Image and mask, both (size, size) uint8, and the millimetres per pixel."""
    fan = physics.Fan(rng.uniform(11, 13), rng.uniform(40, 60), np.deg2rad(rng.uniform(58, 66)), SAMPLES, LINES)
    echo, mirror, excess = paint(patient, pose, fan, poor, rng)
    depth = fan.grid()[2]
    beam = np.maximum(physics.beam_width(depth, 22, 0.24, 0.009) * fan.lines_per_mm(), 0.5)
    pulse = max(0.11 / fan.sample_mm, 0.5)
    echoes = physics.insonify(echo, mirror, excess, fan.sample_mm, LOOKS, pulse, beam, rng)
    values = physics.log_compress(echoes, rng.normal(21.5, 2), rng.uniform(48, 60), 1.7)
    side = 2 * (fan.radius + fan.depth) * np.sin(fan.half_angle)
    high, low = 0.85 * fan.radius, 0.85 * fan.radius + CROP * side
    left, top = -side / 2, (high + low - side) / 2
    image = physics.scan_convert(values, fan, left, top, side, size, (left, high, -left, low))
    grid = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(side / size)
    x, y = np.broadcast_arrays(left + grid[None], top + grid[:, None])
    shown = fan.locate(x, y)[2] & (y >= high) & (y <= low)
    mask = np.zeros((size, size), np.uint8)
    mask[shown] = organs(patient.anatomy.tissue(*pose.points(x[shown], y[shown], fan.radius)))
    return np.round(255 * image).astype(np.uint8), mask, side / size


def make(n: int, size: int, seed: int, first: int = 0) -> ImageSet:
    """The image set that uslab.phantom.load returns: image i is of patient i modulo 5."""
    patients = [Patient(seed, number) for number in range(min(n, PATIENTS))]

    def one(index: int):
        rng = np.random.default_rng([4, seed, index])
        patient, label = patients[index % PATIENTS], int(rng.choice(4, p=SHARES))
        pose = patient.poses[rng.choice(patient.show[CLASSES[label]])]
        poor = CLASSES[label] == "background" and rng.random() < 0.5
        image, mask, pixel = render(patient, pose, poor, size, rng)
        return image, mask, {"pixel_mm": pixel, "label": label}

    return series.image_set(one, np.arange(n) % PATIENTS, "eus", seed, first, MASKS, CLASSES)
