"""A body in 3-D: the stomach, the organs, the probe's candidate poses (Grimwood 2021, figure 2) and one plane."""

from dataclasses import dataclass

import ipywidgets as w
import numpy as np
import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from ..data.slicer import Slicer, View
from ..data.slices import Slices, window
from ..models.config import check, knob
from ..pages import encoded, png
from .curves import WIDTH
from .explorer import Explorer
from .live import Live, source

COLOURS = {"stomach": "#d99a6c", "liver": "#8c4a3a", "pancreas": "#e3c14d", "aorta": "#c0302c"}
COARSE = 4            # voxels between the corners of a drawn surface
ARROWS = 60           # poses drawn
AHEAD = 14            # mm, length of their arrows
SEEN_FROM = 12, 70    # elevation and azimuth of the still, degrees


@dataclass(frozen=True)
class Aim:
    """Where the probe stands and looks."""

    pose: int = knob(0, 0, 10_000, help="number of the pose among those kept")
    tilt: float = knob(0.0, -30.0, 30.0, help="degrees, about the probe's own axis across the image")
    turn: float = knob(0.0, -180.0, 180.0, help="degrees, about the direction in which the probe looks")
    depth: float = knob(50.0, 40.0, 60.0, help="mm from the array's face to the end of the fan")

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

    def fan(self, aim: Aim) -> tuple[np.ndarray, np.ndarray]:
        """The aimed plane in 3-D: grey levels with the fan as opacity, uint8 (H, W, 4), and where its pixels lie.

        The second is (3, 3), mm: the first pixel's corner, the way to the next pixel in its row, and in its column.
        """
        pose = aimed(self.poses[aim.pose % len(self.poses)], aim.tilt, aim.turn)
        view, depth = self.slicer.view, torch.tensor([aim.depth])
        hu, _ = self.slicer.planes(pose[None], depth)
        grey, inside = window(hu)[0, 0].numpy(), view.inside(depth)[0].numpy()
        pixel, matrix = float(view.pixel_mm(depth)), pose.numpy()
        corner = matrix @ [-pixel * view.width / 2, -0.15 * view.radius, 0, 1]
        return (np.stack([grey, grey, grey, 255 * inside], axis=-1).astype(np.uint8),
                np.stack([corner[:3], pixel * matrix[:3, 0], pixel * matrix[:3, 1]]))

    def arrows(self) -> np.ndarray:
        """Where the drawn poses stand and where their arrows end, (n, 2, 3), mm."""
        place, ahead = self.poses[:ARROWS, :3, 3].numpy(), self.poses[:ARROWS, :3, 1].numpy()
        return np.stack([place, place + AHEAD * ahead], axis=1)

    def alpha(self, organ: str) -> float:
        """How opaque an organ is drawn."""
        return 0.35 if organ in (self.slices.organ, "stomach") else 0.1

    def figure(self, aim: Aim):
        """The body with its poses and the plane, and beside it what the plane shows; a matplotlib Figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.6, 4.6), dpi=100, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
        self.draw(left.add_subplot(projection="3d"), aim)
        self.draw_planes(right, aim)
        return figure

    def beside(self, aim: Aim):
        """What the plane shows, alone; a matplotlib Figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.2, 4.2), dpi=100, layout="constrained")
        self.draw_planes(figure, aim)
        return figure

    def draw_planes(self, figure, aim: Aim) -> None:
        """The pictures of the plane, below each other."""
        shown = self.planes(aim)
        volume, organ = self.slicer.volume, self.slices.organ
        for axis, (name, image) in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown.items()):
            if name == "label":
                axis.imshow(image == volume.label_names.index(organ), cmap="gray")
            else:
                axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            axis.set_title(organ if name == "label" else name, fontsize=9, pad=2)
            axis.axis("off")

    def draw(self, axis, aim: Aim) -> None:
        """The 3-D part."""
        from mpl_toolkits.mplot3d.art3d import Poly3DCollection

        for organ, triangles in self.surfaces.items():
            axis.add_collection3d(Poly3DCollection(
                triangles, facecolors=COLOURS[organ], alpha=self.alpha(organ), shade=True))
        start, end = self.arrows().swapaxes(0, 1)
        axis.quiver(*start.T, *(end - start).T, color="#2b5c8a", linewidth=0.7, arrow_length_ratio=0.35)
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
        low, high = self.box()
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        axis.set_box_aspect(high - low, zoom=1.25)
        axis.view_init(*SEEN_FROM)
        axis.set_axis_off()


    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest corner of the organs, (3,) each, mm."""
        corners = np.concatenate([triangles.reshape(-1, 3) for triangles in self.surfaces.values()])
        return corners.min(0), corners.max(0)


class Scene(Live):
    """The body in 3-D, which the page turns by itself; its plane follows the probe."""

    _esm = source("live.js", "body.js")
    _css = source("live.css")

    def __init__(self, body: Body, aim: Aim):
        self._body, self._aim = body, aim
        super().__init__()

    def show(self, aim: Aim) -> None:
        """Send the plane of an Aim to every page."""
        with self._lock:
            self._aim = aim
            facts, pixels = self._plane()
            self.tell({"type": "plane", **facts}, pixels)

    def resend(self) -> None:
        body = self._body
        low, high = body.box()
        middle = (low + high) / 2
        arrows = body.arrows()
        corners = np.concatenate([*(triangles.reshape(-1, 3) for triangles in body.surfaces.values()),
                                  arrows.reshape(-1, 3)]) - middle
        organs = [{"colour": [round(255 * part) for part in to_rgb(COLOURS[organ])], "alpha": body.alpha(organ),
                   "triangles": len(triangles)} for organ, triangles in body.surfaces.items()]
        facts, pixels = self._plane()
        self.tell({"type": "body", "whole": True, "organs": organs, "arrows": len(arrows), "middle": middle.tolist(),
                   "reach": float(np.linalg.norm(high - low)) / 2, **facts}, corners.astype(np.float32), pixels)

    def _plane(self) -> tuple[dict, np.ndarray]:
        pixels, (corner, across, down) = self._body.fan(self._aim)
        return {"height": pixels.shape[0], "width": pixels.shape[1], "corner": corner.tolist(),
                "across": across.tolist(), "down": down.tolist()}, pixels


class BodyScreen(w.HBox):
    """The Scene, and beside it what the plane shows."""

    def __init__(self, body: Body, aim: Aim):
        self._body = body
        self.scene = Scene(body, aim)
        self.pictures = w.Image(value=png(body.beside(aim)), format="png", layout=w.Layout(width="420px"))
        super().__init__([self.scene, self.pictures])
        self.add_class("uslab-body-screen")

    def show(self, aim: Aim) -> None:
        self.scene.show(aim)
        self.pictures.value = png(self._body.beside(aim))


class BodyExplorer(Explorer):
    """The probe's knobs, the body that the page turns, and what the aimed plane shows.

    Args:
        body: The Body.
        aim: Where the probe stands at first.
    """

    def __init__(self, body: Body, aim: Aim):
        self.body = body
        super().__init__(aim, lambda aim: aim)

    def SCREEN(self, aim: Aim) -> BodyScreen:
        return BodyScreen(self.body, aim)

    def __repr__(self) -> str:
        return f"explorer: {self.config}"

    def still(self) -> tuple[dict, dict]:
        """The body and the pictures, from one side."""
        data = {"image/png": encoded(png(self.body.figure(self.config))), "text/plain": repr(self)}
        return data, {"image/png": {"width": WIDTH}}


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
