"""What back-propagation replaced or grew from: perceptron rule, delta rule, naive gradient, path sum."""

from chainrule.classic.delta_rule import DeltaRule, delta_rule
from chainrule.classic.perceptron import Perceptron, perceptron
from chainrule.classic.separation import Separation, linear_separation
from chainrule.classic.surrogate import SurrogateBound, scaled, surrogate_bound

__all__ = [
    "DeltaRule",
    "Perceptron",
    "Separation",
    "SurrogateBound",
    "delta_rule",
    "linear_separation",
    "perceptron",
    "scaled",
    "surrogate_bound",
]
