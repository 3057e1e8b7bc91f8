"""Networks of torchvision and timm with random weights and statistics, for tests that compare with them."""

import contextlib
import sys

import numpy as np


def torchvision_models():
    """Import `torchvision.models`, also where PyTorch is a CPU build and torchvision is PyPI's, made for CUDA.

    Its compiled operators can't load there and its import ends at the first that it describes. No network here uses
    them, so a declaration is enough.
    """
    try:
        import torchvision
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        torchvision_models.library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            torchvision_models.library.define(f"{operator}(Tensor boxes) -> Tensor")
        import torchvision
    return torchvision.models


@contextlib.contextmanager
def one_thread():
    """Let PyTorch compute with one thread: with more it waits longer than it computes on so little."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def make(name: str, size: int = 64):
    """Return a network of torchvision or timm in inference mode.

    Its running statistics are near those of noise, so that what an image changes reaches the logits.
    """
    import torch
    from torch import nn

    models = torchvision_models()
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    if name.startswith("ghostnet"):
        import timm

        network = timm.create_model(name)
    else:
        network = getattr(models, name)()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad(), one_thread():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.normal_(0, 0.3, generator=generator)
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 0.05, generator=generator)
                module.bias.normal_(0, 0.05, generator=generator)
        contrast = 2 * torch.rand(4, 3, 1, 1, generator=generator)
        network.train()(contrast * torch.randn(4, 3, size, size, generator=generator))
        for norm in norms:
            for statistic in (norm.running_mean, norm.running_var):
                statistic.mul_(torch.empty_like(statistic).uniform_(0.8, 1.2, generator=generator))
    return network.eval()


def logits(network, images: np.ndarray) -> np.ndarray:
    """Return a network's outputs for images of shape (count, height, width, 3)."""
    import torch

    with torch.no_grad(), one_thread():
        return network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
