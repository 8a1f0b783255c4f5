"""The settings of a run that decide about its numbers, checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.settings import check_count, check_number
from chainrule.training.executors import Executor
from chainrule.training.halving import MOST_RESTARTS, Halving
from chainrule.training.step import Update

MOST_EPOCHS = 2**53  # beyond, not every count of steps is a float


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was asked to do, in plain numbers; a resumed run must have the same."""

    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    restarts: int
    clip_norm: float | None = None
    executor: Executor = "compiled"
    update: Update = "joint"
    halving: Halving | None = None

    def for_rows(self, count: int) -> Settings:
        """The same for so many training rows: a minibatch has no more than all of them."""
        return replace(self, batch_size=min(self.batch_size, count))


def settings_of(
    *,
    batch_size: int,
    shuffle: bool,
    drop_last: bool,
    seed: int,
    restarts: int | Halving,
    clip_norm: float | None,
    executor: Executor,
    update: Update,
) -> Settings:
    """The settings as given to ``cr.fit``, in plain numbers; SettingError for one out of range."""
    halving = restarts if isinstance(restarts, Halving) else None
    return Settings(
        restarts=check_count("restarts", halving.restarts if halving else restarts, most=MOST_RESTARTS),
        halving=halving,
        batch_size=check_count("batch_size", batch_size),
        shuffle=bool(shuffle),
        drop_last=bool(drop_last),
        seed=check_count("seed", seed, least=0),
        clip_norm=None if clip_norm is None else check_number("clip_norm", clip_norm, above=0),
        executor=executor,
        update=update,
    )


def number_of_epochs(optimizer: Optimizer | LBFGS, epochs: int) -> int:
    """How many epochs there are at most: L-BFGS counts its iterations as such."""
    if isinstance(optimizer, LBFGS):
        return optimizer.max_iterations
    return check_count("epochs", epochs, most=MOST_EPOCHS)
