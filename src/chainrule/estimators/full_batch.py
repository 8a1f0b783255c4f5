"""Training with L-BFGS, with the options and the warnings that scikit-learn gives it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.errors import DataError
from chainrule.estimators.session import Session


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What an estimator's settings say about the search; the names are the estimator's."""

    max_iter: int
    max_fun: int
    tol: float
    ftol: float | None  # None: SciPy's own


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where the search ended: its iterations, the loss with the penalty, and a warning, if there is reason for one."""

    iterations: int
    loss: float
    warning: str


def train_full_batch(session: Session, settings: SearchSettings) -> Found:
    """Search until the largest component of the gradient is at most ``tol``, or iterations run out.

    The session is left at what was found. Raises DataError where the loss there is not finite.
    """
    from scipy.optimize import minimize

    options = {"maxfun": settings.max_fun, "maxiter": settings.max_iter, "gtol": settings.tol}
    if settings.ftol is not None:
        options["ftol"] = settings.ftol
    found = minimize(session.value_and_gradient, session.flat(), method="L-BFGS-B", jac=True, options=options)
    session.value_and_gradient(found.x)
    if not np.isfinite(found.fun):
        raise DataError(
            f"lbfgs ended at a loss of {found.fun}",
            expected="a finite loss",
            got=found.message,
            hint="standardise X and y; dtype='float64'",
        )
    iterations = min(int(found.nit), settings.max_iter)
    warning = ""
    if found.status != 0:
        warning = (
            f"lbfgs failed to converge after {iterations} iteration(s) (status={found.status}): "
            f"{found.message}. Increase max_iter, or scale the data."
        )
    return Found(iterations=iterations, loss=float(found.fun), warning=warning)
