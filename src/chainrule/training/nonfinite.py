"""Finds the first step of an epoch that produced a number that is not finite, and says what happened in it.

Nothing is recorded for this while a run goes well: the epoch is repeated, bit for bit, from its last snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from chainrule.errors import NonFiniteError
from chainrule.graph import Node
from chainrule.nonfinite import BadNumber, first_bad_number
from chainrule.ops.record import Array
from chainrule.training.batches import epoch_orders
from chainrule.training.step import Step
from chainrule.training.trainer import MODEL, Trainer

Tick = Callable[[], None]
_SHOWN = 12  # row numbers in a message


def first_bad_step(
    trainer: Trainer, replica: int, start: Mapping[str, Array], epoch: int, steps: int, tick: Tick
) -> NonFiniteError | None:
    """Explain what went wrong in the epoch that began with state ``start``, after ``epoch`` epochs and ``steps`` steps.

    None if every number is finite when the epoch is run again. The trainer is left in an earlier state.
    """
    minibatches = _minibatches(trainer, replica, epoch)
    found = _bad_minibatch(trainer, start, minibatches, tick)
    if found is None:
        return _in_validation(trainer, replica, epoch + 1)
    _repeat(trainer, start, minibatches[:found], tick)
    rows = minibatches[found]
    graph, leaves = trainer.step_graph(len(rows))
    x, y = graph.inputs
    given = {node: trainer.arrays[name] for node, name in leaves.items()}
    rows = trainer.rows.numbers(rows)
    given |= dict(zip((x, y), trainer.rows.pick(rows).part(), strict=True))
    names = {node: _title(name) for node, name in leaves.items()} | {x: "X", y: "y"}
    bad = first_bad_number(_ends(graph), given, names, data=(x, y))
    when = f"step {steps + found + 1} of replica {replica}, minibatch {found + 1} of epoch {epoch + 1}"
    if bad is None:
        return NonFiniteError(
            f"{when}: the compiled step gave a number that is not finite",
            expected="finite numbers",
            got="finite numbers everywhere when NumPy computes the same step node by node",
            hint="values close to the largest that fit: a smaller lr, clip_norm=1.0, or float64",
        )
    return _error(bad, when, rows, trainer, is_data=bad.node in (x, y))


def _minibatches(trainer: Trainer, replica: int, epoch: int) -> list[Array]:
    """Which of the replica's rows each minibatch of an epoch has."""
    s = trainer.settings
    key = (s.seed, replica, epoch)
    size = trainer.batch_size
    parts = epoch_orders(len(trainer.rows), size, shuffle=s.shuffle, drop_last=s.drop_last, key=key)
    return [rows for part in parts for rows in part]


def _bad_minibatch(
    trainer: Trainer, start: Mapping[str, Array], minibatches: Sequence[Array], tick: Tick
) -> int | None:
    """The first minibatch whose loss, gradient or update was not finite."""
    records = _repeat(trainer, start, minibatches, tick)
    wrong = np.flatnonzero(~np.isfinite(records).all(axis=1))
    if wrong.size == 0 and trainer.is_finite():
        return None
    low, high = 0, int(wrong[0]) if wrong.size else len(minibatches)
    _repeat(trainer, start, minibatches[:high], tick)
    if trainer.is_finite():
        return high
    while high - low > 1:  # after ``low`` steps the state is finite, after ``high`` it is not
        middle = (low + high) // 2
        _repeat(trainer, start, minibatches[:middle], tick)
        low, high = (middle, high) if trainer.is_finite() else (low, middle)
    return low


def _repeat(trainer: Trainer, start: Mapping[str, Array], minibatches: Sequence[Array], tick: Tick) -> Array:
    """Take these steps again from the same state and return their losses and gradient norms [steps, 2]."""
    trainer.restore(start)
    sizes = [len(rows) for rows in minibatches]
    cut = next((i for i, size in enumerate(sizes) if size != sizes[0]), len(sizes))  # the smaller last one
    parts = [np.stack(part) for part in (minibatches[:cut], minibatches[cut:]) if len(part)]
    return np.concatenate([np.zeros((0, 2)), *trainer.run_steps(parts, tick)])


def _ends(graph: Step) -> list[Node]:
    return [*graph.outputs, *(after for _, _, after in graph.updates)]


def _in_validation(trainer: Trainer, replica: int, epochs: int) -> NonFiniteError | None:
    """Explain why the loss after an epoch is not finite; None if it is."""
    rows = trainer.watched
    if rows is None:
        return None
    name = "loss" if trainer.validation is None else "validation loss"
    at_once = trainer.evaluation_rows(rows)
    for start in range(0, len(rows), at_once):
        x, y = rows.part(start, start + at_once)
        graph, leaves = trainer.loss_graph(len(x))
        given = {node: trainer.arrays[name] for node, name in leaves.items()}
        given |= dict(zip(graph.inputs, (x, y), strict=True))
        bad = first_bad_number(graph.outputs, given, {node: _title(name) for node, name in leaves.items()})
        if bad is not None:
            when = f"the {name} of replica {replica} after epoch {epochs}"
            return _error(bad, when, rows.numbers(np.arange(start, start + len(x))), trainer)
    return None


def _title(name: str) -> str:
    return name.removeprefix(MODEL).removeprefix("number.")


def _error(bad: BadNumber, when: str, rows: Array, trainer: Trainer, is_data: bool = False) -> NonFiniteError:
    """The error of a bad number, with the step and the rows that it belongs to."""
    error = bad.error()
    lines = [error.got, when]
    if is_data:
        column = f", column {', '.join(map(str, bad.index[1:]))}" if bad.index[1:] else ""
        lines.append(
            f"row {rows[bad.index[0]]}{column} of {bad.name}, counted from 0: changed since fit began"
        )
    elif bad.value.ndim and len(bad.value) == len(rows) and not _is_a_width(trainer, len(rows)):
        affected = rows[bad.rows()]
        lines.append(f"rows affected: {'all' if len(affected) == len(rows) else _list(affected)}")
    lines.append(f"rows of the minibatch: {_list(rows)}")
    error.got = "\n".join(map(str, lines))
    return error


def _is_a_width(trainer: Trainer, count: int) -> bool:
    """Whether an axis of this length need not be that of the minibatch's rows."""
    return any(count in p.shape for p in trainer.model.parameters())


def _list(rows: Array) -> str:
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return shown if len(rows) <= _SHOWN else f"{shown}, ... ({len(rows)} in all)"
