"""A module's outputs by machine code: programs for a few numbers of rows, made when they are first needed."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np

from chainrule.graph import new_leaf
from chainrule.guarded import Graph, trace_guarded
from chainrule.guards import Guards
from chainrule.nn.module import Module, at_inference
from chainrule.ops.record import Array, Form
from chainrule.tensor import Tensor, no_grad
from chainrule.trace import tracing

MOST_ROWS = 512  # at once: their activations stay in the processor's caches
TRIED_ROWS = 8  # by which it is found out whether they depend on each other


class Program:
    """A compiled forward pass of so many rows, between two pieces of memory."""

    def __init__(self, graph: Graph) -> None:
        from chainrule.compiler.program import Binary, Instance

        (x,) = graph.inputs
        self.rows = np.zeros(x.shape, x.dtype)
        self._program = Instance(Binary([x], graph.ends))
        self._program.bind(x, self.rows)

    def __call__(self) -> Array:
        """Outputs for what stands in ``rows``."""
        return self._program.again()[0]


class Predictor:
    """Compiled forward passes of one module as it is made up now; parameters are read where they lie.

    Programs exist for 1, 2, 4, ... rows. A number in between is filled up with rows of zeros, whose outputs are
    dropped, and many rows are cut into parts. Where one row's output depends on the other rows, there is a program
    for just so many rows instead.
    """

    def __init__(self, module: Module) -> None:
        self._module, self.dtype = module, module.dtype
        for _, tensor in module.named_state():
            tensor.lend()  # from here on its memory stays where it is
        with at_inference(module):  # which gives every module its own mode, an attribute
            self._guards = Guards({type(module).__name__: module.forward}, modes_of=Module)
        self._programs: dict[Form, Program] = {}
        self._one: Program | None = None  # the one for a single row, found without looking it up
        self._apart: bool | None = None  # whether rows do not depend on each other; not known yet
        self._lock = threading.Lock()  # a program works in memory of its own

    def fits(self) -> bool:
        """Whether the module, and all that its programs read, is as it was when they were made."""
        return self._guards.hold()

    def __call__(self, x: Array) -> Array:
        """Outputs [rows, ...] for rows ``x``, of the dtype that the module reads."""
        with self._lock:
            one = self._one
            if one is not None and x.shape == one.rows.shape and x.dtype == one.rows.dtype:
                one.rows[...] = x
                return one()
            if self._apart is None and len(x) > 1:
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
    """Whether the outputs for some rows are those of all but the last one and of the last one, put together."""
    if x.dtype.kind == "f":  # moved a little: of equal rows nothing would show
        rng = np.random.default_rng(0)
        x = (x * rng.uniform(0.9, 1.1, x.shape) + rng.uniform(-0.1, 0.1, x.shape)).astype(x.dtype)
    with at_inference(module), no_grad(), np.errstate(all="ignore"):
        whole, first, last = (module.forward(Tensor.leaf(part)).peek() for part in (x, x[:-1], x[-1:]))
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
