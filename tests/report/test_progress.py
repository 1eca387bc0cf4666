"""Progress in notebooks and on terminals."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinyint
from tests.models import noise, residual
from tinyint.report.progress import Bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def cell(monkeypatch):
    """A notebook's kernel; what its cell shows, in turn."""
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html)

    def display(html, display_id):
        assert display_id
        shown.append(html)
        return Handle()

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return shown


def test_in_a_notebook_one_output_is_replaced(cell):
    listen = tinyint.progress()
    listen("prepare", 0, None)
    listen("verify <b>", 4, 4)
    assert cell == [
        '<div><progress value="1" max="1"></progress> prepare</div>',
        '<div><progress value="1" max="1"></progress> prepare</div>'
        '<div><progress value="4" max="4"></progress> verify &lt;b&gt; 4/4</div>',
    ]


def test_without_a_kernel_ipython_is_a_terminal(cell, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setattr(sys, "stderr", Terminal())
    listen = tinyint.progress()
    listen("calibrate", 1, 2)
    listen("calibrate", 2, 2)
    assert sys.stderr.getvalue() == "\r\x1b[2Kcalibrate 1/2\r\x1b[2Kcalibrate 2/2\n"
    assert cell == []


def test_where_nobody_looks_nothing_is_written(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    tinyint.progress()("calibrate", 2, 2)
    assert sys.stderr.getvalue() == ""


def test_updates_are_few_but_the_first_and_the_last_of_a_step_come():
    times = iter([0.0, 0.01, 0.05, 0.2, 0.21, 0.22])
    shown = []
    listen = Bars(
        show=lambda steps: shown.append({n: str(s) for n, s in steps.items()}), clock=lambda: next(times)
    )
    for done in range(5):
        listen("run", done, 5)
    listen("run", 5, 5)
    assert shown == [{"run": "0/5"}, {"run": "3/5"}, {"run": "5/5"}]


def test_a_verb_tells_its_steps(cell, tmp_path):
    model = residual()
    samples = np.concatenate([sample["x"] for sample in noise(model, 4)])
    run = tinyint.Run(progress=tinyint.progress(), threads=1)
    tinyint.quantize(model, tinyint.Samples(samples, limit=2), run=run)
    assert "calibrate 2/2" in cell[-1]
    assert "verify 2/2" in cell[-1]
