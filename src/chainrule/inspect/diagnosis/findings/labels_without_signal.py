"""Labels that have nothing to do with the columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

MANY = 30  # rows that a judgement needs


def find(e: Evidence) -> Iterator[Finding]:
    """Neither held-out rows nor nearest neighbours are predicted better than by a constant.

    Better means by two standard deviations of what chance gives. Both witnesses are needed: neighbours fail
    where most columns are beside the point, the network fails for reasons of its own.
    """
    n, v = e.neighbours, e.validation
    if n is None or v is None or v.rows < MANY or not e.replica:
        return
    if n.skill < _luck(e, n.rows) and v.skill < _luck(e, v.rows):
        yield Finding(
            "labels without signal",
            "The targets cannot be told from the columns: new rows are predicted no better than by a constant.",
            "y",
            {
                "skill on training rows": e.training.skill,
                "skill on validation rows": v.skill,
                "skill of nearest neighbours": n.skill,
            },
            "severe",
            "check that rows of X and y belong together (shuffled or sorted apart?) and that the columns can tell",
            ("A16",),
        )


def _luck(e: Evidence, rows: int) -> float:
    """A skill that chance reaches in one of 40 cases."""
    if e.labels is None:
        return float(2 / np.sqrt(rows))
    chance = e.training.chance
    return float(2 * np.sqrt(chance / ((1 - chance) * rows))) if chance < 1 else 0.0
