"""Columns of categories: a feature for each of the frequent ones, one for the rest, and the target's mean in each.

A target's mean in each category, learned from the rows that it is a feature of, would tell the network the target
itself. So the training rows are dealt into folds, and each row gets the means of the other folds' rows; all other rows
get those of all training rows (Micci-Barreca, 2001: a mean of few rows is shrunk towards the mean of all).

Rows that judge a network must have no part in the means that it trained with: what a mean and the row's own target add
up to is the same for all rows of a category, and a network that knows the category learns it. Each network of an
ensemble so has means of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.columns import Column
from chainrule.data.features.different import Different, different_cells
from chainrule.data.features.notices import Notice
from chainrule.data.features.numbers import blocks
from chainrule.data.features.readings import Reading
from chainrule.data.features.spellings import places_of
from chainrule.data.features.target import Target, encode_target
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

MOST_CATEGORIES = 100  # that have a feature each
MOST_OTHERS = 20_000  # that have a mean of the target
PRIOR_ROWS = 10  # that speak for a category to be as usual
FOLDS = 5
MOST_EFFECTS = 10  # classes whose share is told for each category
FEWEST_ROWS = 2  # of a category that has a mean of the target


def fit_categories(name: str, reading: Reading, cells: Different) -> tuple[Column | None, str, list[str]]:
    """The categories of the training rows' cells, or why there are none."""
    is_known = cells.texts.is_not_null().to_numpy()
    rows, known = int(cells.counts.sum()), int(cells.counts[is_known].sum())
    count_of: dict[str, int] = {}
    for text, count in zip(cells.texts.to_list(), cells.counts.tolist(), strict=True):
        if text is not None:
            count_of[text] = count_of.get(text, 0) + count
    missing = known < rows
    if not count_of:
        return None, "it has no value in the training rows", []
    if len(count_of) + missing == 1:
        return None, "it is constant in the training rows", []
    notices = []
    if missing:
        notices.append(
            f"column {quoted(name)} has no value in {rows - known} of {rows} rows: a category of its own"
        )
    column = Column(name, "categorical", reading=reading, missing_category=missing)
    if len(count_of) <= MOST_CATEGORIES:
        return replace(column, categories=tuple(sorted(count_of))), "", notices
    order = sorted(count_of, key=lambda text: (-count_of[text], text))
    rest = [text for text in order[MOST_CATEGORIES:] if count_of[text] >= FEWEST_ROWS][:MOST_OTHERS]
    notices.append(
        f"column {quoted(name)} has {len(count_of)} categories: the {MOST_CATEGORIES} most frequent ones have a "
        "feature each, the others one together, and all have the target's mean in the training rows"
    )
    column = replace(
        column,
        categories=tuple(sorted(order[:MOST_CATEGORIES])),
        others=tuple(sorted(rest)),
        effect_names=("?",),
    )
    return column, "", notices


def places(column: Column, cells: Different) -> NDArray[np.int64]:
    """Which of the column's categories, then of its others, each of the different cells is, [cells]; -1: none."""
    place = places_of((*column.categories, *column.others))
    return np.array([place(text) for text in cells.texts.to_list()], dtype=np.int64)


def with_effects(
    column: Column,
    series: pl.Series,
    rows: NDArray[np.int64],
    target: NDArray[np.float64],
    names: tuple[str, ...],
    groups: NDArray[np.int64] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Column:
    """The column with what its categories say about the target [rows, outputs] of the training rows.

    With ``groups`` [rows], a category that only one group has says nothing: its own rows are never told (see
    ``out_of_fold``), so that no network can learn what it would mean.
    """
    if not column.has_effects:
        return column
    cells = different_cells(series)
    place = places(column, cells)[cells.places()[rows]]
    effects = shrunk(place, target, len(column.categories) + len(column.others), weights)
    known = place[place >= 0]
    if groups is not None:
        pairs = np.unique(np.stack([known, groups[place >= 0]]), axis=1)[0]
        effects[np.bincount(pairs, minlength=len(effects)) < 2] = 0.0
    spread = float(np.sqrt(np.square(effects[known]).sum() / max(len(place) * effects.shape[1], 1)))
    return replace(
        column,
        effect_names=names,
        effects=tuple(effects.ravel().tolist()),
        standard_deviation=spread if spread > 1e-12 else 1.0,
    )


def shrunk(
    place: NDArray[np.int64],
    target: NDArray[np.float64],
    count: int,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """How far the target's mean in each category is from that of all rows, shrunk towards 0, [count, outputs].

    With ``weights`` [rows] a row counts as so many.
    """
    weights = np.ones(len(place)) if weights is None else weights
    if not weights.any():
        return np.zeros((count, target.shape[1]))
    known = place >= 0
    centred = (target[known] - np.average(target, 0, weights)) * weights[known, None]
    rows = np.bincount(place[known], weights[known], count)
    sums = np.stack([np.bincount(place[known], part, count) for part in centred.T], 1)
    means: NDArray[np.float64] = sums / (rows + PRIOR_ROWS)[:, None]
    return means


def out_of_fold(
    column: Column,
    series: pl.Series,
    rows: NDArray[np.int64],
    target: NDArray[np.float64],
    out: NDArray[np.float32],
    groups: NDArray[np.int64] | None = None,
    train: NDArray[np.bool_] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Write the effects of the training rows into the last features of ``out`` [rows, features].

    No row gets a mean in which rows of its own group have a part, if there are ``groups`` [rows]. With ``train`` [rows]
    means are of these rows alone.
    """
    outputs = len(column.effect_names)
    cells = different_cells(series)
    place = places(column, cells)[cells.places()[rows]]
    count = len(column.categories) + len(column.others)
    places_of_rows = np.arange(len(rows)) if groups is None else np.unique(groups, return_inverse=True)[1]
    fold = (np.random.default_rng(0).permutation(places_of_rows.max() + 1) % FOLDS)[places_of_rows]
    train = np.ones(len(rows), np.bool_) if train is None else train
    fold = np.where(train, fold, FOLDS)  # those that do not train get the means of all that do
    for one in range(FOLDS + 1):
        here, told = fold == one, train & (fold != one)
        out[here, -outputs:] = 0.0  # what it stays where no other row tells a mean
        if here.any() and told.any():
            each = None if weights is None else weights[told]
            effects = shrunk(place[told], target[told], count, each) / column.standard_deviation
            out[here, -outputs:] = np.where(place[here, None] >= 0, effects[place[here]], 0.0)


def encode_categories(
    column: Column, series: pl.Series, rows: NDArray[np.int64] | None, out: NDArray[np.float32]
) -> list[Notice]:
    """Write the features of some rows (all if None) into ``out`` [rows, features], which holds zeros."""
    cells = different_cells(series)
    place_of = places(column, cells)
    one_by_one = len(column.categories)
    feature_of = np.where(place_of < one_by_one, place_of, -1)
    if column.has_effects:
        feature_of = np.where(feature_of < 0, one_by_one + column.missing_category, feature_of)
    empty = cells.texts.is_null().to_numpy()
    feature_of[empty] = one_by_one if column.missing_category else -1
    # divided as float64: both may be beyond float32 where their quotient is not
    scaled = np.array(column.effects, np.float64) / column.standard_deviation
    effects = scaled.astype(np.float32).reshape(-1, max(len(column.effect_names), 1))
    place_in_column = cells.places()
    for block in blocks(len(out)):
        chosen = place_in_column[block if rows is None else rows[block]]
        features = feature_of[chosen]
        known = np.flatnonzero(features >= 0)
        out[block.start + known, features[known]] = 1
        if column.has_effects:
            place = place_of[chosen]
            out[block, -len(column.effect_names) :] = np.where(place[:, None] >= 0, effects[place], 0)
    return _notice_unknown(column, cells, place_of < 0, empty)


def _notice_unknown(
    column: Column, cells: Different, unknown: NDArray[np.bool_], empty: NDArray[np.bool_]
) -> list[Notice]:
    about, rows = f"column {column.name!r} has", int(cells.counts.sum())
    notices = []
    unseen = unknown & ~empty
    if unseen.any() and not column.has_effects:
        none = ", which training did not have: encoded as none of the categories"
        texts = cells.texts.filter(unseen).unique(maintain_order=True).to_list()
        notices.append(Notice(about, tuple(map(repr, texts)), int(cells.counts[unseen].sum()), rows, none))
    if empty.any() and not column.missing_category:
        none = ", which training did not have: encoded as none of the categories"
        notices.append(Notice(f"{about} no value", (), int(cells.counts[empty].sum()), rows, none))
    return notices


def effect_targets(
    target: Target, column: pl.Series, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """What is averaged in each category: the standardised target, or which class a row has, [rows, outputs]; names."""
    encoded = encode_target(target, column[rows])
    if target.task == "regression":
        return encoded.astype(np.float64), (f"mean {target.name}",)
    shown = range(1, 2) if len(target.classes) == 2 else range(min(len(target.classes), MOST_EFFECTS))
    names = tuple(f"share of {target.classes[label]}" for label in shown)
    return np.stack([encoded == label for label in shown], 1).astype(np.float64), names
