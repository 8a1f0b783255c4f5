"""Numbers as people write them in text: decimal marks, thousands, currencies, percent, units, parentheses.

How a column writes its numbers is decided over all of its cells, never cell by cell: see ``find_numbers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

CURRENCY = (
    r"(?:[A-Z]{0,3}[$€£¥₹₺₽₩฿₫₴₦₱₪₡₲₵₸]|EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|BRL"
    r"|Rs\.?|[kK]r\.?|Kč|TL|zł|Ft|R\$)"
)
MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "Mio": 1e6, "mn": 1e6, "B": 1e9, "bn": 1e9, "Mrd": 1e9}
CELL = (
    r"^(?P<open>\()?\s*(?P<sign>[+-]?)\s*(?P<before>" + CURRENCY + r")?\s*(?P<sign2>[+-]?)\s*"
    r"(?P<body>\d[\d.,'’ ]*?|[.,]\d+)(?P<power>[eE][+-]?\d{1,3})?"
    r"(?:\s*(?P<multiple>k|K|M|Mio|mn|B|bn|Mrd)\.?(?:\s*(?P<after>" + CURRENCY + r"))?"
    r"|\s*(?P<after2>"
    + CURRENCY
    + r"|[%‰\"″”]|(?:/|out of) ?\d{1,3}(?: stars)?|[°\p{L}][°\p{L}µ²³/·.]*(?: [°\p{L}/]+)?\d?(?: ?/ ?\d+ ?\p{L}+)?))?"
    r"(?P<minus>-)?\s*(?P<close>\))?$"
)
MANY = "k, m or b"
"""The unit of a column whose numbers have different letters for thousands, millions and billions behind them."""

LETTERS = frozenset("kmb")
PAIRS_OF_LETTERS = (frozenset("km"), frozenset("mb"))  # of which a column of multiples has one: 12K beside 3M
FLAGGED = "flags"
"""The unit of a column some of whose numbers have letters behind them that speak of the number: 12.3 b, 45 e, 150 H."""

BRACKETS = "( )"
"""The unit of a column all of whose numbers are in brackets, as years behind a title are: (1994)."""

FLAG = r"\d\s+(?:[bcdefinprsuz]{1,3}|[HL]{1,2})$"
LIMIT = r"^\s*[<>≤≥~≈]=?\s*|\+(?:\s|$)"
FEWEST_BESIDE_LIMITS = 10  # different numbers without one: below, <=50K and >50K are classes
DIGITS = "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９٫٬٪，．％－￥"
PLAIN_DIGITS = "012345678901234567890123456789.,%,.%-¥"
NO_CENTS = r"(\d)([.,])-{1,2}\s*($|\)|[^\d\s-])"  # 12,- and CHF 5.-- are whole amounts of money
ZERO = r"(?i)^\s*(?:free|gratis|kostenlos|gratuit|gratuito|zero|бесплатно|無料|免费|무료)\s*$"
PLAINER = (
    (rf"^\s*({CURRENCY})\s*\((.*)\)\s*$", "($1$2)"),  # $ (45.00)
    (rf"^\s*({CURRENCY})\s*-+\s*$", "${1}0"),  # $ -, as ledgers write nothing
    (r"^\s*%\s*([+-]?\s*\d.*)$", "$1%"),
    (r"(\d)/-", "$1"),  # Rs. 500/-
    (r"(\d)\s*(?:\[\w{1,3}\]|\([abcdefpr]\)|[*†‡§¹²³⁴-⁹⁰])+\s*$", "$1"),  # of footnotes
    (ZERO, "0"),
    (r"^\s*[<>≤≥~≈]=?\s*", ""),
    (r"(\d)\+(\s|$)", "$1$2"),
)
"""What is written around numbers and says nothing of their size, and limits, which are taken for the number."""
AROUND = rf"^[^\d]{{0,4}}\(|^\s*[%<>≤≥~≈]|-\s*$|/-|\d\+|[\])*†‡§¹²³⁴-⁹⁰]\s*$|^\D+$|[{DIGITS}]"
"""Texts that may be such: the patterns above cost more than one that finds none of them."""
ADDRESS = r"^(?:(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])(?:\.|$)){4}$"
WITHOUT_CENTS = {"¥", "円", "₩", "원", "₫", "đ"}  # currencies whose amounts have no decimals
LIST = r"^\d+(?:,\d+){2,}$|^\d+(?:\.\d+){2,}$"
GROUPED = r"^\d{1,3}(?:,\d{3}){2,}$|^\d{1,3}(?:\.\d{3}){2,}$|^\d{1,2}(?:,\d{2})+,\d{3}$|^\d{1,2}(?:\.\d{2})+\.\d{3}$"
UNITS_NEED = 3  # different numbers before what stands behind them is taken for their unit


@dataclass(frozen=True)
class NumberFormat:
    """How a column writes numbers: its decimal mark, and what may stand before or behind a number.

    ``decimal`` is "." or ","; the other of the two, spaces and apostrophes may separate thousands. It is "" where a
    column has plain numbers only. ``unit`` is a currency, a percent sign or a unit, in small letters, or "".
    """

    decimal: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Evidence:
    """How many cells say that the decimal mark is a point, or a comma, and how many leave it open.

    ``lists`` are cells such as 1,2,3, in which marks separate whole numbers. With ``pairs``, all commas may as well do
    that: 1,2 and 3,5. ``uneven`` are decimal commas that no one writes so: 1,2 has no zeros at its end, and 1,200 has.
    ``round`` are cells that leave it open and end with two zeros, as thousands do.
    """

    point: int
    comma: int
    open_point: int
    open_comma: int
    small: int
    large: int
    lists: int
    pairs: bool
    uneven: bool
    round: int

    def decimal(self) -> str:
        """The decimal mark that the column's own cells settle, or nothing."""
        if self.point and self.point >= 9 * self.comma:
            return "."
        if self.comma and self.comma >= 9 * self.point:
            return ","
        return ""

    def likely(self) -> tuple[str, str]:
        """Where nothing settles it: the mark that is usual for such cells, and what that takes the marks for.

        Whole numbers below 1000 beside 1.234 say that these are thousands, larger ones that they are not. The mark is
        "" where commas alone tell nothing.
        """
        thousands = self.small and not self.large
        if self.open_comma:
            if self.large and not self.small:  # 1250 beside 1,234: thousands have no mark
                return ",", "decimal marks"
            return ("." if self.small else ""), "separators of thousands"
        return (",", "separators of thousands") if thousands else (".", "decimal marks")

    @property
    def has_marks(self) -> bool:
        """Whether any cell has a point or a comma."""
        return bool(self.point or self.comma or self.open_point or self.open_comma)

    @property
    def is_open(self) -> bool:
        """Whether cells have a mark, and none says what it is."""
        return bool(self.open_point or self.open_comma) and not (self.point or self.comma)


def parts(texts: pl.Series) -> pl.DataFrame:
    """The parts of the texts that may be numbers: ``body`` and what stands around it, null where it is none."""
    plain = texts.str.replace_all("[\u2212\u2012\u2013]", "-").str.replace_all("[\u00a0\u202f\u2009]", " ")
    plain = plain.str.replace(NO_CENTS, "$1${2}00$3")
    around = plain.str.contains(AROUND).fill_null(False)
    if around.any():
        plain = _without_marks(plain, around)
    return plain.str.extract_groups(CELL).struct.unnest()


def _without_marks(texts: pl.Series, around: pl.Series) -> pl.Series:
    """The texts, some of them without what is written around numbers."""
    import polars as pl

    some = texts.to_frame().select(pl.when(around).then(pl.nth(0))).to_series()
    some = some.str.replace_many([*DIGITS], [*PLAIN_DIGITS])
    for pattern, written in PLAINER:
        some = some.str.replace(pattern, written)
    return some.zip_with(some.is_not_null(), texts)


def evidence(found: pl.DataFrame, counts: NDArray[np.int64]) -> Evidence:
    """What the cells say about the decimal mark."""
    body = found["body"]

    def rows(pattern: str) -> int:
        return int(counts[body.str.contains(pattern).fill_null(False).to_numpy()].sum())

    point = (
        r"^\d*\.(?:\d{1,2}|\d{4,})?$|^0+\.\d{3}$|^\.\d+$|^\d{4,}\.\d{3}$|^[\d,]*,\d{3}\.\d*$"
        r"|^\d{1,3}(?:,\d{2,3}){2,}$|^\d{1,3}(?:[ '’]\d{3})+\.\d+$"
    )
    comma = (
        r"^\d*,(?:\d{1,2}|\d{4,})?$|^0+,\d{3}$|^,\d+$|^\d{4,},\d{3}$|^[\d.]*\.\d{3},\d*$"
        r"|^\d{1,3}(?:\.\d{2,3}){2,}$|^\d{1,3}(?:[ '’]\d{3})+,\d+$"
    )
    return Evidence(
        rows(point),
        rows(comma),
        rows(r"^[1-9]\d{0,2}\.\d{3}$"),
        rows(r"^[1-9]\d{0,2},\d{3}$"),
        rows(r"^\d{1,3}$"),
        rows(r"^\d{4,}$"),
        rows(LIST) - rows(GROUPED),
        _are_pairs(found),
        rows(r",\d{3}$") > 0 < rows(r"^\d+,\d{1,2}$") and rows(r",\d\d0$") > 0 == rows(r"^0\d*,|[. '’].*,"),
        rows(r"^\d+[.,]\d00$"),
    )


def limits(texts: pl.Series, counts: NDArray[np.int64]) -> tuple[int, str] | None:
    """How many rows have a limit such as <0.05, and one of them; None where limits are rather names, as in <=50K."""
    import polars as pl

    limited = texts.str.contains(LIMIT).fill_null(False)
    rows = int(counts[limited.to_numpy()].sum())
    if not rows:
        return 0, ""
    different = texts.filter(~limited).cast(pl.String).n_unique()
    if 2 * rows > counts.sum() or different < FEWEST_BESIDE_LIMITS:
        return None
    return rows, str(texts.filter(limited)[0])


def zeros(texts: pl.Series, counts: NDArray[np.int64]) -> tuple[int, str]:
    """How many rows have a word for nothing, such as Free, and one of them."""
    found = texts.str.contains(ZERO).fill_null(False)
    return int(counts[found.to_numpy()].sum()), str(texts.filter(found)[0]) if found.any() else ""


def are_flagged(texts: pl.Series, counts: NDArray[np.int64]) -> bool:
    """Whether most cells are bare numbers, and letters that are no units stand behind others.

    That is so where there are several kinds of them; b alone may be one flag, for no bare number is beside billions.
    """
    flagged = texts.str.contains(FLAG).fill_null(False)
    kinds = texts.filter(flagged).str.extract(r"(\p{L}+)$").unique().to_list()
    if (len(kinds) < 2 and kinds != ["b"]) or ({"H", "L"} & set(kinds) and not {"H", "L"} <= set(kinds)):
        return False
    if "H" in kinds:
        return bool(counts[flagged.to_numpy()].sum() < counts.sum())
    lettered = texts.str.contains(r"\p{L}$").fill_null(False)
    return bool(2 * counts[lettered.to_numpy()].sum() <= counts.sum() and (flagged | ~lettered).all())


def are_bracketed(found: pl.DataFrame) -> bool:
    """Whether all numbers are whole ones in brackets with nothing beside them: then these are no minus."""
    whole = found.filter(found["body"].is_not_null())
    bare = all(whole[name].null_count() == whole.height for name in ("before", "after", "after2", "multiple"))
    inside = whole["body"].str.contains(r"^\d+$|^\d{1,3}(?:,\d{3})+$")
    return bare and whole["open"].null_count() == 0 and bool(inside.all())


def _are_pairs(found: pl.DataFrame) -> bool:
    """Whether all decimal commas may as well separate two whole numbers, of which the first are no longer."""
    import polars as pl

    with_comma = found.filter(found["body"].str.contains(",", literal=True).fill_null(False))
    both = with_comma["body"].str.extract_groups(r"^(0|[1-9]\d*),(0|[1-9]\d*)$").struct.unnest()
    bare = with_comma.select(pl.col("sign", "sign2", "minus", "open", "before", "after", "after2") == "")
    plain = not both["1"].null_count() and bool(bare.fill_null(True).to_numpy().all())
    if not (plain and both.height):
        return False
    first, second = (both[name].str.len_chars().to_numpy() for name in "12")
    return bool(first.max() <= second.max())


def are_addresses(texts: pl.Series, counts: NDArray[np.int64]) -> bool:
    """Whether nine in ten cells are four groups of digits up to 255, as the addresses of the Internet are."""
    rows = counts[texts.str.contains(ADDRESS).fill_null(False).to_numpy()].sum()
    return bool(rows >= 0.9 * counts.sum())


def have_minus_behind(found: pl.DataFrame) -> bool:
    """Whether a number has its minus behind it, which may as well be a mark of a grade."""
    return found["minus"].null_count() < found.height


def is_measure(unit: str) -> bool:
    """Whether what stands around numbers is a currency or a percent sign, which no name of a class has."""
    return is_currency(unit) or unit in {"%", "‰"}


def common_unit(found: pl.DataFrame, counts: NDArray[np.int64]) -> str:
    """The most frequent of what stands before or behind the numbers, "" if that is nothing."""
    import polars as pl

    units = _units(found)
    known = units.to_frame().with_columns(pl.Series("rows", counts)).filter(pl.nth(0) != "")
    if not known.height:
        return ""
    best = (
        known.group_by(pl.nth(0)).agg(pl.col("rows").sum()).sort("rows", pl.nth(0), descending=[True, False])
    )
    unit = str(best[0, 0])
    if is_measure(unit):
        return unit
    letters = known.filter(pl.nth(0).is_in(list(LETTERS)))
    if frozenset(letters.to_series().to_list()) in PAIRS_OF_LETTERS:
        return MANY if letters["rows"].sum() >= 0.9 * counts.sum() else ""
    different = found["body"].filter((units == unit).fill_null(False)).n_unique()
    return unit if different >= UNITS_NEED else ""


def is_currency(unit: str) -> bool:
    """Whether a unit is a currency."""
    return re.fullmatch(CURRENCY, unit, re.IGNORECASE) is not None


def parse(texts: pl.Series, form: NumberFormat) -> pl.Series:
    """The numbers that the texts are in this format, Float64, null for what is none."""
    import polars as pl

    plain = texts.cast(pl.Float64, strict=False)
    if not form.decimal and not form.unit:
        return plain.fill_nan(None)
    found = parts(texts)
    point = form.decimal or "."
    thousands = "," if point == "." else "."
    mark, other = (rf"\{m}" for m in (point, thousands))
    groups = rf"(?:{other}\d{{3}})+|(?: \d{{3}})+|(?:['’]\d{{3}})+"
    lakhs = rf"[1-9]\d?(?:{other}\d{{2}})+{other}\d{{3}}"
    grouped = rf"^(?:\d+|[1-9]\d{{0,2}}(?:{groups})|{lakhs})"
    # 0.627 is no 627 with a separator of thousands; beside a decimal mark nothing else is meant
    pattern = rf"{grouped}(?:{mark}\d*)?$|^\d{{1,3}}(?:{groups}){mark}\d+$|^{mark}\d+$"
    body = found["body"]
    value = (
        body.str.replace_all(rf"[{other} '’]", "").str.replace(point, ".", literal=True)
        + found["power"].fill_null("").str.to_lowercase()
    ).cast(pl.Float64, strict=False)
    multiple = found["multiple"].fill_null("").replace_strict(MULTIPLES, default=1.0, return_dtype=pl.Float64)
    units = _units(found)
    if form.unit in LETTERS:
        multiple = pl.Series(np.ones(len(texts)))
    elif form.unit == MANY or is_currency(form.unit):
        scaled = units.replace(dict.fromkeys(LETTERS, form.unit))
        units = scaled.zip_with(found["multiple"].is_not_null(), units)
    value = value * multiple
    negative = (found["sign"] == "-") | (found["sign2"] == "-") | found["minus"].is_not_null()
    bracketed = found["open"].is_not_null()
    reversed_ = negative | bracketed if form.unit != BRACKETS else negative
    whole = (
        body.str.contains(pattern)
        & (found["minus"].is_null() | body.str.contains(r"\d.*\d"))
        & (bracketed == found["close"].is_not_null())
        & (negative.cast(pl.Int8) + bracketed.cast(pl.Int8) <= 1)
        & _fits_unit(units, form.unit)
    )
    signed = pl.when(reversed_).then(-value).otherwise(value)
    return pl.select(pl.when(whole).then(signed)).to_series().alias(texts.name)


def _fits_unit(units: pl.Series, unit: str) -> pl.Series:
    """A number without the column's unit is one all the same, but not without its percent sign or its letter."""
    if unit == FLAGGED:
        return units.str.contains(r"^(?:[bcdefinprsuz]{0,3}|[hl]{1,2})$")
    if unit == BRACKETS:
        return units == ""
    same = units == unit
    return same if unit in {"%", "‰", MANY} or unit in LETTERS else same | (units == "")


def _units(found: pl.DataFrame) -> pl.Series:
    """What stands around the numbers, in small letters and without the s of a plural; null for what is no number.

    A single letter for thousands, millions or billions is one of them where no currency is.
    """
    import polars as pl

    around = [found[name].fill_null("") for name in ("before", "after", "after2")]
    unit = around[0] + around[1] + around[2]
    letter = found["multiple"].str.to_lowercase()
    bare = ((unit == "") & letter.is_in(list(LETTERS))).fill_null(False)
    unit = unit.zip_with(~bare, letter).str.to_lowercase().str.strip_chars(" .")
    plural = unit.str.contains(r"^\p{L}{3,}s$")
    single = pl.select(pl.when(plural).then(unit.str.head(-1)).otherwise(unit)).to_series()
    return pl.select(pl.when(found["body"].is_not_null()).then(single)).to_series()
