"""Races of placements on disk, by all that they depend on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import tinyint
from tinyint.data import Sample
from tinyint.errors import TinyintError
from tinyint.files.jsonable import jsonable
from tinyint.files.kept_documents import KeptDocuments, kept_place
from tinyint.proof.placement_race import Candidate, PlacementRace
from tinyint.quantization.ptq import Source
from tinyint.quantization.recipe import Rule
from tinyint.runtimes import Runtime
from tinyint.runtimes.host import host

__all__ = ["Races", "race_key"]

_FORMAT = 1


def race_key(source: Source, runtime: Runtime, threads: int, sample: Sample) -> str:
    """SHA-256 (hex) of model, recipe, target, processor, runtime and inputs' shapes.

    The samples themselves do not count: they move scales, and hardly what is fast.
    """
    facts = (
        _FORMAT,
        tinyint.__version__,
        source.fingerprint,
        source.target.name,
        source.recipe.dump(),
        (runtime.name, runtime.available(), threads),
        host().identity,
        sorted((name, str(array.dtype), array.shape) for name, array in sample.inputs.items()),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Races(KeptDocuments):
    """Races that are kept."""

    directory: Path | None = field(default_factory=lambda: kept_place("races"))

    def load(self, key: str) -> PlacementRace | None:
        """Race of the key, marked as used now; None without a readable one."""
        try:
            found = PlacementRace(**self.read(key))
            race = replace(
                found,
                candidates=tuple(Candidate(**each) for each in found.candidates),  # type: ignore[arg-type]
                rules=tuple(Rule.model_validate(each) for each in found.rules),
                remembered=True,
            )
            _ = race.beaten_by_float
        except (ValueError, TypeError, AttributeError, StopIteration, TinyintError):
            return None
        self.mark_used(key)
        return race

    def store(self, key: str, race: PlacementRace) -> None:
        """Stores the race; see `write`."""
        rules = [rule.model_dump(mode="json", exclude_unset=True) for rule in race.rules]
        self.write(key, {**jsonable(replace(race, rules=())), "rules": rules})
