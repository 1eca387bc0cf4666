"""Training of models that take pixels: the module beside its exported model on the runtimes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

import tinyint
from tests.models import image_classifier
from tests.processor import OPENVINO_TARGET, ORT_TARGET
from tinyint.data import Preprocessing
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError, RecipeError, TargetError
from tinyint.metadata import FOLDED
from tinyint.qat.pixels import nearest_pixels
from tinyint.qat.qat_module import QatModule
from tinyint.qat.settings import QatSettings
from tinyint.quantization import qdq
from tinyint.runtimes import get_runtime

IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), color="BGR")
LITE = Preprocessing(scale=1.0, mean=(127.0,), std=(128.0,))
FOLDING = {"fold_preprocessing": True}
PIXELS = np.random.default_rng(1).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
openvino = pytest.param(
    OPENVINO_TARGET,
    "openvino",
    marks=pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO"),
)


def images(declared: Preprocessing) -> np.ndarray:
    return np.stack([declared.scaled(image) for image in PIXELS])


def prepared(declared: Preprocessing, target: str = ORT_TARGET, **options: object) -> QatModule:
    given: dict[str, Any] = {"recipe": FOLDING, "target": target, "preprocessing": declared, **options}
    return tinyint.qat.prepare(image_classifier(), images(declared), **given)


def trained(module: QatModule, given: np.ndarray) -> QatModule:
    """After a few steps towards other outputs."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    wanted = torch.from_numpy(np.random.default_rng(4).normal(size=(12, 5)).astype(np.float32))
    losses = []
    for _ in range(6):
        loss = (module.train()(torch.from_numpy(given)) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    return module.eval()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("declared", [IMAGENET, LITE], ids=["imagenet", "lite"])
def test_every_pixel_comes_back(declared: Preprocessing, layout: str):
    declared = declared.changed(layout=layout)
    given = torch.from_numpy(images(declared))
    assert np.array_equal(nearest_pixels(given, declared).numpy(), PIXELS)
    assert np.array_equal(nearest_pixels(given + 0.4 / 128, declared).numpy(), PIXELS)
    assert nearest_pixels(given + 100, declared).unique().tolist() == [255]


@pytest.mark.parametrize("declared", [IMAGENET, LITE], ids=["imagenet", "lite"])
@pytest.mark.parametrize(("target", "runtime"), [(ORT_TARGET, "onnxruntime"), openvino])
def test_the_exported_model_computes_as_the_module(declared: Preprocessing, target: str, runtime: str):
    given = images(declared)
    module = trained(prepared(declared, target), given)
    model = tinyint.qat.export(module)
    (taken,) = model.graph.inputs
    assert (taken.dtype, taken.shape) == (ir.DataType.UINT8, ir.Shape(["N", 16, 16, 3]))
    assert not any(tensor.name.startswith("image") for tensor in qdq.read(model))  # the pixels are the codes
    found = get_runtime(runtime).open(model, threads=1).run({"image": PIXELS})["logits"]
    with torch.no_grad():
        ours = module(torch.from_numpy(given)).numpy()
        assert torch.equal(module(torch.from_numpy(PIXELS)), torch.from_numpy(ours))
    lsb = np.ptp(ours) / 255
    assert np.abs(found - ours).max() < 0.05 * lsb  # no code differs: what is left is the rounding of float32
    for path in get_runtime(runtime).executed(model):
        assert path.int8 or not path.op.endswith(("Conv", "Convolution"))


def test_the_model_says_what_it_takes():
    model = tinyint.qat.export(prepared(IMAGENET))
    assert saved_preprocessing(model.metadata_props) == Preprocessing(scale=1.0, layout="NHWC")
    assert Preprocessing.from_yaml(model.metadata_props[FOLDED]) == IMAGENET


def test_pixels_stay_the_codes_whatever_is_learned():
    module = prepared(LITE, settings=QatSettings(activations="lsq"))
    held = trained(module, images(LITE)).activations["image/channels_first"].qparams()
    assert (float(held.scale), int(held.zero_point)) == (1 / 128, 127)


def test_the_teacher_takes_preprocessed_images():
    module = prepared(IMAGENET, settings=QatSettings(teacher=True)).train()
    given = torch.from_numpy(images(IMAGENET))
    outputs = module(given)
    assert 0 < float(module.distillation_loss(outputs, given).detach()) < 0.05


def test_a_declared_preprocessing_may_be_given_beside_a_record():
    record = tinyint.api.calibrate(image_classifier(), images(LITE))
    module = tinyint.qat.prepare(image_classifier(), record, recipe=FOLDING, preprocessing=LITE)
    assert module.origin.pixels is not None
    assert module.origin.pixels.preprocessing == LITE
    with pytest.raises(DataError, match="none is declared"):
        tinyint.qat.prepare(image_classifier(), record, recipe=FOLDING)
    with pytest.raises(RecipeError, match="`preprocessing` has no effect"):
        tinyint.qat.prepare(image_classifier(), record, preprocessing=LITE)


def test_for_a_target_with_other_codes_it_is_refused():
    module = prepared(LITE, "x86-vnni")
    assert FOLDED in tinyint.qat.export(module, target="x86-vnni").metadata_props
    with pytest.raises(TargetError, match="as the codes of x86-vnni, and those of tensorrt are others"):
        tinyint.qat.export(module, target="tensorrt")


@pytest.mark.filterwarnings("ignore:the module was trained for")
def test_for_a_target_with_the_same_codes_it_is_exported():
    model = tinyint.qat.export(prepared(LITE, "x86-vnni"), target="arm64")
    assert model.graph.inputs[0].dtype == ir.DataType.UINT8


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recipe": {"fold_preprocessing": "resize"}}, "takes images that are resized already"),
        ({"settings": QatSettings(batch_norm="trained")}, 'does not go with batch_norm="trained"'),
        ({"target": "tensorrt"}, "tensorrt has no operators on bytes"),
    ],
)
def test_what_training_cannot_fold(options: dict[str, Any], told: str):
    with pytest.raises(RecipeError) as error:
        tinyint.qat.prepare(
            image_classifier(), images(LITE), **({"recipe": FOLDING, "preprocessing": LITE} | options)
        )
    assert told in " ".join(str(error.value).split())


def test_it_is_evaluated_on_pixels():
    module = prepared(IMAGENET).eval()
    with torch.no_grad():
        labels = module(torch.from_numpy(images(IMAGENET))).argmax(1).numpy()
    pairs = [(image[None], int(label)) for image, label in zip(PIXELS, labels, strict=True)]
    assert tinyint.evaluate(module, pairs, task="classification").metrics["top1"] == 1.0
