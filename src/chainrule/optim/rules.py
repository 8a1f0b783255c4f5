"""The update rules."""

from __future__ import annotations

from chainrule import functions as f
from chainrule.optim.optimizer import Optimizer, Rate
from chainrule.tensor import Tensor


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient, with bias correction (Kingma & Ba, 2015).

    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> model = nn.Linear(2, 1, seed=0)
    >>> opt = optim.Adam(1e-3).attach(model)
    >>> model([[1.0, 2.0]]).sum().backward()
    >>> opt.step()
    """

    slots = ("mean", "square")

    def __init__(
        self, lr: Rate = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(lr)
        self.betas, self.eps = betas, eps

    def rule(
        self, p: Tensor, g: Tensor, state: dict[str, Tensor], lr: Tensor, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Kingma & Ba, algorithm 1."""
        first, second = self.betas
        mean = first * state["mean"] + (1 - first) * g
        square = second * state["square"] + (1 - second) * (g * g)
        step = lr / bias_correction(first, t)
        root = f.sqrt(square) / f.sqrt(bias_correction(second, t)) + self.eps
        return p - step * (mean / root), {"mean": mean, "square": square}


def bias_correction(beta: float, t: Tensor) -> Tensor:
    """1 - beta^t, without cancellation in float32."""
    import math

    return -f.expm1(t * math.log(beta)) if beta > 0 else t * 0 + 1
