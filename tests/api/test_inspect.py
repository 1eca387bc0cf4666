import math

import tinyint


def test_tensorrt_is_planned_and_checked_without_its_runtime(model, samples):
    report = tinyint.quantize(
        model, tinyint.Samples(samples, limit=8), target="tensorrt", run=tinyint.Run(threads=1)
    ).report
    assert not report.coverage.measured
    assert report.latency is None
    assert report.verification is not None
    assert math.isfinite(report.verification.sqnr_db or math.nan)


def test_inspect_shows_what_a_model_declares_where_its_runtime_does_not_run(model, samples):
    made = tinyint.quantize(
        model, samples, target="tensorrt", recipe=tinyint.Recipe.load("default").with_settings(["skip=[fc]"])
    )
    found = tinyint.inspect(made.model)
    assert (found.executed, found.runtime) == ((), "tensorrt")
    assert found.nodes_int8 == made.report.coverage.nodes_int8 > 2
    assert "recipe asks" in next(node.reason for node in found.float_nodes if node.name == "fc")
    assert not next(row for row in found.declared if row.name == "fc").int8
    assert any("what the file declares" in note for note in found.notes)
    foreign = tinyint.quantize(model, samples, target="x86-vnni", run=tinyint.Run(verify=False)).model
    foreign.metadata_props.clear()
    others = tinyint.inspect(foreign, runtime="tensorrt")
    assert others.nodes_int8 >= 4
    assert any("TensorRT refuses it (int8)" in note for note in others.notes)


def test_inspect_tells_float_from_int8(model, samples):
    looked = tinyint.inspect(model)
    assert not looked.quantized
    assert {plan.target for plan in looked.plans} >= {"x86-vnni", "openvino", "tensorrt"}
    made = tinyint.quantize(
        model,
        samples,
        target="x86-vnni",
        recipe=tinyint.Recipe.load("default").with_settings(["skip=[fc]"]),
        run=tinyint.Run(verify=False),
    ).model
    found = tinyint.inspect(made)
    assert found.quantized
    assert found.made_by == tinyint.__version__
    assert found.nodes_int8 >= 4
    assert any("recipe asks" in node.reason for node in found.float_nodes)
    assert {row.name for row in found.tensors if not row.constant} >= {"x"}
