"""``cr.fit``: trains a model on rows of data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from chainrule.compiler.host import available_cores
from chainrule.errors import SettingError, ShapeError, describe_line, user_line
from chainrule.graph import new_leaf
from chainrule.guarded import Graph, trace_settled
from chainrule.guards import Guards
from chainrule.nn.module import Module, at_inference
from chainrule.nonfinite import NonFinite
from chainrule.ops.record import Form, is_float
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import Rate, rates
from chainrule.optim.settings import check_count, check_number
from chainrule.tensor import Tensor
from chainrule.trace import tracing
from chainrule.training.batches import Rows, as_rows, steps_per_epoch
from chainrule.training.checkpoint import Checkpoint, Live, RunState, Saver, describe, digest
from chainrule.training.combination import combination
from chainrule.training.differences import differences
from chainrule.training.executors import EXECUTORS, Executor
from chainrule.training.full_batch import check_full_batch, train_full_batch
from chainrule.training.halving import Halving
from chainrule.training.history import History
from chainrule.training.life import ALL_EPOCHS
from chainrule.training.progress import Display, say
from chainrule.training.restarts import Callback, Run
from chainrule.training.step import Loss, Objective, Penalty, Update, normalisation_parameters
from chainrule.training.stopping import EarlyStopping, StopRule, stop_rules
from chainrule.training.trainer import Settings, Trainer
from chainrule.training.waves import MemoryLimit, check_memory_limit, wave

_CHECKED_ROWS = 8192  # targets at once, which bounds the memory that takes


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
    restarts: int | Halving = 1,
    penalty: Penalty | Sequence[Penalty | None] | None = None,
    clip_norm: float | None = None,
    stop: StopRule | Sequence[StopRule] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | Literal["auto"] = "auto",
    seed: int = 0,
    threads: int | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    resume: bool = False,
    executor: Executor = "compiled",
    update: Update = "joint",
    nonfinite: NonFinite = "warn",
    memory_limit: MemoryLimit = "auto",
) -> History:
    """Train ``model`` on ``data = (X, y)``, X [rows, features], y [rows] or [rows, outputs].

    X may be a sparse matrix of SciPy's, of which only a few minibatches are written out at a time (with
    ``optim.LBFGS`` all of it). Integers stay integers where the model picks from a table by them; otherwise they
    become floats of the model's dtype, and those that it cannot hold are refused.

    Afterwards the model holds the parameters after the last epoch, with ``cr.EarlyStopping`` those after the
    best one, of several replicas the best one's; and it is in inference mode. Each epoch visits every row once,
    in minibatches drawn without replacement (row B21); the last one may be smaller (``drop_last`` skips it),
    and a ``batch_size`` beyond the number of rows means all of them. ``loss(prediction, target)`` gives a
    scalar; ``penalty(model)`` is added to what is minimised but not to the reported losses. Those are the epoch's
    mean over its minibatches, weighted by their rows, and the loss of all validation rows. A loss that is a total
    (reduction="sum") stays one: the epoch's is the sum over its minibatches, the validation loss the total over
    all validation rows. What a loss is shows when it is evaluated on parts of the rows; one that is neither a
    mean nor a total over rows is evaluated on all validation rows at once. The optimizer is taken as a
    description: its state starts anew, in a copy. In a model that is in training, parts that are at inference
    (``model.norm.eval()``) stay so. Frozen parameters (``requires_grad`` False) stay as they are, in fresh starts
    too, and a part that is frozen as a whole computes as at inference.

    ``restarts=1`` trains from the model's present parameters; ``restarts=R`` trains R networks
    from fresh initial values drawn by (seed, replica) and keeps the one with the lowest validation loss
    (without ``validation``: the lowest loss of all training rows at its end) (row A11, B20);
    ``restarts=cr.Halving(R)`` drops the worse ones on the way. The optimizer's ``lr``, ``nn.Dropout``'s p and
    the strength of ``nn.l2`` and ``nn.l1`` may be sequences of R numbers, and ``penalty`` a list of R penalties
    or None: one for each replica, which trains as it would alone with its own. ``stop`` is
    ``cr.EarlyStopping``, which keeps the
    best epoch's parameters, ``cr.GradientNorm``, or a list of both. A callback receives a ``cr.Epoch`` after
    each epoch, with the model in inference mode, and ends the replica by returning True. With
    ``optim.LBFGS``, which sees all rows at once, an iteration counts as an epoch, and its ``max_iterations``
    takes the place of ``epochs`` and ``batch_size``. ``update="two-step"`` updates the scales and shifts of
    batch normalisation first, then everything else by gradients at their new values (row B25); "joint", the
    default, takes all gradients at the previous values (row B18).

    Where a loss, a gradient or the state is no longer finite, the replica ends with a TrainingWarning at its
    last finite epoch. The warning names the first node that gave such a number, its line, the ranges of its
    inputs, the step and the rows of the minibatch. ``nonfinite="raise"`` makes that a NonFiniteError, "ignore"
    goes on regardless.

    ``checkpoint`` names a file that the run is saved to; with ``resume=True`` a run that was killed goes on
    from it and ends with the same bits (where there is no such file it starts). With restarts=1 it may be
    given more ``epochs`` than before. When the disk fills up, training goes on with a TrainingWarning. Ctrl-C
    ends the run, leaves the model at the last finished epoch and says so; so does an error, which is raised
    again.

    Steps are traced: model, loss and penalty run as Python once for each size of minibatch, and what they read
    there (attributes, globals, arrays, whatever :func:`chainrule.compile` watches) is looked at before every epoch.
    What a callback changes, such as ``model.dropout.p``, counts from the next epoch on.

    The same seed gives the same numbers. ``executor`` is "interpreted" (NumPy, node by node) or "compiled"
    (the whole step as machine code, the loop over minibatches native); the two agree up to rounding.
    Compiled replicas train at the same time, on ``threads`` threads (None: as many as there are processors that
    this process may use), but only as many as fit into ``memory_limit`` bytes ("auto": half of what is free);
    neither number, nor ``restarts``, changes a bit of a replica's result.

    Raises DataError for data that cannot be trained on (non-finite values are named by row and column),
    ShapeError for shapes that do not fit, SettingError for settings out of range and for sequences of another
    length than there are replicas, TracingError for a loss or a model that draws random numbers by NumPy, counts in
    Python, asks for the value of what training changes, or gets other parameters on the way.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    >>> model = nn.MLP([1, 8, 1], activation="tanh", seed=0)
    >>> history = cr.fit(
    ...     model, (x, x**2), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=100, batch_size=10
    ... )
    >>> bool(history.loss[0, -1] < 0.01)
    True
    """
    _check_kinds(
        model=model, loss=loss, optimizer=optimizer, penalty=penalty, callbacks=callbacks, progress=progress
    )
    if resume and checkpoint is None:
        raise SettingError(
            "resume=True needs the checkpoint to go on from", hint='checkpoint="run.safetensors"'
        )
    rules = stop_rules(stop)
    if isinstance(optimizer, LBFGS):
        check_full_batch(model, checkpoint=checkpoint, clip_norm=clip_norm, restarts=restarts)
        epochs = optimizer.max_iterations
    epochs = check_count("epochs", epochs)
    halving = restarts if isinstance(restarts, Halving) else None
    restarts = restarts.restarts if isinstance(restarts, Halving) else check_count("restarts", restarts)
    differing = differences(model, optimizer, penalty, restarts)
    objective = Objective.of(model, loss, differing.penalties[0])
    sparse = isinstance(optimizer, Optimizer)
    rows = as_rows(data, model, sparse=sparse)
    held_out = None if validation is None else as_rows(validation, model, "validation ", sparse=sparse)
    settings = Settings(
        min(check_count("batch_size", batch_size), len(rows)),
        bool(shuffle),
        bool(drop_last),
        check_count("seed", seed, least=0),
        restarts,
        None if clip_norm is None else check_number("clip_norm", clip_norm, above=0),
        executor,
        _check_update(update, model),
        halving,
    )
    if nonfinite not in get_args(NonFinite):
        raise SettingError(
            "nonfinite: not known", expected=" or ".join(get_args(NonFinite)), got=repr(nonfinite)
        )
    limit = check_memory_limit(memory_limit)
    workers, together = _workers(executor, threads, settings.restarts, optimizer)
    parts = [part for part in (rows, held_out) if part is not None]
    for part in parts:
        copy_context().run(_check_loss, objective, part)
    steps = steps_per_epoch(len(rows), settings.batch_size, settings.drop_last)
    stepping = None if isinstance(optimizer, LBFGS) else optimizer.own(epochs * steps)
    how = copy_context().run(combination, objective, parts)
    look_back = held_out is None and any(isinstance(rule, EarlyStopping) for rule in rules)
    trainer = Trainer(objective, rows, held_out, stepping, settings, differing, together, how, look_back)
    saver, state = None, RunState({}, {0: Live.start(trainer.snapshot())})
    if checkpoint is not None:
        saver = _saver(checkpoint, trainer, optimizer, penalty, rules, epochs)
        state = _open(saver, state, resume, settings)
    display, line = Display(progress, epochs, restarts), user_line()
    run = Run([trainer], epochs, rules, callbacks, display, saver, state, line, nonfinite)
    work = (
        partial(train_full_batch, run, optimizer)
        if isinstance(optimizer, LBFGS)
        else partial(_train_in_waves, run, workers, limit)
    )
    history = _train(run, work)
    history.optimizer, history.batch_size = optimizer.describe(), settings.batch_size
    if stepping is not None:
        found = rates(cast(Rate, stepping.lr), steps * np.arange(epochs))
        if differing.rates:
            found = np.array(differing.rates)[:, None]
        history.lr = np.broadcast_to(found, (settings.restarts, epochs)).copy()
    return history


def _train(run: Run, work: Callable[[], None]) -> History:
    """Do the work; whatever ends it, and whenever, leave the model settled."""
    started, ended = time.perf_counter(), None
    while True:
        try:
            if ended is None:
                with run.display:
                    # a tracing or no_grad block that an interruption left half closed ends with this copy
                    copy_context().run(work)
            history = run.settle(isinstance(ended, KeyboardInterrupt), time.perf_counter() - started)
            break
        except BaseException as error:
            if ended is not None and not isinstance(error, KeyboardInterrupt):
                raise
            ended = ended or error  # Ctrl-C again, while settling: settle once more
    if history.interrupted:
        say(f"interrupted; the model holds its parameters {history.describe_kept()}")
    elif ended is not None:
        raise ended
    run.trainer.check_parts()
    return history


def _train_in_waves(run: Run, workers: int, limit: MemoryLimit) -> None:
    """Train as many replicas at a time as there are workers, or as memory allows."""
    trainer = run.trainer
    if trainer.settings.restarts > 1 or isinstance(limit, int):
        workers = wave(trainer, workers, limit, run.saver is not None)
    if workers > 1:
        run.trainers = [trainer.twin() for _ in range(workers)]
    run.train()


def _check_kinds(**given: Any) -> None:
    """SettingError for things of the wrong kind, such as a class where an instance belongs."""
    callbacks, penalty = given["callbacks"], given["penalty"]
    penalties = penalty if isinstance(penalty, list | tuple) else [penalty]
    for name, good, expected in (
        ("model", isinstance(given["model"], Module), "an nn.Module"),
        ("loss", callable(given["loss"]), "a function of (prediction, target), such as nn.squared_error"),
        ("optimizer", isinstance(given["optimizer"], Optimizer | LBFGS), "such as optim.Adam(1e-3)"),
        (
            "penalty",
            all(each is None or callable(each) for each in penalties),
            "a function of the model, such as nn.l2(1e-4), or one for each replica",
        ),
        (
            "callbacks",
            isinstance(callbacks, list | tuple) and all(map(callable, callbacks)),
            "a list of functions of a cr.Epoch",
        ),
        ("progress", given["progress"] in (True, False, "auto"), 'True, False or "auto"'),
    ):
        if not good:
            raise SettingError(f"fit: {name} is of the wrong kind", expected=expected, got=repr(given[name]))


def _check_update(update: Update, model: Module) -> Update:
    if update not in get_args(Update):
        raise SettingError("update: not known", expected=" or ".join(get_args(Update)), got=repr(update))
    if update == "two-step" and not normalisation_parameters(model):
        raise SettingError(
            "a two-step update begins with the scales of batch normalisation, and the model has none",
            expected="a model with nn.BatchNorm1d",
            got=type(model).__name__,
            hint='leave out update="two-step"',
        )
    return update


def _workers(executor: str, threads: int | None, restarts: int, optimizer: object) -> tuple[int, int]:
    """How many replicas train at the same time, and how many threads may work on a step of each."""
    if executor not in EXECUTORS:
        raise SettingError("executor: not known", expected=" or ".join(EXECUTORS), got=repr(executor))
    count = available_cores() if threads is None else check_count("threads", threads)
    # NumPy's interpreter and SciPy's L-BFGS hold Python's lock, so threads would only get in each other's way
    if executor == "interpreted" or isinstance(optimizer, LBFGS):
        return 1, 1
    workers = max(1, min(count, restarts))
    return workers, max(1, count // workers)


def _check_loss(objective: Objective, rows: Rows) -> None:
    """Call the loss on all targets: labels out of range or shapes that do not fit show at once."""
    model = objective.model
    starts = range(0, len(rows), _CHECKED_ROWS)
    guesses: dict[int, Tensor] = {}
    with at_inference(model):
        for start in starts:
            y = rows.y[start : start + _CHECKED_ROWS]
            if len(y) not in guesses:
                guards = partial(Guards, {"the model": model}, modes_of=Module)
                record = partial(_record, model, rows.forms(len(y))[0])
                traced = trace_settled(guards, record, lambda graph: graph).made
                zeros = np.zeros(traced.ends[0].shape, traced.ends[0].dtype)
                guesses[len(y)] = Tensor.leaf(
                    zeros, is_float(zeros.dtype)
                )  # as in training, for NumPy's functions
            value = objective.loss(guesses[len(y)], Tensor.leaf(y))
    shape = value.shape if isinstance(value, Tensor) else f"a {type(value).__name__}"
    if shape != ():
        raise ShapeError(
            "the loss is not a scalar tensor",
            expected="shape ()",
            got=shape,
            where=describe_line(user_line()),
            hint='use reduction="mean"',
        )


def _record(model: Module, form: Form) -> Graph:
    """The model's forward pass for rows of this form."""
    leaf = new_leaf(*form, "x")
    with tracing() as trace:
        output = model(Tensor(None, leaf))
    return Graph((leaf,), (output.node,), trace=trace)


def _saver(
    checkpoint: str | Path | Checkpoint,
    trainer: Trainer,
    optimizer: object,
    penalty: object,
    rules: object,
    epochs: int,
) -> Saver:
    """A saver that knows what makes this run the same as another."""
    where = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    objective, settings = trainer.objective, trainer.settings
    description = {
        "model": describe(trainer.model),
        "loss": describe(objective.loss),
        "penalty": describe(penalty),
        "optimizer": describe(optimizer),
        "stop": describe(rules),
        "data": digest(trainer.rows, trainer.validation),
        # a single replica may go on for longer; of several, the first ones are already done
        "epochs": epochs if settings.restarts > 1 else None,
        **asdict(settings),
    }
    return Saver(where, description)


def _open(saver: Saver, fresh: RunState, resume: bool, settings: Settings) -> RunState:
    """The run in the checkpoint to be resumed, or the fresh one, which is saved at once."""
    if not (resume and saver.path.exists()):
        saver.start(fresh)
        return fresh
    state = saver.load(fresh.lives[0].tensors)
    if settings.restarts == 1 and 0 in state.replicas and state.replicas[0].stopped == ALL_EPOCHS:
        state.replicas[0].stopped = ""  # there may be more epochs now
    return state
