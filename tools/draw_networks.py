"""Draw the networks of notebooks 01 to 05 into notebooks/diagrams, with the shapes that the class profile gives them.

    python tools/draw_networks.py

The shapes come from a pass through the networks themselves on torch's meta device.
"""

import math
import sys
from dataclasses import fields
from html import escape
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from uslab import notebooks  # noqa: E402
from uslab.models import cyclegan, dcgan, pgsgan, stackgan, stylegan2  # noqa: E402

WIDTH, PITCH, LEFT = 920, 112, 66     # of the picture; from one tensor to the next; middle of a row's first one
BELOW = 66                            # from a row's middle to what is written under it
FILLS = {"image": "#dddddd", "G": "#cfe0f5", "D": "#fbdcc2", "z": "#d3ecd0", "new": "#ecdcf5"}
INK, SOFT = "#222222", "#666666"
STRIP = 40                            # rows of the frames of notebook 03 at 96 pixels, which the phantom decides

Shape = tuple[int, ...]
Part = tuple[str, Shape | str, str]   # of a row: the kind, a tensor's shape or a block's words, what stands above


class Drawing:
    """An SVG text that grows by what is drawn on it."""

    def __init__(self, height: int, title: str):
        self.height, self.title, self.parts = height, title, []

    def text(self, x: float, y: float, words: str, anchor: str = "middle", size: int = 12, fill: str = INK,
             weight: str = "normal") -> None:
        if words:
            self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                              f'font-weight="{weight}" fill="{fill}">{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, kind: str, words: str = "") -> None:
        """A rectangle round its middle, with words in it."""
        self.parts.append(f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" '
                          f'height="{height:.1f}" rx="3" fill="{FILLS[kind]}" stroke="{INK}"/>')
        self.text(x, y + 4.5, words, size=13)

    def arrow(self, *points: tuple[float, float], dashed: bool = False, head: bool = True) -> None:
        dash, end = ' stroke-dasharray="4 3"' if dashed else "", ' marker-end="url(#head)"' if head else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{SOFT}" stroke-width="1.4"{dash}{end}/>')

    def heading(self, y: float, name: str, how: str) -> None:
        self.text(14, y, name, "start", 15, weight="bold")
        self.text(WIDTH - 14, y, how, "end", fill=SOFT)

    def row(self, y: float, parts: list[Part], start: float = LEFT, pitch: float = PITCH) -> list[tuple[float, float]]:
        """Tensors and blocks side by side with arrows between. Returns the middle and half of the height of each."""
        placed, end, way = [], None, math.copysign(1, pitch)
        for number, (kind, what, above) in enumerate(parts):
            x, block = start + pitch * number, isinstance(what, str)
            width, height = (8 * len(what) + 14, 34) if block else extent(what)
            if end is not None:
                self.arrow((end + 4 * way, y), (x - way * (width / 2 + 5), y))
            self.box(x, y, width, height, kind, what if block else "")
            self.text(x, y - height / 2 - 7, above)
            if not block:
                self.text(x, y + BELOW, "x".join(map(str, what)))
            placed.append((x, height / 2))
            end = x + way * width / 2
        return placed

    def svg(self) -> str:
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
            f'height="{self.height}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" role="img">',
            f"<title>{escape(self.title)}</title>",
            '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
            f'<path d="M0,0 L7,3 L0,6 z" fill="{SOFT}"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{self.height}" fill="white"/>', *self.parts, "</svg>\n"])


def extent(shape: Shape) -> tuple[float, float]:
    """Width and height of a tensor's box: channels and rows, both by their logarithm; a vector is a bar."""
    if len(shape) == 1:
        return 12, 10 + 8 * math.log2(shape[0])
    return 9 + 4 * math.log2(shape[0]), 4 + 13 * math.log2(shape[1])


def shapes(network: nn.Module, kinds: type | tuple, *given: torch.Tensor) -> list[Shape]:
    """What each module of these kinds gives, (channels, height, width), in the order of a pass."""
    seen = []
    hooks = [part.register_forward_hook(lambda part, given, out: seen.append(tuple(out.shape[1:])))
             for part in network.modules() if isinstance(part, kinds)]
    network(*given)
    for hook in hooks:
        hook.remove()
    return seen


def parameters(stem: str) -> dict:
    """The parameters of a notebook, as the class profile has them."""
    return notebooks.defaults(ROOT / "notebooks" / f"{stem}.ipynb")


def config_of(kind: type, values: dict):
    """A Config with those of the values that it knows."""
    return kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})


def parts(kind: str, several: list[Shape], names: dict[int, str] | None = None) -> list[Part]:
    """Tensors of one kind for a row, some of them with a name, by position."""
    return [(kind, shape, (names or {}).get(number, "")) for number, shape in enumerate(several)]


def plain(drawing: Drawing, y: float, G: nn.Module, D: nn.Module, z: int, heads: list, noted: int = 0) -> None:
    """A generator's row above a discriminator's, of DCGAN's kind; `noted` is the side that has self-attention."""
    *made, image = shapes(G, (nn.ReLU, nn.Tanh), torch.empty(1, z, 1, 1))
    judged = shapes(D, nn.LeakyReLU, torch.empty(1, *image))
    attended = [{i: "self-attention" for i, shape in enumerate(row) if shape[1] == noted} for row in (made, judged)]
    drawing.heading(y, *heads[0])
    drawing.row(y + 78, [("z", (z,), "z"), *parts("G", made, attended[0]), ("image", image, "G(z)")])
    drawing.heading(y + 188, *heads[1])
    drawing.row(y + 266, [("image", image, "x or G(z)"), *parts("D", judged, attended[1]), ("D", (1,), "logit")])


def draw_dcgan() -> Drawing:
    config = config_of(dcgan.Config, parameters("01_dcgan_fetal_head"))
    drawing = Drawing(372, "DCGAN: the shapes of its generator and discriminator")
    plain(drawing, 26, dcgan.Generator(config), dcgan.Discriminator(config), config.z, [
        ("Generator G", "transposed 4x4 convolutions double the side; BatchNorm and ReLU between, tanh at the end"),
        ("Discriminator D", "strided 4x4 convolutions halve the side; leaky ReLU, BatchNorm from the second on")])
    return drawing


def draw_stylegan2() -> Drawing:
    values = parameters("02_stylegan2_breast")
    config = stylegan2.preset(values["recipe"], values["size"], **{
        key: values[key] for key in ("batch_size", "z", "channel_base", "channel_max")})
    G, D = stylegan2.Generator(config), stylegan2.Discriminator(config)
    drawing = Drawing(584, "StyleGAN2: the shapes of mapping, synthesis and discriminator")
    image = 1, config.size, config.size
    drawing.heading(26, "Generator G", "w scales the channels of each 3x3 convolution, noise is added after it; "
                                       "two for a resolution, one at 4x4")
    made = list(dict.fromkeys(shapes(G, stylegan2.StyleLayer, torch.empty(4, config.z))))
    start, y = LEFT + PITCH, 212
    middle = [start + PITCH * number for number in range(len(made) + 1)]
    drawing.box(LEFT - 8, 78, 84, 30, "z", f"z: {config.z}")
    drawing.arrow((LEFT + 36, 78), (middle[1] - 46, 78))
    drawing.text(LEFT + 104, 70, f"mapping: {config.mapping_layers} layers")
    drawing.box((middle[1] + middle[-1]) / 2, 78, middle[-1] - middle[1] + 84, 30, "z",
                f"style w: {config.z}, the same for each layer, unless styles are mixed")
    row = drawing.row(y, [("G", made[0], ""), *parts("G", made)], start)
    drawing.text(start, y - 40, "learned")
    for (x, half), shape, after in zip(row[1:], made, [*middle[2:], None]):
        drawing.arrow((x, 95), (x, y - half - 6), dashed=True)
        drawing.arrow((x, y + BELOW + 6), (x, y + BELOW + 24))
        drawing.box(x, y + BELOW + 42, 64, 30, "image", f"{shape[1]}x{shape[2]}")
        if after:
            drawing.arrow((x + 34, y + BELOW + 42), (after - 37, y + BELOW + 42))
    drawing.text(middle[1] - 46, y + BELOW + 46, "to grey; enlarged and added up", "end")
    drawing.text(middle[-1], y + BELOW + 74, "G(z)")
    drawing.heading(402, "Discriminator D", "1x1 convolution, residual blocks that halve the side; "
                                            "at 4x4 a map joins of how much the batch varies")
    given = torch.empty(4, *image)
    first, inner = shapes(D.blocks, stylegan2.Convolution, given)[0], shapes(D.blocks, stylegan2.Residual, given)
    drawing.row(486, [("image", image, "x or G(z)"), *parts("D", [first, *inner]),
                      ("D", tuple(shapes(D, stylegan2.Dense, given)[0]), ""), ("D", (1,), "logit")], pitch=110)
    return drawing


def draw_cyclegan() -> Drawing:
    config = config_of(cyclegan.Config, parameters("03_cyclegan_ct_to_eus"))
    crop = torch.empty(1, 1, STRIP - config.margin, config.size - config.margin)
    drawing = Drawing(638, "CycleGAN: two generators, two discriminators and the cycle; the shapes of one of each")
    drawing.heading(26, "The cycle", "D_Y learns from frames y and G(x), D_X from planes x and F(y)")
    for y, names, nets, judge in ((72, ("CT plane x", "G(x)", "F(G(x))"), "GF", "D_Y"),
                                  (194, ("US frame y", "F(y)", "G(F(y))"), "FG", "D_X")):
        for x, name in zip((120, 430, 740), names):
            drawing.box(x, y, 120, 36, "image", name)
        for x, net in zip((275, 585), nets):
            drawing.box(x, y, 54, 36, "G", net)
            drawing.arrow((x - 92, y), (x - 33, y))
            drawing.arrow((x + 28, y), (x + 89, y))
        drawing.box(430, y + 58, 64, 28, "D", judge)
        drawing.arrow((430, y + 19), (430, y + 38))
        drawing.text(392, y + 63, "real or made?", "end", fill=SOFT)
        drawing.arrow((120, y - 19), (120, y - 30), (740, y - 30), (740, y - 23), dashed=True)
        drawing.text(475, y + 63, f"cycle loss, dashed: is {names[2]} = {names[0][-1]}?", "start", fill=SOFT)
    G, D = cyclegan.Generator(config), cyclegan.Discriminator(config)
    made = shapes(G, nn.Conv2d, crop)
    inner = made[2:-3]        # what the residual blocks keep as it is
    drawing.heading(310, "G, and F alike", f"7x7; strided 3x3; {config.blocks} residual blocks; enlarged and "
                                           "convolved; 7x7 and tanh; InstanceNorm")
    drawing.row(386, [("image", made[-1], "x"), *parts("G", made[:3]), ("G", inner[-1], "after the blocks"),
                      *parts("G", made[-3:-1]), ("image", made[-1], "G(x)")])
    drawing.heading(486, "D_Y, and D_X alike", "4x4 convolutions, InstanceNorm, leaky ReLU; a logit for each patch")
    drawing.row(558, [("image", made[-1], "y or G(x)"), *parts("D", shapes(D, nn.LeakyReLU, crop)),
                      ("D", tuple(D(crop).shape[1:]), "logits")])
    return drawing


def draw_stackgan() -> Drawing:
    values = parameters("04_stackgan_liver")
    side = values["attention"] * ("sa" in values["model"])
    first = config_of(stackgan.Config, values | {"stage": 1, "attention": side})
    second = config_of(stackgan.Config, values | {"stage": 2, "stage1": "drawn", "attention": side})
    drawing = Drawing(946, "StackGAN: the shapes of stage I and of stage II")
    plain(drawing, 26, stackgan.Generator(first), stackgan.Discriminator(first), first.z, [
        ("Stage I: G", "notebook 01's DCGAN, with spectral normalisation and self-attention"),
        ("Stage I: D", f"sees real images, reduced to {first.size1} pixels, and stage I's")], side)
    given = torch.empty(1, 1, second.size1, second.size1), torch.empty(1, second.z, 1, 1)
    refiner, y = stackgan.Refiner(second), 486
    down, up = shapes(refiner, nn.LeakyReLU, *given), shapes(refiner, nn.ReLU, *given)
    image, low = shapes(refiner, nn.Tanh, *given)[0], tuple(refiner.encode(given[0])[0].shape[1:])
    drawing.heading(402, "Stage II: G", "above: 3x3 convolutions and max-pooling; below: transposed 4x4 convolutions; "
                                        "dashed: skips, joined as channels")
    drawn = tuple(given[0].shape[1:])
    above = drawing.row(y, [("image", drawn, "stage I's, frozen"), *parts("G", [*down, low])])
    last = above[-1][0]
    joined = (low[0] + second.z, *low[1:])
    below = drawing.row(y + 190, [*parts("G", [joined, *up]), ("image", image, "stage II's")], last, -PITCH)[::-1]
    drawing.arrow((last, y + BELOW + 6), (last, y + 190 - below[-1][1] - 6))
    drawing.box(last + 90, y + 110, 60, 30, "z", f"z: {second.z}")
    drawing.arrow((last + 58, y + 110), (last + 6, y + 110))
    for (x, _), (_, half) in list(zip(above, below))[1:-1]:
        drawing.arrow((x, y + BELOW + 6), (x, y + 190 - half - 6), dashed=True)
    D = dcgan.Discriminator(second.dcgan)
    drawing.heading(780, "Stage II: D", "sees real images and stage II's")
    drawing.row(864, [("image", image, "x or stage II's"), *parts("D", shapes(D, nn.LeakyReLU, torch.empty(1, *image))),
                      ("D", (1,), "logit")])
    return drawing


def draw_pgsgan() -> Drawing:
    config = config_of(pgsgan.Config, parameters("05_pgsgan_ovary"))
    side, full, pitch, start = config.size, config.full, 91, 50
    condition, pair = 3, 4      # channels: ovary, follicle and sketch; the same and the image
    G, D = pgsgan.Generator(config, condition), pgsgan.Discriminator(config, pair)
    small, large = torch.empty(1, condition, side, side), torch.empty(1, condition, full, full)
    features = shapes(G.features, nn.ReLU, small)
    down, up = features[:3], features[-2:]
    image = tuple(G(small, large, 0.5).shape[1:])
    drawing = Drawing(618, "PGSGAN: the shapes of its generator and discriminator, and how both grow")
    drawing.heading(26, "Generator G, grown", f"{config.blocks} residual blocks between; before it grows it goes from "
                                              f"{condition}x{side}x{side} to 1x{side}x{side}")
    drawing.row(104, [("image", tuple(large.shape[1:]), "label image"), ("new", "FIB-D", ""),
                      ("image", tuple(small.shape[1:]), ""), *parts("G", down), *parts("G", up), ("new", "FIB-U", ""),
                      ("image", image, "G(x)")], start, pitch)
    drawing.heading(214, "Discriminator D, grown", "4x4 convolutions, InstanceNorm, leaky ReLU; "
                                                   "a logit for each patch of 70x70 pixels")
    given = torch.empty(1, pair, side, side)
    drawing.row(292, [("image", (pair, full, full), "label, image"), ("new", "FIB-D", ""),
                      ("image", (pair, side, side), ""), *parts("D", shapes(D.main, nn.LeakyReLU, given)),
                      ("D", tuple(D.main(given).shape[1:]), "logits")], start, pitch)
    drawing.heading(402, "Fade-in blocks", "alpha goes from 0 to 1 in D, then from 0 to "
                                           f"{config.top:g} in G; at 0 the networks are the old ones")
    for y, name, old, given, new, out in (
            (456, "FIB-D", "halved, as before it grew", "input, twice the side", "two new layers that halve",
             "to the first layer"),
            (548, "FIB-U", "the old image, enlarged", "last features", "enlarged; two new layers, tanh",
             "image, twice the side")):
        drawing.box(60, y + 20, 70, 34, "new", name)
        drawing.box(230, y + 20, 170, 34, "image", given)
        drawing.box(480, y, 234, 30, "G", new)
        drawing.box(480, y + 40, 234, 30, "image", old)
        drawing.box(820, y + 20, 164, 34, "image", out)
        for height, share in ((y, "alpha"), (y + 40, "1 - alpha")):
            drawing.arrow((316, y + 20), (338, y + 20), (338, height), (358, height))
            drawing.arrow((598, height), (690, height), (690, y + 20), (732, y + 20), dashed=share != "alpha")
            drawing.text(644, height - 6, share)
    return drawing


DRAWINGS = {"dcgan": draw_dcgan, "stylegan2": draw_stylegan2, "cyclegan": draw_cyclegan, "stackgan": draw_stackgan,
            "pgsgan": draw_pgsgan}


def drawings() -> dict[str, str]:
    """The SVG text of each file, by its name."""
    with torch.device("meta"):      # shapes without memory or arithmetic
        return {f"{name}.svg": draw().svg() for name, draw in DRAWINGS.items()}


if __name__ == "__main__":
    folder = ROOT / "notebooks" / "diagrams"
    folder.mkdir(exist_ok=True)
    for name, text in drawings().items():
        (folder / name).write_text(text, encoding="utf-8")
