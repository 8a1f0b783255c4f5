"""Estimators with the habits of scikit-learn."""

from chainrule.estimators.mlp import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
