"""The errors that intervals and label sets are made of, and how often these hold the truth on rows that judge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.tables.error_scale import Scale, find_scale
from chainrule.tables.intervals import conformal_place, likely_enough
from chainrule.tables.model import TableModel
from chainrule.tables.scored import Scored

Floats = NDArray[np.float64]
LEVELS = 0.5, 0.8, 0.9, 0.95
FOLDS = 8
CELLS = 20_000_000  # rows times classes, at most, whose label sets are counted


class Judged(NamedTuple):
    """Of rows that judge: their errors [rows] divided by the rows' scales [rows], and where scales come from.

    Errors are in the target's units, of classes 1 - the probability of the right class, whose scales are 1.
    """

    errors: Floats
    of_rows: Floats
    scale: Scale


class Coverage(NamedTuple):
    """How often intervals, or label sets, for a probability held the truth, and how large they were on average.

    ``size`` is the width in the target's units, or the number of classes in a set.
    """

    probability: float
    covered: float
    size: float


def judged_errors(model: TableModel, scored: Scored) -> Judged:
    """The errors of the rows that a score is of, scaled where that makes intervals narrower."""
    if model.classes:
        doubts = 1 - scored.predicted[np.arange(len(scored.actual)), scored.actual]
        return Judged(doubts, np.ones(len(doubts)), ())
    errors = np.abs(scored.predicted - scored.actual)
    unit = model.preprocessor.target.standard_deviation
    found = find_scale(scored.outputs[:, 0].astype(np.float64), errors / unit)
    return Judged(errors / found.of_rows, found.of_rows, found.scale)


def coverage_of(model: TableModel, scored: Scored) -> tuple[Coverage, ...]:
    """For some probabilities how often intervals or label sets hold the truth, each row's made of other rows' errors.

    The rows are dealt into eight parts, and those of one are judged by the errors of the seven others. A probability
    that so few rows do not allow is left out.
    """
    if len(scored.actual) < 2:
        return ()
    errors, of_rows, _ = judged_errors(model, scored)
    order = np.random.default_rng(0).permutation(len(errors))
    order = order[: max(CELLS // max(len(model.classes), 1), 1)]
    errors, of_rows, parts = errors[order], of_rows[order], np.arange(len(order)) % FOLDS
    held, sizes = np.zeros((len(LEVELS), len(order)), bool), np.zeros((len(LEVELS), len(order)))
    fewest = len(order)
    for fold in range(min(FOLDS, len(order))):
        mine = parts == fold
        others = errors[~mine]
        fewest = min(fewest, len(others))
        places = [min(conformal_place(len(others), level), len(others)) - 1 for level in LEVELS]
        others = np.partition(others, places)  # in order at these places
        for i, most in enumerate(others[places].tolist()):
            held[i, mine], sizes[i, mine] = errors[mine] <= most, 2 * most * of_rows[mine]
            if model.classes:
                judged, said = scored.predicted[order[mine]], scored.labels[order[mine]]
                sets = likely_enough(judged, most, said)
                held[i, mine], sizes[i, mine] = (
                    sets[np.arange(len(sets)), scored.actual[order[mine]]],
                    sets.sum(1),
                )
    allowed = [i for i, level in enumerate(LEVELS) if conformal_place(fewest, level) <= fewest]
    return tuple(Coverage(LEVELS[i], float(held[i].mean()), float(sizes[i].mean())) for i in allowed)
