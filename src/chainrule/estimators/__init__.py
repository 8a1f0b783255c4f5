"""Estimators with the habits of scikit-learn."""

from chainrule.estimators.graph_network import GraphNetworkClassifier, GraphNetworkRegressor
from chainrule.estimators.linear import MultinomialLogisticRegression, Perceptron, Ridge
from chainrule.estimators.mlp import MLPClassifier, MLPRegressor
from chainrule.estimators.table import TableClassifier, TableRegressor

__all__ = [
    "GraphNetworkClassifier",
    "GraphNetworkRegressor",
    "MLPClassifier",
    "MLPRegressor",
    "MultinomialLogisticRegression",
    "Perceptron",
    "Ridge",
    "TableClassifier",
    "TableRegressor",
]
