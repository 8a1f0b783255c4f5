"""What all network estimators share: from validated rows to trained arrays and back to predictions."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.metaestimators import available_if

from chainrule.data.digits import warn_of_loss
from chainrule.errors import DataError, SettingError
from chainrule.estimators.callbacks import CallbackSupport, Hooks
from chainrule.estimators.constraints import Method
from chainrule.estimators.full_batch import train_full_batch
from chainrule.estimators.inputs import dense, features_of, in_dtype, row_weights
from chainrule.estimators.losses import LossChoice, apply_link, check_targets
from chainrule.estimators.network import Recipe, as_dtype
from chainrule.estimators.predictor import predictor_of
from chainrule.estimators.replicas import train_replicas
from chainrule.estimators.rows import Part, Watched
from chainrule.estimators.rules import Rule
from chainrule.estimators.session import Plan, Session
from chainrule.estimators.stochastic import EpochLoop, SolverState
from chainrule.estimators.versioned import Versioned
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.training.sparse_rows import as_csr, is_sparse

STOCHASTIC = ("sgd", "adam")


def _is_stochastic(estimator: Any) -> bool:
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def stochastic_only(method: Method) -> Method:
    """A method that estimators with solver="lbfgs" do not have."""
    return cast(Method, available_if(_is_stochastic)(method))


class NetworkEstimator(CallbackSupport, Versioned):  # type: ignore[misc]
    """Base of the estimators that train a network.

    A subclass says what the network is (``_recipe``) and, where it shows the arrays under other names, how
    (``_publish``, ``_values``). The task (classification or regression) comes as a mixin.
    """

    _search_options: ClassVar[dict[str, float]] = {}  # of L-BFGS, beyond its settings

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

    # Training

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> Any:
        self._check_settings(incremental)
        first = not self._is_trained() or (not self.warm_start and not incremental)
        x, y_true = features_of(self, X, y, reset=first, multi_output=True, y_numeric=self._y_numeric)
        x = x if self.solver in STOCHASTIC else dense(x)  # L-BFGS sees all rows at once
        rows = self._rows(X, x, y_true, row_weights(sample_weight, x), first, incremental)
        self.n_outputs_ = rows.encoded.shape[1]
        self._drawn_anew = first
        recipe = self._network_recipe = self._recipe(x.shape[1], self.n_outputs_, self._dtype(x))
        self.out_activation_ = self._loss_choice().link
        rng = check_random_state(self.random_state)
        hooks = Hooks(self, X, y, sample_weight)
        if not (isinstance(self.restarts, int | np.integer) and self.restarts == 1):
            self._clear()
            rows, watched = self._split(rows, validation, rng)
            train_replicas(self, self._plan(recipe, rows, watched), rows, watched, rng, hooks)
        else:
            if first:
                self._start(recipe, rng)
            self.__dict__.pop("_members", None)  # an ensemble ends where one network is trained further
            rows, watched = self._split(rows, validation, rng)
            self._fit_one(recipe, rows, watched, rng, hooks, incremental)
        if not all(np.isfinite(v).all() for v in self._values().values()):
            raise DataError(
                "Solver produced non-finite parameter weights. The input data may contain large values and "
                "need to be preprocessed.",
                expected=f"numbers whose size suits {recipe.dtype}",
                hint="standardise X (sklearn.preprocessing.StandardScaler), or take smaller steps",
            )
        return self

    def _start(self, recipe: Recipe, rng: np.random.RandomState) -> None:
        """Draw the first parameters and forget former curves."""
        self._clear()
        self.n_iter_ = self.t_ = 0
        values = as_dtype(recipe.draw(rng), recipe.dtype)
        self._publish(values)
        if self.solver in STOCHASTIC:
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self._best_values = values
            self.best_loss_ = None if self.early_stopping else np.inf
            self.best_validation_score_ = -np.inf if self.early_stopping else None
            self.validation_scores_ = None

    def _clear(self) -> None:
        """Forget what another kind of fit has left."""
        for name in ("history_", "_members", "_session", "_best_values", "_optimizer"):
            self.__dict__.pop(name, None)

    def _fit_one(
        self,
        recipe: Recipe,
        rows: Part,
        watched: Watched | None,
        rng: np.random.RandomState,
        hooks: Hooks,
        incremental: bool,
    ) -> None:
        """Train one network from where it is."""
        samples, batch_size = len(rows), self._batch_size(len(rows))
        if batch_size == samples and self._rows_are_alike():
            rows = rows.merged()
        plan = self._plan(recipe, rows, watched)
        session = self._session_for(plan, rows, incremental)
        if self.solver == "lbfgs":
            session.set_alpha(self.alpha / rows.total)
            train_full_batch(self, session)
        else:
            session.set_alpha(self.alpha)
            score = None
            if watched is not None:
                session.watch(in_dtype(watched.x, recipe.dtype), plan.target(watched.target, watched.weight))
                score = watched.scorer(self, session)
            loop = EpochLoop(
                self, session, rng, samples, min(batch_size, len(rows)), score, self.early_stopping, hooks
            )
            with hooks.fit_task(1 if incremental else self.max_iter):
                loop.run(self.max_iter, incremental)
        session.release_rows()

    def _rows_are_alike(self) -> bool:
        """Whether a row that comes twice is the same as one of twice the weight."""
        alike = not (getattr(self, "dropout", 0) or getattr(self, "batch_norm", False))
        return alike and self._loss_choice().has_reduction

    def _session_for(self, plan: Plan, rows: Part, incremental: bool) -> Session:
        """The session to go on in, or a new one on these rows; its arrays are what the estimator shows."""
        if not incremental and isinstance(rows.x, np.ndarray):
            warn_of_loss("X", rows.x, np.dtype(plan.network.dtype))
            if not plan.labels:
                warn_of_loss("y", np.asarray(rows.target), np.dtype(plan.network.dtype))
        x = in_dtype(rows.x, plan.network.dtype)
        target = plan.target(rows.target, rows.weight)
        state: SolverState | None = getattr(self, "_optimizer", None) if incremental else None
        session: Session | None = getattr(self, "_session", None)
        values = self._values()
        if state is not None and session is not None and session.fits(plan, x, target):
            session.take_rows(x, target)
            session.load(values)  # the user may have put others in place
            return session
        session = Session(plan, x, target, values)
        if self.solver in STOCHASTIC:
            rate = self.learning_rate_init
            if state is not None and state.arrays.keys() == session.solver_arrays.keys():
                session.load_solver(state.arrays)
                rate = state.learning_rate
            self._session = session
            self._optimizer = SolverState(rate, session.solver_arrays)
        self._publish(session.network_arrays)
        return session

    # Rows

    def _split(
        self, rows: Part, validation: tuple[Any, Any, Any], rng: np.random.RandomState
    ) -> tuple[Part, Watched | None]:
        """The rows that train and those that are watched, if any are."""
        X_val, y_val, weight_val = validation
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                raise DataError("a validation set needs both X_val and y_val", got="only one of them")
            part = self._validation_part(X_val, y_val, weight_val)
            return rows, Watched(part, X_val)
        if not self.early_stopping or self.solver == "lbfgs":
            return rows, None
        stratify = rows.encoded if self._stratified and rows.encoded.shape[1] == 1 else None
        train, held_out = train_test_split(
            np.arange(len(rows)), random_state=rng, test_size=self.validation_fraction, stratify=stratify
        )
        if len(held_out) < 2:
            raise DataError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        given = as_csr(rows.given) if is_sparse(rows.given) else rows.given
        return rows.take(train), Watched(rows.take(held_out), _safe_indexing(given, held_out))

    def _validation_part(self, X_val: Any, y_val: Any, weight: Any) -> Part:
        x, y_true = features_of(self, X_val, y_val, reset=False, multi_output=True, y_numeric=self._y_numeric)
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
            (
                several and self.solver == "sgd" and self.learning_rate in ("adaptive", "invscaling"),
                "restarts go with a constant or a cosine learning_rate",
                'learning_rate="cosine"',
            ),
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
                got=repr(self.loss),
            )
        rule = Rule("lbfgs")
        if self.solver == "sgd":
            rule = Rule(
                "sgd", momentum=self.momentum, nesterov=bool(self.nesterovs_momentum and self.momentum > 0)
            )
        elif self.solver == "adam":
            rule = Rule("adam", beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
        return Plan(recipe, loss, rule, weighted, self._has_labels(), self.clip_norm)

    def _dtype(self, x: Array) -> str:
        """float32; float64 where asked for, and for L-BFGS on float64 rows, whose line search needs the digits."""
        if self.dtype != "auto":
            return str(self.dtype)
        return "float64" if self.solver == "lbfgs" and x.dtype == np.float64 else "float32"

    def _loss_choice(self) -> LossChoice:
        raise NotImplementedError

    # Prediction

    @property
    def network_(self) -> Module:
        """The trained network as a module, before the link (softmax, logistic, exp): a copy.

        For ``cr.draw``, ``cr.diagnose`` and export. With restarts it is the best one.
        """
        return predictor_of(self, self._network_recipe).module(self._values())

    def _raw_outputs(self, x: Array) -> list[Array]:
        """Each network's outputs [rows, outputs] for validated rows, before the link."""
        recipe = self._network_recipe
        predictor, rows = predictor_of(self, recipe), in_dtype(x, recipe.dtype)
        members = getattr(self, "_members", None) or [self._values()]
        with np.errstate(over="ignore", invalid="ignore"):
            return [predictor.outputs(member, rows) for member in members]

    def _predictions(self, x: Array) -> Array:
        """What the network says about validated rows [rows, outputs], through the link; of an ensemble, the mean."""
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [apply_link(self.out_activation_, outputs) for outputs in self._raw_outputs(x)]
            return parts[0] if len(parts) == 1 else np.mean(parts, axis=0, dtype=parts[0].dtype)

    def _outputs_for(self, X: Any) -> Array:
        return self._predictions(features_of(self, X, reset=False))

    # Copies

    def __getstate__(self) -> dict[str, Any]:
        """Arrays and settings; what is only there for speed stays behind."""
        return {name: value for name, value in super().__getstate__().items() if name != "_session"}

    def _fitted_attributes(self) -> dict[str, Any]:
        """Copies of all that a fit has left, for callbacks that want an estimator as it is now."""
        settings = self.get_params(deep=False)
        apart = {*settings, "_session"}
        state = {n: v for n, v in vars(self).items() if n not in apart and "callback" not in n}
        return copy.deepcopy(state)

    def _scorer(self) -> Any:
        """The user's scorer; None for the task's own score."""
        return None if self.scoring in (None, "loss") else check_scoring(self, scoring=self.scoring)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
