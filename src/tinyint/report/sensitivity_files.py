"""Files of a sensitivity: page, JSON, and overlays for Model Explorer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyint.diagnosis.sensitivity import Sensitivity
from tinyint.files import require_writable, written_together
from tinyint.files.jsonable import to_json
from tinyint.report.html import sensitivity_to_html
from tinyint.report.model_explorer import cost_overlay, error_overlay

__all__ = ["SensitivityFiles"]


@dataclass(frozen=True, kw_only=True)
class SensitivityFiles:
    """Places of the files: NAME.html, NAME.json, NAME.error.json and NAME.cost.json."""

    page: Path
    keep: tuple[object, ...]

    @classmethod
    def at(cls, output: Path, *, keep: Iterable[object]) -> SensitivityFiles:
        """Places for `output`, a name with or without ".html".

        Raises OutputError if one cannot be written, or is among the files that are read.
        """
        page = output if output.suffix == ".html" else output.with_name(f"{output.name}.html")
        found = cls(page=page, keep=tuple(keep))
        for place in found.places:
            require_writable(place, keep=found.keep)
        return found

    @property
    def places(self) -> tuple[Path, ...]:
        stem = self.page.name.removesuffix(".html")
        return (
            self.page,
            *(self.page.with_name(f"{stem}.{end}") for end in ("json", "error.json", "cost.json")),
        )

    def write(self, found: Sensitivity, models: Mapping[str, str]) -> list[Path]:
        """Writes all of them or none, and returns their paths.

        Without costs, there is no overlay of these.
        """
        costs = cost_overlay(found)
        texts = [
            sensitivity_to_html(found, models),
            to_json({**models, **vars(found)}) + "\n",
            to_json(error_overlay(found)) + "\n",
        ]
        if costs["results"]:
            texts.append(to_json(costs) + "\n")
        written = list(self.places[: len(texts)])
        with written_together(self.page, keep=self.keep) as scratch:
            for place, text in zip(written, texts, strict=True):
                (scratch / place.name).write_text(text, encoding="utf-8", errors="backslashreplace")
        return written
