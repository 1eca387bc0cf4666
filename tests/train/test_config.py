"""Keys, defaults, mistakes."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from tinyint.errors import RecipeError
from tinyint.train import TrainingConfig, config_keys, dump_config, load_config, parse_config

LEAST = {"model": "mobilenet_v2", "data": {"train": "images/"}}


def test_a_name_alone_is_a_model():
    config = parse_config(LEAST)
    assert config.model.source == "mobilenet_v2"
    assert config.batch_size == 32


def test_overrides_reach_any_depth_and_come_last():
    overrides = ["optimizer.learning_rate=0.5", "model.arguments.width=0.25", "optimizer.learning_rate=0.25"]
    config = parse_config(LEAST, [*overrides, "data.augment.flip=true", "quantization.recipe.calibration=kl"])
    assert config.optimizer.learning_rate == 0.25
    assert config.model.source == "mobilenet_v2"
    assert config.model.arguments == {"width": 0.25}
    assert config.data.augment.flip is True
    assert config.quantization.resolved()[0].calibration == "kl"


def test_what_is_dumped_reads_back():
    config = parse_config(LEAST, ["quantization.training.activations=lsq", "model.input=[1, 8, 8]"])
    assert parse_config(yaml.safe_load(dump_config(config))) == config


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimiser.name=sgd", "did you mean 'optimizer"),
        ("optimizer.lr=1", "unknown key 'optimizer.lr'"),
        ("optimizer.name=lamb", "optimizer.name: got 'lamb', expected 'sgd', 'adam' or 'adamw'"),
        ("schedule.name=milestones", "needs `milestones`, the iterations of the falls, such as [10000]"),
        ("schedule.milestones=[5, 3]", "`milestones` must rise, got [5, 3]"),
        ("iters=0", "iters: got 0"),
        ("iters", "expected KEY=VALUE"),
        ("schedule.name=step", "needs `step`"),
        ("devices=3", "batch_size 32 is no multiple of the 3 devices"),
        ("quantization.training.teacher=true", "loss.teacher"),
        ("quantization.training.weights=pact", "quantization.training"),
        ("data=images", "data: got 'images'"),
    ],
)
def test_a_mistake_is_named_with_its_key(override: str, told: str):
    with pytest.raises(RecipeError, match=r"config|override") as caught:
        parse_config(LEAST, [override])
    assert told in str(caught.value)


def test_a_run_ends_after_iterations_or_epochs_whichever_was_said_last():
    assert parse_config(LEAST, ["epochs=3", "batch_size=8"]).iterations(20) == 8  # 60 samples
    assert parse_config(LEAST | {"iters": 5}, ["epochs=3"]).iterations(32) == 3
    assert parse_config(LEAST | {"epochs": 5}, ["iters=3"]).iterations(32) == 3
    with pytest.raises(RecipeError, match="`iters` and `epochs` both say when the run ends"):
        parse_config(LEAST | {"epochs": 5, "iters": 3})


def test_a_missing_key_and_an_unknown_one_in_a_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model: {source: a.onnx}\ndata: {val: x}\nlose: {}\n")
    with pytest.raises(RecipeError) as caught:
        load_config(path)
    told = str(caught.value)
    assert "run.yaml" in told
    assert "'data.train' is missing" in told
    assert "did you mean 'loss'" in told


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"none.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_every_key_is_listed_once_with_type_and_meaning():
    def count(model: type[BaseModel]) -> int:
        kinds = [field.annotation for field in model.model_fields.values()]
        return sum(count(k) if isinstance(k, type) and issubclass(k, BaseModel) else 1 for k in kinds)

    keys = {key.name: key for key in config_keys()}
    assert len(keys) == count(TrainingConfig) - 1  # the teacher is asked for in the loss
    assert all(key.meaning and key.type for key in keys.values()), [
        k for k, v in keys.items() if not v.meaning
    ]
    assert keys["data.train"].default == "required"
    assert keys["optimizer.name"].type == "sgd or adam or adamw"
    assert keys["optimizer.learning_rate"].default == "0.01"
    assert keys["data.val"].type == "text or null"


def test_the_chapter_on_training_lists_every_key():
    chapter = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    for key in config_keys():
        default = key.default if key.default == "required" else f"`{key.default}`"
        assert f"| `{key.name}` | {key.type} | {default} | {key.meaning} |" in chapter


def test_the_example_is_valid():
    config = load_config(Path(__file__).parents[2] / "configs" / "digits.yaml")
    assert config.model.arguments["num_classes"] == 10
