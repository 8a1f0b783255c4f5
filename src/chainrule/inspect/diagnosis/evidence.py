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
    def step_sizes(self) -> Floats:
        """The step size at the start of each epoch that was run; none where it is not known."""
        replica = self.replica
        return (
            self.step_sizes_asked[: len(replica.loss)] if replica is not None else self.step_sizes_asked[:1]
        )

    @property
    def step_sizes_asked(self) -> Floats:
        """The same for each epoch that the run could have had."""
        if self.history is not None and self.history.lr.size:
            return self.history.lr[self.history.best]
        lr = self.optimizer.get("lr")
        return np.array([float(lr)]) if isinstance(lr, int | float) else np.zeros(0)

    @property
    def plain_steps(self) -> bool:
        """Whether a step is the gradient times the step size, with or without momentum."""
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
