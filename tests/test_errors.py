import pytest

from tinyint.errors import nearest


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("kll", ["kl", "mse", "minmax"], "did you mean 'kl'?"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("zzz", "fedcba", "known: a, b, c, d, e, f"),
        ("zzz", "hgfedcba", "known: a, b, c, d, e, f and 2 more"),
        ("zzz", [], "there are none"),
    ],
)
def test_nearest_names_few(name, known, expected):
    assert nearest(name, known) == expected
