"""Sessions of OpenVINO, over its compiled models."""

from __future__ import annotations

import threading
from collections import deque
from math import prod
from typing import Any

import numpy as np

from tinyint.errors import ModelError
from tinyint.runtimes.base import Array, Feeds, Precision, TensorSpec, check_feeds

__all__ = ["OpenVINOSession", "reason", "spec_of"]

_LARGE = 2**18
"""Bytes of outputs from which a new tensor costs less than a copy."""


class OpenVINOSession:
    """Compiled model; see `runtimes.base.Session`.

    A request holds the inputs and outputs of one call, so two threads never share one. It reads the caller's arrays in
    their place, unless an output is an input: then the next call would write into them. Small outputs of `run` are
    copies. Of large ones of known shape, the request hands over its tensors, and gets new ones for the next call.
    """

    def __init__(
        self,
        compiled: Any,
        names: tuple[tuple[str, ...], tuple[str, ...]],
        precision: Precision,
        *,
        label: str,
        tensor: Any,
    ) -> None:
        self._compiled = compiled
        self._tensor = tensor
        self._idle: deque[Any] = deque([compiled.create_infer_request()])
        self._own = threading.local()
        self._shares_inputs = not _hands_on_inputs(compiled)
        self._label = label
        self.inputs = tuple(spec_of(*pair) for pair in zip(names[0], compiled.inputs, strict=True))
        self.outputs = names[1]
        self.precision = precision
        # OpenVINO copies into a tensor whose shape it learns as it runs.
        shapes = [port.get_partial_shape() for port in compiled.outputs]
        self._forms = (
            [(port.get_element_type(), list(port.get_shape())) for port in compiled.outputs]
            if self._shares_inputs and all(shape.is_static for shape in shapes)
            else []
        )
        self._hands_over = sum(form.get_size() * prod(shape) for form, shape in self._forms) >= _LARGE

    def run(self, feeds: Feeds) -> dict[str, Array]:
        try:
            request = self._idle.pop()
        except IndexError:  # all are in use
            request = self._compiled.create_infer_request()
        try:
            if self._hands_over:
                for place, form in enumerate(self._forms):
                    request.set_output_tensor(place, self._tensor(*form))
            return self._infer(request, feeds, share_outputs=self._hands_over)
        finally:
            self._idle.append(request)

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        """Runs the model into the runtime's own output memory, which is not copied."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        return self._infer(self._own.request, feeds, share_outputs=True)

    def profile(self, feeds: Feeds) -> list[tuple[str, float]]:
        """Milliseconds of each node in one run, by its own name.

        The model was compiled for profiling.
        """
        request = self._compiled.create_infer_request()
        self._infer(request, feeds, share_outputs=True)
        return [
            (row.node_name, row.real_time.total_seconds() * 1e3)
            for row in request.get_profiling_info()
            if row.status.name == "EXECUTED"
        ]

    def _infer(self, request: Any, feeds: Feeds, *, share_outputs: bool) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        arrays = {place: feeds[spec.name] for place, spec in enumerate(self.inputs)}
        try:
            results = request.infer(arrays, share_inputs=self._shares_inputs, share_outputs=share_outputs)
        except RuntimeError as error:
            raise ModelError(f"{self._label}: openvino failed to run it: {reason(error)}") from error
        return dict(zip(self.outputs, results.to_tuple(), strict=True))


def reason(error: Exception) -> str:
    """Message of an error, without the places in OpenVINO's source code."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [
        line for line in lines if line and not line.startswith(("Exception from", "Check '", "FrontEnd API"))
    ]
    return " ".join(reasons) or "no reason given"


def spec_of(name: str, port: Any) -> TensorSpec:
    """Specification of an input of OpenVINO's."""
    dims = port.get_partial_shape()
    shape = tuple(None if dim.is_dynamic else dim.get_length() for dim in dims)
    return TensorSpec(name=name, dtype=np.dtype(port.get_element_type().to_dtype()), shape=shape)


def _hands_on_inputs(compiled: Any) -> bool:
    """Whether an output of the model as it runs is one of its inputs."""
    results = compiled.get_runtime_model().get_results()
    return any(result.input_value(0).get_node().get_type_name() == "Parameter" for result in results)
