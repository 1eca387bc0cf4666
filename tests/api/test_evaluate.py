import tinyint
from tinyint import api


def test_evaluate_counts_right_answers(model, samples):
    session = tinyint.open(model)
    best = session.run({"x": samples})["y"].argmax(axis=1)
    right = api.evaluate(model, {"x": samples, "label": best})
    wrong = api.evaluate(model, {"x": samples, "label": (best + 1) % 10})
    assert (right.metrics["top1"], right.samples) == (1.0, 12)
    assert wrong.metrics["top1"] == 0.0
