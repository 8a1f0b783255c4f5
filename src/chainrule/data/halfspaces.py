"""Intersections of half-spaces: what small networks can represent, and no efficient method is known to learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import SettingError


@dataclass(frozen=True)
class Halfspaces:
    """Points with labels, and the half-spaces ``points @ normals.T <= offset`` that made them.

    ``points`` [rows, features] standard normal, ``labels`` [rows] 1 inside all half-spaces, else 0; ``normals``
    [count, features] of length 1.

    >>> sample = halfspaces(rows=100, features=4, count=2, seed=0)
    >>> inside = (sample.points @ sample.normals.T <= sample.offset).all(axis=1)
    >>> bool((inside == sample.labels).all())
    True
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    normals: NDArray[np.float64]
    offset: float


def halfspaces(rows: int = 1000, features: int = 10, count: int = 3, seed: int = 0) -> Halfspaces:
    """Draw ``rows`` points and ``count`` half-spaces of random direction; half the points are inside all.

    A network of ``count`` threshold neurons and one more on top represents the labels without a mistake.
    Raises SettingError for sizes below 1.

    >>> sample = halfspaces(rows=100, features=4, count=2, seed=0)
    >>> sample.points.shape, sample.normals.shape, int(sample.labels.sum())
    ((100, 4), (2, 4), 50)

    Lectures: A12.
    """
    if min(rows, features, count) < 1 or seed < 0:
        raise SettingError(
            "halfspaces: a size is out of range",
            expected="rows, features and count of at least 1, a seed of at least 0",
            got=f"rows={rows}, features={features}, count={count}, seed={seed}",
        )
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(rows, features))
    normals = generator.normal(size=(count, features))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    farthest = (points @ normals.T).max(axis=1)
    offset = float(np.median(farthest))
    return Halfspaces(points, (farthest <= offset).astype(np.int64), normals, offset)
