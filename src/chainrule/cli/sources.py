"""DATA on the command line: a table file, or the name of a bundled problem."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.data.bundled import bundled_names, load_bundled
from chainrule.data.describe import list_some, suggest_names
from chainrule.data.tables import read_table
from chainrule.errors import DataError, SettingError

if TYPE_CHECKING:
    import polars as pl

TARGET_NAMES = ("target", "label", "class", "y")
"""The names, in any case of letters, of a column that is taken for the target without being told."""


@dataclass(frozen=True)
class Source:
    """A table, what it is called, and for a bundled problem what is to be predicted."""

    name: str
    frame: pl.DataFrame
    target: str | None = None
    task: str | None = None


def load_source(data: str) -> Source:
    """The table that ``data`` names; a file comes before a bundled problem of the same name.

    Raises DataError where there is neither, with the nearest names.
    """
    path = find_path(data)
    return _load_bundled(data) if path is None else Source(path.name, read_table(path))


def find_source(data: str) -> Path | pl.DataFrame:
    """As ``load_source``, but a file is not read yet."""
    return find_path(data) or _load_bundled(data).frame


def find_path(data: str) -> Path | None:
    """The file that ``data`` names; None if it can only be a bundled problem."""
    path = Path(data)
    return path if path.exists() or _looks_like_path(data) else None


def _load_bundled(data: str) -> Source:
    if data not in bundled_names():
        raise DataError(
            f"there is no file and no bundled problem {data!r}",
            expected=f"a CSV or Parquet file, or one of {', '.join(bundled_names())}",
            where=f"folder {Path.cwd()}",
            hint=suggest_names(data, [*bundled_names(), *_files_here()]),
        )
    problem = load_bundled(data)
    return Source(data, problem.frame, problem.target, problem.task)


def hides_bundled(data: str) -> bool:
    """Whether a file has the name of a bundled problem, and so is read in its place."""
    return data in bundled_names() and Path(data).exists()


def _looks_like_path(data: str) -> bool:
    return bool(Path(data).suffix) or os.sep in data or (os.altsep or os.sep) in data


def _files_here() -> list[str]:
    return sorted(entry.name for entry in Path.cwd().iterdir() if entry.is_file())


def choose_target(source: Source, wanted: str | None) -> str:
    """The column to predict: the one asked for, a bundled problem's own, or the only one named like one.

    Raises DataError that lists the columns where it cannot tell.
    """
    if wanted is not None:
        return wanted
    if source.target is not None:
        return source.target
    columns = source.frame.columns
    found = [name for name in columns if name.lower() in TARGET_NAMES]
    if len(found) == 1:
        return found[0]
    raise DataError(
        "which column is to be predicted?",
        expected=f"--target COLUMN, or one column named {', '.join(TARGET_NAMES[:-1])} or {TARGET_NAMES[-1]}",
        got=f"columns {list_some([repr(name) for name in columns], limit=30)}",
        hint=f"--target {found[0] if found else columns[-1]!r}",
    )


def check_place(option: str, path: Path, inputs: list[str]) -> None:
    """Refuse a place to write to before any work is done.

    Raises SettingError for a folder that is missing or not writable, for a folder in the file's place, and
    for a file that the command reads.
    """
    folder = path.parent
    problem = ""
    if path.is_dir():
        problem = "it is a folder"
    elif not folder.is_dir():
        problem = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK):
        problem = f"the folder {folder} is read-only"
    elif path.exists() and any(Path(name).exists() and path.samefile(name) for name in inputs):
        problem = "it is the file that is read"
    if problem:
        raise SettingError(f"{option} cannot be written: {problem}", got=str(path), hint="name another file")
