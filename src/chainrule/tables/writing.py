"""Writes predictions to a file part by part: CSV, Parquet or a workbook, by the file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chainrule.errors import DataError, ExchangeError, SettingError
from chainrule.files import USUAL, irregular, written_atomically
from chainrule.foreign_text import clipped

if TYPE_CHECKING:
    import polars as pl

PARQUET, WORKBOOK = (".parquet", ".pq"), ".xlsx"
SHEET_ROWS = 1_048_576  # of a workbook, its line of names among them
WORKBOOK_SETTINGS = {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
FORMULA = r"^\s*[=+\-@\t\r＝＋－＠]"
"""How a cell begins that spreadsheets run, in full-width characters too (OWASP, CSV injection)."""
NUMBER = r"^\s*[+\-]?(\d+\.?\d*|\.\d+)([eE][+\-]?\d+)?\s*$"

Write = Callable[["pl.DataFrame"], None]


@contextmanager
def table_writer(
    path: str | PathLike[str], escape_formulas: bool = False, *, mode: int = USUAL
) -> Iterator[Write]:
    """A function that appends the rows of a frame; the file takes its name once the block has ended.

    Parquet if the name ends in .parquet or .pq, a workbook if it ends in .xlsx, CSV if it ends in .csv or has no
    ending, or names a pipe or a device. ``escape_formulas`` puts a ' before the texts of a CSV file that a spreadsheet
    would run; ``mode`` are a new file's permissions. Raises SettingError for another ending, ExchangeError for a
    workbook without the package that writes it, and FileWriteError; an error leaves a previous file.
    """
    ending = _check_ending(Path(path), escape_formulas)
    with written_atomically(path, mode=mode) as place:
        if ending in PARQUET:
            writer = _parquet(place)
        elif ending == WORKBOOK:
            writer = _workbook(place)
        else:
            writer = _csv(place, escape_formulas)
        with writer as write:
            yield write


def _check_ending(path: Path, escape_formulas: bool) -> str:
    """The ending of the file's name, which says what is written."""
    ending = path.suffix.lower()
    if path.exists() and irregular(path):
        return ".csv"
    if ending not in {"", ".csv", WORKBOOK, *PARQUET}:
        raise SettingError(
            f"predictions are not written as {clipped(ending)}",
            expected=f"a name that ends in .csv, {WORKBOOK}, {' or '.join(PARQUET)}",
            got=str(path),
            hint=f"{path.stem}.csv, which spreadsheets read",
        )
    if escape_formulas and ending in (WORKBOOK, *PARQUET):
        raise SettingError(
            f"formulas are escaped in CSV files only, for no program runs the texts of a {ending} file",
            got=str(path),
            hint=f"{path.stem}.csv",
        )
    if ending == WORKBOOK and find_spec("xlsxwriter") is None:
        raise ExchangeError(
            f"writing {path.name} needs the package xlsxwriter",
            expected="it installed, or another ending",
            hint="pip install 'chainrule[excel]', or --out predictions.csv",
        )
    return ending


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, with a ' before each text that a spreadsheet would take for a formula; what is a number stays one.

    >>> import polars as pl
    >>> without_formulas(pl.DataFrame({"prediction": ["=1+2", "-3.5", "-a", "b"]}))["prediction"].to_list()
    ["'=1+2", '-3.5', "'-a", 'b']
    """
    import polars as pl

    text = pl.col(pl.String)
    is_formula = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
    return frame.with_columns(pl.when(is_formula).then("'" + text).otherwise(text).name.keep())


@contextmanager
def _csv(place: Path, escape_formulas: bool) -> Iterator[Write]:
    with place.open("wb") as file:
        begun = False

        def write(frame: pl.DataFrame) -> None:
            nonlocal begun
            frame = without_formulas(frame) if escape_formulas else frame
            file.write(frame.write_csv(include_header=not begun).encode())
            begun = True

        yield write


@contextmanager
def _parquet(place: Path) -> Iterator[Write]:
    """Parts in a folder beside the file, which polars joins at the end without holding them all."""
    import polars as pl

    with TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as folder:
        parts: list[Path] = []

        def write(frame: pl.DataFrame) -> None:
            parts.append(Path(folder) / f"{len(parts):09d}.parquet")
            frame.write_parquet(parts[-1])

        yield write
        pl.scan_parquet(parts).sink_parquet(place)


@contextmanager
def _workbook(place: Path) -> Iterator[Write]:
    """A sheet of cells, in which a text that begins with = is a text; DataError for more rows than a sheet has."""
    import polars as pl
    from xlsxwriter import Workbook

    parts: list[pl.DataFrame] = []

    def write(frame: pl.DataFrame) -> None:
        parts.append(frame)
        rows = sum(part.height for part in parts)
        if rows >= SHEET_ROWS:
            raise DataError(
                "a sheet of a workbook has not so many rows",
                expected=f"{SHEET_ROWS - 1} rows at most",
                got=f"{rows} rows and more",
                hint="predictions.csv, or predictions.parquet",
            )

    yield write
    with place.open("wb") as file, Workbook(file, WORKBOOK_SETTINGS) as book:
        pl.concat(parts).write_excel(book, "predictions", autofilter=False)
