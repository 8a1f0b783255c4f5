"""Labels that have nothing to do with the columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.ranks import Ranks

MANY = 30  # rows that a judgement needs
LUCK = 2.5  # deviations of chance


def find(e: Evidence) -> Iterator[Finding]:
    """Neither held-out rows nor nearest neighbours are predicted better than by a constant.

    Better means by two and a half standard deviations of what chance gives, by skill or by the order of the rows.
    Both witnesses are needed: neighbours fail where most columns are beside the point, the network fails for reasons
    of its own.
    """
    n, v = e.neighbours, e.validation
    if n is None or v is None or v.rows < MANY or not e.replica:
        return
    if not (_tells(n.skill, n.ranks, n.rows) or _tells(v.skill, v.ranks, v.rows)):
        yield Finding(
            "labels without signal",
            "The targets cannot be told from the columns: new rows are predicted no better than by a constant.",
            "y",
            {
                "skill on training rows": e.training.skill,
                "skill on validation rows": v.skill,
                "skill of nearest neighbours": n.skill,
                **({} if e.labels is None else {"AUC on validation rows": (v.ranks.gini + 1) / 2}),
            },
            "severe",
            "check that rows of X and y belong together (shuffled or sorted apart?) and that the columns can tell",
            ("A16",),
        )


def _tells(skill: float, ranks: Ranks, rows: int) -> bool:
    """Whether skill or order is better than chance gives in one of 100 cases."""
    return skill > LUCK / np.sqrt(rows) or ranks.gini > LUCK * ranks.chance
