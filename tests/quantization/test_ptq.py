"""The main path, end to end: what is simulated is what runs, on the real runtimes, in LSB."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import depthwise, detector, inception, noise, residual, transformer
from tests.processor import EXACT, ORT_TARGET
from tests.quantization.test_qparams import softmax_behind_a_mover
from tinyint.data import Sample
from tinyint.errors import ModelError
from tinyint.graph.io import is_quantized
from tinyint.graph.prepare import prepare, prepare_float
from tinyint.numbers.numerics import sqnr_db
from tinyint.proof.saturation import saturating_nodes
from tinyint.quantization import qdq
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.quantization.ptq import Quantized, quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

ORT = get_runtime("onnxruntime")
NETWORKS = [residual, inception, depthwise, transformer, detector]


def record_for(model: ir.Model, count: int = 8) -> CalibrationRecord:
    samples = [Sample(inputs, name=str(i)) for i, inputs in enumerate(noise(model, count))]
    return calibrate(model, samples, fingerprint="f", threads=1)


def static(model: ir.Model, target: str = "x86-vnni", *settings: str) -> Quantized:
    return quantize_graph(
        model,
        target=get_target(target),
        recipe=Recipe.load("default").with_settings(settings),
        record=record_for(model),
    )


def outputs(runtime, model: ir.Model, samples, **options) -> np.ndarray:
    session = runtime.open(model, threads=1, **options)
    return np.stack([next(iter(session.run(s).values())) for s in samples])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("target", ["x86-vnni", "x86-avx2", "arm64", "generic", "openvino", "tensorrt"])
def test_close_to_float_on_every_target(network, target):
    model = network()
    quantized = static(model, target)
    samples = noise(model, 4, seed=1)
    reference = outputs(ORT, model, samples)
    assert is_quantized(quantized.model)
    assert sqnr_db(reference, outputs(ORT, quantized.model, samples, optimize=False)) > 20


def test_nothing_is_stored_that_no_node_reads():
    # ONNX Runtime drops such a constant, and then misses it where it was given in memory
    graph = static(residual()).model.graph
    assert [name for name, value in graph.initializers.items() if not value.uses()] == []


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("target", "runtime"), EXACT.items())
def test_what_is_simulated_is_what_runs(network, target, runtime):
    model = network()
    quantized = static(model, target)
    samples = noise(model, 4, seed=2)
    simulated = outputs(ORT, quantized.model, samples, optimize=False)
    real = outputs(get_runtime(runtime), quantized.model, samples)
    (name,) = [value.name for value in quantized.model.graph.outputs]
    scales = {
        t.name.removesuffix("_float"): float(t.params.scale)
        for t in qdq.read(quantized.model)
        if not t.constant
    }
    lsb = scales.get(name, np.ptp(simulated) / 255)
    off = np.abs(real - simulated) / lsb
    assert (off > 1.01).mean() <= 0.001
    assert np.ptp(simulated) > 20 * lsb  # the comparison says something


@pytest.mark.parametrize("network", [residual, inception, depthwise])
def test_planned_nodes_really_run_in_int8(network):
    model = network()
    quantized = static(model, ORT_TARGET)
    executed = {source: row for row in ORT.executed(quantized.model) for source in row.sources}
    weighted = [
        n.name for n in quantized.prepared.graph if n.op_type in ("Conv", "Gemm", "Add", "Concat", "MaxPool")
    ]
    assert weighted
    assert [name for name in weighted if not executed[name].int8] == []


@pytest.mark.parametrize(("target", "runtime"), EXACT.items())
def test_parts_of_an_output_with_unlike_ranges_are_each_as_good(target, runtime):
    model = detector()
    quantized = static(model, target)
    samples = noise(model, 4, seed=3)
    expected = outputs(ORT, model, samples)
    found = outputs(get_runtime(runtime), quantized.model, samples)
    boxes, scores = (sqnr_db(expected[:, :, part], found[:, :, part]) for part in (slice(0, 4), slice(4, 8)))
    assert min(boxes, scores) > 30
    neck = [quantized.plan.tensors[name].group for name in ("a", "b", "n") if name in quantized.plan.tensors]
    assert len(set(neck)) == len(neck)
    assert "head" in quantized.float_nodes


MOVED = """
net (float[1, 4, 3, 3] x, bool c) => (float[a, b] y) {{
  [conv] a = Conv (x, w)
  [move] b = {move}
  [branch] d = If (c) <
    then_branch = left () => (float{shape} t) {{ t = Neg (b) }},
    else_branch = right () => (float{shape} e) {{ e = Abs (b) }}
  >
  [flat] y = Flatten (d)
}}
"""


@pytest.mark.parametrize(
    ("move", "shape"), [("Reshape (a, shape)", [1, 8, 9]), ("Transpose (a)", [3, 3, 8, 1])]
)
def test_a_body_that_reads_moved_codes_reads_them_behind_a_quantizer(move, shape):
    # without one, ONNX Runtime's optimizer ends the process
    model = prepare(build(MOVED.format(move=move, shape=shape), w=(8, 4, 1, 1), shape=np.array([1, 8, 9])))
    samples = [{"c": np.array(i % 2 == 0)} | sample for i, sample in enumerate(conv_samples(4))]
    record = calibrate(model, [Sample(s, name="s") for s in samples], fingerprint="f", threads=1)
    recipe = Recipe.load("default")
    quantized = quantize_graph(model, target=get_target(ORT_TARGET), recipe=recipe, record=record).model
    body = next(node for node in quantized.graph.all_nodes() if node.op_type == "Neg")
    assert body.inputs[0].producer().op_type == "DequantizeLinear"
    simulated, real = (outputs(ORT, quantized, samples, optimize=optimize) for optimize in (False, True))
    assert sqnr_db(simulated, real) > 40


def test_what_a_pad_fills_with_is_in_the_range_of_the_quantizer_behind_it():
    model = prepare(
        build(
            "net (float[1, 4, 3, 3] x) => (float[1, 4, 3, 3] y) { [first] a = Conv (x, w) "
            "[pad] p = Pad (a, pads, nine) [second] y = Conv (p, v) }",
            w=(4, 4, 1, 1), v=(4, 4, 3, 3), pads=np.array([0, 0, 1, 1, 0, 0, 1, 1]), nine=np.float32(30.0),
        )
    )  # fmt: skip
    samples = conv_samples(4)
    record = calibrate(model, [Sample(s, name="s") for s in samples], fingerprint="f", threads=1)
    recipe = Recipe.load("default")
    quantized = quantize_graph(model, target=get_target(ORT_TARGET), recipe=recipe, record=record).model
    assert sqnr_db(outputs(ORT, model, samples), outputs(ORT, quantized, samples)) > 25


def conv_samples(count):
    generator = np.random.default_rng(0)
    return [{"x": generator.normal(size=(1, 4, 3, 3)).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize("length", [1, 16, 64])
def test_a_softmax_that_onnxruntime_takes_into_int8_is_as_simulated(length):
    model = softmax_behind_a_mover(length)  # noise of a hundredth: nearly equal probabilities
    samples = [{name: x / 100 for name, x in sample.items()} for sample in noise(model, 8)]
    record = calibrate(
        model, [Sample(s, name=str(i)) for i, s in enumerate(samples)], fingerprint="f", threads=1
    )
    recipe = Recipe.load("default")
    quantized = quantize_graph(model, target=get_target(ORT_TARGET), recipe=recipe, record=record).model
    assert any(row.op == "QLinearSoftmax" for row in ORT.executed(quantized))
    reference = outputs(ORT, model, samples)
    simulated, real = (outputs(ORT, quantized, samples, optimize=optimize) for optimize in (False, True))
    assert sqnr_db(reference, real) > 25
    assert sqnr_db(reference, real) > sqnr_db(reference, simulated) - 1


def test_tensorrt_graphs_keep_nvidias_rules():
    for network in NETWORKS:
        assert get_target("tensorrt").check(static(network(), "tensorrt").model) == []


def test_inputs_and_outputs_stay_as_they_are():
    model = residual()
    quantized = static(model)
    for before, after in (
        (model.graph.inputs, quantized.model.graph.inputs),
        (model.graph.outputs, quantized.model.graph.outputs),
    ):
        assert [(v.name, v.dtype, v.shape) for v in before] == [(v.name, v.dtype, v.shape) for v in after]


def test_one_record_serves_every_target_without_data():
    model = residual()
    record = record_for(model)
    for target in ("x86-vnni", "openvino", "tensorrt", "arm64"):
        quantize_graph(model, target=get_target(target), recipe=Recipe.load("default"), record=record)


@pytest.mark.parametrize("target", ["x86-avx2", "openvino-avx2"])
def test_weights_of_eight_bits_whose_pairs_add_up_within_16_without_vnni(target):
    model = static(residual(), target).model
    codes = [v.const_value.numpy() for v in model.graph.initializers.values() if "w1_q" in v.name]
    assert codes
    assert max(np.abs(c.astype(int)).max() for c in codes) > 64
    assert saturating_nodes(model, get_target(target)) == []
    assert saturating_nodes(static(residual(), "x86-vnni").model, get_target(target)) != []


def test_the_model_says_what_it_is():
    props = static(residual()).model.metadata_props
    assert props["tinyint.target"] == "x86-vnni"
    assert props["tinyint.method"] == "static"
    assert Recipe.parse(__import__("yaml").safe_load(props["tinyint.recipe"])).calibration == "mse"


def test_a_quantized_model_is_refused():
    with pytest.raises(ModelError, match="quantized already"):
        prepare_float(static(residual()).model)


def test_quantizing_leaves_the_float_model_alone():
    model = residual()
    samples = noise(model, 2)
    before = outputs(ORT, model, samples)
    static(model)
    assert np.array_equal(before, outputs(ORT, model, samples))


@pytest.mark.parametrize(
    "algorithm", ["minmax", "absmax", "moving_average", "average", "percentile", "mse", "kl", "emd"]
)
def test_every_calibration_algorithm_makes_a_working_model(algorithm):
    model = residual()
    quantized = static(model, "x86-vnni", f"calibration={algorithm}")
    samples = noise(model, 4, seed=1)
    assert sqnr_db(outputs(ORT, model, samples), outputs(ORT, quantized.model, samples)) > 15


@pytest.mark.parametrize("recipe", ["default", "dynamic", "weight_only"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_models_are_quantized_as_float32_ones(dtype, recipe):
    def network(dtype):
        weights = {"w": (8, 3, 3, 3), "v": (512, 10)}
        generator = np.random.default_rng(1)
        held = {
            name: ir.tensor(generator.normal(size=shape).astype(np.float32) / 8)
            for name, shape in weights.items()
        }
        model = build(
            f"net ({dtype}[N,3,8,8] x) => ({dtype}[N,10] y) {{ c = Conv <pads = [1, 1, 1, 1]> (x, w) r = Relu (c) "
            "f = Flatten (r) y = MatMul (f, v) }",
            **{
                name: tensor.numpy().astype(ir.DataType[DTYPES[dtype]].numpy())
                for name, tensor in held.items()
            },
        )
        return prepare_float(model)[0]

    def distance(model):
        quantized = quantize_graph(
            model,
            target=get_target("generic"),
            recipe=Recipe.load(recipe),
            record=calibrate(model, samples(model), fingerprint="f", threads=1),
        ).model
        assert {v.dtype for v in quantized.graph.initializers.values()} & {ir.DataType.INT8}
        assert [v.dtype for v in (*quantized.graph.inputs, *quantized.graph.outputs)] == [
            ir.DataType[DTYPES[dtype]] if model is half else ir.DataType.FLOAT
        ] * 2
        pairs = [
            [next(iter(ORT.open(m, optimize=False).run(sample.inputs).values())) for m in (model, quantized)]
            for sample in samples(model)
        ]
        return sqnr_db(*(np.stack(side).astype(np.float32) for side in zip(*pairs, strict=True)))

    def samples(model):
        dtype = np.float16 if model.graph.inputs[0].dtype == ir.DataType.FLOAT16 else np.float32
        images = np.random.default_rng(0).normal(size=(8, 1, 3, 8, 8)).astype(dtype)
        return [Sample({"x": image}, name="x") for image in images]

    half, single = network(dtype), network("float")
    assert abs(distance(half) - distance(single)) < 2.0


DTYPES = {"float": "FLOAT", "float16": "FLOAT16", "bfloat16": "BFLOAT16"}
