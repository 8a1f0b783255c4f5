"""Where a table's header is, if it has one: titles above it, units and notes below it, or data from the first line on.

In go the first records of a file or a sheet, all padded to the table's width; out comes what each of them is. What the
separator is was decided before (``separators.py``), what stands at the end of the table comes later (``footers.py``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from statistics import median

from chainrule.data.describe import known_name
from chainrule.data.files.text_format import flag
from chainrule.foreign_text import clipped, quoted

Records = list[list[str]]

MOST_ABOVE = 30  # records above the header
MOST_JUDGED = 500  # records, and columns: a table may have 100,000
MOST_BELOW = 10  # between the header and the first row
FEWEST_ROWS = 3  # that tell a line of units from the first row
FEWEST_UNDER_TWO = 10  # that tell a second line of names from the first row
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "#n/a"}
NUMBER = re.compile(
    r"[-+(]?\s*(?:[$€£¥]\s*)?[-+]?(?:\d(?:[.,'\u2019\u00a0\u202f ]?\d)*[.,]?|[.,]\d+)(?:e[-+]?\d+)?\s*(?:[%€$£¥])?\)?",
    re.IGNORECASE,
)
ODD_NUMBER = re.compile(r"[<>≤≥~≈$€£¥(+-]{0,2}\s*\d")  # <0.05 or 12 b, which is a row's
RULE = re.compile(r"[-=+:_\u2500-\u257f ]{2,}")
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T].*)?|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?")
UNIT = re.compile(
    r"\[.*\]|\(.*\)|<.*>|%|°.*|[^\W\d_]{1,3}(?:[/*·^.\-²³ ][\w^\-²³]{1,5})*[²³]?|[^\W\d_]+/[^\W\d_]+[²³]?"
)
UNIT_WORDS = {
    "string", "str", "text", "int", "integer", "float", "double", "number", "numeric", "date", "bool", "boolean",
    "unit", "units", "percent", "degrees", "degree", "count", "counts", "index", "none", "unitless", "meters",
    "metres", "seconds", "celsius", "kelvin", "pascal", "volts", "volt", "ampere", "watts", "watt", "hours", "days",
    "years", "euro", "euros", "dollars", "einheit", "unité", "unidad", "unità", "mbar", "mmhg", "µg/m3", "µg/m³",
}  # fmt: skip
KNOWN_UNITS = {
    "mm", "cm", "dm", "m", "km", "in", "ft", "mi", "mg", "g", "kg", "t", "lb", "oz", "s", "ms", "min", "h", "ml", "l",
    "pa", "hpa", "kpa", "bar", "v", "mv", "kv", "a", "ma", "w", "kw", "mw", "wh", "kwh", "j", "kj", "n", "hz", "khz",
    "k", "c", "f", "m²", "m2", "m³", "m3", "m/s", "km/h", "eur", "usd", "gbp", "chf", "ppm", "dbm", "db", "lx", "rpm",
}  # fmt: skip
"""Units without brackets that are units even where they stand over several columns."""


@dataclass(frozen=True)
class Heading:
    """What the first records of a table are.

    ``titles`` records are left out, then comes the header unless ``header`` is false, and ``below`` it are records
    that are left out too. ``groups`` are what stands above the names, one for each column, in the record above them,
    which is one of the titles (see ``header_groups.py``). ``said`` is what was assumed.
    """

    titles: int = 0
    header: bool = True
    below: int = 0
    groups: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def find_heading(records: Records, header: bool | None = None) -> Heading:
    """What the first records are; ``header`` is whether there is one, where the user said so."""
    records = [record[:MOST_JUDGED] for record in records[:MOST_JUDGED]]
    titles = _titles(records)
    table = records[titles:]
    said: list[str] = []
    if header is None:
        for_data, for_names = _evidence(table)
        header = not for_data > 2 * for_names
        if not header:
            said.append(f"no header line ({flag('header')} if the first line is one)")
        elif (for_data and for_data >= for_names) or _is_blank_over_numbers(table) or _are_all_values(table):
            said.append(
                f"the first line as header, though it is like the others ({flag('no-header')} if it is data)"
            )
    below = _below(table) if header else 0
    if below:
        shown = clipped(" | ".join(cell.strip() for cell in table[1] if cell.strip()))
        said.append(f"{count_of(below, 'line')} below the header left out: {shown}")
    return Heading(titles, header, below, said=tuple(said))


def count_of(number: int, thing: str) -> str:
    """A number of things.

    >>> count_of(1, "line"), count_of(3, "line")
    ('1 line', '3 lines')
    """
    return f"1 {thing}" if number == 1 else f"{number:,} {thing}s"


def _filled(record: Sequence[str]) -> int:
    return sum(1 for cell in record if cell.strip())


def _titles(records: Records) -> int:
    """How many records above the header have few cells where the table's have many, as spreadsheets write titles."""
    usual = median(map(_filled, records[: 4 * MOST_ABOVE])) if records else 0
    if usual < 2:
        return 0
    few = max(usual / 3, 2 if usual >= 4 else 1)  # what is said about a table is often a name and a value
    titles = len(list(takewhile(lambda record: _filled(record) <= few, records[:MOST_ABOVE])))
    if not titles or titles + 1 >= len(records):
        return 0
    header = records[titles]
    begins = all(
        record[0].strip() or not _filled(record) for record in records[:titles]
    )  # ",x" may be a header
    wide = usual >= 3 or (is_name(header[0]) and _evidence(records[titles:])[1] > 0)
    names = sum(map(is_name, header))
    return titles if begins and wide and names >= 0.6 * _filled(header) and _filled(header) > few else 0


def is_name(cell: str) -> bool:
    """Whether a cell can be a column's name: text that is no number and no date.

    >>> is_name("rooms"), is_name("12.5"), is_name("")
    (True, False, False)
    """
    return bool(cell.strip()) and not is_value(cell)


def is_value(cell: str) -> bool:
    """Whether a cell reads as a number or a date, however it is written.

    >>> [is_value(cell) for cell in ("1.250,5", "$2.39", "31.12.2024", "45%", "12 kg", "x")]
    [True, True, True, True, False, False]
    """
    text = cell.strip()
    return bool(NUMBER.fullmatch(text) or DATE.fullmatch(text))


def to_number(cell: str) -> float | None:
    """About what a cell is worth, whatever its decimal mark; None where it is no number."""
    text = re.sub(r"[^\d.,eE+-]", "", cell)
    try:
        return float(
            text if text.count(",") + text.count(".") < 2 and "," not in text else text.replace(",", ".")
        )
    except ValueError:
        return None


def is_headed(records: Records) -> bool:
    """Whether the first record holds names for sure: one stands over a column of numbers, or of other texts."""
    for_data, for_names = _evidence(records)
    return len(records) > 1 and for_names > for_data


def _evidence(records: Records) -> tuple[int, int]:
    """How many columns say that the first record is data, and how many that it holds names."""
    first, rows = records[0], records[1:]
    if not rows:
        return 0, 1
    columns = [[row[place].strip() for row in rows] for place in range(len(first))]
    numbers = [_are_values(column) for column in columns]
    over = [place for place, is_number in enumerate(numbers) if is_number]
    # numbers that are all among those of their columns are likely a row, though they count up
    strange = any(first[place].strip() not in columns[place] for place in over)
    counted = strange and _is_counted([first[place] for place in over])
    for_data = for_names = 0
    for cell, column, is_number in zip(first, columns, numbers, strict=True):
        verdict = _speaks(cell.strip(), column, is_number, counted)
        for_data, for_names = for_data + (verdict > 0), for_names + (verdict < 0)
    texts = [cell.strip() for cell in first if is_name(cell)]
    if len(set(texts)) < len(texts) and not for_names:
        for_data += 1  # names are different
    return for_data, for_names


def _is_blank_over_numbers(records: Records) -> bool:
    """Whether nothing but a cell that is empty or missing stands over a column of numbers: it may be a row's."""
    columns = [[row[place].strip() for row in records[1:]] for place in range(len(records[0]))]
    over = [cell.strip() for cell, column in zip(records[0], columns, strict=True) if _are_values(column)]
    return bool(over) and all(cell.lower() in MISSING for cell in over)


def _are_all_values(records: Records) -> bool:
    """Whether every cell of the first record that is not empty is a number or a date."""
    filled = [cell for cell in records[0] if cell.strip()] if len(records) > 1 else []
    return bool(filled) and all(map(is_value, filled))


def _speaks(cell: str, column: list[str], is_number: bool, counted: bool) -> int:
    """1 where a column's first cell is data, -1 where it is a name, 0 where it may be either."""
    if cell.lower() in MISSING:
        return 0
    if is_number:
        if not is_value(cell):
            return -1
        return 0 if counted else 1 if _is_among(cell, column) else -1
    known = [value for value in column if value.lower() not in MISSING]
    different = set(known)
    if 2 * len(different) > len(known) or len(known) < 4:
        return 0  # of texts that do not repeat, a name is no stranger
    return 1 if cell in different else -1


def _are_values(column: Sequence[str]) -> bool:
    """Whether nearly all cells that are not missing are numbers or dates."""
    known = [cell for cell in column if cell.lower() not in MISSING]
    return bool(known) and sum(map(is_value, known)) >= 0.9 * len(known)


def _is_among(cell: str, column: Sequence[str]) -> bool:
    """Whether a number is about as large as those of a column; of dates, whether the column has some."""
    number = to_number(cell)
    others = [value for value in map(to_number, column) if value is not None]
    if DATE.fullmatch(cell):
        return any(map(DATE.fullmatch, column))
    if number is None or not others:
        return True
    least, most = min(others), max(others)
    room = 2 * (most - least) + max(abs(least), abs(most))
    return least - room <= number <= most + room


def _is_counted(cells: Sequence[str]) -> bool:
    """Whether the numbers of a first line count up, as years above a table or the numbers of columns do."""
    try:
        numbers = [int(cell) for cell in cells]
    except ValueError:
        return False
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    years = all(1500 <= number <= 2200 for number in numbers)
    return (
        len(steps) == 1 and steps != {0} and (years or numbers[0] == 0 or (len(numbers) > 3 and steps == {1}))
    )


def _below(table: Records) -> int:
    """How many records under the header are units or notes."""
    below = 0
    while below < MOST_BELOW and len(table) > below + 2:
        record, rows = table[below + 1], table[below + 2 :]
        if len(rows) < (1 if _are_sure_units(record) else FEWEST_ROWS):
            break
        if not (
            _is_rule(record)
            or _is_note(table, below + 1)
            or _is_units(table[0], record, rows)
            or _is_second_header(record, rows, fewest=1 if below else 2)
        ):
            break
        below += 1
    return below


def _is_rule(record: Sequence[str]) -> bool:
    """Whether a record is a line drawn under the header, as programs print it: ---+---, or |:--|--:|."""
    cells = [cell.strip() for cell in record if cell.strip()]
    return bool(cells) and all(map(RULE.fullmatch, cells))


def _is_second_header(record: list[str], rows: Records, fewest: int) -> bool:
    """Whether a record holds names too: a text over every column of numbers, and no cell that comes again below.

    A text over a column of other texts, which come again and again, speaks for it as well.
    """
    if len(rows) < FEWEST_UNDER_TWO:
        return False
    numbers = texts = 0
    for place, cell in enumerate(map(str.strip, record)):
        column = [row[place].strip() for row in rows]
        if cell.lower() in MISSING:
            continue
        is_number = _are_values(column)
        if cell in column or (is_number and is_value(cell) and _is_among(cell, column)):
            return False
        if is_number and fewest > 1 and ODD_NUMBER.match(cell):
            return False
        numbers += is_number
        texts += not is_number and _speaks(cell, column, False, False) < 0
    return numbers + texts >= (fewest if numbers > 1 or fewest == 1 else fewest + 1) and numbers > 0


def _are_sure_units(record: list[str]) -> bool:
    filled = [cell.strip() for cell in record if cell.strip()]
    return bool(filled) and all(map(_is_sure_unit, filled))


def _is_note(table: Records, place: int) -> bool:
    """Whether a record has a single text, in its first cell, where the rows have many cells."""
    record, rows = table[place], table[place + 1 :]
    usual = median(map(_filled, rows[: 4 * MOST_ABOVE]))
    if usual < 3 or _filled(record) > 1 or is_value(record[0]):
        return False
    others = [row[0].strip() for row in rows if row[0].strip()]
    is_text = bool(others) and not _are_values(others)  # a few words may be a row with nothing else in it
    longest = max(map(len, others)) if is_text else 0
    return len(record[0].split()) > (3 if is_text else 1) and len(record[0].strip()) > longest


def _is_units(header: list[str], record: list[str], rows: Records) -> bool:
    """Whether a record holds units: texts above columns of numbers, and nothing else but such texts."""
    units = numbers = 0
    filled = [cell.strip() for cell in record if cell.strip()]
    sure = sum(map(_is_sure_unit, filled))
    doubtful = [cell for cell in filled if not _is_sure_unit(cell) and cell != "-"]
    if len(set(doubtful)) < len(doubtful) and not KNOWN_UNITS.issuperset(map(str.lower, doubtful)):
        return False  # the same in several columns: a mark for missing values, or a category
    for place, cell in enumerate(map(str.strip, record)):
        column = [row[place].strip() for row in rows]
        if not _are_values(column):
            if cell and (not (_is_sure_unit(cell) or cell == "-") or cell in column):
                return False
            continue
        numbers += 1
        if cell.lower() in MISSING - {"-"}:
            continue
        if is_value(cell) or not (is_unit(cell) or cell == "-"):
            return False
        units += cell != "-"
    all_sure = sure == len(filled)
    return (
        units > 0 and any(map(is_name, header)) and (all_sure or (units + sure > 1 and 3 * units >= numbers))
    )


def _is_sure_unit(cell: str) -> bool:
    return cell[0] in "[(<%°" or cell.lower() in UNIT_WORDS


def is_unit(cell: str) -> bool:
    """Whether a cell may be the unit of a column.

    >>> [is_unit(cell) for cell in ("[m]", "kg", "m/s", "°C", "float", "Copenhagen")]
    [True, True, True, True, True, False]
    """
    return cell.lower() in UNIT_WORDS or bool(UNIT.fullmatch(cell))


def column_names(header: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The columns' names, all different, and what was assumed.

    Spaces around them and line breaks in them go; letters that can be written in two ways are written in one (NFC). A
    column without a name is called after its position, and one whose name was there before gets a number.

    >>> column_names([" a ", "", "a"])
    (['a', 'column_2', 'a_2'], ("the second column 'a' is called 'a_2'",))
    """
    names: list[str] = []
    said: list[str] = []
    given = [re.sub(r"\s*[\r\n]+\s*", " ", unicodedata.normalize("NFC", name).strip()) for name in header]
    taken, seen = set(given), {""}
    later: dict[str, int] = {}
    for place, wanted in enumerate(given, 1):
        name = wanted or f"column_{place}"
        if name in seen or (not wanted and name in taken):
            number = later.get(name, 2)
            while f"{name}_{number}" in taken or f"{name}_{number}" in seen:
                number += 1
            later[name] = number + 1
            said.append(
                f"{_ordinal(number)} column {quoted(name, 40)} is called {quoted(f'{name}_{number}', 40)}"
            )
            name = f"{name}_{number}"
        names.append(name)
        seen.add(name)
    if len(said) > 3:
        said = [*said[:2], f"{len(said) - 2} more columns whose names occur twice have numbers"]
    return names, tuple(said)


def find_column(names: Sequence[str], wanted: str) -> str:
    """The column that a user means: of that name, but for spaces around it and ways to write letters, or at that place.

    What is no column's name comes back as it is.

    >>> find_column(["a", " b "], "b"), find_column(["a", "b"], "2"), find_column(["a"], "c")
    (' b ', 'b', 'c')
    """
    name, plain = known_name(wanted, names), wanted.strip()
    if name in names:
        return name
    place = int(plain) if re.fullmatch("[0-9]{1,6}", plain) else 0
    return names[place - 1] if 1 <= place <= len(names) else wanted


def _ordinal(number: int) -> str:
    return {2: "the second", 3: "the third"}.get(number, f"another ({number})")
