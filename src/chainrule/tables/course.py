"""How training went: whether it ended too early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.tables.finding import Draft, Remedy, change_of
from chainrule.tables.recipe import Recipe
from chainrule.tables.signal import Losses
from chainrule.training.history import Replica

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

NEAR_THE_END = 0.75, 0.95  # of the epochs that were planned: where they are few, and where not
FEW = 4  # times fewer epochs than are taken where nobody says how many
FALL = 0.05  # of a constant's loss, in the last third of the epochs; twice the epochs gain a tenth of that


def find_still_improving(trained: Trained, losses: Losses) -> Iterator[Draft]:
    """The best epoch is among the last that were planned, and the loss still fell, or they were very few.

    The learning rate falls to 0 along with the epochs that were planned, so that the loss always settles at the end:
    of a run with few epochs the curve alone does not tell that more would help.
    """
    kept, settings = trained.history.replicas[trained.history.best], trained.prepared.settings
    rows = len(trained.prepared.split.training)
    planned, usual = settings.epochs_for(rows), _usual(trained)
    few = planned * FEW <= usual
    if trained.teacher is not None:  # it learns from an ensemble, whose loss is not that of the rows
        return
    if trained.history.interrupted or kept.kept_epoch + 1 <= NEAR_THE_END[0 if few else 1] * planned:
        return
    curve = _losses_of(kept)
    third = max(len(curve) // 3, 1)
    fall = float(curve[max(kept.kept_epoch - third, 0)] - curve[kept.kept_epoch])
    if not few and fall <= FALL * float(losses.constant.mean()):
        return
    more = usual if few else 2 * planned
    last = f"the best of {planned} epochs was number {kept.kept_epoch + 1}"
    last += " for one of the networks of the best fold" if len(kept.marked) > 1 else ""
    rise = f", and the loss fell by {fall:.3g} in the last {third}" if third < kept.kept_epoch + 1 else ""
    yield Draft(
        "still improving",
        "warning",
        "Training ended while the network was still improving: more epochs may predict better.",
        f"{last}{rise}" + (f"; {usual} are usual for {rows} rows" if few else ""),
        change_of(settings, epochs=more) if settings.budget is None else _longer(settings.budget),
    )


def _losses_of(kept: Replica) -> NDArray[np.float64]:
    """The loss after each epoch; of networks of which each keeps its best epoch, of what they would have kept."""
    if kept.kept_epochs:
        found: NDArray[np.float64] = np.minimum.accumulate(np.array(kept.part_losses)).mean(1)
        return found
    return np.array(kept.validation_loss or kept.loss)


def _longer(budget: float) -> Remedy:
    """More epochs where a budget chooses their number."""
    return Remedy(f"--budget {2 * budget:g}", f"Recipe({{'budget': {2 * budget:g}}})")


def _usual(trained: Trained) -> int:
    """How many epochs are planned for such a table where nobody says how many."""
    settings, split = trained.prepared.settings, trained.prepared.split
    if not settings.ensemble:
        return replace(settings, epochs=None).epochs_for(len(split.training))
    said = {name: getattr(settings, name) for name in ("held_out", "folds", "batch_size")}
    return Recipe(said).settings(sum(len(part) for part in split.parts)).epochs_for(len(split.training))
