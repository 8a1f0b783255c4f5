"""Data frames of other libraries: taken in wherever a table is, and given back."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.data.describe import list_cells, list_some
from chainrule.data.features.date_range import need_dates
from chainrule.data.features.spellings import canonical_text, kind_of_type
from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

Library = Literal["polars", "pandas", "arrow"]
NUMBERS = (int, float, Decimal, np.number)
DATES = (datetime.date, np.datetime64)


def as_frame(table: Any) -> pl.DataFrame:
    """A polars frame of a table: polars, pandas, an Arrow table, or whatever has ``__arrow_c_stream__``.

    Of pandas, the index is left out, categories are texts whatever they are made of, and object columns become
    numbers, true/false or dates if all their cells are of that kind, else text; None, NaN, NaT and NA are missing.
    Raises DataError for anything else, for column names that occur twice or are no text, for texts that are not Unicode
    (half of a surrogate pair), for dates out of range, and for object columns of mixed cells where some are lists or
    the like.

    >>> import pandas as pd
    >>> as_frame(pd.DataFrame({"a": [1.5, None], "b": ["x", None]})).rows()
    [(1.5, 'x'), (None, None)]
    """
    try:
        return need_dates(_converted(table))
    except UnicodeEncodeError as error:
        raise DataError(
            "the table has a text that is not Unicode",
            expected="names and cells without halves of surrogate pairs",
            got=ascii(error.object)[:80],
            hint="text.encode('utf-8', 'replace').decode() puts ? in their place",
        ) from None


def _converted(table: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns"):
        _check_names(list(table.columns))
        columns = {name: _from_pandas(table[name], name) for name in table.columns}
        return pl.DataFrame(
            columns
        )  # in a dict: in a list of columns polars makes up a name for an empty one
    if hasattr(table, "__arrow_c_stream__") and not hasattr(table, "name"):  # which a single column has
        names = list(getattr(table, "column_names", []))
        _check_names(names)
        if any(not name or "\0" in name for name in names):  # which are lost on the way from Arrow
            return pl.DataFrame({name: pl.Series(name, table.column(name)) for name in names})
        return pl.DataFrame(table)
    raise DataError(
        "this is not a table",
        expected="a data frame of polars, pandas or Arrow, or the name of a file",
        got=type(table).__name__,
        hint="give the columns names: polars.DataFrame(X, schema=[...])"
        if isinstance(table, np.ndarray)
        else "",
    )


def make_frame(columns: Mapping[str, Any], library: Library) -> Any:
    """A data frame of the library that was asked for, from arrays or polars columns by name.

    Raises SettingError for a library that is not known.
    """
    import polars as pl

    frame = pl.DataFrame(dict(columns), nan_to_null=False)
    if library == "polars":
        return frame
    if library == "arrow":
        nul = [name for name in frame.columns if "\0" in name]
        if nul:
            raise DataError(
                "a table of Arrow cannot have a NUL in the name of a column",
                expected="other names, or a frame of polars or pandas",
                got=list_some([repr(name[:60]) for name in nul]),
            )
        return frame.to_arrow()
    if library == "pandas":
        import pandas as pd

        return pd.DataFrame({name: column.to_numpy() for name, column in frame.to_dict().items()})
    raise SettingError(
        "no such library of data frames", expected="polars, pandas or arrow", got=quoted(library)
    )


def _check_names(names: list[Any]) -> None:
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise DataError(
            "the table has column names that occur more than once",
            expected="a different name for every column",
            got=list_some([quoted(name) for name in dict.fromkeys(repeated)]),
        )
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise DataError(
            "the table has column names that are no text",
            expected="texts",
            got=list_some([quoted(name) for name in wrong]),
            hint="frame.columns = frame.columns.astype(str)",
        )


def _from_pandas(column: Any, name: str) -> pl.Series:
    import polars as pl

    dtype = column.dtype
    if type(dtype).__name__ == "ArrowDtype":
        return pl.Series(name, column.array.__arrow_array__())
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return pl.Series(name, column.to_numpy(), nan_to_null=True)
    if getattr(dtype, "kind", "") == "M":
        times = (
            column if getattr(dtype, "tz", None) is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
        )
        return pl.Series(name, times.to_numpy().astype("datetime64[us]"))
    if type(dtype).__name__ == "CategoricalDtype":
        categories = _from_pandas(column.cat.categories.to_series(), name)
        if kind_of_type(categories) == "other":  # the intervals of pandas.cut, for one
            categories = pl.Series(name, [str(category) for category in column.cat.categories], pl.String)
        texts = canonical_text(categories).cast(pl.Categorical)
        codes = pl.Series(name, column.cat.codes.to_numpy().astype(np.int64))
        return texts.gather(codes.set(codes < 0, None)).alias(name)
    missing = column.isna().to_numpy()
    cells = [None if gone else cell for cell, gone in zip(column.tolist(), missing, strict=True)]
    return from_cells(name, cells)


def from_cells(name: str, cells: list[Any]) -> pl.Series:
    """A column from Python objects, None where one is missing: all of one kind, or else texts.

    Raises DataError where some of them are neither text nor numbers, truth values, dates or times, and others are.

    >>> from_cells("size", [1, 2.5, None]).to_list(), from_cells("size", [1, "S", True]).to_list()
    ([1.0, 2.5, None], ['1', 'S', 'true'])
    """
    import polars as pl

    kinds = [_kind(cell) for cell in cells]
    found = list(dict.fromkeys(kind for kind in kinds if kind))
    if len(found) > 1 and "other" not in found:
        return pl.Series(name, list(map(_as_text, cells)), pl.String)
    if len(found) > 1:
        raise DataError(
            f"column {quoted(name)} has cells of different kinds, some of which are neither text nor numbers nor dates",
            expected="text, numbers, true/false, dates",
            got=list_cells([(kinds.index("other"), cells[kinds.index("other")])]),
            hint=f"frame[{quoted(name)}] = frame[{quoted(name)}].astype(str)",
        )
    if found == ["number"] and all(cell is None or isinstance(cell, int | np.integer) for cell in cells):
        whole = [None if cell is None else int(cell) for cell in cells]
        if all(cell is None or abs(cell) < 2**63 for cell in whole):
            return pl.Series(name, whole, pl.Int64)
    if found == ["number"]:
        return pl.Series(name, [None if cell is None else float(cell) for cell in cells], pl.Float64)
    if found == ["time"]:
        return pl.Series(name, cells, pl.Time)
    if found == ["date"]:
        wide = [None if cell is None else np.datetime64(cell, "us").item() for cell in cells]
        return pl.Series(name, wide, pl.Datetime("us"))
    if not found:
        return pl.Series(name, cells, pl.Null)
    if found == ["other"]:
        return pl.Series(name, cells, pl.Object)
    return pl.Series(name, cells)


def _as_text(cell: Any) -> str | None:
    """A cell of a column of mixed kinds, as a column of its own kind would write it."""
    return None if cell is None else canonical_text(from_cells("", [cell]))[0]


def _kind(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool | np.bool_):
        return "boolean"
    if isinstance(cell, str):
        return "text"
    if isinstance(cell, datetime.time):
        return "time"
    return "number" if isinstance(cell, NUMBERS) else "date" if isinstance(cell, DATES) else "other"
