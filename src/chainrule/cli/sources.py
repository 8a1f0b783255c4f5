"""DATA on the command line: a file, an address, a database, standard input, or the name of a bundled problem."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.data.bundled import bundled_names, load_bundled
from chainrule.data.describe import list_some, suggest_names
from chainrule.data.features.cell_types import Untyped
from chainrule.data.features.column_options import FOUND_OUT as NOTHING_SAID
from chainrule.data.features.column_options import Columns
from chainrule.data.features.compact import compact
from chainrule.data.files.databases import is_database, sqlite_path
from chainrule.data.files.formats import for_others
from chainrule.data.files.heading import find_column
from chainrule.data.files.opening import tables_in
from chainrule.data.files.origins import is_url
from chainrule.data.files.text_format import FOUND_OUT, TextFormat
from chainrule.data.tables import read_whole, short_name
from chainrule.errors import DataError, SettingError
from chainrule.files import USUAL
from chainrule.foreign_text import quoted
from chainrule.system.temporaries import PRIVATE

if TYPE_CHECKING:
    import polars as pl

TARGET_NAMES = ("target", "label", "class", "y")
"""The names, in any case of letters, of a column that is taken for the target without being told."""


@dataclass(frozen=True)
class Source:
    """A table, what it is called, for a bundled problem what is to be predicted, and how its file was read.

    ``assumed`` is what was found out about the format of a text file, ``likely_decimal`` the decimal mark that this
    makes likely.
    """

    name: str
    frame: pl.DataFrame
    target: str | None = None
    task: str | None = None
    assumed: tuple[str, ...] = ()
    likely_decimal: str = ""


def load_source(
    data: str,
    wanted: TextFormat = FOUND_OUT,
    columns: Columns = NOTHING_SAID,
    target: str | None = None,
) -> Source:
    """The table that ``data`` names; a file comes before a bundled problem of the same name.

    ``target`` is the column to predict, as it was asked for.

    Raises DataError where there is neither, with the nearest names.
    """
    place = find_place(data)
    if place is None:
        _refuse_format(data, wanted)
        return _load_bundled(data)
    untyped = Untyped(columns.read_as_text, lambda names: _find_target(names, target) or "")
    table = read_whole(place, untyped, wanted)
    frame = compact(table.frame, columns)
    return Source(short_name(data), frame, assumed=table.assumed, likely_decimal=table.likely_decimal)


def _refuse_format(data: str, wanted: TextFormat) -> None:
    if wanted.given and data in bundled_names():
        raise SettingError(for_others(wanted.given_names), got=quoted(data))


def find_source(data: str) -> str | Path | pl.DataFrame:
    """As ``load_source``, but a file is not read yet."""
    return find_place(data) or _load_bundled(data).frame


def find_place(data: str) -> str | Path | None:
    """The file, address or database that ``data`` names; None if it can only be a bundled problem."""
    if data == "-" or is_url(data) or is_database(data):
        return data
    path = Path(data)
    return path if _exists(path) or _looks_like_path(data) else None


def _load_bundled(data: str) -> Source:
    if data not in bundled_names():
        raise DataError(
            f"there is no file and no bundled problem {quoted(data)}",
            expected=f"a CSV or Parquet file, or one of {', '.join(bundled_names())}",
            where=f"folder {Path.cwd()}",
            hint=suggest_names(data, [*bundled_names(), *tables_in(Path.cwd())]),
        )
    problem = load_bundled(data)
    return Source(data, problem.frame, problem.target, problem.task)


def permissions_from(*sources: str | Path) -> int:
    """Those of a new file that is made from these: nobody who may not read all of them may read it."""
    found = USUAL
    for path in (file_behind(str(source)) for source in sources):
        if path is not None:
            found &= stat.S_IMODE(path.stat().st_mode) | PRIVATE
    return found


def file_behind(source: str) -> Path | None:
    """The file that is read for a source: also an archive, or the file of a database; None where there is none."""
    path = sqlite_path(source) or Path(source)
    return next((file for file in (path, *path.parents) if _exists(file) and file.is_file()), None)


def hides_bundled(data: str) -> bool:
    """Whether a file has the name of a bundled problem, and so is read in its place."""
    return data in bundled_names() and _exists(Path(data))


def _looks_like_path(data: str) -> bool:
    return bool(Path(data).suffix) or os.sep in data or (os.altsep or os.sep) in data


def choose_target(source: Source, wanted: str | None) -> str:
    """The column to predict: the one asked for, by name or number, a bundled problem's own, or the only one named so.

    Raises DataError that lists the columns where it cannot tell.
    """
    columns = source.frame.columns
    known = _find_target(columns, source.target if wanted is None else wanted)
    if known is not None:
        return known
    found = [name for name in columns if name.lower() in TARGET_NAMES]
    raise DataError(
        "which column is to be predicted?",
        expected=f"--target COLUMN, or one column named {', '.join(TARGET_NAMES[:-1])} or {TARGET_NAMES[-1]}",
        got=f"columns {list_some([quoted(name) for name in columns], limit=30)}",
        hint=f"--target {quoted(found[0] if found else columns[-1])}",
    )


def _find_target(names: Sequence[str], wanted: str | None) -> str | None:
    """The column that was asked for, or the only one that is called as targets are; None where there is none."""
    if wanted is not None:
        return find_column(names, wanted)
    found = [name for name in names if name.lower() in TARGET_NAMES]
    return found[0] if len(found) == 1 else None


def check_place(option: str, path: Path, inputs: list[str]) -> None:
    """Refuse a place to write to before any work is done.

    Raises SettingError for a folder that is missing or not writable, for a folder in the file's place, and
    for a file that the command reads.
    """
    if str(path) == "-":
        raise SettingError(f"{option} names a file, and - is none", got="-", hint=f"{option} /dev/stdout")
    try:
        problem = _problem_with(path, inputs)
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        problem = getattr(error, "strerror", None) or str(error)
    if problem:
        raise SettingError(f"{option} cannot be written: {problem}", got=str(path), hint="name another file")


def _problem_with(path: Path, inputs: list[str]) -> str:
    """Why nothing can be written to this place, or nothing."""
    folder = path.parent
    if path.is_dir():
        return "it is a folder"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} is read-only"
    read = [file for file in map(file_behind, inputs) if file is not None]
    if path.exists() and any(path.samefile(file) for file in read):
        return "it is the file that is read"
    return ""


def _exists(path: Path) -> bool:
    """Whether there is such a file; there is none whose name no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
