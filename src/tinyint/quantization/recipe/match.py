"""Matching of a recipe's rules to nodes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fnmatch import fnmatchcase

from tinyint.errors import RecipeError, TinyintWarning, nearest
from tinyint.quantization.recipe.model import Recipe, Rule, compiled, is_regex

Node = tuple[str, tuple[str, ...]]


def match_rules(recipe: Recipe, nodes: Sequence[Node]) -> dict[str, Rule]:
    """First matching rule per node name; nodes without one are left out.

    `nodes` are (name, operator types): a node answers to each of its types ("Conv" and "DepthwiseConv"). A `skip` is a
    rule that keeps its nodes in float. A rule, skip or operator type of the recipe that matches no node at all is a
    RecipeError that proposes the nearest names. If the recipe says `unmatched: warn`, as one for many models does, a
    name or scope that matches nothing is a TinyintWarning, and an operator that the model lacks is passed over.
    """
    wanted = [(f"skip: {entry!r}", _skip_rules(entry)) for entry in recipe.skip]
    wanted += [(f"rules.{i}: {_selectors(rule)}", [rule]) for i, rule in enumerate(recipe.rules)]
    found: dict[str, Rule] = {}
    idle = [(label, rules[0]) for label, rules in wanted if not _assign(rules, nodes, found)]
    if recipe.unmatched == "warn":
        if named := [label for label, rule in idle if rule.name or rule.scope]:
            message = f"recipe {recipe.name!r}: nothing in the model matches " + "; ".join(named)
            warnings.warn(message, TinyintWarning, stacklevel=2)
        return found
    problems = [f"{label} matches no node; {_nearest(rule, nodes)}" for label, rule in idle]
    types = {op_type for _, op_types in nodes for op_type in op_types}
    if not isinstance(recipe.op_types, str):
        missing = [op_type for op_type in recipe.op_types if op_type not in types]
        problems += [f"op_types: the model has no {name!r}; {nearest(name, types)}" for name in missing]
    if problems:
        raise RecipeError(f"recipe {recipe.name!r}: " + "; ".join(problems))
    return found


def _skip_rules(entry: str) -> list[Rule]:
    return [Rule(name=entry, float=True), Rule(op_type=entry, float=True), Rule(scope=entry, float=True)]


def _selectors(rule: Rule) -> str:
    given = {"op_type": rule.op_type, "name": rule.name, "scope": rule.scope}
    return ", ".join(f"{key} {value!r}" for key, value in given.items() if value is not None)


def _assign(rules: list[Rule], nodes: Sequence[Node], found: dict[str, Rule]) -> bool:
    """Enters the first of `rules` that matches, for each node without a rule yet; whether any node matched."""
    matched = False
    for node in nodes:
        rule = next((rule for rule in rules if _matches(rule, node)), None)
        if rule is not None:
            matched = True
            found.setdefault(node[0], rule)
    return matched


def _matches(rule: Rule, node: Node) -> bool:
    name, op_types = node
    return (
        (rule.op_type is None or rule.op_type in op_types)
        and (rule.name is None or _name_matches(rule.name, name))
        and (rule.scope is None or _in_scope(rule.scope, name))
    )


def _name_matches(pattern: str, name: str) -> bool:
    if is_regex(pattern):
        return compiled(pattern).search(name) is not None
    return name == pattern or fnmatchcase(name, pattern)


def _in_scope(scope: str, name: str) -> bool:
    scope, name = scope.strip("/"), name.strip("/")
    return bool(scope) and (name == scope or name.startswith(scope + "/"))


def _nearest(rule: Rule, nodes: Sequence[Node]) -> str:
    types = {op_type for _, op_types in nodes for op_type in op_types}
    if rule.op_type is not None and rule.op_type not in types:
        return nearest(rule.op_type, types)
    sought = (rule.name or rule.scope or "").strip("*")
    return nearest(sought, {name for name, _ in nodes} | types)
