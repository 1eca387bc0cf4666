import numpy as np
import pytest

from tests.graph.build import build
from tests.models import noise, transformer
from tests.processor import ORT_TARGET
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import sqnr_db
from tinyint.quantization.ptq import quantize_graph
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.targets import get_target

ORT = get_runtime("onnxruntime")


def dynamic(model, target=ORT_TARGET, *settings):
    recipe = Recipe.load("dynamic").with_settings(settings)
    return quantize_graph(model, target=get_target(target), recipe=recipe)


def gemm():
    return prepare(
        build(
            """
            net (float[N, 24] x) => (float[N, 10] y) {
              [one] a = Gemm <transB = 1> (x, w1, b1)
              [two] y = Gemm (a, w2)
            }
            """,
            w1=(32, 24),
            b1=(32,),
            w2=(32, 10),
        )
    )


@pytest.mark.parametrize(
    ("network", "db"), [(gemm, 25), (transformer, 18)]
)  # softmax of large scores multiplies errors
def test_close_to_float_and_in_integers(network, db):
    model = network()
    quantized = dynamic(model)
    for feeds in noise(model, 3):
        (expected,), (got,) = (list(ORT.open(m).run(feeds).values()) for m in (model, quantized.model))
        assert sqnr_db(expected, got) > db
    executed = [row for row in ORT.executed(quantized.model) if row.int8]
    assert len(executed) >= len(quantized.planned_int8)


def test_an_input_is_quantized_once_for_all_that_read_it():
    model = transformer()
    operators = [node.op_type for node in dynamic(model).model.graph]
    # x feeds two weighted products, n one
    assert operators.count("DynamicQuantizeLinear") == 2
    assert operators.count("MatMulInteger") == 3


def test_products_of_activations_stay_float_with_a_reason():
    quantized = dynamic(transformer())
    assert quantized.float_nodes["scores"] == "its weights are not a constant float32 matrix"


def test_where_the_target_has_no_such_kernel_it_is_weight_only():
    quantized = dynamic(gemm(), "openvino")
    assert quantized.model.metadata_props["tinyint.method"] == "weight_only"
    assert quantized.planned_int8 == ()


def test_the_range_follows_the_input():
    """What static quantization of one range for all cannot: inputs a thousand times apart, each as exact."""
    model = gemm()
    quantized = dynamic(model)
    feeds = noise(model, 1)[0]
    for factor in (1.0, 1000.0):
        scaled = {name: (x * factor).astype(np.float32) for name, x in feeds.items()}
        (expected,), (got,) = (list(ORT.open(m).run(scaled).values()) for m in (model, quantized.model))
        assert sqnr_db(expected, got) > 25
