"""Computes a module's outputs with machine code: programs for a few batch sizes, compiled when first needed."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import IndexOutOfRangeError, ShapeError
from chainrule.graph import new_leaf
from chainrule.guarded import Graph, trace_guarded
from chainrule.guards import Guards
from chainrule.nn.modes import at_inference
from chainrule.ops.record import Array, Form
from chainrule.system.forks import free_in_children
from chainrule.tensor import Tensor, no_grad
from chainrule.trace import tracing

if TYPE_CHECKING:
    from chainrule.nn.module import Module

MOST_ROWS = 512  # per call of a program, so that activations stay in the processor's caches
TRIED_ROWS = 8  # used to test whether rows depend on each other


class Program:
    """A forward pass compiled for a fixed number of rows; it reads and writes fixed memory."""

    def __init__(self, graph: Graph) -> None:
        from chainrule.compiler.program import Binary, Instance

        (x,) = graph.inputs
        self.rows = np.zeros(x.shape, x.dtype)
        self._program = Instance(Binary([x], graph.ends))
        self._program.bind(x, self.rows)

    def __call__(self) -> Array:
        """Compute the outputs for the input written into ``rows``."""
        return self._program.again()[0]


class Predictor:
    """Compiled forward passes of one module in its current structure; they read the parameters' own memory.

    Programs exist for 1, 2, 4, ... rows. Other batch sizes are padded with rows of zeros, whose outputs are dropped,
    and large batches are split. Where a row's output depends on other rows, each batch size has a program instead.
    """

    def __init__(self, module: Module, *, modes_of: type[Module]) -> None:
        self._module, self.dtype = module, module.dtype
        for _, tensor in module.named_state():
            tensor.lend()  # from now on its memory does not move
        with at_inference(module):  # sets the attribute ``training`` of every module, so guards can watch it
            self._guards = Guards({type(module).__name__: module.forward}, modes_of=modes_of)
        self._programs: dict[Form, Program] = {}
        self._one: Program | None = None  # the program for a single row, kept to skip the lookup
        self._apart: bool | None = None  # whether rows are independent of each other; None: not tested yet
        self._lock = free_in_children(threading.Lock())  # a program's memory serves one call at a time

    def fits(self) -> bool:
        """Whether nothing that the programs were compiled from has changed."""
        return self._guards.hold()

    def __call__(self, x: Array) -> Array:
        """Outputs [rows, ...] for input rows ``x`` of the module's dtype."""
        with self._lock:
            one = self._one
            if one is not None and x.shape == one.rows.shape and x.dtype == one.rows.dtype:
                one.rows[...] = x
                return one()
            if self._apart is None and len(x) > 1:
                _record(
                    self._module, Form(x.shape, x.dtype)
                )  # raises the layer's own error for a wrong shape
                self._apart = rows_stand_apart(self._module, x[:TRIED_ROWS])
            if self._apart is False:
                return self._some(x)
            parts = [self._some(x[a : a + MOST_ROWS]) for a in range(0, max(len(x), 1), MOST_ROWS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _some(self, x: Array) -> Array:
        count = len(x)
        rows = count if self._apart is False else 1 << (max(count, 1) - 1).bit_length()
        form = Form((rows, *x.shape[1:]), x.dtype)
        program = self._programs.get(form)
        if program is None:
            record = partial(_record, self._module, form)
            graph = trace_guarded(self._guards, record, lambda graph: graph).made
            program = self._programs[form] = Program(graph)
        program.rows[:count], program.rows[count:] = x, 0
        if count == 1:
            self._one = program
        return program()[:count]


def rows_stand_apart(module: Module, x: Array) -> bool:
    """Whether each row's output is independent of the other rows.

    Compares one pass over all rows with a pass over all but the last and one over the last alone.
    """
    if x.dtype.kind != "f":
        return _stand_apart(module, x)
    # perturbed, since equal rows would hide a dependence
    rng = np.random.default_rng(0)
    changed = (x * rng.uniform(0.9, 1.1, x.shape) + rng.uniform(-0.1, 0.1, x.shape)).astype(x.dtype)
    try:
        return _stand_apart(module, changed)
    except IndexOutOfRangeError:  # whole numbers may be codes of categories, with nothing between them
        return _stand_apart(module, np.where(x == np.floor(x), x, changed))


def _stand_apart(module: Module, x: Array) -> bool:
    with at_inference(module), no_grad(), np.errstate(all="ignore"):
        whole = module.forward(Tensor.leaf(x)).peek()
        try:
            first, last = (module.forward(Tensor.leaf(part)).peek() for part in (x[:-1], x[-1:]))
        except ShapeError:  # the first axis does not count rows
            return False
    if whole.shape != (len(x), *whole.shape[1:]) or first.shape[:1] != (len(x) - 1,) or whole.ndim == 0:
        return False
    rounding = np.sqrt(np.finfo(whole.dtype).eps) if whole.dtype.kind == "f" else 0.0
    size = float(np.max(np.abs(whole), where=np.isfinite(whole), initial=0.0))
    joined = np.concatenate([first, last])
    return np.allclose(whole, joined, rtol=rounding, atol=rounding * size, equal_nan=True)


def _record(module: Module, form: Form) -> Graph:
    x = new_leaf(form.shape, form.dtype, "x")
    with at_inference(module), tracing() as trace:
        output = module.forward(Tensor(None, x))
    return Graph((x,), (output.node,), trace=trace)
