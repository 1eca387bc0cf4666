"""Several models on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinyint.api.resizing import resizes_images
from tinyint.api.subject import Subject
from tinyint.errors import ModelError
from tinyint.metadata import FOLDED, PREPROCESSING
from tinyint.quantization.pixels import PixelInput, PixelSession
from tinyint.runtimes import Session
from tinyint.runtimes.base import TensorSpec

__all__ = ["SideBySide"]


@dataclass(frozen=True)
class SideBySide:
    """Models on the same samples.

    * `subjects`: in the order given; where one of them takes pixels, as its preprocessing is folded in, the others do
      their preprocessing in each call
    * `facts`: metadata of all, by which the samples are read
    * `notices`: sentences for the user
    """

    subjects: tuple[Subject, ...]
    facts: dict[str, str]
    notices: tuple[str, ...]

    @classmethod
    def of(cls, given: Sequence[Subject]) -> SideBySide:
        """Models as they take the same samples. Raises ModelError for inputs that differ."""
        facts = {key: value for subject in reversed(given) for key, value in subject.facts.items()}
        folded = next((subject for subject in given if FOLDED in subject.facts), None)
        if folded is None:
            return cls(_alike(given), facts, ())
        _require_one_kind(given)
        subjects = _alike([_on_pixels(subject, folded) for subject in given])
        facts[PREPROCESSING] = folded.facts[PREPROCESSING]
        notices = tuple(
            f"{subject.label} takes preprocessed images, {folded.label} pixels: each call of {subject.label} includes "
            "the preprocessing"
            for subject in subjects
            if isinstance(subject.session, PixelSession)
        )
        return cls(subjects, facts, notices)


def _on_pixels(subject: Subject, folded: Subject) -> Subject:
    """Subject on the pixels that `folded` takes; as it is, if it takes them or has other inputs."""
    names = [spec.name for spec in subject.session.inputs]
    pixels = PixelInput.saved(names[0], folded.facts) if names else None
    if pixels is None or FOLDED in subject.facts or names != [s.name for s in folded.session.inputs]:
        return subject
    session = PixelSession(session=subject.session, pixels=pixels, spec=folded.session.inputs[0])
    return replace(subject, session=session)


def _require_one_kind(given: Sequence[Subject]) -> None:
    """Raises ModelError for models of pixels of which only some resize them."""
    resizing = {resizes_images(each.facts): each.label for each in given if FOLDED in each.facts}
    if len(resizing) == 2:
        raise ModelError(
            f"{resizing[True]} resizes images itself, {resizing[False]} takes resized ones: models that run on the "
            "same samples must take the same inputs"
        )


def _alike(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    first, *others = subjects
    for other in others:
        if not _take_the_same(first.session, other.session):
            raise ModelError(
                f"{other.label} has the inputs {_described(other.session)}, {first.label} has "
                f"{_described(first.session)}: models that run on the same samples must take the same inputs"
            )
    return tuple(subjects)


def _take_the_same(a: Session, b: Session) -> bool:
    ours, theirs = ({spec.name: spec for spec in session.inputs} for session in (a, b))
    return ours.keys() == theirs.keys() and all(_agree(ours[name], theirs[name]) for name in ours)


def _agree(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether there are arrays for both."""
    if a.dtype != b.dtype or len(a.shape) != len(b.shape):
        return False
    return all(None in (x, y) or x == y for x, y in zip(a.shape, b.shape, strict=True))


def _described(session: Session) -> str:
    return ", ".join(f"{spec.name} {spec}" for spec in session.inputs)
