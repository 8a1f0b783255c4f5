"""What came of one epoch of one replica."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class EpochResult:
    """The mean loss and gradient norm of an epoch's minibatches, and their number ``steps``.

    ``validation_loss`` and ``end_loss`` are the losses of all validation and all training rows at its end, None if not
    asked for; ``part_losses`` are those of the model's parts, if it has any, whose mean it is. ``lr`` is the learning
    rate at its start, None if the caller sets it.
    """

    loss: float
    gradient_norm: float
    steps: int
    validation_loss: float | None = None
    end_loss: float | None = None
    part_losses: tuple[float, ...] = ()
    lr: float | None = None

    def is_finite(self) -> bool:
        """Whether every loss and the gradient norm are."""
        validation, end = self.validation_loss, self.end_loss
        return (
            math.isfinite(self.loss)
            and math.isfinite(self.gradient_norm)
            and (validation is None or math.isfinite(validation))
            and (end is None or math.isfinite(end))
        )
