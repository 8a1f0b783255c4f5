"""The loop over epochs in scikit-learn's order of events: what is drawn, compared and kept, and when."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.errors import DataError
from chainrule.estimators.callbacks import Hooks
from chainrule.estimators.session import Session
from chainrule.ops.record import Array
from chainrule.training.divergence import SMALLER_STEPS, risen
from chainrule.training.epoch_result import EpochResult
from chainrule.training.history import Replica
from chainrule.training.replica_state import ALL_EPOCHS

SMALLEST_RATE = 1e-6  # below which the adaptive schedule gives up
BLOCK_SECONDS = 0.02  # epochs that take about as long together are run without coming back to Python


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What an estimator's settings say about the loop over epochs; the names are the estimator's."""

    solver: str
    batch_size: int
    shuffle: bool
    max_iter: int
    learning_rate: str
    learning_rate_init: float
    power_t: float
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    samples: int  # rows of an epoch, before equal ones were merged


@dataclass(kw_only=True)
class TrainingState:
    """How far training has come and what it goes on from, in a later call as well."""

    learning_rate: float
    epochs: int = 0  # of this fit
    samples: int = 0  # rows seen since the weights were drawn
    loss: float = math.nan
    loss_curve: list[float] = field(default_factory=list)
    best_loss: float = math.inf
    validation_scores: list[float] | None = None
    best_score: float = -math.inf
    best_values: dict[str, Array] = field(default_factory=dict)  # of the network's arrays, for early stopping
    epochs_without_improvement: int = 0
    solver: dict[str, Array] = field(default_factory=dict)  # what the update rule remembers

    def copy(self) -> TrainingState:
        """Another one with curves of its own."""
        scores = None if self.validation_scores is None else [*self.validation_scores]
        return replace(self, loss_curve=[*self.loss_curve], validation_scores=scores)


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores the network that a session trains, by rows that do not train; higher is better."""

    score: Callable[[], float]
    compares: bool  # replicas are compared by this score, otherwise by the validation loss


@dataclass(kw_only=True)
class Trained:
    """What the training of one network has given.

    ``record`` has its curves. ``warnings`` are for the user; ``error`` says why nothing is to be kept.
    """

    state: TrainingState
    values: dict[str, Array]
    record: Replica
    warnings: list[str]
    diverged: str
    interrupted: bool
    error: DataError | None


def _nothing(*_: object) -> None:
    """Nobody watches."""


@dataclass(kw_only=True)
class EpochLoop:
    """Epochs of one network, until the settings say that it is enough; it may be run in several goes.

    ``show`` is given the state after every epoch that somebody looks at, ``say`` a line about it. ``tick`` is called
    while machine code runs, and may raise KeyboardInterrupt. With ``watch_loss`` the validation loss is recorded.
    """

    session: Session
    settings: LoopSettings
    state: TrainingState
    rng: np.random.RandomState
    scorer: Scorer | None = None
    hooks: Hooks | None = None
    watch_loss: bool = False
    show: Callable[[TrainingState], None] = _nothing
    say: Callable[[str], None] | None = None
    tick: Callable[[], None] = _nothing
    record: Replica = field(default_factory=Replica)
    reason: str = ""  # why it has ended
    interrupted: bool = False
    _diverged: str = ""
    _at_once: int = 1

    def __post_init__(self) -> None:
        self._order = np.arange(len(self.session.trainer.rows))
        self.state.epochs = 0
        if self.scorer is not None and self.state.validation_scores is None:
            self.state.validation_scores = []

    @property
    def _stop_early(self) -> bool:
        return self.settings.early_stopping and self.scorer is not None

    def run(self, epochs: int) -> None:
        """Train until so many epochs are done in all, or there is a reason to end."""
        try:
            while self.state.epochs < epochs and not self.reason:
                self._run_block(min(self._at_once, epochs - self.state.epochs))
        except KeyboardInterrupt:
            self.interrupted, self.reason = True, f"interrupted after epoch {self.state.epochs}"

    def run_one(self) -> None:
        """Train for one epoch, after which nobody asks whether that was enough."""
        self.run(1)
        self.reason = self.reason or "one epoch done"

    def _run_block(self, count: int) -> None:
        """Run epochs without looking in between; of those that would have been looked at, the later ones undone."""
        rates, go_back = self._planned_rates(count), self._mark() if count > 1 else _nothing
        orders = self._draw_orders(count)
        began = time.perf_counter()
        if self.hooks is not None:
            self.hooks.before_epoch()
        try:
            results = self.session.run_epochs(orders, self.settings.batch_size, rates, self.tick)
        except KeyboardInterrupt:
            go_back()
            raise
        seconds = (time.perf_counter() - began) / count
        if count > 1 and not self._all_finite(results):
            go_back()  # and run these one by one, to find the epoch
            self._at_once = 1
            self._run_each(count)
            return
        for done, (rate, result) in enumerate(zip(rates, results, strict=True), 1):
            if self._enter(result, rate, count > 1) and done < count:
                go_back()
                orders = self._draw_orders(done)
                self.session.run_epochs(orders, self.settings.batch_size, rates[:done], self.tick)
                break
        self.show(self.state)
        if self.hooks is not None and self.hooks.after_epoch() and not self.reason:
            self.reason = f"stopped by a callback after epoch {self.state.epochs}"
        if self.scorer is None and self.hooks is None:
            self._at_once = min(8 * count, max(1, int(BLOCK_SECONDS / max(seconds, 1e-9))))

    def _run_each(self, count: int) -> None:
        for _ in range(count):
            if not self.reason:
                self._run_block(1)
                self._at_once = 1

    def _mark(self) -> Callable[[], None]:
        """A function that goes back to where the loop is now, what was entered apart."""
        arrays, draws, order = self.session.mark(), self.rng.get_state(legacy=False), self._order

        def go_back() -> None:
            arrays()
            self.rng.set_state(draws)
            self._order = order

        return go_back

    def _draw_orders(self, count: int) -> Array:
        """The orders of the next epochs [epochs, rows]: each shuffles the one before, as scikit-learn does."""
        orders = np.empty((count, len(self._order)), np.int64)
        for row in orders:
            if self.settings.shuffle:
                moved = np.arange(len(row))
                self.rng.shuffle(moved)
                self._order = self._order[moved]
            row[:] = self._order
        return orders

    def _planned_rates(self, count: int) -> list[float]:
        """The learning rates of the next epochs, as far as they do not depend on what these give."""
        s, now = self.settings, self.state
        epochs = range(now.epochs, now.epochs + count)
        if s.learning_rate == "cosine":
            return [
                0.5 * s.learning_rate_init * (1 + math.cos(math.pi * epoch / s.max_iter)) for epoch in epochs
            ]
        if self._scales_inversely:
            later = [self._inverse_rate(now.samples + k * s.samples) for k in range(1, count)]
            return [now.learning_rate, *later]
        return [now.learning_rate] * count

    @property
    def _scales_inversely(self) -> bool:
        return self.settings.solver == "sgd" and self.settings.learning_rate == "invscaling"

    def _inverse_rate(self, samples: int) -> float:
        return float(self.settings.learning_rate_init / (samples + 1) ** self.settings.power_t)

    def _all_finite(self, results: list[EpochResult]) -> bool:
        return all(math.isfinite(result.loss) for result in results) and self.session.is_finite()

    def _enter(self, result: EpochResult, rate: float, known_finite: bool) -> bool:
        """Take an epoch's result into the state; whether the epochs after it are to be other ones than planned."""
        now, record = self.state, self.record
        now.epochs += 1
        now.samples += self.settings.samples
        now.loss = result.loss
        now.loss_curve.append(result.loss)
        record.loss.append(result.loss)
        record.gradient_norm.append(result.gradient_norm)
        record.steps += result.steps
        record.lr.append(rate)
        if self.watch_loss:
            record.validation_loss.append(self.session.validation_loss())
        self._tell(f"Iteration {now.epochs}, loss = {now.loss:.8f}")
        self._count_improvement()
        now.learning_rate = self._inverse_rate(now.samples) if self._scales_inversely else rate
        self._diverged = "" if known_finite else self._what_diverged()
        self.reason = self._diverged or self._reason_to_stop()
        return bool(self.reason) or (self.settings.learning_rate == "adaptive" and now.learning_rate != rate)

    def _count_improvement(self) -> None:
        now, s = self.state, self.settings
        if self.scorer is not None and now.validation_scores is not None:
            self.show(now)
            score = self.scorer.score()
            now.validation_scores.append(score)
            self._tell(f"Validation score: {score:f}")
        if self._stop_early and now.validation_scores is not None:
            score = now.validation_scores[-1]
            worse = not score >= now.best_score + s.tol  # so is what is not a number
            if score > now.best_score:
                now.best_score, now.best_values = score, self.session.snapshot()
                self.record.kept_epoch = now.epochs - 1
        else:
            worse = now.loss > now.best_loss - s.tol
            now.best_loss = min(now.best_loss, now.loss)
            self.record.kept_epoch = now.epochs - 1
        now.epochs_without_improvement = now.epochs_without_improvement + 1 if worse else 0

    def _what_diverged(self) -> str:
        """That the epoch gave numbers that are not finite; nothing if it did not."""
        loss = self.state.loss
        if math.isfinite(loss) and self.session.is_finite():
            return ""
        what = f"the loss became {loss}" if not math.isfinite(loss) else "a parameter is no longer finite"
        return f"{what} in epoch {self.state.epochs}"

    def _reason_to_stop(self) -> str:
        """Why training ends now, or nothing; the adaptive schedule takes smaller steps first."""
        s, now = self.settings, self.state
        planned = s.learning_rate == "cosine" and not self._stop_early
        if planned or now.epochs_without_improvement <= s.n_iter_no_change:
            return ""
        what = "Validation score" if self._stop_early else "Training loss"
        reason = (
            f"{what} did not improve more than tol={s.tol:f} for {s.n_iter_no_change} consecutive epochs."
        )
        short = f"no improvement in {s.n_iter_no_change} epochs"
        if s.solver != "sgd" or s.learning_rate != "adaptive":
            self._tell(f"{reason} Stopping.")
            return short
        if now.learning_rate <= SMALLEST_RATE:
            self._tell(f"{reason} Learning rate too small. Stopping.")
            return f"{short}, with the smallest learning rate"
        now.learning_rate /= 5.0
        self._tell(f"{reason} Setting learning rate to {now.learning_rate:f}")
        now.epochs_without_improvement = 0
        return ""

    def _tell(self, text: str) -> None:
        if self.say is not None:
            self.say(text)

    # The end

    def finished(self, reason: str = "") -> Trained:
        """What training has given: the network's last arrays or, with early stopping, its best.

        Where it ends here for another ``reason`` than its own, that comes with it.
        """
        self.reason = reason or self.reason
        error = None
        if self._stop_early and self.state.epochs:
            if math.isfinite(self.state.best_score):
                self.session.load(self.state.best_values)
            else:
                error = self._nothing_to_keep()
        self.record.stopped = self.reason or ALL_EPOCHS
        return Trained(
            state=self.state,
            values=self.session.network_arrays,
            record=self.record,
            warnings=self._warnings(),
            diverged=self._diverged,
            interrupted=self.interrupted,
            error=error,
        )

    def _nothing_to_keep(self) -> DataError:
        scores = self.state.validation_scores or [math.nan]
        return DataError(
            "no epoch had a validation score that is a finite number, so there are no best parameters",
            expected="finite scores",
            got=f"{scores[-1]} in epoch {self.state.epochs}",
            hint=SMALLER_STEPS,
        )

    def _warnings(self) -> list[str]:
        """What the user should know of how it ended."""
        s, found = self.settings, []
        if self._diverged:
            found.append(f"Training diverged: {self._diverged}. {SMALLER_STEPS}")
        if not self.reason and s.learning_rate != "cosine":
            found.append(
                f"Stochastic Optimizer: Maximum iterations ({s.max_iter}) reached and the optimization "
                "hasn't converged yet."
            )
        if rise := risen(self.record.loss):
            found.append(f"{rise}: {SMALLER_STEPS}")
        return found

    def compared_loss(self) -> float:
        """The loss by which this replica is compared with others: that of the parameters that it would keep."""
        now, kept = self.state, self.record.kept_epoch
        if kept < 0:
            return math.inf
        if self.scorer is not None and self.scorer.compares and now.validation_scores:
            return -now.validation_scores[kept]
        return (self.record.validation_loss or self.record.loss)[kept]

    def loss_of_kept(self) -> float:
        """The loss of what is kept, after the end: without rows that are watched, that of all training rows."""
        if not self.session.network_is_finite():
            return math.inf
        return self.compared_loss() if self.scorer is not None else self.session.training_loss()
