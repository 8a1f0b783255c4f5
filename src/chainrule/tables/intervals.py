"""How far a prediction may be off: by the errors on rows that the network did not train on.

In: errors of rows that judge, and the probability that is asked for. Out: how wide an interval of numbers is, or how
unlikely a class may be that still belongs to a label set. ``error_scale.py`` says for which rows intervals are wider.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted
from chainrule.optim.settings import check_number

Floats = NDArray[np.float64]
KEPT = 1_000  # sizes of errors that a model keeps, at most


def kept_errors(errors: ArrayLike) -> tuple[float, ...]:
    """The sizes of some errors in ascending order: all of them, or of very many a thousand, evenly spread."""
    sizes = np.sort(np.abs(np.asarray(errors, np.float64).ravel()))
    if len(sizes) > KEPT:
        sizes = sizes[np.ceil(np.arange(1, KEPT + 1) * len(sizes) / KEPT).astype(np.int64) - 1]
    return tuple(sizes.tolist())


def half_width(errors: tuple[float, ...], coverage: float, name: str = "interval") -> float:
    """How far below and above a prediction its interval reaches, to hold the truth with probability ``coverage``.

    The smallest of the n ``errors`` which at least coverage * (n + 1) of them do not exceed: split conformal prediction
    (Vovk et al., 2005), which holds for new rows that are drawn as those of the errors were. Raises SettingError for a
    coverage that so few rows do not allow; ``name`` is the setting that it names.

    >>> half_width(tuple(range(1, 20)), 0.9)
    18
    """
    check_number(name, coverage, above=0, below=1)
    place = conformal_place(len(errors), coverage)
    if place > len(errors):
        what = "an interval" if name == "interval" else "a label set"
        raise SettingError(
            f"{len(errors)} rows are too few for {what} that holds {coverage:.4g} of all values",
            expected=f"at most {len(errors) / (len(errors) + 1):.3g}",
            got=f"{name}={coverage:g}",
        )
    return errors[place - 1]


def conformal_place(rows: int, coverage: float) -> int:
    """Which of so many errors in ascending order, from 1, is the half width; more than there are where none is."""
    return math.ceil(coverage * (rows + 1) - 1e-9)


def interval_score(errors: Floats, reach: Floats | float, coverage: float) -> Floats:
    """Of each row the width of its interval and, where it misses, 2 / (1 - coverage) times by how much [rows].

    Less is better, and honest intervals have the least on average (Gneiting and Raftery, 2007). ``errors`` [rows] are
    sizes, ``reach`` half the widths.

    >>> interval_score(np.array([0.5, 2.0]), 1.0, 0.9).round(6).tolist()
    [2.0, 22.0]
    """
    return 2 * reach + 2 / (1 - coverage) * np.maximum(errors - reach, 0)


def likely_enough(probabilities: Floats, most: float, said: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The label sets [rows, classes]: the classes whose 1 - probability is at most ``most``, and those ``said`` [rows].

    They are the smallest on average that hold the truth so often (Sadinle et al., 2019); the predicted class is added
    where it is not among them.

    >>> likely_enough(np.array([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]]), 0.75, np.array([0, 0])).tolist()
    [[True, False, False], [True, True, True]]
    """
    found = 1 - probabilities <= most
    found[np.arange(len(found)), said] = True
    return found


def need_errors(errors: tuple[float, ...], target: str, classes: bool) -> None:
    """Raise SettingError or DataError where a model has no errors to make an interval from."""
    if classes:
        raise SettingError(
            f"an interval is of numbers, and {quoted(target)} is a class",
            hint="label_sets=0.9 for the classes that it may be; the probabilities say how sure each prediction is",
        )
    if not errors:
        raise DataError(
            "the model keeps no errors to make an interval from",
            expected="a model that was trained with held-out rows or as an ensemble",
            hint="train again without --held-out 0",
        )


def need_doubts(errors: tuple[float, ...], target: str, classes: bool) -> None:
    """Raise SettingError or DataError where a model cannot say which classes a label set holds."""
    if not classes:
        raise SettingError(
            f"a label set is of classes, and {quoted(target)} is a number",
            hint="interval=0.9 for the numbers that it may be",
        )
    if not errors:
        raise DataError(
            "the model keeps no probabilities of judged rows to make label sets from",
            expected="a model that was trained with held-out rows or as an ensemble, by this version",
            hint="train again without --held-out 0",
        )
