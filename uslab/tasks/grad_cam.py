"""Grad-CAM: where in an image a classifier sees a class (Selvaraju 2017), by MONAI."""

import torch
from torch import Tensor, nn

from ..data import ImageSet
from ..score import Score, mean


def grad_cam(model: nn.Module, images: ImageSet | Tensor, label: int | Tensor, layer: str | None = None) -> Tensor:
    """Maps (N, 1, H, W) float32 on the CPU, 0 to 1 in each image, 1 where the class is seen most.

    A map is black where no activation speaks for the class. MONAI's own scaling puts 0 where the activation is highest,
    so it is not used. Raises ValueError for a network without the layer.

    Args:
        model: Result.model, or any network from float (B, 1, H, W), 0 to 255, to logits (B, K).
        images: (N, 1, H, W) uint8.
        label: The class asked about, for all images or (N,).
        layer: Dotted name of the layer whose activations count; None: model.layer.
    """
    from monai.visualize import GradCAM  # MONAI takes seconds to import

    images = images.images if isinstance(images, ImageSet) else images
    layer = layer or getattr(model, "layer", None)
    if layer not in dict(model.named_modules()):
        raise ValueError(f"the network has no layer {layer!r}: name its last convolution, such as 'net.features.28'")
    labels = torch.as_tensor(label).cpu().expand(len(images))
    device = next(model.parameters()).device
    cam = GradCAM(model.eval(), layer, postprocessing=unscaled)
    maps = torch.zeros(len(images), 1, *images.shape[2:])
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)   # the gradients of the weights are not needed: without them it is much faster
    try:
        with torch.enable_grad():
            for value in labels.unique().tolist():
                for rows in (labels == value).nonzero()[:, 0].split(16):
                    part = images[rows.to(images.device)].to(device).float().requires_grad_()
                    maps[rows] = cam(part, class_idx=value).cpu()
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
    highest = maps.amax((2, 3), keepdim=True)
    return torch.where(highest > 0, maps / highest, 0.0)


def unscaled(activation: Tensor) -> Tensor:
    return activation.detach()


def heat_share(maps: Tensor, organ: Tensor, fan: Tensor) -> tuple[Score, Score]:
    """Share of the heat within the fan that lies on the organ, and the organ's share of the fan: heat spread evenly.

    What Grimwood 2021 shows in figure 3, as two numbers from 0 to 1: means over the images that show the organ and have
    heat, nan where none does.

    Args:
        maps: (N, 1, H, W) float, 0 to 1: of grad_cam.
        organ: (N, 1, H, W) bool: where it is.
        fan: (N, 1, H, W) bool: the field of view.
    """
    heat, area, on = (maps * fan).sum((1, 2, 3)), fan.sum((1, 2, 3)), organ & fan
    shown = (heat > 0) & on.any(3).any(2)[:, 0]
    shares = (maps * on).sum((1, 2, 3)) / heat, on.sum((1, 2, 3)) / area
    return tuple(mean(name, share[shown].double().numpy(), "images, as if they were independent")
                 for name, share in zip(("heat on the organ", "heat on the organ, spread evenly"), shares))
