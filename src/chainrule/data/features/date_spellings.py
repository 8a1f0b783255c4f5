"""Ways of writing dates and times that are brought into a usual one before they are read.

Each pattern is one way of writing, and what it becomes. Cells that are written in a usual way are left alone, so that
long columns of them cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.data.features.month_names import WEEKDAYS

if TYPE_CHECKING:
    import polars as pl

TIME = r"(?:,?[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[AaPp][Mm]|Z|[+-]\d{2}:?\d{2})?)?$"
USUAL = (
    rf"^\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}{TIME}|^\d{{1,2}}[ -]\p{{L}}{{3,9}}[ -]\d{{2,4}}{TIME}"
    rf"|^\p{{L}}{{3,9}} \d{{1,2}}, \d{{4}}{TIME}"
)
YEAR, MONTH = r"((?:19|20)\d\d)", r"(0[1-9]|1[0-2])"
WEEKDAY = rf"(?i)^(?:{'|'.join(sorted(WEEKDAYS.split(), key=len, reverse=True))})\.?,?\s+"
DATES = (
    (WEEKDAY, ""),  # Friday, 5 March
    (r"\s*\(\p{L}{1,9}\.?\)", ""),  # 2020/01/05(日)
    (r"^(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日일]", "$1-$2-$3"),
    (r"^(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]$", "$1-$2"),
    *[(r"\s+(?:de|del)\s+", " ")] * 2,  # 5 de marzo de 2020
    (r"^(\d{1,2}\.\s?\d{1,2}\.\s?\d{4})\.", "$1"),  # 5. 3. 2020.
    (r"(\d{4})\s*[гр]\.?$", "$1"),  # 5 марта 2020 г.
    (r"^(\d{4})\.?[ -](\p{L}{3,12})\.?\s*(\d{1,2})\.?$", "$3 $2 $1"),  # 2020. március 5.
    (r"^(\d{4})[ -]?(\p{L}{3,12})$", "$2 $1"),  # 2020-Mar
    (r"^(\p{L}{3,9}) +(\d{1,2}) (\d{2}:\d{2}:\d{2})( [+-]\d{4}| UTC| GMT)? (\d{4})$", "$1 $2, $5 $3$4"),
    (r"^\[(.*?)\]?$", "$1"),
    (r"^(\d{1,2}[-/]?\p{L}{3}[-/]?\d{2,4}):(\d{1,2}:\d{2})", "$1 $2"),  # 05MAR2020:12:30:00
    (r"(\d) (\d{1,2})\.(\d{2})\.(\d{2})((?:\.\d{1,9})?(?: ?[AaPp][Mm])?)$", "$1 $2:$3:$4$5"),  # 12.30.00
    (r"(\d{2},?) (?:klo |kl\. ?)?(\d{1,2})\.(\d{2})$", "$1 $2:$3"),  # 5.3.2020 12.30
    (r"(\d{2},?) (?:à )?(\d{1,2}) ?h ?(\d{2})$", "$1 $2:$3"),  # 05/03/2020 12h30
    (r"(:\d{2}) ?(?:Uhr|h|hrs|óra)\.?$", "$1"),
    (rf"^{YEAR}[mM](\d{{1,2}})$", "$1-$2"),  # 2020m3
    (rf"^(0?[1-9]|1[0-2])[/-]{YEAR}$", "$2-$1"),  # 03/2020
    (rf"^{MONTH}\.{YEAR}$", "$2-$1"),
    (r"^[QqTt]([1-4])[ /-]?(\d{4})$", "$2-Q$1"),  # Q1 2020
    (r"^([1-4])[QqTt][ /-]?(\d{4}|\d{2})$", "$2-Q$1"),  # 1Q20
    (r"^(\d{4})-?T([1-4])$", "$1-Q$2"),
    (rf"^{YEAR}{MONTH}$", "$1-$2"),
    (rf"^{YEAR}{MONTH}([0-3]\d)(\d{{2}})$", "$1-$2-$3 $4:00"),
    (rf"^{YEAR}{MONTH}([0-3]\d)(\d{{2}})(\d{{2}})$", "$1-$2-$3 $4:$5"),
    (rf"^{YEAR}{MONTH}([0-3]\d)(\d{{2}})(\d{{2}})(\d{{2}})$", "$1-$2-$3 $4:$5:$6"),
)
HOURS, MINUTES = r"h(?:(?:ou)?rs?)?\.?,?", r"m(?:in(?:ute)?s?)?\.?"
TIMES = (
    (rf"(?i)^(\d{{1,2}})\s*{HOURS}\s*(\d)\s*{MINUTES}$", "$1:0$2"),
    (rf"(?i)^(\d{{1,2}})\s*{HOURS}\s*(\d{{2}})\s*(?:{MINUTES})?$", "$1:$2"),
    (rf"(?i)^(\d{{1,2}})\s*{HOURS}$", "$1:00"),
    (rf"(?i)^(\d)\s*{MINUTES}$", "0:0$1"),
    (rf"(?i)^(\d{{2}})\s*{MINUTES}$", "0:$1"),
)


def tidied(texts: pl.Series) -> pl.Series:
    """The texts, those that are dates in an unusual way of writing as they are usually written.

    >>> import polars as pl
    >>> tidied(pl.Series(["Fri May  3 08:30:00 2019", "2020年1月5日", "1/5/2020"])).to_list()
    ['May 3, 2019 08:30:00', '2020-1-5', '1/5/2020']
    """
    return _replaced(texts, DATES, texts.str.contains(USUAL))


def tidied_times(texts: pl.Series) -> pl.Series:
    """The texts, those such as 2h 30m as 2:30."""
    return _replaced(texts, TIMES, texts.str.contains(":", literal=True))


def _replaced(texts: pl.Series, patterns: tuple[tuple[str, str], ...], usual: pl.Series) -> pl.Series:
    import polars as pl

    if usual.fill_null(True).all():
        return texts
    others = texts.to_frame().select(pl.when(~usual).then(pl.nth(0))).to_series()
    for pattern, written in patterns:
        others = others.str.replace(pattern, written)
    return others.zip_with(others.is_not_null(), texts).alias(texts.name)
