"""Steps that all replicas share: traced and compiled once, and again when what they read in Python has changed.

``Trainer.compile_steps`` decides when, ``executors.py`` compiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chainrule.errors import TracingError, describe_line
from chainrule.graph import Node
from chainrule.guarded import Guarded, difference, trace_settled
from chainrule.guards import Guards
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module
from chainrule.tensor import Tensor
from chainrule.training.executors import Bind
from chainrule.training.step import Step


@dataclass(frozen=True, kw_only=True)
class PreparedStep:
    """A traced step and ``bind``, which gives a runner of it on memory; ``leaves`` says whose memory stands where."""

    step: Step
    bind: Bind
    leaves: dict[Node, str]
    guards: Guards


class PreparedSteps:
    """The steps of one model, each under a key.

    ``tensors`` are those that training changes, by name. ``check_change`` is told what a step has read and has changed
    since, and raises where a run cannot follow.
    """

    def __init__(
        self, model: Module, tensors: Mapping[str, Tensor], check_change: Callable[[str], None]
    ) -> None:
        self._model, self._tensors, self._check_change = model, tensors, check_change
        self._known: dict[object, PreparedStep] = {}

    def __getitem__(self, key: object) -> PreparedStep:
        return self._known[key]

    def hold(self, key: object) -> bool:
        """Whether the step of this key is there, and all that it has read in Python is as it was."""
        known = self._known.get(key)
        return known is not None and known.guards.hold()

    def trace(
        self, key: object, make: Callable[[], Step], read: Mapping[str, object]
    ) -> Guarded[Step] | None:
        """Trace the step of this key under guards; None if that gives the former one, which then holds again.

        ``make`` traces it, and goes through the model itself. ``read`` are the objects that it may read, by what
        messages call them.
        """
        former = self._known.get(key)
        if former is not None and not former.guards.unwatched:
            self._check_change(former.guards.changed())

        def guards() -> Guards:
            with at_inference(self._model):  # which gives every module its own mode, an attribute
                return Guards(dict(read), modes_of=Module)

        found = trace_settled(guards, make, lambda step: step.graph)
        self._check_values(found)
        if former is not None and difference(former.step.graph, found.made.graph, found.guards) is None:
            self._known[key] = replace(former, guards=found.guards)
            return None
        return found

    def keep(self, key: object, traced: Guarded[Step], bind: Bind) -> None:
        """Put a traced step, which ``bind`` makes run, in the place of the former one."""
        leaves = {tensor.node: name for name, tensor in self._tensors.items()}
        self._known[key] = PreparedStep(step=traced.made, bind=bind, leaves=leaves, guards=traced.guards)

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
