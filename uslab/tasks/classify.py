"""classify: train a classifier on real images, or on real and synthetic ones, and test it on real images."""

from collections.abc import Sequence

import numpy as np

from ..data import ImageSet
from .mix import SYNTHETIC, join, mix
from .result import Result, predictions
from .splits import guard

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)   # of the logistic regression, tried where there is a validation set


def classify(
    train: ImageSet, test: ImageSet, model: str = "features", *, val: ImageSet | None = None,
    synthetic: ImageSet | None = None, share: float | None = None, relative: float | None = None, fixed: str = "real",
    weighted: bool | Sequence[float] = True, epochs: int = 10, lr: float | None = None, batch_size: int = 32,
    weights: str | None = None, seed: int = 0, device: str = "auto",
) -> Result:
    """Train on `train` (and synthetic images), test on `test`; a Result with tables, predictions and the network.

    'features' is a logistic regression on the frozen features of EfficientNet-Lite0: seconds on a laptop, no network is
    trained. Raises ValueError where a test or validation image or its patient is in the training set or was seen by
    the generator, for sets without labels or with other classes, and for an unknown model.

    Args:
        train: Real images with labels.
        test: Real images of other patients; the result is about these.
        model: 'features', 'efficientnet-b2', 'lite2', 'vgg16': see uslab.tasks.networks.
        val: Real images of further patients, to choose the epoch or the regularisation.
        synthetic: From synthetic_set; all of them are added unless share or relative is given.
        share: Synthetic images in the training set, see mix.
        relative: Synthetic images for each real one, see mix.
        fixed: 'real' or 'total', see mix.
        weighted: Weigh each class by the inverse of its number of training images, or by the weights given, in the
            order of the classes.
        epochs: Passes through the training set; not used by 'features'.
        lr: Adam's learning rate; None: the network's own default; not used by 'features'.
        batch_size: Images a step; not used by 'features'.
        weights: File of ImageNet weights for 'efficientnet-b2' or 'vgg16'.
        seed: Of the mixture, the initial weights and the batches.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
    """
    from . import networks

    if model not in ("features", *networks.NETWORKS):
        raise ValueError(f"unknown model {model!r}: choose features, {', '.join(networks.NETWORKS)}")
    if model == "vgg16" and min(train.images.shape[2:]) < 32:
        raise ValueError(f"vgg16 halves the image five times: {tuple(train.images.shape[2:])} is too small, use 32x32 "
                         "at least")
    if not isinstance(weighted, bool) and len(weighted) != len(train.classes):
        raise ValueError(f"weighted holds {len(weighted)} weights for the {len(train.classes)} classes {train.classes}")
    if epochs < 1 or batch_size < 2:
        raise ValueError(f"epochs is {epochs} and batch_size {batch_size}: choose at least 1 and 2")
    for name, images in (("train", train), ("test", test), ("val", val), ("synthetic", synthetic)):
        if images is not None and (images.labels is None or images.classes != train.classes):
            raise ValueError(f"{name} has the classes {images.classes or 'none'}, expected those of train, "
                             f"{train.classes}")
    guard(test, train)
    for images in [test] + ([val] if val is not None else []):
        if synthetic is not None:
            guard(images, synthetic)
    if val is not None:
        guard(val, train)
        guard(test, val)
    if synthetic is None and (share or relative):
        raise ValueError("share and relative need synthetic images: give synthetic")
    if synthetic is not None:
        train = join(train, synthetic) if share is None and relative is None else mix(
            train, synthetic, share=share, relative=relative, fixed=fixed, seed=seed)

    if model == "features":
        trained, probabilities, about = by_features(train, test, val, weighted, seed)
        losses = ()
    else:
        from .fit import fit, probabilities_of

        trained, losses, about = fit(train, val, model, weighted, epochs, lr, batch_size, weights, seed, device)
        probabilities = probabilities_of(trained, test)
    made = int(np.sum(train.table.get(SYNTHETIC, False)))
    counts = {"real": len(train) - made, "synthetic": made}
    how = {True: ", classes weighted", False: ""}[weighted] if isinstance(weighted, bool) else (
        f", class weights {', '.join(f'{weight:g}' for weight in weighted)}")
    return Result(f"{about}; trained on {counts['real']} real and {made} synthetic images{how}",
                  train.classes, predictions(test, probabilities), counts,
                  trained, losses, test.groups is not None)


def by_features(train: ImageSet, test: ImageSet, val: ImageSet | None, weighted, seed: int):
    """Logistic regression on Lite0 features: the classifier, its probabilities (N, K) of the test images, its name."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from ..metrics.features import features, lite0
    from .frozen import FrozenClassifier

    weights = {True: "balanced", False: None}[weighted] if isinstance(weighted, bool) else dict(enumerate(weighted))

    def fitted(strength: float):
        regression = LogisticRegression(C=strength, class_weight=weights, max_iter=1000, random_state=seed)
        return make_pipeline(StandardScaler(), regression).fit(x, train.labels.cpu().numpy())

    x = features(train)
    if val is None:
        strength, how = 1e-2, "C = 0.01"
    else:
        z, labels = features(val), val.labels.cpu().numpy()
        strength = max(STRENGTHS, key=lambda c: balanced_accuracy_score(labels, fitted(c).predict(z)))
        how = f"C = {strength:g} chosen on {len(val)} validation images"
    scaler, regression = fitted(strength)
    classifier = FrozenClassifier(scaler, regression, len(train.classes))
    return (classifier, classifier.probabilities(features(test)),
            f"logistic regression ({how}) on frozen features of {lite0().about}")
