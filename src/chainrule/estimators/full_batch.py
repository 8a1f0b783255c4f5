"""Training with L-BFGS, with the options and the warnings that scikit-learn gives it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import DataError
from chainrule.estimators.session import Session


def train_full_batch(estimator: Any, session: Session) -> None:
    """Search until the largest component of the gradient is at most ``tol``, or iterations run out."""
    from scipy.optimize import minimize

    found = minimize(
        session.value_and_gradient,
        session.flat(),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
        | estimator._search_options,
    )
    session.value_and_gradient(found.x)
    estimator.n_iter_ = min(int(found.nit), estimator.max_iter)
    estimator.loss_ = float(found.fun)
    if not np.isfinite(found.fun):
        raise DataError(
            f"lbfgs ended at a loss of {found.fun}",
            expected="a finite loss",
            got=found.message,
            hint="standardise X and y; dtype='float64'",
        )
    if estimator.verbose:
        print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
    if found.status != 0:
        warnings.warn(
            f"lbfgs failed to converge after {estimator.n_iter_} iteration(s) (status={found.status}): "
            f"{found.message}. Increase max_iter, or scale the data.",
            ConvergenceWarning,
            stacklevel=4,
        )
