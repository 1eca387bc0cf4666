"""What a run stores, and what it goes on from."""

import os
from pathlib import Path

import pytest
import torch

from tests.train.build import config
from tests.train.runs import Notes, assert_equal_state
from tinyint.errors import ModelError, OutputError
from tinyint.train import train
from tinyint.train.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


def test_kept_checkpoints_are_gone_on_from(here):
    whole = config(here, save_dir=here / "whole", keep_checkpoints=2, save_interval=3)
    train(whole)
    names = sorted(path.name for path in (here / "whole").glob("*.pt"))
    assert names == ["checkpoint-12.pt", "checkpoint-9.pt", "checkpoint.pt"]
    with pytest.raises(
        ModelError, match=r"checkpoint-6.pt: there is no such checkpoint; in .*checkpoint-9.pt"
    ):
        train(whole, resume=here / "whole/checkpoint-6.pt")
    other = config(here, save_dir=here / "other")
    outcome = train(other, resume=here / "whole/checkpoint-9.pt")
    assert outcome.resumed_at == 9
    assert outcome.best.iteration == 12
    assert_equal_state(here / "whole", here / "other")
    with pytest.raises(OutputError, match="holds the checkpoint of an earlier run"):
        train(other, resume=here / "whole")
    assert train(whole, resume=here / "whole/checkpoint-9.pt").resumed_at == 9  # within its own directory


def test_a_checkpoint_of_another_model_is_refused(here):
    train(config(here, iters=2, data__val="null"))
    with pytest.raises(
        ModelError, match=r"checkpoint in .* is of the float training of tests.train.build:network"
    ):
        train(config(here, model__arguments="{width: 4}"), resume=True)


def test_a_checkpoint_is_not_overwritten_unasked(here):
    train(config(here, iters=2, data__val="null"))
    with pytest.raises(OutputError, match=r"--resume"):
        train(config(here, iters=2))


def test_changed_keys_are_told(here):
    train(config(here, iters=2, data__val="null"))
    notes = Notes()
    outcome = train(config(here, iters=4, data__val="null", workers=1), resume=True, watcher=notes)
    assert outcome.resumed_at == 2
    assert any("changed since the checkpoint" in n and n.endswith(": iters") for n in notes.notices)


def test_a_directory_that_a_training_makes_meanwhile_is_no_checkpoint(tmp_path, monkeypatch):
    place = tmp_path / "run"

    def before_it_is_made(path):
        place.mkdir()
        return False

    monkeypatch.setattr(os.path, "isdir", before_it_is_made)
    assert load_checkpoint(place) is None


def test_a_damaged_checkpoint_is_named(here):
    (here / "out").mkdir()
    (here / "out" / CHECKPOINT).write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(ModelError, match=r"cannot read the checkpoint .*checkpoint.pt"):
        train(config(here), resume=True)


def checkpoint(**changes):
    state = {
        "iteration": 3,
        "identity": "network",
        "config": "iters: 4",
        "module": {"w": torch.arange(200_000.0)},
        "optimizer": {"state": {}, "param_groups": []},
        "precision": {},
        "best": None,
    }
    return state | changes


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("room", [0, 10, 5_000, 400_000, 800_500])
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(room, tmp_path):
    import resource

    save_checkpoint(Checkpoint(**checkpoint()), tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"checkpoint\.pt.*File too large"):
            save_checkpoint(Checkpoint(**checkpoint(iteration=4)), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"iteration": "3"}, "iteration"),
        ({"iteration": -1}, "iteration"),
        ({"iteration": True}, "iteration"),
        ({"config": None}, "config"),
        ({"module": [1]}, "module"),
        ({"best": 0.5}, "best"),
        ({"more": 1}, "more"),
        ({7: 1}, "7"),
        ({"precision": None, "optimizer": None}, "optimizer, precision"),
    ],
)
def test_a_checkpoint_of_other_fields_is_named(changes, named, tmp_path):
    torch.save(checkpoint(format=1) | changes, tmp_path / "c.pt")
    with pytest.raises(ModelError, match=rf"c\.pt is damaged \({named}\); delete it"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"best": {"nonsense": 1}},
        {"optimizer": {}},
        {"optimizer": {"state": 1, "param_groups": [{}]}},
        {"module": {"x": 1}},
        {"module": {}},
    ],
)
def test_a_checkpoint_that_does_not_fit_the_run_is_told(changes, here):
    run = config(here, iters=4, eval_interval=0)
    train(run)
    path = Path(run.save_dir) / CHECKPOINT
    torch.save(torch.load(path, weights_only=True) | changes, path)
    with pytest.raises(ModelError, match="does not fit this run"):
        train(config(here, iters=6, eval_interval=0), resume=True)


def test_a_state_that_no_optimizer_leaves_is_told(here):
    train(config(here, iters=1, data__val="null"))
    path = here / "out" / CHECKPOINT
    state = torch.load(path, weights_only=True)
    kept = next(iter(state["optimizer"]["state"].values()))
    kept[next(iter(kept))] = [[]]
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"does not fit this run: the optimizer's .* is a list"):
        train(config(here, iters=2, data__val="null"), resume=True)
