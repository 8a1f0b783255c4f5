"""What a row's nearest neighbours say about its target: how predictable the data are, without a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.inspect.diagnosis.outcome import brier_skill
from chainrule.inspect.diagnosis.ranks import Ranks, ranks_of
from chainrule.ops.record import Array

Floats = NDArray[np.float64]
NEIGHBOURS = 10
MOST_ROWS = 1000
CELLS = 2_000_000  # of rows and of distances that are held at once


@dataclass(frozen=True)
class Neighbours:
    """Every row predicted by its 10 nearest other rows, columns standardised (leave one out).

    ``skill`` is the share of the baseline's squared error that the neighbours' mean (of classes: their votes, as
    probabilities) avoids; ``ranks`` says how well votes order the rows, NaN for a regression.
    ``agreement`` [rows] is the share of a row's neighbours that carry the commonest label among them, and
    ``contradicted`` says where that is another than the row's own; empty for a regression.
    """

    rows: int
    skill: float
    ranks: Ranks
    agreement: Floats
    contradicted: NDArray[np.bool_]


def neighbours(x: Array, y: Array, labels: NDArray[np.int64] | None, seed: int = 0) -> Neighbours | None:
    """The vote among at most 1000 rows, drawn at random; None with fewer than 30, or without a spread."""
    chosen = np.random.default_rng(seed).permutation(len(x))[:MOST_ROWS]
    flat = x[chosen].reshape(len(chosen), -1).astype(np.float64)
    deviation = flat.std(0)
    flat = (flat - flat.mean(0))[:, deviation > 0] / deviation[deviation > 0]
    if len(chosen) < 3 * NEIGHBOURS or not flat.size:
        return None
    distance = _squared_distances(flat, flat)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    if labels is None:
        return _numbers(y[chosen].reshape(len(chosen), -1).astype(np.float64), nearest)
    return _classes(labels[chosen], nearest)


def nearest_rows(among: Array, rows: Array) -> tuple[Floats, NDArray[np.intp]]:
    """Of each of some ``rows`` [rows, columns], the distance to the nearest one of ``among`` [n, columns], and which.

    >>> distance, place = nearest_rows(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[3.0, 3.0]]))
    >>> distance.tolist(), place.tolist()
    ([1.0], [1])
    """
    nearest, place = np.full(len(rows), np.inf), np.zeros(len(rows), np.intp)
    wide = rows.astype(np.float64)
    size = max(CELLS // max(among.shape[1], len(rows), 1), 1)
    for start in range(0, len(among), size):
        distance = _squared_distances(wide, among[start : start + size].astype(np.float64))
        found = distance.argmin(1)
        least = distance[np.arange(len(rows)), found]
        better = least < nearest
        nearest[better], place[better] = least[better], start + found[better]
    return np.sqrt(np.maximum(nearest, 0.0)), place


def _squared_distances(a: Floats, b: Floats) -> Floats:
    """Of each row of ``a`` to each of ``b``, up to rounding, which may leave less than 0."""
    return np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T


def _numbers(y: Floats, nearest: NDArray[np.intp]) -> Neighbours | None:
    spread = float(np.square(y - y.mean(0)).sum())
    if spread == 0:
        return None
    error = float(np.square(y - y[nearest].mean(1)).sum())
    unknown = Ranks(float("nan"), float("nan"))
    return Neighbours(len(y), 1 - error / spread, unknown, np.zeros(0), np.zeros(0, bool))


def _classes(labels: NDArray[np.int64], nearest: NDArray[np.intp]) -> Neighbours | None:
    count = int(labels.max()) + 1
    votes = np.stack([(labels[nearest] == c).sum(1) for c in range(count)], axis=1)
    winner = votes.argmax(1)
    if np.bincount(labels).max() == len(labels):
        return None
    shares = votes / NEIGHBOURS
    return Neighbours(
        len(labels), brier_skill(shares, labels), ranks_of(shares, labels), shares.max(1), winner != labels
    )
