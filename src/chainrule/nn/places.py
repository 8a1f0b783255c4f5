"""Features of a table by their places: which of them a layer works on, and which it passes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.layers import need_count
from chainrule.tensor import Tensor

Places = tuple[int, ...]


def need_places(layer: str, columns: object, in_features: int | None) -> tuple[Places, int]:
    """Return the places of the features that ``columns`` names, and the number of features in all.

    ``columns`` is a count k, which means the first k features, or a list of places from 0. ``in_features`` defaults
    to one more than the largest place. Raises SettingError for places that repeat or do not exist.
    """
    if isinstance(columns, int | np.integer):
        places = tuple(range(need_count(f"{layer}: columns", columns)))
    elif isinstance(columns, Sequence | np.ndarray) and not isinstance(columns, str):
        places = tuple(_as_place(place) for place in columns)
    else:
        places = ()
    features = max(places, default=0) + 1 if in_features is None else need_count("in_features", in_features)
    if not places or len(set(places)) < len(places) or not 0 <= min(places) <= max(places) < features:
        raise SettingError(
            f"{layer}: columns must name features of the input",
            expected="a count, or a list of different places"
            + (f" from 0 to {features - 1}" if places and features else ""),
            got=quoted(columns) + (f" of {features} features" if in_features is not None else ""),
            hint="in_features is the number of columns of X"
            if places
            else "columns=8 embeds the first eight",
        )
    return places, features


def _as_place(place: object) -> int:
    whole = isinstance(place, int | np.integer) and not isinstance(place, bool)
    return int(place) if whole else -1  # type: ignore[call-overload]


def others(places: Places, features: int) -> Places:
    """The places from 0 to features - 1 that are not among these."""
    picked = set(places)
    return tuple(place for place in range(features) if place not in picked)


def pick(x: Tensor, places: Places) -> Tensor:
    """The features [rows, len(places)] of x [rows, features]; neighbours are a slice, which costs nothing."""
    first = places[0]
    if places == tuple(range(first, first + len(places))):
        return x if len(places) == x.shape[1] else x[:, first : first + len(places)]
    return f.take(x, np.array(places), 1)


def describe_places(places: Places, features: int) -> str:
    """How ``repr`` shows which features a layer works on."""
    first = places == tuple(range(len(places)))
    columns = str(len(places)) if first else f"{list(places)}"
    return columns if features == max(places) + 1 else f"{columns}, in_features={features}"


def over_rows(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of [rows, features] to x [..., features]: the axes before the last count as rows."""
    if len(x.shape) == 2:
        return forward(x)
    before = x.shape[:-1]
    result = forward(f.reshape(x, (int(np.prod(before, dtype=np.int64)), x.shape[-1])))
    return f.reshape(result, (*before, result.shape[-1]))
