from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyint.errors import RecipeError, TinyintWarning
from tinyint.quantization.ranges import RangeMethod
from tinyint.quantization.recipe import Activations, Recipe, Rule, Weights, match_rules, read_yaml

NODES = [
    ("/stem/Conv", ("Conv",)),
    ("/stem/dw/Conv", ("Conv", "DepthwiseConv")),
    ("/head/fc/Gemm", ("Gemm",)),
    ("/head/Softmax", ("Softmax",)),
    ("conv[0]", ("Conv",)),
]


def test_presets():
    assert Recipe.presets() == ["accurate", "default", "dynamic", "fast", "full", "weight_only"]
    recipes = {name: Recipe.load(name) for name in Recipe.presets()}
    assert all(recipe.name == name for name, recipe in recipes.items())
    assert recipes["default"].calibration == recipes["accurate"].calibration == "mse"
    assert recipes["fast"].range_method == RangeMethod(algorithm="minmax")
    assert recipes["accurate"].weights.range == "mse"
    assert recipes["accurate"].steps == ("correct_bias",)
    assert recipes["full"].op_types == "all"
    assert (recipes["dynamic"].method, recipes["weight_only"].method) == ("dynamic", "weight_only")


def test_a_misspelt_preset_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="'defualt' is neither a preset nor a file: did you mean 'default'"):
        Recipe.load("defualt")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"calib": "kl"}, r"unknown key 'calib'; did you mean 'calibration'\?"),
        ({"granularity": "per_tensor"}, r"did you mean 'weights.granularity'\?"),
        (
            {"weights": {"granularty": "per_tensor"}},
            r"unknown key 'weights.granularty'; did you mean 'granularity'\?",
        ),
        ({"calibration": "kll"}, "calibration: got 'kll', expected 'minmax', .* or 'emd'"),
        ({"weights": {"bits": 9}}, "weights.bits: got 9, expected 7, 8 or 16"),
        ({"weights": 5}, "weights: got 5, expected a mapping with keys of bits, granularity, range"),
        ({"samples": True}, "samples: got True, expected a whole number from 1, or 'all'"),
        ({"samples": 0}, "samples: got 0, expected a whole number from 1"),
        ({"activations": {"symmetric": "yess"}}, "activations.symmetric: got 'yess'"),
        ({"op_types": 3}, "op_types: got 3, expected 'default', 'all' or a list of operator types"),
        ({"op_types": []}, r"op_types: got \[\], expected"),
        ({"skip": [1]}, "skip.0: got 1, expected a valid string"),
        ({"skip": ["/a(/"]}, r"/a\(/ is not a regular expression"),
        ({"rules": [{"float": True}]}, "rules.0: a rule needs a selector"),
        ({"rules": [{"op_type": "Conv"}]}, "rules.0: a rule without effect"),
        ({"rules": [{"op_type": "Conv", "weights": {}}]}, "rules.0: a rule without effect"),
        ({"rules": [{"op_type": "Conv", "float": True, "weights": {"bits": 7}}]}, "not both"),
        ({"rules": [{"optype": "Conv"}]}, r"unknown key 'rules.0.optype'; did you mean 'op_type'"),
        ({"steps": "equalise"}, "steps.0: got 'equalise', expected a repair step; did you mean 'equalize'"),
        ({"steps": ["equalize", "equalize"]}, "`steps` names a step twice"),
        ({"percentile": 99.9}, "`percentile` has no effect with calibration mse, only with percentile"),
        ({"calibration": "kl", "norm": 2.4}, "`norm` has no effect with calibration kl, only with mse"),
        ({"method": "dynamic", "calibration": "kl"}, "`calibration` has no effect with method dynamic"),
        ({"method": "weight_only", "samples": 5}, "`samples` has no effect with method weight_only"),
        ({"method": "dynamic", "activations": {"symmetric": True}}, "`activations` has no effect"),
        ({"weights": {"bits": 16}}, "`weights.bits` of 16 needs `method: weight_only`, not static"),
        ({"rules": [{"op_type": "A", "weights": {"bits": 16}}]}, "`weights.bits` of 16 needs"),
        ({"method": "dynamic", "rules": [{"op_type": "A", "activations": {"symmetric": True}}]}, "no effect"),
    ],
)
def test_a_wrong_recipe_is_refused_with_key_value_and_what_is_allowed(mapping, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.parse(mapping)
    with pytest.raises(RecipeError, match=message):
        Recipe(**mapping)


def test_every_mistake_is_told_at_once():
    with pytest.raises(RecipeError, match=r"(?=.*calib)(?=.*samples)"):
        Recipe.parse({"calib": "kl", "samples": "many"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"method: static\nmethod: dynamic\n", "r.yaml, line 2: the key 'method' stands there twice"),
        (b"weights:\n  bits: 8\n  bits: 7\n", "r.yaml, line 3: the key 'bits' stands there twice"),
        (b"method: [static\nname: x\n", "r.yaml, line 2: not valid YAML"),
        (b"- static\n", "r.yaml, line 1: expected a mapping of keys, found a list"),
        (b"", "r.yaml, line 1: expected a mapping of keys, found nothing"),
        (b"name: x\n\xff\xfe\x00", "r.yaml, line 2: not text in UTF-8"),
        (b"name: x\nmethod: \x00", "r.yaml, line 2: not valid YAML"),
        (b"[" * 1500, "r.yaml, line 1: nested too deeply"),
        (b"name: 2020-13-45", "r.yaml, line 1: not valid YAML: month"),
        (b"1: x", "r.yaml: expected a name as key, found 1"),
        (b"name: x\ncalib: kl", "r.yaml: unknown key 'calib'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_line(tmp_path, monkeypatch, content, message):
    (tmp_path / "r.yaml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"^{message}"):
        Recipe.load("r.yaml")


@pytest.mark.parametrize("path", ["missing.yaml", "no/such/file", "a\0.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"recipe"):
        Recipe.load(path)


def test_a_file_is_named_after_itself(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("calibration: kl\nskip: Softmax\n")
    assert Recipe.load(path) == Recipe(name="mine", calibration="kl", skip=("Softmax",))
    path.write_text("name: ours\n")
    assert Recipe.load(str(path)).name == "ours"


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("skip=[*/head/*, Softmax]", "skip", ("*/head/*", "Softmax")),
        ("skip=*/head/*", "skip", ("*/head/*",)),
        ("skip=a,b", "skip", ("a", "b")),
        ('skip=["/a{1,2}/"]', "skip", ("/a{1,2}/",)),
        ("skip=[]", "skip", ()),
        ("op_types=[Conv, MatMul]", "op_types", ("Conv", "MatMul")),
        ("op_types=Conv", "op_types", ("Conv",)),
        ("op_types=all", "op_types", "all"),
        ("calibration=kl", "calibration", "kl"),
        ("samples=64", "samples", 64),
        ("samples=all", "samples", "all"),
        ("norm=2.4", "norm", 2.4),
        ("weights.bits=7", "weights", Weights(bits=7)),
        ("weights.granularity=per_tensor", "weights", Weights(granularity="per_tensor")),
        ("activations.symmetric=true", "activations", Activations(symmetric=True)),
        ("rules=[{op_type: Add, float: true}]", "rules", (Rule(op_type="Add", float=True),)),
    ],
)
def test_settings_are_yaml_or_plain_patterns(setting, key, value):
    before = Recipe.load("default")
    after = before.with_settings([setting])
    assert getattr(after, key) == value
    assert after == before.model_copy(update={key: value})


def test_later_settings_win_and_add_up():
    recipe = Recipe.load("accurate").with_settings(["weights.bits=8", "weights.bits=7", "calibration=kl"])
    assert recipe.weights == Weights(bits=7, range="mse")
    assert recipe.calibration == "kl"


def test_a_setting_drops_what_it_makes_pointless_but_not_another_setting():
    tight = Recipe(calibration="percentile", percentile=99.9)
    assert tight.with_settings(["calibration=kl"]).calibration == "kl"
    assert Recipe.load("default").with_settings(["method=weight_only", "weights.bits=16"]).weights.bits == 16
    with pytest.raises(RecipeError, match="`percentile` has no effect with calibration kl"):
        tight.with_settings(["calibration=kl", "percentile=99"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("calibration", "expected KEY=VALUE"),
        ("calibraton=kl", r"unknown key 'calibraton'; did you mean 'calibration'"),
        ("wieghts.bits=7", r"did you mean 'weights.bits'"),
        ("calibration=kll", "calibration: got 'kll'"),
        ("method=*x", "setting 'method=\\*x': not valid YAML"),
        ("weights=5", "weights: got 5"),
    ],
)
def test_a_wrong_setting_is_refused(setting, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.load("default").with_settings([setting])


def test_rules_in_order_and_the_first_wins():
    keep = Rule(name="/stem/*", float=True)
    narrow = Rule(op_type="Conv", weights=Weights(bits=7))
    recipe = Recipe(skip=("Softmax",), rules=(keep, narrow))
    found = match_rules(recipe, NODES)
    assert found["/stem/Conv"] is keep
    assert found["/stem/dw/Conv"] is keep
    assert found["conv[0]"] is narrow
    assert found["/head/Softmax"].float
    assert "/head/fc/Gemm" not in found
    assert recipe.weights_for(narrow) == Weights(bits=7)
    assert Recipe(weights=Weights(range="mse")).weights_for(narrow) == Weights(bits=7, range="mse")
    assert recipe.activations_for(narrow) == recipe.activations_for(None) == Activations()


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ({"op_type": "Conv"}, {"/stem/Conv", "/stem/dw/Conv", "conv[0]"}),
        ({"op_type": "DepthwiseConv"}, {"/stem/dw/Conv"}),
        ({"scope": "stem"}, {"/stem/Conv", "/stem/dw/Conv"}),
        ({"scope": "/head/fc/"}, {"/head/fc/Gemm"}),
        ({"name": "conv[0]"}, {"conv[0]"}),
        ({"name": r"/(fc|dw)\//"}, {"/stem/dw/Conv", "/head/fc/Gemm"}),
        ({"name": "*/Conv", "op_type": "DepthwiseConv"}, {"/stem/dw/Conv"}),
    ],
)
def test_selectors(rule, names):
    assert set(match_rules(Recipe(rules=(Rule(**rule, float=True),)), NODES)) == names


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        (r"/blocks\.[01]/", "0 1"),
        (r"/blocks\.1/", "1"),
        (r"/blocks\.1[0-9]*/", "1 10 11 100"),
        (r"/[01]$/", "0 1"),
        (r"/blocks\.(1|10)/", "1 10"),
        (r"/0/", "0"),
        (r"/[0-9]/", "0 1 2"),
        (r"/locks/", "0 1 2 10 11 20 100"),
        (r"/(?i)BLOCKS\.2/", "2"),
        (r"/^blocks.*0$/", "0 10 20 100"),
    ],
)
def test_an_expression_takes_no_part_of_a_number(pattern, places):
    nodes = [(f"blocks.{n}", ("Conv",)) for n in (0, 1, 2, 10, 11, 20, 100)]
    found = match_rules(Recipe(rules=(Rule(name=pattern, float=True),)), nodes)
    assert [name.partition(".")[2] for name in found] == places.split()


@pytest.mark.parametrize(
    ("skip", "names"),
    [
        ("Softmax", {"/head/Softmax"}),
        ("*/fc/*", {"/head/fc/Gemm"}),
        ("head", {"/head/fc/Gemm", "/head/Softmax"}),
    ],
)
def test_skip_takes_an_operator_a_pattern_or_a_scope(skip, names):
    assert set(match_rules(Recipe(skip=skip), NODES)) == names


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(skip=("Sofmax",)), r"skip: 'Sofmax' matches no node; did you mean 'Softmax'"),
        (Recipe(skip=("*/haed/fc/*",)), r"did you mean '/head/fc/Gemm'"),
        (Recipe(rules=(Rule(scope="sten", float=True),)), "rules.0: scope 'sten' matches no node"),
        (Recipe(rules=(Rule(scope="st", float=True),)), "rules.0: scope 'st' matches no node"),
        (
            Recipe(rules=(Rule(op_type="conv", float=True),)),
            r"op_type 'conv' matches no node; did you mean 'Conv'",
        ),
        (Recipe(op_types=("Conv", "Matmul")), "op_types: the model has no .Matmul."),
    ],
)
def test_what_matches_nothing_is_an_error_with_the_nearest_names(recipe, message):
    with pytest.raises(RecipeError, match=message):
        match_rules(recipe, NODES)


def test_a_recipe_for_many_models_warns_of_names_alone():
    recipe = Recipe(
        unmatched="warn",
        op_types=("Conv", "MatMul"),
        skip=("*yolo*", "Softmax"),
        rules=(Rule(op_type="Add", float=True),),
    )
    with pytest.warns(TinyintWarning, match=r"nothing in the model matches skip: '\*yolo\*'$"):
        assert set(match_rules(recipe, NODES)) == {"/head/Softmax"}


words = st.text(min_size=1, max_size=12).filter(lambda s: not (len(s) > 2 and s[0] == s[-1] == "/"))
formats = st.builds(
    lambda given: Weights(**given),
    st.fixed_dictionaries(
        {},
        optional={
            "bits": st.sampled_from([7, 8]),
            "granularity": st.sampled_from(["per_channel", "per_tensor"]),
            "range": st.sampled_from(["absmax", "mse"]),
        },
    ),
)
rules = st.one_of(
    st.builds(Rule, op_type=words, float=st.just(True)),
    st.builds(Rule, name=words, scope=words, weights=st.just(Weights(bits=7))),
)


@st.composite
def recipes(draw):
    method = draw(st.sampled_from(["static", "dynamic", "weight_only"]))
    keys = {
        "name": words,
        "weights": formats,
        "skip": st.lists(words, max_size=3),
        "rules": st.lists(rules, max_size=3),
    }
    keys["op_types"] = st.sampled_from(["default", "all"]) | st.lists(words, min_size=1, max_size=3)
    if method == "static":
        keys["samples"] = st.integers(1, 10**6) | st.just("all")
        keys["activations"] = st.builds(Activations, symmetric=st.sampled_from([None, True, False]))
        calibration = draw(st.sampled_from(["minmax", "kl", "mse", "percentile"]))
        keys["calibration"] = st.just(calibration)
        if calibration == "percentile":
            keys["percentile"] = st.floats(51, 100)
        if calibration == "mse":
            keys["norm"] = st.floats(1, 16)
    fixed = {"method": st.just(method)} | {k: keys.pop(k) for k in ("calibration",) if k in keys}
    given = draw(st.fixed_dictionaries(fixed, optional=keys))
    return Recipe(**given)


@given(recipe=recipes())
@settings(max_examples=60, deadline=None)
def test_a_recipe_survives_yaml(recipe):
    text = recipe.dump()
    again = Recipe.parse(read_yaml(text, "dump"))
    assert again == recipe
    assert again.dump() == text
    assert [again.weights_for(r) for r in again.rules] == [recipe.weights_for(r) for r in recipe.rules]
    assert recipe.with_settings([]) == recipe


yaml_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Conv", "kl", "all"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["weights", "rules", "skip", "op_types", "bits", "name", "float", "method"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
documents = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text(alphabet="abc:[]{}-*&!#|>%@`'\"\n ?,0.12", max_size=60).map(str.encode)
    | yaml_like.map(lambda value: yaml.safe_dump(value).encode())
)


@given(content=documents)
@settings(max_examples=200, deadline=None)
def test_no_file_ends_in_anything_but_a_recipe_or_a_recipe_error(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    try:
        recipe = Recipe.load(path)
    except RecipeError:
        return
    assert Recipe.parse(read_yaml(recipe.dump(), "dump")) == recipe


@given(
    text=st.text(max_size=40),
    key=st.sampled_from(["skip=", "op_types=", "samples=", "weights=", "rules=", ""]),
)
@settings(max_examples=200, deadline=None)
def test_no_setting_ends_in_anything_but_a_recipe_or_a_recipe_error(text, key):
    try:
        recipe = Recipe.load("default").with_settings([key + text])
    except RecipeError:
        return
    assert isinstance(recipe, Recipe)
