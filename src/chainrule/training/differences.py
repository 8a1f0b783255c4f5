"""What differs from replica to replica: numbers given as sequences, and penalties given as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.module import Module
from chainrule.nn.penalties import Penalty as WeightPenalty
from chainrule.ops.record import Array
from chainrule.optim.optimizer import Optimizer
from chainrule.per_replica import PerReplica
from chainrule.tensor import Tensor
from chainrule.training.step import Penalty

#: one penalty for all replicas, or one for each
Penalties = Penalty | Sequence[Penalty | None] | None
RATE = "optimizer.lr"  # the name of the learning rate in a trainer's state


@dataclass(frozen=True)
class Differences:
    """``penalties`` are those that need steps of their own, ``which[r]`` the one of replica r.

    ``numbers`` are leaves that the steps read, ``rates`` the learning rates, one for each replica or none.
    """

    penalties: tuple[Penalty | None, ...]
    which: tuple[int, ...]
    numbers: Mapping[str, PerReplica]
    rates: tuple[float, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """The leaves by name."""
        return {name: number.tensor for name, number in self.numbers.items()}

    def of(self, replica: int) -> dict[str, Array]:
        """What a replica's leaves hold."""
        found = {name: number.of(replica) for name, number in self.numbers.items()}
        return found | ({RATE: np.array(self.rates[replica])} if self.rates else {})


def differences(model: Module, optimizer: object, penalty: Penalties, restarts: int) -> Differences:
    """What the settings say about each of ``restarts`` replicas.

    Raises SettingError for a sequence of another length.
    """
    penalties, which = _choices(penalty, restarts)
    numbers = {f"number.{name}": number for name, number in model.named_numbers()}
    for i, chosen in enumerate(penalties):
        found = vars(chosen).items() if hasattr(chosen, "__dict__") else ()
        numbers |= {f"number.penalty.{i}.{n}": v for n, v in found if isinstance(v, PerReplica)}
    for number in numbers.values():
        _need_length(number.name, len(number.values), restarts)
    rates = optimizer.lr if isinstance(optimizer, Optimizer) else ()
    rates = rates if isinstance(rates, tuple) else ()
    _need_length("lr", len(rates) or 1, restarts)
    return Differences(penalties, which, numbers, rates)


def _need_length(name: str, length: int, restarts: int) -> None:
    if length not in (1, restarts):
        raise SettingError(
            f"{name} must have one value, or one for each of the {restarts} replicas",
            got=f"{length} values",
            hint=f"restarts={length}, or a sequence of {restarts}",
        )


def _choices(penalty: Penalties, restarts: int) -> tuple[tuple[Penalty | None, ...], tuple[int, ...]]:
    """The distinct penalties of a list, and which of them each replica has.

    Those that differ in strength alone are joined into one, whose strength is read from memory: one program.
    """
    if penalty is None or callable(penalty):
        return (penalty,), (0,) * restarts
    _need_length("penalty", len(penalty), restarts)
    if len(penalty) < restarts:  # a list of one, for all
        penalty = list(penalty) * restarts
    kinds = [_kind(each) for each in penalty]
    order = list(dict.fromkeys(kinds))
    which = tuple(order.index(kind) for kind in kinds)
    return tuple(_joined(penalty, which, i) for i in range(len(order))), which


def _kind(penalty: Penalty | None) -> object:
    if isinstance(penalty, WeightPenalty) and isinstance(penalty.strength, float):
        return penalty.name, penalty.include_biases, penalty.of
    return id(penalty)


def _joined(penalties: Sequence[Penalty | None], which: Sequence[int], kind: int) -> Penalty | None:
    """The one penalty that stands for all of a kind; replicas of other kinds do not read its strength."""
    first = penalties[which.index(kind)]
    if not (isinstance(first, WeightPenalty) and isinstance(first.strength, float)):
        return first
    strengths = [
        p.strength if own == kind and isinstance(p, WeightPenalty) and isinstance(p.strength, float) else 0.0
        for p, own in zip(penalties, which, strict=True)
    ]
    return replace(first, strength=tuple(strengths) if len(strengths) > 1 else strengths[0])
