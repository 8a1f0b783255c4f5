"""``fit`` and ``partial_fit`` of the estimators that can train in minibatches."""

from __future__ import annotations

from typing import Self

from numpy.typing import ArrayLike

from chainrule.estimators.base import NetworkEstimator, stochastic_only
from chainrule.estimators.checked import checked
from chainrule.estimators.inputs import Table
from chainrule.estimators.tasks import ClassificationTask, RegressionTask


class Trainable(NetworkEstimator):
    """An estimator whose ``fit`` takes a validation set."""

    @checked
    def fit(
        self,
        X: Table,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Table | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train on X [rows, features] and y.

        A classifier takes classes y [rows], or 0 and 1 for each label y [rows, labels]; a regressor targets y [rows]
        or [rows, outputs]. ``sample_weight`` [rows] weighs the rows' losses. ``X_val``, ``y_val`` and their weights
        are a validation set: its rows do not train but are scored after every epoch, and early stopping uses them
        instead of ``validation_fraction`` of the rows.

        Raises DataError and SettingError, both ValueErrors, and what scikit-learn's validation raises.
        """
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self


class TrainableClassifier(ClassificationTask, Trainable):
    """A classifier that trains in minibatches."""

    @stochastic_only
    @checked
    def partial_fit(
        self,
        X: Table,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch, on these rows; the first call must be told all ``classes`` to come."""
        self._first_classes(y, classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self


class TrainableRegressor(RegressionTask, Trainable):
    """A regressor that trains in minibatches."""

    @stochastic_only
    @checked
    def partial_fit(self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one more epoch, on these rows."""
        self._fit(X, y, sample_weight, incremental=True)
        return self
