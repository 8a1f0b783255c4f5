"""``cr.fit``: trains a model on rows of data."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.nn.module import Module
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import tabulate, traceable
from chainrule.tensor import Tensor, no_grad
from chainrule.training.batches import Rows, as_rows, steps_per_epoch
from chainrule.training.checkpoint import Checkpoint, Live, RunState, Saver
from chainrule.training.full_batch import train_full_batch
from chainrule.training.history import History
from chainrule.training.progress import Display, say
from chainrule.training.restarts import Callback, Run
from chainrule.training.step import Loss, Penalty
from chainrule.training.stopping import StopRule, stop_rules
from chainrule.training.trainer import Settings, Trainer


def fit(
    model: Module,
    data: tuple[Any, Any],
    *,
    loss: Loss,
    optimizer: Optimizer | LBFGS,
    epochs: int = 20,
    batch_size: int = 128,
    validation: tuple[Any, Any] | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    restarts: int = 1,
    penalty: Penalty | None = None,
    clip_norm: float | None = None,
    stop: StopRule | list[StopRule] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | Literal["auto"] = "auto",
    seed: int = 0,
    threads: int | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    resume: bool = False,
    executor: Literal["interpreted"] = "interpreted",
) -> History:
    """Train ``model`` on ``data = (X, y)``, X [rows, features], and leave it in inference mode with the best parameters.

    Each epoch visits every row once, in minibatches drawn without replacement (SPEC B21). ``loss(prediction,
    target)`` gives a scalar; ``penalty(model)`` is added to what is minimised but not to the reported losses.
    ``restarts=1`` trains from the model's present parameters; ``restarts=R`` trains R networks one after the
    other from fresh initial values drawn by (seed, replica) and keeps the one with the lowest validation loss
    (without ``validation``: training loss) (SPEC A11, B20). ``stop`` is ``cr.EarlyStopping``, which keeps the
    best epoch's parameters, ``cr.GradientNorm``, or a list of both. A callback receives a ``cr.Epoch`` after
    each epoch and ends the replica by returning True. ``checkpoint`` names a file that the run is saved to;
    with ``resume=True`` a run that was killed goes on from it and ends with the same bits. Ctrl-C leaves the
    model at the last finished epoch and says so.

    The same seed gives the same numbers. ``executor`` is "interpreted" (NumPy, node by node), the only one so
    far; ``threads`` is for the compiled one to come.

    Raises DataError for data that cannot be trained on (non-finite values are named by row and column),
    ShapeError for shapes that do not fit, SettingError for settings out of range.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    >>> model = nn.MLP([1, 8, 1], activation="tanh", seed=0)
    >>> history = cr.fit(model, (x, x**2), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=200)
    >>> bool(history.loss[0, -1] < 0.01)
    True
    """
    _check(epochs=epochs, batch_size=batch_size, restarts=restarts)
    if executor != "interpreted" or threads is not None:
        raise SettingError(
            "there is no compiled executor yet, and the interpreter has no threads of its own",
            expected='executor="interpreted" and threads=None',
            got=f"executor={executor!r}, threads={threads!r}",
        )
    if resume and checkpoint is None:
        raise SettingError(
            "resume=True needs the checkpoint to go on from", hint='checkpoint="run.safetensors"'
        )
    rows = as_rows(data, model, "data")
    held_out = None if validation is None else as_rows(validation, model, "validation")
    for part in (rows, held_out):
        if part is not None:
            _dry_run(model, loss, part)
    batch_size = min(batch_size, len(rows))
    settings = Settings(batch_size, shuffle, drop_last, seed, restarts, clip_norm)
    stepping = None if isinstance(optimizer, LBFGS) else copy.copy(optimizer)
    if stepping is not None and not traceable(stepping.lr):
        # an ordinary Python function of the step cannot be traced, so its values are listed beforehand
        stepping.lr = tabulate(stepping.lr, epochs * steps_per_epoch(len(rows), batch_size, drop_last))
    trainer = Trainer(model, rows, held_out, loss, stepping, penalty, settings)
    saver = None
    if checkpoint is not None:
        where = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        description = {"model": repr(model), "optimizer": repr(optimizer), "rows": len(rows)}
        saver = Saver(where, settings, description)
    state = RunState([], Live(0, 0, trainer.snapshot(), {}))
    if saver is not None and resume and saver.path.exists():
        state = saver.load()
    with Display(progress, epochs, restarts) as display:
        return _train(Run(trainer, epochs, stop_rules(stop), callbacks, display, saver, state), optimizer)


def _train(run: Run, optimizer: Optimizer | LBFGS) -> History:
    started, interrupted = time.perf_counter(), False
    try:
        if isinstance(optimizer, LBFGS):
            train_full_batch(run, optimizer)
        else:
            run.train()
    except KeyboardInterrupt:
        interrupted = True
        run.interrupt()
    model = run.trainer.model
    history = History(run.state.replicas, time.perf_counter() - started, interrupted, model)
    if run.state.replicas:
        model.load_state_dict(run.state.replicas[history.best].state)
    model.zero_grad()
    model.eval()
    if interrupted:
        kept = run.state.replicas[history.best].kept_epoch + 1 if run.state.replicas else 0
        say(f"interrupted; the model holds its parameters of epoch {kept}")
    return history


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise SettingError(f"{name} is a whole number from 1 on", expected=">= 1", got=repr(count))


def _dry_run(model: Module, loss: Loss, rows: Rows) -> None:
    """Call the loss once on all targets, so that labels out of range or shapes that do not fit show at once."""
    with no_grad():
        model.eval()
        output = model(rows.x[:1])
        guess = np.zeros((len(rows), *output.shape[1:]), output.dtype)
        value = loss(Tensor.leaf(guess), Tensor.leaf(rows.y))
    if value.shape != ():
        raise ShapeError(
            "the loss is not a scalar", expected="shape ()", got=value.shape, hint='use reduction="mean"'
        )
