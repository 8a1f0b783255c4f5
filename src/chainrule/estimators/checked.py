"""Fit methods that check the estimator's settings first, and that one thread at a time may call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from sklearn.base import BaseEstimator, _fit_context

from chainrule.claims import claimed

Given = ParamSpec("Given")
Estimator = TypeVar("Estimator", bound=BaseEstimator)
Fitted = TypeVar("Fitted")


def checked(
    method: Callable[Concatenate[Estimator, Given], Fitted],
) -> Callable[Concatenate[Estimator, Given], Fitted]:
    """A fit method that first checks the settings against ``_parameter_constraints``.

    Raises InTrainingError where another thread fits the same estimator.
    """
    fit: Callable[Concatenate[Estimator, Given], Fitted]
    fit = _fit_context(prefer_skip_nested_validation=True)(method)

    @wraps(method)
    def alone(estimator: Estimator, /, *given: Given.args, **named: Given.kwargs) -> Fitted:
        with claimed("the estimator", [estimator]):
            return fit(estimator, *given, **named)

    return alone
