"""Dates and times as people write them in text, whether the day or the month comes first, and times of day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.date_spellings import tidied, tidied_times
from chainrule.data.features.month_names import MONTHS

if TYPE_CHECKING:
    import polars as pl

TIME = (
    r"(?:,?[T ]\s*(?:(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"|(?P<H2>\d{2})(?P<M2>\d{2})(?P<S2>\d{2})?)"
    r"\s*(?P<half>[AaPp]\.?[ \u00a0]?[Mm]\.?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?)?$"
)
WEEKDAY = r"^(?:\p{L}{2,9}\.?,\s*)?"
YEAR_FIRST = (
    r"^(?P<y>\d{4})(?:-(?P<m>\d{1,2})-(?P<d>\d{1,2})|/(?P<m2>\d{1,2})/(?P<d2>\d{1,2})"
    rf"|\.\s?(?P<m3>\d{{1,2}})\.\s?(?P<d3>\d{{1,2}})\.?){TIME}"
)
YEAR_LAST = (
    r"^(?P<a>\d{1,2})(?:/(?P<b>\d{1,2})/(?P<y>\d{4}|\d{2})|-(?P<b2>\d{1,2})-(?P<y2>\d{4}|\d{2})"
    rf"|\.\s?(?P<b3>\d{{1,2}})\.\s?(?P<y3>\d{{4}}|\d{{2}})){TIME}"
)
SHORT_YEAR_FIRST = (
    rf"^(?P<y>\d{{2}})(?:-(?P<m>\d{{1,2}})-(?P<d>\d{{1,2}})|/(?P<m2>\d{{1,2}})/(?P<d2>\d{{1,2}})){TIME}"
)
DAY_MONTH = (
    rf"{WEEKDAY}(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?[ /-]?(?P<name>\p{{L}}{{3,12}})\.?,?"
    rf"[ /-]?(?P<y>\d{{4}}|\d{{2}}){TIME}"
)
MONTH_DAY = rf"{WEEKDAY}(?P<name>\p{{L}}{{3,12}})\.?[ -](?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:, ?| |-)(?P<y>\d{{4}}){TIME}"
COMPACT = rf"^(?P<y>\d{{4}})(?P<m>\d{{2}})(?P<d>\d{{2}}){TIME}"
YEAR_MONTH = r"^(?P<y>\d{4})[-/](?P<m>\d{1,2})$"
YEAR_QUARTER = r"^(?P<y>\d{4}|\d{2})[ -]?[Qq](?P<q>[1-4])$"
MONTH_YEAR = r"^(?P<name>\p{L}{3,12})\.?[ -](?P<y>\d{4}|\d{2})$"
SEASON = r"^(\d{4})[-/](\d{2})$"
CLOCK = (
    r"^(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp](?:\.?[ \u00a0]?[Mm])?\.?)?$"
)
SHAPES = (YEAR_FIRST, YEAR_LAST, DAY_MONTH, MONTH_DAY, COMPACT, YEAR_MONTH, YEAR_QUARTER, MONTH_YEAR)
FEW_YEARS = 3
LATEST_DAY_OR_YEAR = 27  # beyond it, 28 is rather a day than the year 2028
DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Order:
    """How many cells say that the day comes first, or the month, and what else the column says about it.

    ``year`` says whether a year of two digits comes first, None where that is open. ``pointed`` are dates such as
    05.01.20, all with two digits of the year and without a day beyond 12: these may as well be versions or codes.
    """

    day: int
    month: int
    open: int
    likely: bool | None
    year: bool | None = False
    pointed: bool = False

    def day_first(self) -> bool | None:
        """What the column's own cells settle; None if they leave it open."""
        if self.day > 9 * self.month or (self.day and not self.month):
            return True
        if self.month > 9 * self.day or (self.month and not self.day):
            return False
        return None


def may_be_dates(texts: pl.Series) -> bool:
    """Whether one of the first texts begins or ends as dates and times do."""
    first = tidied(texts.head(50))
    marks = first.str.contains(r"\d[-/.:T ]|\d\D+\d").fill_null(False) & first.str.contains(
        r"\d{2}"
    ).fill_null(False)
    whole = first.str.contains(
        r"^\d{8}$|^\d{4}[ -]?[Qq][1-4]$|^\p{L}{3,12}\.?[ -]\d{2}(?:\d{2})?$"
    ).fill_null(False)
    return bool((marks | whole).any())


def find_order(texts: pl.Series, counts: NDArray[np.int64], in_order: bool = True) -> Order:
    """Whether the day or the month comes first in dates such as 05/01/2020; the texts may be in the rows' order."""
    found = tidied(texts).str.extract_groups(YEAR_LAST).struct.unnest()
    import polars as pl

    a = found["a"].cast(pl.Int16)
    b = _first(found, "b").cast(pl.Int16)
    y = _first(found, "y")
    is_date = a.is_not_null().to_numpy()
    if not is_date.any():
        return Order(0, 0, 0, None)
    first, second = a.filter(a.is_not_null()).to_numpy(), b.filter(a.is_not_null()).to_numpy()
    rows = counts[is_date]
    day, month = (
        int(rows[(first > 12) & (second <= 12)].sum()),
        int(rows[(second > 12) & (first <= 12)].sum()),
    )
    y = y.filter(a.is_not_null())
    years = y.cast(pl.Int32).to_numpy()
    pointed = bool(found["b3"].is_not_null().any())
    short = bool((y.str.len_chars() == 2).all())
    may_begin = short and not pointed and bool((found["a"].drop_nulls().str.len_chars() == 2).all())
    year = _year_first(first, years) if may_begin and not (second > 12).any() else False
    whole_days = not any(found[name].is_not_null().any() for name in ("H", "H2"))
    likely = _likely(first, second, years, pointed, in_order, whole_days)
    code = short and bool(found["b3"].is_null().sum() == a.is_null().sum()) and not (first > 12).any()
    return Order(day, month, int(rows.sum()) - day - month, likely, year, code)


def _year_first(first: NDArray[np.int16], third: NDArray[np.int32]) -> bool | None:
    """Whether the first part of dates such as 20-01-31 is the year; None where it may be the last as well."""
    if ((first > 31) | (first == 0)).any():
        return True
    if ((third > 31) | (third == 0)).any():
        return False
    more = np.unique(third).size - np.unique(first).size
    if more < 0:
        return False
    few = np.unique(first).size <= FEW_YEARS or _is_sorted(first)
    climbs = _is_sorted(third) and third.max() <= LATEST_DAY_OR_YEAR
    return True if more and few and not climbs else None


def _is_sorted(values: NDArray[np.signedinteger]) -> bool:
    step = np.diff(values)
    return bool((step >= 0).all() or (step <= 0).all())


def _likely(
    first: NDArray[np.int16],
    second: NDArray[np.int16],
    years: NDArray[np.int32],
    pointed: bool,
    in_order: bool,
    whole_days: bool,
) -> bool | None:
    """Dates with points have the day first; else the order of the rows, or days that are all the same, may tell."""
    if pointed:
        return True
    if len(first) < 4:
        return None
    same = [bool((part == part[0]).all()) for part in (first, second)]
    if same[0] != same[1] and whole_days:  # the first of every month
        day, month = (first, second) if same[0] else (second, first)
        months = np.unique(years.astype(np.int64) * 12 + month)
        usual = day[0] in {1, 15} or day[0] > 27
        if usual and months.size >= 4 and (np.diff(months) == 1).all():
            return same[0]
    base = years.astype(np.int64) * 400
    steps = [np.diff(base + m * 31 + d) for m, d in ((second, first), (first, second))]
    sorted_ = [bool((step >= 0).all() or (step <= 0).all()) for step in steps]
    return sorted_[0] if in_order and sorted_[0] != sorted_[1] and len(first) >= 8 else None


def parse(texts: pl.Series, day_first: bool | None = None, year_first: bool = False) -> pl.Series:
    """The dates and times that the texts are, Datetime in UTC where they have an offset; null for what is none.

    Where ``day_first`` is None, dates that begin with the day or the month are none. ``year_first`` says of dates such
    as 20-01-31 that they begin with the year.
    """
    import polars as pl

    texts = tidied(texts)
    whole = pl.Series(texts.name, [None] * len(texts), pl.Datetime("us"))
    for shape in (*SHAPES, *[SHORT_YEAR_FIRST] * year_first):
        if shape is YEAR_LAST and day_first is None:
            continue
        todo = whole.is_null() & texts.is_not_null()
        if not todo.any():
            break
        found = texts.str.extract_groups(shape).struct.unnest()
        if found["y"].null_count() == len(texts) and "y2" not in found.columns:
            continue
        whole = whole.zip_with(whole.is_not_null(), _instants(found, day_first))
    return whole.alias(texts.name)


def has_unknown_month(texts: pl.Series) -> bool:
    """Whether a text is a date but for the name of its month, which is of a language that is not known."""
    texts = tidied(texts)
    for shape in (DAY_MONTH, MONTH_DAY, MONTH_YEAR):
        names = texts.str.extract_groups(shape).struct.field("name")
        if (names.is_not_null() & _month_numbers(names).is_null()).any():
            return True
    return False


def are_seasons(texts: pl.Series) -> bool:
    """Whether all are a year and the next one, as in 2019/20, which is no month even where it could be."""
    import polars as pl

    found = texts.str.extract_groups(SEASON).struct.unnest().cast(pl.Int32)
    first, second = found.get_columns()
    return bool(len(texts) and not first.null_count() and ((first + 1) % 100 == second).all())


def clock(texts: pl.Series) -> pl.Series:
    """Times of day and durations of hours and minutes, in seconds, Float64; null for what is none."""
    import polars as pl

    found = tidied_times(texts).str.extract_groups(CLOCK).struct.unnest()
    seconds = _micros(found, 99).cast(pl.Float64) / 1e6
    return pl.select(pl.when(found["H"].is_not_null()).then(seconds)).to_series().alias(texts.name)


def _instants(found: pl.DataFrame, day_first: bool | None) -> pl.Series:
    import polars as pl

    if "a" in found.columns:
        a, b = found["a"], _first(found, "b")
        day, month = (a, b) if day_first else (b, a)
    else:
        day = _first(found, "d") if "d" in found.columns else pl.Series(["01"] * found.height)
        month = _months(found)
    year = _four_digits(_first(found, "y"))
    iso = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    date = iso.str.strptime(pl.Date, "%Y-%m-%d", strict=False).cast(pl.Int64) * DAY
    micros = date + _micros(found) if "H" in found.columns else date
    return micros.cast(pl.Datetime("us"))


def _months(found: pl.DataFrame) -> pl.Series:
    import polars as pl

    if "name" in found.columns:
        return _month_numbers(found["name"])
    return (found["q"].cast(pl.Int64) * 3 - 2).cast(pl.String) if "q" in found.columns else _first(found, "m")


def _micros(found: pl.DataFrame, most_hours: int = 23) -> pl.Series:
    """Microseconds since midnight, which may be written 24:00, less the offset from UTC.

    0 where there is no time, null where there is no such.
    """
    import polars as pl

    hour, minute, second = (_first(found, n).fill_null("0").cast(pl.Int64) for n in "HMS")
    part = found["f"].fill_null("").str.pad_end(6, "0").str.head(6).cast(pl.Int64)
    half = found["half"].fill_null("").str.to_lowercase().str.head(1)
    twelve = (half == "") | ((hour >= 1) & (hour <= 12))
    hour = pl.select(
        pl.when(half == "a").then(hour % 12).when(half == "p").then(hour % 12 + 12).otherwise(hour)
    ).to_series()
    midnight = (hour == 24) & (minute == 0) & (second == 0)
    right = ((hour <= most_hours) | midnight) & (minute <= 59) & (second <= 59) & twelve
    time = ((hour * 60 + minute) * 60 + second) * 1_000_000 + part
    if "zone" in found.columns:
        time = time - _offsets(found["zone"])
    return pl.select(pl.when(right).then(time)).to_series()


def _offsets(zones: pl.Series) -> pl.Series:
    import polars as pl

    digits = (
        zones.str.extract(r"[+-](\d{2}:?\d{0,2})").str.replace(":", "").str.pad_end(4, "0").fill_null("0000")
    )
    minutes = digits.str.head(2).cast(pl.Int64) * 60 + digits.str.tail(2).cast(pl.Int64)
    sign = pl.select(pl.when(zones.str.starts_with("-").fill_null(False)).then(-1).otherwise(1)).to_series()
    return minutes * sign * 60_000_000


def _first(found: pl.DataFrame, name: str) -> pl.Series:
    """The group of that name, or of its alternatives, name2 and name3."""
    import polars as pl

    return found.select(
        pl.coalesce(n for n in (name, f"{name}2", f"{name}3") if n in found.columns)
    ).to_series()


def _four_digits(years: pl.Series) -> pl.Series:
    """Years of two digits are those from 1969 to 2068, as POSIX has it."""
    import polars as pl

    short = years.str.len_chars() == 2
    century = pl.select(pl.when(years >= "69").then(pl.lit("19")).otherwise(pl.lit("20"))).to_series()
    return pl.select(pl.when(short).then(century + years).otherwise(years)).to_series()


def _month_numbers(names: pl.Series) -> pl.Series:
    import polars as pl

    lower = names.str.to_lowercase()
    return lower.replace_strict(MONTHS, default=None, return_dtype=pl.Int64).cast(pl.String)
