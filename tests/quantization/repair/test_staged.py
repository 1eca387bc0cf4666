import numpy as np

from tests.graph.build import build
from tinyint.quantization.repair import staged as module
from tinyint.quantization.repair.staged import staged

MODEL = build(
    "net (float[N,2] x) => (float[N,2] y) { a = Neg (x) b = Add (a, x) c = Add (b, a) y = Relu (c) }"
)
for i, node in enumerate(MODEL.graph):
    node.name = "abcy"[i]
SAMPLES = [{"x": np.full((1, 2), i, np.float32)} for i in range(8)]


def test_a_change_goes_on_to_all_that_read_it():
    seen = []
    for node, held in staged(MODEL, {"a", "b", "y"}, SAMPLES[:2]):
        output = node.outputs[0].name
        seen.append((node.name, [float(tensors[output][0, 0]) for tensors in held]))
        if node.name == "a":
            for tensors in held:
                tensors[output] = tensors[output] + 10
    assert seen == [("a", [0, -1]), ("b", [10, 10]), ("y", [20, 19])]


def test_only_what_is_still_to_be_read_is_held():
    held = [set(tensors[0]) for _, tensors in staged(MODEL, {"a", "b", "c"}, SAMPLES[:1])]
    assert held == [{"x", "a"}, {"a", "b"}, {"c"}]


def test_the_last_samples_go_where_memory_would_not_do(monkeypatch):
    monkeypatch.setattr(module, "_BYTES", 6 * 16)  # of each sample, x and a: two times two float32
    ((_, held),) = staged(MODEL, {"a"}, SAMPLES)
    assert [float(tensors["x"][0, 0]) for tensors in held] == [0, 1, 2, 3, 4, 5]
    monkeypatch.setattr(module, "_BYTES", 1)
    ((_, held),) = staged(MODEL, {"a"}, SAMPLES)
    assert len(held) == 4
