"""Losses: functions of (prediction, target, reduction) that compare outputs with what they should be.

Every loss is defined for one element: one output of one row, or one row for ``cross_entropy``. ``reduction``
says what becomes of the elements:

- "mean": their mean over rows and outputs, as in PyTorch;
- "sum": their sum;
- "batchmean": their sum divided by the number of rows, so that a row's loss is the sum over its outputs;
- "none": nothing, one loss for each element.

How the lectures write the squared error (erratum 24), with G = sum (y_hat - y) dy_hat over n rows:

- A: sum of (a - y)^2, gradient 2G: ``squared_error(..., reduction="sum")``
- B: sum of 1/2 (y_hat - y)^2, gradient G: ``half_squared_error(..., reduction="sum")``
- C: mean over rows of ||y - g||^2, gradient 2G/n: ``squared_error(..., reduction="batchmean")``
- D: means over rows, of any loss: "batchmean"; for ``cross_entropy`` and for one output, "mean" is the same
- E: mean of (y - f)^2, one output, gradient 2G/n: ``squared_error(...)``

A target [batch] is taken as the one column of a prediction [batch, 1], and the other way round. Any other
two shapes must be equal: broadcasting [batch] against [batch, 1] to [batch, batch] is never what was meant.
Target arrays are brought to the prediction's dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError, describe_line, user_line
from chainrule.nn.choices import choose
from chainrule.nn.targets import aligned, check_binary_targets, known, labels_of
from chainrule.tensor import Tensor, as_tensor


def squared_error(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """(prediction - target)^2: no 1/2 (row A6, C20, E12).

    ``prediction`` and ``target`` [batch] or [batch, outputs]. "sum" is lecture A's convention, "batchmean"
    C's, "mean" E's and PyTorch's.

    >>> import chainrule as cr
    >>> squared_error(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), [[0.0, 0.0], [0.0, 0.0]], "batchmean").item()
    15.0
    """
    prediction, target = aligned("squared_error", prediction, target)
    return _reduced(f.square(prediction - target), reduction)


def half_squared_error(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """1/2 (prediction - target)^2 (row B7, erratum 16).

    ``prediction`` and ``target`` [batch] or [batch, outputs]. Lecture B's convention is "sum".

    >>> import chainrule as cr
    >>> half_squared_error(cr.tensor([1.0, 2.0]), [0.0, 0.0], "sum").item()
    2.5
    """
    prediction, target = aligned("half_squared_error", prediction, target)
    return _reduced(0.5 * f.square(prediction - target), reduction)


def absolute_error(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """|prediction - target|, with derivative 0 where they are equal.

    ``prediction`` and ``target`` [batch] or [batch, outputs]. "mean" is over rows and outputs.

    >>> import chainrule as cr
    >>> absolute_error(cr.tensor([1.0, -3.0]), [0.0, 0.0]).item()
    2.0
    """
    prediction, target = aligned("absolute_error", prediction, target)
    return _reduced(f.abs(prediction - target), reduction)


def huber(prediction: Any, target: Any, reduction: str = "mean", *, delta: float = 1.0) -> Tensor:
    """1/2 r^2 where |r| <= delta, else delta (|r| - delta/2), for r = prediction - target (Huber, 1964).

    ``prediction`` and ``target`` [batch] or [batch, outputs]. "mean" is over rows and outputs.

    >>> import chainrule as cr
    >>> huber(cr.tensor([0.5, 3.0]), [0.0, 0.0], "none").tolist()
    [0.125, 2.5]
    """
    if not delta > 0:
        raise SettingError("huber: delta is where the parabola ends", expected="> 0", got=delta)
    prediction, target = aligned("huber", prediction, target)
    residual = prediction - target
    size = f.abs(residual)
    elements = f.where(size <= delta, 0.5 * f.square(residual), delta * (size - 0.5 * delta))
    return _reduced(elements, reduction)


def cross_entropy(
    prediction: Any, target: Any, reduction: str = "mean", *, label_smoothing: float = 0.0
) -> Tensor:
    """-log softmax(z)[y] = logsumexp(z) - z[y], for logits z and a label y (row C17, E17).

    ``prediction`` [batch, classes] holds logits, not probabilities; ``target`` [batch] integers from 0 to
    classes - 1. "mean" is over rows. The derivative with respect to z is softmax(z) - one_hot(y), which sums
    to 0 (row C18). With ``label_smoothing`` s the target is (1 - s) one_hot(y) + s / classes.
    Raises DataError for labels out of range, where values are known (see ``nn.check_labels``).

    >>> import chainrule as cr
    >>> cross_entropy(cr.tensor([[1000.0, 0.0, -1000.0]]), [2]).item()
    2000.0
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise SettingError(
            "cross_entropy: label_smoothing is a share", expected="0 to 1", got=label_smoothing
        )
    logits = as_tensor(prediction)
    classes = _need_classes(logits)
    labels = labels_of(target, logits.shape[:-1], classes)
    mine = f.equal(f.expand_dims(labels, -1), np.arange(classes))
    chosen = f.sum(f.where(mine, logits, 0), -1)
    if label_smoothing:
        chosen = (1.0 - label_smoothing) * chosen + label_smoothing * f.mean(logits, -1)
    return _reduced(f.logsumexp(logits, -1) - chosen, reduction)


def log_loss(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """-log g[y], for probabilities g and a label y (row C7, C17).

    ``prediction`` [batch, classes] holds probabilities, as ``nn.Softmax`` gives them; ``target`` [batch]
    integers from 0 to classes - 1. "mean" is over rows. Behind a softmax it is ``cross_entropy`` of what
    comes before it, with the derivative taken through the softmax's Jacobian: infinite where a probability
    has rounded to 0, so train with ``cross_entropy``. Raises DataError for labels out of range.

    >>> import chainrule as cr
    >>> log_loss(cr.tensor([[0.25, 0.75]]), [0]).item()
    1.3862943649291992
    """
    probabilities = as_tensor(prediction)
    classes = _need_classes(probabilities)
    labels = labels_of(target, probabilities.shape[:-1], classes)
    mine = f.equal(f.expand_dims(labels, -1), np.arange(classes))
    # not chosen: 1, whose logarithm and derivative are finite
    return _reduced(-f.sum(f.log(f.where(mine, probabilities, 1)), -1), reduction)


def with_reference_class(logits: Any) -> Tensor:
    """Logits [..., classes - 1] with class 0 put in front, whose score is 0 (row C19, erratum 29).

    The same loss and probabilities as with a score for every class; for two classes, the logistic model.

    >>> import chainrule as cr
    >>> with_reference_class(cr.tensor([[1.5], [-2.0]])).tolist()
    [[0.0, 1.5], [0.0, -2.0]]
    """
    logits = as_tensor(logits)
    return f.pad(logits, ((0, 0),) * (logits.ndim - 1) + ((1, 0),))


def binary_cross_entropy(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """-y log s(z) - (1 - y) log s(-z), for a logit z, the logistic s and a target y.

    ``prediction`` [batch] or [batch, outputs] holds logits, not probabilities (PyTorch's
    ``binary_cross_entropy_with_logits``); targets are 0 or 1, or probabilities between. "mean" is over rows
    and outputs. The derivative with respect to z is s(z) - y; neither it nor the loss loses digits for large
    |z|. Raises DataError for targets outside [0, 1], where values are known.

    >>> import chainrule as cr
    >>> binary_cross_entropy(cr.tensor([0.0, 1000.0]), [1, 0], "none").tolist()
    [0.6931471824645996, 1000.0]
    """
    prediction, target = aligned("binary_cross_entropy", prediction, target)
    if known(target):
        check_binary_targets(target)
    return _reduced(target * f.softplus(-prediction) + (1.0 - target) * f.softplus(prediction), reduction)


def zero_one(prediction: Any, target: Any, reduction: str = "mean", *, threshold: float = 0.5) -> Tensor:
    """1 for a misclassified row, 0 for a right one; piecewise constant, so it has no gradient (row A2).

    ``prediction`` [batch, classes] with labels ``target`` [batch]: the largest output wins, the first of
    equals. Otherwise both [batch] or [batch, outputs]: an output predicts the positive class from
    ``threshold`` on, and a target above 0 is positive. The threshold is 1/2 for logistic outputs, 0 for
    logits and for outputs in (-1, 1) with labels -1 and 1 (errata 1, 2). Lecture A's convention is "sum".

    >>> import chainrule as cr
    >>> zero_one(cr.tensor([0.2, 0.5, 0.9]), [1, 1, 0], "sum").item()
    2.0
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
            "there is only one output, over which the loss of classes is always 0",
            expected="[batch, classes] with at least 2 classes",
            got=list(logits.shape),
            where=describe_line(user_line()),
            hint="give the network one output for each class, or use binary_cross_entropy",
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
