"""Traced steps, ready to run: made once for all replicas, and again when what they read in Python has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chainrule.errors import TracingError, describe_line
from chainrule.graph import Node
from chainrule.guarded import Guarded, difference, trace_settled
from chainrule.guards import Guards
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tensor import Tensor
from chainrule.training.executors import Preparing, Runner
from chainrule.training.step import Step


@dataclass(frozen=True, kw_only=True)
class PreparedStep:
    """A traced step and ``bind``, which gives a runner of it on memory; ``leaves`` says whose memory stands where."""

    step: Step
    bind: Callable[[Mapping[Node, Array]], Runner]
    leaves: dict[Node, str]
    guards: Guards


class PreparedSteps:
    """The steps of one model, each under a key.

    ``tensors`` are those that training changes, by name. ``check_change`` is told what a step has read and has changed
    since, and raises where a run cannot follow. Tracing goes through the model itself, under ``lock``.
    """

    def __init__(
        self,
        model: Module,
        tensors: Mapping[str, Tensor],
        executor: Preparing,
        check_change: Callable[[str], None],
        lock: threading.RLock,
    ) -> None:
        self._model, self._tensors, self._executor = model, tensors, executor
        self._check_change, self._lock = check_change, lock
        self._known: dict[object, PreparedStep] = {}

    def get(self, key: object, make: Callable[[], Step], read: Mapping[str, object]) -> PreparedStep:
        """The step of this key. ``make`` traces it, at first and where what it has read is no longer as it was.

        ``read`` are the objects that it may read, by what messages call them. They are looked at here, so before every
        epoch.
        """
        known = self._known.get(key)
        if known is None or not known.guards.hold():
            with self._lock:  # a callback may be at work on the model, or another thread trace it
                known = self._known.get(key)
                if known is None or not known.guards.hold():
                    known = self._known[key] = self._prepared(make, read, known)
        return known

    def _prepared(
        self, make: Callable[[], Step], read: Mapping[str, object], former: PreparedStep | None
    ) -> PreparedStep:
        """Trace under guards, and compile unless the former step turns out to be the same."""
        if former is not None and not former.guards.unwatched:
            self._check_change(former.guards.changed())

        def guards() -> Guards:
            with at_inference(self._model):  # which gives every module its own mode, an attribute
                return Guards(dict(read), modes_of=Module)

        leaves = {tensor.node: name for name, tensor in self._tensors.items()}
        found = trace_settled(guards, make, lambda step: step.graph)
        self._check_values(found)
        if former is not None and difference(former.step.graph, found.made.graph, found.guards) is None:
            return replace(former, guards=found.guards)
        bind = self._executor.prepare(found.made)
        return PreparedStep(step=found.made, bind=bind, leaves=leaves, guards=found.guards)

    def _check_values(self, found: Guarded[Step]) -> None:
        """TracingError where a step was made with the value that something had which training changes."""
        for name, tensor in self._tensors.items():
            if tensor in found.made.trace.values:
                raise TracingError(
                    f"the value of {name} was asked for while the step was traced, where it would stay for good",
                    expected="operations on tensors only",
                    where=describe_line(found.made.trace.values[tensor][1]),
                    hint="compute with the tensor itself; use cr.where instead of if",
                )
