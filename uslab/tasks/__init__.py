"""What synthetic images are for: classifiers and segmentation trained with them, tested on real images of others."""

from .classify import classify
from .grad_cam import grad_cam, heat_share
from .mix import join, mix, synthetic_set
from .networks import ready
from .result import Result, summary
from .rows import classify_all
from .segment import Segmentation, dice, segment
from .splits import folds, guard, identities
from .statistics import mcnemar, paired_t, wilcoxon

__all__ = ["Result", "Segmentation", "classify", "classify_all", "dice", "folds", "grad_cam", "guard", "heat_share",
           "identities", "join", "mcnemar", "mix", "paired_t", "ready", "segment", "summary", "synthetic_set",
           "wilcoxon"]
