"""How far the networks of an ensemble differ on the rows that judge, and whether that tells where it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.report import Spread

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

Floats = NDArray[np.float64]
FIFTHS = 5
TELLS = 1.5  # times the error where networks agree most, from which it says where to be careful
NOISE = 1.65  # standard errors: chance alone makes more of a difference in one of 20 cases
FEWEST = 50  # rows, of which fifths say something


def spread_of(trained: Trained) -> Spread | None:
    """Rows in five parts by how far networks differ, with the error of each part; None for a single network.

    Only networks that did not train on a row are asked about it. They differ by the deviation of their predictions: of
    numbers in the target's units, of classes that of the probability of the class that they predict together.
    """
    judged, scored, model = trained.out_of_fold, trained.scored, trained.model
    if judged is None or len(scored.actual) < FEWEST:
        return None
    features = trained.prepared.scored.features
    unseen = None if trained.judge is None else trained.scored_places
    sums, squares, count, agree = (np.zeros(len(features)) for _ in range(4))
    together = scored.labels if model.classes else scored.actual
    for member, rows in zip(judged.members, judged.unseen, strict=True):
        mine = np.arange(len(features)) if unseen is None else np.flatnonzero(np.isin(unseen, rows))
        outputs = member.predict(features[mine])
        if model.classes:
            outputs = (outputs / judged.temperature).astype(np.float32)
            agree[mine] += model.said(outputs) == together[mine]
            values = model.probabilities(outputs)[np.arange(len(mine)), together[mine]]
        else:
            values = outputs[:, 0].astype(np.float64) * model.preprocessor.target.standard_deviation
        sums[mine] += values
        squares[mine] += np.square(values)
        count[mine] += 1
    if count.min() < 2:
        return None
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0) * count / (count - 1))
    wrong = together != scored.actual if model.classes else np.abs(scored.predicted - scored.actual)
    parts = np.array_split(np.argsort(deviation, kind="stable"), FIFTHS)
    same = agree == count
    return Spread(
        np.array([deviation[part].mean() for part in parts]),
        np.array([wrong[part].mean() for part in parts]),
        float(deviation.mean()),
        networks=int(count.max()),
        tells=_tells(wrong[parts[0]].astype(np.float64), wrong[parts[-1]].astype(np.float64)),
        alike=float(same.mean()) if model.classes else None,
        wrong_alike=float(wrong[same].mean()) if model.classes and same.any() else None,
        wrong_apart=float(wrong[~same].mean()) if model.classes and not same.all() else None,
    )


def _tells(agreed: Floats, differed: Floats) -> bool:
    """Whether errors [rows] are larger where networks differ most than where they agree: by much, and beyond chance."""
    error = np.sqrt(agreed.var() / len(agreed) + differed.var() / len(differed))
    more = float(differed.mean() - agreed.mean())
    return bool(more > NOISE * error and more > (TELLS - 1) * agreed.mean())
