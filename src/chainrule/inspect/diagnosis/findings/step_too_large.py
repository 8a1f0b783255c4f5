"""Steps that overshoot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.loss_curve import ends_unsteady
from chainrule.inspect.diagnosis.probe import Floats

# On a parabola of curvature k gradient descent with learning rate a multiplies the distance by 1 - a k: beyond
# a k = 2 (with momentum b, 2 (1 + b)) it moves away.
LIMIT = 2.0
RISE = 1.05  # a loss that stays where it is varies less


def find(e: Evidence) -> Iterator[Finding]:
    """The loss ends higher than it began, or the run diverged or jumps while the curvature forbids such steps."""
    if e.history is None or e.fitted or not len(e.planned_learning_rates):
        return
    curve = np.array(e.history.replicas[e.history.best].loss)
    diverged = e.history.stopped[e.history.best].startswith("diverged")
    lr = float(e.planned_learning_rates[max(len(curve) - 1, 0)])
    sharp = e.curvature.highest * e.curvature_of_step if e.curvature is not None else float("nan")
    limit = LIMIT * (1 + e.momentum)
    beyond = bool(e.plain_steps and lr * sharp > limit)
    rises = _rises(curve)
    if not (rises or (diverged and beyond) or (ends_unsteady(curve) and (beyond or not e.plain_steps))):
        return
    figures: dict[str, float | int | str] = {
        "learning rate": lr,
        "optimizer": str(e.optimizer.get("name", "")),
    }
    if e.curvature is not None:
        figures |= {"largest curvature": sharp}
        if e.plain_steps:
            figures |= {"learning rate times curvature": lr * sharp, "limit": limit}
    if len(curve):
        figures |= {
            "first loss": float(curve[0]),
            "last loss": float(curve[-1]),
            "lowest": float(curve.min()),
        }
    how = (
        "ends above where it began"
        if rises
        else "is no longer finite"
        if diverged
        else "jumps and does not settle"
    )
    yield Finding(
        "step too large",
        f"The steps overshoot: the loss {how}.",
        "the whole network",
        figures,
        "severe" if rises or diverged else "warning",
        "a learning rate ten times smaller, one that falls (CosineDecay, InverseTime), Adam, or clip_norm=1.0",
        ("E30", "B10"),
    )


def _rises(curve: Floats) -> bool:
    """Whether the last quarter of a loss curve lies above its first."""
    if len(curve) < 2:
        return False
    quarter = max(len(curve) // 4, 1)
    return bool(np.median(curve[-quarter:]) > RISE * np.median(curve[:quarter]))
