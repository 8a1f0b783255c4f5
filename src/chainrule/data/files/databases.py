"""Tables of databases: SQLite by Python's own library, others through connectorx (``pip install 'chainrule[sql]'``).

A source is an address with a query or a table behind it: ``sqlite:///shop.db?query=select * from sales``,
``sqlite:///shop.db?table=sales``, ``postgresql://user@host/shop?table=sales``. Nothing is ever written.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from chainrule.data.describe import list_some, suggest_names
from chainrule.data.files.row_values import frame_of
from chainrule.errors import DataError
from chainrule.foreign_text import clipped, quoted

if TYPE_CHECKING:
    import polars as pl

SCHEMES = (
    "sqlite",
    "postgresql",
    "postgres",
    "mysql",
    "mssql",
    "oracle",
    "redshift",
    "clickhouse",
    "bigquery",
    "trino",
)
ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://(.*?)(?:[?&](query|table)=(.*))?", re.DOTALL | re.IGNORECASE)
MAGIC = b"SQLite format 3\0"
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def is_database(source: object) -> bool:
    """Whether it is the address of a database.

    >>> is_database("sqlite:///shop.db?table=sales"), is_database("shop.csv")
    (True, False)
    """
    return isinstance(source, str) and ADDRESS.fullmatch(source) is not None


def database_name(source: str) -> str:
    """What messages and models call it: without user, password and host."""
    found = ADDRESS.fullmatch(source)
    place = urlsplit(source.partition("?")[0]).path.rpartition("/")[2]
    behind = f"?{found[3].lower()}={_asked(found[4])}" if found and found[3] else ""
    return f"{place}{behind}"


def sqlite_path(source: str) -> Path | None:
    """The file of an SQLite database's address; None for anything else."""
    found = ADDRESS.fullmatch(source)
    if not found or found[1].lower() != "sqlite":
        return None
    return Path(unquote(found[2].removeprefix("/")))


def read_database(source: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The answer of a database as a table, and what was assumed.

    Raises DataError for a database that cannot be reached or read, and for a query that it refuses.
    """
    found = ADDRESS.fullmatch(source)
    assert found
    place, kind, behind = found[2], (found[3] or "").lower(), _asked(found[4] or "")
    file = sqlite_path(source)
    if file is not None:
        return read_sqlite(file, kind, behind)
    if not kind:
        raise DataError(
            f"which table of {clipped(database_name(source))} is to be read?",
            expected="?table=NAME or ?query=SELECT behind the address",
        )
    return _by_connectorx(
        source, f"{found[1]}://{place}", _query_for(behind) if kind == "table" else behind
    ), ()


def _asked(behind: str) -> str:
    """A query as it was meant: written for an address, with %20, or as it is."""
    return (
        unquote(behind.replace("+", " "))
        if re.search(r"%20|%2A", behind, re.I) or re.fullmatch(r"\w+\+\S+", behind)
        else behind
    )


def _query_for(table: str) -> str:
    return f"select * from {'.'.join(_named(part) for part in table.split('.'))}"


def _named(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def read_sqlite(path: Path, kind: str = "", behind: str = "") -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A table of an SQLite file: of ``kind`` "table" or "query", or its only one."""
    if not path.is_file():
        near = (
            sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
            if path.parent.is_dir()
            else []
        )
        raise DataError(
            f"there is no file {path}",
            where=f"folder {path.parent.resolve()}",
            hint=suggest_names(path.name, near),
        )
    said: tuple[str, ...] = ()
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            tables = [row[0] for row in connection.execute(
                "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%'"
            )]  # fmt: skip
            if not kind:
                behind, said = _only_table(path, tables), ()
            if kind != "query":
                if behind not in tables:
                    raise DataError(
                        f"{path} has no table {quoted(behind)}",
                        expected="a table of the database",
                        got=list_some([quoted(name) for name in tables], limit=20),
                        hint=suggest_names(behind, tables),
                    )
                said = said if kind else (f"table {quoted(behind)}",)
                behind = f"select * from {_named(behind)}"
            # no query can attach, write or load anything
            connection.set_authorizer(
                lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
            )
            cursor = connection.execute(behind)
            names = [column[0] for column in cursor.description or ()]
            rows = cursor.fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise DataError(
            f"{path} did not answer",
            expected="an SQLite database, and one select",
            got=str(error),
            where=clipped(behind),
        ) from error
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    frame, more = frame_of(names, columns)
    return frame, (*said, *more)


def _only_table(path: Path, tables: list[str]) -> str:
    if len(tables) == 1:
        return tables[0]
    raise DataError(
        f"{path} holds {len(tables)} tables" if tables else f"{path} is a database without tables",
        expected="the name of one",
        got=list_some([quoted(name) for name in tables], limit=20),
        hint=f"sqlite:///{path}?table={clipped(tables[0])}" if tables else "",
    )


def _by_connectorx(source: str, address: str, query: str) -> pl.DataFrame:
    import polars as pl

    try:
        import connectorx
    except ImportError:
        raise DataError(
            f"{clipped(database_name(source))} is a database, and the library that asks databases is not installed",
            expected="the package connectorx",
            hint="pip install 'chainrule[sql]', or export the table as CSV",
        ) from None
    try:
        frame = connectorx.read_sql(address, query, return_type="polars")
    except (RuntimeError, ValueError, OSError) as error:
        parts = urlsplit(address)
        text = str(error).replace(parts.password or "\0", "***")
        raise DataError(
            f"the database {clipped(database_name(source))} did not answer",
            got=text.splitlines()[0] if text else type(error).__name__,
            where=clipped(query),
            hint="check the address, the user and the query",
        ) from None
    return pl.DataFrame(frame)
