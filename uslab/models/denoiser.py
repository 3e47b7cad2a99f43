"""DnCNN (Zhang 2017): a small network that removes Gaussian noise, trained once; a CycleGAN keeps it frozen."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("denoiser.safetensors")   # of tools/train_denoiser.py
NOISE = 20.0        # grey levels: standard deviations of 0 to so much are removed without being told which


class DnCNN(nn.Module):
    """Images (B, 1, H, W) in [-1, 1] to the same without Gaussian noise: the layers estimate the noise (section III).

    Zhang 2017 uses 17 layers of 64 channels; 6 of 16 are enough for noise of a few grey levels and cost little beside
    a generator. The last layer begins at 0, so an untrained network changes nothing.
    """

    def __init__(
        self,
        layers: int = 6,     # convolutions; Zhang: 17
        width: int = 16,     # channels; Zhang: 64
    ):
        super().__init__()
        middle = [part for _ in range(layers - 2)
                  for part in (nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True))]
        self.main = nn.Sequential(nn.Conv2d(1, width, 3, 1, 1), nn.ReLU(True), *middle,
                                  nn.Conv2d(width, 1, 3, 1, 1, bias=False))
        nn.init.zeros_(self.main[-1].weight)

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy - self.main(noisy)


def pretrained() -> DnCNN:
    """The denoiser whose weights lie beside this file, frozen and in eval mode."""
    from safetensors.torch import load_file

    network = DnCNN()
    network.load_state_dict(load_file(WEIGHTS))
    return network.float().eval().requires_grad_(False)


def train(
    images: Tensor,          # (N, 1, H, W) uint8, H and W at least `patch`
    steps: int = 600,        # updates
    batch: int = 64,         # patches an update; Zhang: 128
    patch: int = 40,         # side of a patch, pixels (section IV-A)
    lr: float = 3e-3,        # of Adam, falling to 0 on a half cosine
    seed: int = 0,
) -> tuple[DnCNN, Tensor]:
    """A denoiser for images like these and the loss of every step (steps,): the mean square error, equation 1."""
    torch.manual_seed(seed)
    network = DnCNN()
    optimiser = torch.optim.Adam(network.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = torch.empty(steps)
    n, _, height, width = images.shape
    for step in range(steps):
        numbers = torch.randint(n, (batch,)).tolist()
        tops = torch.randint(height - patch + 1, (batch,)).tolist()
        lefts = torch.randint(width - patch + 1, (batch,)).tolist()
        clean = torch.stack([images[i, :, y:y + patch, x:x + patch] for i, y, x in zip(numbers, tops, lefts)])
        clean = clean.float() / 127.5 - 1
        level = NOISE / 127.5 * torch.rand(batch, 1, 1, 1)
        loss = F.mse_loss(network(clean + level * torch.randn_like(clean)), clean)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses[step] = loss.detach()
    return network.eval().requires_grad_(False), losses
