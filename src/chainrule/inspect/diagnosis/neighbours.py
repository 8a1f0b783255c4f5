"""What a row's nearest neighbours say about its target: how predictable the data are, without a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.ops.record import Array

Floats = NDArray[np.float64]
NEIGHBOURS = 10
MOST_ROWS = 1000


@dataclass(frozen=True)
class Neighbours:
    """Every row predicted by its 10 nearest other rows, columns standardised (leave one out).

    ``skill`` is the share of the baseline's mistakes (or squared error) that the neighbours' vote avoids.
    ``agreement`` [rows] is the share of a row's neighbours that carry the commonest label among them, and
    ``contradicted`` says where that is another than the row's own; empty for a regression.
    """

    rows: int
    skill: float
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
    squared = np.square(flat).sum(1)
    distance = squared[:, None] + squared - 2 * flat @ flat.T
    np.fill_diagonal(distance, np.inf)
    nearest = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    if labels is None:
        return _numbers(y[chosen].reshape(len(chosen), -1).astype(np.float64), nearest)
    return _classes(labels[chosen], nearest)


def _numbers(y: Floats, nearest: NDArray[np.intp]) -> Neighbours | None:
    spread = float(np.square(y - y.mean(0)).sum())
    if spread == 0:
        return None
    error = float(np.square(y - y[nearest].mean(1)).sum())
    return Neighbours(len(y), 1 - error / spread, np.zeros(0), np.zeros(0, bool))


def _classes(labels: NDArray[np.int64], nearest: NDArray[np.intp]) -> Neighbours | None:
    count = int(labels.max()) + 1
    votes = np.stack([(labels[nearest] == c).sum(1) for c in range(count)], axis=1)
    winner = votes.argmax(1)
    chance = np.bincount(labels).max() / len(labels)
    if chance == 1:
        return None
    skill = (float(np.mean(winner == labels)) - chance) / (1 - chance)
    return Neighbours(len(labels), float(skill), votes.max(1) / NEIGHBOURS, winner != labels)
