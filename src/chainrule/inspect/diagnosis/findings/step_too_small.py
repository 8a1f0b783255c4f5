"""Steps that lead nowhere in the time given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence, weight_sizes
from chainrule.inspect.diagnosis.finding import Finding

# Weights that learn move by about their own size; all steps in one direction would not have got a tenth of it.
TRAVEL = 0.1


def find(e: Evidence) -> Iterator[Finding]:
    """All steps of the run, laid end to end, are shorter than a tenth of the weights' norm."""
    replica, lr = e.replica, e.learning_rates
    if replica is None or e.fitted or not len(lr) or not replica.gradient_norm:
        return
    size = float(np.sqrt(sum(w**2 for w in weight_sizes(e.model).values())))
    travel = path_length(e) / size if size > 0 else float("inf")
    if travel < TRAVEL:
        yield Finding(
            "step too small",
            "The steps are so small that the weights have hardly left their first values.",
            "the whole network",
            {
                "learning rate": float(lr.mean()),
                "steps": replica.steps,
                "path over weights' norm": travel,
                "update over weights' norm, a step": travel / max(replica.steps, 1),
                "first loss": replica.loss[0],
                "last loss": replica.loss[-1],
            },
            "severe" if travel < TRAVEL / 10 else "warning",
            "a learning rate ten or a hundred times larger, or Adam; more epochs",
            ("E30", "B10"),
        )


def path_length(e: Evidence) -> float:
    """The length of all steps of the run together, at most: their directions are not known.

    A step of SGD is as long as learning rate times gradient; one of Adam and its relatives about the learning rate
    for each parameter.
    """
    replica, lr = e.replica, e.learning_rates
    if replica is None or not len(lr):
        return float("nan")
    if e.plain_steps:
        norms = np.array(replica.gradient_norm)
        sizes = np.resize(lr, len(norms)) * norms / (1 - e.momentum)
    else:
        count = sum(p.size for p in e.model.parameters())
        sizes = np.resize(lr, len(replica.loss)) * np.sqrt(count)
    return float(sizes.sum() * e.steps_per_epoch)
