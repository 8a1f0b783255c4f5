"""Which rows are trained on and which are held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.row_labels import numbered, read_labels
from chainrule.errors import SettingError

FEWEST_ROWS_TO_SPLIT = 10


def split_rows(
    n_rows: int, holdout: float, labels: ArrayLike | None = None, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split row indices at random into (training rows, held-out rows), each sorted, int64.

    ``holdout`` is the fraction held out, in [0, 1). With ``labels`` [n_rows] every class gives its share, as
    near as whole rows allow, and keeps at least one row in training. A table of fewer than 10 rows is not
    split: nothing is held out. The same arguments give the same rows.

    Raises SettingError for a fraction outside [0, 1), a negative seed, or labels of another length.

    >>> train, held_out = split_rows(10, 0.2, labels=["a"] * 5 + ["b"] * 5)
    >>> len(train), [bool(row < 5) for row in held_out]
    (8, [True, False])
    """
    if not 0 <= holdout < 1:
        raise SettingError("holdout is a fraction of the rows", expected="0 <= holdout < 1", got=holdout)
    if seed < 0:
        raise SettingError("a seed is not negative", expected="an integer from 0", got=seed)
    classes = np.zeros(n_rows, dtype=np.int64)
    if labels is not None:
        classes = numbered(read_labels(labels, n_rows))
    if n_rows < FEWEST_ROWS_TO_SPLIT or holdout == 0:
        return np.arange(n_rows), np.arange(0)
    order = np.random.default_rng(seed).permutation(n_rows)
    counts = np.bincount(classes)
    held_out = np.zeros(n_rows, np.bool_)
    by_class = order
    if len(counts) > 1:
        small = classes.astype(np.min_scalar_type(len(counts)))  # of which sorting is quick
        by_class = order[np.argsort(small[order], kind="stable")]
    ends = np.cumsum(counts)
    for end, count, quota in zip(ends, counts, _quotas(counts, holdout), strict=True):
        held_out[by_class[end - count : end - count + quota]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _quotas(counts: NDArray[np.int64], holdout: float) -> NDArray[np.int64]:
    """How many rows of each class are held out: its share rounded down, the rest by largest remainder."""
    shares = counts * holdout
    quotas = np.floor(shares).astype(np.int64)
    missing = round(float(shares.sum())) - int(quotas.sum())
    by_remainder = np.argsort(-(shares - quotas), kind="stable")
    quotas[by_remainder[: max(missing, 0)]] += 1
    return np.minimum(quotas, counts - 1)
