"""Weight averaging: trains a network as usual and predicts with an average of its parameters."""

from __future__ import annotations

import copy

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.as_function import standing_in
from chainrule.nn.layers import need_count
from chainrule.nn.module import Buffer, Module
from chainrule.tensor import Tensor, TensorLike, no_grad


class Averaged(Module):
    """Train ``model`` as usual, and predict with an average of its parameters over the training steps.

    In training mode this is ``model`` itself; at inference (validation, ``predict``, export) it uses the averages.
    With ``decay`` they are an exponential moving average (Polyak and Juditsky, 1992): each step keeps the fraction
    ``decay`` of the average. The first steps use the plain mean instead, so that the initial values do not linger.
    With ``decay=None`` the average is the plain mean of every ``every``-th step from step ``start`` on: stochastic
    weight averaging (Izmailov et al., 2018). Before ``start`` the averages equal the parameters.

    Each forward pass in training mode counts as one step and averages the parameters it runs with, so the final
    update is not included. The averages are buffers: saved, compiled and re-initialised with the model. Batch
    normalisation keeps its own running moments. No gradient flows from the averages to the parameters, so
    ``cr.GradientNorm`` and ``optim.LBFGS``, which differentiate at inference, cannot be used. Raises SettingError
    for settings out of range.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> model = nn.Averaged(nn.MLP([1, 8, 1], seed=0), decay=0.9)
    >>> history = cr.fit(model, (x, x**2), loss=nn.squared_error, optimizer=optim.Adam(0.02), epochs=50)
    >>> bool(np.abs(model.predict(x) - x**2).mean() < 0.2)
    True
    >>> plain = model.result()  # a network without the averaging around it
    >>> np.array_equal(plain.predict(x), model.predict(x))
    True
    """

    def __init__(self, model: Module, decay: float | None = 0.999, *, start: int = 0, every: int = 1) -> None:
        if decay is not None and not 0 <= decay < 1:
            raise SettingError(
                "Averaged: decay is out of range", expected="0 <= decay < 1, or None", got=decay
            )
        if not isinstance(start, int | np.integer) or start < 0:
            raise SettingError(
                "Averaged: start must be a number of steps", expected="an integer >= 0", got=quoted(start)
            )
        self.model, self.decay = model, decay
        self.start, self.every = int(start), need_count("every", every)
        # zeros until the first step; forward() uses the parameters until then, so a model changed before is followed
        self.average = {name: Buffer.made(np.zeros_like(p.numpy())) for name, p in model.named_parameters()}
        self.steps = Buffer.made(np.array(0, np.int64))

    def forward(self, x: Tensor) -> Tensor:
        """The model's output: with its parameters in training mode, with their averages at inference."""
        parameters = self.model.parameters()
        if self.training:
            with no_grad():
                self._count_in()
            return self.model.forward(x)
        with no_grad():
            begun = self.steps > 0
            values = [f.where(begun, a, p) for a, p in zip(self.average.values(), parameters, strict=True)]
        with standing_in(parameters, values):
            return self.model.forward(x)

    def _count_in(self) -> None:
        """Move the averages towards the parameters; the step count decides how far."""
        after = self.steps - self.start  # steps counted before this one; below 0 before the start
        position = f.floor(after.astype(np.float64) / self.every)
        weight = 1.0 / (f.maximum(position, 0.0) + 1.0)
        if self.decay is not None:
            weight = f.maximum(weight, 1.0 - self.decay)
        due = f.equal(position * self.every, after.astype(np.float64))
        weight = f.where(after <= 0, 1.0, f.where(due, weight, 0.0))
        for average, parameter in zip(self.average.values(), self.model.parameters(), strict=True):
            average.assign(average + weight.astype(parameter.dtype) * (parameter - average))
        self.steps.assign(self.steps + 1)

    def result(self) -> Module:
        """Return a copy of the model whose parameters are the averages."""
        twin = copy.deepcopy(self.model)
        if self.steps.item():
            for parameter, average in zip(twin.parameters(), self.average.values(), strict=True):
                parameter.assign(average.detach())
        return twin

    def describe(self) -> str:
        """The settings."""
        return f"decay={self.decay}, start={self.start}, every={self.every}"

    def _as_input(self, x: TensorLike) -> Tensor:
        return self.model._as_input(x)
