"""What a model of classes is judged by, and the class that it says for that: chosen on rows that it did not train on.

The score is never of rows that chose the decision that they are judged by: out of fold, each fold is judged by the
decision of the others; held-out rows are judged by that of all training rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.tables.decision import AIMS, OF_LABELS, Decision, decided, find_decision
from chainrule.tables.metrics import MOST_CLASSES
from chainrule.tables.model import TableModel, network_outputs
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.row_weights import TINY, class_shares, weights_of
from chainrule.tables.scored import Scored
from chainrule.tables.settings import TrainingSettings

if TYPE_CHECKING:
    from chainrule.tables.prepared import Prepared, Split

Labels = NDArray[np.int64]


def check_aim(settings: TrainingSettings, target: Target) -> None:
    """SettingError where the task does not have the aim, or has no classes to weigh."""
    for name in ("aim", "class_weight"):
        value = getattr(settings, name)
        if value is not None and target.task == "regression":
            raise SettingError(
                f"{name.replace('_', ' ')} {value} is of classes, and {quoted(target.name)} is a number",
                expected="a target of classes",
                got="a regression, which is scored by its RMSE",
                hint="task='classification' if its values are classes",
            )
    if settings.aim == "auc" and len(target.classes) > MOST_CLASSES:
        raise SettingError(
            f"AUC is not computed for so many classes: {len(target.classes)}",
            expected=f"at most {MOST_CLASSES}",
            hint="aim='log-loss'",
        )


def metric_of(settings: TrainingSettings, target: Target) -> str:
    """The measure that the score is of."""
    if target.task == "regression":
        return "RMSE"
    if settings.aim is not None:
        return AIMS[settings.aim]
    return "accuracy" if settings.class_weight is None else "balanced accuracy"


def unsmoothed_if_weighted(settings: TrainingSettings) -> tuple[TrainingSettings, list[str]]:
    """Settings without label smoothing where classes are weighed: the frequencies could not be put back exactly."""
    if settings.class_weight is None or not settings.label_smoothing:
        return settings, []
    return replace(settings, label_smoothing=0.0), ["labels are not smoothed, because classes are weighed"]


def notices_of_aim(settings: TrainingSettings, split: Split) -> list[str]:
    """A notice where no rows are there to choose a decision by."""
    if settings.aim in OF_LABELS and not settings.ensemble and not split.validation.size:
        return [f"no rows choose the class to say for the aim {settings.aim}: the likeliest is said"]
    return []


def with_decision(
    prepared: Prepared, model: TableModel, scored: Scored, judged: OutOfFold | None
) -> tuple[TableModel, Scored]:
    """The model with the class that it says for its aim, and the scored rows with what is said of them.

    Where classes are weighed and no aim is said, the class is the one that would be likeliest if all were as frequent.
    """
    aim = prepared.settings.aim
    if aim is None and prepared.settings.class_weight is not None:
        evenly = 1.0 / np.maximum(class_shares(prepared), TINY)
        decision = tuple((evenly / evenly.sum()).tolist())
        said = decided(scored.predicted, decision)
        return replace(model, facts=replace(model.facts, decision=decision)), replace(scored, said=said)
    if aim not in OF_LABELS:
        return model, scored
    if judged is not None and not prepared.split.held_out.size:
        decision = find_decision(scored.predicted, scored.actual, aim, scored.weights)
        said = cross_fitted(judged, scored, aim)
    else:
        decision = _chosen_apart(prepared, model, judged, aim)
        said = decided(scored.predicted, decision)
    return replace(model, facts=replace(model.facts, decision=decision)), replace(scored, said=said)


def _chosen_apart(prepared: Prepared, model: TableModel, judged: OutOfFold | None, aim: str) -> Decision:
    """The decision by rows that are not scored: out of fold, or of a single network those that choose the epoch."""
    if judged is None:
        (features, actual), rows = prepared.validation, prepared.split.validation
        if not rows.size:
            return ()
        outputs = network_outputs(model.network, features)
    else:
        (features, actual), rows = prepared.training, prepared.split.training
        outputs = judged.outputs(features, np.arange(len(actual)))
    known = np.isfinite(outputs).all(1)
    weights = weights_of(prepared, rows[known])
    return find_decision(model.probabilities(outputs[known]), actual[known], aim, weights)


def cross_fitted(judged: OutOfFold, scored: Scored, aim: str) -> Labels:
    """What is said of each scored row, of each fold by the decision that the other folds chose."""
    places = np.unique(np.concatenate(judged.unseen))

    def say(others: Labels, fold: Labels) -> Labels:
        choose, mine = np.searchsorted(places, others), np.searchsorted(places, fold)
        weights = None if scored.weights is None else scored.weights[choose]
        decision = find_decision(scored.predicted[choose], scored.actual[choose], aim, weights)
        return decided(scored.predicted[mine], decision)

    said = judged.by_folds(say)
    assert said is not None
    return said
