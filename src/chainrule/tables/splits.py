"""Which rows of a table train, choose the best epoch, and are held out for the score; and the folds of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.target import class_numbers
from chainrule.data.splitting import FEWEST_ROWS_TO_SPLIT, split_rows
from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted
from chainrule.tables.prepared import Split
from chainrule.tables.roles import Roles
from chainrule.tables.settings import TrainingSettings
from chainrule.training.folds import Fold, classes_of, folds, tell_of_lacking

if TYPE_CHECKING:
    import polars as pl

Rows = NDArray[np.int64]
TRIES = 50  # orders of the groups, of which the one with the most even shares is taken


def split_of(
    column: pl.Series, usable: Rows, settings: TrainingSettings, stratified: bool, roles: Roles
) -> Split:
    """Deal the rows that have a target out: by time, by groups, or row by row, with the classes' shares kept."""
    labels = class_numbers(column, usable) if stratified else None
    share = 0.0 if settings.ensemble else settings.validation
    rest, held_out = _parted(usable, settings.held_out, labels, settings.seed, roles)
    labels = labels if labels is None else labels[rest]
    training, validation = _parted(usable[rest], share, labels, settings.seed, roles)
    return Split(usable[rest[training]], usable[rest[validation]], usable[held_out])


def _parted(rows: Rows, share: float, labels: Rows | None, seed: int, roles: Roles) -> tuple[Rows, Rows]:
    """Places among ``rows`` of those that train, and of about a ``share`` that does not."""
    by = roles.times if roles.times is not None else roles.groups
    if by is None or share == 0 or len(rows) < FEWEST_ROWS_TO_SPLIT:
        return split_rows(len(rows), share, labels, seed)
    apart = later(by[rows], share) if roles.times is not None else some_groups(by[rows], share, labels, seed)
    return np.flatnonzero(~apart), np.flatnonzero(apart)


def later(times: Rows, share: float) -> NDArray[np.bool_]:
    """Which rows are later than all others, as near to a ``share`` as can be with rows of one time on one side.

    >>> later(np.array([3, 1, 1, 2, 2]), 0.2)
    array([ True, False, False, False, False])
    """
    different, counts = np.unique(times, return_counts=True)
    if len(different) < 2:
        return np.zeros(len(times), np.bool_)
    after = counts[::-1].cumsum()[::-1][1:]  # rows from each time on, but the first
    cut = int(np.argmin(np.abs(after - share * len(times))))
    apart: NDArray[np.bool_] = times > different[cut]
    return apart


def some_groups(groups: Rows, share: float, labels: Rows | None, seed: int) -> NDArray[np.bool_]:
    """Which rows are of some of the groups, whose rows and classes are about a ``share`` of all.

    At least one group is on either side; none is taken of a single one. Of several random orders of the groups, the one
    is taken whose first groups come nearest.
    """
    _, codes = np.unique(groups, return_inverse=True)
    classes = np.zeros(len(groups), np.int64) if labels is None else labels
    table = np.zeros((int(codes.max()) + 1, int(classes.max()) + 1))
    np.add.at(table, (codes, classes), 1)
    if len(table) < 2:
        return np.zeros(len(groups), np.bool_)
    rng, sizes, totals = np.random.default_rng(seed), table.sum(1), np.maximum(table.sum(0), 1)
    best: tuple[float, NDArray[np.int64]] | None = None
    for _ in range(TRIES):
        order = rng.permutation(len(table))
        taken = sizes[order].cumsum()[:-1]
        first = order[: int(np.argmin(np.abs(taken - share * len(groups)))) + 1]
        off = abs(sizes[first].sum() / len(groups) - share)
        off += float(np.abs(table[first].sum(0) / totals - share).mean())
        if best is None or off < best[0] - 1e-12:
            best = off, first
    assert best is not None
    return np.isin(codes, best[1])


def with_folds(
    settings: TrainingSettings, training: Rows, roles: Roles
) -> tuple[TrainingSettings, list[str]]:
    """The settings with as many folds as the rows allow, and a notice; of very few rows there is no ensemble.

    Raises DataError where the training rows are all of one group, or of one time.
    """
    if not settings.ensemble:
        need_one_kind(settings)
        return settings, []
    if len(training) < FEWEST_ROWS_TO_SPLIT:
        embedding = "bins" if settings.embedding == "mixed" else settings.embedding
        single = replace(settings, ensemble=False, embedding=embedding, distil=False, budget=None)
        few = [f"{len(training)} rows are too few for an ensemble: a single network learns from them"]
        return single, few if settings.distil or settings.budget is not None else []
    by, what = (roles.times, "time") if roles.times is not None else (roles.groups, "group")
    if by is None:
        return replace(settings, folds=min(settings.folds, len(training) // 2)), []
    possible = len(np.unique(by[training]))
    if possible < 2:
        raise DataError(
            f"the {len(training)} rows that train are all of one {what}, so that they cannot be dealt into folds",
            expected=f"at least 2 {what}s among them",
            got=f"1 {what}",
            hint="ensemble=False",
        )
    if possible >= settings.folds:
        return settings, []
    notice = f"the rows that train are of {possible} {what}s: {possible} folds instead of {settings.folds}"
    return replace(settings, folds=possible), [notice]


def need_one_kind(settings: TrainingSettings) -> None:
    """SettingError where a single network is to be of several kinds."""
    if settings.embedding == "mixed":
        raise SettingError(
            "networks of several kinds are an ensemble, and a single network is asked for",
            expected="none, periodic or bins",
            got="embedding='mixed'",
            hint="embedding='bins', or leave out --no-ensemble (in Python: ensemble=True)",
        )


def notices_of(split: Split, settings: TrainingSettings, roles: Roles) -> list[str]:
    """What is to be said of how the rows were dealt out."""
    notices = []
    if roles.groups is not None:
        count = len(np.unique(roles.groups[np.concatenate(split.parts)]))
        notices.append(
            f"rows with the same {quoted(settings.group)} are never trained on and judged with at once: {count} groups"
        )
    if roles.times is not None and roles.different_times is not None and split.held_out.size:
        first = roles.different_times[int(roles.times[split.held_out].min())]
        notices.append(f"the rows from {first} on ({quoted(settings.time_order)}) judge, those before train")
    if settings.distil and split.held_out.size:
        notices.append(
            f"{split.held_out.size} rows are held out: they train neither the ensemble nor the network that imitates it"
        )
    if split.held_out.size or settings.ensemble:
        return notices
    rows = split.training.size
    if settings.held_out or rows < FEWEST_ROWS_TO_SPLIT:
        return [*notices, f"{rows} rows are too few to hold some out: the score is of the training rows"]
    return [*notices, "no rows are held out: the score is of the training rows"]


def dealt(
    training: Rows, settings: TrainingSettings, labels: NDArray[np.object_] | None, roles: Roles
) -> list[Fold]:
    """The folds of the training rows, by their place among them; ``labels`` are their classes."""
    if roles.times is not None:
        return blocks(roles.times[training], settings.folds, settings.restarts, labels)
    groups = None if roles.groups is None else roles.groups[training]
    return folds(
        len(training),
        settings.folds,
        stratify=labels,
        groups=groups,
        repeats=settings.restarts,
        seed=settings.seed,
    )


def blocks(times: Rows, k: int, repeats: int = 1, labels: NDArray[np.object_] | None = None) -> list[Fold]:
    """Folds that are stretches of time of about equal numbers of rows; rows of one time are in one fold.

    Neighbours in time are alike, and in random folds they would tell what they are to be judged by (Roberts et al.,
    2017). Each of the ``repeats`` begins its stretches a little later; the rows before join the last stretch.
    Warns (DataWarning) about classes, the ``labels`` [rows], that a fold lacks.

    >>> [fold.validation.tolist() for fold in blocks(np.array([0, 0, 1, 2, 3, 3]), 3)]
    [[0, 1], [2, 3], [4, 5]]
    """
    _, place = np.unique(times, return_inverse=True)
    counts = np.bincount(place)
    found = []
    for repeat in range(repeats):
        skipped = int(np.searchsorted(counts.cumsum(), repeat * len(times) / (k * repeats)))
        ends = _ends(np.roll(counts, -skipped), k)
        fold_of = np.roll(np.repeat(np.arange(k), np.diff([0, *ends])), skipped)[place]
        tell_of_lacking(*classes_of(labels, len(times)), fold_of, k)
        found += [Fold(np.flatnonzero(fold_of != one), np.flatnonzero(fold_of == one)) for one in range(k)]
    return found


def _ends(counts: NDArray[np.int64], k: int) -> Sequence[int]:
    """Where each of ``k`` stretches of the times ends, so that none is empty and rows are shared evenly."""
    total, ends, start = counts.cumsum(), [], 0
    for one in range(1, k):
        wanted = int(np.argmin(np.abs(total - one * total[-1] / k))) + 1
        start = min(max(wanted, start + 1), len(counts) - (k - one))
        ends.append(start)
    return [*ends, len(counts)]
