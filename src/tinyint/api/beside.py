"""Companion files of the int8 model, and which existing ones may be replaced."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyint.data import Declaration
from tinyint.errors import OutputError, RecordError
from tinyint.files import atomic_write, require_writable, written_together
from tinyint.files.jsonable import to_json
from tinyint.graph.source import is_utf8, metadata
from tinyint.metadata import CALIBRATION
from tinyint.proof import Report
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.ptq import Quantized
from tinyint.report.html import to_html

__all__ = ["Beside"]

"""In the metadata of an int8 model: the identity of the record that its scales are from."""
_GENERATOR = '<meta name="generator" content="tinyint">'
"""In every HTML report."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The places beside `model`; without `output`, none of them outlasts the run.

    `given`: the record that the user named, which stays as it is.
    """

    output: Path | None
    given: Path | None = None

    @classmethod
    def of(cls, output: Path | None, calibration: object) -> Beside:
        given = Path(calibration) if isinstance(calibration, str | Path) else None
        return cls(output=output, given=given)

    @property
    def model(self) -> Path:
        return self.output or Path("model.onnx")

    @property
    def record(self) -> Path:
        return self._place("calibration.npz")

    @property
    def reports(self) -> tuple[Path, Path]:
        return self._place("report.json"), self._place("report.html")

    def _place(self, ending: str) -> Path:
        return self.model.with_name(f"{self.model.name.removesuffix('.onnx')}.{ending}")

    @property
    def _is_given(self) -> bool:
        return self.given is not None and os.path.exists(self.record) and self.record.samefile(self.given)

    @contextmanager
    def staged(self, keep: Iterable[object], *, with_record: bool) -> Iterator[Path]:
        """Directory to write everything into, in its place at the end.

        `keep`: the paths that are read.

        Raises OutputError, before the work where that is possible.
        """
        if self.output is None:
            with tempfile.TemporaryDirectory(prefix="tinyint-") as scratch:
                yield Path(scratch)
            return
        if not is_utf8(self.output):
            raise OutputError(
                f"cannot write {str(self.output)!r}: its name is not UTF-8, so that no runtime opens it; choose another"
            )
        self._require_ours(keep, with_record=with_record)
        with written_together(self.output, keep=keep) as directory:
            yield directory

    def _require_ours(self, keep: Iterable[object], *, with_record: bool) -> None:
        """Raises OutputError where a place is of a file that is read, or holds one of the user's own."""
        places = [*self.reports]
        if with_record and not self._is_given:
            places.append(self.record)
        data = self.model.with_name(self.model.name + ".data")
        for place in (*places, data):
            try:
                require_writable(place, keep=keep)
            except OutputError as error:
                raise OutputError(f"{error} (it goes with {self.model})") from None
        theirs = [place for place in places if os.path.lexists(place) and not self._is_ours(place)]
        if os.path.lexists(data) and not os.path.exists(self.model):
            theirs.append(data)
        if theirs:
            use = ", or use it with --calibration" if theirs[0] == self.record else ""
            raise OutputError(
                f"cannot write '{theirs[0]}': a file of that name is there and not from an earlier `quantize -o "
                f"{self.model}`; move it, choose another output{use}"
            )

    def _is_ours(self, place: Path) -> bool:
        if place.is_symlink():
            return False
        try:
            if place == self.record:
                return metadata(self.model).get(CALIBRATION) == CalibrationRecord.load(place).identity
            text = place.read_text(encoding="utf-8")
            if place.suffix == ".html":
                return _GENERATOR in text
            return {"recipe_yaml", "tinyint"} <= set(json.loads(text))
        except (OSError, ValueError, TypeError, RecordError):
            return False

    def mark(self, quantized: Quantized, preprocessing: Declaration | None) -> None:
        """Metadata of the model: its preprocessing, and its record's identity."""
        if preprocessing is not None:
            quantized.model.metadata_props.update(preprocessing.to_metadata())
        if quantized.record is not None:
            quantized.model.metadata_props[CALIBRATION] = quantized.record.identity

    def write(self, scratch: Path, record: CalibrationRecord | None, report: Report) -> None:
        """Record and reports, into the directory from which they are moved to their places."""
        if record is not None and not self._is_given:
            record.save(scratch / self.record.name)
        as_json, as_html = self.reports
        texts = {as_json.name: to_json(report.to_json()) + "\n", as_html.name: to_html(report)}
        for name, text in texts.items():
            with atomic_write(scratch / name) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
