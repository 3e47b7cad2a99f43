"""segment: a U-Net trained on images and masks, and Dice of each structure on the test images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..data import ImageSet
from ..data.device import choose_device
from .fit import Trainer, training
from .mix import SYNTHETIC, join
from .result import jackknife
from .splits import group_labels, guard


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Masks that a U-Net found in the test images, and how they agree with the true ones."""

    about: str                     # network and training, in words
    masks: Tensor                  # (N, 1, H, W) uint8, predicted
    dice: pd.DataFrame             # one row an image: file, group, and a column a structure; nan where there is nothing
    mean_mask: pd.DataFrame        # the same for one mask that is given to every image, see segment()
    model: nn.Module               # from float (B, 1, H, W), 0 to 255, to logits (B, structures, H, W)
    losses: tuple[float, ...]      # mean training loss of each twentieth of the steps

    @property
    def table(self) -> pd.DataFrame:
        """One row a structure: mean Dice over images, its 95 % interval over patients, that of the mean mask, counts.

        The interval is the delete-one-patient jackknife; with fewer than 8 patients there is none. `images` counts
        those that have the structure or are said to.
        """
        rows = {}
        for name in self.dice.columns[2:]:
            values = self.dice[["group", name]].dropna()
            sums = values.groupby("group")[name].agg(["sum", "count"]).to_numpy()
            low, high = jackknife(lambda x: x[..., 0] / x[..., 1], sums) if len(sums) else (np.nan, np.nan)
            rows[name] = (values[name].mean(), low, high, self.mean_mask[name].mean(), len(values), len(sums))
        return pd.DataFrame.from_dict(rows, "index", columns=["Dice", "low", "high", "Dice of the mean mask", "images",
                                                              "patients"]).rename_axis("structure")

    def __str__(self) -> str:
        return f"{self.about}\n{self.table.round(3).to_string()}"


def segment(
    train: ImageSet, test: ImageSet, *, synthetic: ImageSet | None = None, steps: int = 300, lr: float = 3e-3,
    batch_size: int = 8, seed: int = 0, device: str = "auto",
) -> Segmentation:
    """Train MONAI's U-Net (16, 32, 64, 128 channels; Dice plus cross-entropy) and measure Dice on the test images.

    The mean mask stands beside every result: of each structure the places where at least half as many training masks
    have it as at its most frequent place, the same for all images. Raises ValueError for sets without masks or with
    other structures, for test images that were seen in training, and for sides that are no multiples of 8.

    Args:
        train: Images with masks, sides multiples of 8.
        test: Of other patients, or synthetic ones with the masks that the GAN was given.
        synthetic: With masks; all of them are added to train.
        steps: Updates: the same for all trainings that are compared, whatever is added.
        lr: Adam's learning rate.
        batch_size: Images a step.
        seed: Of the initial weights and the batches.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
    """
    for name, images in (("train", train), ("test", test), ("synthetic", synthetic)):
        if images is not None and (images.masks is None or images.mask_names != train.mask_names):
            raise ValueError(f"{name} has the structures {images.mask_names or 'none'}, expected {train.mask_names}")
    if any(side % 8 for side in train.images.shape[2:]):
        raise ValueError(f"images of {tuple(train.images.shape[2:])} pixels: the U-Net needs sides "
                         "that are multiples of 8")
    guard(test, train)
    if synthetic is not None:
        guard(test, synthetic)
        train = join(train, synthetic)
    device = choose_device(device)

    def make(dtype: torch.dtype) -> Trainer:
        from monai.losses import DiceCELoss  # MONAI takes seconds to import

        torch.manual_seed(seed)
        loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
        network = UNet(len(train.mask_names)).float().to(device)
        return Trainer(network, lr, lambda out, batch: loss(out, batch["mask"]), dtype)

    trainers, losses = zip(*training(make, train.to(device), steps, batch_size, seed))
    trainer = trainers[-1]
    with torch.inference_mode():
        found = torch.cat([trainer.model(part.to(device).float()).argmax(1, keepdim=True).byte().cpu()
                           for part in test.images.split(32)])
    made = int(np.sum(train.table.get(SYNTHETIC, False)))
    about = (f"U-Net from random weights; {steps} steps, learning rate {lr:g}, batch {batch_size}, "
             f"{str(trainer.dtype).removeprefix('torch.')}; trained on {len(train) - made} real and {made} synthetic "
             "images")
    return Segmentation(about, found, rows(test, found), rows(test, mean_mask(train)), trainer.model, losses)


class UNet(nn.Module):
    """MONAI's U-Net on grey levels (B, 1, H, W), float 0 to 255, to logits (B, structures, H, W)."""

    def __init__(self, structures: int):
        from monai.networks.nets import UNet as Monai

        super().__init__()
        self.net = Monai(spatial_dims=2, in_channels=1, out_channels=structures, channels=(16, 32, 64, 128),
                         strides=(2, 2, 2), num_res_units=1, norm="instance")

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images / 127.5 - 1)


def dice(
    truth: Tensor,        # (N, 1, H, W) uint8
    found: Tensor,        # (N, 1, H, W) uint8, or (1, 1, H, W) for the same mask in all
    structures: int,      # number of values, with the background 0
) -> np.ndarray:
    """(N, structures - 1) Dice 2 |A and B| / (|A| + |B|) of each structure; nan where neither mask has it.

    A structure that is found where there is none counts 0.
    """
    values = torch.arange(1, structures).view(1, -1, 1, 1)
    a, b = (masks.cpu() == values for masks in (truth, found))
    size = a.sum((2, 3)) + b.sum((2, 3))
    return torch.where(size > 0, 2 * (a & b).sum((2, 3)) / size.clamp(min=1), torch.nan).double().numpy()


def mean_mask(train: ImageSet) -> Tensor:
    """(1, 1, H, W) uint8: one mask for all images, see segment()."""
    result = torch.zeros_like(train.masks[:1]).cpu()
    for value in range(1, len(train.mask_names)):   # a later structure lies within an earlier one, if at all
        share = (train.masks == value).float().mean(0, keepdim=True).cpu()
        result[(share >= share.max() / 2) & (share > 0)] = value
    return result


def rows(test: ImageSet, found: Tensor) -> pd.DataFrame:
    names = test.mask_names[1:]
    values = dice(test.masks, found, len(names) + 1)
    return pd.DataFrame({"file": test.table.file.to_numpy(),
                         "group": group_labels(test),
                         **{name: values[:, i] for i, name in enumerate(names)}})
