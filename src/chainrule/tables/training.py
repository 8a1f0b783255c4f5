"""From a table to a trained model with a score on rows that it has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chainrule import optim
from chainrule._version import __version__
from chainrule.data import Columns, Preprocessor, find_task, rows_with_target
from chainrule.data.describe import known_name
from chainrule.data.features.cell_types import Untyped
from chainrule.data.features.frames import as_frame
from chainrule.data.features.target import encode_target
from chainrule.data.features.training_table import fit_canonical, read_frame
from chainrule.data.files.heading import find_column
from chainrule.data.tables import ReadTable, read_whole
from chainrule.errors import SettingError, user_line
from chainrule.foreign_text import quoted
from chainrule.nn.module import Module
from chainrule.system.blas import one_blas_thread
from chainrule.tables.aims import check_aim, notices_of_aim, unsmoothed_if_weighted, with_decision
from chainrule.tables.architecture import Architecture
from chainrule.tables.budget import check_budget, within_budget
from chainrule.tables.coverage import judged_errors
from chainrule.tables.distil import check_distil, describe_teacher, students_settings, taught
from chainrule.tables.ensemble import ensemble_of, folds_for, judge_apart, number_places, rows_for
from chainrule.tables.facts import Facts
from chainrule.tables.intervals import kept_errors
from chainrule.tables.main_score import rescored
from chainrule.tables.mixture import Mixture, SideBySide
from chainrule.tables.model import TableModel, network_outputs
from chainrule.tables.objective import loss_of, penalty_of
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.prepared import Encoded, Prepared, Split
from chainrule.tables.recipe import Recipe
from chainrule.tables.roles import columns_for, named_roles, read_roles
from chainrule.tables.row_weights import (
    class_shares,
    need_weights,
    training_weights,
    weights_of,
    with_prior,
    with_weights,
)
from chainrule.tables.scored import score_rows
from chainrule.tables.scores import score_outputs
from chainrule.tables.settings import TrainingSettings
from chainrule.tables.splits import notices_of, split_of, with_folds
from chainrule.tables.trained import Trained
from chainrule.training import Checkpoint, EarlyStopping, Epoch, History, fit
from chainrule.training.checkpoint import begun_in
from chainrule.training.divergence import risen
from chainrule.training.folds import Fold
from chainrule.training.training_warning import warn


def train_table(
    frame: Any,
    target: str,
    settings: TrainingSettings | Recipe | None = None,
    name: str = "",
    *,
    columns: Columns | None = None,
) -> Trained:
    """Train an ensemble, or a single network, that predicts one column of a table from the others.

    ``frame`` is a table of polars, pandas or Arrow, or the name of a file or of whatever else ``data.read_table``
    reads; then ``target`` may also be the number of a column. ``settings`` are a ``Recipe`` for an ensemble, which
    is trained if nothing is said, or ``TrainingSettings`` for a single network. The score is of rows that the
    networks which judge them were not trained on, or of held-out rows where there are any. The same table, settings
    and version give the same model. ``name`` says in the model file where the table came from, ``columns`` what is
    known about the columns. Raises DataError for a table or a target that cannot be learned from, SettingError for
    settings out of range.

    >>> from chainrule.data import load_bundled
    >>> wine = load_bundled("wine")
    >>> trained = train_table(wine.frame, wine.target, TrainingSettings(epochs=10))
    >>> trained.score.metric, trained.score.rows, trained.score.value > 0.8
    ('accuracy', 36, True)
    """
    return train(prepare(frame, target, settings, columns=columns), name)


def prepare(
    table: Any,
    target: str,
    settings: TrainingSettings | Recipe | None = None,
    *,
    columns: Columns | None = None,
) -> Prepared:
    """Split a table, learn its preprocessing from the rows that train, and encode it.

    ``columns`` says what is known about the columns. The frame that comes back has them in their canonical form. Rows
    without a target are left out, with a notice. Raises DataError for a table or a target that cannot be learned from,
    SettingError for settings out of range.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target)
    >>> prepared.architecture.describe(), prepared.split.training.size
    ('16 networks of 13-64-64-3 and 8 of 13-128-3, relu, dropout 0.1 and 0.2', 178)
    >>> single = tables.prepare(wine.frame, wine.target, tables.TrainingSettings())
    >>> single.architecture.describe(), single.split.training.size
    ('13-64-64-3, relu', 121)
    """
    asked, columns = _asked_for(settings, columns)
    taken, target = _taken_in(table, target, columns)
    frame = taken.frame
    columns = columns.resolved(frame.columns)
    columns, named, said = columns_for(columns, named_roles(asked), frame.columns, target)
    assumed = [f"the file is read with {', '.join(taken.assumed)}"] if taken.assumed else []
    ready = read_frame(frame, target, columns, asked.task, taken.likely_decimal)
    frame, reading = ready.frame, ready.found[target].reading
    usable, notices = rows_with_target(frame, target, reading=reading)
    roles, of_roles = read_roles(taken.frame, named, ready, usable)
    notices += [*said, *of_roles]
    usable = np.setdiff1d(usable, roles.missing) if roles.missing.size else usable
    found = find_task(frame[target], reading)  # in any case: it refuses what cannot be predicted
    settings = asked.settings(len(usable)) if isinstance(asked, Recipe) else asked
    settings, unsmoothed = unsmoothed_if_weighted(settings)
    split = split_of(frame[target], usable, settings, (settings.task or found) == "classification", roles)
    counts = roles.counts(split.training)
    preprocessor, more = fit_canonical(ready, target, settings.task, split.training, roles.groups, counts)
    check_aim(settings, preprocessor.target)
    order = np.concatenate(split.parts)
    split = Split(*np.split(order, np.cumsum([len(part) for part in split.parts[:-1]])))  # the same memory
    known = encode_target(preprocessor.target, frame[target][usable], usable)
    known = known[order if len(usable) == frame.height else np.searchsorted(usable, order)]
    del usable  # as much memory as a column, where the most is needed
    features, _ = preprocessor.encode(frame, order, canonical=True)
    groups = None if roles.groups is None else roles.groups[split.training]
    counts = None if counts is None else counts[split.training]
    preprocessor.encode_training(frame, split.training, features, groups, weights=counts)
    settings, fewer = with_folds(settings, split.training, roles)
    if isinstance(asked, Recipe):
        settings = asked.for_features(settings, len(split.training), features.shape[1])
    prepared = Prepared(
        frame,
        preprocessor,
        split,
        Encoded(features, known),
        settings,
        _architecture(settings, preprocessor),
        (
            *assumed,
            *ready.notices,
            *notices,
            *more,
            *fewer,
            *notices_of(split, settings, roles),
            *unsmoothed,
            *notices_of_aim(settings, split),
        ),
        roles,
    )
    judge_apart(prepared)
    return prepared


def _architecture(settings: TrainingSettings, preprocessor: Preprocessor) -> Architecture:
    """The networks of these settings for the features and the target of a table."""
    outputs = len(preprocessor.target.classes) or 1
    return Architecture(
        (len(preprocessor.feature_names), *settings.hidden, outputs),
        settings.activation,
        settings.dropout,
        settings.batch_norm,
        members=settings.folds * settings.restarts if settings.ensemble else 1,
        scaling=settings.scaling,
        embedding=settings.embedding,
        numbers=number_places(preprocessor) if settings.needs_numbers else (),
        classes=bool(preprocessor.target.classes),
    )


def _asked_for(settings: object, columns: object) -> tuple[TrainingSettings | Recipe, Columns]:
    """What was asked for, or what is usual; SettingError for another thing, such as a dictionary."""
    settings = Recipe() if settings is None else settings
    columns = Columns() if columns is None else columns
    if not isinstance(settings, TrainingSettings | Recipe):
        raise SettingError(
            "settings is a TrainingSettings, such as TrainingSettings(epochs=5), or a Recipe",
            got=quoted(settings),
        )
    if not isinstance(columns, Columns):
        raise SettingError("columns is a Columns, such as Columns(ignore=['id'])", got=quoted(columns))
    check_distil(settings)
    return settings, columns


def _taken_in(table: Any, target: str, columns: Columns) -> tuple[ReadTable, str]:
    """A table, or that of a file's name, with what is known about the file; and the name of the target."""
    if isinstance(table, str | PathLike):
        read = read_whole(table, Untyped(columns.read_as_text, lambda names: find_column(names, target)))
        return read, find_column(read.frame.columns, target)
    taken = table if isinstance(table, ReadTable) else ReadTable(as_frame(table), ())
    return taken, known_name(target, taken.frame.columns)


@one_blas_thread()
def train(
    prepared: Prepared,
    name: str = "",
    *,
    progress: bool | Literal["auto"] = "auto",
    checkpoint: str | Path | Checkpoint | None = None,
    resume: bool = False,
    callbacks: tuple[Callable[[Epoch], object], ...] = (),
    threads: int | None = None,
) -> Trained:
    """Train on a prepared table; ``name`` says in the model file where the table came from.

    ``progress``, ``checkpoint``, ``resume``, ``callbacks`` and ``threads`` are those of ``chainrule.fit``. After Ctrl-C
    the model is that of the last finished epoch, and ``history.interrupted`` is true; so it is after Ctrl-C while
    the model is being scored.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target, tables.TrainingSettings(epochs=10))
    >>> tables.train(prepared, "wine").score.value > 0.8
    True
    """
    check_budget(prepared.settings)
    begun = begun_in(checkpoint) if resume and prepared.settings.budget is not None else None
    prepared = within_budget(prepared, partial(_trial, prepared, threads), begun)
    network = prepared.architecture.member(prepared.settings.seed, prepared.training.features)
    sets = folds_for(prepared)
    need_weights(prepared, sets)
    history = _fit(
        prepared,
        network,
        sets,
        callbacks=callbacks,
        progress=progress,
        checkpoint=checkpoint,
        resume=resume,
        threads=threads,
    )
    try:
        trained = _finish(prepared, name, network, history, sets)
        return _distilled(trained, name, progress, threads) if prepared.settings.distil else trained
    except KeyboardInterrupt:  # the second Ctrl-C, or one that came late: what was learned is not lost
        history.interrupted = True
        return _finish(prepared, name, network, history, sets)


def _fit(
    prepared: Prepared, network: Module, sets: Sequence[Fold], epochs: int | None = None, **options: Any
) -> History:
    """Train, for so many ``epochs`` or as many as the settings say; ``options`` are of ``chainrule.fit``."""
    settings, split = prepared.settings, prepared.split
    rows = len(sets[0].train) if sets else len(split.training)
    kinds = len(prepared.architecture.kinds)
    epochs = settings.epochs_for(rows) if epochs is None else epochs
    trains, judges = training_weights(prepared)
    data, sets = rows_for(prepared, sets, trains)
    return fit(
        network,
        data,
        loss=loss_of(prepared.preprocessor.target, settings, kinds, weighted=trains is not None),
        optimizer=_optimizer(settings, rows),
        epochs=epochs,
        batch_size=settings.batch_size,
        validation=with_weights(prepared.validation, judges) if split.validation.size else None,
        restarts=len(sets) or settings.restarts,
        rows=sets or None,
        penalty=penalty_of(settings, kinds),
        stop=EarlyStopping(settings.patience_for(epochs)) if sets or split.validation.size else None,
        seed=settings.seed,
        **options,
    )


def _trial(prepared: Prepared, threads: int | None, epochs: int) -> None:
    """Train for some epochs to see how long they take; what is learned is thrown away, and warned of later."""
    network = prepared.architecture.member(prepared.settings.seed, prepared.training.features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sets = folds_for(prepared)
        need_weights(prepared, sets)
        history = _fit(prepared, network, sets, epochs, progress=False, threads=threads)
    if history.interrupted:
        raise KeyboardInterrupt


def _distilled(trained: Trained, name: str, progress: bool | Literal["auto"], threads: int | None) -> Trained:
    """One network that imitates an ensemble; the ensemble itself where Ctrl-C came before the network had learned."""
    teacher, prepared = trained, trained.prepared
    if trained.out_of_fold is None or trained.history.interrupted:
        return trained
    settings = students_settings(prepared.settings)
    prepared = replace(
        prepared,
        settings=settings,
        architecture=_architecture(settings, prepared.preprocessor),
        split=replace(prepared.split, out_of_fold=None),
        notices=(*prepared.notices, describe_teacher(teacher)),
    )
    student = taught(teacher, prepared, progress=progress, threads=threads)
    if student.history.interrupted:
        teacher.history.interrupted = True
        return teacher
    found = _judged(prepared, name, student.network, student.history, teacher.out_of_fold)
    return replace(found, out_of_fold=None, teacher=teacher)


def _optimizer(settings: TrainingSettings, rows: int) -> optim.AdamW:
    """AdamW, whose rate falls to 0 along half a cosine over all steps."""
    steps = settings.epochs_for(rows) * -(-rows // settings.batch_size)
    return optim.AdamW(optim.CosineDecay(settings.lr, steps), weight_decay=settings.weight_decay)


def _finish(
    prepared: Prepared, name: str, network: Module, history: History, sets: Sequence[Fold] = ()
) -> Trained:
    kept, settings = history.replicas[history.best], prepared.settings
    rise = risen(kept.loss)
    if rise:
        warn(f"{rise}. Try a smaller learning rate: lr={prepared.settings.lr / 10:g}", user_line())
    judged, classes = None, bool(prepared.preprocessor.target.classes)
    if sets and kept.kept_epoch >= 0:
        architecture, network, judged = ensemble_of(prepared, network, history, sets)
        prepared = _scored_out_of_fold(prepared, architecture, judged)
    elif sets:  # Ctrl-C before the first epoch: one network of each kind, as the architecture then says
        kinds = network.networks if isinstance(network, SideBySide) else [network]
        shares = prepared.architecture.usual_shares
        network = Mixture(kinds, shares=shares[: len(kinds)], classes=classes)
        prepared = replace(prepared, architecture=replace(prepared.architecture, members=1, shares=shares))
    elif settings.class_weight is not None:
        network = with_prior(network, class_shares(prepared))
    return _judged(prepared, name, network, history, judged)


def _judged(
    prepared: Prepared, name: str, network: Module, history: History, judged: OutOfFold | None
) -> Trained:
    """The model with its score; ``judged`` is what an ensemble says of its own rows."""
    split, settings, kept = prepared.split, prepared.settings, history.replicas[history.best]
    features, actual = prepared.scored
    if judged is None or split.held_out.size:
        outputs = network_outputs(network, features)
    else:
        outputs = judged.outputs(features, np.flatnonzero(np.isin(split.training, split.scored)))
    target = prepared.preprocessor.target
    score = score_outputs(target, prepared.most_frequent, outputs, actual, split.scored_on)
    facts = Facts(
        version=__version__,
        data=name,
        metric=score.metric,
        score=score.value,
        baseline=score.baseline,
        scored_on=score.scored_on,
        training_rows=len(split.training),
        validation_rows=len(split.validation),
        held_out_rows=len(split.held_out),
        epochs=len(kept.loss),
        best_epoch=kept.kept_epoch + 1,
        stopped=kept.stopped,
        most_frequent=prepared.most_frequent,
        settings=settings.listed(),
        score_low=score.low,
        score_high=score.high,
    )
    model = TableModel(prepared.architecture, network, prepared.preprocessor, facts)
    scored = score_rows(model, outputs, actual, weights_of(prepared, split.scored))
    if split.scored_on != "training":  # for intervals and label sets
        errors, _, scale = judged_errors(model, scored)
        model = replace(model, facts=replace(facts, errors=kept_errors(errors), error_scale=scale))
    model, scored = with_decision(prepared, model, scored, judged)
    model, score = rescored(prepared, model, scored, score)
    return Trained(model, history, score, prepared, scored, judged)


def _scored_out_of_fold(prepared: Prepared, architecture: Architecture, judged: OutOfFold) -> Prepared:
    """The same, with the rows that networks judge without having seen them, and the networks that there are."""
    rows = prepared.split.training[np.unique(np.concatenate(judged.unseen))]
    return replace(
        prepared,
        split=replace(prepared.split, out_of_fold=rows),
        architecture=architecture,
    )
