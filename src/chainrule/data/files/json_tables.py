"""Tables in JSON: an object a line (JSON lines), an array of objects or of rows, or an object of columns."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from chainrule.data.describe import list_some
from chainrule.data.files.encodings import Decoding
from chainrule.data.files.heading import count_of, find_heading, is_headed
from chainrule.data.files.origins import Origin
from chainrule.data.files.row_values import frame_of
from chainrule.data.files.text_format import TextFormat
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

ENDINGS = {".json", ".jsonl", ".ndjson"}
FORMS = "an array of objects, an object on each line, or an object of columns"


def read_json(origin: Origin, wanted: TextFormat) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table in a JSON file and what was assumed. An object inside a cell becomes columns called ``outer.inner``.

    Raises DataError, with the line, for what is no JSON, and for JSON that is no table.
    """
    decoding = Decoding(origin, wanted.encoding)
    text = b"".join(decoding.blocks()).decode()
    rows, said = _rows(origin, text)
    names: dict[str, None] = {}
    flat = [_flat(row) for row in rows]
    for row in flat:
        names.update(dict.fromkeys(row))
    columns = ([row.get(name) for row in flat] for name in names)
    frame, more = frame_of(list(names), columns)
    return frame, (*said, *more, *filter(None, [decoding.assumed]))


def _rows(origin: Origin, text: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The rows as objects."""
    repeated: Counter[str] = Counter()
    value, said = _parsed(origin, text, repeated), _say_repeated(repeated)
    if isinstance(value, dict):
        value, more = _inside(origin, value)
        said = (*said, *more)
    if (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], dict)
        and isinstance(value[1], list)
    ):
        value = value[1]  # what is said about the table, and the table
    if _are_lists(value):
        found = _of_lists(value)
        if found:
            return found[0], (*said, *found[1])
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DataError(
            f"{origin} holds JSON that is no table",
            expected=FORMS,
            got=quoted(text.lstrip()[:60]),
            hint="write it as an array of objects with the same names, one for each row",
        )
    return value, said


def _say_repeated(repeated: Counter[str]) -> tuple[str, ...]:
    if not repeated:
        return ()
    names = list_some([f"{quoted(name)} ({count_of(count, 'object')})" for name, count in repeated.items()])
    return (f"the last value of names that an object has twice: {names}",)


def _of_lists(rows: list[list[Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]] | None:
    """Rows of rows as objects; None where they are no table. The first holds names if sheets' first row would."""
    header, said = all(isinstance(cell, str) for cell in rows[0]), tuple[str, ...]()
    if {len(row) for row in rows} != {len(rows[0])} or not rows[0]:
        return None
    if header:
        texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
        header = find_heading(texts).header
        said = (
            ()
            if is_headed(texts) or not header
            else ("the first row as names, though it is like the others",)
        )
    names = rows[0] if header else [f"column_{place}" for place in range(1, len(rows[0]) + 1)]
    if len(set(names)) < len(names):
        return None
    return [dict(zip(names, row, strict=True)) for row in rows[header:]], said if header else (
        "no line of names",
    )


def _parsed(origin: Origin, text: str, repeated: Counter[str]) -> Any:
    """The value of the text, or the list of its lines' values; ``repeated`` gets the names that an object repeats."""

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated.update(name for name, count in counts.items() if count > 1)
        return value

    try:
        return json.loads(text, object_pairs_hook=as_object)
    except json.JSONDecodeError as error:
        whole = error
    repeated.clear()
    rows = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip():
            try:
                rows.append(json.loads(line, object_pairs_hook=as_object))
            except json.JSONDecodeError as error:
                if not rows and (found := _one_after_another(text)):
                    return found
                first = whole if not rows else error
                line_number = whole.lineno if not rows else number
                raise DataError(
                    f"{origin} is not JSON that can be read",
                    expected=FORMS,
                    got=first.msg,
                    where=f"line {line_number}, character {first.colno}",
                ) from None
    return rows


def _one_after_another(text: str) -> list[Any]:
    """The objects that follow each other in a text, each over several lines; none where it is anything else."""
    decoder, rows, place = json.JSONDecoder(), [], 0
    while begin := re.compile(r"[\s,]*(?=\{)").match(text, place):
        try:
            row, place = decoder.raw_decode(text, begin.end())
        except json.JSONDecodeError:
            return []
        rows.append(row)
    return rows if not text[place:].strip() else []


def _inside(origin: Origin, value: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The table inside an object: of columns, or the only list of objects in it."""
    split = _split(value)
    if split is not None:
        return split, ()
    lists = {name: inner for name, inner in value.items() if isinstance(inner, list)}
    sizes = {len(inner) for inner in lists.values()}
    plain = all(not isinstance(cell, dict) for inner in lists.values() for cell in inner[:1])
    if len(lists) == len(value) > 1 and len(sizes) == 1 and plain:
        return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)], ()
    by_row = {name: inner for name, inner in value.items() if isinstance(inner, dict)}
    flat = all(not isinstance(cell, dict | list) for inner in by_row.values() for cell in inner.values())
    if len(by_row) == len(value) > 1 and len({tuple(inner) for inner in by_row.values()}) == 1 and flat:
        return _of_objects(by_row)
    tables = {
        name: inner for name, inner in lists.items() if inner and all(isinstance(row, dict) for row in inner)
    }
    if len(tables) == 1:
        ((name, inner),) = tables.items()
        return inner, (f"the list {quoted(name)} in the object",)
    if len(tables) > 1:
        raise DataError(
            f"{origin} holds {len(tables)} tables",
            expected=FORMS,
            got=list_some([quoted(name) for name in tables]),
            hint="write the one that is meant to a file of its own",
        )
    return _below(value) or ((value if lists or by_row else [value]), ())


def _are_lists(value: Any) -> bool:
    """Whether this is a list of lists."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, list) for row in value)


def _below(value: dict[str, Any]) -> tuple[Any, tuple[str, ...]] | None:
    """The only list of objects or of rows inside objects in the object, of those that are least deep; its names too."""
    level = list(value.items())
    while level:
        tables = {
            path: inner
            for path, inner in level
            if isinstance(inner, list)
            and len(inner) > 1
            and (_are_lists(inner) or all(isinstance(row, dict) for row in inner))
        } or {
            path: _by_rows(inner) for path, inner in level if isinstance(inner, dict) and _are_columns(inner)
        }
        if tables:
            ((path, inner), *others) = tables.items()
            return None if others else (_named(inner, value), (f"the list {quoted(path)} in the object",))
        level = [
            (f"{path}.{name}", deeper)
            for path, inner in level
            if isinstance(inner, dict)
            for name, deeper in inner.items()
        ]
    return None


def _are_columns(value: dict[str, Any]) -> bool:
    """Whether this is an object of several equally long lists of cells."""
    lists = [inner for inner in value.values() if isinstance(inner, list)]
    return (
        len(lists) == len(value) > 1
        and len({len(inner) for inner in lists}) == 1
        and len(lists[0]) > 1
        and not any(isinstance(cell, dict | list) for inner in lists for cell in inner)
    )


def _by_rows(value: dict[str, list[Any]]) -> list[Any]:
    """An object of lists as a list of objects."""
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _named(rows: list[Any], value: dict[str, Any]) -> list[Any]:
    """Rows of cells below the names of columns that the object has elsewhere, as a list of objects with a name each."""
    if not _are_lists(rows):
        return rows
    inside: list[Any] = [value]
    while inside:
        one = inside.pop(0)
        if isinstance(one, dict):
            inside += one.values()
        elif isinstance(one, list) and len(one) == len(rows[0]) and one is not rows:
            names = [cell.get("name") if isinstance(cell, dict) else None for cell in one]
            if all(isinstance(name, str) for name in names):
                return [names, *rows]
    return rows


def _split(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of pandas' orient="split": names, numbers of rows, and rows of cells."""
    if not {"columns", "data"} <= value.keys() <= {"columns", "index", "data"}:
        return None
    names, rows = value["columns"], value["data"]
    fits = isinstance(names, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not fits or {len(row) for row in rows} - {len(names)} or len(set(map(str, names))) < len(names):
        return None
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def _of_objects(value: dict[str, dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """An object of objects as pandas writes it: of columns, or with orient="index" of rows.

    Numbers count rows. Where neither are numbers, each column has values of one type, and rows have several.
    """
    inner = list(next(iter(value.values())))
    outer_counts, inner_counts = (all(name.isdecimal() for name in names) for names in (value, inner))
    columns = [{row: cells[row] for row in inner} for cells in value.values()]
    by_columns = [dict(zip(value, (cells[row] for cells in columns), strict=True)) for row in inner]
    if inner_counts != outer_counts:
        return (by_columns, ()) if inner_counts else (columns, ("each object as a row, its name left out",))
    one_type = all(_are_of_one_type(column.values()) for column in columns)
    other_type = all(_are_of_one_type(row.values()) for row in by_columns)
    if other_type and not one_type:
        return columns, ("each object as a row, its name left out",)
    return by_columns, ("each object as a column, though it may be a row",) if other_type else ()


def _are_of_one_type(cells: Iterable[Any]) -> bool:
    types = {type(cell) for cell in cells} - {type(None)}
    return len(types) <= 1 or types == {int, float}


def _flat(row: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The cells of an object, those of objects in it with both names; DataError where two have the same."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        found = (
            _flat(value, f"{before}{name}.") if isinstance(value, dict) and value else {before + name: value}
        )
        twice = cells.keys() & found.keys()
        if twice:
            raise DataError(
                "an object in the JSON has two values for one column",
                got=list_some([quoted(both) for both in sorted(twice)]),
                hint="an object in an object becomes columns called outer.inner: call one of them otherwise",
            )
        cells |= found
    return cells
