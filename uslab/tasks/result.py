"""What a classifier did: its predictions, and measures that all follow from the confusion matrix."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from torch import nn

from ..data import ImageSet
from ..score import Score
from .splits import group_labels

FEWEST = 8   # groups for an interval


@dataclass(frozen=True, eq=False)
class Result:
    """A classifier's predictions on test images; every measure follows from them.

    In the macro averages count the classes that have test images. A class that is never predicted has the precision 0.
    """

    about: str                          # network, weights, training, in words
    classes: tuple[str, ...]
    predictions: pd.DataFrame           # one row an image: file, group, truth, predicted, p_<class>, correct
    images: dict[str, int]              # of the training set: 'real', 'synthetic'
    model: nn.Module | None = None      # what was tested: images (B, 1, H, W), 0 to 255, to logits (B, K), for grad_cam
    losses: tuple[float, ...] = ()      # mean training loss of each twentieth of the steps
    grouped: bool = True                # False: no patients are known, each image counts as one

    @property
    def confusion(self) -> pd.DataFrame:
        """Numbers of images: a row a true class, a column a predicted class."""
        return pd.DataFrame(confusion(self.predictions, self.classes), list(self.classes), list(self.classes))

    @property
    def accuracy(self) -> float:
        """Share of the images that are classified correctly."""
        return float(accuracy(self.confusion.to_numpy()))

    @property
    def f1_macro(self) -> float:
        """Mean F1 of the classes."""
        return float(f1_macro(self.confusion.to_numpy()))

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes: 1 / classes for any constant answer."""
        return float(balanced_accuracy(self.confusion.to_numpy()))

    @property
    def majority(self) -> str:
        """The most frequent class of the test images."""
        return self.predictions.truth.value_counts().index[0]

    @property
    def table(self) -> pd.DataFrame:
        """A row a class with precision, recall, F1, numbers of images and patients; then all, then the majority class.

        The rows 'all' and 'always <class>' hold macro averages, accuracy (micro F1 is the same number) and balanced
        accuracy. A classifier that is not above the last row has learned nothing of use.
        """
        matrix = self.confusion.to_numpy()
        patients = self.predictions.groupby("truth").group.nunique()
        rows = {name: (*values, np.nan, np.nan, int(matrix[i].sum()), int(patients.get(name, 0)))
                for i, (name, values) in enumerate(zip(self.classes, zip(*per_class(matrix))))}
        always = np.zeros_like(matrix)
        always[:, self.classes.index(self.majority)] = matrix.sum(1)
        counts = len(self.predictions), self.predictions.group.nunique()
        for name, values in (("all", matrix), (f"always {self.majority}", always)):
            rows[name] = (*(macro(values, part) for part in per_class(values)), accuracy(values),
                          balanced_accuracy(values), *counts)
        return pd.DataFrame.from_dict(rows, "index", columns=[
            "precision", "recall", "F1", "accuracy", "balanced accuracy", "images", "patients"]).rename_axis("class")

    def scores(self, prefix: str = "") -> list[Score]:
        """Accuracy, macro F1 and balanced accuracy with intervals, for run.json and for tables.

        The interval is the delete-one-patient jackknife with Student's t; with fewer than 8 patients there is none.
        """
        matrices = confusion(self.predictions, self.classes, by_group=True)
        unit, always = "patients or exams" if self.grouped else "images", self.table.iloc[-1]
        found = []
        for name, measure, column in (("accuracy", accuracy, "accuracy"), ("F1 macro", f1_macro, "F1"),
                                      ("balanced accuracy", balanced_accuracy, "balanced accuracy")):
            value = float(measure(matrices.sum(0)))
            low, high = jackknife(measure, matrices)
            how = f"{'95 % jackknife over' if np.isfinite(low) else 'no interval:'} {len(matrices)} {unit}"
            note = f"micro F1 is the same number; {how}" if name == "accuracy" else how
            found.append(Score(f"{prefix}{name}", value, max(low, 0.0), min(high, 1.0), len(self.predictions),
                               f"{always.name} {always[column]:.3g}; {self.about}; {note}"))
        return found

    def __str__(self) -> str:
        return f"{self.about}\n{self.table.round(3).to_string()}"


def summary(results: dict[str, Result]) -> pd.DataFrame:
    """One row a result with its measures, and below them the majority class; all on the same test images.

    Args:
        results: Results by name, all on the same test images.
    """
    def row(line: pd.Series, trained: dict[str, int]) -> dict:
        return {"accuracy": line.accuracy, "F1 macro": line.F1, "balanced accuracy": line["balanced accuracy"],
                "images": int(line.images), "patients": int(line.patients),
                "real in training": trained.get("real", 0), "synthetic in training": trained.get("synthetic", 0)}

    rows = {name: row(result.table.loc["all"], result.images) for name, result in results.items()}
    last = next(reversed(results.values())).table.iloc[-1]
    return pd.DataFrame.from_dict({**rows, last.name: row(last, {})}, "index")


def predictions(test: ImageSet, probabilities: np.ndarray) -> pd.DataFrame:
    """One row a test image: file, group, truth, predicted, correct, and the probability of each class, p_<class>."""
    names = np.array(test.classes)
    truth, predicted = names[test.labels.cpu().numpy()], names[probabilities.argmax(1)]
    return pd.DataFrame({
        "file": test.table.file.to_numpy(),
        "group": group_labels(test),
        "truth": truth, "predicted": predicted, "correct": truth == predicted,
        **{f"p_{name}": probabilities[:, i] for i, name in enumerate(names)}})


# Measures of confusion matrices (..., K, K), a row a true class

def confusion(predictions: pd.DataFrame, classes: tuple[str, ...], by_group: bool = False) -> np.ndarray:
    """(K, K) numbers of images of each true class (row) with each prediction (column); by group (G, K, K)."""
    truth, predicted = (pd.Categorical(predictions[name], classes).codes.astype(int) for name in ("truth", "predicted"))
    group, names = pd.factorize(predictions.group) if by_group else (0, [0])
    k = len(classes)
    matrices = np.bincount((group * k + truth) * k + predicted, minlength=len(names) * k * k).reshape(-1, k, k)
    return matrices if by_group else matrices[0]


def per_class(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 (..., K) of the classes; recall and F1 are nan for a class without images."""
    hits, true, said = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)
    there = true > 0
    return (hits / np.maximum(said, 1), np.where(there, hits / np.maximum(true, 1), np.nan),
            np.where(there, 2 * hits / np.maximum(true + said, 1), np.nan))


def macro(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of a per-class measure (..., K) over the classes that have images."""
    there = matrix.sum(-1) > 0
    return np.where(there, np.nan_to_num(values), 0).sum(-1) / there.sum(-1)


def accuracy(matrix: np.ndarray) -> np.ndarray:
    return np.trace(matrix, axis1=-2, axis2=-1) / matrix.sum((-2, -1))


def f1_macro(matrix: np.ndarray) -> np.ndarray:
    return macro(matrix, per_class(matrix)[2])


def balanced_accuracy(matrix: np.ndarray) -> np.ndarray:
    return macro(matrix, per_class(matrix)[1])


def jackknife(measure, matrices: np.ndarray) -> tuple[float, float]:
    """95 % interval of a measure of the sum of matrices (G, K, K), one a group, by leaving out one group at a time."""
    n, total = len(matrices), matrices.sum(0)
    if n < FEWEST:
        return np.nan, np.nan
    values = measure(total - matrices)
    reach = stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum())
    return float(measure(total) - reach), float(measure(total) + reach)
