"""Which thread trains what: two that write into the same parameters at once would spoil each other's work.

``cr.fit`` claims a model's modules, parameters and buffers, an estimator claims itself, and whoever else writes
into parameters asks whether another thread has a claim on them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

from chainrule.errors import InTrainingError
from chainrule.system.forks import in_children, no_fork_while_held


class Claim:
    """A thread's claim on some things; they are held, so that none of them is taken for another one later."""

    def __init__(self, what: str, things: Iterable[object]) -> None:
        self.what, self.thread = what, threading.get_ident()
        self.things = {id(thing): thing for thing in things}


#: of threads that train now; weak, for a second Ctrl-C may come before a claim is given up
_CLAIMS: WeakSet[Claim] = WeakSet()
_LOCK = threading.RLock()  # a signal may interrupt its holder with a fork


@contextmanager
def claimed(what: str, things: Iterable[object]) -> Iterator[None]:
    """In this block no other thread may train these things, which an error calls ``what``.

    The same thread may do so again: a callback may train the model that it is told of. Raises InTrainingError
    where another thread trains one of them.
    """
    claim = Claim(what, things)
    try:
        with _LOCK:
            check_unclaimed(what, claim.things.values())
            _CLAIMS.add(claim)
        yield
    finally:
        _CLAIMS.discard(claim)


def check_unclaimed(what: str, things: Iterable[object]) -> None:
    """InTrainingError where another thread trains one of these things."""
    if not _CLAIMS:
        return
    here, wanted = threading.get_ident(), {id(thing) for thing in things}
    for claim in list(_CLAIMS):
        if claim.thread != here and not wanted.isdisjoint(claim.things):
            raise InTrainingError(
                f"{what} is being trained",
                expected="one thread at a time for a model, and for parts that models share",
                got=f"another thread, which trains {claim.what}",
                hint="wait for it to end, or train a copy: copy.deepcopy(model)",
            )


def _forget_others() -> None:
    """In a forked process, which has none of its parent's threads but the one that forked."""
    for claim in list(_CLAIMS):
        if claim.thread != threading.get_ident():
            _CLAIMS.discard(claim)


no_fork_while_held([_LOCK])
in_children(_forget_others)
