"""``cr.folds``: which rows each replica of a run trains on, and which it leaves out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chainrule.data.checks import check_finite
from chainrule.data.digits import DataWarning
from chainrule.data.row_labels import numbered, read_labels
from chainrule.errors import SettingError, user_line
from chainrule.foreign_text import quoted
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count


@dataclass(frozen=True, eq=False, repr=False)
class Fold:
    """The rows of one replica, as row numbers of X and y: those that it trains on, and those that judge it.

    ``train`` and ``validation`` are int64 [rows]; no row is in both. Without validation rows the second is empty.

    >>> import chainrule as cr
    >>> fold = cr.folds(10, 5, seed=0)[0]
    >>> fold, bool(np.isin(fold.validation, fold.train).any())
    (<Fold: 8 rows to train on, 2 to validate>, False)
    """

    train: Array
    validation: Array

    def __repr__(self) -> str:
        return f"<Fold: {len(self.train)} rows to train on, {len(self.validation)} to validate>"


def folds(
    n: int,
    k: int,
    *,
    stratify: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    repeats: int = 1,
    seed: int = 0,
) -> list[Fold]:
    """Deal ``n`` rows out to ``k`` folds at random: k replicas, each of which trains on all folds but one.

    Returns one ``Fold`` for each replica, for ``rows`` of ``cr.fit``: ``validation`` holds the rows of one fold,
    ``train`` all others, both as sorted int64 row numbers. The sizes of the folds differ by at most one row. With
    ``stratify`` [n], a class for each row, the same holds within every class. With ``groups`` [n], rows of the same
    group are in the same fold; sizes and classes are then as even as the groups allow, found by dealing out large
    groups first. ``repeats`` deals out that many times, which gives repeats * k replicas. The same arguments give
    the same folds.

    Raises SettingError for more folds than rows or groups, for labels of another length, and for numbers with decimal
    places as classes; DataError for labels that are missing or not finite. Warns (DataWarning) about classes that some
    folds lack, such as those with fewer rows than folds: these replicas train or validate without them.

    >>> import chainrule as cr
    >>> rows = cr.folds(10, 5, stratify=[0] * 5 + [1] * 5)
    >>> len(rows), len(rows[0].train), len(rows[0].validation)
    (5, 8, 2)
    >>> sorted(int(row) for fold in rows for row in fold.validation) == list(range(10))
    True
    """
    n, k = check_count("n", n, least=2), check_count("k", k, least=2)
    repeats, seed = check_count("repeats", repeats), check_count("seed", seed, least=0)
    if k > n:
        raise SettingError(
            "there are more folds than rows", expected=f"k <= {n}", got=f"k={k}", hint=f"k={n}"
        )
    classes, names = classes_of(stratify, n)
    members = None if groups is None else _groups(groups, n, k)
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        fold_of = _dealt(classes, k, rng) if members is None else _dealt_in_groups(classes, members, k, rng)
        tell_of_lacking(classes, names, fold_of, k)
        found += [Fold(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(k)]
    return found


def classes_of(stratify: ArrayLike | None, n: int) -> tuple[Array, list[object]]:
    """The class of each row as a number, and what the classes are called; all rows are of one class if none is said."""
    if stratify is None:
        return np.zeros(n, np.int64), [""]
    given = read_labels(stratify, n, "stratify")
    if given.dtype.kind == "f":
        check_finite("stratify", given)
    if given.dtype.kind == "f" and not (given == np.rint(given)).all():
        raise SettingError(
            "stratify needs a class for each row",
            expected="labels, or whole numbers",
            got=f"numbers such as {given[~(given == np.rint(given))][0]:g}",
            hint="classes of about equal size: np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75]))",
        )
    codes = numbered(given)
    first = np.unique(codes, return_index=True)[1]
    return codes, given[first].tolist()


def _groups(groups: ArrayLike, n: int, k: int) -> Array:
    """The group of each row as a number."""
    given = read_labels(groups, n, "groups")
    if given.dtype.kind == "f":  # NaN would be a group
        check_finite("groups", given)
    codes = numbered(given)
    count = int(codes.max()) + 1
    if count < k:
        raise SettingError(
            "there are fewer groups than folds, and groups are not split",
            expected=f"at least {k} groups",
            got=f"{count} group{'s' if count > 1 else ''}",
            hint=f"k={count}" if count > 1 else "leave out groups",
        )
    return codes


def _dealt(classes: Array, k: int, rng: np.random.Generator) -> Array:
    """The fold of each row: rows in random order, class after class, go to the folds in turn."""
    order = rng.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    fold_of = np.empty(len(classes), np.int64)
    fold_of[order] = rng.permutation(k)[np.arange(len(classes)) % k]
    return fold_of


def _dealt_in_groups(classes: Array, groups: Array, k: int, rng: np.random.Generator) -> Array:
    """The fold of each row where groups stay together.

    Group after group, about in the order of their sizes, goes to the fold where it adds least to the sum over folds and
    classes of squared shares of the class, which is least where shares are equal; of such folds, to the smallest.
    """
    table = np.zeros((int(groups.max()) + 1, int(classes.max()) + 1))
    np.add.at(table, (groups, classes), 1)
    sizes, totals = table.sum(1), table.sum(0)
    # not strictly by size, so that repeats differ also where no two groups are of one size
    order = np.argsort(-sizes * 2.0 ** rng.uniform(0, 1, len(sizes)))
    held = np.zeros((k, len(totals)))
    fold_of_group = np.empty(len(sizes), np.int64)
    for group in order:
        added = ((2 * held * table[group] + table[group] ** 2) / totals**2).sum(1)
        least = np.flatnonzero(added <= added.min() * (1 + 1e-9))
        fold = least[np.argmin(held[least].sum(1))]
        held[fold] += table[group]
        fold_of_group[group] = fold
    return fold_of_group[groups]


def tell_of_lacking(classes: Array, names: Sequence[object], fold_of: Array, k: int) -> None:
    """A DataWarning at the user's line about classes that are not in every fold, or in one fold only."""
    if len(names) < 2:
        return
    held = np.zeros((k, len(names)), np.int64)
    np.add.at(held, (fold_of, classes), 1)
    told = list(_lacking(held, names, k))
    if told:
        text = "; ".join(told)
        warnings.warn_explicit(text, DataWarning, *(user_line() or ("chainrule", 0)))


def _lacking(held: Array, names: Sequence[object], k: int) -> Iterator[str]:
    """What is to be said of the classes of which the folds hold so many rows [folds, classes]."""
    lacking = (held == 0).sum(0)
    rare = np.flatnonzero(lacking)
    if len(rare):
        worst = rare[np.argmax(lacking[rare])]
        more = f", and so it is with {len(rare) - 1} more" if len(rare) > 1 else ""
        rows, without = int(held[:, worst].sum()), int(lacking[worst])
        yield (
            f"class {quoted(names[worst])} has {rows} row{'s' if rows > 1 else ''} for {k} folds: "
            f"{without} of them validate without it{more}"
        )
    alone = np.flatnonzero(lacking == k - 1)
    if len(alone):
        yield f"the fold that validates with class {quoted(names[alone[0]])} trains without it"
