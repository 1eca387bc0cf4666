"""Quantization-aware training of an ONNX file alone: without its source, without labels, with 100 images.

The network is the one that ships with the package, made hostile: the channels of its bottlenecks are multiplied by
random powers of two, and the weights that read them divided. In float this changes nothing, not one bit. With one scale
for all weights of a layer, as some accelerators have it, post-training quantization then fails. Two remedies: the step
`equalize`, which finds the factors again in the weights alone, and training, with the float graph as the teacher.

    python examples/qat_onnx_alone.py

takes half a minute on two cores.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

import tinyint
from tinyint import qat
from tinyint.extras.demo import demo_data, demo_model_path
from tinyint.graph.io import load_model, save_model
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import sqnr_db

TARGET = "x86-vnni"
RECIPE = tinyint.Recipe.load("default").with_settings(["weights.granularity=per_tensor", "samples=100"])
EQUALIZED = RECIPE.with_settings(["steps=[equalize]"])
EPOCHS, BATCH, RATE = 10, 20, 2e-5


def make_hostile(model: ir.Model, spread: float, seed: int = 0) -> ir.Model:
    """The same function, with the channels between linear layers scaled by 2^round(N(0, spread))."""
    model = prepare(model)
    generator = np.random.default_rng(seed)
    factors: dict[str, np.ndarray] = {}  # by the name of the tensor; those that an Add joins have the same

    for node in model.graph:
        if node.op_type == "Add":
            shared = next((factors[v.name] for v in node.inputs if v.name in factors), None)
            channels = node.outputs[0].shape[1]
            shared = 2.0 ** np.rint(generator.normal(0, spread, channels)) if shared is None else shared
            factors.update(dict.fromkeys((v.name for v in (*node.inputs, *node.outputs)), shared))
    for node in model.graph:
        if node.op_type != "Conv":
            continue
        data, weight, bias = node.inputs
        out = node.outputs[0].name
        if data.name in factors:  # what reads scaled channels divides by them
            scale(weight, 1.0 / factors[data.name][None, :, None, None])
        if out in factors:
            scale(weight, factors[out][:, None, None, None])
            scale(bias, factors[out])
    return model


def scale(constant: ir.Value, factor: np.ndarray) -> None:
    array = constant.const_value.numpy() * factor.astype(np.float32)
    constant.const_value = ir.tensor(array, name=constant.name)


def test_logits(model: ir.Model | Path) -> np.ndarray:
    """What the model, run by its runtime, makes of the test images: (N, 10)."""
    images, _ = demo_data("test")
    session = tinyint.open(model)
    return np.concatenate([session.run({"input": image[None]})["logits"] for image in images])


def main() -> None:
    start = time.perf_counter()
    images, _ = demo_data("calibration")  # the labels stay unread
    folder = Path(tempfile.mkdtemp())
    float_file = folder / "hostile.onnx"
    save_model(make_hostile(load_model(demo_model_path()), spread=2.0), float_file)

    # From here on there is nothing but the file and the images.
    ptq, equalized = (
        tinyint.quantize(float_file, images, recipe=recipe, target=TARGET, verify=False).model
        for recipe in (RECIPE, EQUALIZED)
    )

    torch.manual_seed(0)
    module = qat.prepare(
        float_file, images, recipe=EQUALIZED, target=TARGET, settings=qat.QatSettings(teacher=True)
    )
    optimizer = torch.optim.Adam(module.parameter_groups(lr=RATE))
    steps = EPOCHS * math.ceil(len(images) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            x = torch.tensor(images[batch.numpy()])
            optimizer.zero_grad()
            loss = module.distillation_loss(module(x), x)
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1:2} of {EPOCHS}: loss {loss.item():.4f}", flush=True)
    int8_file = folder / "hostile.int8.onnx"
    save_model(qat.export(module.eval()), int8_file)

    print(f"\n{'model':<42}accuracy   SQNR to float on 450 test images")
    rows = {
        "float, as it ships": demo_model_path(),
        "float, hostile": float_file,
        "int8, post-training": ptq,
        "int8, equalized": equalized,
        "int8, equalized, trained without labels": int8_file,
    }
    _, labels = demo_data("test")
    reference = test_logits(demo_model_path())
    for name, model in rows.items():
        logits = test_logits(model)
        right = (logits.argmax(axis=1) == labels).mean()
        print(f"{name:<42}{right:>8.1%}{sqnr_db(reference, logits):>10.1f} dB")
    print(f"\n{int8_file} ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
