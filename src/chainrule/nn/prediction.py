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
    from chainrule.nn.module import Module

MOST_ROWS = 512  # at once: their activations stay in the processor's caches


class Program:
    """A compiled forward pass of so many rows, between two pieces of memory."""

    def __init__(self, module: Module, form: Form) -> None:
        from chainrule.compiler.program import Binary, Instance
        from chainrule.nn.module import at_inference

        leaf = new_leaf(form.shape, form.dtype, "x")
        with at_inference(module), tracing():
            output = module.forward(Tensor(None, leaf))
        self.rows = np.zeros(form.shape, form.dtype)
        self._program = Instance(Binary([leaf], [output.node]))
        self._program.bind(leaf, self.rows)

    def __call__(self) -> Array:
        """Outputs for what stands in ``rows``."""
        return self._program.again()[0]


class Predictor:
    """Compiled forward passes of one module as it is made up now; parameters are read where they lie.

    Programs exist for 1, 2, 4, ... rows. A number in between is filled up with rows of zeros, whose outputs are
    dropped: in inference no layer lets one row's output depend on another row.
    """

    def __init__(self, module: Module) -> None:
        self._module, self._made_of, self._changes = module, fingerprint(module), -1
        # kept, since something else may get the identity of what is freed
        self._parts = [list(x.values() if isinstance(x, dict) else x) for x in holders(module)]
        self.dtype = module.dtype
        self._lists: list[tuple[Any, list[int]]] = []
        self._programs: dict[Form, Program] = {}
        self._one: Program | None = None  # the one for a single row, found without looking it up
        self._lock = threading.Lock()  # a program works in memory of its own

    def fits(self, changes: int) -> bool:
        """Whether the module is still made of the same parts and settings.

        ``changes`` counts the attributes that were ever set on any module: where it stands still, only lists
        and dicts have to be looked into.
        """
        if changes == self._changes:
            return not self._lists or all(identities(holder) == seen for holder, seen in self._lists)
        if fingerprint(self._module) != self._made_of:
            return False
        own = [id(vars(module)) for _, module in self._module.named_modules()]
        lists = [x for x in holders(self._module) if id(x) not in own and not isinstance(x, tuple)]
        self._changes, self._lists = changes, [(holder, identities(holder)) for holder in lists]
        return True

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
            program = self._programs[form] = Program(self._module, form)
        program.rows[:count], program.rows[count:] = x, 0
        if count == 1:
            self._one = program
        return program()[:count]


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
