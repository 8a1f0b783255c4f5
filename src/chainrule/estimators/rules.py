"""SGD and Adam in scikit-learn's form, which differs from PyTorch's where the learning rate changes."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule import functions as f
from chainrule.optim import Adam, Optimizer
from chainrule.optim.rules import Scalars, State, averaged, bias_correction
from chainrule.tensor import Tensor


class VelocitySGD(Optimizer):
    """SGD whose velocity contains the learning rate: v = momentum v - lr g, then p + v.

    With ``nesterov`` the step is momentum v - lr g with the new v. Equal to ``optim.SGD`` as long as the learning rate
    is constant.
    """

    def __init__(self, momentum: float, nesterov: bool) -> None:
        self.momentum, self.nesterov = momentum, nesterov
        super().__init__(1.0)

    def slots(self) -> dict[str, float]:
        """The velocity."""
        return {"velocity": 0.0}

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """Return the parameter's new value and state; the class docstring has the formula."""
        move = scalars["lr"] * g
        velocity = self.momentum * state["velocity"] - move
        return p + (self.momentum * velocity - move if self.nesterov else velocity), {"velocity": velocity}


class PlainEpsAdam(Adam):
    """Adam whose eps is added to the root before its bias is corrected (Kingma & Ba, end of section 2)."""

    def __init__(self, betas: tuple[float, float], eps: float) -> None:
        super().__init__(1.0, betas, eps)

    def prepare(self, lr: Tensor, t: Tensor) -> Scalars:
        """Fold both bias corrections into the learning rate."""
        return {"step": lr * f.sqrt(bias_correction(self.betas[1], t)) / bias_correction(self.betas[0], t)}

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """Return the parameter's new value and state; the class docstring has the formula."""
        mean = averaged(self.betas[0], state["mean"], g)
        square = averaged(self.betas[1], state["square"], g * g)
        return p - scalars["step"] * (mean / (f.sqrt(square) + self.eps)), {"mean": mean, "square": square}


@dataclass(frozen=True)
class Rule:
    """A solver and those of its settings that the traced step depends on."""

    solver: str  # "sgd", "adam", or "lbfgs", which has no single steps
    momentum: float = 0.9
    nesterov: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def build(self) -> Optimizer | None:
        """An optimizer; None for L-BFGS."""
        if self.solver == "sgd":
            return VelocitySGD(self.momentum, self.nesterov)
        if self.solver == "adam":
            return PlainEpsAdam((self.beta_1, self.beta_2), self.epsilon)
        return None

    def describe(self) -> dict[str, object]:
        """Name and settings of the optimizer, as ``Optimizer.describe`` gives them."""
        if self.solver == "sgd":
            return {"name": "SGD", "momentum": self.momentum, "nesterov": self.nesterov}
        return {"name": "Adam", "betas": (self.beta_1, self.beta_2), "eps": self.epsilon}
