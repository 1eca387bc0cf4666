from __future__ import annotations

import numpy as np
import pytest

from tinyint.runtimes.host import (
    Host,
    default_target_name,
    expected_gain,
    host,
    is_foreign,
    parse_cpuinfo,
    peak_rss_bytes,
)

XEON = """processor\t: 0
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu avx2 avx512f avx512bw avx512vl avx512_vnni amx_int8

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\nCPU implementer\t: 0x41\n"


def machine(kind: str, *features: str) -> Host:
    return Host(machine=kind, model="", cores=1, features=frozenset(features))


def test_cpuinfo_of_an_intel_processor() -> None:
    name, features = parse_cpuinfo(XEON)
    assert name == "Intel(R) Xeon(R) Processor"
    xeon = machine("x86_64", *features)
    assert (xeon.has_avx2, xeon.has_avx512, xeon.has_vnni, xeon.has_amx_int8) == (True, True, True, True)
    assert not xeon.has_dotprod


def test_cpuinfo_of_an_arm_processor() -> None:
    name, features = parse_cpuinfo(GRAVITON)
    arm = machine("arm64", *features)
    assert name == ""
    assert (arm.has_dotprod, arm.has_i8mm, arm.has_bfloat16, arm.has_vnni) == (True, True, True, False)


def test_cpuinfo_of_nothing() -> None:
    assert parse_cpuinfo("") == ("", frozenset())


@pytest.mark.parametrize(
    ("seen", "target", "gain"),
    [
        (machine("x86_64", "avx2", "avx512_vnni", "amx_int8"), "x86-vnni", "AMX"),
        (machine("x86_64", "avx2", "avx512_vnni"), "x86-vnni", "3 to 3.7 times"),
        (machine("x86_64", "avx2", "avx_vnni"), "x86-vnni", "3 to 3.7 times"),
        (machine("x86_64", "avx2", "avx512f"), "x86-avx2", "about 1.5 times"),
        (machine("x86_64", "sse4_2"), "generic", "unknown"),
        (machine("arm64", "asimddp"), "arm64", "SDOT"),
        (machine("arm64", "feat_dotprod"), "arm64", "SDOT"),
        (machine("arm64", "asimd"), "arm64", "little or no gain"),
        (machine("riscv64"), "generic", "unknown"),
    ],
)
def test_target_and_gain_follow_from_the_features(seen: Host, target: str, gain: str) -> None:
    assert default_target_name(seen) == target
    assert gain in expected_gain(seen)


@pytest.mark.parametrize(
    ("target", "on_x86", "on_arm"),
    [
        ("x86-vnni", False, True),
        ("x86-avx2", False, True),
        ("arm64", True, False),
        ("generic", False, False),
        ("tensorrt", False, False),
    ],
)
def test_a_target_of_another_family_is_foreign(target: str, on_x86: bool, on_arm: bool) -> None:
    assert is_foreign(target, machine("x86_64", "avx2")) == on_x86
    assert is_foreign(target, machine("arm64")) == on_arm


def test_this_machine_says_what_it_is() -> None:
    assert host().cores >= 1
    assert default_target_name() in ("x86-vnni", "x86-avx2", "arm64", "generic")


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_rss_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(before // 4, np.float64)  # twice the peak so far
    after = peak_rss_bytes()
    assert after is not None
    assert after >= held.nbytes > before
