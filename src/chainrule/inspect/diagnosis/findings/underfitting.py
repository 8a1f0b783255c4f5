"""A network that cannot do what the data allow."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding


def find(e: Evidence) -> Iterator[Finding]:
    """On its own training rows the network is hardly better than a constant, or clearly worse than neighbours.

    Nearest neighbours are judged on rows that they have not seen, so what they can do the data allow.
    """
    if e.replica is None or e.fitted:
        return
    t, n = e.training, e.neighbours
    if e.falls_short:
        yield Finding(
            "underfitting",
            "The network does badly on the very rows that it was trained on"
            + (", worse than their nearest neighbours would." if e.behind else "."),
            "the whole network",
            {
                "loss": t.loss,
                "of a constant": t.baseline,
                "skill": t.skill,
                **({"skill of nearest neighbours": n.skill} if n is not None else {}),
                "parameters": sum(p.size for p in e.model.parameters()),
                "epochs": len(e.replica.loss),
            },
            "warning",
            "hidden units, more or wider layers, more epochs, a smaller penalty, other columns",
            ("E6", "E14"),
        )
