"""Sheets of images and the audit's page. Pictures of patients: they stay where the user puts them."""

import base64
from html import escape

import cv2
import numpy as np

from .audits import Audit
from .imageset import ImageSet

STYLE = ("body{font:15px/1.5 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}"
         "table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ccc;padding:.2em .8em;"
         "text-align:left}img{max-width:100%}figure{margin:1em 0}figcaption{color:#555}")


def sheet(
    images: list[np.ndarray],          # (H, W) uint8 each
    captions: list[str],               # one line each
    columns: int = 6,
    tile: int = 160,                   # side of a tile, pixels
) -> np.ndarray:
    """Captioned tiles in rows, (H, W) uint8."""
    tiles = []
    for image, caption in zip(images, captions):
        scale = tile / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale,
                           interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)[:tile, :tile]
        canvas = np.full((tile + 18, tile + 6), 30, np.uint8)
        canvas[18:18 + small.shape[0], :small.shape[1]] = small
        # OpenCV draws ASCII only.
        text = caption.encode("ascii", "replace").decode()[:round(tile / 6.2)]
        cv2.putText(canvas, text, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 235, 1, cv2.LINE_AA)
        tiles.append(canvas)
    columns = min(columns, len(tiles))
    tiles += [np.full_like(tiles[0], 30)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i:i + columns]) for i in range(0, len(tiles), columns)])


def set_sheet(images: ImageSet, n: int = 24, seed: int = 0) -> np.ndarray:
    """A sheet of n images drawn at random, classes in turn; the outline of a mask is drawn white."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    if images.labels is not None:
        labels = images.labels.cpu().numpy()[order]
        rank = np.array([(labels[:i] == label).sum() for i, label in enumerate(labels)])
        order = order[np.lexsort((labels, rank))]
    tiles, captions = [], []
    for i in order[:n]:
        image = images.images[i, 0].cpu().numpy().copy()
        if images.masks is not None:
            outlines, _ = cv2.findContours((images.masks[i, 0].cpu().numpy() > 0).astype(np.uint8), cv2.RETR_EXTERNAL,
                                           cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(image, outlines, -1, 255, 1)
        tiles.append(image)
        name = "" if images.labels is None else images.classes[int(images.labels[i])] + " "
        captions.append(name + str(images.table.file[i]).rsplit("/")[-1])
    return sheet(tiles, captions)


def audit_page(found: Audit) -> str:
    """The HTML of an audit; pictures are inside it."""
    parts = [f"<h1>Audit of {escape(found.images.card)}</h1><p>{escape(repr(found.images))}</p>",
             found.summary.to_html(index=False, border=0)]
    row_of = {file: i for i, file in enumerate(found.images.table.file)}
    pixels = found.images.images[:, 0].cpu().numpy()

    def section(title, table, files, captions, limit):
        parts.append(f"<h2>{escape(title)}: {len(table)}</h2>")
        if files:
            chosen = files[:limit]
            picture = sheet([pixels[row_of[file]] for file in chosen], captions[:limit])
            data = base64.b64encode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]).decode()
            parts.append(f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(title)}"></figure>')
        if len(table):
            parts.append(f"<details><summary>all {len(table)}</summary>"
                         f"{table.to_html(index=False, border=0)}</details>")

    for title, pairs in (("One frame saved twice", found.duplicates), ("Frames of one sweep", found.sweeps)):
        # What crosses classes or splits does the harm, so it comes first.
        order = pairs.assign(harm=pairs.across.str.len()).sort_values(["harm", "score"], ascending=False)
        files = [file for row in order.itertuples() for file in (row.file_a, row.file_b)]
        captions = [text for row in order.itertuples()
                    for text in (f"{row.score:.2f} {row.file_a}", f"{row.across or 'same'} {row.file_b}")]
        section(title, order.drop(columns="harm"), files, captions, 36)
    section("Groups in two splits", found.groups_in_two_splits, [], [], 0)
    section("Classes", found.classes, [], [], 0)
    for title, table, column in (("Text or callipers", found.overlays, "overlay"), ("Colour", found.colour, "colour"),
                                 ("Exposure", found.exposure, "mean")):
        section(title, table, table.file.tolist(), [f"{row[column]:.3g} {row['file']}" for _, row in table.iterrows()], 12)
    section("Sizes of the files", found.sizes, [], [], 0)
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Audit of {escape(found.images.card)}</title>'
            f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>")
