"""Classification and regression: what y may be, what is predicted, and how good that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import DataError, SettingError
from chainrule.estimators.inputs import dense, features_of
from chainrule.estimators.losses import (
    BINARY,
    MULTICLASS,
    REGRESSION,
    LossChoice,
    find_loss,
    log_probabilities,
)
from chainrule.estimators.rows import Part
from chainrule.nn.losses import cross_entropy
from chainrule.ops.record import Array


class RegressionTask(RegressorMixin):  # type: ignore[misc]
    """Real targets, one or several."""

    _y_numeric = True
    _stratified = False

    def _rows(
        self, given: Any, x: Array, y: Array, weight: Array | None, first: bool, incremental: bool
    ) -> Part:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y.reshape(len(y), -1)
        if not first and columns.shape[1] != self.n_outputs_:
            raise DataError(
                "y has another number of outputs than before", expected=self.n_outputs_, got=columns.shape[1]
            )
        return Part(given, x, y, columns, columns, weight, weight)

    def _has_labels(self) -> bool:
        return False

    def _loss_choice(self: Any) -> LossChoice:
        choice = find_loss(self.loss, REGRESSION, "identity")
        if self.loss == "quantile":
            return choice.with_settings(quantile=float(self.quantile))
        return choice

    def _own_score(self, part: Part, predictions: Array) -> float:
        weight = np.ones(len(part)) if part.score_weight is None else part.score_weight
        y = part.encoded
        residual = weight @ np.square(y - predictions, dtype=np.float64)
        spread = weight @ np.square(y - np.average(y, axis=0, weights=weight), dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            r2 = np.where(spread > 0, 1.0 - residual / spread, np.where(residual > 0, 0.0, 1.0))
        return float(np.mean(r2))

    def predict(self: Any, X: Any) -> Array:
        """Predicted targets [rows] or [rows, outputs] for X [rows, features], in the network's dtype.

        The mean over the networks of an ensemble. With loss="poisson" expected counts.
        """
        check_is_fitted(self)
        predicted: Array = self._outputs_for(X)
        return predicted.ravel() if predicted.shape[1] == 1 else predicted


class ClassificationTask(ClassifierMixin):  # type: ignore[misc]
    """Classes, or several labels for each row."""

    _y_numeric = False
    _stratified = True

    def _rows(
        self: Any, given: Any, x: Array, y: Any, weight: Array | None, first: bool, incremental: bool
    ) -> Part:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._take_classes(y, incremental)
        encoded = self._encoded(y)
        target = encoded
        if self._has_labels():
            target = encoded.argmax(1)[:, None]
        elif self.label_smoothing:
            target = encoded * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.class_weight is None:
            return Part(given, x, dense(y), encoded, target, weight, weight)
        by_class = self._class_weights(y, encoded, weight, incremental)
        total = by_class if weight is None else by_class * weight
        if (total < 0).any() or not total.any():
            raise SettingError(
                "class_weight: no negative weights, and not all of them 0", got=repr(self.class_weight)
            )
        return Part(given, x, dense(y), encoded, target, total, weight)

    def _encoded(self: Any, y: Any) -> Array:
        """True where a row has the class (of two classes: the second), or the label."""
        if y.ndim != 1 or self._label_binarizer.y_type_ == "multilabel-indicator":
            return dense(self._label_binarizer.transform(y)).astype(bool)
        index = np.searchsorted(self.classes_, y)
        return (
            (index[:, None] == np.arange(len(self.classes_))) if self._has_labels() else (index == 1)[:, None]
        )

    def _take_classes(self: Any, y: Any, incremental: bool) -> None:
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

    def _class_weights(self: Any, y: Any, encoded: Array, weight: Array | None, incremental: bool) -> Array:
        """One factor for each row, from its class; "balanced" lets every class weigh the same in sum."""
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            return np.asarray(compute_sample_weight(self.class_weight, dense(y)), np.float64)
        index = np.searchsorted(self.classes_, y)
        if not isinstance(self.class_weight, str):
            unknown = set(self.class_weight) - set(self.classes_.tolist())
            if unknown and set(self.classes_.tolist()) - set(self.class_weight):  # as scikit-learn has it
                raise SettingError(
                    "class_weight names classes that y does not have, and leaves out others",
                    expected=f"classes among {self.classes_.tolist()}",
                    got=sorted(map(repr, unknown)),
                )
            return np.array([self.class_weight.get(c, 1.0) for c in self.classes_.tolist()])[index]
        if incremental:
            raise ValueError(
                'class_weight="balanced" needs all rows at once, which partial_fit does not have: pass the '
                "weights as a dict, e.g. from sklearn.utils.class_weight.compute_class_weight"
            )
        counts = np.bincount(index, weight, minlength=len(self.classes_))
        return (counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, np.finfo(float).tiny)))[index]

    def _has_labels(self: Any) -> bool:
        return bool(self._label_binarizer.y_type_ == "multiclass")

    def _loss_choice(self: Any) -> LossChoice:
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

    def _own_score(self: Any, part: Part, outputs: Array) -> float:
        if self._has_labels():
            right = outputs.argmax(1) == part.encoded.argmax(1)
        else:
            right = ((outputs > 0.5) == part.encoded).all(1)
        return float(np.average(right, weights=part.score_weight))

    def _classes_from(self: Any, outputs: Array) -> Array:
        if self._has_labels():
            return np.asarray(self.classes_[outputs.argmax(1)])
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            labels: Array = self._label_binarizer.inverse_transform(outputs)  # sparse where y was
            return labels
        return np.asarray(
            self.classes_[(outputs[:, 0] > 0.5).astype(int) if len(self.classes_) > 1 else [0] * len(outputs)]
        )

    def predict(self: Any, X: Any) -> Array:
        """The most probable class [rows], or 0 and 1 for each label [rows, labels], for X [rows, features]."""
        check_is_fitted(self)
        return self._classes_from(self._outputs_for(X))

    def predict_proba(self: Any, X: Any) -> Array:
        """Probabilities [rows, classes] in the order of ``classes_``, float64 whatever the network's dtype.

        Of several labels the probability of each, which need not sum to 1; of an ensemble the mean.
        """
        return np.asarray(np.exp(self.predict_log_proba(X)))

    def predict_log_proba(self: Any, X: Any) -> Array:
        """Logarithms of :meth:`predict_proba`, finite also where the probability is too small for float64."""
        from scipy.special import logsumexp

        check_is_fitted(self)
        parts = [
            self._log_probabilities(outputs)
            for outputs in self._raw_outputs(features_of(self, X, reset=False))
        ]
        return parts[0] if len(parts) == 1 else np.asarray(logsumexp(parts, 0) - np.log(len(parts)))

    def _log_probabilities(self: Any, outputs: Array) -> Array:
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

    def _first_classes(self: Any, y: Any, classes: Any) -> None:
        """What the first ``partial_fit`` is told about all classes to come."""
        if _check_partial_fit_first_call(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
