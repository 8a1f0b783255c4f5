"""ARFF, Weka's format: names and types in ``@attribute`` lines, then rows of cells separated by commas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chainrule.data.files.encodings import Decoding
from chainrule.data.files.heading import column_names, count_of
from chainrule.data.files.origins import Origin
from chainrule.data.files.text_format import TextFormat
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
PAIR = re.compile(rf"\s*([0-9]{{1,9}})\s+({QUOTED}|[^,\s][^,]*?)\s*(?:,|$)")
NOMINAL = re.compile(rf"\{{\s*({QUOTED}|[^,}}]*?)\s*[,}}]")
WEIGHT = re.compile(r",\s*\{\s*[\d.eE+-]+\s*\}\s*$")
CELL = re.compile(rf"\s*({QUOTED}|[^,]*?)\s*(?:,|$)")
ATTRIBUTE = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s{]+)\s*(.*)", re.IGNORECASE)


def read_arff(origin: Origin, wanted: TextFormat) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The rows of an ARFF file as text cells, ``?`` missing; and what was assumed.

    What a sparse row leaves out is 0, or the first of the values that a nominal attribute lists; of a text or a date
    it is missing. Weights of rows are left out. Raises DataError for rows with another number of cells than there are
    attributes, or with a cell of an attribute that there is not, and where there are no attributes.
    """
    import polars as pl

    decoding = Decoding(origin, wanted.encoding)
    names: list[str] = []
    usual: list[str | None] = []
    weights = 0
    rows: list[list[str | None]] = []
    in_data = False
    lines = re.split(r"\r\n|\r|\n", b"".join(decoding.blocks()).decode())
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("%"):
            continue
        if in_data:
            weighed = WEIGHT.search(text)
            weights += weighed is not None
            row = text[: weighed.start()] if weighed else text
            rows.append(_cells(origin, row, usual, number))
        elif text.lower().startswith("@data"):
            in_data = True
        elif found := ATTRIBUTE.match(text):
            names.append(_unquoted(found[1]))
            usual.append(_left_out(found[2]))
    if not names:
        raise DataError(
            f"{origin} is an ARFF file without attributes", expected="lines such as '@attribute a numeric'"
        )
    different, said = column_names(names)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    frame = pl.DataFrame(
        [pl.Series(name, column, pl.String) for name, column in zip(different, columns, strict=True)]
    )
    if weights:
        said = (*said, f"the weights of {count_of(weights, 'row')} left out")
    return frame, (*said, *filter(None, [decoding.assumed]))


def _left_out(kind: str) -> str | None:
    """What a sparse row says of an attribute of this type that it leaves out."""
    nominal = NOMINAL.match(kind.strip())
    if nominal:
        return _unquoted(nominal[1])
    return "0" if kind.strip().lower().startswith(("numeric", "real", "integer")) else None


def _sparse(origin: Origin, text: str, usual: list[str | None], number: int) -> list[str | None]:
    """A row of pairs, the place of a cell and the cell."""
    record, rest = list(usual), text[1:].strip().removesuffix("}").strip()
    while rest:
        found = PAIR.match(rest)
        if not found or int(found[1]) >= len(record):
            raise DataError(
                f"{origin} has a sparse row that cannot be read",
                expected=f"places from 0 to {len(record) - 1}, each with its cell, as in {{0 1.5, 3 yes}}",
                got=quoted(rest, 40),
                where=f"line {number}",
            )
        record[int(found[1])] = None if found[2] == "?" else _unquoted(found[2])
        rest = rest[found.end() :]
    return record


def _cells(origin: Origin, text: str, usual: list[str | None], number: int) -> list[str | None]:
    width = len(usual)
    if text.startswith("{"):
        return _sparse(origin, text, usual, number)
    record = [_unquoted(found[1]) for found in CELL.finditer(text) if found[0]]
    if len(record) != width:
        raise DataError(
            f"{origin} is ragged: a line has more or fewer cells than there are attributes",
            expected=f"{width} cells",
            got=f"{len(record)}",
            where=f"line {number}",
        )
    return [None if cell == "?" else cell for cell in record]


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1].replace("\\", "") if name[:1] in {"'", '"'} else name
