"""When a run ends before its last epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.errors import SettingError
from chainrule.optim.settings import check_count, check_number


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss (without validation: the training loss) has not improved for a while.

    The parameters after the epoch with the lowest loss are kept. What is watched is the loss of those parameters
    over all rows, at inference: without validation it takes a further pass over the training rows after every
    epoch, and is the history's ``end_loss``. ``patience`` counts the epochs since the last improvement, which is
    a loss lower by more than ``min_delta`` than at the improvement before it.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> train, validation = (x[::2], x[::2] ** 2), (x[1::2], x[1::2] ** 2)
    >>> history = cr.fit(
    ...     nn.Linear(1, 1, seed=0), train, loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1000,
    ...     validation=validation, stop=cr.EarlyStopping(patience=5, min_delta=1e-4),
    ... )
    >>> history.loss.shape[1] < 1000
    True
    """

    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_count("patience", self.patience)
        check_number("min_delta", self.min_delta, least=0)


@dataclass(frozen=True)
class GradientNorm:
    """Stop at a critical point: a gradient norm over all training rows of at most ``tolerance`` (row A10).

    A critical point is what gradient descent can promise. It may be a minimum, a saddle or a plateau.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> history = cr.fit(
    ...     nn.Linear(1, 1, seed=0), (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1000,
    ...     stop=cr.GradientNorm(1e-3)
    ... )
    >>> history.loss.shape[1] < 1000
    True
    """

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, above=0)


StopRule = EarlyStopping | GradientNorm


def stop_rules(stop: StopRule | Sequence[StopRule] | None) -> tuple[StopRule, ...]:
    """One rule, several or none, as a tuple; at most one of each kind."""
    rules: tuple[Any, ...] = tuple(stop) if isinstance(stop, list | tuple) else (stop,) * (stop is not None)
    for rule in rules:
        if not isinstance(rule, EarlyStopping | GradientNorm):
            raise SettingError(
                "stop: not a stop rule",
                expected="cr.EarlyStopping(...), cr.GradientNorm(...), or a list of them",
                got=repr(rule),
                hint="for a rule of your own, pass a callback that returns True to stop",
            )
    if len({type(rule) for rule in rules}) < len(rules):
        raise SettingError("stop: the same kind of rule is given twice", got=rules)
    return rules
