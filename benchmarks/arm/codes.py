"""On ARM: how many of the codes that formulas foretell ONNX Runtime gives, as a line of JSON.

python codes.py formulas.npz
"""

from __future__ import annotations

import json
import sys

import numpy as np

from tinyint.runtimes import get_runtime


def main() -> None:
    ort, cases, codes, others = get_runtime("onnxruntime"), 0, 0, list[str]()
    with np.load(sys.argv[1]) as stored:
        for name in stored.files:
            case, _, what = name.rpartition(" ")
            if what != "model":
                continue
            session = ort.open(stored[name].tobytes(), threads=1)
            (found,) = session.run({"x": stored[f"{case} x"]}).values()
            expected = stored[f"{case} codes"]
            assert len(np.unique(expected)) > 1, f"{case}: the comparison says nothing"
            cases, codes = cases + 1, codes + expected.size
            others += [case] * int((found != expected).sum())
    print(
        json.dumps(
            {"layers": cases, "codes": codes, "other_codes": len(others), "where": sorted(set(others))}
        )
    )


if __name__ == "__main__":
    main()
