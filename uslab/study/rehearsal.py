"""The images of a rehearsal, which stand in for a study's own."""

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

import uslab.data

BLUR = 1.0      # pixels, standard deviation: what tells the stand-ins of a method from those of real images


def stand_ins(study):
    """Simulated fetal heads, an ImageSet, in the place of real images; by method blurred ones (n, 1, H, W) uint8."""
    design, methods = study.about["design"], study.about["n_methods"]
    side = max(64, min(512, max(study.pack.shape[-2:])))
    made = design["n_per_method"] + design["practice"] + 2
    real = (design["n_real"] or methods * design["n_per_method"]) + design["practice"] + 2
    images = uslab.data.open(f"phantom:fetal_head?n={real + methods * made},seed=7", size=side)
    blurred = ndimage.gaussian_filter(images.images[real:].numpy(), (0, 0, BLUR, BLUR))
    own = {f"m{i + 1}": blurred[i * made:(i + 1) * made] for i in range(methods)}
    if not study.protocol.fps:
        return images[:real], own
    frames = study.pack.shape[0]
    return moved(images.images[:real].numpy(), frames), {name: moved(each, frames) for name, each in own.items()}


def moved(images: np.ndarray, frames: int) -> uslab.data.ImageSet:
    """Clips that drift to the right, a pixel a frame, of still images (n, 1, H, W)."""
    clips = np.stack([np.roll(images, step, axis=3) for step in range(frames)], axis=1).reshape(-1, *images.shape[1:])
    table = pd.DataFrame({"file": [f"{i}" for i in range(len(clips))],
                          "clip": [f"clip {i}" for i in range(len(images)) for _ in range(frames)]})
    return uslab.data.ImageSet(torch.from_numpy(clips), "fetal_head", "phantom", table)
