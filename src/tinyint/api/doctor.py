"""The verb `doctor`: abilities of this machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

import tinyint
from tinyint.proof.choices import Choices
from tinyint.proof.kept_races import Races
from tinyint.quantization.calibration.cache import RecordCache
from tinyint.runtimes import RUNTIMES, get_runtime
from tinyint.runtimes.host import expected_gain, host
from tinyint.targets import default_target

__all__ = ["Examination", "doctor"]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The machine and its software; `runtimes`: version by name, None if missing.

    `cache_directory` and `choices_directory`: None without a home directory and TINYINT_CACHE_DIR; the latter has the
    runtimes that `open` has found to be the fastest, `remembered_choices` of them.
    """

    tinyint: str
    python: str
    cpu: str
    machine: str
    cores: int
    instruction_sets: tuple[str, ...]
    vnni: bool
    runtimes: Mapping[str, str | None]
    default_target: str
    pair_sums_saturate: bool
    expected_gain: str
    cache_directory: str | None
    cache_bytes: int
    choices_directory: str | None
    remembered_choices: int


_TOLD = (
    ("AVX2", "has_avx2"),
    ("AVX-512", "has_avx512"),
    ("VNNI", "has_vnni"),
    ("AMX int8", "has_amx_int8"),
    ("bfloat16", "has_bfloat16"),
    ("dot product", "has_dotprod"),
    ("i8mm", "has_i8mm"),
)


def doctor() -> Examination:
    """Looks at this machine; runs and changes nothing."""
    machine, cache, choices = host(), RecordCache(), Choices()
    return Examination(
        tinyint=tinyint.__version__,
        python=platform.python_version(),
        cpu=machine.model,
        machine=machine.machine,
        cores=machine.cores,
        instruction_sets=tuple(name for name, fact in _TOLD if getattr(machine, fact)),
        vnni=machine.has_vnni,
        runtimes={name: get_runtime(name).available() for name in RUNTIMES},
        default_target=default_target(machine).name,
        pair_sums_saturate=machine.pair_sums_saturate,
        expected_gain=expected_gain(),
        cache_directory=None if cache.directory is None else str(cache.directory),
        cache_bytes=cache.size() + choices.size() + Races().size(),
        choices_directory=None if choices.directory is None else str(choices.directory),
        remembered_choices=choices.count,
    )
