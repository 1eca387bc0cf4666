import itertools
import sys

import numpy as np
import pytest

from tinyint.data.generator import is_function_spec, user_samples
from tinyint.errors import DataError

_COUNTER = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the working directory; returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    written = []

    def write(text):
        written.append(f"user_data_{next(_COUNTER)}")
        (tmp_path / f"{written[-1]}.py").write_text(text)
        return written[-1]

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_specs():
    assert is_function_spec("a:b")
    assert is_function_spec("pack.mod_1:function")
    for text in ("a", "a:", ":b", "a/b:c", "a.py:c", "1a:b", "a:b:c", "a:b.c", "a.:b", ""):
        assert is_function_spec(text) == (text == "a.py:c")


def test_a_generator_function_is_called_for_every_pass(module):
    name = module("def data():\n    yield [1.0]\n    yield [2.0]\n")
    samples = user_samples(f"{name}:data")
    assert list(samples()) == list(samples()) == [[1.0], [2.0]]


def test_a_function_that_returns_a_list(module):
    name = module("import numpy as np\ndef data():\n    return [np.zeros(2)]\n")
    assert np.array_equal(next(user_samples(f"{name}:data")()), np.zeros(2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def data():\n    yield 1\n    raise KeyError('k')\n", r"user_data_\d+\.py, line 3: KeyError: 'k'"),
        (
            "import json\ndef data():\n    return json.loads('{')\n",
            r"user_data_\d+\.py, line 3: JSONDecodeError",
        ),
        ("def data(n):\n    return []\n", "TypeError.*missing 1 required"),
        ("def data():\n    return 3\n", "the data function returned int"),
    ],
)
def test_errors_in_the_function_show_its_line(module, text, message):
    samples = user_samples(f"{module(text)}:data")
    with pytest.raises(DataError, match=message):
        list(samples())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nx.y\n", r"importing user_data_\d+ failed: .*py, line 2: AttributeError"),
        ("def data(:\n", r"SyntaxError.*user_data_\d+\.py, line 1"),
        ("import no_such_module_at_all\n", r"line 1: ModuleNotFoundError: No module named 'no_such"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("def date():\n    pass\n", "has no 'data': did you mean 'date'"),
        ("data = 3\n", "is a int, not a function"),
    ],
)
def test_errors_on_import(module, text, message):
    name = module(text)
    with pytest.raises(DataError, match=message):
        user_samples(f"{name}:data")


def test_an_unknown_module(module, tmp_path):
    with pytest.raises(DataError, match=f"there is no module 'no_such_thing'; looked in {tmp_path}"):
        user_samples("no_such_thing.inner:data")


def test_interrupts_pass_through(module):
    name = module("def data():\n    yield 1\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        list(user_samples(f"{name}:data")())
