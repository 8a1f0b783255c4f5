"""Columns that give the target away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import list_some
from chainrule.data.features.columns import Column
from chainrule.foreign_text import quoted
from chainrule.inspect.diagnosis.ranks import rank_correlation
from chainrule.number_text import readable
from chainrule.tables.finding import Draft, without_columns
from chainrule.tables.importance import features_of_columns
from chainrule.tables.order import is_sorted

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

COLUMNS = 20  # the steepest ones, that are tried alone
ROWS = 2000  # on which they are
MISTAKES = 30  # of a constant, at least, so that avoiding them all is no luck
DECIDES = 0.995  # of the constant's mistakes or squared error that one column avoids
FOLDS = 5
TREND = 0.9  # rank correlation with the place in the table


def find_deciding_columns(trained: Trained) -> Iterator[Draft]:
    """Columns each of which alone, by the rows nearest in it, predicts the target of rows that were left out."""
    parts = features_of_columns(trained.model)
    if len(parts) < 2:
        return
    columns = {column.name: column for column in trained.model.preprocessor.used}
    chosen = [c.name for c in sorted(trained.importances.columns, key=lambda c: -c.slope)[:COLUMNS]]
    x, y = trained.prepared.arranged
    in_order = np.argsort(np.concatenate(trained.prepared.split.parts), kind="stable")
    rows = in_order[np.sort(np.random.default_rng(0).permutation(len(y))[:ROWS])]
    x, y = x[rows], y[rows].reshape(len(rows))
    is_classes = trained.model.task == "classification"
    chosen = [name for name in chosen if not _share_a_trend(x[:, parts[name]], y, is_classes)]
    skills = {name: skill_alone(columns[name], x[:, parts[name]], y, is_classes) for name in chosen}
    found = [name for name, skill in skills.items() if skill >= DECIDES]
    if not found or len(found) == len(parts):
        return
    names = list_some([quoted(name) for name in found], limit=5)
    one = len(found) == 1
    left = _score_without(trained, [parts[name] for name in found])
    left = left and f"; without {'it' if one else 'them'} {left}"
    yield Draft(
        "leak",
        "severe",
        f"{names} alone {'decides' if one else 'decide, each by itself,'} the target: if "
        f"{'it is' if one else 'they are'} known only once the target is, the score is worth nothing.",
        f"{'this column' if one else 'each column'} alone removes "
        f"{'' if one else 'at least '}{min(skills[name] for name in found):.1%} of the constant's "
        f"{'mistakes' if is_classes else 'squared error'}{left}",
        without_columns(found[:5]),
        (
            "A column that is filled in together with the target, or follows from it, is not there for new rows.",
        ),
    )


def _share_a_trend(x: NDArray[np.float32], y: NDArray[Any], is_classes: bool) -> bool:
    """Whether a number and the target both rise or fall along the table, which is no wonder in a series of years."""
    if is_classes or x.shape[1] > 1 or is_sorted(y, is_classes):
        return False
    along = np.arange(len(y))
    return all(abs(rank_correlation(along, values)) > TREND for values in (x[:, 0], y))


def skill_alone(column: Column, x: NDArray[np.float32], y: NDArray[Any], is_classes: bool) -> float:
    """The share of a constant's mistakes or squared error that a column's features [rows, width] avoid by themselves.

    Cross-validated: a row is predicted by those nearest to it among the others, as a tree does that is grown to its
    end. Words and categories with effects, which are several numbers, are given to such a tree.
    """
    wrong = len(y) - int(np.bincount(y).max()) if is_classes else float(np.square(y - y.mean()).sum())
    if wrong < MISTAKES if is_classes else len(y) < MISTAKES or not wrong:
        return 0.0
    place, predicted, fold = _place(column, x), np.empty_like(y), np.arange(len(y)) % FOLDS
    for k in range(FOLDS):
        out = fold == k
        if place is None:
            predicted[out] = _tree(x[~out], y[~out], x[out], is_classes)
        else:
            predicted[out] = nearest_say(place[~out], y[~out], place[out], is_classes)
    left = np.count_nonzero(predicted != y) if is_classes else float(np.square(y - predicted).sum())
    return 1 - left / wrong


def _place(column: Column, x: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """One number for each row that says all that its features say; None where several are needed."""
    if column.kind == "words" or column.has_effects:
        return None
    wide = x.astype(np.float64)
    return wide[:, 0] if x.shape[1] == 1 else wide @ np.arange(1.0, x.shape[1] + 1)


def nearest_say(
    known: NDArray[np.float64], y: NDArray[Any], asked: NDArray[np.float64], is_classes: bool
) -> NDArray[Any]:
    """The commonest class, or the mean, of the rows whose place [n] is nearest to each place that is ``asked`` for.

    >>> nearest_say(np.array([0.0, 0.0, 1.0]), np.array([2.0, 4.0, 9.0]), np.array([0.4, 0.6]), False).tolist()
    [3.0, 9.0]
    """
    places, group = np.unique(known, return_inverse=True)
    if is_classes:
        pairs, counts = np.unique(np.stack([group, y], 1), axis=0, return_counts=True)
        said = np.empty(len(places), y.dtype)
        order = np.lexsort((-pairs[:, 1], counts))  # of what is written twice the last one stays
        said[pairs[order, 0]] = pairs[order, 1]
    else:
        said = (np.bincount(group, y) / np.bincount(group)).astype(y.dtype)
    return said[np.searchsorted((places[:-1] + places[1:]) / 2, asked)]


def _tree(
    x: NDArray[np.float32], y: NDArray[Any], asked: NDArray[np.float32], is_classes: bool
) -> NDArray[Any]:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = DecisionTreeClassifier if is_classes else DecisionTreeRegressor
    return np.asarray(tree(random_state=0).fit(x, y).predict(asked))


def _score_without(trained: Trained, parts: Sequence[slice]) -> str:
    """What a linear model reaches without some columns, in words."""
    target = trained.model.preprocessor.target
    if trained.linear is None:
        return ""
    found = trained.linear_without(parts)
    if found is None:
        return ""
    if target.task == "classification":
        right = float(np.mean(found.argmax(1) == trained.scored.actual))
        return f"a linear model reaches accuracy {readable(right)}"
    off = target.standard_deviation * float(np.sqrt(np.mean(np.square(found - trained.scored.encoded[:, 0]))))
    return f"a linear model reaches RMSE {readable(off)}"
