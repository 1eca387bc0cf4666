"""Trains the float reference models from their seeds, and puts the best of each under models/.

    pip install -e ".[test]"
    python benchmarks/references/train.py [NAME...] [--folder DIR]

The data are made in DIR, and the runs are kept there; one that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from references import MODELS, REFERENCES, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from machine import store

from tinyint.train import load_config, train


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*REFERENCES, []], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("references"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.folder)
    MODELS.mkdir(exist_ok=True)
    for name in arguments.names or REFERENCES:
        reference = REFERENCES[name]
        reference.data.make(Path())
        config = ROOT / "configs" / "made" / f"{reference.data.family}.yaml"
        outcome = train(load_config(config, [*reference.overrides(), f"save_dir={name}"]), resume=True)
        assert outcome is not None
        shutil.copy(Path(outcome.best_model) / "model.onnx", MODELS / f"{name}.onnx")
        metrics = json.loads((Path(outcome.best_model) / "metrics.json").read_text())
        store("references_training", [{"reference": name, "validation": metrics}], ("reference",))


if __name__ == "__main__":
    main()
