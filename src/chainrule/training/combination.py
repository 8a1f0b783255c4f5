"""Whether a loss is a mean over rows, a sum over rows or neither: found out by evaluating it on parts of the rows.

The mean over all rows is the mean of the parts' means, weighted by their rows; the sum is the sum of the parts' sums. A
loss that is neither (one that ranks rows, contrasts them, or weighs them by the others) must be evaluated on all rows
at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Literal

import numpy as np

from chainrule.nn.modes import at_inference
from chainrule.nn.prediction import rows_stand_apart
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, no_grad
from chainrule.training.batches import Rows
from chainrule.training.sparse_rows import written_out
from chainrule.training.step import Loss, Objective

Combination = Literal["mean", "sum", "whole"]

_ROWS = 8192  # at most, by which a loss is judged
_CELLS = (
    1 << 20
)  # outputs, at most, that these rows have together, for losses are computed of all of them in float64
_FEWEST = 64  # however many outputs there are
_MODEL_ROWS = 32  # by which the model is judged
_NOISE = 0.1  # about how much predictions are moved, so that they are neither equal nor perfect


def combination_of(objective: Objective, rows: Rows, validation: Rows | None) -> Combination:
    """Call ``combination`` for a run's training and validation rows, in a copy of the thread's context."""
    parts = [part for part in (rows, validation) if part is not None]
    return copy_context().run(combination, objective, parts)


def combination(objective: Objective, parts: Sequence[Rows]) -> Combination:
    """Whether the objective's loss is a "mean" over rows, a "sum" over rows, or to be evaluated on the "whole".

    ``parts`` are the training rows and the validation rows; the loss is evaluated a few times on some of them,
    in float64, with predictions near the model's present ones. It is "whole" also where the model's prediction
    for a row depends, at inference, on the rows beside it.
    """
    found: Combination = "mean"  # of a single row all three are the same
    with at_inference(objective.model), no_grad(), np.errstate(all="ignore"):
        for rows in parts:
            outputs = _outputs(objective, rows)
            if outputs is None:
                return "whole"
            chosen = _telling_rows(rows.y, outputs[0].size)
            if len(chosen) > 1:
                is_mean, is_sum = _judge(objective.loss, outputs, rows.y[chosen])
                if not (is_mean or is_sum):
                    return "whole"
                found = "sum" if is_sum and not is_mean else found
    return found


def _outputs(objective: Objective, rows: Rows) -> Array | None:
    """The model's outputs for the first rows; None if a row's output depends on other rows."""
    x = written_out(rows.x[:_MODEL_ROWS])
    outputs = np.asarray(objective.model(Tensor.leaf(x)).numpy())
    return outputs if len(x) < 2 or rows_stand_apart(objective.model, x) else None


def _telling_rows(y: Array, outputs: int) -> Array:
    """Row numbers to judge the loss by: up to an eighth of them have distinct targets, the others are evenly spread."""
    most = min(_ROWS, max(_FEWEST, _CELLS // max(outputs, 1)))
    flat = y.reshape(len(y), -1)
    _, first = np.unique(flat[:, 0], return_index=True)
    spread = np.linspace(0, len(y) - 1, min(len(y), most - most // 8)).astype(np.int64)
    return np.unique(np.concatenate([first[: most // 8], spread]))


def _judge(loss: Loss, outputs: Array, y: Array) -> tuple[bool, bool]:
    """Whether the loss of these rows is the mean, and whether it is the sum, of the losses of their parts."""
    rng = np.random.default_rng(0)
    near = outputs[np.arange(len(y)) % len(outputs)]
    if near.dtype.kind == "f":
        near = near.astype(np.float64)
    target = y.astype(np.float64) if y.dtype.kind == "f" else y
    order = np.lexsort((np.arange(len(y)), target.reshape(len(y), -1)[:, 0]))  # parts that differ in targets
    is_mean = is_sum = True
    for scale in (0.0, _NOISE):
        noise = 1.0 + scale * rng.uniform(-1, 1, near.shape)
        moved = (
            near * noise + scale * 0.1 * rng.uniform(-1, 1, near.shape) if near.dtype.kind == "f" else near
        )
        for cut in sorted({max(1, len(y) // 3), len(y) - 1}):
            mean, total = _compare(lambda rows: _value(loss, moved[rows], target[rows]), order, cut)  # noqa: B023
            is_mean, is_sum = is_mean and mean, is_sum and total
    return is_mean, is_sum


def _value(loss: Loss, prediction: Array, target: Array) -> float:
    return float(loss(Tensor.leaf(prediction), Tensor.leaf(target)).item())


def _compare(value: Callable[[Array], float], order: Array, cut: int) -> tuple[bool, bool]:
    parts = order[:cut], order[cut:]
    whole, first, second = value(order), *map(value, parts)
    if not np.isfinite([whole, first, second]).all():
        return True, True  # says nothing
    weights = len(parts[0]) / len(order), len(parts[1]) / len(order)
    rounding = 1e-9 * max(abs(whole), abs(first), abs(second))
    return (
        abs(whole - weights[0] * first - weights[1] * second) <= rounding,
        abs(whole - first - second) <= rounding,
    )
