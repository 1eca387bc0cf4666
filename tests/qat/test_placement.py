"""Where quantizers stand among the steps: names, inputs and outputs."""

from functools import partial

from tests.qat.steps import rewritten


def steps_of(*args: str, **options: str) -> dict[str, tuple[tuple[str | None, ...], tuple[str, ...]]]:
    steps, _ = rewritten(*args, **options)
    return {step.name: (step.inputs, step.outputs) for step in steps}


def test_a_clamp_goes_where_the_quantizer_behind_it_cuts():
    assert steps_of("[one] a = Conv (x, w, b) [cut] r = Relu (a) [two] y = Conv (r, v)") == {
        "x/Q": (("x",), ("x (quantized)", "x (scale)")),
        "one[1]/Q": (("w", "b", "x (scale)"), ("one[1] (quantized)", "one[2] (quantized)")),
        "one": (("x (quantized)", "one[1] (quantized)", "one[2] (quantized)"), ("a",)),
        "r/Q": (("a",), ("r", "r (scale)")),
        "two[1]/Q": (("v",), ("two[1] (quantized)",)),
        "two": (("r", "two[1] (quantized)"), ("y (float)",)),
        "y/Q": (("y (float)",), ("y", "y (scale)")),
    }


def test_only_the_places_of_the_plan_read_the_quantized_value():
    found = steps_of("[one] a = Conv (x, w) [two] c = Conv (a, v) [sum] y = Add (c, a)", "tensorrt")
    assert found["a/Q"] == (("a",), ("a (quantized)", "a (scale)"))
    assert found["two"][0] == ("a (quantized)", "two[1] (quantized)")
    assert found["sum"] == (("c", "a (quantized)"), ("y",))
    erf = steps_of(
        "[one] a = Conv (x, w) [soft] y = Erf (x)", outputs="float[1, 4, 6, 6] y, float[1, 4, 6, 6] a"
    )
    assert erf["one"][0] == ("x (quantized)", "one[1] (quantized)")
    assert erf["soft"] == (("x",), ("y",))


def test_what_is_only_moved_lies_on_its_grid_already():
    body = "[one] a = Conv (x, w) [move] m = MaxPool <kernel_shape = [2, 2]> (a) [two] y = Conv (m, v, u)"
    found = steps_of(body)
    assert found["move"] == (("a",), ("m",))
    assert "m/Q" not in found
    assert found["two[1]/Q"] == (("v", "u", "a (scale)"), ("two[1] (quantized)", "two[2] (quantized)"))


def test_a_quantizer_writes_over_what_nothing_else_reads():
    def in_place(body: str, **options: str) -> set[str]:
        steps, _ = rewritten(body, **options)
        return {
            step.name
            for step in steps
            if isinstance(step.function, partial) and step.function.keywords["in_place"]
        }

    assert in_place("[one] a = Conv (x, w) [two] y = Conv (a, v)") == {"a/Q", "y/Q"}
    soft = "[one] a = Conv (x, w) [soft] s = Erf (a) [two] y = Conv (s, v)"
    # What Erf gives may be kept for its gradient.
    assert in_place(soft) == {"a/Q", "y/Q"}
    shared = "[one] a = Conv (x, w) [two] b = Conv (a, v) [soft] y = Erf (a)"
    assert "a/Q" not in in_place(
        shared, target="tensorrt", outputs="float[1, 4, 6, 6] y, float[1, 4, 6, 6] b"
    )
