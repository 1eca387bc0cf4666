"""Activations of untrained networks after settling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinyint.extras.zoo import mobilenet_v2, natural_images, settle
from tinyint.extras.zoo.blocks import ConvNorm, ConvReLU
from tinyint.extras.zoo.settle import OFFSET


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(natural_images(8, size=32, seed=3))


def chain(block: type[ConvNorm] | type[ConvReLU], depth: int = 12) -> nn.Sequential:
    layers = [block(3 if index == 0 else 8, 8, 3) for index in range(depth)]
    return nn.Sequential(*layers, nn.Dropout(0.5))


@pytest.mark.parametrize("block", [ConvNorm, ConvReLU])
def test_deep_chain_keeps_its_scale(block: type[ConvNorm] | type[ConvReLU], images: Tensor) -> None:
    model = settle(chain(block), images)
    with torch.no_grad():
        layers = list(model)[:-1]
        x = images
        for layer in layers:
            *linear, activation = layer
            for part in linear:
                x = part(x)
            per_channel = x.transpose(0, 1).flatten(1)
            torch.testing.assert_close(per_channel.mean(1), torch.full((8,), OFFSET), atol=2e-3, rtol=0)
            torch.testing.assert_close(per_channel.std(1), torch.ones(8), atol=5e-3, rtol=0)
            x = activation(x)


def test_what_the_pass_computes_is_what_the_layer_computes_afterwards() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    x = torch.tensor([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0], [0.0, 5.0, 1.0]])
    settle(model, x)
    out = model(x)
    torch.testing.assert_close(out.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_seed_decides_and_modes_are_restored(images: Tensor) -> None:
    first, same, other = (settle(mobilenet_v2(width=0.25), images, seed=seed) for seed in (1, 1, 2))
    with torch.no_grad():
        assert torch.equal(first(images), same(images))
        assert not torch.equal(first(images), other(images))
    assert not any(module.training for module in first.modules())
    assert first.stem.norm.momentum == 0.1
    assert not any(module._forward_hooks for module in first.modules())


def test_small_error_stays_small_through_many_layers(images: Tensor) -> None:
    """With a mean of zero before each ReLU, the share of the error in the variance grows 200 to 500 times here."""
    model = settle(chain(ConvNorm, depth=16), images)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out, disturbed = model(images), model(images + 0.01 * noise)
        share_in = 1e-4 / images.var()
        share_out = (disturbed - out).var() / out.var()
    assert share_out < 40 * share_in


def test_logits_tell_images_apart(images: Tensor) -> None:
    with torch.no_grad():
        best = settle(mobilenet_v2(width=0.25), images)(images).argmax(1)
    assert best.unique().numel() >= 6


def test_natural_images_are_pink_and_independent_of_the_count() -> None:
    few, many = natural_images(2, size=64, seed=5), natural_images(4, size=64, seed=5)
    assert few.dtype == np.float32
    assert few.shape == (2, 3, 64, 64)
    assert np.array_equal(few, many[:2])
    assert not np.array_equal(few, natural_images(2, size=64, seed=6))
    neighbours = np.corrcoef(many[..., :-1].ravel(), many[..., 1:].ravel())[0, 1]
    channels = np.corrcoef(many[:, 0].ravel(), many[:, 1].ravel())[0, 1]
    assert neighbours > 0.8  # white noise: 0
    assert channels > 0.5
