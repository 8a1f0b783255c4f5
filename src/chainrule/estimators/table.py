"""Estimators for tables as they are: text, dates and missing cells in X, any labels or numbers in y.

``frames`` reads X and ``labels`` y; what is trained, and how its cells become numbers, is that of ``chainrule.tables``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from chainrule.data.describe import list_some
from chainrule.data.digits import DataWarning
from chainrule.data.features.column_options import Columns
from chainrule.errors import SettingError, user_line
from chainrule.estimators import parameters
from chainrule.estimators.checked import checked
from chainrule.estimators.frames import prediction_frame, training_frame
from chainrule.estimators.inputs import Table, row_weights, within_reach
from chainrule.estimators.labels import read_classes, read_numbers
from chainrule.estimators.parameters import Constraint, Seed, SetByName, constraints, documented
from chainrule.estimators.threads import threads_here
from chainrule.estimators.versioned import Versioned
from chainrule.foreign_text import quoted
from chainrule.ops.record import Array

if TYPE_CHECKING:
    import polars as pl

    from chainrule.tables import Recipe, TrainingSettings

SETTINGS = (
    "hidden",
    "dropout",
    "epochs",
    "batch_size",
    "lr",
    "weight_decay",
    "folds",
    "scaling",
    "embedding",
    "group",
)
ROWS = 128  # that a prediction computes at once, however few there are: so a row's bits do not depend on the others
SEEDS = 2**31  # numbers that a seed is drawn from


class _TableEstimator(SetByName, Versioned):
    """The part that both tasks share."""

    _task: ClassVar[str]
    hidden: int | Sequence[int] | None
    dropout: float | None
    epochs: int | None
    batch_size: int | None
    lr: float | None
    weight_decay: float | None
    folds: int | None
    restarts: int
    scaling: str | None
    embedding: str | None
    ensemble: bool
    group: str | None
    columns: Columns | None
    random_state: Seed
    verbose: bool | int
    threads: int | None
    notices_: tuple[str, ...]

    def _train(self, frame: pl.DataFrame, target: pl.Series, kind: str, weight: Array | None) -> None:
        """Train on a frame and a target of those of its rows whose weight is not 0.

        ``kind`` is the type of the target's cells, one of those that ``Columns`` gives.
        """
        import polars as pl

        from chainrule import tables

        types, roles = {target.name: kind}, {}
        if weight is not None:
            counts = pl.Series(_free_name("sample_weight", [*frame.columns, target.name]), weight[weight > 0])
            frame = frame.filter(weight > 0).with_columns(counts)
            types, roles = types | {counts.name: "number"}, {"sample_weight": counts.name}
        check_consistent_length(frame, target)
        given = tables.Columns() if self.columns is None else self.columns
        if not isinstance(given, Columns):
            raise SettingError("columns is a Columns, such as Columns(ignore=('id',))", got=quoted(given))
        columns = replace(given, types={**given.types, **types})
        asked = self._settings_for_tables(roles)
        prepared = tables.prepare(frame.with_columns(target), target.name, asked, columns=columns)
        self.notices_ = prepared.notices
        if self.verbose:
            print(*self.notices_, sep="\n")
        unused = [one.name for one in prepared.preprocessor.columns if one.reading.values == "other"]
        if unused:
            _warn(
                f"X: {list_some([quoted(name) for name in unused])} cannot be used: see notices_", DataWarning
            )
        trained = tables.train(prepared, progress=bool(self.verbose), threads=threads_here(self.threads))
        if trained.history.interrupted:
            if not trained.model.facts.best_epoch:
                raise KeyboardInterrupt
            _warn("Training interrupted by user.", UserWarning)
        self.trained_ = trained
        for name in ("out_of_fold_", "out_of_fold_score_"):
            self.__dict__.pop(name, None)

    def _settings_for_tables(self, roles: Mapping[str, str]) -> Recipe | TrainingSettings:
        from chainrule import tables

        said = {name: _plain(getattr(self, name)) for name in SETTINGS if getattr(self, name) is not None}
        if self.hidden is not None:
            widths = self.hidden if isinstance(self.hidden, Iterable) else [self.hidden]
            said["hidden"] = tuple(_plain(width) for width in widths)
        is_seed = isinstance(self.random_state, int | np.integer)
        seed = self.random_state if is_seed else check_random_state(self.random_state).randint(SEEDS)
        said |= {"restarts": _plain(self.restarts), "task": self._task, "seed": _plain(seed), **roles}
        return tables.Recipe(said) if self.ensemble else tables.TrainingSettings(**said, held_out=0.0)

    def _judged(self) -> tuple[Array, Array] | None:
        """The rows, of those that count, that networks judge which did not see them, and what they say of them."""
        if self.trained_.out_of_fold is None:
            return None
        return self.trained_.prepared.split.scored, self.trained_.scored.predicted

    def _outputs(self, X: Table) -> Array:
        """The network's outputs [rows, outputs]; DataWarning for cells of another kind than their column's."""
        from chainrule.tables.model import network_outputs

        check_is_fitted(self)
        model = self.trained_.model
        frame, odd = model.preprocessor.read(prediction_frame(self, X))
        for notice in odd:
            _warn(f"X: {notice}", DataWarning)
        features, _ = model.preprocessor.encode(frame, canonical=True)
        padded = np.zeros((-(-len(features) // ROWS) * ROWS, features.shape[1]), np.float32)
        padded[: len(features)] = features
        parts = [
            network_outputs(model.network, padded[start : start + ROWS])
            for start in range(0, len(padded), ROWS)
        ]
        return np.concatenate(parts)[: len(features)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def _plain(value: Any) -> Any:
    """A number of NumPy's, as searches over settings draw them, as one of Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _warn(text: str, category: type[UserWarning]) -> None:
    warnings.warn_explicit(text, category, *(user_line() or ("chainrule", 0)))


def _name_beside(y: Any, taken: Sequence[str]) -> str:
    """What the target is called: as the series y is, unless a column of X is called so."""
    name = getattr(y, "name", None)
    return name if isinstance(name, str) and name and name not in taken else _free_name("y", taken)


def _free_name(name: str, taken: Sequence[str]) -> str:
    others = (f"{name}_{i}" for i in range(2, len(taken) + 3))
    return next(one for one in (name, *others) if one not in taken)


def _weights(sample_weight: ArrayLike | None, frame: pl.DataFrame) -> tuple[Array | None, Array | None]:
    """The weights of a frame's rows, and which rows count."""
    weight = row_weights(sample_weight, np.empty((frame.height, 0)))
    return (None, None) if weight is None else (within_reach(weight), weight > 0)


def _in_all_rows(predicted: Array, rows: Array, count: int, counted: Array | None) -> Array:
    """Predictions of some of the rows that count as an array of all rows, NaN where there is none."""
    places = rows if counted is None else np.flatnonzero(counted)[rows]
    found = np.full((count, *predicted.shape[1:]), np.nan)
    found[places] = predicted
    return found


@documented(parameters.TABLES)
class TableClassifier(ClassifierMixin, _TableEstimator):  # type: ignore[misc]
    """Predicts classes from tables as they are: with numbers, text, dates and missing cells in X.

    X [rows, columns] is a frame of pandas, polars or Arrow, an array or a list of rows; y [rows] are texts, truth
    values, integers or floats that are whole. Columns are read, and networks trained, as ``chainrule.train`` does: an
    ensemble of networks on folds of the rows that answer together. What is not known at prediction (categories, missing
    cells) is what it is there. Columns of arrays are called column_1, column_2, ...

    Attributes: ``classes_``, ``n_features_in_``, ``feature_names_in_`` (of frames whose names are texts), ``trained_``
    (a ``tables.Trained``, with its score, importances, findings, report and model), ``notices_`` (what was decided
    about the columns, such as which are ignored). Of an ensemble also ``out_of_fold_``, the probabilities [rows,
    classes] of each training row by the networks that did not see it, and ``out_of_fold_score_``, their accuracy.
    A pickle holds the training table, ``trained_.save(path)`` the model alone.

    Raises DataError and SettingError, both ValueErrors: for missing labels, a single class, infinite numbers, columns
    of one name; and what scikit-learn's validation raises.

    >>> import pandas as pd
    >>> from chainrule.estimators import TableClassifier
    >>> X = pd.DataFrame({"colour": ["red", "blue", None, "red"] * 20, "size": [1.5, 3.0, 2.0, None] * 20})
    >>> y = ["apple", "plum", "plum", "apple"] * 20
    >>> model = TableClassifier(hidden=8, epochs=20, folds=2, random_state=0).fit(X, y)
    >>> model.predict(X[:2]).tolist(), model.predict_proba(X[:2]).shape
    (['apple', 'plum'], (2, 2))
    >>> model.out_of_fold_score_ > 0.8
    True
    """

    _task = "classification"
    _parameter_constraints: ClassVar[dict[str, Constraint]] = constraints(parameters.TABLES)
    classes_: Array
    out_of_fold_: Array
    out_of_fold_score_: float

    def __init__(
        self,
        hidden: int | Sequence[int] | None = None,
        *,
        dropout: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        folds: int | None = None,
        restarts: int = 1,
        scaling: str | None = None,
        embedding: str | None = None,
        ensemble: bool = True,
        group: str | None = None,
        columns: Columns | None = None,
        random_state: Seed = None,
        verbose: bool | int = False,
        threads: int | None = None,
    ) -> None:
        self._set_parameters(locals())

    @checked
    def fit(self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X [rows, columns] and the labels y [rows].

        ``sample_weight`` [rows] says how much each row counts, in training and in ``out_of_fold_score_``. Rows of
        weight 0 are as if they were not there.
        """
        frame = training_frame(self, X, y)
        weight, counted = _weights(sample_weight, frame)
        found = read_classes(y, counted)
        self._train(frame, found.column(_name_beside(y, frame.columns)), found.kind, weight)
        self.classes_ = found.labels
        known = self.trained_.model.classes
        self._places = [known.index(name) for name in found.names]
        judged = self._judged()
        if judged is not None:
            rows, predicted = judged[0], judged[1][:, self._places]
            self.out_of_fold_ = _in_all_rows(predicted, rows, frame.height, counted)
            self.out_of_fold_score_ = float(
                accuracy_score(
                    found.places[rows], predicted.argmax(1), sample_weight=self.trained_.scored.weights
                )
            )
        return self

    def predict(self, X: Table) -> Array:
        """Predict the most probable class [rows], as they stand in ``classes_``, for X [rows, columns]."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Table) -> Array:
        """Predict probabilities [rows, classes], float64, with classes in the order of ``classes_``."""
        outputs = self._outputs(X)
        return self.trained_.model.probabilities(outputs)[:, self._places]

    def predict_log_proba(self, X: Table) -> Array:
        """Predict the logarithms of :meth:`predict_proba`: minus infinity where one underflows float64."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


@documented(parameters.TABLES)
class TableRegressor(RegressorMixin, _TableEstimator):  # type: ignore[misc]
    """Predicts numbers from tables as they are: with numbers, text, dates and missing cells in X.

    X is that of :class:`TableClassifier`, y [rows] are numbers; predictions are float64 [rows], in y's units.
    Attributes and errors are those of :class:`TableClassifier`, without ``classes_``; ``out_of_fold_`` are predictions
    [rows], ``out_of_fold_score_`` is their R2.

    >>> import polars as pl
    >>> from chainrule.estimators import TableRegressor
    >>> X = pl.DataFrame({"town": ["Oslo", "Rome", None] * 30, "rooms": [1, 2, 3, 4, 5, None] * 15})
    >>> y = 10.0 * X["rooms"].fill_null(3) + (X["town"] == "Oslo").fill_null(False)
    >>> model = TableRegressor(hidden=16, epochs=40, folds=3, random_state=0).fit(X, y)
    >>> model.predict(X).shape, model.out_of_fold_score_ > 0.8
    ((90,), True)
    """

    _task = "regression"
    _parameter_constraints: ClassVar[dict[str, Constraint]] = constraints(parameters.TABLES)
    out_of_fold_: Array
    out_of_fold_score_: float

    def __init__(
        self,
        hidden: int | Sequence[int] | None = None,
        *,
        dropout: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        folds: int | None = None,
        restarts: int = 1,
        scaling: str | None = None,
        embedding: str | None = None,
        ensemble: bool = True,
        group: str | None = None,
        columns: Columns | None = None,
        random_state: Seed = None,
        verbose: bool | int = False,
        threads: int | None = None,
    ) -> None:
        self._set_parameters(locals())

    @checked
    def fit(self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X [rows, columns] and the numbers y [rows]; ``sample_weight`` as of :class:`TableClassifier`."""
        import polars as pl

        frame = training_frame(self, X, y)
        weight, counted = _weights(sample_weight, frame)
        numbers = read_numbers(y, counted)
        self._train(frame, pl.Series(_name_beside(y, frame.columns), numbers), "number", weight)
        judged = self._judged()
        if judged is not None:
            rows, predicted = judged
            self.out_of_fold_ = _in_all_rows(predicted, rows, frame.height, counted)
            self.out_of_fold_score_ = float(
                r2_score(numbers[rows], predicted, sample_weight=self.trained_.scored.weights)
            )
        return self

    def predict(self, X: Table) -> Array:
        """Predict numbers, float64 [rows], for X [rows, columns]."""
        outputs = self._outputs(X)
        return self.trained_.model.preprocessor.decode(outputs).to_numpy()
