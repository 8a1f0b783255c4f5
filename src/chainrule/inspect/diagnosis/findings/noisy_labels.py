"""Labels that a row's neighbours contradict."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

# Where labels are right, the half of the rows whose neighbours agree best lies inside the classes, and they
# agree fully. A share p of wrong labels leaves them at about 1 - p / 2.
AGREEMENT = 0.95
CONTRADICTED = 0.1
BETTER = 0.1
SKILL = 0.1  # below it, neighbours know too little to contradict anybody


def find(e: Evidence) -> Iterator[Finding]:
    """More than a tenth of the labels is outvoted, inside the classes too and not only at their borders."""
    n = e.neighbours
    if n is None or not len(n.agreement) or n.skill < SKILL:
        return
    if e.validation is not None and e.validation.skill > n.skill + BETTER:
        return  # the network predicts unseen rows better than their neighbours: these are no judges here
    inner = float(np.sort(n.agreement)[len(n.agreement) // 2 :].mean())
    share = float(n.contradicted.mean())
    if inner < AGREEMENT and share > CONTRADICTED:
        yield Finding(
            "noisy labels",
            "Many rows carry another label than most of their nearest neighbours, inside the classes too.",
            f"about {share:.0%} of the rows",
            {"contradicted labels": share, "agreement inside classes": inner, "neighbours' skill": n.skill},
            "warning",
            "look at the contradicted rows; train with label_smoothing, a penalty or early stopping",
            ("A17", "A18"),
        )
