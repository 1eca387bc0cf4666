"""The documentation holds what the code does: every option is described, every link resolves, every snippet runs."""

import re
import runpy
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import typer
import yaml

import tinyint
from tests.data.datafile.build import DECLARED, images, source, write
from tinyint import api
from tinyint.cli.app import app
from tinyint.data import Preprocessing, TextPreprocessing, parse_preprocessing
from tinyint.extras.demo import demo_data, demo_model_path
from tinyint.quantization.paddleslim import recipe_from_paddleslim
from tinyint.quantization.ranges import Algorithm
from tinyint.quantization.recipe import Activations, Recipe, Rule, Weights
from tinyint.quantization.recipe.steps import STEPS
from tinyint.runtimes import RUNTIMES
from tinyint.targets import TARGETS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CHAPTERS = [*sorted(DOCS.glob("*.md")), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING"))]
TEXT = {path.name: path.read_text(encoding="utf-8") for path in CHAPTERS}
TABLES = runpy.run_path(str(DOCS / "tables.py"))

# A line such as `<!-- run -->`, and the fenced block after it.
_MARKED = re.compile(r"<!-- ([a-z -]+) -->\n```\w+\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"^\$ (tinyint .*)$", re.MULTILINE)


def marked(kind):
    return [
        pytest.param(body, id=f"{name}-{i}")
        for name, text in TEXT.items()
        for i, (mark, body) in enumerate(_MARKED.findall(text))
        if mark == kind
    ]


def console_lines():
    return [
        pytest.param(line, id=f"{name}: {line[:60]}")
        for name, text in TEXT.items()
        for line in _CONSOLE.findall(text)
    ]


def run(code):
    """What the names of a snippet hold at its end; it runs in the working directory."""
    Path("snippet.py").write_text(code, encoding="utf-8")
    return runpy.run_path("snippet.py")


def commands(command, path=()):
    """(path, command) of every command that does something."""
    if hasattr(command, "commands"):
        for name in command.commands:
            yield from commands(command.get_command(None, name), (*path, name))
    else:
        yield path, command


ROOT_COMMAND = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT_COMMAND))


def section(path):
    """What command-line.md says of a command, and of the options that several have."""
    parts = re.split(r"^## ", TEXT["command-line.md"], flags=re.MULTILINE)
    found = {part.split("\n", 1)[0]: part for part in parts}
    assert path[0] in found, f"command-line.md has no section `## {path[0]}`"
    return found[path[0]]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_described(path):
    text = section(path)
    assert f"tinyint {' '.join(path)}" in text
    for parameter in COMMANDS[path].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("-") and option not in ("-h", "--help"):
                assert re.search(rf"{re.escape(option)}\b", text), f"{' '.join(path)} {option}"


@pytest.mark.parametrize("line", console_lines())
def test_every_printed_command_exists_with_its_options(line):
    _, *words = shlex.split(line, comments=True)
    words = words[: words.index(">")] if ">" in words else words
    command = ROOT_COMMAND
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, line
        command = command.get_command(None, words.pop(0))
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in words:
        assert not word.startswith("-") or word in known, f"{line}: no option {word}"


def test_every_setting_in_a_printed_command_is_one():
    seen = 0
    for text in TEXT.values():
        for line in _CONSOLE.findall(text):
            words = shlex.split(line, comments=True)
            preset = words[words.index("--recipe") + 1] if "--recipe" in words else "default"
            for option, setting in pairwise(words):
                if option == "--set":
                    Recipe.load(preset).with_settings([setting])
                    seen += 1
    assert seen > 5


def test_every_recipe_key_is_described():
    keys = [*Recipe.model_fields, *Rule.model_fields]
    keys += [f"activations.{key}" for key in Activations.model_fields]
    keys += [f"weights.{key}" for key in Weights.model_fields]
    for key in set(keys) - {"activations", "weights", "float"}:
        assert f"`{key}`" in TEXT["recipes.md"], key
    for preset in Recipe.presets():
        assert f"`{preset}`" in TEXT["recipes.md"], preset


@pytest.mark.parametrize("name", get_args(Algorithm))
def test_every_calibration_algorithm_is_described(name):
    assert f"| `{name}` |" in TEXT["numerics.md"]
    assert f"`{name}`" in TEXT["recipes.md"]


def test_every_preprocessing_key_is_described():
    for key in (*Preprocessing.model_fields, *TextPreprocessing.model_fields):
        assert f"| `{key}` |" in TEXT["data.md"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_section_with_its_table(target):
    text = TEXT["targets.md"]
    assert f"\n## {target}\n" in text
    assert f"<!-- table: target-{target} -->" in text
    assert f"`{target}`" in TEXT["command-line.md"]


def test_every_runtime_is_described():
    for name in RUNTIMES:
        assert f"runtime: {name}" in TEXT["targets.md"]


@pytest.mark.parametrize("chapter", TEXT)
def test_tables_are_up_to_date(chapter):
    assert TABLES["updated"](TEXT[chapter]) == TEXT[chapter], "run python docs/tables.py"


def test_every_operator_rule_is_in_a_table_with_its_source():
    table = "\n".join(TABLES["operator_table"](TARGETS["tensorrt"]))
    for name, rule in TARGETS["tensorrt"].operators.items():
        row = next(
            line for line in table.splitlines() if name in line.split("|")[1].replace(",", " ").split()
        )
        assert rule.source in row


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_links_resolve(chapter):
    for link in re.findall(r"\]\(([^)]+)\)", TEXT[chapter.name]):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        path = (chapter.parent / file) if file else chapter
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}, link


def test_the_readme_names_every_chapter_and_real_extras():
    for path in DOCS.glob("*.md"):
        assert f"docs/{path.name}" in TEXT["README.md"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in re.findall(r"\[([a-z,]+)\]\"", "\n".join(TEXT.values())):
        assert set(extra.split(",")) <= set(extras)


def test_the_picture_is_what_its_script_draws_from_the_results():
    drawn = runpy.run_path(str(ROOT / "benchmarks" / "picture.py"))
    assert drawn["PICTURE"].read_text(encoding="utf-8") == drawn["picture"](), (
        "run python benchmarks/picture.py"
    )


def test_the_picture_says_where_tinyint_loses():
    drawn = runpy.run_path(str(ROOT / "benchmarks" / "picture.py"))
    panel, point, line = (drawn[name] for name in ("Panel", "Point", "Line"))

    def beside(ours, peer):
        return line(
            runtime="openvino", ours=point(tool="tinyint", value=ours), peer=point(tool="nncf", value=peer)
        )

    words = {"title": "", "subtitle": "", "unit": "×", "circumstances": ""}
    models = {"a": [beside(2.0, 3.0), beside(2.0, 2.0)], "b": [beside(4.0, 3.0)]}
    speed = panel(**words, ticks=(1,), float_at=1, start=1, end=5, models=models)
    assert (speed.below, speed.lines) == (1, 3)


@pytest.mark.parametrize("text", marked("recipe"))
def test_recipes_are_valid(text):
    Recipe.parse(yaml.safe_load(text))


@pytest.mark.parametrize("text", marked("paddleslim"))
def test_paddleslim_configs_are_valid(text):
    _, notes = recipe_from_paddleslim(yaml.safe_load(text))
    assert notes == []


@pytest.mark.parametrize("text", marked("preprocessing"))
def test_preprocessing_is_valid(text):
    parse_preprocessing(yaml.safe_load(text))


@pytest.mark.parametrize("code", marked("run"))
def test_snippets_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYINT_CACHE_DIR", str(tmp_path / "cache"))
    run(code)


@pytest.mark.parametrize("code", marked("data file"))
def test_a_data_file_is_read_as_is_shown(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = source(images(tmp_path / "in", 3))
    write(of, tmp_path / "val.bin")
    pixels = run(code)["pixels"]
    np.testing.assert_array_equal(
        DECLARED.scaled(pixels[2]), next(of.read(2, None)).inputs["x"][0], strict=True
    )


def test_the_step_that_is_shown_does_in_its_place_what_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chapter = _MARKED.findall(TEXT["add-a-repair-step.md"])
    (step,), (place,) = (
        [body for mark, body in chapter if mark == kind] for kind in ("run", "run with the step")
    )
    assert run(step + place)["note"] == "corrected the biases of 1 convolutions"


def test_every_repair_step_is_described():
    _, row = TEXT["recipes.md"].split("| `steps` |")
    for name in STEPS:
        assert f"`{name}`" in row.splitlines()[0]
        assert f"`steps: [{name}]`" in TEXT["recipes.md"]


@pytest.mark.parametrize("code", marked("demo files"))
def test_the_files_of_the_examples_fit_their_model(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(code)
    assert api.calibrate("digits.onnx", tinyint.Samples("calibration.npz", limit=1)).samples == 1
    assert api.evaluate("digits.onnx", tinyint.Samples("test.npz", limit=2)).samples == 2


@pytest.mark.parametrize("code", marked("weight-only"))
def test_weight_only_opens_in_plain_onnxruntime_with_the_entry(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    api.quantize(
        demo_model_path(), recipe="weight_only", output="digits.w8.onnx", run=tinyint.Run(verify=False)
    )
    scope = run(code)
    images, _ = demo_data("test")
    theirs = scope["session"].run(None, {"input": images[:1]})[0]
    ours = api.open("digits.w8.onnx").run({"input": images[:1]})["logits"]
    assert abs(theirs - ours).max() < 1e-4


def test_the_names_of_the_layers_are_those_of_the_structure_test():
    structure = (ROOT / "tests" / "test_structure.py").read_text(encoding="utf-8")
    for module in re.findall(r"`(\w+)`", TEXT["how-it-works.md"].split("## Layers")[1]):
        assert module in structure
