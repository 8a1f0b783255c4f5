"""A loss that is the mean of losses of the model's parts: networks that train side by side, each by its own loss.

Early stopping then keeps the best epoch of each part (``replica_state.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class MeanOfParts:
    """The mean of losses, each of which depends on one part of the model alone.

    ``each`` gives the loss of every part, a scalar, from outputs and targets. ``prefixes`` say with what the names of
    each part's parameters and buffers begin, such as "networks.0.".
    """

    each: Callable[[Tensor, Tensor], Sequence[Tensor]]
    prefixes: tuple[str, ...]

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The mean of the parts' losses."""
        return mean_of(self.each(outputs, target))

    def check(self, model: Module) -> None:
        """SettingError unless every parameter and buffer of the model belongs to just one part."""
        for name, _ in model.named_state():
            if sum(name.startswith(prefix) for prefix in self.prefixes) != 1:
                raise SettingError(
                    f"{name} does not belong to just one of the parts whose losses are averaged",
                    expected=f"names that begin with one of {', '.join(self.prefixes)}",
                    got=quoted(name),
                    hint="an ordinary function as the loss, which returns the mean",
                )


def mean_of(losses: Sequence[Tensor]) -> Tensor:
    """The mean of scalars, added up from the first to the last."""
    return sum(losses[1:], losses[0]) / len(losses)
