"""A body in 3-D: the stomach, the organs, the probe's candidate poses (Grimwood 2021, figure 2) and one plane."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.slicer import Slicer, View
from ..data.slices import Slices, window
from ..models.config import check, knob

COLOURS = {"stomach": "#d99a6c", "liver": "#8c4a3a", "pancreas": "#e3c14d", "aorta": "#c0302c"}
COARSE = 3            # voxels between the corners of a drawn surface
ARROWS = 60           # poses drawn


@dataclass(frozen=True)
class Aim:
    """Where the probe stands and looks, and from where the body is seen."""

    pose: int = knob(0, 0, 10_000, help="number of the pose among those kept")
    tilt: float = knob(0.0, -30.0, 30.0, help="degrees, about the probe's own axis across the image")
    turn: float = knob(0.0, -180.0, 180.0, help="degrees, about the direction in which the probe looks")
    depth: float = knob(50.0, 40.0, 60.0, help="mm from the array's face to the end of the fan")
    azimuth: float = knob(70.0, -180.0, 180.0, help="degrees round the body from where it is seen")

    def __post_init__(self):
        check(self)


def aimed(
    pose: Tensor,       # (4, 4) probe to patient, mm
    tilt: float,        # degrees about the pose's x: to the front of the plane
    turn: float,        # degrees about its y: the plane turns, its middle line stays
) -> Tensor:
    """The pose turned in its place."""
    a, b = np.radians([tilt, turn])
    turned = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    tilted = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    matrix = pose.clone().double()
    matrix[:3, :3] = matrix[:3, :3] @ torch.from_numpy(turned @ tilted)
    return matrix


class Body:
    """One CT of a set of Slices, its surfaces made once, and the figure of any Aim."""

    def __init__(
        self,
        slices: Slices,
        case: str,                    # the CT
        translate=None,               # uint8 (n, 1, H, W), 'us' or 'ct' -> the other domain; None: CT and label alone
    ):
        self.slices, self.translate = slices, translate
        self.slicer: Slicer = slices.slicers[case]
        number = list(slices.slicers).index(case)
        self.poses = slices.poses[slices.cases == number]
        names = self.slicer.volume.label_names
        self.surfaces = {organ: surface_mesh(self.slicer.volume, names.index(organ)) for organ in COLOURS
                         if organ in names}

    def planes(self, aim: Aim) -> dict[str, np.ndarray]:
        """The aimed plane, uint8 (H, W): 'CT', 'label', and once trained 'synthetic ultrasound', 'back to CT'."""
        pose = aimed(self.poses[aim.pose % len(self.poses)], aim.tilt, aim.turn)
        hu, labels = self.slicer.planes(pose[None], torch.tensor([aim.depth]))
        ct = window(hu)
        shown = {"CT": ct, "label": labels}
        if self.translate:
            shown["synthetic ultrasound"] = self.translate(ct, "us")
            shown["back to CT"] = self.translate(shown["synthetic ultrasound"], "ct")
        return {name: image[0, 0].cpu().numpy() for name, image in shown.items()}

    def figure(self, aim: Aim):
        """The body with its poses and the plane, and beside it what the plane shows; a matplotlib Figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.6, 4.6), dpi=100, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
        self.draw(left.add_subplot(projection="3d"), aim)
        shown = self.planes(aim)
        volume, organ = self.slicer.volume, self.slices.organ
        for axis, (name, image) in zip(right.subplots(len(shown), 1, squeeze=False)[:, 0], shown.items()):
            if name == "label":
                axis.imshow(image == volume.label_names.index(organ), cmap="gray")
            else:
                axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            axis.set_title(organ if name == "label" else name, fontsize=9, pad=2)
            axis.axis("off")
        return figure

    def draw(self, axis, aim: Aim) -> None:
        """The 3-D part."""
        from mpl_toolkits.mplot3d.art3d import Poly3DCollection

        for organ, triangles in self.surfaces.items():
            wanted = organ in (self.slices.organ, "stomach")
            axis.add_collection3d(Poly3DCollection(
                triangles, facecolors=COLOURS[organ], alpha=0.35 if wanted else 0.1, shade=True))
        place, ahead = self.poses[:ARROWS, :3, 3].numpy(), self.poses[:ARROWS, :3, 1].numpy()
        axis.quiver(*place.T, *ahead.T, length=14, color="#2b5c8a", linewidth=0.7, arrow_length_ratio=0.35)
        pose = aimed(self.poses[aim.pose % len(self.poses)], aim.tilt, aim.turn).numpy()
        view = View(12, 32, self.slicer.view.radius, self.slicer.view.half_angle)
        pixel = float(view.pixel_mm(torch.tensor(aim.depth)))
        y, x = np.meshgrid(np.arange(13) * pixel - 0.15 * view.radius, (np.arange(33) - 16) * pixel, indexing="ij")
        mm = np.stack([x, y, 0 * x, 0 * x + 1], axis=-1) @ pose.T
        hu, _ = Slicer(self.slicer.volume, view).planes(torch.from_numpy(pose)[None], torch.tensor([aim.depth]))
        grey = window(hu)[0, 0].numpy() / 255
        inside = view.inside(torch.tensor([aim.depth]))[0].numpy()
        colours = np.stack([grey, grey, grey, inside], axis=-1)
        axis.plot_surface(mm[..., 0], mm[..., 1], mm[..., 2], facecolors=colours, rstride=1, cstride=1, shade=False)
        corners = np.concatenate([triangles.reshape(-1, 3) for triangles in self.surfaces.values()])
        low, high = corners.min(0), corners.max(0)
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        axis.set_box_aspect(high - low, zoom=1.25)
        axis.view_init(elev=12, azim=aim.azimuth)
        axis.set_axis_off()


def surface_mesh(volume, label: int) -> np.ndarray:
    """Coarse triangles (n, 3, 3) of a label's surface, mm."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    soft = gaussian_filter((np.pad(volume.labels, COARSE) == label).astype(np.float32), 1.0)
    if soft.max() < 0.5:
        return np.empty((0, 3, 3))
    corners, faces, _, _ = marching_cubes(soft, 0.5, step_size=COARSE)
    mm = (corners - COARSE) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return mm[faces]
