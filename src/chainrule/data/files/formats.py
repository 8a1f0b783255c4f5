"""Which reader a file is for: by its name, else by its first bytes; and what a user may say about each kind of file."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

from chainrule.data.files import json_tables, workbooks
from chainrule.data.files.compressed import plain_name, raw_blocks
from chainrule.data.files.databases import MAGIC
from chainrule.data.files.origins import Origin
from chainrule.data.files.text_format import TextFormat
from chainrule.errors import SettingError

Kind = Literal["text", "parquet", "arrow", "workbook", "json", "arff", "sqlite", "database"]
BY_NAME: dict[str, Kind] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".arff": "arff",
    **dict.fromkeys(json_tables.ENDINGS, "json"),
    **dict.fromkeys(workbooks.ENDINGS, "workbook"),
}
BY_BYTES: dict[bytes, Kind] = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "workbook",
    MAGIC: "sqlite",
}
SHEETS = (b"xl/", b"opendocument.spreadsheet", b"[Content_Types].xml")
TAKES: dict[Kind, set[str]] = {
    "text": {"encoding", "delimiter", "header"},
    "workbook": {"header", "sheet"},
    "json": {"encoding"},
    "arff": {"encoding"},
}
"""What a user may say about each kind of file."""


def kind_of(origin: Origin) -> Kind:
    """Which kind of file it is: what its name says, else what its first bytes say, else text."""
    kind = BY_NAME.get(Path(plain_name(origin.name)).suffix.lower())
    if kind and kind != "workbook":
        return kind
    head = next(islice(raw_blocks(origin), 1), b"")[:4096]
    if kind and (not head.strip() or b"\0" in head or head.startswith(b"PK")):
        return kind  # without a zero byte it is text, which web sites like to call .xls
    for begin, other in BY_BYTES.items():
        if head.startswith(begin):
            return other
    if head.startswith(b"PK\x03\x04") and any(sign in head for sign in SHEETS):
        return "workbook"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.lower().startswith(b"@relation"):
        return "arff"
    return "json" if text.startswith(b'{"') or text.startswith(b"[{") else "text"


def check_format(wanted: TextFormat, kind: Kind, name: str) -> None:
    """SettingError where something is said that such a file has not."""
    given = [field for field in wanted.given_names if field not in TAKES.get(kind, set())]
    if given:
        raise SettingError(for_others(given), got=name)


def for_others(given: list[str]) -> str:
    """What is wrong where this is said about a file that has it not.

    >>> for_others(["sheet"]), for_others(["encoding", "header"])
    ('--sheet is for workbooks only', '--encoding and --header are for files of text only')
    """
    named = " and ".join(f"--{name}" for name in given)
    files = "workbooks" if given == ["sheet"] else "files of text"
    return f"{named} {'is' if len(given) == 1 else 'are'} for {files} only"
