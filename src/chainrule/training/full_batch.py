"""Training with L-BFGS: the optimizer evaluates the loss of all rows, and an iteration counts as an epoch."""

from __future__ import annotations

import time

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.module import Module, flatten_parameters, unflatten_parameters
from chainrule.ops.record import Array
from chainrule.optim.lbfgs import LBFGS
from chainrule.training.epoch_result import EpochResult
from chainrule.training.halving import Halving
from chainrule.training.run import Run
from chainrule.training.stopping import reason_to_stop
from chainrule.training.trainer import norm


def check_full_batch(
    model: Module, *, checkpoint: object, clip_norm: float | None, restarts: int | Halving
) -> None:
    """SettingError for what L-BFGS cannot do."""
    halving = isinstance(restarts, Halving)
    changing = any(buffer.redrawn for buffer in model.buffers())  # the others are data, such as edges of bins
    if changing or checkpoint is not None or clip_norm is not None or halving:
        raise SettingError(
            "LBFGS needs a loss that depends on the parameters alone, and runs in one go",
            expected="a model without dropout and batch normalisation, no checkpoint, no clip_norm, no Halving",
            got="; ".join(
                text
                for text, found in (
                    ("a model with buffers", changing),
                    ("checkpoint", checkpoint is not None),
                    ("clip_norm", clip_norm is not None),
                    ("Halving", halving),
                )
                if found
            ),
            hint="use optim.Adam",
        )


def train_full_batch(run: Run, optimizer: LBFGS) -> None:
    """Train all replicas; the number of iterations is the optimizer's ``max_iterations``."""
    for index in range(run.trainer.settings.restarts):
        run.begin(index, run.trainer)
        run.trainer.compile_steps(run.trainer.gradient_steps())  # before SciPy asks for it, again and again
        search = _Search(run, index)
        start = flatten_parameters(run.trainer.model)
        result = optimizer.minimise(search.value_and_gradient, start, search.after_iteration)
        run.finish(index, run.state.ended(index, search.reason or result.message))


class _Search:
    """What the optimizer asks of one replica: values, and who is told of an iteration."""

    def __init__(self, run: Run, index: int) -> None:
        self._run, self._trainer, self._index = run, run.trainer, index
        self.reason = ""
        self._last: tuple[Array, float, list[Array]] | None = None  # theta, objective, gradients
        self._clock = time.perf_counter()

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """The objective over all rows at ``theta`` and its gradient, flat, float64."""
        unflatten_parameters(self._trainer.model, theta)
        if self._last is None or not np.array_equal(self._last[0], theta):  # it is asked for again at once
            self._last = (theta.copy(), *self._trainer.objective_and_gradient())
        _, value, gradients = self._last
        return value, np.concatenate([g.ravel().astype(np.float64) for g in gradients])

    def after_iteration(self, _: int, theta: Array, value: float) -> bool:
        """Enter an iteration into the run as an epoch of one step; whether to stop."""
        trainer, run = self._trainer, self._run
        self.value_and_gradient(theta)
        assert self._last is not None
        objective, gradients = self._last[1:]
        seconds = time.perf_counter() - self._clock
        for rows in (None if trainer.objective.penalty is None else trainer.rows, trainer.validation):
            if rows is not None:
                trainer.compile_steps(trainer.loss_steps(rows))
        self._clock = time.perf_counter()
        loss = objective if trainer.objective.penalty is None else trainer.loss_of(trainer.rows)
        result = EpochResult(
            loss=loss,
            gradient_norm=norm(gradients),
            steps=1,
            validation_loss=trainer.validation_loss(),
            end_loss=loss,
        )
        told = run.enter(self._index, [result], seconds, trainer)
        now = run.state.unfinished[self._index]
        self.reason = told or reason_to_stop(
            run.rules, now.epochs, now.improved_epoch, trainer.full_gradient_norm
        )
        return bool(self.reason)
