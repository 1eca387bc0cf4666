"""Recipe: method, formats, and ordered rules for nodes; frozen, in YAML."""

from tinyint.quantization.recipe.match import match_rules
from tinyint.quantization.recipe.model import Activations, Method, Recipe, Rule, Weights
from tinyint.quantization.recipe.text import read_yaml

__all__ = ["Activations", "Method", "Recipe", "Rule", "Weights", "match_rules", "read_yaml"]
