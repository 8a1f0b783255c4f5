"""Several networks for one table, each trained on all folds of its rows but one: every row trains and judges."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from chainrule.data import Preprocessor
from chainrule.nn.module import Module
from chainrule.tables.mixture import Mixture, SideBySide
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.row_weights import weights_of
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


def together(member: Module) -> Sequence[Module]:
    """The networks of one fold: one of each kind."""
    return member.networks if isinstance(member, SideBySide) else [member]


def ensemble_of(
    prepared: Prepared, member: Module, history: History, sets: Sequence[Fold]
) -> tuple[Mixture, OutOfFold]:
    """The networks of a run as one, and as what they say of rows that they did not train on.

    After Ctrl-C they are those that have finished an epoch at least.
    """
    classes, members, unseen = bool(prepared.preprocessor.target.classes), [], []
    for replica, rows in zip(history.replicas, sets, strict=False):
        if np.isfinite(replica.score):
            one = copy.deepcopy(member)
            one.load_state_dict(replica.state)
            networks = [network.eval() for network in together(one)]
            members += networks
            unseen += [rows.validation] * len(networks)
    judged = OutOfFold(members, unseen, classes)
    if classes:
        labels = prepared.training.target
        outputs = judged.outputs(prepared.training.features, np.arange(len(labels)))
        known = np.isfinite(outputs).all(1)
        weights = weights_of(prepared, prepared.split.training)
        temperature = find_temperature(
            outputs[known], labels[known], None if weights is None else weights[known]
        )
        judged = replace(judged, temperature=temperature)
    return Mixture(members, classes=classes, temperature=judged.temperature), judged
