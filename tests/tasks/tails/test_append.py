from __future__ import annotations

import numpy as np
import pytest

import tinyint
from tests.graph.build import build
from tests.models import noise, residual
from tinyint import api
from tinyint.errors import ModelError
from tinyint.runtimes import get_runtime
from tinyint.tasks import postprocessing_of
from tinyint.tasks.tails import Tail, TailedSession, append, argmax_tail, softmax_tail
from tinyint.tasks.tails.builder import PREFIX


@pytest.mark.parametrize("target", ["x86-vnni", "openvino"])
def test_an_int8_model_keeps_its_int8_nodes(target: str) -> None:
    model = residual()
    samples = noise(model, 4)
    quantized = api.quantize(model, samples, target=target, run=tinyint.Run(verify=False)).model
    joined = append(quantized, Tail(softmax_tail("y"), "softmax"))
    runtime = api.opening.runtime_for(quantized)
    before = [node.op for node in runtime.executed(quantized) if node.int8]
    after = [node.op for node in runtime.executed(joined) if node.int8]
    assert len(before) >= 5
    assert before == after
    logits = runtime.open(quantized).run(samples[0])["y"]
    powers = np.exp(logits - logits.max())
    np.testing.assert_allclose(
        runtime.open(joined).run(samples[0])["probabilities"], powers / powers.sum(), rtol=1e-4, atol=1e-6
    )
    assert postprocessing_of(joined.metadata_props) == "softmax"
    assert postprocessing_of(quantized.metadata_props) is None


def test_other_outputs_stay_after_those_of_the_tail() -> None:
    model = build(
        """g (float[N,3,2,2] x) => (float[N,3,2,2] y, float[N,3] z) {
          y = Relu(x)
          z = ReduceMax <axes=[2,3], keepdims=0> (x)
        }"""
    )
    joined = append(model, Tail(argmax_tail("y"), "argmax"))
    assert [value.name for value in joined.graph.outputs] == ["labels", "z"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    feeds = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)}
    tailed = TailedSession(get_runtime("onnxruntime").open(model), argmax_tail("y"))
    assert tailed.outputs == ("labels", "z")
    for session in (tailed, get_runtime("onnxruntime").open(joined)):
        for found in (session.run(feeds), session.run_transient(feeds)):
            assert (found["labels"] == 2).all()
            assert found["z"].tolist() == [[3, 7, 11], [15, 19, 23]]


def test_tensors_inside_give_way_to_the_names_of_the_tail() -> None:
    model = build(
        "g (float[N,3] x) => (float[N,3] y) { probabilities = Relu(x)  h = Relu(probabilities)  y = Add(h, labels) }",
        labels=(3,),
    )
    model.graph[1].outputs[0].name = f"{PREFIX}Softmax_0"
    feeds = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    tail = softmax_tail("y")
    found = get_runtime("onnxruntime").open(append(model, Tail(tail, "softmax"))).run(feeds)["probabilities"]
    expected = TailedSession(get_runtime("onnxruntime").open(model), tail).run(feeds)["probabilities"]
    np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit() -> None:
    model = build("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
    with pytest.raises(ModelError, match="no output 'logits'"):
        append(model, Tail(softmax_tail("logits"), "softmax"))
    clash = build("g (float[N,3] probabilities) => (float[N,3] y) { y = Relu(probabilities) }")
    with pytest.raises(ModelError, match="an input or output 'probabilities' already"):
        append(clash, Tail(softmax_tail("y"), "softmax"))
    with pytest.raises(ModelError, match="is 'nsm'"):
        postprocessing_of({"tinyint.postprocess": "nsm"})
