"""Which weights the kernels of x86 without VNNI add in pairs, and that weights which know them are added exactly.

The runtimes are held to older processors: all of them by `tests.masked` where that can be done, OpenVINO by
ONEDNN_MAX_CPU_ISA elsewhere. `benchmarks/processors.py` asks ONNX Runtime under qemu, too.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests import masked
from tests.processor import AVX512, NO_VNNI, X86
from tests.runtimes.facts.planted import KINDS, SIGNED, packings
from tinyint.runtimes.host import host
from tinyint.targets.packing import pairs_of

MASKED = pytest.mark.skipif(bool(masked.refusal()), reason=masked.refusal())
PLACES = [
    pytest.param("openvino", "AVX2", marks=X86, id="openvino-AVX2"),
    pytest.param("openvino", "AVX512", marks=AVX512, id="openvino-AVX512"),
    pytest.param("onnxruntime", "AVX2", marks=MASKED, id="onnxruntime-AVX2"),
    pytest.param("onnxruntime", "AVX512", marks=[MASKED, AVX512], id="onnxruntime-AVX512"),
    pytest.param("onnxruntime", "", marks=NO_VNNI, id="onnxruntime"),
]
AVX2_ALONE = pytest.mark.skipif(
    host().has_avx512 or not host().pair_sums_saturate,
    reason="a fact about processors without AVX-512 and VNNI, which others may not be held to",
)
EVERY = [*KINDS, *(pytest.param(name, marks=AVX2_ALONE) for name in SIGNED)]
ONEDNN = {"AVX2": "AVX2", "AVX512": "AVX512_CORE", "": "ALL"}


@cache
def found(runtime: str, isa: str) -> dict[str, dict]:
    environment = os.environ if masked.refusal() or not isa else masked.environment(isa)
    environment = environment | {"ONEDNN_MAX_CPU_ISA": ONEDNN[isa]}
    command = [sys.executable, "-m", "tests.runtimes.facts.planted", runtime]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, check=True)
    return json.loads(done.stdout)


def predicted(runtime: str, name: str) -> list[set[tuple[int, int]]]:
    kind = {**KINDS, **SIGNED}[name]
    kernel = kind.shape[2:] if kind.op.startswith("Conv") else ()
    inputs = kind.length // int(np.prod(kernel))
    every = pairs_of(packings(runtime, kind.op), inputs, kernel)
    return [{(int(a), int(b)) for a, b in pairs} for pairs in every]


@pytest.mark.parametrize(("runtime", "isa"), PLACES)
@pytest.mark.parametrize("name", EVERY)
def test_the_pairs_are_those_of_a_packing_that_the_target_names(runtime: str, isa: str, name: str) -> None:
    seen = {tuple(pair) for pair in found(runtime, isa)[name]["pairs"]}
    if runtime == "onnxruntime" and "deconv" in name:  # which it runs in float
        assert not seen
    elif (runtime, isa) == ("openvino", "AVX2") and name in ("conv 3x3, 1 input", "conv 5x5, 1 input"):
        assert not seen  # each position is padded to four inputs
    else:
        assert seen
        assert any(seen == pairs for pairs in predicted(runtime, name))


@pytest.mark.parametrize(("runtime", "isa"), PLACES)
def test_a_depthwise_kernel_adds_no_pairs(runtime: str, isa: str) -> None:
    assert found(runtime, isa)["depthwise conv"]["pairs"] == []


@pytest.mark.parametrize(("runtime", "isa"), PLACES)
@pytest.mark.parametrize("name", [*EVERY, "depthwise conv"])
def test_weights_that_know_their_pairs_are_added_exactly(runtime: str, isa: str, name: str) -> None:
    assert found(runtime, isa)[name]["off"] == 0.0
