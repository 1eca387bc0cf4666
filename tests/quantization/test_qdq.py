import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import residual
from tests.runtimes.graphs import Graph
from tinyint.errors import ModelError
from tinyint.graph.ops import ALL
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, UINT8, Constant, QParams
from tinyint.numbers.scheme import Scheme
from tinyint.quantization import qdq
from tinyint.quantization.plan import Plan, TensorPlan
from tinyint.quantization.qparams import Assignment

PARAMS = QParams(scale=np.float32(0.5), zero_point=np.uint8(3), qtype=UINT8)


def insert(model: ir.Model, **reads) -> ir.Model:
    scheme = Scheme(qtype=UINT8, symmetric=False)
    tensors = {name: TensorPlan(scheme=scheme, group=name, reads=r) for name, r in reads.items()}
    planned = Plan(
        target="x86-vnni",
        tensors=tensors,
        constants={},
        bias_weights={},
        absorbed=frozenset(),
        fenced=frozenset(),
        biases=frozenset(),
        int8_nodes=(),
        float_nodes={},
    )
    return qdq.insert(model, planned, Assignment(tensors=dict.fromkeys(tensors, PARAMS), constants={}))


def fork() -> ir.Model:
    return build("net (float[2] x) => (float[2] a, float[2] b) { [one] a = Relu (x) \n [two] b = Neg (x) }")


def test_only_the_places_that_the_plan_names_read_the_quantized_value():
    model = insert(fork(), x=frozenset({("one", 0)}))
    nodes = {node.name: node for node in model.graph}
    assert nodes["one"].inputs[0].name == "x_dq"
    assert nodes["two"].inputs[0].name == "x"
    assert [node.name for node in model.graph][:2] == ["x/Q", "x/DQ"]


def test_a_graph_output_keeps_its_name():
    model = insert(fork(), a=ALL)
    assert [value.name for value in model.graph.outputs] == ["a", "b"]
    assert model.graph.outputs[0].producer().name == "a/DQ"


def test_what_is_written_is_read_back():
    (found,) = qdq.read(insert(fork(), x=ALL))
    assert (found.name, found.constant, found.params) == ("x", False, PARAMS)


def test_constants_are_replaced_by_their_codes():
    model = residual()
    scale = np.full(8, 0.5, np.float32)
    params = QParams(scale=scale, zero_point=np.zeros(8), qtype=INT8, granularity=PerAxis(0))
    copy = model.clone()
    qdq.quantize_constants(copy.graph, {("conv1", 1): Constant(params=params)})
    assert "w1" not in copy.graph.initializers
    assert copy.graph.initializers["w1_q"].dtype == ir.DataType.INT8
    (found,) = qdq.read(copy)
    assert (found.name, found.constant, found.params) == ("w1", True, params)
    assert "w1" in model.graph.initializers


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_reads_graphs_of_other_writers(dtype):
    graph = Graph(1, 4)
    model = graph.model(graph.quantized("x", scale=0.25, zero_point=7, dtype=dtype))
    (found,) = qdq.read(ir.from_proto(__import__("onnx").load_from_string(model)))
    assert (float(found.params.scale), int(found.params.zero_point)) == (0.25, 7)
    assert found.params.qtype.storage == dtype


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_parameters_that_are_none_are_named(scale):
    text = "net (float[2] x) => (float[2] y) { q = QuantizeLinear (x, s, z)  [back] y = DequantizeLinear (q, s, z) }"
    model = build(text, s=np.float32(scale), z=np.uint8(3))
    with pytest.raises(ModelError, match=r"QuantizeLinear 'q' has no valid parameters"):
        qdq.read(model)
    empty = build(text, s=np.float32(1), z=np.zeros(0, np.uint8))
    with pytest.raises(ModelError, match=r"'q' has no valid parameters"):
        qdq.read(empty)
