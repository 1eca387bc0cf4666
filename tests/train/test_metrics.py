"""What is written beside the best model, and what a later run reads of it."""

import json
import math

import pytest

from tinyint.errors import ModelError
from tinyint.proof.agreement import Agreement
from tinyint.train.metrics import has_metrics, save_metrics, saved_proof

PROOF = Agreement(runtime="openvino", samples=3, same_top1=None, ties=0, within_1_lsb=0.5)


def test_the_proof_comes_back_as_it_was(tmp_path):
    assert not has_metrics(tmp_path)
    save_metrics(tmp_path, {"iteration": 4, "loss": math.nan, "top1": None}, PROOF)
    assert has_metrics(tmp_path)
    assert saved_proof(tmp_path) == PROOF
    document = json.loads((tmp_path / "metrics.json").read_text())
    assert list(document) == ["iteration", "loss", "top1", "proof"]
    assert list(document["proof"]) == ["runtime", "samples", "same_top1", "ties", "within_1_lsb"]


def test_a_float_model_has_none(tmp_path):
    save_metrics(tmp_path, {"iteration": 4}, None)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"iteration": 4}
    assert saved_proof(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Invalid JSON"),
        ("[]", "should be an object"),
        ('{"proof": {"runtime": "openvino"}}', r"proof\.samples: Field required"),
        (None, "No such file"),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ModelError, match=rf"metrics\.json': .*{reason}.*; delete it"):
        saved_proof(tmp_path)
