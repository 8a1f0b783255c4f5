"""How well a network fits: its loss and its mistakes beside those of always predicting the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from chainrule import nn
from chainrule.inspect.diagnosis.ranks import Ranks, ranks_of
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, no_grad
from chainrule.training.batches import Rows
from chainrule.training.step import Loss

Floats = NDArray[np.float64]
MOST_ROWS = 8192  # that are predicted


@dataclass(frozen=True)
class Outcome:
    """A network on some rows.

    ``baseline`` is the loss of the best constant output, ``fit`` 1 - loss / baseline: 1 is perfect, 0 no better
    than a constant. For classes, ``accuracy`` is the share of right rows, ``chance`` that of always predicting the
    most frequent class, ``ranks`` how well the probabilities order the rows; NaN for a regression. ``skill`` is
    the share that is gone of what always predicting the classes' shares (or the best constant) gets wrong, by the
    squared error of the probabilities (Brier's score), which rewards neither luck nor sureness.
    """

    rows: int
    loss: float
    baseline: float
    accuracy: float
    chance: float
    skill: float
    ranks: Ranks

    @property
    def fit(self) -> float:
        """The share of the baseline's loss that is gone; NaN where the baseline's is 0."""
        return 1 - self.loss / self.baseline if self.baseline > 0 else float("nan")


def brier_skill(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The share of the squared error of the classes' shares [classes] that ``probabilities`` [rows, classes] avoid."""
    n, shares = len(labels), np.bincount(labels, minlength=probabilities.shape[1]) / len(labels)
    spread = n * (1 - float(np.square(shares).sum()))
    mine = probabilities[np.arange(n), labels]  # one-hot rows of thousands of classes would not fit in memory
    squares = float(np.einsum("ij,ij->i", probabilities, probabilities).sum() - 2 * mine.sum()) + n
    return 1 - squares / spread if len(np.unique(labels)) > 1 else float("nan")


def labels_of(y: Array, outputs: Array) -> NDArray[np.int64] | None:
    """The classes' labels [rows], or None for a regression.

    Integers with several outputs are labels; so are zeros and ones with a single output.
    """
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        return y.astype(np.int64) if y.ndim == 1 and y.dtype.kind in "iub" else None
    flat = y.reshape(len(y), -1)
    if flat.shape[1] == 1 and np.isin(flat, (0, 1)).all() and len(np.unique(flat)) == 2:
        return flat[:, 0].astype(np.int64)
    return None


def predicted_labels(outputs: Array, loss: Loss) -> NDArray[np.int64]:
    """The class that each row's outputs say."""
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        return outputs.argmax(1)
    return (outputs.reshape(-1) > (0.0 if _plain(loss) is nn.binary_cross_entropy else 0.5)).astype(np.int64)


def probabilities_of(outputs: Array, loss: Loss) -> Floats:
    """The probabilities of the classes, [rows, classes], that outputs stand for."""
    with np.errstate(all="ignore"):
        raw = np.nan_to_num(outputs.astype(np.float64))
        if raw.ndim == 2 and raw.shape[1] > 1:
            if (raw >= 0).all() and np.allclose(raw.sum(1), 1, atol=1e-3):
                return raw
            grown = np.exp(raw - raw.max(1, keepdims=True))
            return np.asarray(grown / grown.sum(1, keepdims=True))
        flat = raw.reshape(-1)
        logits = _plain(loss) is nn.binary_cross_entropy
        second = 1 / (1 + np.exp(-np.clip(flat, -500, 500))) if logits else np.clip(flat, 0, 1)
        return np.stack([1 - second, second], 1)


def some_of(rows: Rows) -> Rows:
    """At most 8192 rows, from everywhere: tables are often sorted."""
    if len(rows) <= MOST_ROWS:
        return rows
    chosen = np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64)
    return Rows(rows.x[chosen], rows.y[chosen])


def evaluate(model: Module, loss: Loss, rows: Rows) -> Outcome:
    """The outcome on 8192 rows at most."""
    some = some_of(rows)
    x, y = some.x, some.y
    with np.errstate(all="ignore"):
        outputs = model.predict(x)
        value = loss_value(loss, outputs, y)
        baseline = min((loss_value(loss, guess, y) for guess in _constants(outputs, y)), default=float("nan"))
    labels, nan = labels_of(y, outputs), float("nan")
    if labels is None:
        skill = 1 - value / baseline if baseline > 0 else nan
        return Outcome(len(x), value, baseline, nan, nan, skill, Ranks(nan, nan))
    right = float(np.mean(predicted_labels(outputs, loss) == labels))
    chance = float(np.bincount(labels).max() / len(labels))
    probabilities = probabilities_of(outputs, loss)
    skill = brier_skill(probabilities, labels)
    return Outcome(len(x), value, baseline, right, chance, skill, ranks_of(probabilities, labels))


def _constants(outputs: Array, y: Array) -> list[Array]:
    """Constant outputs among which the best is the baseline: each right for one of the usual losses."""
    labels = labels_of(y, outputs)
    found: list[Array] = []
    if labels is not None and outputs.ndim == 2 and outputs.shape[1] > 1:
        shares = np.bincount(labels, minlength=outputs.shape[1]) / len(labels)
        found.append(np.log(np.maximum(shares, 1e-6)))
        found.append(shares)
    elif y.size == outputs.size:
        flat = y.reshape(outputs.shape).astype(np.float64)
        mean = flat.mean(0)
        found += [mean, np.median(flat, axis=0)]
        if flat.min() >= 0 and flat.max() <= 1:
            inside = np.clip(mean, 1e-6, 1 - 1e-6)
            found.append(np.log(inside / (1 - inside)))
    return [np.broadcast_to(guess, outputs.shape).astype(outputs.dtype) for guess in found]


def adds_up(loss: Loss, outputs: Array, y: Array) -> bool:
    """Whether the loss sums over rows instead of averaging.

    Lectures: erratum 23.
    """
    half = len(y) // 2
    if not half:
        return False
    whole = loss_value(loss, outputs[: 2 * half], y[: 2 * half])
    first, second = (
        loss_value(loss, outputs[part], y[part]) for part in (slice(half), slice(half, 2 * half))
    )
    return whole > 0.75 * (first + second) > 0


def loss_value(loss: Loss, outputs: Array, y: Array) -> float:
    """The loss of outputs; infinite where it is not a number."""
    with no_grad():
        value = float(loss(Tensor.leaf(np.array(outputs)), Tensor.leaf(y)).numpy())
    return value if np.isfinite(value) else float("inf")


def _plain(loss: Loss) -> object:
    return loss.func if isinstance(loss, partial) else loss
