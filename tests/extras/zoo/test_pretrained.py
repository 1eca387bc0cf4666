"""ERNIE from a folder that transformers has saved."""

import json
from pathlib import Path

import pytest
import torch

from tinyint.errors import ModelError
from tinyint.extras.zoo.ernie import ErnieClassifier, ernie_base

TOKENS = (
    torch.arange(16).reshape(2, 8),
    torch.zeros(2, 8, dtype=torch.long),
    torch.ones(2, 8, dtype=torch.long),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[ErnieClassifier, Path]:
    folder = tmp_path_factory.mktemp("ernie")
    network = ernie_base(num_classes=3, layers=1, hidden=16, heads=2, vocabulary=50, positions=16).eval()
    network.model.save_pretrained(folder)
    return network, folder


def test_it_computes_the_same(saved):
    network, folder = saved
    read = ernie_base(num_classes=3, weights=str(folder)).eval()
    assert read.vocabulary == 50
    assert torch.equal(read(*TOKENS), network(*TOKENS))


def test_another_number_of_classes_gets_a_new_last_layer(saved):
    network, folder = saved
    read = ernie_base(num_classes=2, weights=str(folder)).eval()
    assert read(*TOKENS).shape == (2, 2)
    theirs = dict(network.model.ernie.named_parameters())
    for name, parameter in read.model.ernie.named_parameters():
        assert torch.equal(parameter, theirs[name]), name


def test_folders_without_a_whole_network_are_refused(saved, tmp_path: Path):
    with pytest.raises(ModelError, match=r"no pretrained network in '.*none': expected config\.json"):
        ernie_base(weights=str(tmp_path / "none"))
    (tmp_path / "config.json").write_text((saved[1] / "config.json").read_text())
    with pytest.raises(ModelError, match=r"cannot read the pretrained network .* model\.safetensors"):
        ernie_base(weights=str(tmp_path))
    network, folder = saved
    deeper = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 2}
    network.model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(deeper))
    with pytest.raises(ModelError, match="it lacks 16 weights"):
        ernie_base(weights=str(tmp_path))
