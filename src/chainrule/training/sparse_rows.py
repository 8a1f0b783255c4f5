"""Rows of a sparse matrix on their way into training: written out for some minibatches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.ops.record import Array
from chainrule.training.executors import Work

CELLS_AT_ONCE = 1 << 21  # numbers that are written out, or one step's if that is more


def is_sparse(x: Any) -> bool:
    """Whether this is one of SciPy's sparse matrices or arrays."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def as_csr(x: Any) -> Any:
    """The same in compressed rows, without entries that come twice; a vector as one row."""
    csr = (x.reshape((1, -1)) if x.ndim == 1 else x).tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def written_out(x: Any) -> Array:
    """A sparse matrix as an array; an array as it is."""
    return np.asarray(x.toarray() if is_sparse(x) else x)


def in_parts(work: Work) -> Iterator[Work]:
    """The work on sparse rows as work on arrays: the same steps on the same numbers, a few at a time."""
    x, *others = work.data
    rows = work.runner.rows
    at_once = max(1, CELLS_AT_ONCE // max(rows * x.shape[1], 1))
    for start in range(0, work.steps, at_once):
        count = min(at_once, work.steps - start)
        picked: Any = slice(start * rows, (start + count) * rows)
        if work.order is not None:
            picked = work.order[start : start + count].ravel()
        data = (np.ascontiguousarray(written_out(x[picked])), *(other[picked] for other in others))
        yield replace(work, data=data, order=None, steps=count)
