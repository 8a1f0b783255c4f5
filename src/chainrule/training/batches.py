"""The rows a run trains on, and the order in which minibatches visit them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.compiler.shuffle import shuffled
from chainrule.data.checks import check_finite
from chainrule.data.digits import need_exact, warn_of_loss
from chainrule.errors import ChainruleError, DataError, DtypeError, ShapeError
from chainrule.graph import new_leaf, topological
from chainrule.missing import as_array, need_whole
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module, generator
from chainrule.ops.dtypes import check_dtype
from chainrule.ops.movement import cast
from chainrule.ops.record import Array, Form, is_float
from chainrule.tensor import Tensor, no_grad
from chainrule.trace import tracing
from chainrule.training.sparse_rows import as_csr, is_sparse, spread_of, written_out

_ORDER = 0x0DE5  # keeps the stream of orders apart from those of initial values
_BLOCK_ROWS, _BLOCK_EPOCHS = (
    1 << 16,
    256,
)  # about how many row numbers, at most how many epochs are drawn at once


@dataclass(frozen=True)
class Rows:
    """Inputs [rows, features] and targets [rows] or [rows, outputs], checked: floats in the model's dtype.

    ``x`` may be a matrix of SciPy's in compressed rows, which is written out for some minibatches at a time. With
    ``picked``, row numbers (int64, with repetitions if need be), only those rows of x and y are meant, in that order.
    """

    x: Any
    y: Array
    picked: Array | None = None

    def __len__(self) -> int:
        return len(self.y) if self.picked is None else len(self.picked)

    def pick(self, numbers: Array) -> Rows:
        """Some rows of x and y, which stay where they are."""
        return replace(self, picked=numbers)

    def numbers(self, places: Array) -> Array:
        """The row numbers in x and y of the rows at these places, counted among the rows that are meant."""
        return places if self.picked is None else self.picked[places]

    def part(self, start: int = 0, stop: int | None = None) -> tuple[Array, Array]:
        """Inputs and targets of the rows from place ``start`` to before ``stop``, written out."""
        chosen = slice(start, stop) if self.picked is None else self.picked[start:stop]
        return written_out(self.x[chosen]), self.y[chosen]

    def apart_from(self, arrays: Sequence[Array]) -> Rows:
        """The same rows, copied if they share memory with any of these arrays, which training changes."""
        shared = [
            isinstance(part, np.ndarray) and any(np.may_share_memory(part, array) for array in arrays)
            for part in (self.x, self.y)
        ]
        x, y = (part.copy() if own else part for part, own in zip((self.x, self.y), shared, strict=True))
        return replace(self, x=x, y=y) if any(shared) else self

    def forms(self, count: int) -> tuple[Form, Form]:
        """The forms of a minibatch of ``count`` rows."""
        return Form((count, *self.x.shape[1:]), self.x.dtype), Form((count, *self.y.shape[1:]), self.y.dtype)


def as_rows(data: object, model: Module, prefix: str = "", *, sparse: bool = False) -> Rows:
    """Check (X, y) and convert floats to the model's dtype; integer targets stay integers, as labels are.

    With ``sparse`` a sparse X stays sparse, otherwise it is written out. Integers in X stay integers if the model uses
    them to look rows up in a table; otherwise they become floats. Raises DataError for a wrong structure, no rows, text
    or non-finite values (named by row and column), and for integers in X that the model's dtype cannot hold, ShapeError
    for different lengths or X without columns. Warns (DataWarning) if values in a column differ by less than the
    model's dtype can tell apart.
    """
    names = f"{prefix}X", f"{prefix}y"
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError(
            f"{prefix or 'training '}data: not a pair of inputs and targets",
            expected="(X, y)",
            got=f"{len(data)} items" if isinstance(data, tuple | list) else type(data).__name__,
        )
    if is_sparse(data[0]):
        need_whole(names[0], data[0])
        rows = _sparse_rows(as_csr(data[0]), data[1], model, names)
        return rows if sparse else Rows(written_out(rows.x), rows.y)
    x, y = (_as_array(part, name) for part, name in zip(data, names, strict=True))
    _check_lengths(x, y, names)
    if not is_float(x.dtype) and not takes_integers(model, Form((1, *x.shape[1:]), x.dtype)):
        need_exact(names[0], x, model.dtype)
        x = x.astype(model.dtype)
    rows = Rows(_finite(x, model, names[0]), _finite(y, model, names[1]))
    for name, given, taken in zip(names, (x, y), (rows.x, rows.y), strict=True):
        # integer targets become floats in the losses of regression
        if given is not taken or name == names[1]:
            warn_of_loss(name, given, model.dtype)
    return rows


def _sparse_rows(csr: Any, y: Any, model: Module, names: tuple[str, str]) -> Rows:
    """Rows with a sparse matrix, whose stored entries are checked as those of an array are."""
    entries, y = _as_array(csr.data[:, None], names[0]), _as_array(y, names[1])
    _check_lengths(csr, y, names)
    if not is_float(entries.dtype):
        need_exact(f"{names[0]}.data", entries, model.dtype)
        entries = entries.astype(model.dtype)
    entries = _finite(entries, model, f"{names[0]}.data")
    warn_of_loss(f"{names[0]}.data", spread_of(csr), model.dtype)
    csr = type(csr)((entries[:, 0], csr.indices, csr.indptr), shape=csr.shape)
    y = _finite(y, model, names[1])
    warn_of_loss(names[1], y, model.dtype)
    return Rows(csr, y)


def _check_lengths(x: Any, y: Array, names: tuple[str, str]) -> None:
    if x.ndim < 2:
        raise ShapeError(
            f"{names[0]} has no columns",
            expected="[rows, features]",
            got=list(x.shape),
            hint="X[:, None] makes one column of a vector, X[None, :] one row",
        )
    if x.shape[0] != len(y):
        raise ShapeError(
            f"{names[0]} and {names[1]} have different numbers of rows",
            expected=f"{x.shape[0]} targets",
            got=len(y),
        )
    if x.shape[0] == 0:
        raise DataError(f"{names[0]} has no rows", expected="at least 1 row", got=list(x.shape))


def takes_integers(model: Module, form: Form) -> bool:
    """Whether the model uses integers of this form as indices into a table, rather than casting them to floats."""
    try:
        with at_inference(model), no_grad(), tracing():
            x = Tensor(None, new_leaf(*form, "x"))
            output = model(x)
    except (ChainruleError, TypeError, ValueError):  # it wants floats
        return False
    from_x, picks = {x.node}, False
    for node in topological([output.node]):
        if node in from_x or not any(operand in from_x for operand in node.inputs):
            continue
        if not is_float(node.dtype):
            from_x.add(node)
        elif node.op is cast:
            return False
        else:
            picks = True
    return picks


def _as_array(part: object, name: str) -> Array:
    """The part as an array of numbers with rows."""
    try:
        array = as_array(part, name=name)
    except DataError:
        raise
    except ValueError:
        raise ShapeError(
            f"{name}: the rows have different lengths", expected="rows of equal length"
        ) from None
    if array.dtype.kind in "OUSMmV":
        raise DataError(
            f"{name} is not numeric",
            expected="numbers",
            got=f"dtype {array.dtype}",
            hint="encode categories as numbers first, or train from the command line, which does it",
        )
    if array.ndim == 0:
        raise ShapeError(f"{name} is a single number", expected="[rows, ...]", got="shape ()")
    try:
        return array if array.dtype.kind == "f" else array.astype(check_dtype(array.dtype))
    except DtypeError as error:
        raise DataError(
            f"{name}: {error.what}", expected="real numbers", got=f"dtype {array.dtype}"
        ) from None


def _finite(array: Array, model: Module, name: str) -> Array:
    """The array made contiguous, floats in the model's dtype; DataError if any is not finite before or after that."""
    if array.dtype.kind != "f":
        return np.ascontiguousarray(array)
    check_finite(name, array)
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=model.dtype)
    if converted.dtype != array.dtype:
        check_finite(f"{name} in {model.dtype}", converted)
    return converted


def row_orders(rows: int, *, shuffle: bool, key: tuple[int, int, int], count: int = 1) -> Array:
    """Row numbers [epochs, rows] in the order in which each of ``count`` epochs visits them.

    Every row comes once. An epoch's order depends on (seed, replica, epoch) alone; ``key`` holds those of the
    first epoch. Orders are drawn for blocks of epochs, since drawing one takes longer than a small network's epoch.

    Lectures: B21.
    """
    seed, replica, first = key
    if not shuffle:
        return np.broadcast_to(np.arange(rows, dtype=np.int64), (count, rows))
    size = min(max(_BLOCK_ROWS // max(rows, 1), 1), _BLOCK_EPOCHS)
    blocks = []
    for block in range(first // size, (first + count - 1) // size + 1):
        orders = _block_of_orders(rows, size, seed, replica, block)
        start = block * size
        blocks.append(orders[max(first - start, 0) : first + count - start])
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@functools.lru_cache(maxsize=4)
def _block_of_orders(rows: int, size: int, seed: int, replica: int, block: int) -> Array:
    keys = generator(_ORDER, seed, replica, block).integers(0, 1 << 64, size, dtype=np.uint64)
    orders = shuffled(keys, rows)
    orders.flags.writeable = False
    return orders


def epoch_orders(
    rows: int, batch_size: int, *, shuffle: bool, drop_last: bool, key: tuple[int, int, int]
) -> list[Array]:
    """Row numbers of an epoch's minibatches [minibatches, rows]: all whole ones, then the smaller last one."""
    (order,) = row_orders(rows, shuffle=shuffle, key=key)
    return minibatches(order, batch_size, drop_last)


def minibatches(order: Array, batch_size: int, drop_last: bool) -> list[Array]:
    """An order of rows cut into minibatches [minibatches, rows]: all whole ones, then the smaller last one."""
    whole = len(order) // batch_size * batch_size
    parts = [order[:whole].reshape(-1, batch_size)] if whole else []
    return parts if whole == len(order) or drop_last else [*parts, order[whole:].reshape(1, -1)]


def steps_per_epoch(rows: int, batch_size: int, drop_last: bool) -> int:
    """How many minibatches an epoch has."""
    return rows // batch_size if drop_last else -(-rows // batch_size)
