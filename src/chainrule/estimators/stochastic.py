"""The loop over epochs in scikit-learn's order of events: what is drawn, compared, printed and kept, and when."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import DataError
from chainrule.estimators.callbacks import Hooks
from chainrule.estimators.session import Session
from chainrule.ops.record import Array
from chainrule.training.life import SMALLER_STEPS, risen

SMALLEST_RATE = 1e-6  # below which the adaptive schedule gives up


@dataclass
class SolverState:
    """What an update rule remembers between calls of ``partial_fit``."""

    learning_rate: float
    arrays: dict[str, Array] = field(default_factory=dict)


@dataclass
class EpochLoop:
    """Epochs of one network. ``score`` tells how good the present parameters are; None: watch the loss."""

    estimator: Any
    session: Session
    rng: np.random.RandomState
    samples: int  # before equal ones were merged
    batch_size: int
    score: Callable[[], float] | None
    stop_early: bool
    hooks: Hooks

    def run(self, epochs: int, incremental: bool) -> None:
        """Train; afterwards the session holds the parameters that are kept."""
        est = self.estimator
        order = np.arange(len(self.session.trainer.rows))
        est.n_iter_ = 0
        if self.score is not None and est.validation_scores_ is None:
            est.validation_scores_ = []
        try:
            for epoch in range(epochs):
                if est.shuffle:
                    moved = np.arange(len(order))
                    self.rng.shuffle(moved)
                    order = order[moved]
                self.hooks.before_epoch()
                self._one_epoch(order, epoch)
                reason = self._diverged() or self._reason_to_stop()
                if self.hooks.after_epoch() or reason or incremental:
                    break
                if est.n_iter_ == epochs and est.learning_rate != "cosine":
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization "
                        "hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=4,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        if self.stop_early and self.score is not None:
            self._keep_best()
        rise = "" if incremental else risen(est.loss_curve_[len(est.loss_curve_) - est.n_iter_ :])
        if rise:
            warnings.warn(f"{rise}: {SMALLER_STEPS}", ConvergenceWarning, stacklevel=4)

    def _diverged(self) -> str:
        """That the epoch gave numbers that are not finite, with a warning; nothing if it did not."""
        loss = self.estimator.loss_
        if math.isfinite(loss) and self.session.is_finite():
            return ""
        what = f"the loss became {loss}" if not math.isfinite(loss) else "a parameter is no longer finite"
        text = f"Training diverged: {what} in epoch {self.estimator.n_iter_}. {SMALLER_STEPS}"
        warnings.warn(text, ConvergenceWarning, stacklevel=5)
        return what

    def _keep_best(self) -> None:
        """Go back to the parameters with the best score; DataError where no epoch had one."""
        if not math.isfinite(self.estimator.best_validation_score_):
            raise DataError(
                "no epoch had a validation score that is a finite number, so there are no best parameters",
                expected="finite scores",
                got=f"{self.estimator.validation_scores_[-1]} in epoch {self.estimator.n_iter_}",
                hint=SMALLER_STEPS,
            )
        self.session.load(self.estimator._best_values)

    def _one_epoch(self, order: Array, epoch: int) -> None:
        est, state = self.estimator, self.estimator._optimizer
        if est.learning_rate == "cosine":
            state.learning_rate = (
                0.5 * est.learning_rate_init * (1 + math.cos(math.pi * epoch / est.max_iter))
            )
        self.session.set_rate(state.learning_rate)
        result = self.session.run_epoch(order, self.batch_size)
        est.n_iter_ += 1
        est.t_ += self.samples
        est.loss_ = result.loss
        est.loss_curve_.append(est.loss_)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
        self._count_improvement()
        if est.solver == "sgd" and est.learning_rate == "invscaling":
            state.learning_rate = est.learning_rate_init / (est.t_ + 1) ** est.power_t

    def _count_improvement(self) -> None:
        est = self.estimator
        if self.score is not None:
            now = self.score()
            est.validation_scores_.append(now)
            if est.verbose:
                print(f"Validation score: {now:f}")
        if self.stop_early and self.score is not None:
            worse = not now >= est.best_validation_score_ + est.tol  # so is what is not a number
            if now > est.best_validation_score_:
                est.best_validation_score_ = now
                est._best_values = self.session.snapshot()
        else:
            worse = est.loss_ > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, est.loss_)
        est._no_improvement_count = est._no_improvement_count + 1 if worse else 0

    def _reason_to_stop(self) -> str:
        """Why training ends now, or nothing; the adaptive schedule takes smaller steps first."""
        est, state = self.estimator, self.estimator._optimizer
        planned = est.learning_rate == "cosine" and not self.stop_early
        if planned or est._no_improvement_count <= est.n_iter_no_change:
            return ""
        what = "Validation score" if self.stop_early else "Training loss"
        reason = (
            f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."
        )
        if est.solver != "sgd" or est.learning_rate != "adaptive":
            self._say(f"{reason} Stopping.")
            return reason
        if state.learning_rate <= SMALLEST_RATE:
            self._say(f"{reason} Learning rate too small. Stopping.")
            return reason
        state.learning_rate /= 5.0
        self._say(f"{reason} Setting learning rate to {state.learning_rate:f}")
        est._no_improvement_count = 0
        return ""

    def _say(self, text: str) -> None:
        if self.estimator.verbose:
            print(text)
