"""Small faults planted in the package, one at a time: how many of them the tests find.

python benchmarks/mutations.py --count 100 --store
"""

from __future__ import annotations

import argparse
import ast
import compileall
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from machine import RESULTS, ROOT, store

SUBJECTS = {
    "plan": ("quantization/plan", ("tests/quantization/plan",)),
    "qparams": ("quantization/qparams.py", ("tests/quantization/test_qparams.py",)),
    "qdq": (
        "quantization/qdq.py",
        (
            "tests/quantization/test_qdq.py",
            "tests/quantization/plan/test_biases.py",
            "tests/quantization/test_ptq.py",
        ),
    ),
    "ranges": ("quantization/ranges", ("tests/quantization/ranges", "tests/quantization/test_ranges.py")),
    "kernels": ("qat/kernels/formulas.py", ("tests/qat/kernels/test_formulas.py",)),
}
"""By name: a file or folder of the package, and the tests that concern it."""

EQUIVALENT = ROOT / "benchmarks" / "equivalent_mutations.json"
"""Mutations that change nothing that can be observed, by the name that a survivor has here, each with the reason."""

HEAVY = ("numpy", "onnx", "onnx_ir", "onnxruntime", "openvino", "torch", "pydantic")
"""Imported once; each run of the tests is a fork of this process."""

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

NAMES = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "amin": "amax",
    "amax": "amin",
}


@dataclass(frozen=True)
class Mutation:
    """One change of a syntax tree: `new` in place of `old` in a field of `parent`.

    * `shown`: the expression or statement around it, by which it is told from others
    * `place`: the names of the functions and classes around it, from the outermost on
    """

    parent: ast.AST
    field: str
    index: int | None
    old: ast.AST
    new: ast.AST
    shown: ast.AST
    place: tuple[str, ...]

    def apply(self) -> str:
        """Makes the change, and returns where it is, with the code before and after."""
        is_shown = self.shown is self.old
        before = ast.unparse(self.shown)
        if self.index is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.index] = self.new
        after = ast.unparse(self.new if is_shown else self.shown)
        return f"{'.'.join(self.place) or 'module'}: {before} -> {after}"

    @property
    def line(self) -> int:
        return getattr(self.old, "lineno", getattr(self.parent, "lineno", 0))


def mutations(tree: ast.AST, shown: ast.AST | None = None, place: tuple[str, ...] = ()) -> Iterator[Mutation]:
    """All of a tree, always in the same order."""
    if isinstance(tree, ast.Assert | ast.JoinedStr) or (
        isinstance(tree, ast.keyword) and tree.arg == "strict"
    ):
        return  # for the type checker, for people, and of zip
    if isinstance(tree, ast.FunctionDef | ast.ClassDef):
        place = (*place, tree.name)
    if isinstance(tree, ast.expr) or (isinstance(tree, ast.stmt) and not hasattr(tree, "body")):
        shown = tree
    elif isinstance(tree, ast.stmt):
        shown = None
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "type_params", "decorator_list"):
            continue
        several = isinstance(value, list)
        for index, child in enumerate(value if several else [value]):
            if not isinstance(child, ast.AST):
                continue
            for new in (*_replacements(child), *_negated(tree, field, child)):
                yield Mutation(tree, field, index if several else None, child, new, shown or child, place)
            yield from mutations(child, shown, place)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name], node.ctx)
        case ast.Attribute(value=of, attr=name) if name in NAMES:
            yield ast.Attribute(of, NAMES[name], node.ctx)
        case _ if type(node) in OPERATORS:
            yield OPERATORS[type(node)]()


def _negated(parent: ast.AST, field: str, node: ast.AST) -> Iterator[ast.AST]:
    is_condition = isinstance(parent, ast.If | ast.IfExp | ast.While) and field == "test"
    is_filter = isinstance(parent, ast.comprehension) and field == "ifs"
    already = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    if (is_condition or is_filter) and isinstance(node, ast.expr) and not already:
        yield ast.UnaryOp(ast.Not(), node)


def main() -> None:
    options = _options()
    equivalent = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork has none of the threads that torch would wait for
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in HEAVY:
        importlib.import_module(name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "tinyint"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "tinyint", package, ignore=ignored)
        compileall.compile_dir(package, quiet=2)
        for name in options.module or SUBJECTS:
            survived = _survived(name, options.seed) if options.again else None
            rows.append(_measured(name, package, options.count, options.seed, equivalent, survived))
            if options.store:
                store("mutations", rows, ("module", "seed"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", choices=SUBJECTS, action="append", help="this one alone; may be repeated")
    parser.add_argument("--count", type=int, default=100, help="mutations a module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--again", action="store_true", help="the stored survivors alone, by tests written since"
    )
    parser.add_argument(
        "--store", action="store_true", help="keep the counts in benchmarks/results/mutations.json"
    )
    return parser.parse_args()


def _measured(
    name: str,
    package: Path,
    count: int,
    seed: int,
    equivalent: dict[str, str],
    survived: list[str] | None,
) -> dict[str, object]:
    """The row of a module; of those drawn, all but `survived` are known to be caught."""
    source, tests = SUBJECTS[name]
    start = time.perf_counter()
    if _tests_fail(package, tests, limit=1800):
        sys.exit(f"{', '.join(tests)}: the tests fail without a mutation")
    limit = 60 + 3 * (time.perf_counter() - start)
    drawn = _drawn(package / source, count, seed)
    survivors: list[str] = []
    same: dict[str, str] = {}
    for path, number in drawn:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        mutation = list(mutations(tree))[number]
        line, told = mutation.line, f"{path.relative_to(package)}: {mutation.apply()}"
        if told in equivalent:
            same[told] = equivalent[told]
            continue
        if survived is not None and told not in survived:
            continue
        cached = Path(cache_from_source(str(path)))
        cached.unlink(missing_ok=True)
        try:
            path.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
            found = _tests_fail(package, _own_first(path, tests), limit)
        finally:
            path.write_text(text, encoding="utf-8")
        if not found:
            survivors.append(told)
            print(f"survived: line {line}: {told}", flush=True)
    asked = len(drawn) - len(same)
    caught = asked - len(survivors)
    print(
        f"{name}: {caught} of {asked} caught ({caught / max(asked, 1):.0%}), {len(same)} equivalent, "
        f"{time.perf_counter() - start:.0f} s",
        flush=True,
    )
    return {
        "module": name,
        "seed": seed,
        "drawn": len(drawn),
        "equivalent": same,
        "asked": asked,
        "caught": caught,
        "survivors": survivors,
    }


def _survived(name: str, seed: int) -> list[str]:
    rows = json.loads((RESULTS / "mutations.json").read_text(encoding="utf-8"))["rows"]
    return [told for row in rows if (row["module"], row["seed"]) == (name, seed) for told in row["survivors"]]


def _own_first(path: Path, tests: tuple[str, ...]) -> tuple[str, ...]:
    """The tests in an order that finds faults soon: those of the file's own name before the others."""
    name = f"test_{path.parent.name if path.name == '__init__.py' else path.stem}.py"
    own = [str(found.relative_to(ROOT)) for test in tests for found in (ROOT / test).rglob(name)]
    return (*own, *tests)


def _drawn(source: Path, count: int, seed: int) -> list[tuple[Path, int]]:
    files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
    every = [
        (path, number)
        for path in files
        for number, _ in enumerate(mutations(ast.parse(path.read_text(encoding="utf-8"))))
    ]
    return random.Random(seed).sample(every, min(count, len(every)))  # noqa: S311


def _tests_fail(package: Path, tests: tuple[str, ...], limit: float) -> bool:
    """Whether one does with the package as it is now; one that does not end counts."""
    child = os.fork()
    if child == 0:
        _test(package, tests)
    end = time.monotonic() + limit
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                if code == pytest.ExitCode.NO_TESTS_COLLECTED:
                    sys.exit(f"{', '.join(tests)}: there are no tests")
                return code != pytest.ExitCode.OK
            time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


class Unshrunk:
    """That a fault is found is told without the smallest example."""

    def pytest_sessionstart(self) -> None:
        from hypothesis import Phase, settings  # which pytest imports itself, after its own preparations

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("found", deadline=None, derandomize=True, phases=phases)
        settings.load_profile("found")


def _test(package: Path, tests: tuple[str, ...]) -> None:
    """Ends the process with what the tests say."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(ROOT)
    for number in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tinyint", "tests")]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(package.parent), str(ROOT)]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(sys.path[:2]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(package.parent / "hypothesis"),
    }
    code: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], plugins=[Unshrunk()])
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
