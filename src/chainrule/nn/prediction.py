"""A module's outputs by machine code: programs for a few numbers of rows, made when they are first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import new_leaf
from chainrule.ops.record import Array, Form
from chainrule.tensor import Tensor
from chainrule.trace import tracing

if TYPE_CHECKING:
    from chainrule.compiler.program import Instance
    from chainrule.nn.module import Module

MOST_ROWS = 512  # at once: their activations stay in the processor's caches


class Predictor:
    """Compiled forward passes of one module as it is made up now; parameters are read where they lie.

    Programs exist for 1, 2, 4, ... rows. A number in between is filled up with rows of zeros, whose outputs are
    dropped: in inference no layer lets one row's output depend on another row.
    """

    def __init__(self, module: Module) -> None:
        self._module, self._made_of, self.dtype = module, fingerprint(module), module.dtype
        self._seen: list[tuple[Any, list[int]]] = []
        self._programs: dict[Form, tuple[Instance, Array]] = {}
        self._lock = threading.Lock()  # a program works in memory of its own

    def fits(self) -> bool:
        """Whether the module is still made of the same parts and settings."""
        if self._seen and all(identities(holder) == seen for holder, seen in self._seen):
            return True  # as at the last look, so there is no need for a closer one
        if fingerprint(self._module) != self._made_of:
            return False
        self._seen = [(holder, identities(holder)) for holder in holders(self._module)]
        return True

    def __call__(self, x: Array) -> Array:
        """Outputs [rows, ...] for rows ``x``, a C-contiguous array."""
        with self._lock:
            if len(x) == 1:
                return self._program(x)[0](x)[0]
            parts = [self._some(x[a : a + MOST_ROWS]) for a in range(0, max(len(x), 1), MOST_ROWS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _some(self, x: Array) -> Array:
        count = len(x)
        program, rows = self._program(x)
        if len(rows) == count:
            return program(x)[0]
        rows[:count], rows[count:] = x, 0
        return program(rows)[0][:count]

    def _program(self, x: Array) -> tuple[Instance, Array]:
        """The program for at least so many rows, and rows to be filled."""
        form = Form((1 << (max(len(x), 1) - 1).bit_length(), *x.shape[1:]), x.dtype)
        found = self._programs.get(form)
        if found is None:
            found = self._programs[form] = self._compiled(form), np.zeros(form.shape, form.dtype)
        return found

    def _compiled(self, form: Form) -> Instance:
        from chainrule.compiler.program import Binary, Instance
        from chainrule.nn.module import at_inference

        leaf = new_leaf(form.shape, form.dtype, "x")
        with at_inference(self._module), tracing():
            output = self._module.forward(Tensor(None, leaf))
        return Instance(Binary([leaf], [output.node]))


def holders(module: Module) -> list[Any]:
    """What holds a module's parts: the attributes of it and of those in it, and the lists and dicts among them."""
    found: list[Any] = []
    waiting: list[Any] = [module]
    while waiting:
        attributes = vars(waiting.pop())
        found.append(attributes)
        for value in attributes.values():
            items: Any = (value,)
            if isinstance(value, list | tuple | dict):
                found.append(value)
                items = value.values() if isinstance(value, dict) else value
            waiting += [item for item in items if hasattr(item, "forward")]
    return found


def identities(holder: Any) -> list[int]:
    """Which objects it holds now."""
    return list(map(id, holder.values() if isinstance(holder, dict) else holder))


def fingerprint(module: Module) -> list[Any]:
    """Equal as long as a module and those in it hold the same objects, but for being in training."""
    apart = {"training", "_predictor"}
    return [
        [id(value) for name, value in holder.items() if name not in apart]
        if isinstance(holder, dict)
        else identities(holder)
        for holder in holders(module)
    ]
