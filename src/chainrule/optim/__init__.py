"""Optimizers: update rules as graph expressions, step-size schedules, clipping."""

from chainrule.optim.optimizer import Optimizer
from chainrule.optim.rules import Adam

__all__ = ["Adam", "Optimizer"]
