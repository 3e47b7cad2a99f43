"""classify: train a classifier on real images, or on real and synthetic ones, and test it on real images."""

from collections.abc import Sequence

import numpy as np

from ..data import ImageSet
from .mix import SYNTHETIC
from .networks import ready
from .result import Result, predictions
from .splits import guard

STRENGTHS = (1e-2, 1e-1, 1, 10)   # of the logistic regression, tried where there is a validation set


def classify(
    train: ImageSet, test: ImageSet, model: str = "features", *, val: ImageSet | None = None,
    weighted: bool | Sequence[float] = True, steps: int = 300, lr: float | None = None, batch_size: int = 32,
    weights: str = "imagenet", seed: int = 0, device: str = "auto",
) -> Result:
    """Train on `train`, test on `test`; a Result with tables, predictions and the network.

    'features' is a logistic regression on the frozen features of EfficientNet-Lite0: seconds on a laptop, no network is
    trained. Its penalty stands beside the mean loss of an image, so that copies of the training images change nothing.
    Raises ValueError where a test or validation image or its patient is in the training set or was seen by the
    generator of its synthetic images, for sets without labels or with other classes, and like ready().

    Args:
        train: Images with labels: real ones, or a mixture from mix or join.
        test: Real images of other patients; the result is about these.
        model: 'features', 'efficientnet-b2', 'lite2', 'vgg16': see uslab.tasks.networks.
        val: Real images of further patients, to choose the step or the regularisation.
        weighted: Weigh each class by the inverse of its number of training images, or by the weights given, in the
            order of the classes.
        steps: Updates, whatever the number of images: see classify_all for a table; not used by 'features'.
        lr: Adam's learning rate; None: the network's own default; not used by 'features'.
        batch_size: Images a step; not used by 'features'.
        weights: 'imagenet' or 'random'; not used by 'features'.
        seed: Of the initial weights and the batches.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
    """
    if model == "vgg16" and min(train.images.shape[2:]) < 32:
        raise ValueError(f"vgg16 halves the image five times: {tuple(train.images.shape[2:])} is too small, use 32x32 "
                         "at least")
    ready(model, weights, lr)
    if not isinstance(weighted, bool) and len(weighted) != len(train.classes):
        raise ValueError(f"weighted holds {len(weighted)} weights for the {len(train.classes)} classes {train.classes}")
    if steps < 1 or batch_size < 2:
        raise ValueError(f"steps is {steps} and batch_size {batch_size}: choose at least 1 and 2")
    for name, images in (("train", train), ("test", test), ("val", val)):
        if images is not None and (images.labels is None or images.classes != train.classes):
            raise ValueError(f"{name} has the classes {images.classes or 'none'}, expected those of train, "
                             f"{train.classes}")
    guard(test, train)
    if val is not None:
        guard(val, train)
        guard(test, val)
    if model == "features":
        trained, probabilities, about = by_features(train, test, val, weighted, seed, device)
        losses = ()
    else:
        from .fit import fit, probabilities_of

        trained, losses, about = fit(train, val, model, weighted, steps, lr, batch_size, weights, seed, device)
        probabilities = probabilities_of(trained, test)
    made = int(np.sum(train.table.get(SYNTHETIC, False)))
    counts = {"real": len(train) - made, "synthetic": made}
    how = {True: ", classes weighted", False: ""}[weighted] if isinstance(weighted, bool) else (
        f", class weights {', '.join(f'{weight:g}' for weight in weighted)}")
    return Result(f"{about}; trained on {counts['real']} real and {made} synthetic images{how}",
                  train.classes, predictions(test, probabilities), counts,
                  trained, losses, test.groups is not None)


def by_features(train: ImageSet, test: ImageSet, val: ImageSet | None, weighted, seed: int, device: str):
    """Logistic regression on Lite0 features: the classifier, its probabilities (N, K) of the test images, its name."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from ..metrics.features import features, lite0
    from .frozen import FrozenClassifier

    labels = train.labels.cpu().numpy()
    weights = {True: "balanced", False: None}[weighted] if isinstance(weighted, bool) else dict(enumerate(weighted))
    total = len(labels) if isinstance(weighted, bool) else np.asarray(weighted)[labels].sum()

    def fitted(strength: float):
        regression = LogisticRegression(C=strength / total, class_weight=weights, max_iter=1000, random_state=seed)
        return make_pipeline(StandardScaler(), regression).fit(x, labels)

    x = features(train, "lite0", device)
    if val is None:
        strength, how = 1.0, "C = 1 / n"
    else:
        z, truth = features(val, "lite0", device), val.labels.cpu().numpy()
        strength = max(STRENGTHS, key=lambda c: balanced_accuracy_score(truth, fitted(c).predict(z)))
        how = f"C = {strength:g} / n chosen on {len(val)} validation images"
    scaler, regression = fitted(strength)
    classifier = FrozenClassifier(scaler, regression, len(train.classes))
    return (classifier, classifier.probabilities(features(test, "lite0", device)),
            f"logistic regression ({how}) on frozen features of {lite0().about}")
