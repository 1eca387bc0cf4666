"""Candidates for a race, and the rules that make them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import residual
from tinyint.graph.prepare import prepare
from tinyint.quantization.placements import PLANNED, float_rules, placements
from tinyint.quantization.plan import Plan, plan
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.targets import get_target

TARGET = get_target("generic")


def planned(model: ir.Model, *rules: Rule) -> Plan:
    return plan(model, TARGET, Recipe(rules=rules))


def separable() -> ir.Model:
    return prepare(
        build(
            "g (float[1,4,8,8] x) => (float[1,4,8,8] y) { [first] a = Conv (x, w) [deep] b = Conv <group = 4> (a, d) "
            "[last] c = Conv (b, v) [skip] s = Add (a, c) [end] y = Conv (s, u) }",
            w=(4, 4, 1, 1),
            d=(4, 1, 1, 1),
            v=(4, 4, 1, 1),
            u=(4, 4, 1, 1),
        )
    )


def test_each_candidate_holds_what_its_name_says() -> None:
    model = separable()
    first = planned(model)
    found = {p.name: set(planned(model, *p.rules).float_nodes) for p in placements(model, first, TARGET, {})}
    assert first.int8_nodes == ("first", "deep", "last", "skip", "end")
    assert found["as planned"] == set()
    assert found["weights' operators only"] == {"skip"}
    assert found["without depthwise convolutions"] == {"deep"}
    assert found["dense weights' operators only"] == {"skip", "deep"}
    assert len({frozenset(held) for held in found.values()}) == len(found)


def test_what_a_profile_says_is_a_candidate() -> None:
    model = separable()
    slow = {"deep": (0.0, 1e6), **dict.fromkeys(("first", "last", "end"), (1e6, 0.0)), "skip": (0.0, 1e6)}
    rules = {p.name: p.rules for p in placements(model, planned(model), TARGET, slow)}
    assert set(planned(model, *rules["by its own profile"]).float_nodes) == {"deep", "skip"}


def test_nothing_else_than_the_plan_where_all_are_the_same() -> None:
    model = prepare(
        build("g (float[1,4,8,8] x) => (float[1,4,8,8] y) { [a] y = Conv (x, w) }", w=(4, 4, 1, 1))
    )
    fast = {"a": (1e6, 0.0)}
    assert [p for p in placements(model, planned(model), TARGET, fast) if p.name != "by cost"] == [PLANNED]


def test_one_rule_for_all_of_a_kind() -> None:
    model = separable()
    plan_ = planned(model)
    assert float_rules(model.graph, plan_, {"deep", "skip"}) == (
        Rule(op_type="DepthwiseConv", float=True),
        Rule(op_type="Add", float=True),
    )
    every = {"first", "deep", "last", "end"}
    assert float_rules(model.graph, plan_, every) == (Rule(op_type="Conv", float=True),)
    assert float_rules(model.graph, plan_, {"last"}) == (Rule(name="last", float=True),)


@pytest.mark.parametrize("name", ["/deep/", "a[0]*?", "[x]", "/.*/", "/"])
def test_names_are_no_patterns(name: str) -> None:
    model = residual()
    for node, new in zip(
        [n for n in model.graph if n.op_type == "Conv"], (name, "other", "/xdeep/x"), strict=True
    ):
        node.name = new
    rules = float_rules(model.graph, planned(model), {name})
    assert len(rules) == 1
    held = planned(model, *rules)
    assert name in held.float_nodes
    assert {"other", "/xdeep/x"} <= set(held.int8_nodes)


def test_rules_hold_the_nodes_and_no_others() -> None:
    model = residual()
    plan_ = planned(model)
    random = np.random.default_rng(0)
    for _ in range(20):
        held = {name for name in plan_.int8_nodes if random.random() < 0.5}
        rules = float_rules(model.graph, plan_, held)
        asked = {name for name in plan_.int8_nodes if any(_matches(rule, model, name) for rule in rules)}
        assert asked == held


def _matches(rule: Rule, model: ir.Model, name: str) -> bool:
    node = next(n for n in model.graph if n.name == name)
    return rule.name == name or rule.op_type == node.op_type
