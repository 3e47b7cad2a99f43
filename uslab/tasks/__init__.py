"""What synthetic images are for: classifiers and segmentation trained with them, tested on real images of others."""

from .classify import classify
from .mix import join, mix, synthetic_set
from .result import Result, summary
from .splits import folds, guard, identities
from .statistics import holm, interval, mcnemar, paired_t, proportion_interval, wilcoxon

__all__ = ["Result", "classify", "folds", "guard", "holm", "identities", "interval", "join", "mcnemar", "mix", "paired_t",
           "proportion_interval", "summary", "synthetic_set", "wilcoxon"]
