"""Every command explains itself."""

from collections.abc import Iterator

import pytest
import typer

from tests.cli.conftest import Run
from tinyint.cli.app import app

LEAVES = "demo quantize calibrate evaluate compare export predict inspect bench doctor advise cache".split()  # noqa: SIM905


def commands(group: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__.replace("_", "-")), command.callback
    for sub in group.registered_groups:
        assert sub.typer_instance is not None
        yield from commands(sub.typer_instance, (*path, str(sub.name)))


COMMANDS = dict(commands(app))


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
    command = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name}"


def test_the_version(run: Run):
    assert run("--version").stdout.startswith("tinyint 0.")
