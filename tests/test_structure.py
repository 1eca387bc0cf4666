"""The law of imports, and the size of a page."""

import ast
import re
from pathlib import Path

import pytest

from tinyint import metadata
from tinyint.targets import TARGETS

PACKAGE = Path(__file__).parents[1] / "src" / "tinyint"

# A package imports only from lines above its own, and within one line from itself.
LAYERS = [
    "errors metadata",
    "files",
    "numbers",
    "graph",
    "runtimes",
    "targets",
    "loading",
    "data",
    "torch_graph",
    "quantization",
    "qat",
    "tasks",
    "proof",
    "diagnosis advice",
    "tune",
    "report",
    "extras",
    "train",
    "api",
    "cli",
]

# So do the modules of these packages.
INNER_LAYERS = {
    "graph": [
        "layout names",
        "ops serde",
        "walk source",
        "dense soundness external",
        "message",
        "flow io edit pixels segments",
        "dead_zones",
        "passes",
        "prepare",
    ],
    "quantization": [
        "ranges",
        "recipe",
        "paddleslim calibration",
        "signature recipe_source pixels",
        "plan",
        "weight_pairs",
        "qparams",
        "qdq",
        "repair coarse_biases",
        "dynamic weight_only trial least_cost",
        "placements",
        "calibrated static",
        "ptq",
    ],
}

# An optional package is imported in its own file only.
OPTIONAL = {
    "torch": {
        "qat",
        "torch_graph",
        "train",
        "extras.zoo",
        "loading.nn_module",
        "loading.module_call",
        "loading.module_session",
        "tasks",
    },
    "lightning_fabric": {"train"},
    "transformers": {"extras.zoo.ernie"},
    "tensorboard": {"train.curves"},
    "onnxscript": set(),
    "openvino": {"runtimes.openvino"},
    "onnxruntime": {"runtimes.ort"},
    "tensorrt": {"runtimes.tensorrt"},
    "jinja2": {"report.html"},
    "typer": {"cli"},
    "rich": {"cli", "report.terminal"},
    "sklearn": set(),
    "nncf": set(),
    "paddle": {"loading.convert_paddle"},
    "paddle2onnx": {"loading.convert_paddle"},
    "pycocotools": {"tasks.scoring.detection"},
    "tokenizers": {"data.tokenizer"},
    "PIL": {
        "data",
        "extras.demo",
        "extras.synthetic",
        "tasks.pictures",
        "train.picture",
        "train.views",
        "extras.zoo",
    },
}

# A notebook asks a value itself for its looks.
UPWARDS = {("proof.report", "tinyint.report.notebook")}

MAX_FILE, MAX_FUNCTION = 400, 60


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def place(module: str, layers: list[str]) -> tuple[int, str]:
    """The module's layer, and the entry that puts it there."""
    for i, line in enumerate(layers):
        for entry in line.split():
            if module == entry or module.startswith(entry + "."):
                return i, entry
    raise AssertionError(f"{module} has no place in the layers")


def imports(path: Path) -> list[str]:
    """What the file imports, the bodies of functions included; imports for the type checker do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    names = []
    for node in ast.walk(tree):
        if id(node) in checked:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [s if s.removeprefix("tinyint.") in FILES else node.module or "" for s in submodules]
    return names


def require_lower(module: str, imported: str, layers: list[str]) -> None:
    (theirs, entry), (ours, own) = place(imported, layers), place(module, layers)
    assert theirs < ours or entry == own, f"{module} imports {imported}, which is in no layer below its own"


@pytest.mark.parametrize("module", [m for m in FILES if m])
def test_a_module_imports_only_lower_layers(module):
    for name in imports(FILES[module]):
        if name.startswith("tinyint.") and (module, name) not in UPWARDS:
            require_lower(module, name.removeprefix("tinyint."), LAYERS)


@pytest.mark.parametrize("module", [m for m in FILES if m.partition(".")[0] in INNER_LAYERS and "." in m])
def test_so_do_the_modules_of_the_main_path(module):
    package, _, inner = module.partition(".")
    for name in imports(FILES[module]):
        theirs = name.removeprefix("tinyint.").removeprefix(f"{package}.")
        if name.startswith(f"tinyint.{package}."):
            require_lower(inner, theirs, INNER_LAYERS[package])


def test_the_first_floor_is_no_crowd():
    entries = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert len(entries) <= 23


@pytest.mark.parametrize("module", list(FILES))
def test_an_optional_package_is_imported_in_its_own_file(module):
    for name in imports(FILES[module]):
        allowed = OPTIONAL.get(name.split(".")[0])
        if allowed is not None:
            assert any(module == a or module.startswith(a + ".") for a in allowed), f"{module} imports {name}"


@pytest.mark.parametrize("module", list(FILES))
def test_a_file_reads_like_a_page(module):
    source = FILES[module].read_text(encoding="utf-8")
    assert source.count("\n") <= MAX_FILE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{module}.{node.name} has {length} lines"


MOST_WORDS = 14
AVOIDED = re.compile(r"^(What|Which|Those|The one|How)\b|\b(behind|told|made data|made of)\b", re.IGNORECASE)


def public_docstrings(tree: ast.Module) -> list[tuple[str, str]]:
    """(name, docstring) of a module, and of its public classes, functions and methods."""
    pairs = []

    def visit(node: ast.Module | ast.ClassDef | ast.FunctionDef, name: str) -> None:
        pairs.append((name, ast.get_docstring(node) or ""))
        for inner in () if isinstance(node, ast.FunctionDef) else node.body:
            is_public = isinstance(inner, ast.ClassDef | ast.FunctionDef) and not re.match(
                "_[^_]", inner.name
            )
            if is_public:
                visit(inner, f"{name}.{inner.name}".lstrip("."))

    visit(tree, "")
    return [(name, text) for name, text in pairs if text]


def opening_fault(docstring: str) -> str:
    """Fault of a docstring's first line, "" without one; a formula in backticks is one word."""
    first, *rest = docstring.split("\n")
    words = [word for word in re.sub(r"`[^`]*`", "code", first).split() if re.search(r"[^\W\d_]", word)]
    if len(words) > MOST_WORDS:
        return f"{len(words)} words, more than {MOST_WORDS}"
    if rest and rest[0]:
        return "goes on in the second line"
    return f"says {avoided.group(0)!r}" if (avoided := AVOIDED.search(first)) else ""


@pytest.mark.parametrize("module", list(FILES))
def test_a_public_docstring_opens_with_a_short_line(module):
    for name, docstring in public_docstrings(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        fault = opening_fault(docstring)
        assert not fault, f"{module}.{name}: the first line {fault}"


def test_which_openings_are_faults():
    fine = ["Scale of `x * y + z`.", "Scale.\n\nWhat is behind it.", f"{'word ' * 14}"]
    faults = [
        "What one sample holds.",
        "Quantizer behind the node.",
        f"{'word ' * 15}",
        "Scale\nof a tensor.",
    ]
    assert [bool(opening_fault(text)) for text in (*fine, *faults)] == [False] * 3 + [True] * 4


def test_which_docstrings_are_public():
    source = '"""m"""\nclass A:\n    """a"""\n    def b(self):\n        """b"""\n    def _c(self):\n        """c"""\n'
    assert public_docstrings(ast.parse(source)) == [("", "m"), ("A", "a"), ("A.b", "b")]


def registers(node: ast.AST) -> bool:
    """Whether the node of the syntax tree adds to the initializers of a graph."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        subscripted = [target.value for target in targets if isinstance(target, ast.Subscript)]
        return any(isinstance(of, ast.Attribute) and of.attr == "initializers" for of in subscripted)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    of, method = node.func.value, node.func.attr
    if method == "register_initializer":
        return True
    held = isinstance(of, ast.Attribute) and of.attr == "initializers"
    return held and method in ("add", "update", "setdefault")


@pytest.mark.parametrize("module", [m for m in FILES if m != "graph.edit"])
def test_initializers_are_registered_in_one_place(module):
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        assert not registers(node), f"{module}:{node.lineno}: use GraphEditor, which finds a free name"


def test_what_registers_an_initializer():
    lines = ["g.register_initializer(v)", "g.initializers[n] = v", "m.graph.initializers.add(v)"]
    others = ["del g.initializers[n]", "g.initializers.pop(n)", "x[n] = g.initializers[n]", "names.add(v)"]
    found = [any(map(registers, ast.walk(ast.parse(line)))) for line in (*lines, *others)]
    assert found == [True] * 3 + [False] * 4


@pytest.mark.parametrize("module", list(FILES))
def test_names_are_asked_for_in_one_place(module):
    source = FILES[module].read_text(encoding="utf-8")
    assert module == "graph.names" or '.name or ""' not in source, "use name_of"


@pytest.mark.parametrize("module", list(FILES))
def test_a_target_is_not_asked_for_its_name(module):
    """What follows from a target is a fact that stands in it."""
    if module.startswith(("targets", "runtimes")):  # runtimes have names of their own
        return
    known = {*TARGETS, "openvino-vnni", "x86"}
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known
        assert not named, f"{module}:{node.lineno} names the target {node.value!r}"


@pytest.mark.parametrize("module", [m for m in FILES if m not in ("", "metadata")])  # "" names packages
def test_keys_of_metadata_are_in_one_place(module):
    keys = {getattr(metadata, name) for name in metadata.__all__}
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        new = re.fullmatch(r"tinyint\.\w+", text) and text.removeprefix("tinyint.") not in FILES
        belongs = text in keys or bool(new)
        assert not belongs, f"{module}:{node.lineno}: {text} belongs in tinyint.metadata"


_OF_TASKS = {"Classification", "Detection", "Segmentation", "classification", "detection", "segmentation"}


@pytest.mark.parametrize("module", [m for m in FILES if not m.startswith("tasks")])
def test_what_is_particular_to_a_task_is_asked_of_its_object(module):
    """No question which task it is: neither by its class nor by its name."""
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        asked: list[ast.AST] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            asked = [node.args[1]]
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        elif isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
        for part in (inner for each in asked for inner in ast.walk(each)):
            name = getattr(part, "id", None) or getattr(part, "attr", None) or getattr(part, "value", None)
            assert not isinstance(name, str) or name not in _OF_TASKS, f"{module} asks whether it is {name}"


def test_no_layer_names_a_module_that_is_gone():
    tables = {"": LAYERS} | {f"{package}.": lines for package, lines in INNER_LAYERS.items()}
    for prefix, lines in tables.items():
        for entry in " ".join(lines).split():
            assert prefix + entry in FILES, prefix + entry
