"""Meaning of PaddleSlim's keys, operators and values here."""

from __future__ import annotations

_MATMUL = ("Gemm", "MatMul")
OPERATORS: dict[str, tuple[str, ...]] = {
    "conv2d": ("Conv",),
    "depthwise_conv2d": ("DepthwiseConv",),
    "conv2d_transpose": ("ConvTranspose",),
    "depthwise_conv2d_transpose": ("ConvTranspose",),
    "mul": _MATMUL,
    "matmul": _MATMUL,
    "matmul_v2": _MATMUL,
    "fc": _MATMUL,
    "pool2d": ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"),
    "elementwise_add": ("Add",),
    "elementwise_sub": ("Sub",),
    "elementwise_mul": ("Mul",),
    "concat": ("Concat",),
    "split": ("Split",),
    "softmax": ("Softmax",),
    "argmax": ("ArgMax",),
    "arg_max": ("ArgMax",),
    "transpose": ("Transpose",),
    "transpose2": ("Transpose",),
    "equal": ("Equal",),
    "not_equal": ("Equal",),  # exported as Equal and Not
    "gather": ("Gather",),
    "greater_equal": ("GreaterOrEqual",),
    "greater_than": ("Greater",),
    "less_equal": ("LessOrEqual",),
    "less_than": ("Less",),
    "mean": ("ReduceMean",),
    "reduce_mean": ("ReduceMean",),
    "reshape": ("Reshape",),
    "reshape2": ("Reshape",),
    "flatten2": ("Flatten",),
    "flatten_contiguous_range": ("Flatten",),
    "bilinear_interp": ("Resize",),
    "bilinear_interp_v2": ("Resize",),
    "nearest_interp": ("Resize",),
    "nearest_interp_v2": ("Resize",),
    "trilinear_interp": ("Resize",),
    "trilinear_interp_v2": ("Resize",),
    "slice": ("Slice",),
    "squeeze": ("Squeeze",),
    "squeeze2": ("Squeeze",),
    "unsqueeze2": ("Unsqueeze",),
    "pad2d": ("Pad",),
    "pad3d": ("Pad",),
    "relu": ("Relu",),
    "relu6": ("Clip",),
    "clip": ("Clip",),
    "leaky_relu": ("LeakyRelu",),
    "prelu": ("PRelu",),
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "swish": ("Sigmoid", "Mul"),
    "hard_swish": ("HardSwish",),
    "hard_sigmoid": ("HardSigmoid",),
    "gelu": ("Gelu",),
    "layer_norm": ("LayerNormalization",),
    "batch_norm": ("BatchNormalization",),
    "Conv2D": ("Conv", "DepthwiseConv"),  # layers, of `quantizable_layer_type`
    "Conv2DTranspose": ("ConvTranspose",),
    "Linear": _MATMUL,
}
TENSORRT = ("mul", "conv2d", "pool2d", "depthwise_conv2d", "elementwise_add", "leaky_relu")

ALGORITHMS: dict[str, str | None] = {
    "KL": "kl",
    "hist": "percentile",
    "avg": "average",
    "mse": "mse",
    "emd": "emd",
    "abs_max": "absmax",
    "direct": "absmax",
    "min_max": "minmax",
    "kl": "kl",
    "ptf": None,
}
ACTIVATIONS: dict[str, str | None] = {
    "abs_max": "absmax",
    "range_abs_max": "absmax",
    "moving_average_abs_max": "moving_average",
}
TRAINED = {
    "abs_max": "absmax",
    "range_abs_max": "range_absmax",
    "moving_average_abs_max": "moving_average_absmax",
}
"""The quantizers of activations in training."""
KNOWN_PREPROCESSING: dict[str, str | None] = {"PACT": "pact"}
HONOURED_IN_TRAINING = (
    "use_pact",
    "scale_trainable",
    "quant_post_first",  # ranges start from calibrated ones in any case
    "activation_preprocess_type",
    "fuse_conv_bn",  # as `batch_norm: folded` has it
    "window_size",
)
GRANULARITY: dict[str, str | None] = {
    "channel_wise_abs_max": "per_channel",
    "abs_max": "per_tensor",
    "range_abs_max": "per_tensor",
    "moving_average_abs_max": "per_tensor",
}

_REASONS = {
    "models, data and outputs are not part of a recipe": """
        executor place scope model_dir quantize_model_path save_model_dir model_filename params_filename
        save_model_filename save_params_filename batch_generator sample_generator data_loader""",
    "it belongs to training": """
        use_pact scale_trainable quant_post_first activation_preprocess_type fuse_conv_bn""",
    "a training run has keys of its own for it": "learning_rate epochs lr",
    "nothing here does the same": """
        weight_preprocess_type recon_level regions region_weights_names simulate_activation_quant""",
    "it is about Paddle's own program": """
        skip_tensor_list same_scale_tensor_list scale_dict freeze_model optimize_model return_graph deploy_backend""",
    "statistics are gathered as the data stream by, in constant memory": "is_use_cache_file cache_dir",
    "it changes weights by their own means; `steps: [correct_bias]` changes biases by the data": """
        bias_correction bias_correct""",
    "the int8 model itself is run to test it": "generate_test_model",
    "the largest value is taken over all samples": "window_size",
}
# What a recipe has no place for, with the reason; a key that is unset or off is passed over.
NOT_HONOURED = {key: why for why, keys in _REASONS.items() for key in keys.split()}
READ = (
    "weight_quantize_type",
    "activation_quantize_type",
    "weight_bits",
    "activation_bits",
    "quantize_op_types",
    "quantizable_op_type",
    "quantizable_layer_type",
    "not_quant_pattern",
    "algo",
    "hist_percent",
    "is_full_quantize",
    "batch_nums",
    "batch_size",
    "dtype",
    "moving_rate",
    "for_tensorrt",
    "round_type",
    "onnx_format",
    "quant_weight_only",
)
SECTIONS = ("Quantization", "QuantAware", "QuantPost", "QAT", "quant_config")
OTHER_SECTIONS = (
    "Global",
    "TrainConfig",
    "Distillation",
    "MultiTeacherDistillation",
    "HyperParameterOptimization",
    "Prune",
    "ChannelPrune",
    "ASPPrune",
    "UnstructurePrune",
    "TransformerPrune",
    "BaseConfig",
)
