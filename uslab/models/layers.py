"""Layers that more than one paper's networks use."""

from torch import Tensor, nn


class Residual(nn.Module):
    """x + F(x), two 3x3 convolutions with reflection padding and InstanceNorm (Johnson 2016, as pix2pix has it)."""

    def __init__(self, width: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def init_weights(network: nn.Module, std: float) -> None:
    """Convolutions N(0, std), biases 0 (the code of CycleGAN and pix2pix); InstanceNorm has no weights here."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, std)
            nn.init.zeros_(module.bias)
