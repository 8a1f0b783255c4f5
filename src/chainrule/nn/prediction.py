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
from chainrule.tensor import Tensor
from chainrule.trace import tracing

MOST_ROWS = 512  # at once: their activations stay in the processor's caches


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
    dropped: in inference no layer lets one row's output depend on another row.
    """

    def __init__(self, module: Module) -> None:
        self._module, self.dtype = module, module.dtype
        with at_inference(module):  # which gives every module its own mode, an attribute
            self._guards = Guards({type(module).__name__: module.forward}, modes_of=Module)
        self._programs: dict[Form, Program] = {}
        self._one: Program | None = None  # the one for a single row, found without looking it up
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
            parts = [self._some(x[a : a + MOST_ROWS]) for a in range(0, max(len(x), 1), MOST_ROWS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _some(self, x: Array) -> Array:
        count = len(x)
        form = Form((1 << (max(count, 1) - 1).bit_length(), *x.shape[1:]), x.dtype)
        program = self._programs.get(form)
        if program is None:
            record = partial(_record, self._module, form)
            graph = trace_guarded(self._guards, record, lambda graph: graph).made
            program = self._programs[form] = Program(graph)
        program.rows[:count], program.rows[count:] = x, 0
        if count == 1:
            self._one = program
        return program()[:count]


def _record(module: Module, form: Form) -> Graph:
    x = new_leaf(form.shape, form.dtype, "x")
    with at_inference(module), tracing() as trace:
        output = module.forward(Tensor(None, x))
    return Graph((x,), (output.node,), trace=trace)
