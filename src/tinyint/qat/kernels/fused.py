"""Fused program steps, each with the arithmetic of one int8 kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tinyint.numbers.numerics import INT32
from tinyint.qat.arithmetic import along, bias_scale
from tinyint.qat.kernels.formulas import Elementwise, Grid, Mean, Product, Rounding, onto_product
from tinyint.qat.quantizers.activations import ActivationQuantizer
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.torch_graph.program import Step, StepFunction

__all__ = [
    "FusedElementwise",
    "FusedMean",
    "FusedProduct",
    "FusedRounding",
    "FusedStep",
    "FusedSum",
    "Operand",
]

_EXACT = 2.0**24  # whole numbers up to here are exact in float32, and so are sums that stay below

Values = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Coded:
    """Tensor as k = q - z in float32, with its grid.

    Of a weight, `grid.scale` may have one element a channel.
    """

    codes: Tensor
    grid: Grid


@dataclass(frozen=True, eq=False)
class Operand:
    """Operand of an int8 operator: quantized tensor, or constant on its own grid.

    * `name`: of the quantized tensor, or of the constant before it is quantized
    * `bias`, `input_scale`: what else the quantizer of a weight reads
    """

    name: str
    quantizer: ActivationQuantizer | WeightQuantizer
    bias: str | None = None
    input_scale: str | None = None

    def read(self, values: Values) -> Coded:
        value, qtype = values[self.name], self.quantizer.scheme.qtype
        if isinstance(self.quantizer, ActivationQuantizer):
            grid = Grid.of(*self.quantizer.current(), qtype)
            return Coded(torch.round(value / grid.scale), grid)
        others = (self.bias, self.input_scale) if self.bias and self.input_scale else ()
        given = value, *(values[name] for name in others)
        grid = Grid.of(*self.quantizer.current(*given), qtype)
        rounded, *_ = self.quantizer([*given])
        return Coded(torch.round(rounded / along(grid.scale, self.quantizer.scheme.axis, value.dim())), grid)


@dataclass(frozen=True, eq=False)
class FusedStep(ABC):
    """`steps`, as the runtime runs them: the function of one step.

    The gradient, if one is wanted, is that of `steps`.

    * `inputs`: names of the values that they read from outside, in the order in which they come
    * `out`: the quantizer at their end; None if they end in a float operator
    """

    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    out: ActivationQuantizer | None

    def __call__(self, inputs: list[Any]) -> tuple[Any, ...]:
        values = dict(zip(self.inputs, inputs, strict=True))
        with torch.no_grad(), torch.autocast(inputs[0].device.type, enabled=False):
            grid = None if self.out is None else Grid.of(*self.out.current(), self.out.scheme.qtype)
            result = self.compute(values, grid)
            exact = result if grid is None else result.mul_(grid.scale)
        if torch.is_grad_enabled():
            approximate = _run(self.steps, values)
            if approximate.requires_grad:
                exact = _Replaced.apply(approximate, exact)  # type: ignore[no-untyped-call]
        return (exact,) if grid is None else (exact, grid.scale)

    @abstractmethod
    def compute(self, values: Values, out: Grid | None) -> Tensor:
        """k of the kernel's result; a real number without a quantizer."""


@dataclass(frozen=True, eq=False)
class FusedProduct(FusedStep):
    """Conv, ConvTranspose, Gemm or MatMul with weight, bias and following quantizer.

    The quantizer, if there is one.

    * `function`: the operator
    * `bias`: the name of the one that is an input of the operator; that of a MatMul is added by another
    * `axes`: of the output channels: in the weight, None if it has no one such axis; and in the output
    """

    kernel: Product
    function: StepFunction
    x: Operand
    w: Operand
    bias: str | None
    axes: tuple[int | None, int]

    def compute(self, values: Values, out: Grid | None) -> Tensor:
        parts = self.accumulate(values)
        return self.kernel.real(*parts) if out is None else self.kernel.coded(*parts, out)

    def accumulate(self, values: Values) -> tuple[Tensor, Tensor | None, Tensor]:
        """The first arguments of the kernel."""
        x, w = self.x.read(values), self.w.read(values)
        codes = x.codes, w.codes
        if x.codes.device.type != "cpu" or not _is_exact(x.grid, w.codes, self.axes[0]):
            codes = x.codes.double(), w.codes.double()
        (total,) = self.function([*codes])
        step, bias = bias_scale(x.grid.scale, w.grid.scale), None
        if self.bias is not None:
            bias = torch.round(values[self.bias] / step).double().clamp(INT32.qmin, INT32.qmax)
            bias = along(bias, self.axes[1], total.dim())
        return total, bias, along(step, self.axes[1] if step.dim() else None, total.dim())


def _is_exact(x: Grid, weight: Tensor, axis: int | None) -> bool:
    """Whether no partial sum of the product can leave the whole numbers that float32 holds, in whatever order."""
    others = [i for i in range(weight.dim()) if axis is None or i != axis]
    above, below = weight.clamp_min(0.0).sum(others).double(), weight.clamp_max(0.0).sum(others).double()
    highest, lowest = x.highest - x.zero_point, x.lowest - x.zero_point
    return bool(
        torch.maximum(above * highest + below * lowest, -above * lowest - below * highest).amax() < _EXACT
    )


@dataclass(frozen=True, eq=False)
class FusedElementwise(FusedStep):
    """Add or Mul of two operands, with the quantizer after it."""

    kernel: Elementwise
    operands: tuple[Operand, ...]

    def compute(self, values: Values, out: Grid | None) -> Tensor:
        assert out is not None
        read = [operand.read(values) for operand in self.operands]
        return self.kernel([r.codes for r in read], [r.grid for r in read], out)


@dataclass(frozen=True, eq=False)
class FusedSum(FusedStep):
    """Add of a product and another operand, with the quantizer after it.

    A step of the product.
    """

    product: FusedProduct
    x: Operand

    def compute(self, values: Values, out: Grid | None) -> Tensor:
        assert out is not None
        assert self.product.out is not None
        made = Grid.of(*self.product.out.current(), self.product.out.scheme.qtype)
        x = self.x.read(values)
        return onto_product(self.product.accumulate(values), made, x.codes, x.grid, out)


@dataclass(frozen=True, eq=False)
class FusedMean(FusedStep):
    """Mean over positions, with the quantizer after it.

    * `count`: over how many; None: all that there are of a channel, or of what is reduced
    """

    kernel: Mean
    function: StepFunction
    x: Operand
    count: int | None

    def compute(self, values: Values, out: Grid | None) -> Tensor:
        assert out is not None
        x = self.x.read(values)
        (mean,) = self.function([x.codes.double()])
        return self.kernel(mean, self.count or x.codes.numel() // mean.numel(), x.grid, out)


@dataclass(frozen=True, eq=False)
class FusedRounding(FusedStep):
    """Any float32 tensor, with the quantizer after it."""

    kernel: Rounding

    def compute(self, values: Values, out: Grid | None) -> Tensor:
        assert out is not None
        *before, last = self.steps
        y = _run(before, values) if before else values[last.inputs[0] or ""]
        return self.kernel(y.float(), out)


def _run(steps: Sequence[Step], values: Values) -> Tensor:
    """The first output of the last step."""
    known = dict(values)
    for step in steps:
        results = step.function([None if name is None else known[name] for name in step.inputs])
        known.update(zip(step.outputs, results, strict=False))
    return known[steps[-1].outputs[0]]


class _Replaced(torch.autograd.Function):
    """The value of `exact`, with the gradient of `approximate`."""

    @staticmethod
    def forward(ctx: Any, approximate: Tensor, exact: Tensor) -> Tensor:  # noqa: ARG004
        return exact.view_as(exact)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return grad, None
