"""Processors, as far as int8 arithmetic differs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tinyint.runtimes.host import Host

__all__ = ["ANY", "ARM", "AVX2", "GPU", "VNNI", "Cpu"]


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """Processor that a target's kernels are for.

    * `name`: its name in messages
    * `family`: `Host.machine` on which the kernels run; None for any, "gpu" for a GPU beside any
    * `is_of`: whether a host has such a processor
    * `pair_sums_saturate`: its kernels add two u8·s8 products in 16 bits (VPMADDUBSW, Intel SDM), with saturation at
      ±32,767; weights must keep the sums below
    """

    name: str
    family: Literal["x86_64", "arm64", "gpu"] | None
    is_of: Callable[[Host], bool]
    pair_sums_saturate: bool = False

    def runs_on(self, host: Host) -> bool:
        """Whether `host` has this family's kernels.

        A GPU is assumed, as its runtime checks for it.
        """
        return self.family in (None, "gpu", host.machine)

    def lacks(self, host: Host) -> str | None:
        """Instructions that `host` lacks for fast kernels.

        None if none, or if the kernels do not run on it.
        """
        return host.lacks if self.family != "gpu" and self.runs_on(host) else None

    def saturates_on(self, host: Host) -> bool:
        """Whether sums saturate on `host` that do not on this processor."""
        return host.pair_sums_saturate and not self.pair_sums_saturate and self.family in (None, "x86_64")


VNNI = Cpu(name="x86 with VNNI", family="x86_64", is_of=lambda host: host.is_x86 and host.has_vnni)
AVX2 = Cpu(
    name="x86 without VNNI",
    family="x86_64",
    is_of=lambda host: host.pair_sums_saturate and host.has_avx2,
    pair_sums_saturate=True,
)
ARM = Cpu(name="64-bit ARM", family="arm64", is_of=lambda host: host.is_arm64)
GPU = Cpu(name="an NVIDIA GPU", family="gpu", is_of=lambda _: False)
ANY = Cpu(name="any processor", family=None, is_of=lambda _: True)
