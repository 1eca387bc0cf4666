"""A report by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tinyint.proof import Latency, Report, Sizes
from tinyint.proof.bench import Timing
from tinyint.proof.coverage import Coverage, FloatNode
from tinyint.proof.verify import OutputProof, Verification

NODES = (
    FloatNode(name="/a", op="Sin", reason="Sin has no int8 form"),
    FloatNode(name="/b", op="Sin", reason="Sin has no int8 form"),
    FloatNode(name="<script>", op="Pad", reason="a & b"),
)


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
