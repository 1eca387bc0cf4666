"""A report by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tinyint.proof import Latency, Report, Sizes
from tinyint.proof.bench import Timing
from tinyint.proof.coverage import Coverage, FloatNode
from tinyint.proof.layers import Bins, ChannelRanges, Layer, Layers, TensorRange, WeightRange
from tinyint.proof.verify import OutputProof, Verification

NODES = (
    FloatNode(name="/a", op="Sin", reason="Sin has no int8 form"),
    FloatNode(name="/b", op="Sin", reason="Sin has no int8 form"),
    FloatNode(name="<script>", op="Pad", reason="a & b"),
)

LAYERS = Layers(
    rows=(
        Layer(
            name="x", op="Input", precision="int8", output="x", local_db=50.0, cumulative_db=50.0, float_ms=0.0,
            int8_ms=0.0,
        ),
        Layer(
            name="/conv", op="Conv", precision="int8", output="y", nodes=("/conv", "/relu"), macs=432, inputs=("x",),
            weights=("w",), local_db=45.0, cumulative_db=15.0, cause="outlier", detail="weight w: one is large",
            float_ms=2.0, int8_ms=1.0,
        ),
        Layer(
            name="/a", op="Sin", precision="float", output="z", reason="Sin has no int8 form", cumulative_db=25.0,
            float_ms=0.5, int8_ms=0.9,
        ),
        Layer(name="</script><b>", op="Gemm", precision="int8", output="v", float_ms=1.0, int8_ms=0.5),
    ),
    tensors={
        "x": TensorRange(
            dtype="uint8", scale=0.01, zero_point=128, range=(-1.28, 1.27), seen=(-2.0, 1.0), clipped=0.0123,
            bins=Bins(start=-2.0, width=1.0, counts=(5, 0, 90)), local_db=50.0,
        ),
        "y": TensorRange(dtype="uint8", scale=0.1, zero_point=0, range=(0.0, 25.5), live=(-3.0, math.inf)),
    },
    weights={
        "w": WeightRange(
            dtype="int8", channels=4, together=2, limit=(1.0, 2.0), local_db=41.0,
            after=ChannelRanges(lo=(-1.0, -0.5), hi=(0.5, 2.0)),
            before=ChannelRanges(lo=(-4.0, -0.5), hi=(0.5, 2.0)),
        ),
    },
    samples=2, runtime="onnxruntime", other_ms=(0.25, 0.75),
)  # fmt: skip


def timing(median: float, least: float) -> Timing:
    return Timing(
        model="m",
        runtime="onnxruntime",
        precision="float32",
        threads=1,
        batch_size=1,
        iterations=10,
        median_ms=median,
        p90_ms=median * 1.1,
        p99_ms=median * 1.2,
        min_ms=least,
        max_ms=median * 2,
        images_per_second=1e3 / median,
    )


def report(*, float_ms: float = 4.0, int8_ms: float = 2.0, **changes: Any) -> Report:
    made = Report(
        output="out.onnx",
        source="in.onnx",
        method="static",
        target="x86-vnni",
        recipe="default",
        recipe_yaml="name: default\n",
        runtime="onnxruntime",
        runtime_version="1.31.1",
        threads=1,
        host="a processor, 2 cores",
        coverage=Coverage(
            measured=True, macs_int8=0.75, macs_planned=1.0, nodes_int8=5, nodes_float=3, float_nodes=NODES
        ),
        verification=Verification(
            samples=16,
            held_out=True,
            runtime="onnxruntime",
            sqnr_db=math.inf,
            simulated_sqnr_db=math.inf,
            output_sqnr_db={"y": math.inf},
            top1_agreement=0.9,
            cosine=None,
            integers_equal=None,
            lsb_over_1=0.25,
            lsb_max=3.0,
            outputs={"y": OutputProof(sqnr_db=math.inf, constant_db=0.0, top1_agreement=0.9, classified=20)},
        ),
        latency=Latency(baseline=timing(float_ms, float_ms * 0.9), int8=timing(int8_ms, int8_ms * 0.9)),
        sizes=Sizes(baseline=4_000_000, int8=1_000_000),
        seconds={"prepare": 0.1, "calibrate": 1.0, "quantize": 0.2, "verify": 2.0},
        peak_rss_bytes=10**8,
        calibration_samples=8,
        warnings=("look here",),
        notes=("by the way",),
        version="0.1.0",
    )
    return replace(made, **changes)
