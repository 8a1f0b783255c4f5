"""What a user is told of how training ended."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import user_line
from chainrule.estimators.stochastic import Trained
from chainrule.training.divergence import SMALLER_STEPS
from chainrule.training.history import History


def warn_of_convergence(text: str) -> None:
    """A ConvergenceWarning at the user's line."""
    _warn(text, ConvergenceWarning)


def _warn(text: str, category: type[UserWarning]) -> None:
    warnings.warn_explicit(text, category, *(user_line() or ("chainrule", 0)))


def warn_about(trained: Trained) -> None:
    """Warn of how the training of one network ended; raise DataError if it has nothing to keep."""
    if trained.interrupted:
        _warn("Training interrupted by user.", UserWarning)
    for text in trained.warnings:
        warn_of_convergence(text)
    if trained.error is not None:
        raise trained.error


def warn_about_replicas(trained: Sequence[Trained], history: History) -> None:
    """Warn of how a run of several replicas ended; raise DataError if none of them has anything to keep."""
    kept = trained[history.best]
    if history.interrupted:
        _warn("Training interrupted by user.", UserWarning)
    diverged = [(index, one.diverged) for index, one in enumerate(trained) if one.diverged]
    if diverged:
        index, what = diverged[0]
        warn_of_convergence(
            f"Training diverged in {len(diverged)} of {len(trained)} replicas (in replica {index}, {what}). "
            f"{SMALLER_STEPS}"
        )
    for text in kept.warnings[bool(kept.diverged) :]:  # the first one has been told
        warn_of_convergence(text)
    if kept.error is not None:
        raise kept.error
