"""Training with L-BFGS: the optimizer evaluates the loss of all rows, and an iteration counts as an epoch."""

from __future__ import annotations

import time

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.module import flatten_parameters, unflatten_parameters
from chainrule.ops.record import Array
from chainrule.optim.lbfgs import LBFGS
from chainrule.training.checkpoint import Live
from chainrule.training.history import Replica
from chainrule.training.progress import Epoch
from chainrule.training.restarts import Run


def train_full_batch(run: Run, optimizer: LBFGS) -> None:
    """Train all replicas; the number of iterations is the optimizer's ``max_iterations``."""
    trainer = run.trainer
    if trainer.model.buffers() or run.saver is not None or trainer.settings.clip_norm is not None:
        raise SettingError(
            "LBFGS needs a loss that depends on the parameters alone, and runs in one go",
            expected="a model without dropout and batch normalisation, no checkpoint, no clip_norm",
            hint="use optim.Adam for this model",
        )
    run.epochs = optimizer.max_iterations
    for index in range(trainer.settings.restarts):
        trainer.begin(index)
        run.state.live = Live(0, 0, trainer.snapshot(), {})
        run.state.replicas.append(Replica())
        _train_replica(run, optimizer, run.state.replicas[-1])


def _train_replica(run: Run, optimizer: LBFGS, replica: Replica) -> None:
    trainer, reason, started = run.trainer, "", time.perf_counter()

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        unflatten_parameters(trainer.model, theta)
        value, gradients = trainer.objective_and_gradient()
        return value, np.concatenate([g.ravel().astype(np.float64) for g in gradients])

    def after_iteration(iteration: int, theta: Array, objective: float) -> bool:
        nonlocal reason
        unflatten_parameters(trainer.model, theta)
        validation = trainer.validation_loss() if trainer.validation is not None else None
        epoch = Epoch(
            number=iteration,
            epochs=run.epochs,
            replica=len(run.state.replicas) - 1,
            restarts=trainer.settings.restarts,
            loss=trainer.training_loss(),
            validation_loss=validation,
            gradient_norm=trainer.full_gradient_norm(),
            steps=iteration,
            seconds=time.perf_counter() - started,
            model=trainer.model,
        )
        reason = run.after_epoch(replica, epoch, steps=1)
        return bool(reason)

    result = optimizer.minimise(value_and_gradient, flatten_parameters(trainer.model), after_iteration)
    run.finish(replica, reason or result.message)
