"""Activations of signed and of unsigned codes."""

from __future__ import annotations

import pytest

from tests.processor import X86
from tests.runtimes.facts.probes import BOTH, OPENVINO, ORT, error_in_lsb, in_int8
from tests.runtimes.graphs import Graph
from tinyint.runtimes.base import Runtime

pytestmark = X86


def pair(dtype: str, zero_point: int) -> bytes:
    """One activation into two convolutions."""
    g = Graph(1, 16, 8, 8)
    x = g.quantized("x", zero_point=zero_point, dtype=dtype)
    return g.model(
        *(g.quantized(g.conv(x, name, 16, 16), zero_point=zero_point, dtype=dtype) for name in ("a", "b"))
    )


class TestSignedness:
    @pytest.mark.parametrize("runtime", BOTH)
    def test_an_unsigned_activation_reaches_two_convolutions_in_int8(self, runtime: Runtime) -> None:
        model = pair("uint8", 128)
        assert in_int8(runtime, model, ["a", "b"]) == ["a", "b"]
        assert error_in_lsb(runtime, model) <= 1.01

    def test_a_signed_activation_of_two_readers_leaves_onnxruntime_in_float(self) -> None:
        assert in_int8(ORT, pair("int8", 0), ["a", "b"]) == []

    def test_openvino_takes_it(self) -> None:
        model = pair("int8", 0)
        assert in_int8(OPENVINO, model, ["a", "b"]) == ["a", "b"]
        assert error_in_lsb(OPENVINO, model) <= 1.01
