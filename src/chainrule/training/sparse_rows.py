"""Rows of a sparse matrix on their way into training: written out for some minibatches at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self, TypeGuard

import numpy as np
from numpy.typing import DTypeLike

from chainrule.ops.record import Array
from chainrule.training.executors import RunsWork, Tick, Work, in_rounds, joined

CELLS_AT_ONCE = 1 << 21  # numbers that are written out, or one step's if that is more


class SparseMatrix(Protocol):
    """What is asked of a sparse matrix or array of SciPy's; ``indices`` and ``indptr`` it has in compressed rows."""

    shape: tuple[int, ...]
    ndim: int
    dtype: np.dtype[Any]
    nnz: int
    data: Array
    indices: Array
    indptr: Array
    has_canonical_format: bool

    def tocsr(self) -> Self:
        """The same in compressed rows."""

    def toarray(self) -> Array:
        """The same written out."""

    def astype(self, dtype: DTypeLike) -> Self:
        """The same in another dtype."""

    def copy(self) -> Self:
        """The same in memory of its own."""

    def reshape(self, shape: tuple[int, ...]) -> Self:
        """The same entries in another shape."""

    def sum_duplicates(self) -> None:
        """Add up entries that come twice."""

    def __matmul__(self, other: Array) -> Array: ...

    def __getitem__(self, rows: slice | Array) -> Self:
        """Some of its rows."""


#: rows of features
Matrix = SparseMatrix | Array


def is_sparse(x: object) -> TypeGuard[SparseMatrix]:
    """Whether this is one of SciPy's sparse matrices or arrays."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def as_csr(x: SparseMatrix) -> SparseMatrix:
    """The same in compressed rows, without entries that come twice; a vector as one row."""
    csr = (x.reshape((1, -1)) if x.ndim == 1 else x).tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def written_out(x: Matrix) -> Array:
    """A sparse matrix as an array; an array as it is."""
    return np.asarray(x.toarray() if is_sparse(x) else x)


def spread_of(x: Matrix) -> Array:
    """An array as it is; of a sparse matrix 0 and its least and largest entry, by which it is told what is lost."""
    if not is_sparse(x):
        return np.asarray(x)
    return np.array([[0], [x.data.min(initial=0)], [x.data.max(initial=0)]], x.data.dtype)


class WrittenOut:
    """Runs work on sparse rows by another executor."""

    def __init__(self, executor: RunsWork) -> None:
        self._executor = executor

    def run(self, works: Sequence[Work], tick: Tick, watch: bool = False) -> list[Array]:
        """Do all work in turn: the outputs [steps, outputs] of each."""
        found = []
        for work in works:
            parts = _in_parts(work) if is_sparse(work.data[0]) else [work]
            found.append(np.concatenate([self._executor.run([part], tick, watch)[0] for part in parts]))
        return found

    def run_rounds(self, works: Sequence[Work], rounds: int, tick: Tick) -> list[Array]:
        """Do an equal share of each work in turn, round after round: the outputs [steps, outputs] of each work."""
        return joined(self.run(in_rounds(works, rounds), tick), len(works))


def _in_parts(work: Work) -> Iterator[Work]:
    """The work on sparse rows as work on arrays: the same steps on the same numbers, a few at a time."""
    x, *others = work.data
    rows = work.runner.rows
    at_once = max(1, CELLS_AT_ONCE // max(rows * x.shape[1], 1))
    for start in range(0, work.steps, at_once):
        count = min(at_once, work.steps - start)
        picked: slice | Array = slice(start * rows, (start + count) * rows)
        if work.order is not None:
            picked = work.order[start : start + count].ravel()
        data = (np.ascontiguousarray(written_out(x[picked])), *(other[picked] for other in others))
        yield replace(work, data=data, order=None, steps=count)
