"""How far a prediction of a number may be off: by the errors on rows that the network did not train on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted
from chainrule.optim.settings import check_number

KEPT = 1_000  # sizes of errors that a model keeps, at most


def kept_errors(errors: ArrayLike) -> tuple[float, ...]:
    """The sizes of some errors in ascending order: all of them, or of very many a thousand, evenly spread."""
    sizes = np.sort(np.abs(np.asarray(errors, np.float64).ravel()))
    if len(sizes) > KEPT:
        sizes = sizes[np.ceil(np.arange(1, KEPT + 1) * len(sizes) / KEPT).astype(np.int64) - 1]
    return tuple(sizes.tolist())


def half_width(errors: tuple[float, ...], coverage: float) -> float:
    """How far below and above a prediction its interval reaches, to hold the truth with probability ``coverage``.

    The smallest of the n ``errors`` which at least coverage * (n + 1) of them do not exceed: split conformal prediction
    (Vovk et al., 2005), which holds for new rows that are drawn as those of the errors were. Raises SettingError for a
    coverage that so few rows do not allow.

    >>> half_width(tuple(range(1, 20)), 0.9)
    18
    """
    check_number("interval", coverage, above=0, below=1)
    place = math.ceil(coverage * (len(errors) + 1) - 1e-9)
    if place > len(errors):
        raise SettingError(
            f"{len(errors)} rows are too few for an interval that holds {coverage:.4g} of all values",
            expected=f"at most {len(errors) / (len(errors) + 1):.3g}",
            got=f"interval={coverage:g}",
        )
    return errors[place - 1]


def need_errors(errors: tuple[float, ...], target: str, classes: bool) -> None:
    """Raise SettingError or DataError where a model has no errors to make an interval from."""
    if classes:
        raise SettingError(
            f"an interval is of numbers, and {quoted(target)} is a class",
            hint="the probabilities say how sure each prediction is",
        )
    if not errors:
        raise DataError(
            "the model keeps no errors to make an interval from",
            expected="a model that was trained with held-out rows or as an ensemble",
            hint="train again without --held-out 0",
        )
