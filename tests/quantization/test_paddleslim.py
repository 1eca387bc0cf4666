from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.errors import RecipeError
from tinyint.quantization.paddleslim import recipe_from_paddleslim, training_from_paddleslim
from tinyint.quantization.paddleslim.tables import OPERATORS
from tinyint.quantization.recipe import Activations, Recipe, Rule, Weights, match_rules, read_yaml
from tinyint.quantization.recipe_source import resolve_recipe, resolve_training

# as in PaddleSlim's own demos of quant_aware
AWARE = {
    "weight_quantize_type": "channel_wise_abs_max",
    "activation_quantize_type": "moving_average_abs_max",
    "weight_bits": 8,
    "activation_bits": 8,
    "not_quant_pattern": ["skip_quant"],
    "quantize_op_types": ["conv2d", "depthwise_conv2d", "mul"],
    "dtype": "int8",
    "window_size": 10000,
    "moving_rate": 0.9,
    "for_tensorrt": False,
    "is_full_quantize": False,
}


def test_the_config_of_quant_aware():
    recipe, notes = recipe_from_paddleslim(AWARE)
    assert recipe == Recipe(
        name="paddleslim",
        calibration="moving_average",
        activations=Activations(symmetric=True),
        weights=Weights(granularity="per_channel"),
        op_types=("Conv", "Gemm", "MatMul"),
        skip=("*skip_quant*",),
        unmatched="warn",
        samples="all",
    )
    assert notes == ["`window_size: 10000` is not honoured: the largest value is taken over all samples."]


def test_the_arguments_of_quant_post_static():
    recipe, notes = recipe_from_paddleslim(
        {
            "model_dir": "./inference",
            "batch_size": 32,
            "batch_nums": 10,
            "algo": "hist",
            "hist_percent": 0.9999,
            "weight_quantize_type": "abs_max",
            "quantizable_op_type": ["conv2d", "elementwise_add", "pool2d"],
            "is_use_cache_file": True,
            "bias_correction": False,
        }
    )
    assert (recipe.calibration, recipe.percentile, recipe.samples) == ("percentile", 99.99, 320)
    assert recipe.weights.granularity == "per_tensor"
    assert recipe.op_types == ("Conv", "Add", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
    assert [note.split(":")[0] for note in notes] == ["`model_dir", "`is_use_cache_file"]


def test_conv2d_excludes_depthwise_convolutions_and_the_other_way_round():
    nodes = [("a", ("Conv",)), ("b", ("Conv", "DepthwiseConv"))]
    plain, _ = recipe_from_paddleslim({"quantize_op_types": ["conv2d"]})
    assert plain.op_types == ("Conv",)
    assert match_rules(plain, nodes) == {"b": Rule(op_type="DepthwiseConv", float=True)}
    depthwise, _ = recipe_from_paddleslim({"quantize_op_types": ["depthwise_conv2d"]})
    assert depthwise.op_types == ("DepthwiseConv",)
    assert match_rules(depthwise, nodes) == {}
    both, _ = recipe_from_paddleslim({"quantize_op_types": ["depthwise_conv2d", "conv2d"]})
    assert (both.op_types, both.rules) == (("Conv",), ())
    layers, _ = recipe_from_paddleslim({"quantizable_layer_type": ["Conv2D", "Linear"]})
    assert (layers.op_types, layers.rules) == (("Conv", "Gemm", "MatMul"), ())


@pytest.mark.parametrize(
    ("pattern", "name", "skipped"),
    [
        ("yolo_output", "/head/yolo_output.0/Conv", True),
        ("yolo_output", "/head/yolo/output/Conv", False),
        (["a", "head[0]"], "/head[0]/Conv", True),
        ("head[0]", "/head0/Conv", False),
        ("conv*", "/conv1/Conv", False),
    ],
)
def test_not_quant_pattern_is_found_anywhere_in_a_name_and_taken_literally(pattern, name, skipped, recwarn):
    recipe, _ = recipe_from_paddleslim({"not_quant_pattern": pattern})
    assert (name in match_rules(recipe, [(name, ("Conv",))])) == skipped


@pytest.mark.parametrize(
    ("algo", "calibration"),
    [
        ("KL", "kl"),
        ("hist", "percentile"),
        ("avg", "average"),
        ("mse", "mse"),
        ("emd", "emd"),
        ("abs_max", "absmax"),
        ("direct", "absmax"),
        ("min_max", "minmax"),
    ],
)
def test_every_algorithm_has_its_counterpart(algo, calibration):
    recipe, notes = recipe_from_paddleslim({"algo": algo, "activation_quantize_type": "range_abs_max"})
    assert recipe.calibration == calibration
    assert notes == []


@pytest.mark.parametrize(
    ("config", "op_types"),
    [({"is_full_quantize": True}, "all"), ({}, "default"), ({"for_tensorrt": True}, None)],
)
def test_which_operators(config, op_types):
    recipe, notes = recipe_from_paddleslim(config)
    if op_types is None:
        assert {"Conv", "Gemm", "Add", "LeakyRelu", "MaxPool"} < set(recipe.op_types)
        assert "tensorrt" in notes[0]
    else:
        assert recipe.op_types == op_types


def test_operators_of_full_quantization_are_all_known():
    names = """
        conv2d depthwise_conv2d conv2d_transpose mul matmul matmul_v2 pool2d elementwise_add elementwise_sub concat
        softmax argmax transpose transpose2 equal gather greater_equal greater_than less_equal less_than mean not_equal
        reshape reshape2 bilinear_interp nearest_interp trilinear_interp slice squeeze relu relu6 leaky_relu prelu tanh
        swish
    """
    assert set(names.split()) <= set(OPERATORS)


def test_weights_alone():
    recipe, notes = recipe_from_paddleslim({"quant_weight_only": True, "weight_bits": 16, "algo": "KL"})
    assert (recipe.method, recipe.weights.bits) == ("weight_only", 16)
    assert notes == ["`algo: 'KL'` is not honoured: activations stay in float."]
    assert recipe_from_paddleslim({"generate_test_model": False})[0].method == "weight_only"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"algo": "ptf"}, "algo"),
        ({"algo": "KL", "hist_percent": 0.9999}, "hist_percent"),
        ({"weight_bits": 4}, "weight_bits"),
        ({"activation_bits": 16}, "activation_bits"),
        ({"moving_rate": 0.99}, "moving_rate"),
        ({"round_type": "adaround"}, "round_type"),
        ({"onnx_format": False}, "onnx_format"),
        ({"dtype": "uint8"}, "dtype"),
        ({"bias_correction": True}, "bias_correction"),
        ({"use_pact": True}, "use_pact"),
        ({"weight_quantize_type": "range_abs_max"}, "weight_quantize_type"),
        ({"batch_size": 10}, "batch_size"),
        ({"batch_nums": 10}, "batch_nums"),
    ],
)
def test_what_cannot_be_honoured_is_named(config, key):
    _, notes = recipe_from_paddleslim(config)
    assert len(notes) == 1
    assert notes[0].startswith(f"`{key}: {config[key]!r}` is not honoured: ")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"weight_quantise_type": "abs_max"},
            r"unknown key 'weight_quantise_type'; did you mean 'weight_quantize_type'",
        ),
        ({"quantize_op_types": ["conv2D"]}, r"unknown operator 'conv2D'; did you mean .*'conv2d'"),
        ({"algo": "KLD"}, "algo: got 'KLD', expected KL, hist"),
        ({"algo": ["KL"]}, "algo: got"),
        (
            {"weight_quantize_type": "absmax"},
            "weight_quantize_type: got 'absmax', expected channel_wise_abs_max",
        ),
        ({"activation_quantize_type": 3}, "activation_quantize_type: got 3, expected abs_max"),
        ({"weight_bits": "8"}, "weight_bits: got '8', expected a number of bits from 1 to 16"),
        ({"is_full_quantize": "yes"}, "is_full_quantize: got 'yes', expected true or false"),
        ({"not_quant_pattern": 3}, "not_quant_pattern: got 3, expected a name or a list of names"),
        ({"algo": "hist", "hist_percent": 99.9}, "hist_percent: got 99.9, expected a share"),
        ({"batch_nums": 0}, "batch_nums: got 0, expected a number above 0"),
        ({"Global": {}}, "expected a section `Quantization` or `QuantPost`, found none"),
        (
            {"Quantization": {}, "Distilation": {}},
            "unknown section 'Distilation'; did you mean 'Distillation'",
        ),
        ({"Quantization": 5}, "Quantization: got 5, expected a mapping of keys"),
    ],
)
def test_a_wrong_config_is_refused(config, message):
    with pytest.raises(RecipeError, match=f"^PaddleSlim config: {message}"):
        recipe_from_paddleslim(config)


def test_the_yaml_of_automatic_compression(tmp_path):
    path = tmp_path / "qat.yaml"
    path.write_text(
        """
Global:
  model_dir: ./model
Distillation:
  alpha: 1.0
Quantization:
  use_pact: true
  activation_quantize_type: 'moving_average_abs_max'
  quantize_op_types:
  - conv2d
  - depthwise_conv2d
TrainConfig:
  epochs: 1
"""
    )
    recipe, notes = recipe_from_paddleslim(path)
    assert (recipe.calibration, recipe.op_types) == ("moving_average", ("Conv",))
    assert len(notes) == 4
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot be read"):
        recipe_from_paddleslim(tmp_path / "none.yaml")


values = (
    st.none()
    | st.booleans()
    | st.integers(-1, 20)
    | st.floats()
    | st.text(max_size=4)
    | st.lists(st.text(max_size=3))
)


@given(
    config=st.dictionaries(
        st.sampled_from([*AWARE, "algo", "hist_percent", "batch_nums", "batch_size", "quant_weight_only"]),
        st.sampled_from(["KL", "hist", "abs_max", ["conv2d"], True, 8, 16]) | values,
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_a_config_becomes_a_recipe_or_a_recipe_error(config):
    try:
        recipe, notes = recipe_from_paddleslim(config)
    except RecipeError:
        return
    assert Recipe.parse(read_yaml(recipe.dump(), "dump")) == recipe
    assert all(note.endswith(".") for note in notes)
    assert recipe_from_paddleslim(yaml.safe_load(yaml.safe_dump(config)))[0] == recipe


@pytest.mark.parametrize(
    ("config", "training"),
    [
        (AWARE, {"activations": "moving_average_absmax", "rate": 0.9}),
        (AWARE | {"moving_rate": 0.99}, {"activations": "moving_average_absmax", "rate": 0.99}),
        (AWARE | {"activation_quantize_type": "abs_max"}, {"activations": "absmax"}),
        (
            AWARE | {"activation_quantize_type": "range_abs_max", "window_size": 7},
            {"activations": "range_absmax", "window": 7},
        ),
        (
            AWARE | {"activation_preprocess_type": "PACT", "weight_preprocess_type": None},
            {"activations": "pact"},
        ),
        ({"use_pact": True, "quant_post_first": True, "fuse_conv_bn": True}, {"activations": "pact"}),
        (
            AWARE | {"scale_trainable": False},
            {"activations": "moving_average_absmax", "rate": 0.9, "freeze_after": 0},
        ),
        ({"quantize_op_types": ["conv2d"]}, {}),
    ],
)
def test_what_a_config_says_of_training(config, training):
    recipe, said, notes = training_from_paddleslim(config)
    assert (said, notes) == (training, [])
    assert recipe.samples == 128  # training data are many; ranges move on from where they start
    assert recipe.model_copy(update={"samples": "all"}) == recipe_from_paddleslim(config)[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"moving_rate": 1}, "moving_rate: got 1, expected a number from 0 to below 1"),
        ({"window_size": 0}, "window_size: got 0, expected a number above 0"),
        ({"use_pact": "yes"}, "use_pact: got 'yes', expected true or false"),
        ({"activation_preprocess_type": "clip"}, "activation_preprocess_type: got 'clip', expected PACT"),
    ],
)
def test_what_training_cannot_take_is_refused(config, message):
    with pytest.raises(RecipeError, match=message):
        training_from_paddleslim(config)


def test_what_training_has_no_counterpart_for_is_named():
    _, _, notes = training_from_paddleslim(
        {"epochs": 2, "weight_preprocess_type": "PACT", "moving_rate": 0.5}
    )
    assert notes == [
        "`epochs: 2` is not honoured: a training run has keys of its own for it.",
        "`weight_preprocess_type: 'PACT'` is not honoured: nothing here does the same.",
    ]


def test_the_config_of_a_detector():
    config = {
        "pretrain_weights": "https://x/y.pdparams",
        "slim": "QAT",
        "QAT": {"quant_config": AWARE, "print_model": True},
        "LearningRate": {"base_lr": 0.1},
    }
    recipe, training, notes = training_from_paddleslim(config)
    assert (recipe, training) == training_from_paddleslim(AWARE)[:2]
    assert [note.split("`")[1] for note in notes] == ["pretrain_weights", "slim", "LearningRate"]


DEMO = f"""
import paddle.fluid as fluid  # is not installed

OTHER = dict(a=1)

def compress(args):
    # as in PaddleSlim's demos
    quant_config = {AWARE!r}
    fluid.run(quant_config)
"""


def test_a_python_file_that_assigns_the_config_is_read_and_not_run(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(DEMO)
    assert recipe_from_paddleslim(path) == recipe_from_paddleslim(AWARE)
    assert resolve_recipe(str(path))[0] == resolve_recipe(f"{path}:quant_config")[0]
    assert resolve_training(path)[1] == {"activations": "moving_average_absmax", "rate": 0.9}
    path.write_text(
        DEMO + f"\nclass A:\n    config: dict = dict(**{AWARE!r})\nconfig = dict(weight_bits=8)\n"
    )
    with pytest.raises(
        RecipeError, match=r"train\.py: holds several configs, quant_config \(line 8\), config"
    ):
        recipe_from_paddleslim(path)
    assert recipe_from_paddleslim(f"{path}:quant_config") == recipe_from_paddleslim(AWARE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1", r"assigns no dict of PaddleSlim's keys"),
        ("def (", r"line 1: not Python: invalid syntax"),
        (
            "c = {'weight_bits': args.bits}",
            r"line 1: c\['weight_bits'\] is computed \(args.bits\), and",
        ),
        ("c = {**base, 'weight_bits': 8}", r"c\[\*\*\] is computed \(base\)"),
        ("c = {'weight_bits': 8, 'lol': 3}", r"unknown key 'lol'"),
    ],
)
def test_a_python_file_without_a_config_is_refused(text, message, tmp_path):
    path = tmp_path / "train.py"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        resolve_recipe(path)
    with pytest.raises(RecipeError, match=r"assigns no config to 'other'|not Python"):
        resolve_recipe(f"{path}:other")
    with pytest.raises(RecipeError, match=r"none\.py: cannot be read: No such file"):
        resolve_recipe(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("config", "samples"),
    [
        ({"algo": "KL"}, "all"),  # as quant_post_static, which reads the whole generator
        ({"algo": "KL", "batch_nums": 10, "batch_size": 4}, 40),
        ({"algo": "KL", "batch_size": 4}, "all"),
    ],
)
def test_without_a_number_of_batches_all_samples_calibrate(config, samples):
    assert recipe_from_paddleslim(config)[0].samples == samples
