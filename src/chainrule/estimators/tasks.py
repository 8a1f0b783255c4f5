"""Classification and regression: what y may be, what is predicted, and how good that is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import DataError, SettingError
from chainrule.estimators.base import NetworkEstimator
from chainrule.estimators.inputs import (
    Features,
    Table,
    dense,
    features_of,
    need_names_that_last,
    within_reach,
)
from chainrule.estimators.losses import (
    BINARY,
    MULTICLASS,
    REGRESSION,
    LossChoice,
    find_loss,
    log_probabilities,
)
from chainrule.estimators.parameters import ClassWeight
from chainrule.estimators.rows import Part
from chainrule.missing import need_whole
from chainrule.nn.losses import cross_entropy
from chainrule.ops.record import Array


class RegressionTask(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """Real targets, one or several."""

    _y_numeric = True
    _stratified = False
    quantile: float

    def _rows(
        self, given: Table, x: Features, y: Array, weight: Array | None, first: bool, incremental: bool
    ) -> Part:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y.reshape(len(y), -1)
        weight = None if weight is None else within_reach(weight)
        if not first and columns.shape[1] != self.n_outputs_:
            raise DataError(
                "y has a different number of outputs than in the first call",
                expected=self.n_outputs_,
                got=columns.shape[1],
            )
        return Part(
            given=given,
            x=x,
            y=y,
            encoded=columns,
            target=columns,
            weight=weight,
            score_weight=weight,
        )

    def _has_labels(self) -> bool:
        return False

    def _loss_choice(self) -> LossChoice:
        choice = find_loss(self.loss, REGRESSION, "identity")
        if self.loss == "quantile":
            return choice.with_settings(quantile=float(self.quantile))
        return choice

    def _outputs_of(self, rows: Part) -> int:
        """One output for each target."""
        return int(rows.encoded.shape[1])

    def _own_score(self, part: Part) -> float:
        """R2, the mean over targets; NaN where a prediction is not finite."""
        predictions = self._predictions(part.x)
        if not np.isfinite(predictions).all():
            return float("nan")
        weight = np.ones(len(part)) if part.score_weight is None else part.score_weight
        y = part.encoded
        residual = weight @ np.square(y - predictions, dtype=np.float64)
        spread = weight @ np.square(y - np.average(y, axis=0, weights=weight), dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            r2 = np.where(spread > 0, 1.0 - residual / spread, np.where(residual > 0, 0.0, 1.0))
        return float(np.mean(r2))

    def predict(self, X: Table) -> Array:
        """Predict targets [rows] or [rows, outputs] for X [rows, features], in the network's dtype.

        With ``ensemble`` these are the means over the replicas, with loss="poisson" expected counts. Raises DataError
        for an X with missing values or text, and what scikit-learn's validation raises.
        """
        check_is_fitted(self)
        predicted: Array = self._predictions(features_of(self, X, reset=False))
        return predicted.ravel() if predicted.shape[1] == 1 else predicted


class ClassificationTask(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Classes, or several labels for each row."""

    _y_numeric = False
    _stratified = True
    class_weight: ClassWeight
    label_smoothing: float
    classes_: Array
    _label_binarizer: LabelBinarizer

    def _rows(
        self, given: Table, x: Features, y: Array, weight: Array | None, first: bool, incremental: bool
    ) -> Part:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._take_classes(y, incremental)
        weight = None if weight is None else within_reach(weight)
        encoded = self._encoded(y)
        target = encoded
        if self._has_labels():
            target = encoded.astype(np.int64)
        elif self.label_smoothing:
            target = encoded * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        return Part(
            given=given,
            x=x,
            y=dense(y),
            encoded=encoded,
            target=target,
            weight=self._total_weights(y, weight, incremental),
            score_weight=weight,
        )

    def _total_weights(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        """The weights of the rows times those of their classes."""
        if self.class_weight is None:
            return weight
        by_class = self._class_weights(y, weight, incremental)
        if not np.isfinite(by_class).all() or (by_class < 0).any() or not by_class.any():
            raise SettingError(
                "class_weight: no weight may be negative, and not all may be 0",
                expected="finite numbers >= 0",
                got=repr(self.class_weight),
            )
        total = within_reach(by_class, "class_weight")
        total = total if weight is None else total * weight
        if not total.any():
            raise SettingError("class_weight: every row has the weight 0", got=repr(self.class_weight))
        return within_reach(total, "class_weight")

    def _encoded(self, y: Array) -> Array:
        """Class numbers [rows, 1]; of labels, and of two classes for the second, true where a row has it.

        Not a column for each class: of 100,000 rows of as many classes that would be 10 GB.
        """
        if y.ndim != 1 or self._label_binarizer.y_type_ == "multilabel-indicator":
            return dense(self._label_binarizer.transform(y)).astype(bool)
        index = np.searchsorted(self.classes_, y)
        return (index if self._has_labels() else index == 1)[:, None]

    def _outputs_of(self, rows: Part) -> int:
        """One output for each label, or for each class; two classes have one output."""
        return len(self.classes_) if self._has_labels() else int(rows.encoded.shape[1])

    def _take_classes(self, y: Array, incremental: bool) -> None:
        """Learn which classes there are, or compare with those known: scikit-learn's rules."""
        check_classification_targets(y)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return
        classes = unique_labels(y)
        if self.warm_start and not incremental:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _class_weights(self, y: Array, weight: Array | None, incremental: bool) -> Array:
        """The weight of each row's class; with "balanced" every class has the same total weight."""
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            return np.asarray(compute_sample_weight(self.class_weight, dense(y)), np.float64)
        index = np.searchsorted(self.classes_, y)
        if isinstance(self.class_weight, Mapping):
            return self._named_weights(self.class_weight)[index]
        if self.class_weight != "balanced":
            raise SettingError(
                "class_weight: a list is for several labels, with a mapping for each",
                expected='{class: weight}, "balanced" or None',
                got=repr(self.class_weight),
            )
        if incremental:
            raise ValueError(
                'class_weight="balanced" needs all rows at once, which partial_fit does not have: pass the '
                "weights as a dict, e.g. from sklearn.utils.class_weight.compute_class_weight"
            )
        counts = np.bincount(index, weight, minlength=len(self.classes_))
        return (counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, np.finfo(float).tiny)))[index]

    def _named_weights(self, weights: Mapping[Hashable, float]) -> Array:
        """The weight of each class, 1 for those that are not named."""
        classes = self.classes_.tolist()
        unknown = set(weights) - set(classes)
        if unknown and set(classes) - set(weights):  # as scikit-learn has it
            raise SettingError(
                "class_weight names classes that y does not have, and leaves out others",
                expected=f"classes among {classes}",
                got=sorted(map(repr, unknown)),
            )
        return np.array([weights.get(c, 1.0) for c in classes])

    def _has_labels(self) -> bool:
        return bool(self._label_binarizer.y_type_ == "multiclass")

    def _loss_choice(self) -> LossChoice:
        if not self._has_labels():
            return find_loss(self.loss, BINARY, "logistic")
        choice = find_loss(self.loss, MULTICLASS, "softmax")
        if not self.label_smoothing:
            return choice
        if choice.function is not cross_entropy:
            raise SettingError(
                "label_smoothing of several classes goes with the log loss", got=f"loss={self.loss!r}"
            )
        return choice.with_settings(label_smoothing=float(self.label_smoothing))

    def _own_score(self, part: Part) -> float:
        """Accuracy; NaN where a probability is not finite."""

        def right(x: Features, piece: slice) -> Array:
            outputs, encoded = self._predictions(x), part.encoded[piece]
            found = (
                outputs.argmax(1) == encoded[:, 0]
                if self._has_labels()
                else ((outputs > 0.5) == encoded).all(1)
            )
            return np.where(np.isfinite(outputs).all(1), found, np.nan)

        return float(np.average(self._in_pieces(part.x, right), weights=part.score_weight))

    def _classes_from(self, outputs: Array) -> Array:
        if self._has_labels():
            return np.asarray(self.classes_[outputs.argmax(1)])
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            labels: Array = self._label_binarizer.inverse_transform(outputs)  # sparse where y was
            return labels
        return np.asarray(
            self.classes_[(outputs[:, 0] > 0.5).astype(int) if len(self.classes_) > 1 else [0] * len(outputs)]
        )

    def predict(self, X: Table) -> Array:
        """Predict the most probable class [rows], or 0 and 1 for each label [rows, labels], for X [rows, features]."""
        check_is_fitted(self)
        x = features_of(self, X, reset=False)
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            return self._classes_from(self._predictions(x))  # sparse where y was
        return np.asarray(self._in_pieces(x, lambda part, _: self._classes_from(self._predictions(part))))

    def predict_proba(self, X: Table) -> Array:
        """Predict probabilities [rows, classes], float64, with classes in the order of ``classes_``.

        With several labels these are the probabilities of each label, which need not sum to 1. With ``ensemble`` they
        are the means over the replicas.
        """
        found: Array = self.predict_log_proba(X)
        return np.exp(found, out=found)

    def predict_log_proba(self, X: Table) -> Array:
        """Predict the logarithms of :meth:`predict_proba`, which stay finite where a probability underflows float64."""
        from scipy.special import logsumexp

        check_is_fitted(self)

        def logarithms(x: Features, _: slice) -> Array:
            parts = [self._log_probabilities(outputs) for outputs in self._raw_outputs(x)]
            return parts[0] if len(parts) == 1 else np.asarray(logsumexp(parts, 0) - np.log(len(parts)))

        return self._in_pieces(features_of(self, X, reset=False), logarithms)

    def _log_probabilities(self, outputs: Array) -> Array:
        """What one network's outputs [rows, outputs] say of each class."""
        if outputs.shape[1] > 1:
            found = log_probabilities(self.out_activation_, outputs)
            if self.out_activation_ == "softmax":
                return found
            # of several labels many may be next to 1: as scikit-learn has it, they are compared as in predict_proba
            near = np.exp(found)
            return np.where(near > 0.5, np.log(np.maximum(near, 0.5)), found)
        if len(self.classes_) == 1:
            return np.zeros(outputs.shape)
        return log_probabilities("logistic", np.hstack([-outputs, outputs]))

    def _first_classes(self, y: Table, classes: ArrayLike | None) -> None:
        """What the first ``partial_fit`` is told about all classes to come."""
        for name, given in (("y", y), ("classes", classes)):
            need_whole(name, given)
            need_names_that_last(name, given)
        if _check_partial_fit_first_call(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
