"""How several ranges move at once; `test_activations` has the rules for one."""

import pytest
import torch

from tinyint.numbers.numerics import INT8, UINT8, qparams_from_range
from tinyint.numbers.scheme import Scheme
from tinyint.qat.quantizers.activations import ObservedQuantizer
from tinyint.qat.quantizers.tracking import RangeTracker
from tinyint.qat.settings import QatSettings

U8 = Scheme(qtype=UINT8, symmetric=False)
S8 = Scheme(qtype=INT8.narrow(), symmetric=True)
NAN, INF = float("nan"), float("inf")


def quantizer(lo: float, hi: float, scheme: Scheme = U8) -> ObservedQuantizer:
    return ObservedQuantizer(
        scheme, qparams_from_range(lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric)
    )


def tracker(*quantizers: ObservedQuantizer, kind: str = "absmax", floors=None, **settings) -> RangeTracker:
    known = QatSettings.model_validate({"activations": kind, **settings})
    return RangeTracker(quantizers, floors or [(0.0, 0.0)] * len(quantizers), known)


def see(tracked: RangeTracker, *extrema: tuple[float, float]) -> None:
    for each, (lo, hi) in zip(tracked.quantizers, extrema, strict=True):
        each.seen.copy_(torch.tensor([-lo, hi]))
    tracked.update()


def test_each_quantizer_has_the_range_of_its_own_extrema():
    tracked = tracker(quantizer(-1.0, 1.0), quantizer(-1.0, 1.0), kind="moving_average", rate=0.5)
    see(tracked, (-3.0, 1.0), (-1.0, 5.0))
    assert tracked.ends.flatten().tolist() == pytest.approx([2.0, 1.0, 1.0, 3.0], abs=0.01)
    assert [float(q.scale) for q in tracked.quantizers] == pytest.approx([3 / 255, 4 / 255], rel=0.01)
    assert [float(q.zero_point) for q in tracked.quantizers] == [170, 64]


def test_each_scheme_gets_parameters_of_its_own():
    tracked = tracker(quantizer(-1.0, 1.0, S8), quantizer(-1.0, 1.0))
    see(tracked, (-2.54, 1.0), (0.0, 2.55))
    assert float(tracked.quantizers[0].scale) == pytest.approx(0.02)
    assert float(tracked.quantizers[0].zero_point) == 0
    assert float(tracked.quantizers[1].scale) == pytest.approx(3.55 / 255, rel=2e-3)  # it began at -1, about


@pytest.mark.parametrize("bad", [(NAN, 1.0), (-1.0, INF), (-1.0, NAN)])
def test_a_batch_that_diverged_leaves_its_range_and_no_other(bad):
    tracked = tracker(quantizer(0.0, 2.0), quantizer(0.0, 2.0))
    see(tracked, bad, (0.0, 6.0))
    assert tracked.ends[0].tolist() == pytest.approx([0.0, 2.0])
    assert tracked.ends[1].tolist() == pytest.approx([0.0, 6.0])


def test_a_tensor_that_did_not_occur_keeps_its_range():
    tracked = tracker(quantizer(0.0, 2.0))
    tracked.update()
    assert tracked.ends.tolist() == [[0.0, pytest.approx(2.0)]]


def test_what_was_seen_counts_once():
    tracked = tracker(quantizer(0.0, 1.0), kind="moving_average", rate=0.5)
    see(tracked, (0.0, 3.0))
    assert torch.isneginf(tracked.quantizers[0].seen).all()
    tracked.update()
    assert tracked.ends[0, 1].item() == pytest.approx(2.0)


def test_a_floor_is_covered_and_not_remembered():
    tracked = tracker(quantizer(0.0, 1.0), kind="moving_average", rate=0.0, floors=[(-1.0, 4.0)])
    see(tracked, (0.0, 2.0))
    assert tracked.ends.tolist() == [[0.0, 2.0]]
    assert float(tracked.quantizers[0].scale) == pytest.approx(5 / 255)
    assert float(tracked.quantizers[0].zero_point) == 51


def test_the_window_forgets_the_oldest_batch():
    tracked = tracker(quantizer(0.0, 1.0), kind="range_absmax", window=2)
    found = []
    for hi in (8.0, 2.0, 3.0, 1.0):
        see(tracked, (0.0, hi))
        found.append(tracked.ends[0, 1].item())
    assert found == pytest.approx([8.0, 8.0, 3.0, 3.0])


def test_without_quantizers_there_is_nothing_to_move():
    tracked = tracker()
    tracked.update()
    assert tracked.ends.shape == (0, 2)
