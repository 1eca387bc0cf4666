import pytest

from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, UINT8
from tinyint.numbers.scheme import WEIGHT_FORMATS, Scheme


def test_formats_of_weights_have_a_code_for_each_code_s_negative():
    assert {bits: (f.qmin, f.qmax) for bits, f in WEIGHT_FORMATS.items()} == {
        4: (-7, 7),
        7: (-63, 63),
        8: (-127, 127),
        16: (-32767, 32767),
    }


def test_a_scheme_is_a_value():
    one = Scheme(qtype=UINT8, symmetric=False)
    assert one == Scheme(qtype=UINT8, symmetric=False)
    assert len({one, Scheme(qtype=UINT8, symmetric=True), Scheme(qtype=INT8, symmetric=False)}) == 3
    assert one.axis is None
    assert Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(1)).axis == 1


@pytest.mark.parametrize(("symmetric", "word"), [(True, " symmetric"), (False, " asymmetric")])
def test_a_scheme_in_words(symmetric, word):
    told = str(Scheme(qtype=INT8.narrow(), symmetric=symmetric))
    assert told.startswith(f"int8 [-127, 127]{word} ")
