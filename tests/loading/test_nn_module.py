import json
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import tinyint
from tinyint.errors import ModelError
from tinyint.graph.io import model_fingerprint
from tinyint.loading import load
from tinyint.runtimes import get_runtime


class Net(nn.Module):
    """Convolution, batch norm and two heads; the result a dict."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, image, scale=1.0):
        features = self.norm(self.conv(image)).relu().mean((2, 3))
        return {"logits": self.head(self.drop(features)) * scale, "features": features}


class Pair(NamedTuple):
    total: torch.Tensor
    image: torch.Tensor


def module_of(forward):
    return type("Given", (nn.Module,), {"forward": staticmethod(forward)})()


def names(values):
    return [value.name for value in values]


def outputs(model, **feeds):
    return get_runtime("onnxruntime").open(model).run(feeds)


def structure(model):
    return json.loads(model.metadata_props["tinyint.outputs"])


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def test_the_graph_gives_what_the_module_gives_at_any_batch_size(net):
    model = load(net, torch.zeros(1, 3, 8, 8))
    image = torch.randn(5, 3, 8, 8)
    expected = net.eval()(image)
    found = outputs(model, image=image.numpy())
    for key in ("logits", "features"):
        np.testing.assert_allclose(found[key], expected[key].detach(), atol=1e-6)


def test_names_and_structure_are_the_modules(net):
    model = load(net, torch.zeros(1, 3, 8, 8))
    assert names(model.graph.inputs) == ["image"]
    assert names(model.graph.outputs) == ["logits", "features"]
    assert structure(model) == {"kind": "dict", "names": ["logits", "features"]}
    assert model.graph.outputs[0].shape[0].value == model.graph.inputs[0].shape[0].value == "batch"
    assert [node.name for node in model.graph][:2] == ["/conv/Conv", "/norm/BatchNormalization"]


def test_weights_keep_their_names_and_equal_ones_stay_apart(net):
    net.norm.bias.data = net.norm.running_mean.clone()  # equal, as in every new network
    model = load(net, torch.zeros(1, 3, 8, 8))
    expected = {name for name in net.state_dict() if "batches" not in name}
    assert expected <= set(model.graph.initializers)
    for name in expected:
        np.testing.assert_array_equal(
            model.graph.initializers[name].const_value.numpy(), net.state_dict()[name]
        )


def test_a_weight_that_the_module_shares_stays_one():
    shared = nn.Linear(4, 4)
    other = nn.Linear(4, 4)
    other.weight = shared.weight
    model = load(nn.Sequential(shared, nn.ReLU(), other), torch.randn(2, 4))
    assert sum(value.shape == (4, 4) for value in model.graph.initializers.values()) == 1


def test_the_module_is_as_it_was(net):
    net.train()
    net.norm.eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    random = torch.random.get_rng_state()
    load(net, torch.zeros(1, 3, 8, 8))
    assert net.training
    assert not net.norm.training
    assert "forward" not in vars(net)
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    with pytest.raises(ModelError):
        load(net, torch.zeros(1, 7, 8, 8))
    assert net.training
    assert "forward" not in vars(net)


def test_arguments_may_be_nested_named_or_arrays():
    module = module_of(
        lambda batch, weights, offset=0.0: batch["a"] * weights[0] + batch["b"] * weights[1] + offset
    )
    ones = np.ones((2, 3), np.float32)
    given = {"batch": {"a": ones, "b": 2 * ones}, "weights": [3 * ones, 4 * ones], "offset": 1.0}
    for examples in (given, tuple(given.values())):
        model = load(module, examples)
        assert names(model.graph.inputs) == ["a", "b", "weights.0", "weights.1"]
        feeds = {"a": ones, "b": ones, "weights.0": ones, "weights.1": ones}
        assert (outputs(model, **feeds)["output"] == 3).all()


@pytest.mark.parametrize(
    ("forward", "kind", "found"),
    [
        (lambda image: image + 1, "single", ["output"]),
        (lambda image: (image + 1, image * 2), "tuple", ["output.0", "output.1"]),
        (lambda image: [image + 1, None], "list", ["output.0"]),
        (lambda image: {"x": image + 1, "none": None}, "dict", ["x"]),
    ],
)
def test_results_of_every_kind(forward, kind, found):
    model = load(module_of(forward), torch.ones(2, 3))
    assert structure(model) == {"kind": kind, "names": found}
    assert names(model.graph.outputs) == found


def test_an_input_that_is_returned_under_its_own_name():
    model = load(module_of(lambda image: Pair(image.sum(1), image)), torch.ones(2, 3))
    assert structure(model) == {"kind": "tuple", "names": ["total", "image"]}
    assert names(model.graph.outputs) == ["total", "image.output"]


def test_open_axes_are_the_ones_asked_for():
    net = nn.Conv2d(3, 2, 1)
    model = load(net, torch.ones(1, 3, 8, 8), dynamic_shapes={"input": {2: "height", 3: "width"}})
    assert [str(d) for d in model.graph.inputs[0].shape] == ["1", "3", "height", "width"]
    assert outputs(model, input=np.ones((1, 3, 5, 7), np.float32))["output"].shape == (1, 2, 5, 7)
    fixed = load(net, torch.ones(1, 3, 8, 8), dynamic_shapes={})
    assert list(fixed.graph.inputs[0].shape) == [1, 3, 8, 8]
    with pytest.raises(ModelError, match="names the input 'image'; Conv2d has input"):
        load(net, torch.ones(1, 3, 8, 8), dynamic_shapes={"image": {0: "batch"}})


def test_a_module_for_one_batch_size_is_exported_for_it():
    model = load(module_of(lambda image: image.reshape(2, 3) * 2), torch.ones(2, 3))
    assert list(model.graph.inputs[0].shape) == [2, 3]


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (
            lambda image: image + 1 if image.sum() > 0 else image - 1,
            "not what the module gives .* decides on values",
        ),
        (lambda image: torch.rand_like(image), "not what the module gives"),
        (lambda image: torch.linalg.svd(image)[1], "cannot be exported to ONNX: .*linalg_svd"),
        (lambda image: image.reshape(int(image.shape[0]), -1).sum(1), "makes a number of a length"),
        (lambda image: image @ image, r"fails on inputs of image \(2, 3\): mat1 and mat2"),
        (lambda image: {"n": 3, "image": image}, "returns a int at 'n'"),
        (lambda image: {"image": None if image.ndim else image}, "returns no tensor"),
    ],
)
def test_what_cannot_be_exported_is_said(forward, message, capfd):
    with pytest.raises(ModelError, match=message):
        load(module_of(forward), torch.ones(2, 3))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (None, "needs example inputs: give tinyint.load\\(module, example_inputs"),
        ((torch.ones(1), 1.0, 2.0), "do not fit Net.forward: too many positional"),
        ({"picture": torch.ones(1)}, "fails on inputs of picture"),
        (3.0, "no tensor in the example inputs"),
    ],
)
def test_example_inputs_that_are_missing_or_do_not_fit(net, examples, message):
    with pytest.raises(ModelError, match=message):
        load(net, examples)


torchs_own = pytest.mark.filterwarnings("ignore:`torch.jit.*deprecated:DeprecationWarning")


@torchs_own
@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrapped_modules_are_unwrapped(wrap):
    model = load(wrap(nn.Linear(3, 4)), torch.ones(1, 3))
    assert set(model.graph.initializers) == {"weight", "bias"}


@torchs_own
def test_modules_that_are_given_in_another_form():
    with pytest.raises(ModelError, match=r"give module\.float\(\)"):
        load(nn.Linear(3, 4).bfloat16(), torch.ones(1, 3).bfloat16())
    with pytest.raises(ModelError, match="scripted module"):
        load(torch.jit.script(nn.Linear(3, 4)), torch.ones(1, 3))


def test_exporting_twice_gives_the_same_graph(net):
    first, second = (load(net, torch.zeros(1, 3, 8, 8)) for _ in range(2))
    assert model_fingerprint(first) == model_fingerprint(second)


def test_a_graph_is_returned_as_it_is(net):
    model = load(net, torch.zeros(1, 3, 8, 8))
    assert load(model) is model


def test_loading_a_file_does_not_import_torch():
    code = "import sys, tinyint; from tinyint.extras.demo import demo_model_path; "
    code += "tinyint.load(demo_model_path()); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_no_model():
    with pytest.raises(ModelError, match="the model is a int; give the path"):
        tinyint.load(3)
