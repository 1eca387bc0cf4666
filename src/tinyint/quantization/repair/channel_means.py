"""Means of channels, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Self

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.channelwise import observe_channels
from tinyint.quantization.calibration.statistics import Request
from tinyint.runtimes import Feeds, get_runtime

__all__ = ["SampleMeans", "means_by_sample"]


class SampleMeans(NamedTuple):
    """Means of a tensor's channels in one sample, (channels,), and the elements of each."""

    means: Array
    elements: int

    @classmethod
    def of(cls, array: Array, axis: int) -> Self:
        """Means along all other axes, in double precision."""
        rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        elements = rows.shape[1]
        means = rows.mean(axis=1, dtype=np.float64) if elements else np.zeros(len(rows))
        return cls(means, elements)


def means_by_sample(
    model: ir.Model, requests: AbstractSet[Request], samples: Sequence[Feeds]
) -> list[dict[Request, SampleMeans]]:
    """The requested means of a float graph, reduced inside it."""
    observed = model.clone()
    builder = GraphBuilder(observed)
    probes = observe_channels(observed.graph, builder, requests, by_sample=False)
    builder.finish()
    session = get_runtime("onnxruntime").open(observed)
    found = []
    for feeds in samples:
        outputs = session.run(feeds)
        found.append({
            probe.request: SampleMeans(
                probe.read(outputs, 0)[0].reshape(-1).astype(np.float64), probe.elements(outputs)
            )
            for probe in probes
        })  # fmt: skip
    return found
