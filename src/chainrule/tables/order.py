"""Columns and rows that stand for a place in time: rows drawn at random then judge what lies between known ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import list_some
from chainrule.data.features.numbers import column_numbers
from chainrule.foreign_text import clipped, quoted
from chainrule.tables.finding import Draft, Remedy, without_columns
from chainrule.tables.metrics import MOST_CLASSES

if TYPE_CHECKING:
    import polars as pl

    from chainrule.tables.trained import Trained

Floats = NDArray[np.float64]
IDENTIFIER = re.compile(r"(^|[^a-z])(id|ids|key|index|uuid|guid|nr|no|number|row|rownames?)([^a-z]|$)|id$")
TIMES = re.compile(r"year|date|time|month|week|day|hour")
YEARS = 1000, 2200
FEWEST = 50  # rows that a judgement needs
FOLLOWS = 0.5  # correlation of a row's target with that of the row before
ROWS = 2000
FOLDS = 5
GOOD = 0.3  # skill on rows drawn at random, below which there is nothing to lose
SORTED = 0.9  # of the steps from row to row go the same way
COUNTS_UP = 0.99  # correlation of an identifier with the place in the table: numbers are given in turn
REPEATS = 0.1  # of the rows of a sorted column have the number of the row before: more are groups
GROWN = 4.0  # times what a skill leaves unexplained, on whole stretches of rows
LOST = 0.5  # of the skill itself: then the score is worth little
REASON = (
    "The rows held out are drawn at random, so that their neighbours train the network; later rows have none."
)


def find_identifiers(trained: Trained) -> Iterator[Draft]:
    """Columns of whole numbers that all differ, and that count up or are called like an identifier."""
    frame, used = trained.prepared.frame, trained.model.preprocessor.used
    if frame.height < FEWEST:
        return
    matter = {column.name for column in trained.importances.columns if not column.is_noise}
    for column in used:
        values = _whole_numbers(frame[column.name]) if column.kind == "numeric" else None
        if values is None or _tells_time(frame[column.name], column.kind):
            continue
        steps = np.diff(values)
        rises = bool((steps > 0).all() or (steps < 0).all()) and _counts_up(values)
        named = bool(IDENTIFIER.search(column.name.lower())) and len(np.unique(values)) == len(values)
        if rises or named:
            yield _identifier(column.name, rises, column.name in matter)


def _counts_up(values: Floats) -> bool:
    """Whether numbers rise evenly from row to row; a table that is sorted by a quantity rises unevenly."""
    return abs(float(np.corrcoef(values, np.arange(len(values)))[0, 1])) > COUNTS_UP


def _identifier(name: str, rises: bool, matters: bool) -> Draft:
    what = "rises from row to row" if rises else "has another whole number in every row"
    return Draft(
        "identifier",
        "warning" if matters else "note",
        f"{quoted(name)} looks like an identifier"
        + (": the model uses it, and new rows have numbers that it has not seen." if matters else "."),
        f"it {what}",
        without_columns([name]),
        ("A number that only names a row tells something by the order in which rows were written down.",),
    )


def _tells_time(series: pl.Series, kind: str) -> bool:
    """Whether a column holds dates, or numbers that look like years or are called like a time and rise."""
    if kind != "numeric":
        return kind == "time"
    values = _whole_numbers(series) if TIMES.search(series.name.lower()) else None
    if values is None:
        return False
    years = bool((values >= YEARS[0]).all() and (values <= YEARS[1]).all())
    return years or bool((np.diff(values) >= 0).all() or (np.diff(values) <= 0).all())


def _whole_numbers(series: pl.Series) -> Floats | None:
    """The values of a column of whole numbers; None for another, of which mostly the first value says enough."""
    first = series[0] if series.dtype.is_float() else None
    if first is not None and not float(first).is_integer():
        return None
    values = column_numbers(series)
    return values if np.isfinite(values).all() and np.array_equal(values, np.round(values)) else None


def find_dates(trained: Trained) -> Iterator[Draft]:
    """Columns of dates, whose later rows nobody judges."""
    frame, used = trained.prepared.frame, trained.model.preprocessor.used
    names = [column.name for column in used if _tells_time(frame[column.name], column.kind)]
    if trained.prepared.settings.time_order is not None:
        return
    if names and trained.prepared.split.scored_on != "training":
        series = frame[names[0]].drop_nulls()
        yield Draft(
            "dates split at random",
            "note",
            f"The table has times ({list_some([quoted(name) for name in names], limit=3)}), and rows are held out "
            "at random: how well later rows are predicted, the score does not say.",
            f"from {series.min()!s} to {series.max()!s}",
            Remedy(
                f"--time {shlex.quote(clipped(names[0]))}: then later rows judge what earlier ones trained",
                f"time_order={clipped(names[0])!r}: then later rows judge what earlier ones trained",
            ),
            (REASON,),
        )


def find_rows_in_order(trained: Trained) -> Iterator[Draft]:
    """Targets that follow those of the row before, where single rows are predicted far better than whole stretches."""
    split = trained.prepared.split
    settings = trained.prepared.settings
    if (
        settings.group is not None or settings.time_order is not None
    ):  # the user knows, and the score is of it
        return
    if len(split.training) < FEWEST or split.scored_on == "training":
        return
    order = np.concatenate(split.parts)
    place = np.argsort(order, kind="stable")
    y = trained.prepared.arranged.target.reshape(len(order))[place]
    is_classes = trained.model.task == "classification"
    if len(trained.model.classes) > MOST_CLASSES:  # a forest of so many outputs takes minutes
        return
    follows = follows_row_before(y, is_classes)
    if follows < FOLLOWS or is_sorted(y, is_classes) or _is_sorted_by_quantity(trained):
        return
    x = trained.prepared.arranged.features[place]
    if len(y) > ROWS:  # a stretch of the table, for drawing rows would take the neighbours away
        start = (len(y) - ROWS) // 2
        x, y = x[start : start + ROWS], y[start : start + ROWS]
    among, apart = _skills(x, y, is_classes)
    if among < GOOD or 1 - apart < GROWN * (1 - among):
        return
    yield Draft(
        "rows in order",
        "severe" if apart < LOST * among else "warning",
        "Neighbouring rows of the table are alike, and rows are held out at random: for rows from elsewhere (later "
        "ones, other groups) the model will do worse than the score says.",
        f"correlation with the previous row: {follows:.2g}; a forest's skill is {among:.2g} on rows drawn at random "
        f"and {max(apart, 0.0):.2g} on whole stretches of the table",
        Remedy(
            "--group COLUMN if a column says which rows belong together, --time COLUMN if one says when they are from",
            "group='COLUMN' if a column says which rows belong together, or time_order='COLUMN'",
        ),
        (REASON,),
    )


def _is_sorted_by_quantity(trained: Trained) -> bool:
    """Whether the rows stand in the order of a column's numbers that are no times, groups or counters."""
    frame = trained.prepared.frame
    for column in trained.model.preprocessor.used:
        if column.kind != "numeric" or TIMES.search(column.name.lower()):
            continue
        values = column_numbers(frame[column.name], column.kind)
        steps = np.diff(values)
        if (
            np.isfinite(values).all()
            and np.mean(steps == 0) < REPEATS
            and _goes_one_way(steps)
            and not _counts_up(values)
        ):
            return True
    return False


def _goes_one_way(steps: Floats) -> bool:
    """Whether nearly all steps that are not 0 rise, or fall."""
    steps = steps[steps != 0]
    return len(steps) == 0 or bool(max(np.mean(steps > 0), np.mean(steps < 0)) > SORTED)


def follows_row_before(y: NDArray[Any], is_classes: bool) -> float:
    """How much a row's target has in common with that of the row before: 0 is chance, 1 all."""
    if not is_classes:
        a, b = y[:-1].astype(np.float64), y[1:].astype(np.float64)
        return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0
    shares = np.bincount(y) / len(y)
    chance = float(np.square(shares).sum())
    return (float(np.mean(y[1:] == y[:-1])) - chance) / (1 - chance) if chance < 1 else 0.0


def is_sorted(y: NDArray[Any], is_classes: bool) -> bool:
    """Whether the table is sorted by its target: then it is no wonder that rows follow one another."""
    if is_classes:
        return int(np.count_nonzero(np.diff(y))) + 1 <= 2 * len(np.unique(y))
    return _goes_one_way(np.diff(y.astype(np.float64)))


def _skills(x: NDArray[np.float32], y: NDArray[Any], is_classes: bool) -> tuple[float, float]:
    """The skill of a small forest on rows drawn at random, and on whole stretches of rows."""
    at_random = np.random.default_rng(0).permutation(len(y)) % FOLDS
    stretches = np.arange(len(y)) * FOLDS // len(y)
    return _skill(x, y, at_random, is_classes), _skill(x, y, stretches, is_classes)


def _skill(x: NDArray[np.float32], y: NDArray[Any], fold: NDArray[np.int64], is_classes: bool) -> float:
    """Of a small forest, cross-validated: by the squared error of numbers or of the classes' probabilities."""
    from sklearn.ensemble import ExtraTreesRegressor

    truth = np.eye(int(y.max()) + 1)[y] if is_classes else y[:, None].astype(np.float64)
    predicted = np.empty_like(truth)
    for k in range(FOLDS):
        out = fold == k
        forest = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=0)
        predicted[out] = (
            forest.fit(x[~out], truth[~out].squeeze()).predict(x[out]).reshape(-1, truth.shape[1])
        )
    spread = float(np.square(truth - truth.mean(0)).sum())
    return 1 - float(np.square(truth - predicted).sum()) / spread
