from __future__ import annotations

import copy
import json

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from tests.graph.build import build, feeds_of, run
from tinyint.errors import DataError
from tinyint.qat import GraphModule, Step, to_torch


def network() -> ir.Model:
    """Conv, batch norm, a number, and a Reshape whose shape is computed, with a free batch."""
    model = build(
        """
        net (float[N, 3, 8, 8] x) => (float[N, 5] y)
        <float factor = {0.5}>
        {
          [conv] a = Conv <pads = [1, 1, 1, 1]> (x, conv_weight, conv_bias)
          [norm] b = BatchNormalization (a, norm_weight, norm_bias, mean, var)
          [act] c = Relu (b)
          [scale] d = Mul (c, factor)
          [pool] e = GlobalAveragePool (d)
          [shape] s = Shape <end = 1> (e)
          [minus] m = Constant <value_ints = [-1]> ()
          [join] t = Concat <axis = 0> (s, m)
          [flat] f = Reshape (e, t)
          [fc] y = Gemm <transB = 1> (f, type, table)
        }
        """,
        conv_weight=(4, 3, 3, 3),
        conv_bias=(4,),
        norm_weight=(4,),
        norm_bias=(4,),
        mean=(4,),
        var=np.array([0.5, 1, 2, 3], np.float32),
        type=(5, 4),
        table=(5,),
    )
    for old, new in (("conv_weight", "stem.0.weight"), ("conv_bias", "stem.0.bias")):
        value = model.graph.initializers[old]
        value.name = new
    return model


@pytest.fixture
def model() -> ir.Model:
    return network()


@pytest.fixture
def module(model) -> GraphModule:
    return to_torch(model)


def batch(model: ir.Model) -> torch.Tensor:
    return torch.from_numpy(feeds_of(model)["x"])


def test_it_computes_what_onnx_runtime_does(model, module):
    x = batch(model)
    (expected,) = run(model, {"x": x.numpy()})
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(module(x=x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_batch_is_free(model, module):
    x = torch.randn(7, 3, 8, 8, generator=torch.manual_seed(0))
    assert module(x).shape == (7, 5)
    torch.testing.assert_close(module(x)[3:4], module(x[3:4]))


def test_initializers_keep_their_names(module):
    assert set(dict(module.named_parameters())) == {
        "stem.0.weight",
        "stem.0.bias",
        "norm_weight",
        "norm_bias",
        "type_",  # nn.Module.type is a method
        "table",
    }
    assert set(dict(module.named_buffers())) == {"mean", "var", "factor"}
    assert module.paths["type"] == "type_"
    assert module.get_parameter("stem.0.weight").shape == (4, 3, 3, 3)


def test_a_name_that_starts_another_gets_out_of_the_way():
    model = build("net (float[2] x) => (float[2] y) { a = Mul (x, w)  y = Add (a, b) }", w=(2,), b=(2,))
    model.graph.initializers["b"].name = "w.b"
    paths = to_torch(model).paths
    assert paths == {"w": "w", "w.b": "w_.b"}


def test_gradients_reach_every_parameter(model, module):
    module(batch(model)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_state_is_saved_and_loaded_strictly(model, module):
    other = to_torch(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    x = batch(model)
    assert not torch.equal(other(x), module(x))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


def test_training_a_copy_leaves_the_original_alone(model, module):
    x = batch(model)
    before = module(x).detach()
    twin = copy.deepcopy(module)
    assert torch.equal(twin(x), before)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (twin(x) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert torch.equal(module(x), before)


def test_the_model_is_not_changed_by_training(model, module):
    kept = model.graph.initializers["table"].const_value.numpy().copy()
    with torch.no_grad():
        module.table.fill_(9)
    np.testing.assert_array_equal(model.graph.initializers["table"].const_value.numpy(), kept)


def test_it_moves_to_other_types_and_devices(model, module):
    double = copy.deepcopy(module).double()
    assert double(batch(model).double()).dtype == torch.float64
    meta = module.to("meta")
    assert {p.device.type for p in meta.parameters()} == {"meta"}
    assert meta(torch.empty(3, 3, 8, 8, device="meta")).shape == (3, 5)


def test_autocast_runs_convolutions_in_bfloat16(model, module):
    x = batch(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = module(x)
    torch.testing.assert_close(low.float(), module(x), rtol=0.1, atol=0.1)
    assert low.dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore")  # the compiler warns about itself
def test_it_compiles_to_one_graph_with_a_free_batch(model, module):
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=True)
    x = batch(model)
    torch.testing.assert_close(compiled(x), module(x))
    larger = torch.cat([x, x])
    torch.testing.assert_close(compiled(larger), module(larger))
    compiled(x).sum().backward()
    assert module.get_parameter("stem.0.weight").grad is not None


def test_a_value_is_freed_after_its_last_use():
    model = build("net (float[2] x) => (float[2] y) { a = Relu (x)  b = Neg (a)  y = Add (b, a) }")
    module = to_torch(model)
    assert module._programs["training"].released == (("x",), (), ("a", "b"))


def test_steps_can_be_replaced(model, module):
    x = batch(model)
    before = module(x)
    last = module.steps[-1]
    double = Step("double", lambda inputs: (inputs[0] * 2,), last.outputs, ("y2",))
    back = Step("back", lambda inputs: (inputs[0] + 0,), ("y2",), last.outputs)
    module.steps = [*module.steps, double, back]
    torch.testing.assert_close(module(x), before * 2)


def test_inputs_are_checked(model, module):
    x = batch(model)
    for args, kwargs in (((), {}), ((x, x), {}), ((x,), {"x": x}), ((), {"image": x})):
        with pytest.raises(DataError, match=r"takes the inputs \['x'\]"):
            module(*args, **kwargs)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, tuple),
        ({"kind": "tuple", "names": ["p", "q"]}, tuple),
        ({"kind": "dict", "names": ["p", "q"]}, dict),
    ],
)
def test_outputs_come_as_the_model_returned_them(written, expected):
    model = build("net (float[2] x) => (float[2] a, float[2] b) { a = Relu (x)  b = Neg (x) }")
    if written:
        model.metadata_props["tinyint.outputs"] = json.dumps(written)
    out = to_torch(model)(torch.tensor([-1.0, 2.0]))
    assert type(out) is expected
    first, second = (out["p"], out["q"]) if isinstance(out, dict) else out
    assert first.tolist() == [0, 2]
    assert second.tolist() == [1, -2]


def test_an_output_may_be_an_input_or_a_constant():
    model = build("net (float[2] x) => (float[2] x, float[1] c) { c = Constant <value_floats = [3.0]> () }")
    x, c = to_torch(model)(torch.ones(2))
    assert x.tolist() == [1, 1]
    assert c.tolist() == [3]


def test_it_is_a_module_like_any_other(module):
    assert isinstance(module, nn.Module)
    assert isinstance(nn.Sequential(module)[0], GraphModule)


@pytest.mark.filterwarnings("ignore")  # gloo warns about the host's name
def test_distributed_data_parallel_finds_every_parameter_used(model, module, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(module)
        for _ in range(2):  # the second step fails if a parameter had no gradient in the first
            parallel(batch(model)).sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    assert all(p.grad is not None for p in module.parameters())


def test_constants_that_are_listed_as_inputs_are_parameters():
    model = build("net (float[2, 3] x, float[3, 4] w) => (float[2, 4] y) { y = MatMul (x, w) }")
    weight = np.ones((3, 4), np.float32)
    model.graph.inputs[1].const_value = ir.tensor(weight, name="w")
    model.graph.register_initializer(model.graph.inputs[1])
    module = to_torch(model)
    assert module.input_names == ("x",)
    assert [name for name, _ in module.named_parameters()] == ["w"]
    assert module(torch.ones(2, 3)).tolist() == [[3.0] * 4] * 2
