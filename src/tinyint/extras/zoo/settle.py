"""Activations of a trained network for one without trained weights.

Random weights alone let activations die out or explode with depth, and 8 bits then measure nothing. So the weights are
drawn as by Kaiming He (arXiv:1502.01852) and every layer is then normalized over a few images: batch norms take their
statistics from one pass; layers with a bias, which no batch norm follows, are scaled and shifted to unit variance per
channel (the data-dependent initialization of Krähenbühl et al. 2016, arXiv:1511.06856).

Before a ReLU the mean is `OFFSET`, elsewhere zero. With a mean of zero everywhere a deep random network is chaotic:
each layer of normalization and ReLU multiplies the power of a small error, relative to the signal, by
π / (π - 1) = 1.47 (Yang et al. 2019, arXiv:1902.08129), in 28 layers by 45,000. With a mean of one standard
deviation it is 1.12 a layer, and the signal outlives the rounding errors of 8 bits.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from tinyint.extras.zoo.segmentation import Gain

__all__ = ["OFFSET", "settle"]

OFFSET = 1.0
"""Mean of what enters a ReLU, in standard deviations."""


def settle(model: nn.Module, *inputs: Tensor, seed: int = 0) -> nn.Module:
    """Draws the model's weights and normalizes its layers over `inputs`, in place.

    `inputs`: images (N, C, H, W), or a text network's ids, types and mask (N, length). Takes one pass. The result
    depends only on `seed`, `inputs` and the scales of batch norms, which stay. Returns the model in eval mode.
    """
    activated = {
        layer
        for block in model.modules()
        if isinstance(block, nn.Sequential)
        for layer, after in pairwise(block)
        if isinstance(after, nn.ReLU | nn.ReLU6 | nn.LeakyReLU)
    }
    _draw(model, torch.Generator().manual_seed(seed))
    model.eval()  # without dropout; only batch norms are set to training below
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None  # plain average, so after one pass the statistics are those of this pass
        nn.init.constant_(norm.bias, OFFSET if norm in activated else 0.0)
    hooks = [
        module.register_forward_hook(partial(_standardize, offset=OFFSET if module in activated else 0.0))
        for module in model.modules()
    ]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model.eval()


def _draw(model: nn.Module, generator: torch.Generator) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
        elif isinstance(module, Gain):
            nn.init.ones_(module.gain)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _standardize(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor, *, offset: float) -> Tensor:
    """Forward hook that rescales a layer with bias.

    Each channel of this output gets mean `offset` and variance 1.
    """
    if not isinstance(module, nn.Conv2d | nn.Linear) or module.bias is None:
        return output
    channels = 1 if isinstance(module, nn.Conv2d) else output.dim() - 1
    axes = [axis for axis in range(output.dim()) if axis != channels]
    variance, mean = torch.var_mean(output, axes, correction=0)
    gain = (variance + 1e-10).rsqrt()
    module.weight.mul_(gain.reshape(-1, *[1] * (module.weight.dim() - 1)))
    module.bias.sub_(mean).mul_(gain).add_(offset)
    shape = [-1 if axis == channels else 1 for axis in range(output.dim())]
    return (output - mean.reshape(shape)) * gain.reshape(shape) + offset
