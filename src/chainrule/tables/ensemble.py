"""Several networks for one table, each trained on all folds of its rows but one: every row trains and judges."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Preprocessor
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tables.architecture import Architecture
from chainrule.tables.linear import fit_linear
from chainrule.tables.mixture import Mixture, SideBySide
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.prepared import Encoded
from chainrule.tables.row_weights import class_shares, weights_of, with_prior, with_weights
from chainrule.tables.shares import find_shares, mixed
from chainrule.tables.splits import dealt
from chainrule.tables.temperature import find_temperature
from chainrule.training import History
from chainrule.training.folds import Fold

if TYPE_CHECKING:
    from chainrule.tables.prepared import Prepared


def number_places(preprocessor: Preprocessor) -> tuple[int, ...]:
    """Which features are numbers or times, by their position."""
    places, start = [], 0
    for column in preprocessor.columns:
        if column.kind in {"numeric", "time"}:
            places.append(start)
        start += column.width
    return tuple(places)


def folds_for(prepared: Prepared) -> tuple[Fold, ...]:
    """The rows, counted among those that train, of each network; none where a single network is trained."""
    settings, target = prepared.settings, prepared.preprocessor.target
    if not settings.ensemble:
        return ()
    names = np.array(target.classes, dtype=object)  # so that warnings call the classes by their names
    labels = names[prepared.training.target] if target.classes else None
    return tuple(dealt(prepared.split.training, settings, labels, prepared.roles))


def judge_apart(prepared: Prepared) -> None:
    """Give each training row the means of targets that the network knows which it is judged by: its own has no part.

    The features of ``prepared`` are written to; nothing changes where no feature is such a mean.
    """
    if prepared.preprocessor.has_target_means:
        features = prepared.training.features
        with warnings.catch_warnings():  # what is to be said of the folds, training says
            warnings.simplefilter("ignore")
            folds = folds_for(prepared)[: prepared.settings.folds]
        for fold in folds:
            features[fold.validation] = prepared.for_network(fold)[fold.validation]


def rows_for(
    prepared: Prepared, sets: Sequence[Fold], weights: NDArray[np.float64] | None
) -> tuple[Encoded, list[Fold]]:
    """The training rows as networks take them, and which of them each network trains on and is judged by.

    Where features are means of targets, each network has copies of the rows with means of its own.
    """
    rows = prepared.training
    if not sets or not prepared.preprocessor.has_target_means:
        return with_weights(rows, weights), list(sets)
    count = len(rows.target)
    features = np.concatenate([prepared.for_network(fold) for fold in sets])
    every = Encoded(features, np.concatenate([rows.target] * len(sets)))
    return (
        with_weights(every, None if weights is None else np.tile(weights, len(sets))),
        [Fold(fold.train + i * count, fold.validation + i * count) for i, fold in enumerate(sets)],
    )


def together(member: Module) -> Sequence[Module]:
    """The networks of one fold: one of each kind."""
    return member.networks if isinstance(member, SideBySide) else [member]


def ensemble_of(
    prepared: Prepared, trained: Module, history: History, sets: Sequence[Fold]
) -> tuple[Architecture, Mixture, OutOfFold]:
    """The networks of a run as one, and as what they say of rows that they did not train on.

    A linear model of the same rows is one more kind of network. How much each kind counts is found on the rows that
    each left out; a kind that does not count is not kept. After Ctrl-C there are the networks that have finished an
    epoch at least.
    """
    features, target = prepared.training
    classes = bool(prepared.preprocessor.target.classes)
    weights = weights_of(prepared, prepared.split.training)
    finished = [
        (replica, fold)
        for replica, fold in zip(history.replicas, sets, strict=False)
        if np.isfinite(replica.score)
    ]
    prior = class_shares(prepared) if prepared.settings.class_weight is not None else None
    by_fold = [
        [with_prior(network, prior) for network in _networks_of(trained, replica.state)]
        for replica, _ in finished
    ]
    linear = [_linear_network(prepared, fold, weights) for _, fold in finished]
    with_linear = [[*own, line] for own, line in zip(by_fold, linear, strict=True) if line is not None]
    has_linear = len(with_linear) == len(by_fold)
    by_fold = with_linear if has_linear else by_fold
    unseen = [fold.validation for _, fold in finished]
    by_kind = list(zip(*by_fold, strict=True))
    architecture = replace(prepared.architecture, members=len(finished))
    every = np.arange(len(target))
    said = [OutOfFold(one, unseen, [1.0] * len(one), classes).outputs(features, every) for one in by_kind]
    outputs = np.stack(said).astype(np.float64)
    known = np.isfinite(outputs).all((0, 2))
    usual = architecture.usual_shares[: len(by_kind)]
    judging = None if weights is None else weights[known]
    shares = find_shares(outputs[:, known], target[known], usual, judging)
    absent = (0.0,) * (len(architecture.usual_shares) - len(shares))
    architecture = replace(architecture, shares=shares + absent)
    kept = [i for i, share in enumerate(shares) if share > 0]
    members, left_out, counts = [], [], []
    for own, rows in zip(by_fold, unseen, strict=True):
        members += [own[i].eval() for i in kept]
        left_out += [rows] * len(kept)
        counts += [shares[i] for i in kept]
    temperature = 1.0
    if classes:
        temperature = find_temperature(mixed(outputs[:, known], shares), target[known], judging)
    together = [count / len(finished) for count in counts]
    return (
        architecture,
        Mixture(members, shares=together, classes=classes, temperature=temperature),
        OutOfFold(members, left_out, counts, classes, temperature, outputs[-1] if has_linear else None),
    )


def _networks_of(trained: Module, state: Mapping[str, Array]) -> list[Module]:
    """The networks of one fold, one of each kind."""
    one = copy.deepcopy(trained)
    one.load_state_dict(state)
    return list(together(one))


def _linear_network(prepared: Prepared, fold: Fold, weights: NDArray[np.float64] | None) -> Module | None:
    """The linear model of the rows that a fold trains on, as a network; None where they have one class only."""
    features, classes = prepared.for_network(fold), len(prepared.preprocessor.target.classes)
    found = fit_linear(features, prepared.training.target, classes, fold.train, weights)
    if found is None:
        return None
    network = prepared.architecture.linear()
    network.load_state_dict(
        {"weight": found.weights.T.astype(np.float32), "bias": found.bias.astype(np.float32)}
    )
    return network
