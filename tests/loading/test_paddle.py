import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from tests.graph.build import build
from tinyint.errors import DependencyError, ModelError
from tinyint.extras.demo import demo_model_path
from tinyint.graph.io import is_quantized
from tinyint.loading import PaddleFiles, load, onnx_source, paddle
from tinyint.loading.convert_paddle import single_precision, unlike
from tinyint.loading.paddle import find_paddle
from tinyint.loading.paddle_scales import quantize_again
from tinyint.quantization.qdq import read
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

class Enlarged(paddle.nn.Layer):
    def __init__(self, factor, mode):
        super().__init__()
        self.conv, self.factor, self.mode = paddle.nn.Conv2D(3, 4, 3), factor, mode

    def forward(self, image):
        return paddle.nn.functional.interpolate(self.conv(image), scale_factor=self.factor, mode=self.mode)

class Quantizable(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 8, 3, padding=1)
        self.depthwise = paddle.nn.Conv2D(8, 8, 3, groups=8)
        self.fc = paddle.nn.Linear(8, 5)

    def forward(self, image):
        relu = paddle.nn.functional.relu
        y = relu(self.depthwise(relu(self.conv(image))))
        return self.fc(paddle.nn.functional.adaptive_avg_pool2d(y, 1).flatten(1))

def quantized(config, freeze, train):
    from paddle.static.quantization import quanter

    place, scope = paddle.CPUPlace(), paddle.static.Scope()
    with paddle.static.scope_guard(scope):
        program, (feed,), fetched = paddle.static.load_inference_model(out + "/float/inference", exe)
        names = [value.name for value in fetched]
        config = {"quantize_op_types": ["conv2d", "depthwise_conv2d", "matmul_v2"], **config}
        learning = quanter.quant_aware(program.clone(), place, config, scope=scope, return_program=True)
        for _ in range(train):
            exe.run(learning, feed={feed: image.numpy()}, fetch_list=names)
        made = quanter.quant_aware(program, place, config, scope=scope, for_test=True)
        if freeze:
            made = quanter.convert(made, place, config, scope=scope)
        block, place = made.global_block(), out + "/" + "-".join(map(str, [*config.values(), freeze][1:]))
        values = [block.var(name) for name in names]
        paddle.static.save_inference_model(place + "/model", [block.var(feed)], values, exe, program=made)
        program, _, fetched = paddle.static.load_inference_model(place + "/model", exe)
        (output,) = exe.run(program, feed={feed: image.numpy()}, fetch_list=fetched)
        numpy.savez(place + "/expected.npz", image=image.numpy(), output=output)

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
for i, (factor, mode) in enumerate([(2, "nearest"), ([2.0, 3.0], "bilinear")]):
    enlarged, small = Enlarged(factor, mode), image[:, :, :8, :8]
    save(enlarged, out + f"/enlarged{i}/new/inference", [None, 3, None, None])
    numpy.savez(out + f"/enlarged{i}/expected.npz", image=small.numpy(), output=enlarged(small).numpy())
    with paddle.pir_utils.OldIrGuard():
        save(enlarged, out + f"/enlarged{i}/old/inference", [None, 3, None, None])
quantizable = Quantizable()
with paddle.pir_utils.OldIrGuard():
    save(network, out + "/old/inference", [None, 3, 64, 64])
    save(quantizable, out + "/float/inference", [None, 3, 64, 64])
    paddle.enable_static()
    exe = paddle.static.Executor(paddle.CPUPlace())
    program, *_ = paddle.static.load_inference_model(out + "/old/inference", exe)
    kept = paddle.static.io.is_persistable
    paddle.static.io.save_vars(exe, out + "/apart", main_program=program, predicate=kept)
    for freeze in (False, True):
        quantized({"onnx_format": False}, freeze, train=50)
    quantized({"onnx_format": True}, True, train=50)
    tensors = {"weight_quantize_type": "abs_max", "activation_quantize_type": "range_abs_max"}
    quantized({"onnx_format": False, **tensors}, True, train=50)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("paddle")
    script = directory / "save.py"  # Paddle reads the source of layers from their file
    script.write_text(_SAVE)
    command = [sys.executable, "-W", "ignore", str(script), str(directory)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return directory


def assert_same(model, expected):
    expected = np.load(expected)
    (output,) = (
        get_runtime("onnxruntime").open(model, optimize=False).run({"image": expected["image"]}).values()
    )
    largest = abs(expected["output"]).max()
    np.testing.assert_allclose(output, expected["output"], rtol=1e-4, atol=1e-4 * largest)


@needs_paddle
@pytest.mark.parametrize("form", ["new", "old"])
@pytest.mark.parametrize("case", [0, 1])
def test_interpolation_by_a_factor_is_read(saved, form, case):
    assert_same(load(saved / f"enlarged{case}" / form), saved / f"enlarged{case}" / "expected.npz")


@needs_paddle
def test_the_old_forms_are_read(saved, tmp_path):
    together, named = tmp_path / "together", tmp_path / "named"
    for place, program, weights in ((together, "__model__", "__params__"), (named, "model", "params")):
        place.mkdir()
        shutil.copy(saved / "old/inference.pdmodel", place / program)
        shutil.copy(saved / "old/inference.pdiparams", place / weights)
    apart = shutil.copytree(saved / "apart", tmp_path / "apart")
    shutil.copy(saved / "old/inference.pdmodel", apart / "__model__")
    files = PaddleFiles.named(named, "model", "params")
    for model in (together, together / "__model__", apart, apart / "__model__", files):
        assert_same(load(model), saved / "expected.npz")


@needs_paddle
@pytest.mark.parametrize(
    "place", ["False-False", "False-True", "True-True", "False-abs_max-range_abs_max-True"]
)
def test_a_model_that_paddleslim_has_quantized_keeps_its_scales(saved, place):
    model = load(saved / place)
    assert is_quantized(model)
    constants = [tensor for tensor in read(model) if tensor.constant]
    assert [tensor.params.qtype.storage for tensor in constants] == ["int8"] * 3
    per_channel = "abs_max" not in place
    assert [tensor.params.scale.shape for tensor in constants] == (
        [(8,), (8,), (5,)] if per_channel else [()] * 3
    )
    assert sum(not tensor.constant for tensor in read(model)) >= 3
    assert_same(model, saved / place / "expected.npz")


def test_factors_of_interpolation_become_float32():
    double = [{"#": "0.a_f64", "D": 2.0}]
    attributes = [{"N": "scale", "AT": {"#": "0.a_array", "D": double}}, {"N": "other", "AT": {"D": double}}]
    program = {"ops": [{"#": "1.nearest_interp", "A": attributes}, {"#": "1.full", "A": [{"N": "scale"}]}]}
    single_precision(program)
    read_back = program["ops"][0]["A"]
    assert read_back[0]["AT"]["D"] == [{"#": "0.a_f32", "D": 2.0}]
    assert read_back[1]["AT"]["D"] == double


def test_scales_are_put_back():
    model = build(
        """net (float[1,2] x) => (float[1,3] y) {
            c = Clip(x, low, high)  r = Clip(c, zero, six)  y = MatMul(r, w) }""",
        low=np.float32(-64),
        high=np.float32(63.5),
        zero=np.float32(0),
        six=np.float32(6),
        w=np.array([[0.5, 2, -3], [1, 0, 3]], np.float32),
    )
    quantize_again(model, {"w": ([0.5, 1.0, 1.0], 1)})
    assert [node.op_type for node in model.graph] == [
        "QuantizeLinear", "DequantizeLinear", "Clip", "DequantizeLinear", "MatMul",
    ]  # fmt: skip
    activation, weight = read(model)
    assert (float(activation.params.scale), weight.params.axis) == (0.5, 1)
    assert model.graph.initializers["w_q"].const_value.numpy().tolist() == [[1, 2, -3], [2, 0, 3]]
    session = get_runtime("onnxruntime").open(model, optimize=False)
    (y,) = session.run({"x": np.array([[0.7, 100]], np.float32)}).values()
    assert y.tolist() == [[6.25, 1, 16.5]]  # 0.7 is 0.5, and 100 is 63.5, of which Relu6 leaves 6
    with pytest.raises(ModelError, match="the weight 'v' of the quantized Paddle model is not in"):
        quantize_again(model, {"v": (1.0, None)})


def test_files_of_any_name(tmp_path):
    touched(tmp_path, "model", "params", "net.pdmodel", "net.pdiparams", "__model__")
    named = PaddleFiles.named
    assert named(tmp_path, "model", "params") == PaddleFiles(tmp_path / "model", tmp_path / "params")
    assert named(tmp_path, "net.pdmodel", None).parameters == tmp_path / "net.pdiparams"
    assert named(tmp_path, None, None) == PaddleFiles(tmp_path / "__model__", tmp_path)
    assert find_paddle(tmp_path / "__model__") == PaddleFiles(tmp_path / "__model__", tmp_path)
    touched(tmp_path, "__params__")
    assert find_paddle(tmp_path / "__model__").parameters.name == "__params__"
    for names, option in ((("modle", None), "--model-filename"), (("model", "p"), "--params-filename")):
        with pytest.raises(
            ModelError, match=rf"no such model file: .*; give {option}. In .* there are: __model__"
        ):
            named(tmp_path, *names)
    with pytest.raises(ModelError, match="is no directory"):
        named(tmp_path / "model", "a", "b")


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
