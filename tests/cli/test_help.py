"""Every command explains itself."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tests.cli.conftest import Run
from tinyint.cli.app import app
from tinyint.cli.commands import SUMMARIES, load

LEAVES = "demo quantize calibrate evaluate compare export predict inspect bench doctor advise cache".split()  # noqa: SIM905


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_all_commands_are_there():
    groups = {("recipe", "show"), ("recipe", "from-paddleslim"), ("zoo", "list"), ("zoo", "export")}
    assert {(name,) for name in LEAVES} | groups <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_tells_what_it_does_and_shows_an_example(path: tuple[str, ...], run: Run):
    shown = run(*path, "--help")
    assert shown.exit_code == 0, shown.output
    assert "Example" in shown.output
    assert f"tinyint {' '.join(path)}" in " ".join(shown.output.split())
    assert "--json" in shown.output


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_has_a_help_text(path: tuple[str, ...]):
    for parameter in COMMANDS[path].params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name}"


def test_the_version(run: Run):
    assert run("--version").stdout.startswith("tinyint 0.")


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str):
    first, *_ = load(name).help.partition("\n\n")
    assert SUMMARIES[name] == " ".join(first.split())


def test_a_mistyped_command_gets_the_nearest_one(run: Run):
    shown = run("quantise")
    assert shown.exit_code == 2
    assert "quantize" in shown.output


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_needs_no_command_imports_none(option: str):
    code = f"""
import sys
sys.argv = ["tinyint", "{option}"]
try:
    from tinyint.cli import main
    main()
except SystemExit:
    print([name for name in ("numpy", "onnx", "pydantic", "tinyint.api", "tinyint.targets") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
