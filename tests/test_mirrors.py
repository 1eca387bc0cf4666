"""Which tests go with which module: those of the same name, or those named here."""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "src" / "tinyint", ROOT / "tests"

# Modules without tests under their own name, by the tests that go through them. "zoo.*": all of a package.
THROUGH = {
    # commands, as users run them
    "tests/cli": "cli cli.*",
    "tests/cli/test_predict.py": "api.album api.predict",
    "tests/cli/test_preprocess.py": "api.preprocess",
    "tests/cli/test_bench.py": "api.benchmark",
    "tests/cli/test_tasks.py": "api.export api.subject",
    "tests/cli/test_commands.py": "api.advise api.doctor",
    "tests/api/test_quantize.py": "api.calibrate api.given_model",
    "tests/advice/test_advise.py": "advice.effort",
    # sensitivity and budgets: on networks of which one unit does not bear 8 bits
    "tests/cli/test_budget.py": "diagnosis.judge report.model_explorer report.sensitivity_files "
    "report.unit_words",
    "tests/api/test_budget.py": "api.bench_of_trials api.budget_work tune.budget tune.metric",
    "tests/diagnosis/test_sensitivity.py": "diagnosis.alone diagnosis.segments diagnosis.sweep diagnosis.units",
    "tests/diagnosis/test_compare.py": "diagnosis.matched",
    # readers of data: what they open is one function's
    "tests/data/test_open.py": "data.declaration data.declared data.named",
    "tests/data/test_images.py": "data.picture",
    "tests/data/test_masks.py": "data.cityscapes",
    "tests/data/test_texts.py": "data.class_names data.text_input data.text_preprocess data.tokenizer",
    "tests/extras/synthetic/test_make.py": "extras.synthetic.*",
    # networks: the same questions to each
    "tests/extras/zoo/test_networks.py": "extras.zoo.*",
    "tests/files/test_whole.py": "files.place",
    "tests/proof/test_choices.py": "files.kept_documents",
    "tests/files/test_together.py": "files.leftover",
    # facts and searches that have no rule of their own
    "tests/graph/test_walk.py": "graph.names graph.ops",
    "tests/graph/test_dense.py": "graph.message",
    "tests/graph/test_prepare.py": "graph.passes.stand_in",
    "tests/proof/test_saturation.py": "graph.passes.exact_products",
    "tests/test_added_names.py": "graph.passes.weightless",
    "tests/loading/test_verbs.py": "loading",
    "tests/loading/test_nn_module.py": "loading.module_call loading.module_session",
    "tests/loading/test_paddle.py": "loading.convert_paddle loading.paddle_quantizers loading.paddle_scales",
    "tests/proof/test_prove.py": "proof.race",
    "tests/proof/test_verdict.py": "proof.measured report.words",
    "tests/proof/test_verify.py": "proof.compared proof.outputs",
    "tests/diagnosis/test_layers.py": "proof.layers",
    "tests/runtimes/test_ort.py": "runtimes runtimes.ort_graph",
    "tests/runtimes/test_openvino.py": "runtimes.openvino_session runtimes.outputs",
    "tests/targets/test_target.py": "targets targets.violation",
    "tests/quantization/plan/test_windows.py": "targets.window",
    # operators in torch: each against ONNX Runtime
    "tests/torch_graph/test_operators.py": "torch_graph.operators.*",
    "tests/qat/test_qat_module.py": "qat.distill qat.settings",
    "tests/qat/test_zoo_exactness.py": "qat.session",
    "tests/qat/batch_norm/test_modules.py": "qat.batch_norm.*",
    "tests/qat/kernels/test_formulas.py": "qat.kernels.fused",
    "tests/qat/quantizers/test_fake_quant.py": "qat.arithmetic",
    "tests/qat/quantizers/test_activations.py": "qat.quantizers.freezing qat.quantizers.weights",
    "tests/quantization/test_ptq.py": "quantization.signature quantization.static",
    "tests/quantization/test_ranges.py": "quantization.ranges.*",
    "tests/api/test_side_by_side.py": "quantization.pixels.session",
    "tests/quantization/pixels/test_fold.py": "quantization.pixels quantization.pixels.entry",
    "tests/quantization/test_recipe.py": "quantization.recipe.*",
    "tests/quantization/test_paddleslim.py": "quantization.recipe_source quantization.paddleslim.*",
    "tests/quantization/calibration/test_instrument.py": (
        "quantization.calibration.builder quantization.calibration.channelwise"
    ),
    "tests/quantization/calibration/statistics/test_statistics.py": (
        "quantization.calibration.statistics.channel_extrema quantization.calibration.statistics.channel_means "
        "quantization.calibration.statistics.gram quantization.calibration.statistics.statistic"
    ),
    "tests/quantization/repair/test_absorb_bias.py": "quantization.repair.offsets",
    "tests/quantization/repair/test_equalize.py": (
        "quantization.repair.channels quantization.repair.factors quantization.repair.trace"
    ),
    "tests/quantization/repair/test_run.py": "quantization.repair.step",
    # tasks: the same questions to each
    "tests/tasks": "tasks.*",
    "tests/train/test_loop.py": "train.curves train.launch train.probe train.watch",
    "tests/train/test_augment.py": "train.picture train.views",
    "tests/train/test_config.py": "train.reading",
    "tests/train/test_distributed.py": "train.synced_norm",
}

MAX_FILE, MEDIAN_FILE = 400, 110


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def defines(path: Path) -> bool:
    """Whether there is anything in it to be tested, and not data or imports alone."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body)


def mirrors(module: str) -> list[Path]:
    """tests/<package>/test_<module>.py; of what stands in a package itself, also in the folder of its tests."""
    *folder, name = module.split(".")
    name = name.lstrip("_")
    beside = TESTS.joinpath(*folder)
    inside = TESTS.joinpath(*module.split("."))
    packages = (
        [inside / "test_init.py", inside / f"test_{name}.py"] if FILES[module].stem == "__init__" else []
    )
    return [beside / f"test_{name}.py", *packages]


def is_mirrored(module: str) -> bool:
    return any(path.exists() for path in mirrors(module))


def covers(entry: str, module: str) -> bool:
    return module == entry or (entry.endswith(".*") and module.startswith(entry[:-1]))


@pytest.mark.parametrize("module", [m for m, path in FILES.items() if m and defines(path)])
def test_a_module_has_tests_of_its_name_or_is_said_to_be_tested_elsewhere(module):
    entries = " ".join(THROUGH.values()).split()
    assert is_mirrored(module) or any(covers(entry, module) for entry in entries), (
        f"write {mirrors(module)[0].relative_to(ROOT)}, or add {module} to THROUGH"
    )


@pytest.mark.parametrize("tests", THROUGH)
def test_the_list_is_no_longer_than_it_must_be(tests):
    assert (ROOT / tests).exists()
    for entry in THROUGH[tests].split():
        covered = [module for module in FILES if covers(entry, module)]
        assert any(not is_mirrored(module) for module in covered), f"{entry}: gone, or tested by its own name"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_read_like_a_page(path):
    assert path.read_text(encoding="utf-8").count("\n") <= MAX_FILE


def test_most_files_are_short():
    lines = [path.read_text(encoding="utf-8").count("\n") for path in FILES.values()]
    assert median(lines) <= MEDIAN_FILE
