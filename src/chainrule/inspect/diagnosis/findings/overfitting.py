"""A network that has learned its rows by heart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

GAP = 0.4  # of the baseline's loss, between training and validation rows
RISE = 1.25  # of the lowest validation loss, at the epoch that is kept
MANY = 20  # validation rows that a judgement needs


def find(e: Evidence) -> Iterator[Finding]:
    """Much of what was learned does not hold on validation rows, by loss and by mistakes.

    Both, because a sure network's loss suffers from single mistakes. Or: the validation loss has risen by a
    quarter since its lowest, and the last epoch is kept all the same.
    """
    v, t = e.validation, e.training
    if v is None or v.rows < MANY:
        return
    scale = v.baseline if v.baseline > 0 else float("nan")
    gap = (v.loss - t.loss) / scale
    lost = t.skill - v.skill
    curve = np.array(e.replica.validation_loss) if e.replica is not None else np.zeros(0)
    kept = e.replica.kept_epoch if e.replica is not None else -1
    rise = float(curve[kept] / curve.min()) if len(curve) and kept >= 0 and curve.min() > 0 else 1.0
    risen = rise > RISE and gap > GAP / 4 and (curve[kept] - curve.min()) / scale > 0.05
    if (gap > GAP and lost > GAP / 2) or risen:
        best = {"best epoch": int(curve.argmin()) + 1, "epochs": len(curve)} if len(curve) else {}
        yield Finding(
            "overfitting",
            "The network does far better on the rows that it was trained on than on others.",
            "the whole network",
            {
                "training loss": t.loss,
                "validation loss": v.loss,
                "of a constant": v.baseline,
                "validation loss over its lowest": rise,
                "parameters": sum(p.size for p in e.model.parameters()),
                "rows": len(e.rows),
                **best,
            },
            "severe" if v.skill < 0 else "warning",
            "stop=cr.EarlyStopping(), a penalty (nn.l2), dropout, a narrower network, more rows",
            ("A16", "A17", "A18"),
        )
