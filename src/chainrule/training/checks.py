"""What was given to ``cr.fit``, checked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import copy_context
from functools import partial
from typing import get_args

import numpy as np

from chainrule.errors import SettingError, ShapeError, caller_line
from chainrule.foreign_text import quoted
from chainrule.graph import new_leaf
from chainrule.guarded import Graph, trace_settled
from chainrule.guards import Guards
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module
from chainrule.nonfinite import NonFinite
from chainrule.ops.record import Form, is_float
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.trace import tracing
from chainrule.training.batches import Rows, as_rows
from chainrule.training.executors import Executor
from chainrule.training.step import Objective, Update, normalisation_parameters

_CHECKED_ROWS = 8192  # targets at once, which bounds the memory that takes
_CHECKED_CELLS = 1 << 21  # outputs of these rows, at most


def check_kinds(
    *,
    model: object,
    loss: object,
    optimizer: object,
    penalty: object,
    callbacks: object,
    progress: object,
) -> None:
    """SettingError for things of the wrong kind, such as a class where an instance belongs."""
    penalties: Sequence[object] = penalty if isinstance(penalty, list | tuple) else [penalty]
    checks = (
        ("model", model, isinstance(model, Module), "an nn.Module"),
        ("loss", loss, callable(loss), "a function of (prediction, target), such as nn.squared_error"),
        ("optimizer", optimizer, isinstance(optimizer, Optimizer | LBFGS), "such as optim.Adam(1e-3)"),
        (
            "penalty",
            penalty,
            all(each is None or callable(each) for each in penalties),
            "a function of the model, such as nn.l2(1e-4), or one for each replica",
        ),
        (
            "callbacks",
            callbacks,
            isinstance(callbacks, list | tuple) and all(map(callable, callbacks)),
            "a list of functions of a cr.Epoch",
        ),
        ("progress", progress, progress in (True, False, "auto"), 'True, False or "auto"'),
    )
    for name, given, good, expected in checks:
        if not good:
            raise SettingError(f"fit: {name} is of the wrong kind", expected=expected, got=quoted(given))


def check_words(*, update: str, nonfinite: str, executor: str) -> None:
    """SettingError for a word that is none of those that a setting takes."""
    for name, given, words in (
        ("update", update, get_args(Update)),
        ("nonfinite", nonfinite, get_args(NonFinite)),
        ("executor", executor, get_args(Executor)),
    ):
        if given not in words:
            raise SettingError(
                f"{name} must be {' or '.join(map(repr, words))}",
                got=quoted(given),
                hint=f"{name}={words[0]!r}",
            )


def parts_of(model: Module) -> list[object]:
    """What training changes: parameters and buffers, and modules, whose mode tracing switches."""
    tensors = [tensor for _, tensor in model.named_state()]
    return [*tensors, *(module for _, module in model.named_modules())]


def rows_of(
    objective: Objective, data: object, validation: object, *, sparse: bool
) -> tuple[Rows, Rows | None]:
    """Training and validation rows, on which the loss has been tried; a sparse X stays so with ``sparse``."""
    model = objective.model
    rows = as_rows(data, model, sparse=sparse)
    held_out = None if validation is None else as_rows(validation, model, "validation ", sparse=sparse)
    for part in (rows, held_out):
        if part is not None:
            # whatever state of the thread the user's code changes is gone with this copy
            copy_context().run(_check_loss, objective, part)
    return rows, held_out


def check_two_step(model: Module) -> None:
    """SettingError where there is nothing that a two-step update would begin with."""
    if not normalisation_parameters(model):
        raise SettingError(
            "a two-step update begins with the scales of batch normalisation, and the model has none",
            expected="a model with nn.BatchNorm1d",
            got=type(model).__name__,
            hint='leave out update="two-step"',
        )


def _check_loss(objective: Objective, rows: Rows) -> None:
    """Call the loss on all targets: labels out of range or shapes that do not fit show at once."""
    model = objective.model
    at_once = min(len(rows), _CHECKED_ROWS)
    guesses: dict[int, Tensor] = {}
    with at_inference(model):
        forms = {at_once: _output_form(model, rows, at_once)}
        wide = math.prod(forms[at_once].shape) // at_once
        at_once = max(1, min(at_once, _CHECKED_CELLS // max(wide, 1)))  # of many classes fewer rows
        for start in range(0, len(rows), at_once):
            y = rows.y[start : start + at_once]
            if len(y) not in guesses:
                zeros = np.zeros(*(forms.get(len(y)) or _output_form(model, rows, len(y))))
                guesses[len(y)] = Tensor.leaf(
                    zeros, is_float(zeros.dtype)
                )  # as in training, for NumPy's functions
            value = objective.loss(guesses[len(y)], Tensor.leaf(y))
    shape = value.shape if isinstance(value, Tensor) else f"a {type(value).__name__}"
    if shape != ():
        raise ShapeError(
            "the loss is not a scalar tensor",
            expected="shape ()",
            got=shape,
            where=caller_line(),
            hint='use reduction="mean"',
        )


def _output_form(model: Module, rows: Rows, count: int) -> Form:
    """Shape and dtype of what the model gives for so many rows."""
    guards = partial(Guards, {"the model": model}, modes_of=Module)
    record = partial(_record, model, rows.forms(count)[0])
    (end,) = trace_settled(guards, record, lambda graph: graph).made.ends
    return Form(end.shape, end.dtype)


def _record(model: Module, form: Form) -> Graph:
    """The model's forward pass for rows of this form."""
    leaf = new_leaf(*form, "x")
    with tracing() as trace:
        output = model(Tensor(None, leaf))
    return Graph((leaf,), (output.node,), trace=trace)
