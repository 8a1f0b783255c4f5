"""Columns that say something of the rows instead of predicting: which belong together, their time, their weight.

``read_roles`` reads them from the table as it came; ``tables/splits.py`` deals the rows out by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import known_name, list_rows, list_some
from chainrule.data.features.column_options import Columns, no_such_column, said_as
from chainrule.data.features.finding import Found
from chainrule.data.features.readings import Reading, read
from chainrule.data.features.training_table import Ready
from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted
from chainrule.tables.recipe import Recipe
from chainrule.tables.settings import TrainingSettings

if TYPE_CHECKING:
    import polars as pl

#: settings that name a column, and their options on the command line
ROLES: Mapping[str, str] = MappingProxyType(
    {"group": "group", "time_order": "time", "sample_weight": "sample-weight"}
)


@dataclass(frozen=True, eq=False)
class Roles:
    """What columns say of each row of a table, [rows]; None where no column was named.

    ``groups`` are numbers of groups from 0 on, ``times`` places in time (equal times are at the same place; -1: no
    time), ``weights`` how much each row counts. ``missing`` holds the rows without a time.
    """

    groups: NDArray[np.int64] | None = None
    times: NDArray[np.int64] | None = None
    weights: NDArray[np.float64] | None = None
    different_times: pl.Series | None = None  # in their order, to be shown

    @property
    def missing(self) -> NDArray[np.int64]:
        """The rows that have no time, where it is asked for."""
        return np.zeros(0, np.int64) if self.times is None else np.flatnonzero(self.times < 0)

    def counts(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How many rows each row of the table counts for: 1 on average over those of ``rows`` that count at all."""
        if self.weights is None:
            return None
        some = self.weights[rows]
        return self.weights / np.mean(some[some > 0]) if some.any() else self.weights


def named_roles(asked: TrainingSettings | Recipe) -> dict[str, str]:
    """The columns with a role, by the setting that names them."""
    changes = asked.changes if isinstance(asked, Recipe) else vars(asked)
    return {setting: changes[setting] for setting in ROLES if changes.get(setting)}


def columns_for(
    columns: Columns, roles: Mapping[str, str], names: list[str], target: str
) -> tuple[Columns, dict[str, str], list[str]]:
    """The columns without those whose role keeps them from being features; the roles by the table's names; notices.

    A group is a feature only if a type is said for its column; a weight never is. Raises DataError for a column that is
    not there, SettingError for the target, and for one column with two roles that exclude each other.
    """
    found = {setting: known_name(name, names) for setting, name in roles.items()}
    for setting, name in found.items():
        if name not in names:
            raise no_such_column(ROLES[setting], name, names)
        if name == target:
            raise SettingError(
                f"--{ROLES[setting]} names the target", got=quoted(name), hint="another column"
            )
    weight = found.get("sample_weight")
    if weight is not None and weight in (found.get("group"), found.get("time_order")):
        raise SettingError("a column of weights has no other role", got=quoted(weight))
    typed = {known_name(name, names) for name in columns.types}
    left_out, notices = [], []
    group = found.get("group")
    if group is not None and group not in typed:
        left_out.append(group)
        notices.append(
            f"column {quoted(group)} says which rows belong together, and is not used to predict; to use it as well: "
            f"{said_as('type', group, 'category')}"
        )
    if weight is not None:
        left_out.append(weight)
        notices.append(
            f"column {quoted(weight)} says how much each row counts, in training and in the score, and is not used to "
            "predict"
        )
    return replace(columns, ignore=(*columns.ignore, *left_out)), found, notices


def read_roles(
    frame: pl.DataFrame, roles: Mapping[str, str], ready: Ready, usable: NDArray[np.int64]
) -> tuple[Roles, list[str]]:
    """What the columns say of the rows of a table as it came, and notices; ``usable`` are the rows with a target.

    ``ready`` says how the cells of its columns are written.

    Raises DataError for weights that are no numbers, missing, negative or all zero, for a time that does not order the
    rows, and for a single group.
    """
    found = Roles()
    notices: list[str] = []
    if "group" in roles:
        groups, said = _groups(frame[roles["group"]], ready.columns, usable)
        found, notices = replace(found, groups=groups), [*notices, *said]
    if "time_order" in roles:
        found, said = _times(found, frame[roles["time_order"]], ready.found[roles["time_order"]], usable)
        notices += said
    if "sample_weight" in roles:
        found = replace(
            found,
            weights=_weights(frame[roles["sample_weight"]], ready.found[roles["sample_weight"]], usable),
        )
    return found, notices


def _groups(
    column: pl.Series, columns: Columns, usable: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[str]]:
    """The number of each row's group: a cell's text says which it is; rows without one are one group together."""
    reading = Reading("text", missing=columns.missing_in(column.name))
    texts = read(column, reading).series
    without = texts.is_null().to_numpy()[usable]
    number: dict[str | None, int] = {}
    codes = np.array([number.setdefault(text, len(number)) for text in texts.to_list()], np.int64)
    count = len(np.unique(codes[usable]))
    notices: list[str] = []
    if count < 2:
        raise DataError(
            f"column {quoted(column.name)} has the same group in all rows (--group)",
            expected="at least 2 groups: those of one are never trained on and judged with at once",
            got=f"{count} group",
            hint="leave out --group, or name another column",
        )
    if without.any():
        notices.append(
            f"column {quoted(column.name)} has no value in {list_rows(usable[without])}: these rows are one group"
        )
    return codes, notices


def _times(
    roles: Roles, column: pl.Series, written: Found, usable: NDArray[np.int64]
) -> tuple[Roles, list[str]]:
    """The place in time of each row: dates, times of day and numbers have an order, texts have none that is known."""
    reading = written.reading
    if written.open in {"mark", "other mark", "day"} or reading.values not in {"number", "date", "clock"}:
        raise DataError(
            f"column {quoted(column.name)} does not order the rows in time (--time)",
            expected="dates, times or numbers",
            got=list_some([quoted(value) for value in column.drop_nulls().head(3).to_list()]) or "no value",
            hint=f"if these are dates: {said_as('type', column.name, 'date')}, or {said_as('day_first')}",
        )
    values = read(column, reading).series
    known = values.is_not_null().to_numpy()
    if values.dtype.is_float():
        known &= ~np.isnan(values.fill_null(np.nan).to_numpy())
    here = usable[known[usable]]
    different = values[here].unique().sort()
    if len(different) < 2:
        raise DataError(
            f"column {quoted(column.name)} has the same time in all rows, so it does not order them (--time)",
            expected="at least 2 different times",
            got=f"{len(different)} different",
            hint="leave out --time, or name another column",
        )
    place = np.full(len(values), -1, np.int64)
    place[here] = values[here].rank("dense").to_numpy().astype(np.int64) - 1
    without = usable[~known[usable]]
    said = []
    if len(without):
        said.append(
            f"column {quoted(column.name)} has no time in {list_rows(without)}: left out, for they may "
            "be earlier or later than those that judge"
        )
    return replace(roles, times=place, different_times=different), said


def _weights(column: pl.Series, written: Found, usable: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each row counts; rows without a target count 0."""
    reading = written.reading
    about = f"column {quoted(column.name)} does not say how much each row counts (--sample-weight)"
    expected = "a number from 0 on in every row"
    if written.open in {"mark", "other mark"} or reading.values != "number":
        raise DataError(
            about,
            expected=expected,
            got=f"a column of {reading.values} cells",
            hint="name a column of numbers",
        )
    values = read(column, reading).series.cast(float).to_numpy()[usable]
    for wrong, what in (
        (~np.isfinite(values), "no number"),
        (values < 0, "a negative number"),
    ):
        if wrong.any():
            raise DataError(
                about,
                expected=expected,
                got=f"{what} in {list_rows(usable[wrong])}",
                hint="correct these weights; a row of weight 0 does not count",
            )
    if not values.any():
        raise DataError(
            about, expected="a number above 0 in some row", got="0 in every row", hint="name another column"
        )
    weights = np.zeros(len(column))
    weights[usable] = values
    return weights
