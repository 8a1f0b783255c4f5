"""Each row predicted by the replicas that did not train on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import SettingError, user_line
from chainrule.missing import as_array
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.training.ensemble import OutputKind, predictions
from chainrule.training.folds import Fold
from chainrule.training.sparse_rows import as_csr, is_sparse, written_out
from chainrule.training.training_warning import warn

_CELLS_AT_ONCE = 1 << 21  # numbers of a sparse X that are written out


def inputs_of(x: Any, folds: Sequence[Fold]) -> Any:
    """The inputs as an array or a sparse matrix; SettingError if they are not there, or not those of the folds."""
    if x is None:
        raise SettingError(
            "a history that was copied or pickled does not hold the X that it was trained on",
            hint="out_of_fold(X)",
        )
    given = as_csr(x) if is_sparse(x) else as_array(x, name="X")
    last = max(int(numbers.max(initial=-1)) for fold in folds for numbers in (fold.train, fold.validation))
    if given.ndim < 2 or given.shape[0] <= last:
        raise SettingError(
            "X is not the one that the replicas were trained on",
            expected=f"more than {last} rows [rows, features]",
            got=f"shape {given.shape}",
        )
    return given


def predict_out_of_fold(
    model: Module, trained: Sequence[tuple[Mapping[str, Array], Fold]], x: Any, kind: OutputKind
) -> Array:
    """The mean prediction [rows, outputs] for each row of ``x`` of the networks that did not train on it, float64.

    ``trained`` are parameters and the rows that they were trained with; ``model`` holds others of them in turn. NaN for
    a row on which all were trained, with a TrainingWarning.
    """
    rows = x.shape[0]
    times, total = np.zeros(rows, np.int64), None
    for state, fold in trained:
        left_out = np.ones(rows, bool)
        left_out[fold.train] = False
        model.load_state_dict(state)
        for numbers in _pieces(np.flatnonzero(left_out), x):
            found = predictions(model.predict(written_out(x[numbers])), kind)
            if total is None:
                total = np.zeros((rows, *found.shape[1:]))
            total[numbers] += found
            times[numbers] += 1
    if total is None:
        raise SettingError(
            "every replica trained on all rows, so none can predict a row that it did not see",
            expected="rows that are left out, as by cr.folds",
            hint="rows=cr.folds(len(X), 8), restarts=8",
        )
    missing = int((times == 0).sum())
    if missing:
        first = int(np.flatnonzero(times == 0)[0])
        text = f"{missing} of {rows} rows, such as row {first}, are NaN out of fold: every replica trained on them"
        warn(text, user_line())
    with np.errstate(invalid="ignore"):  # 0 / 0
        return total / times.reshape(-1, *[1] * (total.ndim - 1))


def _pieces(numbers: Array, x: Any) -> Sequence[Array]:
    """Row numbers in pieces that may be written out; of an array all at once."""
    if not is_sparse(x) or not len(numbers):
        return [numbers] if len(numbers) else []
    at_once = max(1, _CELLS_AT_ONCE // max(x.shape[1], 1))
    return [numbers[start : start + at_once] for start in range(0, len(numbers), at_once)]
