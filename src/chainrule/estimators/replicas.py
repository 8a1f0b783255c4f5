"""Several networks from different starting points: ``cr.fit`` with restarts, and what an estimator keeps of it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule import optim
from chainrule.estimators.callbacks import Hooks
from chainrule.estimators.inputs import in_dtype
from chainrule.estimators.rows import Part, Watched
from chainrule.estimators.session import Plan
from chainrule.estimators.threads import threads_here
from chainrule.ops.record import Array
from chainrule.training.batches import steps_per_epoch
from chainrule.training.fit import fit
from chainrule.training.history import History
from chainrule.training.life import ALL_EPOCHS, SMALLER_STEPS, risen
from chainrule.training.progress import Epoch
from chainrule.training.stopping import EarlyStopping

if TYPE_CHECKING:
    from chainrule.estimators.base import NetworkEstimator

#: of an epoch, from which on the last, smaller one is left out: other rows each time, and whole epochs in one call
MANY_MINIBATCHES = 10


def train_replicas(
    est: NetworkEstimator,
    plan: Plan,
    rows: Part,
    watched: Watched | None,
    rng: np.random.RandomState,
    hooks: Hooks,
) -> None:
    """Train ``est.restarts`` networks; the best one's arrays, or all of them, become the estimator's."""
    dtype = plan.network.dtype
    network = plan.network.build(est.alpha)
    batch_size = est._batch_size(len(rows))
    drop_last = bool(est.shuffle and len(rows) >= MANY_MINIBATCHES * batch_size)
    scores = None
    if watched is not None and est._scorer() is not None:
        shown = copy.copy(est)
        score = watched.scorer(shown, None)
        scores = ScoreWatch(shown, score, est.early_stopping, float(est.tol), float(est.n_iter_no_change))
    validation = None
    if watched is not None and scores is None:
        validation = in_dtype(watched.x, dtype), plan.target(watched.target, watched.weight)
    with hooks.fit_task(0):
        history = fit(
            network,
            (in_dtype(rows.x, dtype), plan.target(rows.target, rows.weight)),
            loss=plan.loss_of(network),
            optimizer=_optimizer(est, steps_per_epoch(len(rows), batch_size, drop_last)),
            epochs=est.max_iter,
            batch_size=batch_size,
            validation=validation,
            shuffle=est.shuffle,
            drop_last=drop_last,
            restarts=est.restarts,
            clip_norm=plan.clip_norm,
            stop=_stop_rule(est, watched, scores),
            callbacks=() if scores is None else (scores,),
            progress=bool(est.verbose),
            seed=int(rng.randint(0, 2**31 - 1)),
            threads=threads_here(est.threads),
        )
        if scores is not None:
            scores.choose(history)
        _keep(est, history, scores, validation is not None, len(rows))


def _optimizer(est: Any, steps: int) -> optim.Optimizer:
    rate: Any = est.learning_rate_init
    if est.learning_rate == "cosine":
        rate = optim.CosineDecay(rate, steps=est.max_iter * steps)
    if est.solver == "adam":
        return optim.Adam(rate, (est.beta_1, est.beta_2), est.epsilon)
    return optim.SGD(rate, est.momentum, nesterov=bool(est.nesterovs_momentum and est.momentum > 0))


def _stop_rule(est: Any, watched: Watched | None, scores: ScoreWatch | None) -> EarlyStopping | None:
    """Early stopping keeps the best epoch; without validation rows it looks at the training loss."""
    planned = est.learning_rate == "cosine" or not np.isfinite(est.n_iter_no_change)
    if scores is not None or (watched is None and planned):
        return None
    if watched is not None and not est.early_stopping:
        return None
    patience = min(est.n_iter_no_change + 1, est.max_iter)
    return EarlyStopping(int(patience), min_delta=float(est.tol))


def _keep(est: Any, history: History, scores: ScoreWatch | None, validated: bool, rows: int) -> None:
    """What the estimator shows of a finished run."""
    best = history.best if scores is None else scores.best
    kept = history.replicas[best]
    states = [_without_alpha(r.state) for r in history.replicas if np.isfinite(r.score)]
    est.history_ = replace(history, model=None)
    est._publish(_without_alpha(kept.state))
    est._members = states if est.ensemble else None
    est.loss_curve_ = list(kept.loss)
    est.n_iter_, est.t_ = len(kept.loss), len(kept.loss) * rows
    est.loss_ = est.loss_curve_[-1] if est.loss_curve_ else np.nan
    est.best_loss_ = None if est.early_stopping else min(est.loss_curve_, default=np.inf)
    curve = scores.curves[best] if scores is not None else [-v for v in kept.validation_loss]
    est.validation_scores_ = curve if scores is not None or validated else None
    est.best_validation_score_ = max(curve) if est.early_stopping and curve else None
    est._no_improvement_count = 0
    rise = risen(kept.loss)
    if rise:
        warnings.warn(f"{rise}. {SMALLER_STEPS}", ConvergenceWarning, stacklevel=6)
    if ALL_EPOCHS in kept.stopped and est.learning_rate != "cosine":
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and the optimization hasn't "
            "converged yet.",
            ConvergenceWarning,
            stacklevel=6,
        )


def _without_alpha(state: dict[str, Array]) -> dict[str, Array]:
    return {name: value for name, value in state.items() if name != "alpha"}


@dataclass
class ScoreWatch:
    """A callback that scores every replica after every epoch and remembers each one's best parameters."""

    shown: Any  # a copy of the estimator
    score: Callable[[], float]
    early_stopping: bool
    tol: float
    patience: float
    curves: dict[int, list[float]] = field(default_factory=dict)
    best_scores: dict[int, float] = field(default_factory=dict)
    states: dict[int, tuple[int, dict[str, Array]]] = field(default_factory=dict)
    waited: dict[int, int] = field(default_factory=dict)

    def __call__(self, epoch: Epoch) -> bool:
        """Whether the replica has waited too long for a better score."""
        state = epoch.model.state_dict()
        self.shown._publish(_without_alpha(state))
        now = self.score()
        i = epoch.replica
        self.curves.setdefault(i, []).append(now)
        best = self.best_scores.get(i, -np.inf)
        self.waited[i] = self.waited.get(i, 0) + 1 if now < best + self.tol else 0
        if now > best or i not in self.states:
            self.best_scores[i], self.states[i] = now, (epoch.number - 1, state)
        return bool(self.early_stopping and self.waited[i] > self.patience)

    @property
    def best(self) -> int:
        """The replica with the best score."""
        return max(self.best_scores, key=lambda i: (np.nan_to_num(self.best_scores[i], nan=-np.inf), -i))

    def choose(self, history: History) -> None:
        """Put each replica's best parameters in place of its last ones, where training stops early."""
        if self.early_stopping:
            for i, (epoch, state) in self.states.items():
                history.replicas[i].state, history.replicas[i].kept_epoch = state, epoch
