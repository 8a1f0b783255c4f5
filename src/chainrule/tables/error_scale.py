"""How large the errors of a model of numbers are, by what it predicts: so that an interval is as wide as its row needs.

In: standardised predictions and sizes of errors on rows that did not train. Out: five numbers that a model file keeps,
or none where one width serves as well; ``intervals.py`` makes intervals of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.tables.intervals import half_width, interval_score, kept_errors

Floats = NDArray[np.float64]
FOLDS = 8
FITTED = 100_000  # rows at most, evenly spread, that are fitted
FEWEST = 60  # rows, below which a scale would follow chance
LEVEL = 0.9  # of the intervals by which the two kinds are compared
SMALL = 0.1  # of the errors: the size that is added to each before its logarithm, so that tiny ones do not count most
PENALTY = 3.0  # on the squared slopes of standardised inputs, beside a sum over rows
LIMITS = 0.01, 0.99  # of the scales of the rows: beyond them nothing is known
FAR = 1e30  # standardised predictions beyond it would overflow
NOISE = 1.65  # standard errors: chance alone gains more in one of 20 cases

Scale = tuple[float, ...]
"""Level, slope, bend, least and most: exp(level + slope z + bend z^2) for a standardised prediction z, within these."""


class Scaled(NamedTuple):
    """The scale (none where all rows have the same), and of each row [rows] the scale by a fit on other rows."""

    scale: Scale
    of_rows: Floats


def scale_at(scale: Scale, z: Floats) -> Floats:
    """How many times the usual error is to be expected for standardised predictions ``z`` [rows].

    >>> scale_at((0.0, math.log(2), 0.0, 0.5, 4.0), np.array([-9.0, 0.0, 1.0, 9.0])).tolist()
    [0.5, 1.0, 2.0, 4.0]
    """
    if not scale:
        return np.ones(len(z))
    level, slope, bend, least, most = scale
    z = np.clip(z, -FAR, FAR)
    return np.exp(np.clip(level + slope * z + bend * z * z, math.log(least), math.log(most)))


def find_scale(z: Floats, errors: Floats) -> Scaled:
    """A scale of ``errors`` [rows] that follows standardised predictions ``z`` [rows], where it earns its place.

    The logarithm of the error is fitted by z and z^2, and intervals are made of the ratios of errors to their scale
    (locally weighted conformal prediction: Lei et al., 2018). Scales of rows are from fits on the other seven of eight
    parts of the rows. No scale is kept unless 90% intervals become narrower by it on average, and their interval score
    (width and misses in one) lower, by more than chance.

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=2000)
    >>> len(find_scale(z, np.abs(rng.normal(size=2000))).scale)
    0
    >>> found = find_scale(z, np.exp(z) * np.abs(rng.normal(size=2000)))
    >>> (scale_at(found.scale, np.array([-1.0, 0.0, 1.0])) / scale_at(found.scale, np.zeros(3))).round(1).tolist()
    [0.5, 1.0, 2.4]
    """
    constant = Scaled((), np.ones(len(z)))
    if len(z) < FEWEST or not errors.any() or float(np.ptp(z)) == 0:
        return constant
    part = np.random.default_rng(0).permutation(len(z)) % FOLDS
    of_rows = np.empty(len(z))
    for fold in range(FOLDS):
        mine = part == fold
        of_rows[mine] = scale_at(_fitted(z[~mine], errors[~mine]), z[mine])
    scale = _fitted(z, errors)
    usual = float(np.median(scale_at(scale, z)))  # so that ratios stay in the unit of the errors
    level, slope, bend, least, most = scale
    of_rows /= usual
    one = half_width(kept_errors(errors), LEVEL)
    reach = half_width(kept_errors(errors / of_rows), LEVEL) * of_rows
    gained = interval_score(errors, one, LEVEL) - interval_score(errors, reach, LEVEL)
    beyond_chance = gained.mean() > NOISE * gained.std() / math.sqrt(len(gained))
    if not (beyond_chance and reach.mean() < one):
        return constant
    return Scaled((level - math.log(usual), slope, bend, least / usual, most / usual), of_rows)


def _fitted(z: Floats, errors: Floats) -> Scale:
    """Ridge regression of the errors' logarithm on z and z^2, with the limits that the rows give it."""
    step = -(-len(z) // FITTED)
    z, errors = z[::step], errors[::step]
    small = max(float(np.quantile(errors, SMALL)), 1e-3 * float(errors.mean()), np.finfo(np.float64).tiny)
    inputs = np.column_stack([z, z * z])
    mean, deviation = inputs.mean(0), inputs.std(0)
    deviation[deviation == 0] = 1.0
    x, y = (inputs - mean) / deviation, np.log(errors + small)
    weights = np.linalg.solve(x.T @ x + PENALTY * np.eye(2), x.T @ (y - y.mean())) / deviation
    level, slope, bend = float(y.mean() - mean @ weights), *map(float, weights)
    least, most = np.quantile(np.exp(level + slope * z + bend * z * z), LIMITS)
    return level, slope, bend, float(least), float(most)
