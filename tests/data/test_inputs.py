import numpy as np
import pytest

from tests.graph.build import build
from tinyint.data.inputs import input_specs
from tinyint.errors import ModelError
from tinyint.runtimes.base import TensorSpec


def test_what_is_to_be_fed():
    model = build(
        "net (float[N, 3, 4] x, int64[2] n, float[4] w) => (float[N, 3, 4] y) { y = Add (x, w) }", w=(4,)
    )
    assert input_specs(model) == (
        TensorSpec(name="x", dtype=np.dtype("float32"), shape=(None, 3, 4)),
        TensorSpec(name="n", dtype=np.dtype("int64"), shape=(2,)),
    )


def test_bfloat16_is_fed_as_float32():
    model = build("net (bfloat16[2] x) => (bfloat16[2] y) { y = Relu (x) }")
    assert input_specs(model)[0].dtype == np.dtype("float32")


@pytest.mark.parametrize("fault", ["string", "no shape", "no type"])
def test_an_input_that_is_no_tensor_of_numbers_is_named(fault):
    model = build(
        f"net ({'string' if fault == 'string' else 'float'}[2] words) => (float[2] y) {{ y = Cast <to = 1> (words) }}"
    )
    value = model.graph.inputs[0]
    if fault == "no shape":
        value.shape = None
    elif fault == "no type":
        value.type = None
    with pytest.raises(ModelError, match=r"input 'words' of the model has type .* a tensor of numbers"):
        input_specs(model)
