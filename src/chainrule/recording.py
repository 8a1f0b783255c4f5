"""What is being recorded now: whether at all, by which transform, in which trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from chainrule.endings import Ending, cut_off, joined, kept
from chainrule.graph import Node

if TYPE_CHECKING:
    from chainrule.trace import Trace

GRAD_ENABLED: ContextVar[bool] = ContextVar("chainrule_grad_enabled", default=True)
#: nodes by which a transform, such as ``grad``, is about to differentiate the function that runs now
VARIABLES: ContextVar[frozenset[Node]] = ContextVar("chainrule_variables", default=frozenset())
TRACE: ContextVar[Trace | None] = ContextVar("chainrule_trace", default=None)


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording: results inside do not require gradients.

    >>> import chainrule as cr
    >>> w = cr.tensor(2.0, requires_grad=True)
    >>> with cr.no_grad():
    ...     y = w * 3
    >>> y.requires_grad
    False
    """
    token = GRAD_ENABLED.set(False)
    try:
        yield
    finally:
        GRAD_ENABLED.reset(token)


def passed_on(ending: Ending, recording: bool) -> Ending | None:
    """The ending that a result takes over; a GradientError where compiled code would cut off what is recorded."""
    if recording and ending.op is None:
        raise cut_off()
    return ending if GRAD_ENABLED.get() else None


def ended(node: Node, before: Ending | None) -> Ending:
    """That a history ends at this node, and where it had ended before."""
    here = Ending(node.op, node.line, kept(node))
    return here if before is None else joined(here, before)
