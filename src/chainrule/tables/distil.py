"""One small network that imitates an ensemble (Hinton et al., 2015): where a model must be small and answer at once.

In goes a trained ensemble; out come the network, how its training went, and the settings that describe it. See
``training.py`` for who calls this, and for how the network is scored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.nn.module import Module
from chainrule.number_text import readable
from chainrule.ops.record import Array
from chainrule.tables.importance import features_of_columns
from chainrule.tables.mixture import log_probabilities
from chainrule.tables.model import network_outputs
from chainrule.tables.prepared import Encoded, Prepared
from chainrule.tables.recipe import Recipe
from chainrule.tables.row_weights import weights_of, with_weights
from chainrule.tables.settings import TrainingSettings
from chainrule.tensor import Tensor
from chainrule.training import History, fit

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

HIDDEN = (64, 64)
COPIES, CELLS = 3, 50_000_000  # of each row at most, with other cells; and features of all of them
SWAPPED = 0.2  # of a copy's cells are another row's
LONGER = 2  # times the epochs of the ensemble's networks: it has only itself, and hardly learns by heart
WEIGHT_DECAY = 0.01  # what it imitates is smooth already


class Student(NamedTuple):
    """A network that imitates an ensemble, the table as it is for it, and how its training went."""

    prepared: Prepared
    network: Module
    history: History


def check_distil(settings: TrainingSettings | Recipe) -> None:
    """SettingError where there is no ensemble to imitate, or no rows to judge an imitation by."""
    if isinstance(settings, Recipe):
        asked, held_out = settings.changes.get("distil", False), settings.changes.get("held_out", 1)
    else:
        asked, held_out = settings.distil, settings.held_out
        if asked and not settings.ensemble:
            raise SettingError(
                "distil has one network imitate an ensemble, and a single network is asked for",
                expected="an ensemble",
                got="ensemble=False",
                hint="leave out one of the two",
            )
    if asked and not held_out:
        raise SettingError(
            "a network that imitates an ensemble is judged by rows that neither was trained on",
            expected="a share above 0",
            got="held_out=0",
            hint="held_out=0.2",
        )


def students_settings(settings: TrainingSettings) -> TrainingSettings:
    """The settings of the network that imitates an ensemble of these settings."""
    return replace(
        settings,
        ensemble=False,
        hidden=HIDDEN,
        scaling="standard",
        embedding="none",
        dropout=0.0,
        batch_norm=False,
        restarts=1,
        validation=0.0,
        penalty=0.0,
        weight_decay=WEIGHT_DECAY,
    )


def taught(
    trained: Trained,
    prepared: Prepared,
    *,
    progress: bool | Literal["auto"] = "auto",
    threads: int | None = None,
) -> Student:
    """Train a small network to answer like the ensemble of ``trained`` on the rows that trained the ensemble.

    ``prepared`` is the table as it is for a single network. The targets are the ensemble's probabilities or numbers;
    no held-out row is read. After Ctrl-C ``history.interrupted`` is true.
    """
    settings = prepared.settings
    lessons = lessons_of(trained, settings.seed)
    rows = len(lessons.features)
    epochs = LONGER * settings.epochs_for(len(trained.prepared.training.target))
    steps = epochs * -(-rows // settings.batch_size)
    network = prepared.architecture.member(settings.seed, lessons.features)
    weights = weights_of(trained.prepared, trained.prepared.split.training)
    weights = None if weights is None else np.tile(weights, rows // len(weights))
    classes = bool(trained.model.classes)
    history = fit(
        network,
        with_weights(lessons, weights),
        loss=(soft_cross_entropy if classes else nn.squared_error) if weights is None else _weighted(classes),
        optimizer=optim.AdamW(optim.CosineDecay(settings.lr, steps), weight_decay=settings.weight_decay),
        epochs=epochs,
        batch_size=settings.batch_size,
        progress=progress,
        seed=settings.seed,
        threads=threads,
    )
    return Student(prepared, network, history)


def lessons_of(trained: Trained, seed: int = 0) -> Encoded:
    """The rows that trained an ensemble, with what it says of them: probabilities, or standardised numbers.

    Behind them come copies, a fifth of whose cells are those of other rows: the ensemble answers for any row, and the
    more rows the network has to imitate, the nearer it comes (Bucila et al., 2006). With them it errs as the ensemble
    does on kin8nm (RMSE 0.0636 against 0.0636, without 0.0688) and on segment (0.977, without 0.960).
    """
    rows = trained.prepared.training.features
    rng = np.random.default_rng(seed)
    parts = features_of_columns(trained.model).values()
    copies = min(COPIES, max(CELLS // rows.size - 1, 0))
    features = np.concatenate([rows, *(_swapped(rows, parts, rng) for _ in range(copies))])
    said: Array = network_outputs(trained.model.network, features)
    if trained.model.classes:
        said = np.exp(log_probabilities(said)).astype(np.float32)
    return Encoded(features, said)


def _swapped(
    rows: NDArray[np.float32], parts: Iterable[slice], rng: np.random.Generator
) -> NDArray[np.float32]:
    """The rows with some cells of other rows; all features of a column are swapped together."""
    found = rows.copy()
    for part in parts:
        mine = np.flatnonzero(rng.random(len(rows)) < SWAPPED)
        found[mine, part] = rows[rng.permutation(len(rows))[: len(mine)], part]
    return found


def soft_cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """The mean over the rows of -sum(p log q): logits ``outputs`` against probabilities p, both [batch, classes]."""
    return -f.mean(f.sum(target * f.log_softmax(outputs, -1), -1))


def _weighted(classes: bool) -> Any:
    """The same loss, or the squared error, of rows with a weight as the target's last column."""

    def loss(outputs: Tensor, target: Tensor) -> Tensor:
        said, weights = target[:, :-1], target[:, -1]
        if classes:
            return -f.mean(weights * f.sum(said * f.log_softmax(outputs, -1), -1))
        return f.mean(weights * f.sum((outputs - said) ** 2, -1))

    return loss


def describe_teacher(trained: Trained) -> str:
    """What a network imitates, with the score of that on the same rows."""
    score, networks = trained.score, trained.model.architecture.networks
    return (
        f"one network imitates the ensemble of {networks}, whose {score.metric} on the same rows is "
        f"{readable(score.value)}"
    )
