"""Everything a diagnosis rests on, measured once and read by all findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.inspect.diagnosis.curvature import Curvature
from chainrule.inspect.diagnosis.neighbours import Neighbours
from chainrule.inspect.diagnosis.outcome import Outcome
from chainrule.inspect.diagnosis.probe import Probed, Reading
from chainrule.inspect.diagnosis.recorder import Recorder
from chainrule.inspect.second_derivative import SecondDerivativeTest
from chainrule.nn.module import Module
from chainrule.training.batches import Rows
from chainrule.training.history import History, Replica

Floats = NDArray[np.float64]
FITTED = 0.95  # of the baseline's mistakes or loss gone: then a layer's oddities do no harm
POOR = 0.1  # of a constant's loss gone: hardly better than a constant
BEHIND = 0.15  # below the nearest neighbours' skill


@dataclass(frozen=True)
class Evidence:
    """What was measured of a network, its data and its run.

    ``probed``, ``curvature`` are None where the network's numbers are not finite, ``neighbours`` where there
    are too few rows, ``validation`` and ``history`` where none were given.
    """

    model: Module
    rows: Rows
    labels: NDArray[np.int64] | None
    predicted: NDArray[np.int64] | None
    training: Outcome
    validation: Outcome | None
    probed: Probed | None
    curvature: Curvature | None
    neighbours: Neighbours | None
    history: History | None
    record: Recorder | None
    optimizer: dict[str, Any]
    batch_size: int
    curvature_of_step: float  # what curvatures are multiplied by where the loss sums over a minibatch
    whole: Callable[[float], SecondDerivativeTest] | None = None  # of a network small enough, by tolerance

    @property
    def fitted(self) -> bool:
        """Whether the network does what it should on the rows that it was trained on."""
        return max(self.training.fit, self.training.skill) >= FITTED

    @property
    def behind(self) -> bool:
        """Whether it predicts its own rows clearly worse than their neighbours, who have not seen them, would."""
        return self.neighbours is not None and self.training.skill < self.neighbours.skill - BEHIND

    @property
    def falls_short(self) -> bool:
        """Whether it does not do on its own rows what the data allow: otherwise a layer's oddities cost nothing."""
        return self.behind or not max(self.training.fit, self.training.skill) >= POOR

    @property
    def replica(self) -> Replica | None:
        """The kept replica's curves, of at least one epoch."""
        if self.history is None:
            return None
        replica = self.history.replicas[self.history.best]
        return replica if replica.loss else None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The layers, in the order of the forward pass."""
        return () if self.probed is None else self.probed.readings

    @property
    def learning_rates(self) -> Floats:
        """The learning rate at the start of each epoch that was run; none where it is not known."""
        replica = self.replica
        return (
            self.planned_learning_rates[: len(replica.loss)]
            if replica is not None
            else self.planned_learning_rates[:1]
        )

    @property
    def planned_learning_rates(self) -> Floats:
        """The same, also of the epoch in which the run ended before its time."""
        if self.history is not None and (rates := self.history.replicas[self.history.best].lr):
            return np.array(rates)
        lr = self.optimizer.get("lr")
        return np.array([float(lr)]) if isinstance(lr, int | float) else np.zeros(0)

    @property
    def plain_steps(self) -> bool:
        """Whether a step is the gradient times the learning rate, with or without momentum."""
        return self.optimizer.get("name") == "SGD"

    @property
    def momentum(self) -> float:
        """That of SGD, 0 for others."""
        return float(self.optimizer.get("momentum", 0.0)) if self.plain_steps else 0.0

    @property
    def steps_per_epoch(self) -> float:
        """Optimizer steps of an epoch; 0 where nothing was trained."""
        replica = self.replica
        return replica.steps / len(replica.loss) if replica is not None else 0.0

    def since(self, name: str, layer: str, threshold: float) -> dict[str, int]:
        """From which recorded epoch on a layer's statistic stayed above a threshold, where there is a record."""
        if self.record is None or self.history is None:
            return {}
        epochs, values = self.record.series(name, layer, self.history.best)
        below = np.flatnonzero(~(values > threshold))
        if not len(values) or (len(below) and below[-1] == len(values) - 1):
            return {}
        return {"since epoch": int(epochs[below[-1] + 1] if len(below) else epochs[0])}


def weight_sizes(model: Module) -> dict[str, float]:
    """The Euclidean norm of every parameter."""
    return {name: float(np.linalg.norm(p.numpy().astype(np.float64))) for name, p in model.named_parameters()}
