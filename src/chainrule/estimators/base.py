"""The base of the network estimators: from X and y to trained arrays, and from these to predictions.

``stochastic.py`` has the loop over epochs, ``full_batch.py`` L-BFGS, ``replicas.py`` several networks at a time. They
return what they have found; only the estimator itself writes its attributes.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, _safe_indexing, check_random_state
from sklearn.utils.metaestimators import available_if

from chainrule.compiler.host import available_cores
from chainrule.data.digits import warn_of_loss
from chainrule.errors import DataError, SettingError
from chainrule.estimators.callbacks import CallbackSupport, Hooks
from chainrule.estimators.full_batch import SearchSettings, train_full_batch
from chainrule.estimators.inputs import (
    Features,
    Table,
    dense,
    features_and_targets,
    in_dtype,
    need_room,
    row_weights,
)
from chainrule.estimators.losses import LossChoice, apply_link, check_targets
from chainrule.estimators.messages import warn_about, warn_about_replicas, warn_of_convergence
from chainrule.estimators.network import ROWS_AT_ONCE, Recipe, as_dtype
from chainrule.estimators.parameters import Parameterised
from chainrule.estimators.predictor import predictor_of
from chainrule.estimators.replicas import Replicas, replica_seeds
from chainrule.estimators.rows import Part, Watched
from chainrule.estimators.rules import Rule
from chainrule.estimators.session import Plan, Session
from chainrule.estimators.stochastic import EpochLoop, LoopSettings, Scorer, Trained, TrainingState
from chainrule.estimators.threads import threads_here
from chainrule.estimators.versioned import Versioned
from chainrule.foreign_text import quoted
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count
from chainrule.system.blas import one_blas_thread
from chainrule.training.halving import MOST_RESTARTS, Halving
from chainrule.training.history import History
from chainrule.training.sparse_rows import as_csr, is_sparse, spread_of

STOCHASTIC = ("sgd", "adam")
Method = TypeVar("Method", bound=Callable[..., object])
#: X, y and weights of a validation set of the user's own
Validation: TypeAlias = tuple[Table | None, ArrayLike | None, ArrayLike | None]
OUTPUTS_AT_ONCE = 2**22  # numbers that a prediction holds at a time, where it need not hold all


def _is_stochastic(estimator: NetworkEstimator) -> bool:
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def stochastic_only(method: Method) -> Method:
    """Hide a method from estimators with solver="lbfgs"."""
    available: Method = available_if(_is_stochastic)(method)
    return available


def say_what_is_lost(rows: Part, plan: Plan) -> None:
    """Warn (DataWarning) if differences within X or y are lost in the network's dtype."""
    dtype = np.dtype(plan.network.dtype)
    warn_of_loss("X", spread_of(rows.x), dtype)
    if not plan.labels:
        warn_of_loss("y", np.asarray(rows.target), dtype)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a network is trained on: the arrays ``x`` and ``target`` of ``rows``, and ``held_out`` of ``watched``."""

    plan: Plan
    rows: Part
    x: Features
    target: Array
    watched: Watched | None
    held_out: tuple[Features, Array] | None
    settings: LoopSettings | None  # None for L-BFGS


class NetworkEstimator(Parameterised, CallbackSupport, Versioned):  # type: ignore[misc]
    """Base of the estimators that train a network.

    A subclass says what the network is (``_recipe``) and, where it shows the arrays under other names, how
    (``_publish``, ``_values``). The task (classification or regression) comes as a mixin.
    """

    _y_numeric: ClassVar[bool]
    _stratified: ClassVar[bool]  # the rows that early stopping sets aside have the classes of all
    _search_ftol: ClassVar[float | None] = None  # the smallest relative decrease of L-BFGS; None: SciPy's own

    # What a subclass says

    def _recipe(self, features: int, outputs: int, dtype: str) -> Recipe:
        raise NotImplementedError

    def _publish(self, values: Mapping[str, Array]) -> None:
        """Show the network's arrays as fitted attributes."""
        self.parameters_ = dict(values)

    def _values(self) -> dict[str, Array]:
        """The network's arrays, from the fitted attributes."""
        return dict(self.parameters_)

    def _is_trained(self) -> bool:
        return hasattr(self, "parameters_")

    # What a task says

    def _rows(
        self, given: Table, x: Features, y: Array, weight: Array | None, first: bool, incremental: bool
    ) -> Part:
        """Rows as training reads them; the first ones say which classes or how many targets there are."""
        raise NotImplementedError

    def _outputs_of(self, rows: Part) -> int:
        """How many outputs the network has."""
        raise NotImplementedError

    def _has_labels(self) -> bool:
        """Whether the target is one of several class numbers."""
        raise NotImplementedError

    def _own_score(self, part: Part) -> float:
        """Accuracy or R2."""
        raise NotImplementedError

    def _loss_choice(self) -> LossChoice:
        """The loss for each row."""
        raise NotImplementedError

    # Training

    def _fit(
        self,
        X: Table,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        incremental: bool = False,
        validation: Validation = (None, None, None),
    ) -> None:
        self._check_settings(incremental)
        first = not self._is_trained() or (not self.warm_start and not incremental)
        x, y_true = features_and_targets(
            self, X, y, reset=first, multi_output=True, y_numeric=self._y_numeric
        )
        x = x if self.solver in STOCHASTIC else dense(x)  # L-BFGS sees all rows at once
        rows = self._rows(X, x, y_true, row_weights(sample_weight, x), first, incremental)
        self.n_outputs_ = self._outputs_of(rows)
        self._drawn_anew = first
        recipe = self._network_recipe = self._recipe(x.shape[1], self.n_outputs_, self._dtype(x))
        self.out_activation_ = self._loss_choice().link
        rng = check_random_state(self.random_state)
        several = self._several()
        seeds = replica_seeds(self.random_state, rng, several) if several else []
        if first:
            self._start(recipe, rng)
        self.__dict__.pop("_members", None)  # an ensemble ends where one network is trained further
        task = self._task(recipe, *self._split(rows, validation, rng))
        if first or not incremental:
            say_what_is_lost(task.rows, task.plan)
        hooks = Hooks(self, X, y, sample_weight)
        if several:
            self._fit_several(task, seeds, rng, hooks)
        elif self.solver == "lbfgs":
            self._search(task)
        else:
            self._fit_one(task, rng, hooks, incremental)
        self._need_finite_weights(recipe)

    def _several(self) -> int:
        """The number of replicas, 0 with restarts=1; SettingError for what is not a count."""
        if isinstance(self.restarts, Halving):
            return self.restarts.restarts
        count = check_count("restarts", self.restarts, most=MOST_RESTARTS)
        return 0 if count == 1 else count

    def _start(self, recipe: Recipe, rng: np.random.RandomState) -> None:
        """Draw the initial weights and forget an earlier fit."""
        for name in ("history_", "replica_seeds_", "_members", "_session", "_state"):
            self.__dict__.pop(name, None)
        self.n_iter_ = self.t_ = 0
        values = self._first_values(recipe, rng)
        self._publish(values)
        if self.solver in STOCHASTIC:
            self._state = self._first_state(values)
            self._show(self._state)

    def _first_values(self, recipe: Recipe, rng: np.random.RandomState) -> dict[str, Array]:
        """First values of the network's arrays."""
        return as_dtype(recipe.draw(rng), recipe.dtype)

    def _first_state(self, values: dict[str, Array]) -> TrainingState:
        return TrainingState(learning_rate=self.learning_rate_init, best_values=values)

    def _show(self, state: TrainingState) -> None:
        """Show how far training has come as fitted attributes."""
        self.n_iter_, self.t_ = state.epochs, state.samples
        self.loss_curve_, self.validation_scores_ = state.loss_curve, state.validation_scores
        if state.loss_curve:
            self.loss_ = state.loss
        self.best_loss_ = None if self.early_stopping else state.best_loss
        self.best_validation_score_ = state.best_score if self.early_stopping else None
        self._no_improvement_count = state.epochs_without_improvement  # scikit-learn's own tests read it

    @property
    def _optimizer(self) -> TrainingState:
        """Under the name by which scikit-learn's own tests look at the learning rate."""
        return self._state

    def _task(self, recipe: Recipe, rows: Part, watched: Watched | None) -> Task:
        """Prepare rows and validation rows for training."""
        samples, batch_size = len(rows), self._batch_size(len(rows))
        if batch_size == samples and self._rows_are_alike():
            rows = rows.merged()
        plan = self._plan(recipe, rows, watched)
        settings = (
            LoopSettings(
                solver=self.solver,
                batch_size=min(batch_size, len(rows)),
                shuffle=bool(self.shuffle),
                max_iter=self.max_iter,
                learning_rate=self.learning_rate,
                learning_rate_init=self.learning_rate_init,
                power_t=self.power_t,
                tol=self.tol,
                n_iter_no_change=self.n_iter_no_change,
                early_stopping=self.early_stopping,
                samples=samples,
            )
            if self.solver in STOCHASTIC
            else None
        )
        x, target = in_dtype(rows.x, recipe.dtype), plan.target(rows.target, rows.weight)
        held_out = None
        if watched is not None:
            held_out = in_dtype(watched.x, recipe.dtype), plan.target(watched.target, watched.weight)
        return Task(
            plan=plan, rows=rows, x=x, target=target, watched=watched, held_out=held_out, settings=settings
        )

    def _search(self, task: Task) -> None:
        """Train with L-BFGS."""
        session = Session(task.plan, task.x, task.target, self._values())
        session.set_alpha(self.alpha / task.rows.total)
        settings = SearchSettings(
            max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol, ftol=self._search_ftol
        )
        found = train_full_batch(session, settings)
        self._publish(session.network_arrays)
        self.n_iter_, self.loss_ = found.iterations, found.loss
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        if found.warning:
            warn_of_convergence(found.warning)

    def _fit_one(self, task: Task, rng: np.random.RandomState, hooks: Hooks, incremental: bool) -> None:
        """Train one network from where it is."""
        session = self._session_for(task, incremental)
        loop = self._loop(task, session, self._state, rng, hooks=hooks if hooks.wanted else None)
        with hooks.fit_task(1 if incremental else self.max_iter), self._scoring_threads(task):
            if incremental:
                loop.run_one()
            else:
                loop.run(self.max_iter)
            trained = loop.finished()
            self._show(trained.state)
        session.release_rows()
        warn_about(trained)

    def _session_for(self, task: Task, incremental: bool) -> Session:
        """The session to go on in, or a new one on these rows; its arrays are what the estimator shows."""
        values = self._values()
        state: TrainingState | None = getattr(self, "_state", None)
        session: Session | None = getattr(self, "_session", None)
        # the state is a new one each time, for a shallow copy of this estimator has the old one
        if incremental and state and session is not None and session.fits(task.plan, task.x, task.target):
            session.take_rows(task.x, task.target)
            session.load(values)  # the user may have put others in place
            self._state = replace(state)
            return session
        state = self._state = self._first_state(values) if state is None else state.copy()
        session = self._session = Session(task.plan, task.x, task.target, values)
        if incremental and state.solver.keys() == session.solver_arrays.keys():
            session.load_solver(state.solver)
        else:
            state.learning_rate = self.learning_rate_init
        state.solver = session.solver_arrays
        self._publish(session.network_arrays)
        return session

    def _loop(
        self,
        task: Task,
        session: Session,
        state: TrainingState,
        rng: np.random.RandomState,
        *,
        hooks: Hooks | None = None,
        run: Replicas | None = None,
        replica: int = 0,
    ) -> EpochLoop:
        """Epochs of one network whose arrays this estimator shows; as a ``replica`` it is one of a ``run``."""
        assert task.settings is not None
        session.set_alpha(self.alpha)
        name = "" if run is None else f"Replica {replica}: "
        return EpochLoop(
            session=session,
            settings=task.settings,
            state=state,
            rng=rng,
            scorer=self._scorer_of(task, session, run),
            hooks=hooks,
            watch_loss=run is not None and task.watched is not None,
            show=self._show,
            say=(lambda text: print(name + text)) if self.verbose else None,
            tick=(lambda: None) if run is None else run.tick,
        )

    def _scorer_of(self, task: Task, session: Session, run: Replicas | None) -> Scorer | None:
        """What scores the network in a session; a ``run`` calls a scorer of the user's in the thread of ``fit``."""
        watched, scorer = task.watched, self._scorer()
        if watched is None or task.held_out is None:
            return None
        session.watch(*task.held_out)
        if self.scoring == "loss":
            return Scorer(score=lambda: -session.validation_loss(), compares=False)
        if scorer is None:
            return Scorer(score=lambda: float(self._own_score(watched.part)), compares=False)
        weight = watched.part.score_weight
        options = {} if weight is None else {"sample_weight": weight}

        def score() -> float:
            return float(scorer(self, watched.given, watched.part.y, **options))

        return Scorer(score=score if run is None else lambda: run.in_caller(score), compares=True)

    def _scoring_threads(self, task: Task) -> AbstractContextManager[None]:
        """One BLAS thread while NumPy predicts for the scores: threads share a few rows slowly and change bits."""
        predicts = task.watched is not None and self.scoring != "loss"
        return one_blas_thread() if predicts else nullcontext()

    def _fit_several(
        self, task: Task, seeds: list[int | None], rng: np.random.RandomState, hooks: Hooks
    ) -> None:
        """Train a network for each seed; the best one's arrays, or all of them, become the estimator's."""
        first, recipe = self._values(), task.plan.network

        def begin(index: int) -> EpochLoop:
            generator, values = rng, first
            if index:
                generator = np.random.RandomState(seeds[index])
                values = self._first_values(recipe, generator)
            session = Session(task.plan, task.x, task.target, values)
            state = self._first_state(values)
            state.solver = session.solver_arrays
            shown = copy.copy(self)
            shown._publish(session.network_arrays)
            return shown._loop(task, session, state, generator, run=run, replica=index)

        assert task.settings is not None
        halving = self.restarts if isinstance(self.restarts, Halving) else None
        workers = min(threads_here(self.threads), available_cores(), len(seeds))
        trial = Session(task.plan, task.x, task.target, first)
        workers = trial.most_at_once(workers, task.settings.batch_size, len(seeds), halving)
        run = Replicas(begin=begin, count=len(seeds), epochs=self.max_iter, workers=workers, halving=halving)
        began = time.perf_counter()
        with hooks.fit_task(0):
            with self._scoring_threads(task):
                trained = run.train()
            self.replica_seeds_ = seeds
            history = History(
                [one.record for one in trained],
                time.perf_counter() - began,
                run.interrupted,
                optimizer=task.plan.rule.describe() | {"lr": self._planned_rate()},
                batch_size=task.settings.batch_size,
                not_begun=len(seeds) - len(trained),
            )
            self._take_best(trained, history)
        warn_about_replicas(trained, history)

    def _planned_rate(self) -> float | dict[str, str | float]:
        """The learning rate, or the schedule, for the record of a run."""
        if self.learning_rate == "constant":
            return self.learning_rate_init
        return {"name": self.learning_rate, "lr": self.learning_rate_init}

    def _take_best(self, trained: list[Trained], history: History) -> None:
        """Show the best replica as a single run shows its network; an ensemble also keeps the others."""
        kept = trained[history.best]
        self.history_ = history
        self._publish(kept.values)
        self._state = kept.state
        self._show(kept.state)
        if self.ensemble:
            self._members = [
                one.values for one in trained if one.record.dropped is None and np.isfinite(one.record.score)
            ]

    def _need_finite_weights(self, recipe: Recipe) -> None:
        if not all(np.isfinite(v).all() for v in self._values().values()):
            raise DataError(
                "Solver produced non-finite parameter weights. The input data may contain large values and "
                "need to be preprocessed.",
                expected=f"numbers whose size suits {recipe.dtype}",
                hint="standardise X (sklearn.preprocessing.StandardScaler), or take smaller steps",
            )

    def _rows_are_alike(self) -> bool:
        """Whether two equal rows train as one row of twice the weight does."""
        alike = not (getattr(self, "dropout", 0) or getattr(self, "batch_norm", False))
        return alike and self._loss_choice().has_reduction

    # Rows

    def _split(
        self, rows: Part, validation: Validation, rng: np.random.RandomState
    ) -> tuple[Part, Watched | None]:
        """Split into training rows and validation rows, if there are any."""
        X_val, y_val, weight_val = validation
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                raise DataError("a validation set needs both X_val and y_val", got="only one of them")
            part = self._validation_part(X_val, y_val, weight_val)
            return rows, Watched(part=part, given=X_val)
        if not self.early_stopping or self.solver == "lbfgs":
            return rows, None
        stratify = rows.encoded if self._stratified and self.n_outputs_ == 1 else None
        train, held_out = train_test_split(
            np.arange(len(rows)), random_state=rng, test_size=self.validation_fraction, stratify=stratify
        )
        if len(held_out) < 2:
            raise DataError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        given = as_csr(rows.given) if is_sparse(rows.given) else rows.given
        return rows.take(train), Watched(part=rows.take(held_out), given=_safe_indexing(given, held_out))

    def _validation_part(self, X_val: Table, y_val: ArrayLike, weight: ArrayLike | None) -> Part:
        x, y_true = features_and_targets(
            self, X_val, y_val, reset=False, multi_output=True, y_numeric=self._y_numeric
        )
        return self._rows(X_val, x, y_true, row_weights(weight, x, "sample_weight_val"), False, True)

    def _batch_size(self, rows: int) -> int:
        if self.solver == "lbfgs":
            return rows
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                stacklevel=5,
            )
        return int(np.clip(self.batch_size, 1, rows))

    # Settings

    def _check_settings(self, incremental: bool) -> None:
        several = self.restarts != 1
        lbfgs = self.solver == "lbfgs"
        for found, what, hint in (
            (incremental and self.early_stopping, "partial_fit does not support early_stopping=True", ""),
            (incremental and several, "partial_fit does not support restarts", "use restarts=1"),
            (several and self.warm_start, "restarts and warm_start exclude each other", "use restarts=1"),
            (several and lbfgs, "restarts need minibatches", 'use solver="adam"'),
            (self.ensemble and not several, "an ensemble needs several networks", "restarts=8"),
            (
                lbfgs and (self.dropout or self.batch_norm),
                "lbfgs needs a loss that depends on the parameters alone: no dropout, no batch_norm",
                'use solver="adam"',
            ),
        ):
            if found:
                raise SettingError(what, hint=hint)

    def _plan(self, recipe: Recipe, rows: Part, watched: Watched | None) -> Plan:
        loss = self._loss_choice()
        check_targets(loss, rows.encoded)
        weighted = rows.weight is not None or (watched is not None and watched.weight is not None)
        if weighted and not loss.has_reduction:
            raise SettingError(
                "this loss cannot weigh rows",
                expected='a function of (prediction, target, reduction) that gives rows for "none"',
                got=quoted(self.loss),
            )
        rule = Rule("lbfgs")
        if self.solver == "sgd":
            rule = Rule(
                "sgd", momentum=self.momentum, nesterov=bool(self.nesterovs_momentum and self.momentum > 0)
            )
        elif self.solver == "adam":
            rule = Rule("adam", beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
        return Plan(recipe, loss, rule, weighted, self._has_labels(), self.clip_norm)

    def _dtype(self, x: Features) -> str:
        """float32; float64 where asked for, and for L-BFGS on float64 rows, whose line search needs the digits."""
        if self.dtype != "auto":
            return str(self.dtype)
        return "float64" if self.solver == "lbfgs" and x.dtype == np.float64 else "float32"

    # Prediction

    @property
    def network_(self) -> Module:
        """A copy of the trained network as a module; its outputs are those before the link (softmax, logistic, exp).

        For ``cr.draw``, ``cr.diagnose`` and export. With restarts it is the best one.
        """
        return predictor_of(self, self._network_recipe).module(self._values())

    def _raw_outputs(self, x: Features) -> list[Array]:
        """Each network's outputs [rows, outputs] for validated rows, before the link."""
        recipe = self._network_recipe
        predictor, rows = predictor_of(self, recipe), in_dtype(x, recipe.dtype)
        need_room(x, rows)
        members = getattr(self, "_members", None) or [self._values()]
        with np.errstate(over="ignore", invalid="ignore"):
            return [predictor.outputs(member, rows) for member in members]

    def _predictions(self, x: Features) -> Array:
        """Predictions [rows, outputs] for validated rows, after the link; of an ensemble, their mean."""
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [apply_link(self.out_activation_, outputs) for outputs in self._raw_outputs(x)]
            return parts[0] if len(parts) == 1 else np.mean(parts, axis=0, dtype=parts[0].dtype)

    def _in_pieces(self, x: Features, what: Callable[[Features, slice], Array]) -> Array:
        """``what`` of some validated rows and of where they are, for all of them.

        So many at a time that their outputs take little memory, also where there are very many classes.
        """
        rows = max(1, OUTPUTS_AT_ONCE // max(self.n_outputs_, 1))
        if rows > ROWS_AT_ONCE:
            rows -= rows % ROWS_AT_ONCE  # the network is asked for the same rows at once as without pieces
        pieces = [slice(start, start + rows) for start in range(0, max(x.shape[0], 1), rows)]
        found = [what(x if len(pieces) == 1 else x[piece], piece) for piece in pieces]
        return found[0] if len(found) == 1 else np.concatenate(found)

    # Copies

    def __getstate__(self) -> dict[str, object]:
        """Arrays and settings; what is only there for speed stays behind."""
        return {name: value for name, value in super().__getstate__().items() if name != "_session"}

    def _fitted_attributes(self) -> dict[str, object]:
        """Copies of all that a fit has left, for callbacks that want an estimator as it is now."""
        settings = self.get_params(deep=False)
        apart = {*settings, "_session"}
        state = {n: v for n, v in vars(self).items() if n not in apart and "callback" not in n}
        return copy.deepcopy(state)

    def _scorer(self) -> Callable[..., float] | None:
        """The user's scorer; None for the task's own score."""
        return None if self.scoring in (None, "loss") else check_scoring(self, scoring=self.scoring)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
