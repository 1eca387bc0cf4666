"""Recipe: method, formats, and ordered rules for nodes; frozen, in YAML."""

from tinyint.recipe.match import match_rules
from tinyint.recipe.model import Activations, Method, Recipe, Rule, Weights
from tinyint.recipe.text import read_yaml

__all__ = ["Activations", "Method", "Recipe", "Rule", "Weights", "match_rules", "read_yaml"]
