"""What tests ask of the processor: the targets whose sums it adds exactly, and instruction sets that a test needs."""

import pytest

from tinyint.runtimes.host import host
from tinyint.targets import TARGETS, default_target, get_target

VNNI = pytest.mark.skipif(not host().has_vnni, reason="a fact about x86 processors with VNNI")
NO_VNNI = pytest.mark.skipif(
    not host().pair_sums_saturate, reason="a fact about ONNX Runtime on x86 without VNNI"
)
AVX512 = pytest.mark.skipif(not host().has_avx512, reason="a fact about processors with AVX-512")
X86 = pytest.mark.skipif(not host().is_x86, reason="a fact about x86 processors")
ARM = pytest.mark.skipif(not host().is_arm64, reason="a fact about 64-bit ARM processors")

ORT_TARGET, OPENVINO_TARGET = default_target().name, get_target("openvino").name
OWN = {ORT_TARGET: "onnxruntime", OPENVINO_TARGET: "openvino"}
"""The targets of this machine, with the runtime of each."""

EXACT = {
    name: target.runtime
    for name, target in TARGETS.items()
    if target.runtime in ("onnxruntime", "openvino")
    and target.cpu.family == host().machine
    and not target.cpu.saturates_on(host())
}
"""Every target that runs here as it is simulated."""
