"""Pictures in committed notebooks are written anew in fewer bytes and look the same."""

import base64
import io

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from uslab.notebooks.html import shrink_pictures


def shrunk(pixels: np.ndarray) -> tuple[np.ndarray, int, int]:
    """RGBA pixels through a notebook: the pixels that come back, and the bytes before and after."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    output = new_output("display_data",
                        {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": "picture"})
    notebook = new_notebook(cells=[new_code_cell("1", outputs=[output])])
    shrink_pictures(notebook)
    data = notebook.cells[0].outputs[0].data
    assert data["text/plain"] == "picture"
    after = base64.b64decode(data["image/png"])
    return np.asarray(Image.open(io.BytesIO(after)).convert("RGBA")), len(file.getvalue()), len(after)


@pytest.fixture
def speckle() -> np.ndarray:
    pixels = np.full((64, 80, 4), 255, np.uint8)
    pixels[..., :3] = np.random.default_rng(0).integers(0, 256, (64, 80, 1))
    return pixels


def test_grey_pictures_keep_every_pixel(speckle):
    pixels, before, after = shrunk(speckle)
    assert np.array_equal(pixels, speckle) and after < 0.7 * before


def test_few_colours_stay_as_they_are_and_many_move_little(speckle):
    speckle[..., :3] = speckle[..., :3] // 32 * 32
    speckle[:8, :, 0] = 255
    assert np.array_equal(shrunk(speckle)[0], speckle)
    ramp = np.full((64, 64, 4), 255, np.uint8)
    ramp[..., 0], ramp[..., 1] = np.mgrid[:64, :64] * 4
    pixels, before, after = shrunk(ramp)
    assert np.abs(pixels.astype(int) - ramp)[..., :3].mean() < 8


def test_transparent_pictures_stay_as_they_are(speckle):
    speckle[0, 0, 3] = 0
    pixels, before, after = shrunk(speckle)
    assert np.array_equal(pixels, speckle) and after == before
