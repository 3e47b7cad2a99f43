"""A rehearsal: the same questions, buttons, design and rules on stand-in images, before anybody is invited."""

from pathlib import Path

from scipy import ndimage

BLUR = 1.0      # pixels, standard deviation: what tells the stand-ins of a method from those of real images


def stand_ins(study):
    """Simulated fetal heads, an ImageSet, in the place of real images; by method blurred ones (n, 1, H, W) uint8."""
    from uslab import phantom

    design, methods = study.about["design"], study.about["n_methods"]
    side = max(64, min(512, max(study.pack.shape[-2:])))
    made = design["n_per_method"] + design["practice"] + 2
    real = (design["n_real"] or methods * design["n_per_method"]) + design["practice"] + 2
    images = phantom.load("fetal_head", real + methods * made, side, seed=7)
    blurred = ndimage.gaussian_filter(images.images[real:].numpy(), (0, 0, BLUR, BLUR))
    return images[:real], {f"m{i + 1}": blurred[i * made:(i + 1) * made] for i in range(methods)}


def rehearse(study, out: Path):
    """Study.rehearsal's work; see there."""
    from uslab.study.study import Study

    real, synthetic = stand_ins(study)
    design = {name: value for name, value in study.about["design"].items() if name != "rules"}
    return Study.build(real, synthetic, study.protocol, out=out, title=f"Rehearsal: {study.about['title']}",
                       rules=study.about["design"]["rules"], acknowledge_text=True, **design)
