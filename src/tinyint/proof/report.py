"""Report on a quantized model, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from tinyint.files.jsonable import jsonable
from tinyint.proof.coverage import Coverage
from tinyint.proof.layers import Layers
from tinyint.proof.light import Light, light
from tinyint.proof.measured import Latency, Sizes
from tinyint.proof.placement_race import PlacementRace
from tinyint.proof.verdict import Verdict, judge
from tinyint.proof.verify import Verification

if TYPE_CHECKING:
    from tinyint.proof.document import RaceDocument, ReportDocument

__all__ = ["FORM", "Report", "TensorRow"]

FORM = 1
"""Number of the form of the JSON document; another one means that keys have other meanings."""


@dataclass(frozen=True, kw_only=True)
class TensorRow:
    """Quantization of one tensor.

    Per channel, `scale` and `zero_point` hold the smallest and the largest.
    """

    name: str
    constant: bool
    dtype: str
    channels: int | None
    scale: tuple[float, float]
    zero_point: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Proof, and its circumstances.

    * `output`: the path of the int8 model; None if it was not written
    * `recipe`: its name; `recipe_yaml`: all of it
    * `model_fingerprint`: of the float model, whatever its path; "" where it is not known
    * `runtime`: that the proof was run on, with `runtime_version`; not the target's own where that is not installed
    * `verification`, `latency`: None where they were left out or could not be had; `notes` or `warnings` say why
    * `race`: of placements, if there was one
    * `steps`: what each repair step did; `command`: that makes the same again, None where data or model are no files
    * `layers`: where it errs and what each takes; None where that was left out
    * `warnings`: what the user should look at; `notes`: what else there is to know
    """

    output: str | None
    source: str
    method: str
    target: str
    recipe: str
    recipe_yaml: str
    runtime: str
    runtime_version: str | None
    threads: int
    host: str
    coverage: Coverage
    verification: Verification | None
    latency: Latency | None
    sizes: Sizes
    seconds: Mapping[str, float]
    peak_rss_bytes: int | None
    calibration_samples: int | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    version: str = ""
    model_fingerprint: str = ""
    race: PlacementRace | None = None
    steps: tuple[str, ...] = ()
    command: str | None = None
    layers: Layers | None = None

    def with_race(self, race: PlacementRace | None) -> Self:
        """Report of the model that won the race, if there was one.

        With a warning where float is faster than all that could win.
        """
        warnings = self.warnings
        if race is not None and race.beaten_by_float:
            times = f"{race.winner.milliseconds:.2f} ms at best, float {race.float_milliseconds:.2f} ms"
            told = (
                f"no placement that is accurate enough was as fast as float in the race: {times}; the recipe "
                "weight_only keeps float's speed, and stores the weights in integers (--recipe weight_only)"
            )
            warnings = (*warnings, told)
        return replace(self, race=race, warnings=warnings)

    @property
    def verdict(self) -> Verdict:
        """Verdict on the figures, by rule."""
        return judge(self.verification, self.latency, self.sizes)

    @property
    def light(self) -> Light:
        """Traffic light over the verdict and the coverage, by rule."""
        cosine = None if self.verification is None else self.verification.cosine
        return light(self.verdict, self.coverage, cosine)

    def _repr_html_(self) -> str:
        """HTML fragment, by which notebooks show a report."""
        from tinyint.report.notebook import (
            fragment,  # upwards: a notebook asks the value itself for its looks
        )

        return fragment(self)

    def to_json(self) -> dict[str, Any]:
        """Report as JSON values; infinite and NaN become null."""
        coverage, proof, latency = self.coverage, self.verification, self.latency
        document: ReportDocument = {
            "verdict": self.verdict,
            "light": self.light,
            "output": self.output,
            "source": self.source,
            "model_fingerprint": self.model_fingerprint,
            "method": self.method,
            "target": self.target,
            "recipe": self.recipe,
            "recipe_yaml": self.recipe_yaml,
            "coverage": {
                "macs_int8": coverage.macs_int8,
                "macs_planned": coverage.macs_planned,
                "measured": coverage.measured,
                "nodes_int8": coverage.nodes_int8,
                "nodes_float": coverage.nodes_float,
            },
            "float_nodes": coverage.float_nodes,
            "held_out": None if proof is None else proof.held_out,
            "verification": proof,
            "latency_ms": None
            if latency is None
            else {"float": latency.baseline.median_ms, "int8": latency.int8.median_ms},
            "latency_p90_ms": None
            if latency is None
            else {"float": latency.baseline.p90_ms, "int8": latency.int8.p90_ms},
            "latency_native": None if latency is None else latency.native,
            "speedup": None if latency is None else latency.speedup,
            "size_bytes": {"float": self.sizes.baseline, "int8": self.sizes.int8},
            "seconds": self.seconds,
            "peak_rss_bytes": self.peak_rss_bytes,
            "calibration_samples": self.calibration_samples,
            "runtime": {
                "name": self.runtime,
                "version": self.runtime_version,
                "precision": latency.baseline.precision if latency else None,
                "threads": self.threads,
            },
            "host": self.host,
            "race": None if self.race is None else _race(self.race),
            "steps": self.steps,
            "command": self.command,
            "warnings": self.warnings,
            "notes": self.notes,
            "tinyint": self.version,
            "form": FORM,
            "layers": self.layers,
        }
        found: dict[str, Any] = jsonable(document)
        return found


def _race(race: PlacementRace) -> RaceDocument:
    return {
        "chosen": race.chosen,
        "candidates": race.candidates,
        "float_ms": race.float_milliseconds,
        "samples": race.samples,
        "held_out": race.held_out,
        "threads": race.threads,
        "seconds": race.seconds,
        "remembered": race.remembered,
    }
