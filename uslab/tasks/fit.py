"""Train a classification network: Adam, cross-entropy, class weights, the best epoch on a validation set."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data import ImageSet
from ..training.batches import Batches
from ..training.device import choose_device, choose_dtype
from .networks import Classifier, build


class Trainer:
    """A network with its optimiser; step() is one update."""

    def __init__(self, model: Classifier, lr: float, weights: Tensor | None, dtype: torch.dtype):
        self.model, self.weights, self.dtype = model.train(), weights, dtype
        self.optimiser = torch.optim.Adam(model.parameters(), lr)

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update with {'image': uint8 (B, 1, H, W), 'label': (B,)}; returns {'loss': 0-d tensor}."""
        images = batch["image"].float()
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.model(images)
        loss = F.cross_entropy(logits.float(), batch["label"], self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.detach()}


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """(K,) float32 n / (K n_k), as scikit-learn's 'balanced'; a class without images weighs 0."""
    counts = np.bincount(labels, minlength=classes)
    return torch.tensor(np.where(counts, len(labels) / (classes * np.maximum(counts, 1)), 0), dtype=torch.float32)


def fit(
    train: ImageSet, val: ImageSet | None, name: str, weighted: bool, epochs: int, lr: float | None, batch: int,
    weights: str | None, seed: int, device: str,
) -> tuple[Classifier, tuple[float, ...], str]:
    """The trained network in eval mode, its mean loss in each epoch, and what it is. Arguments as in classify().

    With a validation set the weights of the epoch with the best balanced accuracy on it are kept, else the last ones.
    """
    from .classify import predictions
    from .result import balanced_accuracy, confusion

    device, train = choose_device(device), train.to("cpu")
    weigh = class_weights(train.labels.numpy(), len(train.classes)).to(device) if weighted else None
    data = train.to(device)
    # A last batch of one image would break batch normalisation, so batches are windows over all epochs.
    batches = Batches(data, min(batch, len(data)), seed)

    def trainer(dtype: torch.dtype) -> Trainer:
        model = build(name, len(train.classes), weights, seed).to(device)
        return Trainer(model, model.lr if lr is None else lr, weigh, dtype)

    dtype = choose_dtype(trainer, batches[0], device, seed)
    trained = trainer(dtype)
    steps = max(1, round(len(data) / batches.size))   # an epoch
    losses, best, kept, chosen = [], -1.0, None, epochs
    for epoch in range(epochs):
        total = torch.zeros((), device=device)
        trained.model.train()
        for step in range(epoch * steps, (epoch + 1) * steps):
            torch.manual_seed(batches.seed_of(step))   # dropout
            total += trained.step(batches[step])["loss"]
        losses.append(float(total) / steps)
        if not np.isfinite(losses[-1]):
            raise ValueError(f"the loss of epoch {epoch + 1} is {losses[-1]}: choose a lower lr")
        if val is not None:
            found = predictions(val, probabilities_of(trained.model, val))
            score = float(balanced_accuracy(confusion(found, train.classes)))
            if score > best:
                best, chosen, kept = score, epoch + 1, copy.deepcopy(trained.model.state_dict())
    if kept is not None:
        trained.model.load_state_dict(kept)
    how = f"epoch {chosen} of {epochs}{', the best on the validation images' if val is not None else ''}"
    return trained.model.eval(), tuple(losses), (
        f"{trained.model.about}; {how}, learning rate {trained.optimiser.param_groups[0]['lr']:g}, batch {batches.size}, "
        f"{str(dtype).removeprefix('torch.')}")


@torch.inference_mode()
def probabilities_of(
    model: Classifier,
    images: ImageSet,
    batch: int = 32,
) -> np.ndarray:
    """(N, K) float64 class probabilities, in float32 arithmetic."""
    model.eval()
    device = next(model.parameters()).device
    parts = [model(part.to(device).float()).double().softmax(1).cpu() for part in images.images.split(batch)]
    return torch.cat(parts).numpy()
