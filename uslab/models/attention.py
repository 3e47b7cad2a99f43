"""Self-attention over the pixels of a feature map (Zhang 2019, SAGAN)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """x (B, C, H, W) to x + gamma * attention(x), the same shape; gamma is learned from 0 (SAGAN, equation 3).

    Query, key and value are 1x1 convolutions to C / 8 channels, a fourth one leads back to C (SAGAN, section 3). The
    map of H*W x H*W weights is never held in memory; `map` gives the row of one pixel.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 8)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, inner, 1, bias=False)
        self.out = nn.Conv2d(inner, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (pixels(layer(x)) for layer in (self.query, self.key, self.value))
        # SAGAN does not divide by the root of the dimension, as transformers do.
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)     # (B, 1, H*W, C/8)
        attended = attended.squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(attended)

    def map(
        self,
        x: Tensor,      # (B, C, H, W), what enters the module
        row: int,       # of the pixel that looks
        column: int,
    ) -> Tensor:
        """How much the pixel takes from every pixel, (B, H, W): each map sums to 1 (SAGAN, equation 1)."""
        similarity = torch.einsum("bc,bchw->bhw", self.query(x)[:, :, row, column], self.key(x)).float()
        return similarity.flatten(1).softmax(1).view_as(similarity)


def pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) to one attention head's tokens, (B, 1, H*W, C)."""
    # Only where a token's channels lie side by side can the map be left out; in channels_last they do already.
    return x.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()


@torch.inference_mode()
def attention_map(
    network: nn.Module,     # a network whose layers lie in .main, one of them SelfAttention
    inputs: Tensor,         # what the network takes: latents or images
    row: int,               # of a pixel on the attended grid
    column: int,
) -> Tensor:
    """Where that pixel looks, (B, H, W) on the attended grid; each map sums to 1. The network should be in eval mode.

    Raises ValueError for a network without attention.
    """
    for layer in network.main:
        if isinstance(layer, SelfAttention):
            return layer.map(inputs, row, column)
        inputs = layer(inputs)
    raise ValueError(f"this {type(network).__name__} has no self-attention: set Config.attention to 16, 32 or 64")
