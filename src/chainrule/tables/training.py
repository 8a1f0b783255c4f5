"""From a table to a trained model with a score on rows that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule import nn, optim
from chainrule._version import __version__
from chainrule.data import Preprocessor, find_task, fit_preprocessor, rows_with_target, split_rows
from chainrule.data.frames import as_frame
from chainrule.errors import user_line
from chainrule.tables.architecture import Architecture
from chainrule.tables.model import Facts, TableModel, network_outputs
from chainrule.tables.scores import Score, score_outputs
from chainrule.tables.settings import TrainingSettings
from chainrule.training import EarlyStopping, Epoch, History, fit
from chainrule.training.life import SMALLER_STEPS, risen, warn
from chainrule.training.step import Loss, Penalty

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Split:
    """Row numbers of the table, from 0: those that train, choose the best epoch, and give the score.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target)
    >>> [part.size for part in prepared.split.parts]
    [121, 21, 36]
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    held_out: NDArray[np.int64]

    @property
    def parts(self) -> tuple[NDArray[np.int64], ...]:
        """The three of them."""
        return self.training, self.validation, self.held_out

    @property
    def scored(self) -> NDArray[np.int64]:
        """The held-out rows; where there are none, those that train."""
        return self.held_out if self.held_out.size else self.training

    @property
    def scored_on(self) -> str:
        """What ``scored`` are: "held-out" or "training" rows."""
        return "held-out" if self.held_out.size else "training"


@dataclass(frozen=True)
class Prepared:
    """A table made ready for training: encoded by what its training rows taught.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target)
    >>> prepared.features.shape, prepared.architecture.widths
    ((178, 13), (13, 64, 64, 3))
    """

    frame: pl.DataFrame
    preprocessor: Preprocessor
    split: Split
    features: NDArray[np.float32]
    target: NDArray[Any]
    settings: TrainingSettings
    architecture: Architecture
    notices: tuple[str, ...]

    def encoded(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Features [rows, features] and target, [rows] or [rows, 1], of some rows."""
        return self.features[rows], self.target[rows]

    @property
    def most_frequent(self) -> int:
        """The label of the training rows' most frequent class; 0 for a regression."""
        if self.preprocessor.target.task == "regression":
            return 0
        return int(np.bincount(self.target[self.split.training]).argmax())


@dataclass(frozen=True)
class Trained:
    """A trained model, how its losses went, and its score: on held-out rows where there are any.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> trained = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10))
    >>> trained.score.metric, trained.score.value > 0.8, trained.history.loss.shape
    ('accuracy', True, (1, 10))
    """

    model: TableModel
    history: History
    score: Score
    prepared: Prepared


def train_table(frame: Any, target: str, settings: TrainingSettings | None = None, name: str = "") -> Trained:
    """Train a network that predicts one column of a table (polars, pandas or Arrow) from the others.

    The score is of held-out rows, which no choice depends on. The same table, settings and version give the
    same model. ``name`` says in the model file where the table came from. Raises DataError for a table or a
    target that cannot be learned from, SettingError for settings out of range.

    >>> from chainrule.data import load_bundled
    >>> wine = load_bundled("wine")
    >>> trained = train_table(wine.frame, wine.target, TrainingSettings(epochs=10))
    >>> trained.score.metric, trained.score.rows, trained.score.value > 0.8
    ('accuracy', 36, True)
    """
    return train(prepare(frame, target, settings), name)


def prepare(table: Any, target: str, settings: TrainingSettings | None = None) -> Prepared:
    """Split a table, learn its preprocessing from the rows that train, and encode it.

    Rows without a target are left out, with a notice. Raises DataError for a table or a target that cannot be
    learned from, SettingError for settings out of range.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target)
    >>> prepared.architecture.describe(), prepared.split.held_out.size
    ('13-64-64-3, relu', 36)
    """
    settings, frame = settings or TrainingSettings(), as_frame(table)
    usable, notices = rows_with_target(frame, target)
    found = find_task(frame[target])  # also where the task is given: it refuses what cannot be predicted
    stratified = (settings.task or found) == "classification"
    split = _split(frame[target], usable, settings, stratified)
    preprocessor, more = fit_preprocessor(frame, target, settings.task, split.training)
    encoded = preprocessor.encode_target(frame[usable])
    every = np.zeros((frame.height, *encoded.shape[1:]), encoded.dtype)
    every[usable] = encoded
    outputs = len(preprocessor.target.classes) or 1
    widths = (len(preprocessor.feature_names), *settings.hidden, outputs)
    return Prepared(
        frame,
        preprocessor,
        split,
        preprocessor.transform(frame),
        every,
        settings,
        Architecture(widths, settings.activation, settings.dropout, settings.batch_norm),
        (*notices, *more, *_notice_unsplit(split, settings)),
    )


def _split(
    column: pl.Series, usable: NDArray[np.int64], settings: TrainingSettings, stratified: bool
) -> Split:
    import polars as pl

    labels = column.cast(pl.String).str.strip_chars().to_numpy()
    rest, held_out = split_rows(
        len(usable), settings.held_out, labels[usable] if stratified else None, settings.seed
    )
    rest, held_out = usable[rest], usable[held_out]
    training, validation = split_rows(
        len(rest), settings.validation, labels[rest] if stratified else None, settings.seed
    )
    return Split(rest[training], rest[validation], held_out)


def _notice_unsplit(split: Split, settings: TrainingSettings) -> list[str]:
    if settings.held_out and not split.held_out.size:
        return [f"{split.training.size} rows are too few to hold some out: the score is of the training rows"]
    if not settings.held_out:
        return ["no rows are held out: the score is of the training rows"]
    return []


def train(
    prepared: Prepared,
    name: str = "",
    *,
    progress: bool | Literal["auto"] = "auto",
    checkpoint: str | Path | None = None,
    resume: bool = False,
    callbacks: tuple[Callable[[Epoch], object], ...] = (),
) -> Trained:
    """Train on a prepared table; ``name`` says in the model file where the table came from.

    ``progress``, ``checkpoint``, ``resume`` and ``callbacks`` are those of ``chainrule.fit``. After Ctrl-C
    the model is that of the last finished epoch, and ``history.interrupted`` is true.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target, tables.TrainingSettings(epochs=10))
    >>> tables.train(prepared, "wine").score.value > 0.8
    True
    """
    settings, split = prepared.settings, prepared.split
    network = prepared.architecture.build(settings.seed)
    epochs = settings.epochs_for(len(split.training))
    batches = -(-len(split.training) // settings.batch_size)
    history = fit(
        network,
        prepared.encoded(split.training),
        loss=loss_of(prepared),
        optimizer=optim.AdamW(
            optim.CosineDecay(settings.lr, epochs * batches), weight_decay=settings.weight_decay
        ),
        epochs=epochs,
        batch_size=settings.batch_size,
        validation=prepared.encoded(split.validation) if split.validation.size else None,
        restarts=settings.restarts,
        penalty=penalty_of(prepared),
        stop=EarlyStopping(settings.patience_for(epochs)) if split.validation.size else None,
        callbacks=callbacks,
        progress=progress,
        seed=settings.seed,
        checkpoint=checkpoint,
        resume=resume,
    )
    return _finish(prepared, name, network, history)


def loss_of(prepared: Prepared) -> Loss:
    """What is minimised, apart from the penalty: a function of outputs and encoded targets."""
    if prepared.preprocessor.target.task == "regression":
        return nn.squared_error
    return partial(nn.cross_entropy, label_smoothing=prepared.settings.label_smoothing)


def penalty_of(prepared: Prepared) -> Penalty | None:
    """The penalty on the weights, if one was asked for."""
    return nn.l2(prepared.settings.penalty) if prepared.settings.penalty else None


def _finish(prepared: Prepared, name: str, network: nn.MLP, history: History) -> Trained:
    split, kept = prepared.split, history.replicas[history.best]
    rise = risen(kept.loss)
    if rise:
        warn(f"{rise}. {SMALLER_STEPS}", user_line())
    features, actual = prepared.encoded(split.scored)
    outputs = network_outputs(network, features)
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
        settings=prepared.settings.listed(),
    )
    model = TableModel(prepared.architecture, network, prepared.preprocessor, facts)
    return Trained(model, history, score, prepared)
