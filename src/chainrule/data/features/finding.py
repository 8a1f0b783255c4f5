"""Finding out how a column is written: one reading for all of its cells, and what the other columns say about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import list_some
from chainrule.data.features import date_texts, number_texts
from chainrule.data.features.column_options import FOUND_OUT, Columns, said_as
from chainrule.data.features.different import Different, are_names, different_cells
from chainrule.data.features.missing_marks import is_code, is_missing
from chainrule.data.features.readings import PAIRS, VALUES, Reading, limits, parse_texts
from chainrule.data.features.spellings import canonical_text, identity, kind_of_type
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

SHARE = 0.9  # of a column's known cells, that make it a column of their kind
LISTS = 0.01  # of its cells, that are lists such as 1,2,3 where the column is not one of numbers
FEWEST_CLASSES = 3  # different texts of a target that are rather classes, however few rows there are
FEWEST_DAYS = 5  # different ones, below which integers such as 20260131 may be anything
COMPACT = {6, 8, 10, 12, 14}  # digits of a month, a day, an hour, a minute and a second
SAMPLED = 1000  # different texts
COMMA_SAYS = "as where numbers have a decimal comma"
MOST_MARKS = 3  # texts that mean missing among values
FEWEST_VALUES = 10  # different values beside such a text, and for each of several
VALUES_A_MARK = 10
MONTHS_WITH_POINT = r"^(?:0[1-9]|1[0-2])\.(?:19|20)\d\d$"
HOURS_AND_MINUTES = r"(?i)\d\s*h\D*\d"
PADDED = r"^0\d:|:0\d|:\d+:|[AaPp]\.?[Mm]\.?$"  # as times are written, and ratios and scores are not
TIME_NAME = (
    r"(?i)time|hour|clock|duration|depart|arriv|dauer|uhr|zeit|heure|hora|orario"
    r"|(?<![a-z])(?:start|end|begin|from|until|open|close)"
)
ROWS_OF_EACH = 10  # on average, where there are more
FEW_CLASSES = 20  # different texts of a target with a unit that are rather classes


@dataclass(frozen=True)
class Found:
    """A column's reading; what its own cells leave ``open``, and what was ``assumed`` about that.

    ``open`` is "decimal" where one decimal mark is likelier, "mark" where none is, "other mark" where numbers have
    not the one that was said, "day" for the order of dates.
    ``mark`` is the decimal mark that its cells show. It is ``doubtful`` where they may be lists as well, such as 1,2;
    ``round`` says that its numbers end with two zeros, as thousands do. ``said`` is what else a user is to know.
    """

    reading: Reading
    open: str = ""
    assumed: str = ""
    mark: str = ""
    said: tuple[str, ...] = ()
    doubtful: bool = False
    round: bool = False


def find_readings(
    frame: pl.DataFrame,
    columns: Columns = FOUND_OUT,
    target: str = "",
    task: str | None = None,
    likely_decimal: str = "",
) -> dict[str, Found]:
    """The reading of each column of a table, by its name.

    What a column leaves open is settled by the others: by a decimal comma anywhere, by dates whose day is known. Where
    they do not settle the decimal mark either, ``likely_decimal`` does, unless the column itself speaks against it.
    """
    plain = {
        series.name: find_reading(series, columns, series.name == target, task)
        for series in frame.get_columns()
    }
    is_text = bool(target) and kind_of_type(frame[target]) in {"text", "category"}
    reading = plain[target].reading if is_text else Reading("text")
    named = reading.values in {"clock", "date"} or reading.decimal or reading.unit
    if named and task == "classification":
        plain[target] = Found(Reading("text", marks="few", missing=columns.missing_in(target, True)))
    marks = {found.mark for found in plain.values() if not found.doubtful or found.mark == likely_decimal} - {
        ""
    }
    if any(series.dtype.is_float() for series in frame.get_columns()):
        marks.add(".")
    orders = {found.reading.day_first for found in plain.values() if not found.open} - {"", "year"}
    order = (next(iter(orders)), "as in other columns") if len(orders) == 1 else ("", "")
    sure = {found.reading.day_first for found in plain.values() if not (found.open or found.assumed)}
    if marks == {","} and not {"day", "month"} & sure:
        order = ("day", COMMA_SAYS)
    if likely_decimal == "." and any(found.mark == "," for found in plain.values()):
        likely_decimal = ""  # other columns may have decimal commas
    return {name: _settled(found, marks, *order, likely_decimal) for name, found in plain.items()}


def _settled(found: Found, marks: set[str], order: str, why: str, likely_decimal: str) -> Found:
    reading = found.reading
    if found.open in {"decimal", "mark"} and len(marks) == 1:
        (mark,) = marks
        if not reading.decimal and mark == ".":
            return replace(found, open="", assumed="")
        taken = "decimal mark" if mark == found.assumed[0] else "separator of thousands"
        assumed = f"{found.assumed[0]!r} is a {taken}, as in other columns"
        return Found(replace(reading, decimal=mark), "", assumed, said=found.said)
    is_comma = found.open == "mark" or (found.open and reading.decimal == "," == found.assumed[:1])
    if likely_decimal == "," and is_comma and not marks and not found.round:
        assumed = "',' is a decimal mark, as where ; separates cells"
        return Found(replace(reading, decimal=","), "", assumed, said=found.said)
    if likely_decimal == "." and found.open and found.assumed[:1] == "," and not marks:
        assumed = "',' is a separator of thousands, as where a comma separates cells"
        return Found(replace(reading, decimal="."), "", assumed, said=found.said)
    by_rows = found.reading.day_first == "month" and "by the order of the rows" in found.assumed
    if order and (found.open == "day" or (by_rows and why == COMMA_SAYS)):
        return Found(replace(reading, day_first=order), "", f"the {order} first, {why}")
    return found


def find_reading(
    series: pl.Series, columns: Columns = FOUND_OUT, is_target: bool = False, task: str | None = None
) -> Found:
    """The reading of one column by itself; ``task`` is what the target is wanted for, if that is known."""
    wanted = columns.types.get(series.name, "")
    found = kind_of_type(series)
    missing = columns.missing_in(series.name, is_target)
    if found == "other":
        return Found(Reading("other"))
    if wanted in {"category", "text", "words"}:
        return Found(Reading("text", marks="none", missing=missing))
    if found in {"text", "category"}:
        cells = different_cells(series)
        read_as = _find_in_text(cells, columns, series.name, missing, is_target, task)
        if found == "text" or wanted or read_as.reading.values == "boolean" or are_names(cells):
            return read_as
        return Found(Reading("text", marks=_marks_of_text(cells.texts, is_target), missing=missing))
    if found == "number" and wanted in {"", "date"} and _are_compact_dates(series, wanted):
        return Found(Reading("date", missing=missing))
    return Found(Reading(wanted if wanted in {"number", "boolean", "date"} else found, missing=missing))


def _are_compact_dates(series: pl.Series, wanted: str) -> bool:
    """Integers such as 20260131: all of them days, months or times from 1900 to 2100, and some of them different."""
    import polars as pl

    if not series.dtype.is_integer() or series.null_count() == len(series):
        return False
    low, high = limits(series)
    digits = len(str(low))
    if digits not in COMPACT or not (str(low) >= "1900" and str(high) < "2101" and len(str(high)) == digits):
        return wanted == "date"
    days = date_texts.parse(series.drop_nulls().cast(pl.String).unique())
    if days.null_count():
        return False
    # six digits need a second year: 200001 to 200012 may be counted
    return wanted == "date" or (len(days) >= FEWEST_DAYS and (digits > 6 or days.dt.year().n_unique() > 1))


@dataclass(frozen=True)
class Cells:
    """The different texts of a column that are not missing, the rows of each, and what is said about the column."""

    texts: pl.Series
    counts: NDArray[np.int64]
    columns: Columns
    wanted: str
    is_target: bool
    in_order: bool

    def share(self, reading: Reading) -> float:
        """The share of the rows whose cells fit a reading."""
        fits = parse_texts(self.texts, reading).is_not_null().to_numpy()
        return float(self.counts[fits].sum() / self.counts.sum())


def _find_in_text(
    cells: Different,
    columns: Columns,
    name: str,
    missing: tuple[str, ...],
    is_target: bool,
    task: str | None,
) -> Found:
    wanted = columns.types.get(name, "")
    known = ~is_missing(cells.texts, "usual", missing)
    some = Cells(
        cells.texts.filter(known).alias(name),
        cells.counts[known.to_numpy()],
        columns,
        wanted,
        is_target,
        _come_together(cells),
    )
    text = Reading("text", marks=_marks_of_text(cells.texts, is_target), missing=missing)
    if not len(some.texts):
        return Found(text)
    found = _find_kind(some, wanted, task)
    if found is not None and found.reading.values == "text":
        return Found(text)
    if found is not None:
        return replace(found, reading=replace(found.reading, missing=missing))
    marks = () if wanted or columns.decimal else _marks_among_values(some)
    if marks:
        again = _find_in_text(cells, columns, name, (*missing, *marks), is_target, task)
        if again.reading.values != "text":
            named = list_some([quoted(mark) for mark in marks])
            rows = int(some.counts[some.texts.is_in(list(marks)).to_numpy()].sum())
            told = f"{named} in {rows:,} rows: taken as missing; else {said_as('type', name, 'category')}"
            return replace(again, said=(*again.said, told))
    if not wanted and columns.decimal and _has_other_mark(some, columns.decimal):
        return Found(text, "other mark")
    return Found(Reading(wanted, missing=missing) if wanted in VALUES else text)


def _find_kind(some: Cells, wanted: str, task: str | None) -> Found | None:
    """The narrowest kind that nine in ten cells have; one of text for a target that is of classes."""
    has_digits = bool(some.texts.str.contains(r"\d").any())
    for kind, find in FINDERS:
        if wanted in {"", kind} and (has_digits or kind == "boolean"):
            found = find(some)
            share = some.share(found.reading) if found is not None else 0.0
            if found is not None and share >= (SHARE if not wanted else 0) and share:
                classes = some.is_target and not wanted and task != "regression"
                return Found(Reading("text")) if classes and _are_classes(some, found.reading) else found
    return None


def _marks_among_values(cells: Cells) -> tuple[str, ...]:
    """The few texts without a digit that come again and again among many different values, as "not detected" does.

    They are at most half of the rows, and few beside the values.
    """
    worded = ~cells.texts.str.contains(r"\d").fill_null(False)
    marks, rows = cells.texts.filter(worded), cells.counts[worded.to_numpy()]
    if not 0 < len(marks) <= MOST_MARKS or (rows < 2).any() or 2 * rows.sum() > cells.counts.sum():
        return ()
    different = len(cells.texts) - len(marks)
    return tuple(marks) if different >= max(FEWEST_VALUES, VALUES_A_MARK * len(marks)) else ()


def _has_other_mark(cells: Cells, decimal: str) -> bool:
    """Whether cells are numbers with another decimal mark than the one that was said."""
    other = Reading("number", "." if decimal == "," else ",")
    return cells.share(other) >= SHARE > cells.share(Reading("number", decimal))


def _are_classes(cells: Cells, reading: Reading) -> bool:
    """Whether the few texts of a target are names of classes, which another spelling would change.

    So are those that are partly of another kind, and those that would come back as other texts: 5% as 5.
    Fractions are rather numbers, whatever their decimal mark.
    """
    few = len(cells.texts)
    if few > FEW_CLASSES or reading.values == "date":
        return False
    if reading.values != "boolean" and few > FEWEST_CLASSES and cells.counts.sum() < ROWS_OF_EACH * few:
        return False
    values = parse_texts(cells.texts, reading)
    if values.null_count() or reading.values == "boolean":
        return values.null_count() > 0  # True, true and 1 are the same class
    plain = reading.values == "number" and not reading.unit
    if plain and values.dtype.is_float() and (values != values.round()).any():
        return False
    if plain and len({identity(text) for text in cells.texts}) == values.n_unique() < few:
        return False  # 10, 10.0 and 1e1 are the same class
    return not bool((canonical_text(values) == cells.texts).all())


def _come_together(cells: Different) -> bool:
    """Whether the rows of each text follow each other, so that the texts are in the order of the rows."""
    return len(cells.texts) == int(cells.counts.sum()) or bool(
        (np.diff(cells.places().astype(np.int64)) >= 0).all()
    )


def _marks_of_text(texts: pl.Series, is_target: bool) -> str:
    if is_code(texts.drop_nulls()):
        return "none"
    return "few" if is_target else "usual"


def _find_numbers(cells: Cells) -> Found | None:
    if not cells.wanted and _are_codes(cells):
        return None
    found = number_texts.parts(cells.texts)
    rows = int(cells.counts[found["body"].is_not_null().to_numpy()].sum())
    if rows < SHARE * cells.counts.sum() and not cells.wanted:
        return None
    few = cells.is_target and len(cells.texts) <= FEW_CLASSES
    if number_texts.are_addresses(cells.texts, cells.counts) or (
        few and number_texts.have_minus_behind(found)
    ):
        return None
    limited = number_texts.limits(cells.texts, cells.counts)
    if limited is None and not cells.wanted:
        return None
    told = _say_words(limited or (0, ""), number_texts.zeros(cells.texts, cells.counts))
    read = _find_format(cells, found, few)
    return replace(read, said=(*read.said, *told)) if read and told else read


def _say_words(limited: tuple[int, str], zeros: tuple[int, str]) -> list[str]:
    """What is said of limits and of words that are read as numbers."""
    rows = {0: "", 1: "1 row"}
    return [
        f"{quoted(first)}{like} in {rows.get(count, f'{count:,} rows')}: taken as {meaning}"
        for (count, first), like, meaning in (
            (limited, " and the like", "the number alone"),
            (zeros, "", "0"),
        )
        if count
    ]


def _find_format(cells: Cells, found: pl.DataFrame, few: bool) -> Found | None:
    """How the parts of a column's numbers are written."""
    said = number_texts.evidence(found, cells.counts)
    decimal = cells.columns.decimal or said.decimal()
    if number_texts.are_bracketed(found):
        told = "each number is in brackets, which are not taken for a minus"
        return Found(
            Reading("number", "." if decimal != "," else ",", number_texts.BRACKETS),
            mark=said.decimal(),
            said=(told,),
        )
    flagged = number_texts.are_flagged(cells.texts, cells.counts)
    unit = number_texts.FLAGGED if flagged else number_texts.common_unit(found, cells.counts)
    if few and unit and not number_texts.is_measure(unit):
        return None  # 4wd and 2wd are classes
    if unit in number_texts.WITHOUT_CENTS and said.open_comma and said.is_open:
        decimal = decimal or "."
    if not decimal and (said.point or said.comma):
        return None  # a mark that now means one thing, now the other
    is_said = cells.columns.decimal or cells.wanted
    if not is_said and (said.lists > LISTS * cells.counts.sum() or (decimal == "," and said.uneven)):
        return None
    if not decimal and said.is_open:
        mark, taken = said.likely()
        return Found(
            Reading("number", mark or ".", unit),
            "decimal" if mark else "mark",
            f"{',' if said.open_comma else '.'} {taken}",
            round=said.round > 0.1 * said.open_comma,
        )
    plain = unit and not said.has_marks and decimal != ","
    notes = ("flags such as b or e behind numbers are left out",) if flagged else ()
    mark = said.decimal()
    return Found(
        Reading("number", "" if plain else decimal or ".", unit),
        mark=mark,
        doubtful=mark == "," and said.pairs,
        said=notes,
    )


def _find_plain(cells: Cells) -> Found | None:
    """Numbers as Python writes them; those with three digits behind a point are open to be thousands."""
    if cells.columns.decimal == "," or (not cells.wanted and _are_codes(cells)):
        return None
    plain = Reading("number")
    if cells.texts.str.contains(MONTHS_WITH_POINT).all() and not cells.wanted:
        return None
    values = parse_texts(cells.texts, plain)
    if values.null_count():
        return None
    if values.dtype.is_integer():
        return None if not cells.wanted and _are_compact_dates(values, cells.wanted) else Found(plain)
    said = number_texts.evidence(number_texts.parts(cells.texts), cells.counts)
    if said.is_open and not cells.columns.decimal:
        mark, taken = said.likely()
        return Found(replace(plain, decimal=mark.strip(".")), "decimal", f". {taken}")
    return Found(plain, mark=".")


def _are_codes(cells: Cells) -> bool:
    """Whether zeros ahead of integers show that these are codes, such as 0501: so many, or all equally long.

    So are digits that are too many for an integer, of which a number would lose the last ones.
    """
    import polars as pl

    whole = cells.texts.cast(pl.Int64, strict=False).is_not_null()
    beyond = (cells.texts.str.contains(r"^\d{19,}$") & ~whole).to_numpy()
    if cells.counts[beyond].sum() >= SHARE * cells.counts.sum():
        return True
    ahead = cells.texts.str.contains(r"^0\d+$").to_numpy()
    if not ahead.any():
        return False
    digits = cells.texts.str.contains(r"^\d+$").to_numpy()
    long = cells.texts.filter(digits).str.len_chars()
    return bool(long.n_unique() == 1 or cells.counts[ahead].sum() >= 0.1 * cells.counts.sum())


def _find_booleans(cells: Cells) -> Found | None:
    lower = set(cells.texts.str.to_lowercase().head(20).to_list())
    for pair in PAIRS[:1] if cells.is_target else PAIRS:
        if (len(lower) <= 2 and lower <= set(pair) and len(cells.texts) <= 8) or (
            pair == PAIRS[0] and lower & set(pair)
        ):
            return Found(Reading("boolean", pair=pair))
    return None


def _find_dates(cells: Cells) -> Found | None:
    if not date_texts.may_be_dates(cells.texts) or not _some_are_dates(cells.texts):
        return None
    order = date_texts.find_order(cells.texts, cells.counts, cells.in_order)
    settled = order.day_first() if cells.columns.day_first is None else cells.columns.day_first
    if date_texts.has_unknown_month(cells.texts) or date_texts.are_seasons(cells.texts):
        return None
    if not (order.day or order.month or order.open):
        return Found(Reading("date"))
    if cells.columns.day_first is None and not cells.wanted and order.pointed:
        return None  # versions or codes
    if cells.columns.day_first is None and order.year is not False:
        said = "the year first, by the days behind it"
        return Found(Reading("date", day_first="year"), "" if order.year else "day", said)
    if settled is None and (order.day or order.month):
        return None  # now the day comes first, now the month
    if settled is None and order.likely is None:
        return Found(Reading("date", day_first="month"), "day", "the month first")
    first = order.likely if settled is None else settled
    said = "" if settled is not None else f"the {'day' if first else 'month'} first, by the order of the rows"
    return Found(Reading("date", day_first="day" if first else "month"), "", said)


def _some_are_dates(texts: pl.Series) -> bool:
    """Whether some of a spread sample are dates, which costs less than to try all of very many."""
    if len(texts) <= 2 * SAMPLED:
        return True
    step = len(texts) // SAMPLED
    some = texts.gather_every(step)
    return date_texts.parse(some, True).count() + date_texts.parse(some, year_first=True).count() > 0


def _find_clock(cells: Cells) -> Found | None:
    """Times of day; 16:10 may as well be a ratio or a score, unless minutes below ten have a zero or the name tells."""
    if not date_texts.may_be_dates(cells.texts):
        return None
    if cells.texts.str.contains(HOURS_AND_MINUTES).any():
        return Found(Reading("clock"))  # 5 h and 7 h are numbers with a unit
    padded = cells.texts.str.contains(PADDED).any()
    return (
        Found(Reading("clock")) if padded or cells.wanted or re.search(TIME_NAME, cells.texts.name) else None
    )


FINDERS: tuple[tuple[str, Callable[[Cells], Found | None]], ...] = (
    ("number", _find_plain),
    ("boolean", _find_booleans),
    ("date", _find_dates),
    ("date", _find_clock),
    ("number", _find_numbers),
)
