"""Planes of an endoscope's view through a CT, at poses on the surface of the stomach (Grimwood 2021, section 2.2).

A pose is a 4x4 matrix from the probe's millimetres to the patient's: x to the right of the image, y away from the
array, z out of the plane, the origin in the middle of the array's face; the patient's are right-anterior-superior.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .volume import Volume

AIR = -1000.0                    # Hounsfield units of what lies outside the volume and outside the fan
BONE = 300.0                     # Hounsfield units; the paper's "high Hounsfield Units" without a number
ORGANS = ("liver", "pancreas", "stomach", "aorta")
WALL = 4.0                       # mm of stomach wall between the array's face and the outer surface
CONE = 30.0                      # degrees, section 2.2
PLANE = 200 * 522                # pixels of the paper's plane, to which its rule belongs
LABELLED, BONY = 1000, 50        # pixels of that plane: more than so many of the organ, fewer of bone (section 2.3)


@dataclass(frozen=True)
class View:
    """Field of view of a curved array: the upper part of its fan, on square pixels; outside the fan is nothing."""

    height: int = 200            # pixels; the paper crops its frames to 200 x 522
    width: int = 522             # pixels: the whole width of the fan
    radius: float = 12.0         # mm, of the array's curvature
    half_angle: float = 62.0     # degrees

    def pixel_mm(self, depth: Tensor) -> Tensor:
        """Side of a pixel, mm, where the fan reaches `depth` mm from the array's face."""
        return 2 * (self.radius + depth) * math.sin(math.radians(self.half_angle)) / self.width

    def inside(self, depth: Tensor) -> Tensor:
        """(n, height, width) bool: which pixels of views of so many mm (n,) lie in the fan."""
        pixel = self.pixel_mm(depth)[:, None, None].float()
        x = pixel * (torch.arange(self.width, device=depth.device) + 0.5 - self.width / 2)
        y = pixel * (torch.arange(self.height, device=depth.device) + 0.5)[:, None] + 0.85 * self.radius
        r = torch.hypot(x, y)                                   # from the array's centre of curvature
        edge = math.tan(math.radians(self.half_angle))
        return (r >= self.radius) & (r <= self.radius + depth[:, None, None]) & (x.abs() <= edge * y)


class Slicer:
    """Cuts planes out of one CT, many at a time, on the device that holds it."""

    def __init__(
        self,
        volume: Volume,
        view: View = View(),
        device: torch.device | str = "cpu",
    ):
        self.volume, self.view = volume, view
        # The sampler takes 0 for what lies outside, so air is the zero while it works; labels have a margin of 0.
        self.hu = torch.from_numpy(volume.hu.astype(np.float32)).to(device)[None, None] - AIR
        self.labels = torch.from_numpy(np.pad(volume.labels, 1)).to(device)

    def planes(
        self,
        poses: Tensor,           # (n, 4, 4) probe to patient, mm
        depth: Tensor,           # (n,) mm that the fan reaches from the array's face
    ) -> tuple[Tensor, Tensor]:
        """Hounsfield units, trilinear, (n, 1, H, W) float32, and labels, nearest, (n, 1, H, W) uint8."""
        poses, depth = poses.double().cpu(), depth.double().cpu()
        parts = list(zip(poses.split(8), depth.split(8)))     # eight fit into the cache
        # Threads that share every operation wait for each other at each; so each part has one thread to itself.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                cut = list((pool.map if len(parts) > 1 else map)(lambda part: self._cut(*part), parts))
        finally:
            torch.set_num_threads(threads)
        return torch.cat([hu for hu, _ in cut]), torch.cat([labels for _, labels in cut])

    def outside(
        self,
        poses: Tensor,           # (n, 4, 4) probe to patient, mm
        depth: Tensor,           # (n,) mm that the fan reaches from the array's face
    ) -> Tensor:
        """(n,) share of each fan that lies beyond the CT, by the voxel nearest to each pixel."""
        size = torch.tensor(self.volume.hu.shape)[:, None]
        voxel = (self._matrices(poses.double().cpu(), depth.double().cpu()).float() @ self._pixels()).round()
        covered = ((voxel >= 0) & (voxel < size)).all(1)
        inside = self.view.inside(depth.float().cpu()).flatten(1)
        return 1 - (covered & inside).sum(1) / inside.sum(1)

    def _matrices(self, poses: Tensor, depth: Tensor) -> Tensor:
        """Planes as (n, 3, 3) matrices on (column, row, 1): voxel = right * column + down * row + corner."""
        view = self.view
        to_voxel = torch.linalg.inv(torch.from_numpy(self.volume.affine)) @ poses
        right, down = (to_voxel[:, :3, axis] * view.pixel_mm(depth)[:, None] for axis in (0, 1))
        corner = (to_voxel[:, :3, 3] - 0.15 * view.radius * to_voxel[:, :3, 1]
                  + right * (0.5 - view.width / 2) + down * 0.5)
        return torch.stack([right, down, corner], dim=2)

    def _pixels(self) -> Tensor:
        """(3, H * W): column, row and 1 of every pixel."""
        row, column = torch.meshgrid(torch.arange(self.view.height), torch.arange(self.view.width), indexing="ij")
        return torch.stack([column, row, torch.ones_like(row)]).flatten(1).float()

    def _cut(self, poses: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        view, device = self.view, self.hu.device
        size = torch.tensor(self.volume.hu.shape, dtype=torch.float64)
        plane, pixels = self._matrices(poses, depth), self._pixels().to(self.hu)
        # The sampler counts each axis from -1 to 1, the last one first.
        scaled = (plane * (2 / (size - 1))[:, None] - torch.tensor([[0.0, 0, 1]])).flip(1)
        grid = (scaled.to(self.hu) @ pixels).view(-1, 3, view.height, view.width).permute(0, 2, 3, 1)
        hu = F.grid_sample(self.hu, grid[None], align_corners=True)[0, 0]
        index = (plane.to(self.hu) @ pixels).round_().int().view(-1, 3, view.height, view.width) + 1
        for axis, count in enumerate(self.volume.hu.shape):
            index[:, axis].clamp_(0, count + 1)
        _, y, z = self.labels.shape
        labels = torch.take(self.labels, ((index[:, 0] * y + index[:, 1]) * z + index[:, 2]).long())
        inside = view.inside(depth.float().to(device))
        return (hu * inside + AIR)[:, None], (labels * inside)[:, None]


def surface(
    volume: Volume,
    n: int,                      # points
    seed: int,
    organ: str = "stomach",
) -> tuple[np.ndarray, np.ndarray]:
    """n points, evenly by area, on the outer surface of an organ, (n, 3) mm, and outward unit normals (n, 3).

    The largest piece counts, without holes; where it is cut off by the edge of the volume it has no surface. Raises
    ValueError if the volume shows too little of the organ.
    """
    from scipy import ndimage
    from skimage.measure import marching_cubes

    pieces, count = ndimage.label(volume.labels == label_of(volume, organ))
    sizes = np.bincount(pieces.ravel())[1:]
    if count == 0 or sizes.max() < 100:
        raise ValueError(f"the CT shows {0 if count == 0 else sizes.max()} voxels of {organ} in one piece: "
                         "choose another")
    mask = ndimage.binary_fill_holes(pieces == 1 + sizes.argmax())
    corners, faces, _, _ = marching_cubes(mask.astype(np.float32), 0.5)
    turn, shift = volume.affine[:3, :3], volume.affine[:3, 3]
    a, b, c = np.moveaxis((corners @ turn.T + shift)[faces], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    rng = np.random.default_rng(seed)
    face = rng.choice(len(faces), n, p=area / area.sum())
    u, v = rng.random((2, n, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)     # even within the triangle
    points = a[face] + u * (b - a)[face] + v * (c - a)[face]
    # The mask's steps would tilt the normals, so they come from the mask blurred by about 4 mm.
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 4 / np.linalg.norm(turn, axis=0))
    slope = np.stack(np.gradient(soft), axis=-1)
    voxel = (points - shift) @ np.linalg.inv(turn).T
    slope = np.stack([ndimage.map_coordinates(slope[..., axis], voxel.T, order=1, mode="nearest")
                      for axis in range(3)], 1)
    normals = -slope @ np.linalg.inv(turn)      # a gradient turns with the inverse transpose
    return points, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def candidates(
    volume: Volume,
    n: int,                      # poses
    seed: int,
) -> Tensor:
    """n poses (n, 4, 4) at the stomach: looking outwards within 30 degrees of the normal, turned about it at random."""
    points, normals = surface(volume, n, seed)
    rng = np.random.default_rng([seed, 1])
    tilt, lean = np.arccos(rng.uniform(np.cos(np.radians(CONE)), 1, (n, 1))), across(normals, rng)
    ahead = normals * np.cos(tilt) + lean * np.sin(tilt)
    side = across(ahead, rng)
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[:, :3] = np.stack([side, ahead, np.cross(side, ahead), points - WALL * normals], axis=2)
    return torch.from_numpy(poses)


def across(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random unit vectors at right angles to unit vectors (n, 3)."""
    other = np.cross(vectors, rng.normal(size=vectors.shape))
    return other / np.linalg.norm(other, axis=1, keepdims=True)


def kept(
    hu: Tensor,                      # (n, 1, H, W) Hounsfield units of planes
    labels: Tensor,                  # (n, 1, H, W)
    label_names: tuple[str, ...],    # of the Volume
    organ: str,                      # the one that is wanted
) -> Tensor:
    """(n,) bool: the paper's rule, > 1000 pixels of the organ and < 50 of bone in 200 x 522, for planes of any size.

    Bone is what exceeds 300 HU outside the four organs, so that an aorta full of contrast medium is none.
    """
    share = hu[0].numel() / PLANE
    soft = torch.tensor([i for i, name in enumerate(label_names) if name in ORGANS], device=labels.device)
    shown = (labels == label_names.index(organ)).flatten(1).sum(1)
    bone = ((hu > BONE) & ~torch.isin(labels, soft)).flatten(1).sum(1)
    return (shown > LABELLED * share) & (bone < BONY * share)


def label_of(volume: Volume, organ: str) -> int:
    if organ not in volume.label_names[1:]:
        raise ValueError(f"the CT has no label {organ!r}: choose one of {', '.join(volume.label_names[1:])}")
    return volume.label_names.index(organ)
