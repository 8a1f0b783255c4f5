"""``cr.fit``: trains a model on rows of data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from chainrule.claims import claimed
from chainrule.errors import user_line
from chainrule.nn.module import Module
from chainrule.nonfinite import NonFinite
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.optimizer import Optimizer
from chainrule.training.batches import steps_per_epoch
from chainrule.training.checkpoint import Checkpoint
from chainrule.training.checks import check_kinds, check_two_step, check_words, parts_of, rows_of
from chainrule.training.combination import combination_of
from chainrule.training.completion import complete, saved
from chainrule.training.concurrency import MemoryLimit, check_memory_limit, workers_and_threads
from chainrule.training.differences import differences
from chainrule.training.executors import Executor
from chainrule.training.full_batch import check_full_batch, train_full_batch
from chainrule.training.given_rows import folds_of
from chainrule.training.halving import Halving
from chainrule.training.history import History
from chainrule.training.output_kind import output_kind
from chainrule.training.progress import Display
from chainrule.training.replica_state import ReplicaState, RunState
from chainrule.training.replicas import train_replicas
from chainrule.training.run import Callback, Run
from chainrule.training.run_identity import checkpoint_of, saver_of
from chainrule.training.settings import number_of_epochs, settings_of
from chainrule.training.step import Loss, Objective, Penalty, Update
from chainrule.training.stopping import EarlyStopping, StopRule, stop_rules
from chainrule.training.trainer import Trainer


def fit(
    model: Module,
    data: tuple[object, object],
    *,
    loss: Loss,
    optimizer: Optimizer | LBFGS,
    epochs: int = 20,
    batch_size: int = 128,
    validation: tuple[object, object] | None = None,
    rows: Iterable[object] | None = None,
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
    """Train ``model`` on ``data = (X, y)``, X [rows, features], y [rows] or [rows, outputs]; returns its curves.

    Afterwards the model is in inference mode and holds the parameters after the last epoch, or with
    ``cr.EarlyStopping`` those after the best epoch; with several restarts, those of the best replica.

    **Data.** X may be one of SciPy's sparse matrices, of which only a few minibatches are written out at a time
    (all of it with ``optim.LBFGS``). Integers in X stay integers if the model uses them to look rows up in a table;
    otherwise they become floats of the model's dtype, and integers that the dtype cannot hold are refused. Each
    epoch visits every row once, in minibatches of ``batch_size`` rows drawn without replacement; ``shuffle=False``
    keeps the order. The last minibatch may be smaller; ``drop_last`` skips it. A ``batch_size`` above the number of
    rows means all rows.

    **Loss.** ``loss(prediction, target)`` returns a scalar. ``penalty(model)`` is added to what is minimised but not to
    the losses that are reported: the training loss of an epoch is the mean over its minibatches, weighted by their
    rows, the validation loss that of all validation rows. For a loss that is a sum over rows (reduction="sum") both are
    sums. fit finds out which it is by evaluating the loss on parts of the rows; a loss that is neither a mean nor a sum
    over rows is evaluated on all validation rows at once.

    **Update.** fit trains with a fresh copy of ``optimizer``; its state is not used and does not change.
    ``clip_norm`` is the largest norm that all gradients together may have. ``update="joint"`` takes all gradients
    at the previous values; "two-step" updates the scales and shifts of batch normalisation first, then everything
    else with gradients at their new values. ``optim.LBFGS`` uses all rows at once: its iterations count as epochs,
    and its ``max_iterations`` takes the place of ``epochs`` and ``batch_size``. If the model is in training mode,
    those of its parts that are in inference mode (``model.norm.eval()``) stay there. Frozen parameters
    (``requires_grad`` False) never change, not even with several restarts, and a part whose parameters are all
    frozen computes as in inference mode.

    **Restarts.** ``restarts=1`` trains from the model's present parameters. ``restarts=R`` trains R replicas,
    networks with initial values of their own drawn from (seed, replica), and keeps the one with the lowest
    validation loss, or without ``validation`` the lowest loss of all training rows at its end.
    ``restarts=cr.Halving(R)`` drops the worse ones on the way. The optimizer's ``lr``, the p of ``nn.Dropout`` and
    the strength of ``nn.l2`` and ``nn.l1`` may be sequences of R numbers, and ``penalty`` a list of R penalties or
    None, one for each replica: each trains exactly as it would alone with its own.

    **Rows of their own.** ``rows`` gives each replica its own rows of X and y: a sequence of R sets, made by
    ``cr.folds`` or pairs (train, validation), each part row numbers (of which some may come several times, as in a
    bootstrap) or a mask. X and y are shared, not copied. Each replica trains exactly as it would alone on X[train] and
    y[train], validated by X[validation] and y[validation]: an epoch visits its own rows once, and schedules count its
    own steps. Whether the loss is a mean or a sum is found out on all rows. ``history.out_of_fold()`` then predicts
    every row by the replicas that did not train on it. Replicas are still compared by their validation losses, which
    are now of different rows.

    **Stopping.** ``stop`` is ``cr.EarlyStopping``, which keeps the best epoch's parameters, ``cr.GradientNorm``, or a
    list of both. Each of ``callbacks`` is called with a ``cr.Epoch`` after every epoch, with the model in inference
    mode, and ends the replica by returning True. If a loss, a gradient or the state is no longer finite, the replica
    ends with a TrainingWarning and keeps its last finite epoch. The warning names the operation that produced the first
    such number, its line, the ranges of its inputs, the step and the rows of the minibatch. ``nonfinite="raise"``
    raises a NonFiniteError instead, "ignore" goes on regardless. Ctrl-C ends the run, leaves the model at the last
    finished epoch and says so; so does an error, which is then re-raised.

    **Checkpoints.** ``checkpoint`` names a file that the run is saved to. With ``resume=True`` a run that was killed
    continues from it and ends with the same bits; if there is no such file, the run starts. With restarts=1 a resumed
    run may be given more ``epochs``. If the disk is full, training continues with a TrainingWarning and saving is
    retried. With a checkpoint, SIGTERM and SIGHUP (unless the program handles them) save the run before they end the
    process. Only one run at a time may save to a file: another one raises CheckpointInUseError. An epoch is saved
    together with what its callbacks did: values they wrote into parameters, numbers they set as
    ``epoch.optimizer.lr``, and their wish to stop. If they were interrupted, the resumed run calls all of them for that
    epoch again. Whatever else a callback keeps, in itself or in other attributes of the model, is not saved.

    **Tracing.** Model, loss and penalty run as Python once for each minibatch size. What they read there (attributes,
    globals, arrays, all that :func:`chainrule.compile` watches) is compared before every epoch; a change that a
    callback makes, such as to ``model.dropout.p``, counts from the next epoch on.

    **Speed.** The same seed gives the same numbers. ``executor`` is "compiled" (the whole step as machine code, with a
    native loop over minibatches) or "interpreted" (NumPy, operation by operation); they agree up to rounding. Compiled
    replicas train at the same time on ``threads`` threads (None, or more than the processors that this process may use:
    as many as those), but only as many as fit into ``memory_limit`` bytes ("auto": half of the free memory; None: no
    limit). Neither number, nor ``restarts``, changes a bit of a replica's result. ``progress`` shows a bar; "auto" does
    so on a terminal and in a notebook.

    Raises DataError for data that cannot be trained on (missing and non-finite values are named by row and column),
    ShapeError for shapes that do not fit, SettingError for settings out of range, for sequences whose length is not
    the number of replicas, and for ``rows`` that X does not have, that are empty, that a replica both trains on and is
    judged by, or that come with ``validation``, InTrainingError if another thread trains this model or one that shares
    parts with it, and TracingError for a loss or model that draws random numbers with NumPy, counts in Python, asks for
    a value that training changes, or gains other parameters on the way.

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

    Lectures: B21, B18, B25, A11, B20.
    """
    check_kinds(
        model=model, loss=loss, optimizer=optimizer, penalty=penalty, callbacks=callbacks, progress=progress
    )
    check_words(update=update, nonfinite=nonfinite, executor=executor)
    rules, limit, line = stop_rules(stop), check_memory_limit(memory_limit), user_line()
    where = checkpoint_of(checkpoint, resume)
    with claimed("the model", parts_of(model)):
        if isinstance(optimizer, LBFGS):
            check_full_batch(model, checkpoint=checkpoint, clip_norm=clip_norm, restarts=restarts)
        if update == "two-step":
            check_two_step(model)
        epochs = number_of_epochs(optimizer, epochs)
        settings = settings_of(
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
            restarts=restarts,
            clip_norm=clip_norm,
            executor=executor,
            update=update,
        )
        differing = differences(model, optimizer, penalty, settings.restarts)
        objective = Objective.of(model, loss, differing.penalties[0])
        every, held_out = rows_of(objective, data, validation, sparse=isinstance(optimizer, Optimizer))
        own = folds_of(rows, count=len(every), restarts=settings.restarts, validation=validation)
        most = max((len(fold.train) for fold in own), default=len(every))
        settings = settings.for_rows(most)
        steps = steps_per_epoch(most, settings.batch_size, settings.drop_last)
        judged = held_out is not None or any(len(fold.validation) for fold in own)
        workers, together = workers_and_threads(executor, threads, settings.restarts, optimizer)
        trainer = Trainer(
            objective=objective,
            rows=every,
            validation=held_out,
            folds=own,
            optimizer=_own_optimizer(optimizer, epochs, steps),
            settings=settings,
            differences=differing,
            threads=together,
            combination=combination_of(objective, every, held_out),
            look_back=not judged and any(isinstance(rule, EarlyStopping) for rule in rules),
        )
        given = {"penalty": penalty, "optimizer": optimizer, "stop": rules}
        saver = None if where is None else saver_of(where, trainer, epochs, line, **given)
        run = Run(
            trainer=trainer,
            epochs=epochs,
            rules=rules,
            callbacks=callbacks,
            display=Display(progress, epochs, settings.restarts),
            saver=saver,
            state=RunState({}, {0: ReplicaState.start(trainer.snapshot())}),
            line=line,
            nonfinite=nonfinite,
            optimizer=optimizer.describe(),
            output_kind=output_kind(objective, every.forms(min(len(every), 2))),
        )
        if isinstance(optimizer, LBFGS):
            work = partial(train_full_batch, run, optimizer)
        else:
            work = partial(train_replicas, run, workers, limit)
        with saved(run, resume):
            return complete(run, work)


def _own_optimizer(optimizer: Optimizer | LBFGS, epochs: int, steps: int) -> Optimizer | None:
    """An optimizer of the run's own, for so many epochs of so many steps; None for L-BFGS, which has no steps."""
    return None if isinstance(optimizer, LBFGS) else optimizer.fresh_for(epochs * steps, steps)
