"""Train the denoiser of uslab.models.denoiser on phantoms, about a minute, and save its weights beside the module."""

import torch
from safetensors.torch import save_file

from uslab import phantom
from uslab.data.atomic import write_atomically
from uslab.data.slicer import View
from uslab.data.slices import Slices
from uslab.models import denoiser

if __name__ == "__main__":
    frames = phantom.load("eus", 60, 256, seed=100).images[:, :, 79:177]
    planes = Slices.find({"ct": phantom.abdomen(100)}, "liver", 40, View(98, 256), seed=0).images().images
    images = torch.cat([frames, planes])
    network, losses = denoiser.train(images, seed=0)
    write_atomically(denoiser.WEIGHTS, lambda part: save_file(network.state_dict(), part))
    clean = images[::10].float() / 127.5 - 1
    noisy = clean + 10 / 127.5 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    for name, result in (("noisy", noisy), ("denoised", network(noisy)), ("clean, denoised", network(clean))):
        print(f"{name}: {127.5 * (result - clean).square().mean().sqrt():.2f} grey levels off")
