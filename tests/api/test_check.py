"""The verb `check`, on reports in memory and in files."""

import onnx_ir as ir
import pytest

import tinyint
from tinyint.graph.io import save_model


def test_a_model_that_loses_nodes_of_int8_is_a_regression(model, samples, tmp_path):
    given, run = tinyint.Samples(samples, limit=8), tinyint.Run(threads=1)
    old = tinyint.quantize(model, given, output=tmp_path / "old.onnx", run=run)
    names = [node.name for node in tinyint.load(model).graph if node.op_type == "Conv"]
    fewer = tinyint.Recipe.load("default").with_settings([f"skip={names[0]}"])
    new = tinyint.quantize(model, given, recipe=fewer, run=run)
    stored = tmp_path / "old.report.json"
    assert tinyint.check(stored, old.report, max_drop=0, max_slowdown=0).met
    assert tinyint.check(stored, new.report, max_coverage_drop=100, max_drop=100).met
    lost = tinyint.check(stored, new.report, max_drop=100)
    assert [row.of for row in lost.regressions] == ["coverage"]
    assert tinyint.check(new.report, old.report, max_drop=100).met


def test_a_model_is_known_by_what_is_in_it_and_not_by_its_name(model, tmp_path):
    run = tinyint.Run(verify=False)
    old = tinyint.quantize(model, recipe="weight_only", run=run).report
    moved = tmp_path / "moved.onnx"
    save_model(tinyint.load(model), moved)
    assert tinyint.check(old, tinyint.quantize(moved, recipe="weight_only", run=run).report).met
    trained = tinyint.load(model)
    for weight in trained.graph.initializers.values():
        weight.const_value = ir.tensor(2 * weight.const_value.numpy(), name=weight.name)
    save_model(trained, model)
    other = tinyint.quantize(model, recipe="weight_only", run=run).report
    with pytest.raises(tinyint.ReportError, match="different models"):
        tinyint.check(old, other)
    assert tinyint.check(old, other, allow=["model"]).notes


def test_a_difference_that_is_none_is_said(tmp_path):
    with pytest.raises(tinyint.ReportError, match=r"--allow procesor: .*did you mean 'processor'"):
        tinyint.check(tmp_path, tmp_path, allow=["procesor"])
