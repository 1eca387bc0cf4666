"""LSTM, GRU and RNN, step by step, by the ONNX operator specification.

X is (time, batch, input), or (batch, time, input) with layout 1. W is (directions, gates · hidden, input).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.errors import ModelError
from tinyint.torch_graph.operators.node import Function, Maker, Node

__all__ = ["OPERATORS"]

Activation: TypeAlias = Callable[[Tensor], Tensor]
State: TypeAlias = tuple[Tensor, ...]


class _Cell:
    """Cell of one direction.

    Its methods map x_t · Wᵀ and a state to the next state, whose first entry is the output.
    """

    def __init__(self, node: Node, activations: list[Activation]) -> None:
        self.activations = activations
        self.clip = node.real("clip") if node.has("clip") else None
        self.after = bool(node.integer("linear_before_reset"))
        self.coupled = bool(node.integer("input_forget"))

    def clipped(self, x: Tensor) -> Tensor:
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def rnn(
        self, x: Tensor, state: State, r: Tensor, w_bias: Tensor, r_bias: Tensor, _: Tensor | None
    ) -> State:
        return (self.activations[0](self.clipped(x + w_bias + state[0] @ r.t() + r_bias)),)

    def gru(
        self, x: Tensor, state: State, r: Tensor, w_bias: Tensor, r_bias: Tensor, _: Tensor | None
    ) -> State:
        h = state[0]
        f, g = self.activations
        x_z, x_r, x_h = (x + w_bias).chunk(3, -1)
        r_z, r_r, r_h = r.chunk(3)
        b_z, b_r, b_h = r_bias.chunk(3)
        update = f(self.clipped(x_z + h @ r_z.t() + b_z))
        reset = f(self.clipped(x_r + h @ r_r.t() + b_r))
        hidden = reset * (h @ r_h.t() + b_h) if self.after else (reset * h) @ r_h.t() + b_h
        return ((1 - update) * g(self.clipped(x_h + hidden)) + update * h,)

    def lstm(
        self, x: Tensor, state: State, r: Tensor, w_bias: Tensor, r_bias: Tensor, peephole: Tensor | None
    ) -> State:
        h, c = state
        f, g, last = self.activations
        i_, o_, f_, c_ = (x + w_bias + h @ r.t() + r_bias).chunk(4, -1)
        p_i, p_o, p_f = (0.0, 0.0, 0.0) if peephole is None else peephole.chunk(3)
        take = f(self.clipped(i_ + p_i * c))
        keep = 1 - take if self.coupled else f(self.clipped(f_ + p_f * c))
        c = keep * c + take * g(self.clipped(c_))
        return f(self.clipped(o_ + p_o * c)) * last(c), c


_STEPS = {"RNN": _Cell.rnn, "GRU": _Cell.gru, "LSTM": _Cell.lstm}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def _activation(name: str, alpha: float | None, beta: float | None) -> Activation:
    a, b = alpha, beta
    table: dict[str, Activation] = {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softsign": functional.softsign,
        "softplus": functional.softplus,
        "affine": lambda x: (1.0 if a is None else a) * x + (0.0 if b is None else b),
        "leakyrelu": lambda x: functional.leaky_relu(x, 0.01 if a is None else a),
        "elu": lambda x: functional.elu(x, 1.0 if a is None else a),
        "thresholdedrelu": lambda x: torch.where(x > (1.0 if a is None else a), x, torch.zeros_like(x)),
        "scaledtanh": lambda x: (1.0 if a is None else a) * torch.tanh((1.0 if b is None else b) * x),
        "hardsigmoid": lambda x: torch.clamp((0.2 if a is None else a) * x + (0.5 if b is None else b), 0, 1),
    }
    if name.lower() not in table:
        raise ModelError(f"no recurrent operator has the activation {name!r}")
    return table[name.lower()]


def _cells(node: Node, kind: str, directions: int) -> list[_Cell]:
    names = node.texts("activations") or _DEFAULTS[kind] * directions
    alphas, betas = node.reals("activation_alpha") or [], node.reals("activation_beta") or []
    activations = []
    for i, name in enumerate(names):
        alpha = alphas[i] if i < len(alphas) else None
        activations.append(_activation(name, alpha, betas[i] if i < len(betas) else None))
    count = len(_DEFAULTS[kind])
    return [_Cell(node, activations[i * count : (i + 1) * count]) for i in range(directions)]


def _recurrent(kind: str) -> Maker:
    def make(node: Node) -> Function:
        direction, hidden = node.text("direction", "forward"), node.integer("hidden_size")
        directions = 2 if direction == "bidirectional" else 1
        cells, batch_first = _cells(node, kind, directions), bool(node.integer("layout"))
        states = 2 if kind == "LSTM" else 1

        def recurrent(
            x: Tensor,
            w: Tensor,
            r: Tensor,
            bias: Tensor | None = None,
            lengths: Tensor | None = None,
            *initial: Tensor | None,
        ) -> tuple[Tensor, ...]:
            x = x.transpose(0, 1) if batch_first else x
            optional = [*initial, *[None] * (3 - len(initial))]
            peepholes = optional[2] if states == 2 else None
            ends, outputs = [], []
            for d in range(directions):
                state = _initial(optional[:states], d, x.new_zeros(x.shape[1], hidden), batch_first)
                biases = (x.new_zeros(2 * w.shape[1]) if bias is None else bias[d]).chunk(2)
                peephole = None if peepholes is None else peepholes[d]
                step = partial(_step, kind, cells[d], r[d], biases, peephole)
                out, state = _run(x @ w[d].t(), state, step, lengths, direction == "reverse" or d == 1)
                outputs.append(out)
                ends.append(state)
            return _stacked(outputs, ends, batch_first)

        return recurrent

    return make


def _initial(states: Sequence[Tensor | None], direction: int, zero: Tensor, batch_first: bool) -> State:
    """Initial state of one direction; an omitted state is zero."""
    axis = 1 if batch_first else 0
    return tuple(zero if state is None else state.select(axis, direction) for state in states)


def _step(
    kind: str,
    cell: _Cell,
    r: Tensor,
    biases: Sequence[Tensor],
    peephole: Tensor | None,
    x: Tensor,
    now: State,
) -> State:
    return _STEPS[kind](cell, x, now, r, biases[0], biases[1], peephole)


def _stacked(outputs: Sequence[Tensor], ends: Sequence[State], batch_first: bool) -> tuple[Tensor, ...]:
    """Outputs and last states of all directions, with an axis of directions."""
    outputs = [out.transpose(0, 1) for out in outputs] if batch_first else outputs
    y = torch.stack(list(outputs), 2 if batch_first else 1)
    return (y, *(torch.stack(last, 1 if batch_first else 0) for last in zip(*ends, strict=True)))


def _run(
    x: Tensor, state: State, step: Callable[[Tensor, State], State], lengths: Tensor | None, backwards: bool
) -> tuple[Tensor, State]:
    """All outputs (time, batch, hidden) and the last state.

    Beyond a sequence's length, the outputs are zero and the state does not change.
    """
    times = range(x.shape[0])
    outputs = [state[0]] * x.shape[0]
    for t in reversed(times) if backwards else times:
        after = step(x[t], state)
        if lengths is None:
            state, outputs[t] = after, after[0]
            continue
        alive = (t < lengths)[:, None]
        state = tuple(torch.where(alive, new, old) for new, old in zip(after, state, strict=True))
        outputs[t] = torch.where(alive, after[0], torch.zeros_like(after[0]))
    return torch.stack(outputs), state


OPERATORS: dict[str, Maker] = {kind: _recurrent(kind) for kind in _STEPS}
