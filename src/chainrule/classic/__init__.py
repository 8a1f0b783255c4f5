"""What back-propagation replaced or grew from: perceptron rule, delta rule, naive gradient, path sum."""

from chainrule.classic.separation import Separation, linear_separation

__all__ = ["Separation", "linear_separation"]
