"""Two processes on gloo beside one with the joint batch. Each test starts two, which takes some seconds."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.processes import children, ended, heed, wait_until
from tests.train.build import config
from tests.train.test_loop import state_of
from tinyint.errors import DataError
from tinyint.train import dump_config, train

# Runs a float training and QATs of its result, and leaves each rank's losses and state.
SCRIPT = """
import os, sys, yaml
import torch
import tinyint.train.loop as loop
from tinyint.train import parse_config, qat, train
torch.set_num_threads(1)
rank, folder = os.environ["RANK"], sys.argv[1]
losses = []
step = loop._Run._step
def recorded(self, batch):
    before = self.sum.clone()
    step(self, batch)
    losses.append(float(self._reduced(self.sum - before, "mean")))
    torch.save({"losses": losses, "module": self.module.state_dict()}, f"{folder}/{kind}.{rank}.pt")
loop._Run._step = recorded
for kind in ("float", "qat", "normed", "taught"):
    losses.clear()
    config = parse_config(yaml.safe_load(open(f"{folder}/{kind}.yaml")))
    train(config) if kind == "float" else qat(config, f"{folder}/float/best_model")
"""


def test_under_torchrun_losses_weights_and_ranges_are_those_of_one_process(here):
    training = "{batch_norm: trained, reestimation_batches: 3}"
    changes = {
        "float": {"model__arguments": "{dropout: 0}", "optimizer__learning_rate": 0.1},
        "qat": {},
        "normed": {"quantization__training": training, "optimizer__learning_rate": 0.002},
        "taught": {
            "quantization__training": training,
            "loss__teacher": "true",
            "optimizer__learning_rate": 1e-4,
        },
    }
    common = {"iters": 10, "batch_size": 24, "optimizer__learning_rate": 0.01}
    runs = {kind: config(here, save_dir=here / kind, **common | change) for kind, change in changes.items()}
    alone = {}
    for kind, run in runs.items():
        (here / f"{kind}.yaml").write_text(dump_config(run))
    (here / "script.py").write_text(SCRIPT)
    for processes in (2, 1):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "localhost"]
        command += ["--nproc-per-node", str(processes), here / "script.py", here]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if processes == 2:
            for kind in runs:
                alone[kind] = [torch.load(here / f"{kind}.{rank}.pt", weights_only=True) for rank in (0, 1)]
                (here / kind).rename(here / f"{kind}-two")
    for kind, (first, second) in alone.items():
        one = torch.load(here / f"{kind}.0.pt", weights_only=True)
        # Half a batch goes through other float kernels than a whole one, which sum in another order, and a code that
        # this moves moves the loss: by 4e-5 of it on a processor with AVX2 alone.
        assert first["losses"] == pytest.approx(one["losses"], rel=2e-4), kind
        assert len(first["losses"]) == 10
        for name, value in first["module"].items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, second["module"][name]), name
                assert torch.allclose(value.float(), one["module"][name].float(), rtol=2e-4, atol=1e-4), name


def test_devices_starts_the_processes_and_reports_from_the_first(here):
    options = {"model__source": "tests.train.build:TwoBranches", "iters": 4, "eval_interval": 0}
    outcome = train(config(here, devices=2, save_dir=here / "two", **options))
    alone = train(config(here, save_dir=here / "one", **options))
    assert outcome.loss == pytest.approx(alone.loss, abs=1e-5)
    assert outcome.best.value == pytest.approx(alone.best.value)
    (_, two), (_, one) = state_of(here / "two"), state_of(here / "one")
    assert torch.equal(two["module.idle.weight"], one["module.idle.weight"])
    assert "MASTER_PORT" not in os.environ


def test_a_mistake_that_a_process_finds_is_told_as_it_is(here):
    options = {"model__arguments": "{classes: 4}"}
    with pytest.raises(DataError, match=r"^train.npz\[\d+\] has the label \d"):
        train(config(here, devices=2, **options))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_parent_alone_ends_all_processes(here, number, code):
    run = config(here, devices=2, save_dir=here / "run", iters=1_000_000, save_interval=5, eval_interval=0)
    (here / "run.yaml").write_text(dump_config(run))
    command = [sys.executable, "-m", "tinyint.cli", "train", "-c", here / "run.yaml"]
    # The network's module is `tests.train.build`, which is not beside the config.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=heed(number), cwd=here, env=environment
    )
    wait_until((here / "run/checkpoint.pt").exists, process)
    processes = children(process.pid)
    assert len(processes) >= 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert "go on with --resume" in errors
    wait_until(lambda: all(map(ended, processes)))  # Python's own tracker of resources ends a moment later
    assert not list((here / "run").glob(".*"))
