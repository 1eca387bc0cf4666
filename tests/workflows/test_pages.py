"""How much of the package one quantization goes through: what a newcomer would have to read."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.graph.build import build
from tinyint.graph.io import save_model

PACKAGE = Path(__file__).parents[2] / "src" / "tinyint"
CORE = ("graph", "numbers", "quantization", "targets")
MOST_FILES, MOST_CORE = 164, 94
"""In which a function is called, 2026-11-27; what makes them fewer lowers these numbers. Two of them are about
processors whose sums saturate, on these alone."""

NET = """
net (float[1, 3, 8, 8] x) => (float[1, 10] y) {
  c = Conv <pads = [1, 1, 1, 1]> (x, w, b) r = Relu (c) p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  f = Flatten (p) y = Gemm <transB = 1> (f, v, d)
}
"""

PROFILED = """
import sys, threading

package, entered = sys.argv.pop(1), set()

def note(frame, event, _):
    code = frame.f_code
    if event != "call" or not code.co_flags & 1 or not code.co_filename.startswith(package):
        return  # the bodies of modules and classes are no functions
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    if frame is None:  # importing has not called it
        entered.add(code.co_filename)

from tinyint.cli import main

threading.setprofile(note)
sys.setprofile(note)
try:
    main()
except SystemExit as ended:
    sys.setprofile(None)
    print(*sorted(entered), sep="\\n")
    sys.exit(ended.code)
"""


def test_a_net_of_five_nodes_goes_through_no_more_files_than_before(tmp_path):
    model, data, out = (tmp_path / name for name in ("net.onnx", "data.npz", "out.onnx"))
    save_model(build(NET, w=(4, 3, 3, 3), b=(4,), v=(10, 64), d=(10,)), model)
    np.savez(data, x=np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32))
    command = ["quantize", str(model), "-o", str(out), "--data", str(data), "--target", "x86-vnni", "--json"]
    ran = subprocess.run(
        [sys.executable, "-c", PROFILED, f"{PACKAGE}/", *command],
        env=os.environ | {"TINYINT_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    files = [
        Path(line).relative_to(PACKAGE) for line in ran.stdout.splitlines() if line.startswith(f"{PACKAGE}/")
    ]
    core = [file for file in files if file.parts[0] in CORE]
    assert Path("quantization/qdq.py") in core
    assert len(files) <= MOST_FILES, files
    assert len(core) <= MOST_CORE, core
