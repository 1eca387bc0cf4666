"""Model of preprocessed images, run on pixels."""

from __future__ import annotations

from dataclasses import dataclass

from tinyint.quantization.pixels.pixel_input import PixelInput
from tinyint.runtimes import Feeds, Session
from tinyint.runtimes.base import Array, Precision, TensorSpec, check_feeds

__all__ = ["PixelSession"]


@dataclass(frozen=True, kw_only=True)
class PixelSession:
    """`Session` that preprocesses pixels in each call.

    * `session`: of the model that takes preprocessed images
    * `pixels`: its input, and how images are preprocessed
    * `spec`: the pixels, as the model takes them that has the preprocessing folded in
    """

    session: Session
    pixels: PixelInput
    spec: TensorSpec

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self.spec,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.session.outputs

    @property
    def precision(self) -> Precision:
        return self.session.precision

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """As of `Session`. Raises DataError for feeds that are not pixels."""
        return self.session.run(self.preprocessed(feeds))

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        """As of `Session`. Raises DataError for feeds that are not pixels."""
        return self.session.run_transient(self.preprocessed(feeds))

    def preprocessed(self, feeds: Feeds) -> Feeds:
        """Inputs of the model for pixels. Raises DataError for other feeds."""
        check_feeds(self.inputs, feeds)
        (taken,) = self.session.inputs
        return {taken.name: self.pixels.floats(feeds[self.spec.name], taken.dtype)}
