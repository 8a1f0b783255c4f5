"""Losses: functions of (prediction, target, reduction) that compare outputs with targets.

Every loss is defined per element: per output of a row, or per row for ``cross_entropy``. ``reduction`` combines
the elements:

- "mean": their mean over rows and outputs, as in PyTorch;
- "sum": their sum;
- "batchmean": their sum divided by the number of rows, so that a row's loss is the sum over its outputs;
- "none": no reduction, one loss per element.

How the lectures write the squared error, with G = sum (y_hat - y) dy_hat over n rows:

- A: sum of (a - y)^2, gradient 2G: ``squared_error(..., reduction="sum")``
- B: sum of 1/2 (y_hat - y)^2, gradient G: ``half_squared_error(..., reduction="sum")``
- C: mean over rows of ||y - g||^2, gradient 2G/n: ``squared_error(..., reduction="batchmean")``
- D: means over rows, of any loss: "batchmean"; for ``cross_entropy`` and for one output, "mean" is the same
- E: mean of (y - f)^2, one output, gradient 2G/n: ``squared_error(...)``

A target [batch] matches a prediction [batch, 1], and the other way round. Otherwise the two shapes must be equal:
broadcasting [batch] against [batch, 1] to [batch, batch] is never intended. Target arrays are converted to the
prediction's dtype.

Lectures: erratum 24.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError, caller_line
from chainrule.nn.choices import choose
from chainrule.nn.targets import aligned, check_binary_targets, known, labels_of
from chainrule.tensor import Tensor, TensorLike, as_tensor


def squared_error(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """(prediction - target)^2, without a factor 1/2.

    ``prediction`` and ``target`` are [batch] or [batch, outputs]. "sum" is the convention of lecture A,
    "batchmean" of C, "mean" of E and of PyTorch. Raises ShapeError where the shapes do not match.

    >>> import chainrule as cr
    >>> squared_error(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), [[0.0, 0.0], [0.0, 0.0]], "batchmean").item()
    15.0

    Lectures: A6, C20, E12.
    """
    prediction, target = aligned("squared_error", prediction, target)
    return _reduced(f.square(prediction - target), reduction)


def half_squared_error(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """1/2 (prediction - target)^2.

    ``prediction`` and ``target`` are [batch] or [batch, outputs]. "sum" is the convention of lecture B. Raises
    ShapeError where the shapes do not match.

    >>> import chainrule as cr
    >>> half_squared_error(cr.tensor([1.0, 2.0]), [0.0, 0.0], "sum").item()
    2.5

    Lectures: B7; erratum 16.
    """
    prediction, target = aligned("half_squared_error", prediction, target)
    return _reduced(0.5 * f.square(prediction - target), reduction)


def absolute_error(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """|prediction - target|; the derivative is 0 where they are equal.

    ``prediction`` and ``target`` are [batch] or [batch, outputs]; "mean" averages over both. Raises ShapeError where
    the shapes do not match.

    >>> import chainrule as cr
    >>> absolute_error(cr.tensor([1.0, -3.0]), [0.0, 0.0]).item()
    2.0
    """
    prediction, target = aligned("absolute_error", prediction, target)
    return _reduced(f.abs(prediction - target), reduction)


def huber(
    prediction: TensorLike, target: TensorLike, reduction: str = "mean", *, delta: float = 1.0
) -> Tensor:
    """1/2 r^2 where |r| <= delta, else delta (|r| - delta/2), for r = prediction - target (Huber, 1964).

    Quadratic near 0 and linear beyond ``delta``, so outliers count less than under the squared error.
    ``prediction`` and ``target`` are [batch] or [batch, outputs]; "mean" averages over both. Raises SettingError
    unless delta > 0, ShapeError where the shapes do not match.

    >>> import chainrule as cr
    >>> huber(cr.tensor([0.5, 3.0]), [0.0, 0.0], "none").tolist()
    [0.125, 2.5]
    """
    if not delta > 0:
        raise SettingError("huber: delta must be positive", expected="> 0", got=delta)
    prediction, target = aligned("huber", prediction, target)
    residual = prediction - target
    size = f.abs(residual)
    elements = f.where(size <= delta, 0.5 * f.square(residual), delta * (size - 0.5 * delta))
    return _reduced(elements, reduction)


def cross_entropy(
    prediction: TensorLike, target: TensorLike, reduction: str = "mean", *, label_smoothing: float = 0.0
) -> Tensor:
    """-log softmax(z)[y] = logsumexp(z) - z[y], for logits z and a label y.

    ``prediction`` [batch, classes] holds logits, not probabilities; ``target`` [batch] integers from 0 to classes -
    1; "mean" averages over rows. The derivative with respect to z is softmax(z) - one_hot(y), which sums to 0. With
    ``label_smoothing`` s the target is (1 - s) one_hot(y) + s / classes. Raises DataError for labels out of range
    (not inside compiled functions, where labels have no values yet; see ``nn.check_labels``).

    >>> import chainrule as cr
    >>> cross_entropy(cr.tensor([[1000.0, 0.0, -1000.0]]), [2]).item()
    2000.0

    Lectures: C17, E17, C18.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise SettingError(
            "cross_entropy: label_smoothing must be a fraction", expected="0 to 1", got=label_smoothing
        )
    logits = as_tensor(prediction)
    classes = _need_classes(logits)
    labels = labels_of(target, logits.shape[:-1], classes)
    mine = f.equal(f.expand_dims(labels, -1), np.arange(classes))
    chosen = f.sum(f.where(mine, logits, 0), -1)
    if label_smoothing:
        chosen = (1.0 - label_smoothing) * chosen + label_smoothing * f.mean(logits, -1)
    return _reduced(f.logsumexp(logits, -1) - chosen, reduction)


def log_loss(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """-log g[y], for probabilities g and a label y. To train, prefer ``cross_entropy`` of the logits.

    ``prediction`` [batch, classes] holds probabilities, such as the output of ``nn.Softmax``; ``target`` [batch]
    integers from 0 to classes - 1; "mean" averages over rows. After a softmax it equals ``cross_entropy`` of the
    logits, but its derivative passes through the Jacobian of the softmax and is infinite where a probability has
    rounded to 0. Raises DataError for labels out of range.

    >>> import chainrule as cr
    >>> log_loss(cr.tensor([[0.25, 0.75]]), [0]).item()
    1.3862943649291992

    Lectures: C7, C17.
    """
    probabilities = as_tensor(prediction)
    classes = _need_classes(probabilities)
    labels = labels_of(target, probabilities.shape[:-1], classes)
    mine = f.equal(f.expand_dims(labels, -1), np.arange(classes))
    # 1 in place of the other classes' probabilities: its logarithm and derivative are finite
    return _reduced(-f.sum(f.log(f.where(mine, probabilities, 1)), -1), reduction)


def with_reference_class(logits: TensorLike) -> Tensor:
    """Prepend class 0, with the fixed logit 0, to logits [..., classes - 1].

    Gives the same losses and probabilities as a logit for every class; for two classes it is the logistic model.

    >>> import chainrule as cr
    >>> with_reference_class(cr.tensor([[1.5], [-2.0]])).tolist()
    [[0.0, 1.5], [0.0, -2.0]]

    Lectures: C19; erratum 29.
    """
    logits = as_tensor(logits)
    return f.pad(logits, ((0, 0),) * (logits.ndim - 1) + ((1, 0),))


def binary_cross_entropy(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """-y log s(z) - (1 - y) log s(-z), for a logit z, the logistic s and a target y.

    ``prediction`` [batch] or [batch, outputs] holds logits, not probabilities (PyTorch's
    ``binary_cross_entropy_with_logits``); targets are 0 or 1, or probabilities. "mean" averages over rows and
    outputs. The derivative with respect to z is s(z) - y; both are accurate for large |z|. Raises DataError for
    targets outside [0, 1] (not inside compiled functions, where targets have no values yet).

    >>> import chainrule as cr
    >>> binary_cross_entropy(cr.tensor([0.0, 1000.0]), [1, 0], "none").tolist()
    [0.6931471824645996, 1000.0]
    """
    prediction, target = aligned("binary_cross_entropy", prediction, target)
    if known(target):
        check_binary_targets(target)
    return _reduced(target * f.softplus(-prediction) + (1.0 - target) * f.softplus(prediction), reduction)


def zero_one(
    prediction: TensorLike, target: TensorLike, reduction: str = "mean", *, threshold: float = 0.5
) -> Tensor:
    """1 for a misclassified row, 0 for a correct one. Piecewise constant: differentiating it raises GradientError.

    With ``prediction`` [batch, classes] and labels ``target`` [batch], the largest output is the predicted class,
    the first of equals. Otherwise both are [batch] or [batch, outputs]: an output of at least ``threshold``
    predicts the positive class, and a target above 0 is positive. Use the threshold 1/2 for logistic outputs, 0 for
    logits and for outputs in (-1, 1) with labels -1 and 1. "sum" is the convention of lecture A.

    >>> import chainrule as cr
    >>> zero_one(cr.tensor([0.2, 0.5, 0.9]), [1, 1, 0], "sum").item()
    2.0

    Lectures: A2; errata 1, 2.
    """
    prediction, target = as_tensor(prediction), as_tensor(target)
    if prediction.ndim == target.ndim + 1 and prediction.shape[-1] > 1:
        labels = labels_of(target, prediction.shape[:-1], prediction.shape[-1])
        wrong = f.argmax(prediction, -1) != labels
    else:
        prediction, target = aligned("zero_one", prediction, target)
        wrong = (prediction >= threshold) != (target > 0)
    return _reduced(wrong.astype(prediction.dtype), reduction)


def _need_classes(logits: Tensor) -> int:
    if not logits.shape or logits.shape[-1] < 2:
        raise ShapeError(
            "cross-entropy over a single class is always 0",
            expected="[batch, classes] with at least 2 classes",
            got=list(logits.shape),
            where=caller_line(),
            hint="give the network one output per class, or use binary_cross_entropy",
        )
    return logits.shape[-1]


def _batchmean(elements: Tensor) -> Tensor:
    return f.sum(elements) / float(elements.shape[0] if elements.shape else 1)


_REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": f.mean,
    "sum": f.sum,
    "batchmean": _batchmean,
    "none": lambda elements: elements,
}


def _reduced(elements: Tensor, reduction: str) -> Tensor:
    return choose("reduction", reduction, _REDUCTIONS)(elements)
