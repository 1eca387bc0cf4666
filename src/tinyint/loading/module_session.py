"""Torch module as a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tinyint.loading.module_call import Call
from tinyint.numbers.numerics import Array
from tinyint.runtimes import TensorSpec, check_feeds
from tinyint.runtimes.base import Feeds, Precision

__all__ = ["ModuleSession"]


class ModuleSession:
    """Session of a torch module; see `runtimes.Session`.

    `forward` computes named outputs from named inputs with the module's weights. It runs in eval mode, without
    gradients, on the device of the weights; the module's own mode does not change.
    """

    precision: Precision = "float32"

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[str],
        forward: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._module = module
        self._forward = forward

    @classmethod
    def of(cls, module: nn.Module, example_inputs: Any) -> ModuleSession:
        """Session with the names of inputs and outputs that `tinyint.load` gives.

        Raises ModelError as it does.
        """
        call = Call.of(module, example_inputs)
        with _evaluating(module):
            outputs = call.value_names(call.run(call.tensors))
        axes = call.batch_axes()
        inputs = [
            TensorSpec(
                name=name,
                dtype=tensor.detach().cpu().numpy().dtype,
                shape=tuple(None if i in axes.get(name, {}) else n for i, n in enumerate(tensor.shape)),
            )
            for name, tensor in zip(call.names, call.tensors, strict=True)
        ]

        def forward(feeds: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            result = call.run([feeds[name] for name in call.names])
            return dict(zip(call.value_names(result), result.tensors, strict=True))

        return cls(module, inputs, outputs, forward)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        parameter = next(self._module.parameters(), None)
        device = None if parameter is None else parameter.device
        tensors = {name: torch.as_tensor(array, device=device) for name, array in feeds.items()}
        with _evaluating(self._module):
            outputs = self._forward(tensors)
        return {name: tensor.cpu().numpy() for name, tensor in outputs.items()}

    run_transient = run


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training
