"""The update rules, with the names, defaults and meaning of torch.optim.

Weight decay leaves biases alone unless ``decay_biases=True``, which gives PyTorch's numbers. Steps are counted once for
all parameters, also for those that had no gradient in some step.
"""

from __future__ import annotations

import math

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import Rates
from chainrule.optim.settings import check_flag, check_number
from chainrule.tensor import Tensor

Scalars = dict[str, Tensor]
State = dict[str, Tensor]
Betas = tuple[float, float]


class SGD(Optimizer):
    """Stochastic gradient descent: p - lr * g, with momentum (Polyak, 1964) or Nesterov momentum.

    With momentum, v = momentum * v + g takes the place of g, or g + momentum * v with ``nesterov``. Raises SettingError
    for settings out of range, and for ``nesterov`` without momentum.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> w = cr.tensor(3.0, requires_grad=True)
    >>> opt = optim.SGD(0.25).attach([w])
    >>> (w * w).backward()
    >>> opt.step()
    >>> w.item()
    1.5

    Lectures: B10, C2.
    """

    def __init__(
        self,
        lr: Rates = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        decay_biases: bool = False,
    ) -> None:
        self.momentum = check_number("momentum", momentum, least=0, below=1)
        self.nesterov = check_flag("nesterov", nesterov)
        if nesterov and momentum == 0:
            raise SettingError(
                "nesterov=True needs a momentum above 0", got=f"momentum={momentum}", hint="momentum=0.9"
            )
        super().__init__(lr, weight_decay, decay_biases=decay_biases)

    def slots(self) -> dict[str, float]:
        """The velocity, with momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """The parameter's new value and state; the class docstring has the formula."""
        if not self.momentum:
            return p - scalars["lr"] * g, {}
        velocity = self.momentum * state["velocity"] + g
        direction = g + self.momentum * velocity if self.nesterov else velocity
        return p - scalars["lr"] * direction, {"velocity": velocity}


class RMSprop(Optimizer):
    """p - lr * g / (sqrt(s) + eps), where s = alpha * s + (1 - alpha) * g^2 (Hinton, 2012).

    ``centered`` takes the running variance of the gradient, s - mean^2, in the place of s (Graves, 2013). With
    ``momentum``, v = momentum * v + g / (sqrt(s) + eps) and p - lr * v. Raises SettingError for settings out of range.

    >>> from chainrule import optim
    >>> optim.RMSprop(1e-3, momentum=0.9).slots()
    {'square': 0.0, 'velocity': 0.0}
    """

    def __init__(
        self,
        lr: Rates = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        *,
        centered: bool = False,
        decay_biases: bool = False,
    ) -> None:
        self.alpha = check_number("alpha", alpha, least=0, below=1)
        self.eps = check_number("eps", eps, least=0)
        self.momentum = check_number("momentum", momentum, least=0, below=1)
        self.centered = check_flag("centered", centered)
        super().__init__(lr, weight_decay, decay_biases=decay_biases)

    def slots(self) -> dict[str, float]:
        """The running moments, and the velocity with momentum."""
        used = {"square": True, "mean": self.centered, "velocity": self.momentum > 0}
        return {slot: 0.0 for slot, wanted in used.items() if wanted}

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """The parameter's new value and state; the class docstring has the formula."""
        new = {"square": averaged(self.alpha, state["square"], g * g)}
        variance = new["square"]
        if self.centered:
            new["mean"] = averaged(self.alpha, state["mean"], g)
            # rounding must not make it negative
            variance = f.maximum(variance - f.square(new["mean"]), 0.0)
        direction = g / (f.sqrt(variance) + self.eps)
        if self.momentum:
            direction = new["velocity"] = self.momentum * state["velocity"] + direction
        return p - scalars["lr"] * direction, new


class Adagrad(Optimizer):
    """p - lr * g / (sqrt(s) + eps), where s is the sum of all squared gradients so far (Duchi, Hazan & Singer, 2011).

    s starts at ``initial_accumulator_value``. In step t the learning rate is lr / (1 + (t - 1) * ``lr_decay``). Raises
    SettingError for settings out of range.

    >>> from chainrule import optim
    >>> optim.Adagrad(0.1).slots()
    {'sum': 0.0}
    """

    def __init__(
        self,
        lr: Rates = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        decay_biases: bool = False,
    ) -> None:
        self.lr_decay = check_number("lr_decay", lr_decay, least=0)
        self.initial_accumulator_value = check_number(
            "initial_accumulator_value", initial_accumulator_value, least=0
        )
        self.eps = check_number("eps", eps, least=0)
        super().__init__(lr, weight_decay, decay_biases=decay_biases)

    def slots(self) -> dict[str, float]:
        """The sum of squares."""
        return {"sum": self.initial_accumulator_value}

    def prepare(self, lr: Tensor, t: Tensor) -> Scalars:
        """The learning rate after Adagrad's own decay."""
        return {"lr": lr / (1.0 + (t - 1.0) * self.lr_decay) if self.lr_decay else lr}

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """The parameter's new value and state; the class docstring has the formula."""
        total = state["sum"] + g * g
        return p - scalars["lr"] * (g / (f.sqrt(total) + self.eps)), {"sum": total}


class Adam(Optimizer):
    """p - lr * m / (sqrt(v) + eps), with running means m of g and v of g^2 (Kingma & Ba, 2015, algorithm 1).

    ``betas`` are the fractions of m and v that each step keeps; the means' bias towards their start at 0 is corrected.
    ``amsgrad`` divides by the largest v so far (Reddi, Kale & Kumar, 2018). Raises SettingError for settings out of
    range.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> opt = optim.Adam(0.5).attach([w])
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.numpy()
    array([0.5, 1.5], dtype=float32)
    """

    def __init__(
        self,
        lr: Rates = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        decay_biases: bool = False,
    ) -> None:
        self.betas, self.eps = check_betas(betas), check_number("eps", eps, least=0)
        self.amsgrad = check_flag("amsgrad", amsgrad)
        super().__init__(lr, weight_decay, decay_biases=decay_biases)

    def slots(self) -> dict[str, float]:
        """The two moments, and the largest second moment with amsgrad."""
        return {"mean": 0.0, "square": 0.0} | ({"largest": 0.0} if self.amsgrad else {})

    def prepare(self, lr: Tensor, t: Tensor) -> Scalars:
        """The learning rate and eps, with both bias corrections folded in."""
        root = f.sqrt(bias_correction(self.betas[1], t))
        return {"step": lr * root / bias_correction(self.betas[0], t), "eps": self.eps * root}

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """The parameter's new value and state; the class docstring has the formula."""
        mean = averaged(self.betas[0], state["mean"], g)
        square = averaged(self.betas[1], state["square"], g * g)
        new = {"mean": mean, "square": square}
        if self.amsgrad:
            square = new["largest"] = f.maximum(state["largest"], square)
        return p - scalars["step"] * (mean / (f.sqrt(square) + scalars["eps"])), new


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019).

    Each step multiplies the weights by 1 - lr * weight_decay, apart from the step that Adam takes.

    >>> from chainrule import optim
    >>> optim.AdamW(1e-3).weight_decay
    0.01
    """

    def __init__(
        self,
        lr: Rates = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        decay_biases: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, decay_biases=decay_biases)
        self.decoupled = True


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat, 2016).

    The momentum of step t is betas[0] * (1 - 0.5 * 0.96^(t * ``momentum_decay``)), which rises to betas[0]. With
    ``decoupled_weight_decay`` the weights decay as in AdamW. Raises SettingError for settings out of range.

    >>> from chainrule import optim
    >>> optim.NAdam().describe()["momentum_decay"]
    0.004
    """

    def __init__(
        self,
        lr: Rates = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        *,
        decoupled_weight_decay: bool = False,
        decay_biases: bool = False,
    ) -> None:
        self.betas, self.eps = check_betas(betas), check_number("eps", eps, least=0)
        self.momentum_decay = check_number("momentum_decay", momentum_decay, least=0)
        self.decoupled_weight_decay = check_flag("decoupled_weight_decay", decoupled_weight_decay)
        super().__init__(lr, weight_decay, decoupled=decoupled_weight_decay, decay_biases=decay_biases)

    def slots(self) -> dict[str, float]:
        """The two moments."""
        return {"mean": 0.0, "square": 0.0}

    def shared(self) -> dict[str, float]:
        """The product of all momenta so far."""
        return {"momentum_product": 1.0}

    def prepare(self, lr: Tensor, t: Tensor) -> Scalars:
        """The momenta of this step and the next; the second bias correction is folded into learning rates and eps."""
        now, following = (
            self.betas[0] * (1.0 - 0.5 * f.exp(math.log(0.96) * self.momentum_decay * when))
            for when in (t, t + 1.0)
        )
        product = self.shared_state["momentum_product"] * now
        root = f.sqrt(bias_correction(self.betas[1], t))
        return {
            "momentum_product": product,
            "gradient_step": lr * root * (1.0 - now) / (1.0 - product),
            "mean_step": lr * root * following / (1.0 - product * following),
            "eps": self.eps * root,
        }

    def rule(self, p: Tensor, g: Tensor, state: State, scalars: Scalars) -> tuple[Tensor, State]:
        """The parameter's new value and state; the class docstring has the formula."""
        mean = averaged(self.betas[0], state["mean"], g)
        square = averaged(self.betas[1], state["square"], g * g)
        change = scalars["gradient_step"] * g + scalars["mean_step"] * mean
        return p - change / (f.sqrt(square) + scalars["eps"]), {"mean": mean, "square": square}


def averaged(beta: float, average: Tensor, new: Tensor) -> Tensor:
    """A running mean that keeps the fraction ``beta`` of its old value."""
    return beta * average + (1.0 - beta) * new


def bias_correction(beta: float, t: Tensor) -> Tensor:
    """1 - beta^t, without cancellation."""
    return -f.expm1(t * math.log(beta)) if beta > 0 else t * 0.0 + 1.0


def check_betas(betas: Betas) -> Betas:
    """The two fractions; SettingError unless they are two numbers >= 0 and < 1."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise SettingError(
            "betas must be two numbers >= 0 and < 1", got=quoted(betas), hint="betas=(0.9, 0.999)"
        )
    first, second = (check_number(f"betas[{i}]", beta, least=0, below=1) for i, beta in enumerate(betas))
    return first, second
