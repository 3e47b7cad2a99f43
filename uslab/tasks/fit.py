"""Train a network: Adam, a loss, batches by seed and step, the best step on a validation set."""

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import ImageSet
from ..data.batches import Batches
from ..data.device import choose_device, choose_dtype
from .networks import Classifier, build
from .result import balanced_accuracy, confusion, predictions

LOOKS = 20      # at the validation images and the loss in a training
Loss = Callable[[Tensor, dict[str, Tensor]], Tensor]   # of the network's output and the batch


class Trainer:
    """A network with its optimiser; step() is one update."""

    def __init__(self, model: nn.Module, lr: float, loss: Loss, dtype: torch.dtype):
        self.model, self.lr, self.loss, self.dtype = model, lr, loss, dtype
        self.optimiser = torch.optim.Adam(model.parameters(), lr)

    def step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update with {'image': uint8 (B, 1, H, W), 'label' or 'mask'}; returns {'loss': 0-d tensor}."""
        images = batch["image"].float()
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = self.model(images)
        loss = self.loss(output.float(), batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.detach()}


def training(
    make: Callable[[torch.dtype], Trainer],   # a fresh trainer on the device
    data: ImageSet,                           # on the device
    steps: int,
    batch_size: int,
    seed: int,
) -> Iterator[tuple[Trainer, float]]:
    """Train; at up to LOOKS evenly spaced steps yield the trainer, its network in eval mode, and the mean loss since.

    The precision is what choose_dtype finds sane. Batches are windows of an endless row of permutations, all of one
    size: a last batch of one image would break batch normalisation. Raises ValueError for a loss that is not finite.
    """
    batches, device = Batches(data, batch_size, seed), data.images.device
    trainer = make(choose_dtype(make, batches[0], device, seed))
    ends = np.linspace(0, steps, min(steps, LOOKS) + 1).round().astype(int)
    for start, end in pairwise(ends):
        total = torch.zeros((), device=device)
        trainer.model.train()
        for step in range(start, end):
            torch.manual_seed(batches.seed_of(step))   # dropout
            total += trainer.step(batches[step])["loss"]
        loss = float(total) / (end - start)
        if not np.isfinite(loss):
            raise ValueError(f"the loss of the steps up to {end} is {loss}: choose an lr below {trainer.lr:g}")
        trainer.model.eval()
        yield trainer, loss


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """(K,) float32 n / (K n_k), as scikit-learn's 'balanced'; a class without images weighs 0."""
    counts = torch.bincount(labels.cpu(), minlength=classes)
    return torch.where(counts > 0, len(labels) / (classes * counts.clamp(min=1)), 0.0)


def fit(
    train: ImageSet,
    val: ImageSet | None,
    name: str,                  # a key of networks.NETWORKS
    weighted: bool | Sequence[float],
    steps: int,
    lr: float | None,
    batch_size: int,
    weights: str,
    seed: int,
    device: str,
) -> tuple[Classifier, tuple[float, ...], str]:
    """The trained classifier in eval mode, its mean losses, and what it is. Arguments as in classify().

    With a validation set the weights of the look with the best balanced accuracy on it are kept, else the last ones.
    """
    device, classes = choose_device(device), train.classes
    if isinstance(weighted, bool):
        weigh = class_weights(train.labels, len(classes)).to(device) if weighted else None
    else:
        weigh = torch.tensor(weighted, dtype=torch.float32, device=device)

    def make(dtype: torch.dtype) -> Trainer:
        model = build(name, len(classes), weights, seed).to(device)
        return Trainer(model, model.lr if lr is None else lr,
                       lambda logits, batch: F.cross_entropy(logits, batch["label"], weigh), dtype)

    losses, best, kept, chosen = [], -1.0, None, "the last kept"
    for trainer, loss in training(make, train.to(device), steps, batch_size, seed):
        losses.append(loss)
        if val is not None:
            found = predictions(val, probabilities_of(trainer.model, val))
            score = float(balanced_accuracy(confusion(found, classes)))
            if score > best:
                best, kept = score, copy.deepcopy(trainer.model.state_dict())
                chosen = f"look {len(losses)} of {min(steps, LOOKS)}, the best on the validation images"
    if kept is not None:
        trainer.model.load_state_dict(kept)
    return trainer.model.eval(), tuple(losses), (
        f"{trainer.model.about}; {steps} steps, {chosen}, learning rate {trainer.lr:g}, batch {batch_size}, "
        f"{str(trainer.dtype).removeprefix('torch.')}")


@torch.inference_mode()
def probabilities_of(
    model: Classifier,
    images: ImageSet,
    batch_size: int = 32,
) -> np.ndarray:
    """(N, K) float64 class probabilities, in float32 arithmetic."""
    device = next(model.parameters()).device
    parts = [model(part.to(device).float()).double().softmax(1).cpu() for part in images.images.split(batch_size)]
    return torch.cat(parts).numpy()
