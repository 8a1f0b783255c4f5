"""What back-propagation grew from or replaced: perceptron rule, delta rule, naive gradient, path sum."""

from chainrule.classic.delta_rule import DeltaRule, delta_rule
from chainrule.classic.naive_gradient import NaiveGradient, naive_gradient
from chainrule.classic.path_sum import PathSum, path_sum
from chainrule.classic.perceptron import Perceptron, perceptron
from chainrule.classic.separation import Separation, linear_separation
from chainrule.classic.surrogate import SurrogateBound, scaled, surrogate_bound

__all__ = [
    "DeltaRule",
    "NaiveGradient",
    "PathSum",
    "Perceptron",
    "Separation",
    "SurrogateBound",
    "delta_rule",
    "linear_separation",
    "naive_gradient",
    "path_sum",
    "perceptron",
    "scaled",
    "surrogate_bound",
]
