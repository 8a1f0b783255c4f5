"""Rules that end a replica before its last epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.optim.settings import check_count, check_number, keep_checked


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss has not improved for ``patience`` epochs, and keep the best epoch's parameters.

    Without validation rows the loss of all training rows counts, computed in inference mode in an additional pass after
    every epoch (``History.end_loss``). An epoch improves if its loss is lower by more than ``min_delta`` than that of
    the last epoch that improved. Raises SettingError for settings out of range.

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
        keep_checked(
            self,
            patience=check_count("patience", self.patience),
            min_delta=check_number("min_delta", self.min_delta, least=0),
        )


@dataclass(frozen=True)
class GradientNorm:
    """Stop at a critical point: when the gradient over all training rows has norm ``tolerance`` or less.

    A critical point is all that gradient descent can promise: a minimum, a saddle point or a plateau. Raises
    SettingError unless tolerance > 0.

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

    Lectures: A10.
    """

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        keep_checked(self, tolerance=check_number("tolerance", self.tolerance, above=0))


StopRule = EarlyStopping | GradientNorm


def stop_rules(stop: StopRule | Sequence[StopRule] | None) -> tuple[StopRule, ...]:
    """One rule, several or none, as a tuple; SettingError for anything else, and for two rules of a kind."""
    given: Sequence[object] = stop if isinstance(stop, list | tuple) else [stop] * (stop is not None)
    rules: list[StopRule] = []
    for rule in given:
        if not isinstance(rule, EarlyStopping | GradientNorm):
            raise SettingError(
                "stop must be a stopping rule",
                expected="cr.EarlyStopping(...), cr.GradientNorm(...), or a list of them",
                got=quoted(rule),
                hint="for a rule of your own, pass a callback that returns True to stop",
            )
        rules.append(rule)
    if len({type(rule) for rule in rules}) < len(rules):
        raise SettingError(
            "stop: the same kind of rule is given twice", got=quoted(rules), hint="one rule of each kind"
        )
    return tuple(rules)


def reason_to_stop(
    rules: Sequence[StopRule], epochs: int, improved: int, gradient_norm: Callable[[], float]
) -> str:
    """Why a rule ends a replica after ``epochs`` epochs; empty if none does. Depends on the run's state alone.

    ``improved`` is the last epoch, counted from 0, that improved enough; ``gradient_norm`` is called if needed.
    """
    for rule in rules if epochs else ():
        if isinstance(rule, GradientNorm):
            norm = gradient_norm()
            if norm <= rule.tolerance:
                at = f"gradient norm {norm:.3g} <= {rule.tolerance:g} after epoch {epochs}"
                return f"critical point reached: {at}"
        elif epochs - 1 - improved >= rule.patience:
            return f"no improvement in {rule.patience} epochs after epoch {improved + 1}"
    return ""
