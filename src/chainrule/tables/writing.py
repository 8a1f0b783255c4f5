"""Writes predictions to a file part by part: CSV, or Parquet by the file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chainrule.files import written_atomically

if TYPE_CHECKING:
    import polars as pl

Write = Callable[["pl.DataFrame"], None]


@contextmanager
def table_writer(path: str | PathLike[str]) -> Iterator[Write]:
    """A function that appends the rows of a frame; the file takes its name once the block has ended.

    Parquet if the name ends in .parquet or .pq, else CSV. Raises FileWriteError; an error leaves a previous file.
    """
    with written_atomically(path) as place:
        if Path(path).suffix.lower() in {".parquet", ".pq"}:
            with _parquet(place) as write:
                yield write
        else:
            with _csv(place) as write:
                yield write


@contextmanager
def _csv(place: Path) -> Iterator[Write]:
    with place.open("wb") as file:
        begun = False

        def write(frame: pl.DataFrame) -> None:
            nonlocal begun
            frame.write_csv(file, include_header=not begun)
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
