"""Data frames of other libraries: taken in wherever a table is, and given back."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.data.describe import list_cells, list_some
from chainrule.errors import DataError, SettingError

if TYPE_CHECKING:
    import polars as pl

Library = Literal["polars", "pandas", "arrow"]
NUMBERS = (int, float, Decimal, np.number)
DATES = (datetime.date, np.datetime64)


def as_frame(table: Any) -> pl.DataFrame:
    """A polars frame of a table: polars, pandas, an Arrow table, or whatever has ``__arrow_c_stream__``.

    Of pandas, the index is left out, categories are texts whatever they are made of, and object columns become text,
    numbers, true/false or dates by what their cells are; None, NaN, NaT and NA are missing. Raises DataError for
    anything else, for column names that occur twice or are no text, and for object columns whose cells are of
    different kinds, with their rows.

    >>> import pandas as pd
    >>> as_frame(pd.DataFrame({"a": [1.5, None], "b": ["x", None]})).rows()
    [(1.5, 'x'), (None, None)]
    """
    import polars as pl

    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns"):
        _check_names(list(table.columns))
        return pl.DataFrame([_from_pandas(table[name], name) for name in table.columns])
    if hasattr(table, "__arrow_c_stream__") and not hasattr(table, "name"):  # which a single column has
        _check_names(list(getattr(table, "column_names", [])))
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
        return frame.to_arrow()
    if library == "pandas":
        import pandas as pd

        return pd.DataFrame({name: column.to_numpy() for name, column in frame.to_dict().items()})
    raise SettingError(
        "no such library of data frames", expected="polars, pandas or arrow", got=repr(library)
    )


def _check_names(names: list[Any]) -> None:
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise DataError(
            "the table has column names that occur more than once",
            expected="a different name for every column",
            got=list_some([repr(name) for name in dict.fromkeys(repeated)]),
        )
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise DataError(
            "the table has column names that are no text",
            expected="texts",
            got=list_some([repr(name) for name in wrong]),
            hint="frame.columns = frame.columns.astype(str)",
        )


def _from_pandas(column: Any, name: str) -> pl.Series:
    import polars as pl

    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return pl.Series(name, column.to_numpy(), nan_to_null=True)
    if getattr(dtype, "kind", "") == "M":
        times = (
            column if getattr(dtype, "tz", None) is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
        )
        return pl.Series(name, times.to_numpy().astype("datetime64[us]"))
    if type(dtype).__name__ == "CategoricalDtype":
        texts = [str(category) for category in column.cat.categories]
        codes = column.cat.codes.to_list()
        return pl.Series(name, [None if code < 0 else texts[code] for code in codes], pl.String)
    missing = column.isna().to_numpy()
    cells = [None if gone else cell for cell, gone in zip(column.tolist(), missing, strict=True)]
    return _of_one_kind(name, cells)


def _of_one_kind(name: str, cells: list[Any]) -> pl.Series:
    """A column from Python objects."""
    import polars as pl

    kinds = [_kind(cell) for cell in cells]
    found = list(dict.fromkeys(kind for kind in kinds if kind))
    if len(found) > 1:
        first = [kinds.index(kind) for kind in found]
        raise DataError(
            f"column {name!r} has cells of different kinds",
            expected="only text, only numbers, only true/false or only dates",
            got=list_cells((row, cells[row]) for row in first),
            hint=f"frame[{name!r}] = frame[{name!r}].astype(str)",
        )
    if found == ["number"]:
        return pl.Series(name, [None if cell is None else float(cell) for cell in cells], pl.Float64)
    if found == ["date"]:
        wide = [None if cell is None else np.datetime64(cell, "us").item() for cell in cells]
        return pl.Series(name, wide, pl.Datetime("us"))
    if not found:
        return pl.Series(name, cells, pl.Null)
    if found == ["other"]:
        return pl.Series(name, cells, pl.Object)
    return pl.Series(name, cells)


def _kind(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool | np.bool_):
        return "boolean"
    if isinstance(cell, str):
        return "text"
    return "number" if isinstance(cell, NUMBERS) else "date" if isinstance(cell, DATES) else "other"
