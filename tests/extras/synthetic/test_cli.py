"""`tinyint data` on the command line."""

import json

from typer.testing import CliRunner

from tinyint.cli.app import app
from tinyint.extras.synthetic import FAMILIES


def run(*arguments):
    return CliRunner().invoke(app, ["data", *(str(argument) for argument in arguments)])


def test_the_families_are_listed():
    listed = json.loads(run("list", "--json").stdout)["families"]
    assert [family["name"] for family in listed] == list(FAMILIES)
    assert all(family["name"] in run("list").stdout for family in listed)


def test_data_are_made_and_described(tmp_path):
    done = run(
        "make",
        "fundus",
        tmp_path / "f",
        "--seed",
        2,
        "--train",
        1,
        "--val",
        1,
        "--size",
        64,
        "--workers",
        1,
        "--json",
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "family": "fundus",
        "directory": str(tmp_path / "f"),
        "seed": 2,
        "train": 1,
        "val": 1,
        "size": 64,
        "classes": ["background", "disc", "cup", "vessel"],
    }
    assert (tmp_path / "f" / "val_list.txt").is_file()


def test_a_full_directory_ends_with_one_line(tmp_path):
    (tmp_path / "x").touch()
    refused = run("make", "glyphs", tmp_path, "--train", 1, "--val", 1, "--workers", 1)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: the directory")
    assert refused.stderr.count("\n") == 1
