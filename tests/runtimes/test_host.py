from __future__ import annotations

import platform
import struct
import sys

import numpy as np
import pytest

from tinyint.runtimes import host as module
from tinyint.runtimes.host import (
    Host,
    expected_gain,
    host,
    parse_auxv,
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


def test_an_arm_processor_tells_its_part() -> None:
    assert parse_cpuinfo(GRAVITON + "CPU part\t: 0xd0c\n")[0] == "part 0xd0c of implementer 0x41"


def test_the_auxiliary_vector_of_an_arm_processor() -> None:
    def vector(*entries: int) -> bytes:
        return struct.pack(f"{len(entries)}Q", *entries)

    assert parse_auxv(vector(6, 4096, 16, 1 << 20 | 1 << 1, 26, 1 << 13, 0, 0)) == {
        "asimd",
        "asimddp",
        "i8mm",
    }
    assert parse_auxv(vector(16, 1 << 1, 26, 1 << 14, 0, 0)) == {"asimd", "bf16"}
    assert parse_auxv(vector(16, 1 << 1)[:-1]) == parse_auxv(b"") == set()


@pytest.mark.parametrize(("cpuinfo", "model"), [(GRAVITON, "an ARM"), (XEON, "emulated")])
def test_an_emulated_arm_processor_is_not_taken_for_the_one_below(
    monkeypatch: pytest.MonkeyPatch, cpuinfo: str, model: str
) -> None:
    files = {"/proc/cpuinfo": cpuinfo.encode(), "/proc/self/auxv": struct.pack("4Q", 16, 1 << 20, 0, 0)}
    monkeypatch.setattr(module, "_read", files.__getitem__)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(platform, "processor", lambda: "an ARM")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("TINYINT_CPU_FEATURES", raising=False)
    found = host.__wrapped__()
    assert (found.machine, found.model, found.features) == ("arm64", model, {"asimddp"})


@pytest.mark.parametrize(
    ("seen", "label"),
    [
        (machine("x86_64", "avx2", "avx512_vnni", "amx_int8"), "x86_64 (AMX, VNNI)"),
        (machine("x86_64", "avx2", "avx512f", "avx512bw", "avx512vl"), "x86_64 (AVX-512 without VNNI)"),
        (machine("x86_64", "avx2"), "x86_64 (AVX2 without VNNI)"),
        (machine("arm64", "asimddp"), "arm64 (8-bit dot products)"),
        (machine("arm64", "asimd"), "arm64 (no int8 instructions)"),
    ],
)
def test_a_label_says_what_adds_8_bit_products(seen: Host, label: str) -> None:
    assert seen.label == label


def test_cpuinfo_of_nothing() -> None:
    assert parse_cpuinfo("") == ("", frozenset())


@pytest.mark.parametrize(
    ("seen", "gain"),
    [
        (machine("x86_64", "avx2", "avx512_vnni", "amx_int8"), "AMX"),
        (machine("x86_64", "avx2", "avx512_vnni"), "3 to 3.7 times"),
        (machine("x86_64", "avx2", "avx_vnni"), "3 to 3.7 times"),
        (machine("x86_64", "avx2"), "AVX2 without VNNI: about 1.5 times"),
        (machine("x86_64", "avx2", "avx512f", "avx512bw", "avx512vl"), "AVX-512 without VNNI: about 1.5"),
        (machine("x86_64", "sse4_2"), "unknown"),
        (machine("arm64", "asimddp"), "SDOT"),
        (machine("arm64", "feat_dotprod"), "SDOT"),
        (machine("arm64", "asimd"), "little or no gain"),
        (machine("riscv64"), "unknown"),
    ],
)
def test_gain_follows_from_the_features(seen: Host, gain: str) -> None:
    assert gain in expected_gain(seen)


@pytest.mark.parametrize(
    ("seen", "saturate"),
    [
        (machine("x86_64", "avx2"), True),
        (machine("x86_64", "avx2", "avx512f", "avx512bw", "avx512vl"), True),
        (machine("x86_64", "avx2", "avx512_vnni"), False),
        (machine("x86_64", "avx2", "avx_vnni"), False),
        (machine("x86_64"), False),  # nothing is known of it
        (machine("arm64", "asimd"), False),
    ],
)
def test_pair_sums_saturate_on_x86_without_vnni(seen: Host, saturate: bool) -> None:
    assert seen.pair_sums_saturate == saturate


def test_this_machine_says_what_it_is() -> None:
    assert host().cores >= 1


def test_features_can_be_told_to_stand_in_for_those_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYINT_CPU_FEATURES", "AVX2 fma")
    told = host.__wrapped__()
    assert told.features == {"avx2", "fma"}
    assert told.model == "as TINYINT_CPU_FEATURES says"


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_rss_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(before // 4, np.float64)  # twice the peak so far
    after = peak_rss_bytes()
    assert after is not None
    assert after >= held.nbytes > before
