"""Processors: which target is for which, and what is said of one on another."""

import pytest

from tests.models import transformer
from tinyint import api
from tinyint.errors import TargetError
from tinyint.runtimes.host import Host
from tinyint.targets import TARGETS, default_target, get_target


def machine(kind: str, *features: str) -> Host:
    return Host(machine=kind, model="", cores=1, features=frozenset(features))


AVX2 = machine("x86_64", "avx2")
AVX512 = machine("x86_64", "avx2", "avx512f", "avx512bw", "avx512vl")
VNNI = machine("x86_64", "avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni")
AVX_VNNI = machine("x86_64", "avx2", "avx_vnni")
AMX = machine("x86_64", "avx2", "avx512_vnni", "amx_int8")
SSE = machine("x86_64", "sse4_2")
ARM = machine("arm64", "asimddp")


@pytest.mark.parametrize(
    ("seen", "target"),
    [
        (AVX2, "x86-avx2"),
        (AVX512, "x86-avx2"),
        (VNNI, "x86-vnni"),
        (AVX_VNNI, "x86-vnni"),
        (AMX, "x86-vnni"),
        (SSE, "generic"),
        (ARM, "arm64"),
        (machine("riscv64"), "generic"),
    ],
)
def test_the_default_target_follows_from_the_features(seen, target):
    assert default_target(seen).name == get_target(None, seen).name == target


@pytest.mark.parametrize(
    ("seen", "target"), [(AVX2, "openvino-avx2"), (AVX512, "openvino-avx2"), (VNNI, "openvino")]
)
def test_openvino_is_the_machine_that_it_is_said_on(seen, target):
    assert get_target("openvino", seen).name == target
    assert get_target("openvino-vnni", seen).name == "openvino"
    assert get_target("openvino-avx2", seen).name == "openvino-avx2"


def test_openvino_on_arm_is_the_one_without_a_limit():
    assert get_target("openvino", ARM).name == "openvino"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(TargetError, match="'openvino-avx'; did you mean 'openvino-avx2'"):
        get_target("openvino-avx")


@pytest.mark.parametrize(
    ("target", "on_x86", "on_arm"),
    [
        ("x86-vnni", True, False),
        ("x86-avx2", True, False),
        ("openvino", True, False),
        ("openvino-avx2", True, False),
        ("arm64", False, True),
        ("generic", True, True),
        ("tensorrt", True, True),  # its runtime knows
    ],
)
def test_a_target_runs_on_its_family(target, on_x86, on_arm):
    cpu = TARGETS[target].cpu
    assert (cpu.runs_on(AVX2), cpu.runs_on(ARM)) == (on_x86, on_arm)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_not_made_for_avx2_saturates_there(target):
    saturates = target in ("x86-vnni", "openvino", "generic")
    cpu = TARGETS[target].cpu
    assert cpu.saturates_on(AVX2) == cpu.saturates_on(AVX512) == saturates
    assert not any(cpu.saturates_on(seen) for seen in (VNNI, AVX_VNNI, AMX, ARM))


def test_inspect_plans_for_the_target_that_is_named_whatever_the_machine(monkeypatch):
    monkeypatch.setattr("tinyint.targets.host", lambda: AVX2)
    for name, planned in (("openvino-vnni", "openvino"), ("openvino", "openvino-avx2")):
        (found,) = api.inspect(transformer(), target=name).plans
        in_float = "MatMul of two activations" in TARGETS[planned].left_float
        assert found.target == planned
        assert any("saturates without VNNI" in node.reason for node in found.float_nodes) == in_float
