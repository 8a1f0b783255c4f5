"""Weight averaging: a network that is trained as usual and predicts with an average of its parameters."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.as_function import standing_in
from chainrule.nn.layers import need_count
from chainrule.nn.module import Buffer, Module
from chainrule.tensor import Tensor, no_grad


class Averaged(Module):
    """Trains ``model`` and predicts with an average of the parameters that it has had.

    While training it is ``model``; at inference (validation, ``predict``, export) the averages stand in for the
    parameters. With ``decay`` they are an exponential moving average (Polyak and Juditsky, 1992), which keeps that
    share of the average at each step and begins as the plain mean, so that the first values do not linger. With
    ``decay=None`` they are the plain mean from step ``start`` on, of every ``every``-th step: stochastic weight
    averaging (Izmailov et al., 2018). Before ``start`` the average is the parameters themselves.

    Each forward pass in training counts as a step and enters the parameters with which it computes, so the last
    update is not part of the average. The averages are buffers: they are compiled, saved and restarted like
    everything else. Running moments of batch normalisation are the model's own. Nothing flows from the averages to
    the parameters, so ``cr.GradientNorm`` and ``optim.LBFGS``, which differentiate at inference, do not apply.
    Raises SettingError for settings out of range.

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
            raise SettingError("decay is out of range", expected="0 <= decay < 1, or None", got=decay)
        if not isinstance(start, int | np.integer) or start < 0:
            raise SettingError(
                "start is no number of steps", expected="an integer from 0 on", got=repr(start)
            )
        self.model, self.decay = model, decay
        self.start, self.every = int(start), need_count("every", every)
        # without a value of their own until the first step, so that they follow a model that is changed before
        self.average = {name: Buffer.made(np.zeros_like(p.numpy())) for name, p in model.named_parameters()}
        self.steps = Buffer.made(np.array(0, np.int64))

    def forward(self, x: Tensor) -> Tensor:
        """What the model computes: with its parameters in training, with their averages at inference."""
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
        """Move the averages towards the parameters, by how much follows from the number of steps."""
        after = self.steps - self.start  # steps counted before this one; below 0 before the start
        position = f.floor(after.astype(np.float64) / self.every)
        share = 1.0 / (f.maximum(position, 0.0) + 1.0)
        if self.decay is not None:
            share = f.maximum(share, 1.0 - self.decay)
        due = f.equal(position * self.every, after.astype(np.float64))
        share = f.where(after <= 0, 1.0, f.where(due, share, 0.0))
        for average, parameter in zip(self.average.values(), self.model.parameters(), strict=True):
            average.assign(average + share.astype(parameter.dtype) * (parameter - average))
        self.steps.assign(self.steps + 1)

    def result(self) -> Module:
        """A copy of the model that has the averages as its parameters."""
        twin = copy.deepcopy(self.model)
        if self.steps.item():
            for parameter, average in zip(twin.parameters(), self.average.values(), strict=True):
                parameter.assign(average.detach())
        return twin

    def describe(self) -> str:
        """The settings."""
        return f"decay={self.decay}, start={self.start}, every={self.every}"

    def _as_input(self, x: Any) -> Tensor:
        return self.model._as_input(x)
