import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from tinyint.demo import demo_model_path
from tinyint.errors import DependencyError, ModelError
from tinyint.loading import load, onnx_source, paddle
from tinyint.loading.convert_paddle import unlike
from tinyint.loading.paddle import find_paddle
from tinyint.runtimes import get_runtime

needs_paddle = pytest.mark.skipif(
    find_spec("paddle") is None or find_spec("paddle2onnx") is None, reason="needs tinyint[paddle]"
)

# In a process of its own: Paddle takes over signals and warns when it is imported.
_SAVE = """
import sys
import numpy, paddle
from paddle.static import InputSpec

class Unconvertible(paddle.nn.Layer):
    def forward(self, x):
        return paddle.linalg.svd(x)[1]

def save(layer, path, shape):
    layer.eval()
    paddle.jit.save(layer, path, input_spec=[InputSpec(shape, "float32", name="image")])

paddle.seed(0)
out = sys.argv[1]
network = paddle.vision.models.mobilenet_v1(scale=0.25, num_classes=10, pretrained=False)
image = paddle.randn([2, 3, 64, 64])
network.train()
for _ in range(8):  # statistics that go with the weights
    network(image)
network.eval()
numpy.savez(out + "/expected.npz", image=image.numpy(), output=network(image).numpy())
save(network, out + "/new/inference", [None, 3, 64, 64])
layer = paddle.nn.Sequential(paddle.nn.Linear(4, 4), Unconvertible())
save(layer, out + "/unconvertible/inference", [4, 4])
with paddle.pir_utils.OldIrGuard():
    save(network, out + "/old/inference", [None, 3, 64, 64])
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("paddle")
    command = [sys.executable, "-W", "ignore", "-c", _SAVE, str(directory)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return directory


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


@needs_paddle
@pytest.mark.parametrize(
    ("place", "program"),
    [
        ("new", "inference.json"),
        ("old", "inference.pdmodel"),
    ],
)
def test_a_model_of_paddle_vision_computes_the_same(saved, place, program):
    assert (saved / place / program).exists()
    model = load(saved / place)
    expected = np.load(saved / "expected.npz")
    (output,) = get_runtime("onnxruntime").open(model).run({"image": expected["image"]}).values()
    np.testing.assert_allclose(
        output, expected["output"], rtol=1e-4, atol=1e-4 * abs(expected["output"]).max()
    )
    assert not any(node.op_type == "Constant" for node in model.graph)
    assert "conv2d_0.w_0" in model.graph.initializers


@needs_paddle
def test_nothing_of_the_converter_is_printed(saved, capfd):
    load(saved / "new")
    assert capfd.readouterr() == ("", "")


@needs_paddle
def test_an_operator_that_the_converter_does_not_know_is_named(saved):
    with pytest.raises(ModelError, match=r"operators that paddle2onnx cannot convert: svd$"):
        load(saved / "unconvertible")


@needs_paddle
@pytest.mark.parametrize("file", ["new/inference.json", "new/inference.pdiparams", "old/inference.pdmodel"])
def test_truncated_files_are_errors_of_the_model(copied, file):
    content = (copied / file).read_bytes()
    (copied / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="inference"):
        load((copied / file).parent)


def touched(directory, *names):
    for name in names:
        (directory / name).touch()


def test_the_model_of_a_directory_is_the_program_that_has_weights(tmp_path):
    touched(tmp_path, "config.json", "net.json", "net.pdiparams", "net.yml")
    files = find_paddle(tmp_path)
    assert (files.program.name, files.parameters.name) == ("net.json", "net.pdiparams")


def test_a_program_in_both_forms_is_one_model(tmp_path):
    touched(tmp_path, "net.json", "net.pdmodel", "net.pdiparams")
    assert find_paddle(tmp_path).program.name == "net.json"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "expected that of a Paddle inference model, with NAME.json or NAME.pdmodel and NAME.pdiparams"),
        (("net.json",), "without a model"),
        (("a.json", "a.pdiparams", "b.pdmodel", "b.pdiparams"), r"several Paddle models \(a, b\)"),
        (("net.onnx",), "give the .onnx file in it: net.onnx"),
    ],
)
def test_a_directory_without_exactly_one_model(tmp_path, names, message):
    touched(tmp_path, *names)
    with pytest.raises(ModelError, match=message):
        load(tmp_path)


def test_a_program_without_its_weights(tmp_path):
    touched(tmp_path, "net.pdmodel")
    with pytest.raises(ModelError, match=r"no weights beside it: expected '.*net\.pdiparams'"):
        load(tmp_path / "net.pdmodel")
    with pytest.raises(ModelError, match="no such model file"):
        load(tmp_path / "other.json")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    touched(tmp_path, "net.json", "net.pdiparams")
    monkeypatch.setattr(paddle, "find_spec", lambda _: None)
    with pytest.raises(DependencyError, match=r"pip install 'tinyint\[paddle\]'"):
        load(tmp_path)


def test_names_that_the_converter_has_in_an_older_form_are_known():
    known = ["elementwise_add", "matmul_v2", "reduce_mean", "flatten_contiguous_range", "elementwise_sub"]
    names = {"add", "add_", "matmul", "mean", "flatten", "subtract", "svd", "det"}
    assert unlike(names, known) == ["det", "svd"]


def test_an_onnx_path_stays_a_path(tmp_path):
    assert onnx_source(demo_model_path()) == demo_model_path()
    assert load(demo_model_path()).graph.outputs[0].name == "logits"
    assert onnx_source(tmp_path / "missing.onnx") == tmp_path / "missing.onnx"
    with pytest.raises(ModelError, match="no such model file"):
        load(tmp_path / "missing.onnx")
