"""Numbers that are no longer finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding


def find(e: Evidence) -> Iterator[Finding]:
    """A run that ended because of it, or a loss that is not finite now."""
    replica = e.replica
    stopped = "" if e.history is None else e.history.stopped[e.history.best]
    if stopped.startswith("diverged") or not np.isfinite(e.training.loss):
        figures: dict[str, float | int | str] = {"loss": e.training.loss}
        if replica is not None and replica.gradient_norm:
            figures["largest gradient norm"] = max(replica.gradient_norm)
        if len(e.learning_rates):
            figures["learning rate"] = float(e.learning_rates[0])
        yield Finding(
            "diverged",
            f"The run left the finite numbers: {stopped or 'the loss is not finite'}.",
            "the whole network",
            figures,
            "severe",
            "a learning rate ten times smaller, clip_norm=1.0, columns scaled to mean 0 and deviation 1",
            ("E30", "B3"),
        )
