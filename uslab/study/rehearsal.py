"""The images of a rehearsal, which stand in for a study's own."""

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
    return images[:real], {f"m{i + 1}": blurred[i * made:(i + 1) * made] for i in range(methods)}
