"""Small tables, one for each way to write a column, and what must come out.

Each is a CSV file of the column ``x``, of a second column and of the target ``y``. The cells are repeated until there
are forty rows.
"""

from dataclasses import dataclass, field
from typing import Any

ROWS = 40


@dataclass(frozen=True)
class Case:
    """A column's cells; the kind that it must be of, what its first cells mean, and what is said about it."""

    name: str
    cells: list[str]
    kind: str
    values: list[Any] = field(default_factory=list)
    said: str = ""
    columns: dict[str, Any] = field(default_factory=dict)
    beside: list[str] = field(default_factory=lambda: ["a", "b", "c"])
    separator: str = ","


def numbers(name: str, cells: list[str], *values: float | None, **more: Any) -> Case:
    return Case(name, cells, "numeric", list(values), **more)


def times(name: str, cells: list[str], *values: str | None, **more: Any) -> Case:
    return Case(name, cells, "time", list(values), **more)


SENTINEL = {"missing": ["-999"]}
NUMBER = {"types": {"x": "number"}}
LISTED = ["Action", "Drama", "War", "Comedy", "Horror", "Film", "Noir", "Song", "Kids", "News"]
CASES = [
    numbers("integers", ["1", "2", "3"], 1, 2, 3),
    numbers("fractions", ["1.5", "-2.25", ".5"], 1.5, -2.25, 0.5),
    numbers("exponents", ["1e3", "2.5E-2", "3"], 1000, 0.025, 3),
    numbers("a plus sign", ["+1.5", "+2", "-3"], 1.5, 2, -3),
    numbers("a minus of typographers", ["−1.5", "–2", "3"], -1.5, -2, 3),
    numbers("a decimal comma", ["1,5", "2,25", "3"], 1.5, 2.25, 3, said="a decimal comma", separator=";"),
    numbers("a decimal comma, quoted", ["1,5", "2,25", "3"], 1.5, 2.25, 3, said="a decimal comma"),
    numbers("points for thousands", ["1.234.567", "12.000", "7"], 1234567, 12000, 7, said="a decimal comma"),
    numbers(
        "commas for thousands", ["1,234", "12,000", "950"], 1234, 12000, 950, said="separator of thousands"
    ),
    numbers("thousands and cents", ["1,234.50", "2,000.00", "3.25"], 1234.5, 2000, 3.25),
    numbers("thousands and cents, comma", ["1.234,50", "2.000,00", "3,25"], 1234.5, 2000, 3.25),
    numbers("spaces for thousands", ["1 234", "12 000", "7"], 1234, 12000, 7),
    numbers("narrow spaces for thousands", ["1\u202f234,5", "12\u202f000", "7"], 1234.5, 12000, 7),
    numbers("apostrophes for thousands", ["1'234.50", "12'000", "7"], 1234.5, 12000, 7),
    numbers("lakhs", ["1,00,000", "12,34,567.5", "950"], 100000, 1234567.5, 950),
    numbers(
        "thousands settled by another column",
        ["1.234", "56.789", "9"],
        1234,
        56789,
        9,
        beside=["0,5", "1,25", "3,75"],
        said="as in other columns",
        separator=";",
    ),
    numbers(
        "a decimal comma, as ; separates cells",
        ["1,234", "56,789", "9,125"],
        1.234,
        56.789,
        9.125,
        said="as where ; separates cells",
        separator=";",
    ),
    numbers(
        "a decimal comma and large numbers, as ; separates cells",
        ["1,234", "1500", "9,125"],
        1.234,
        1500,
        9.125,
        said="as where ; separates cells",
        separator=";",
    ),
    numbers(
        "commas for thousands, as a comma separates cells",
        ["1,234", "56,789", "9,125"],
        1234,
        56789,
        9125,
        said="as where a comma separates cells",
    ),
    Case(
        "a comma that nothing settles",
        ["1,234", "56,789", "9,125"],
        "ignored",
        said="--decimal ,",
        separator="\t",
    ),
    Case(
        "round thousands, though ; separates cells",
        ["1,200", "56,000", "9,125"],
        "ignored",
        said="--decimal ,",
        separator=";",
    ),
    numbers(
        "commas for thousands beside small numbers, though ; separates cells",
        ["1,234", "12,000", "950"],
        1234,
        12000,
        950,
        said="separators of thousands",
        separator=";",
    ),
    numbers(
        "commas for thousands beside decimal points, though ; separates cells",
        ["1,234", "12,500", "9,125"],
        1234,
        12500,
        9125,
        beside=["0.5", "1.25", "3.75"],
        said="as in other columns",
        separator=";",
    ),
    Case("lists of different lengths", ["1,2", "1,2,3", "4,5"], "categorical", ["1,2", "1,2,3", "4,5"]),
    Case("few lists among pairs", [*["1,2", "3,4", "5,6"] * 11, "1,2,3"], "categorical", ["1,2", "3,4"]),
    Case("lists with large numbers", ["1,2", "1,200", "4,5"], "categorical", ["1,2", "1,200", "4,5"]),
    Case(
        "versions of two and three parts",
        [*["1.2", "1.3", "1.10"] * 5, "1.2.3"],
        "categorical",
        ["1.2", "1.3", "1.10"],
    ),
    Case(
        "a comma that pairs do not settle",
        ["1,234", "56,789", "9,125"],
        "ignored",
        beside=["1,2", "3,5", "2,7"],
        said="--decimal ,",
    ),
    numbers(
        "a comma that decimals settle",
        ["1,234", "56,789", "9,125"],
        1.234,
        56.789,
        9.125,
        beside=["21,5", "-3,5", "12,7"],
        said="as in other columns",
    ),
    numbers(
        "a comma that decimals with zeros settle",
        ["1,234", "56,789", "9,125"],
        1.234,
        56.789,
        9.125,
        beside=["1,05", "3,50", "2,75"],
        said="as in other columns",
    ),
    numbers("different numbers of decimals", ["1,2", "1,234", "4,25"], 1.2, 1.234, 4.25, separator=";"),
    numbers("a mark that was said", ["1.234", "56.789", "9"], 1234, 56789, 9, columns={"decimal": ","}),
    numbers("dollars", ["$2.39", "$1,234.00", "$10.50"], 2.39, 1234, 10.5, said="'$' beside them"),
    numbers("euros behind", ["2,39 €", "1.234,00 €", "10,50 €"], 2.39, 1234, 10.5, said="'€' beside them"),
    numbers("liras", ["1.250.000 TL", "900 TL", "75.500 TL"], 1250000, 900, 75500, said="'tl' beside them"),
    numbers("crowns", ["kr 1 250", "kr 99", "kr 12 000"], 1250, 99, 12000),
    numbers("thousands and millions of euros", ["€565K", "€110.5M", "€0"], 565e3, 110.5e6, 0),
    numbers("percent", ["45%", "3.5%", "100%"], 45, 3.5, 100, said="'%' beside them"),
    numbers("a number among percents", [*(f"{n}%" for n in range(1, 20)), "7"], 1, 2, said="'7' (row 20)"),
    numbers("kilograms", ["12 kg", "13.5 kg", "7kg"], 12, 13.5, 7, said="'kg' beside them"),
    numbers("a plural", ["0 Fires", "1 Fire", "12 Fires"], 0, 1, 12),
    numbers("brackets for a minus", ["(5)", "(1,250.5)", "7"], -5, -1250.5, 7),
    numbers("a minus behind", ["50-", "12.5-", "7"], -50, -12.5, 7),
    numbers("whole euros", ["1,50", "2,-", "3,50", "4,--"], 1.5, 2, 3.5, 4, separator=";"),
    numbers("whole euros and their sign", ["1,50 €", "2,- €", "3,-- €"], 1.5, 2, 3, separator=";"),
    numbers("whole francs", ["CHF 5.–", "CHF 7.50", "CHF 12.--"], 5, 7.5, 12),
    Case("grades with a minus", ["2", "2-", "3-"], "categorical", ["2", "2-", "3-"]),
    numbers(
        "thousands beside integers",
        ["100", "2.107", "3.114", "151"],
        100,
        2107,
        3114,
        151,
        said="--decimal .",
    ),
    numbers(
        "thousands that come late",
        ["100"] * 25 + ["2.107"],
        *[100] * 25,
        2107,
        beside=["0,5", "1,25", "3,75"],
        separator=";",
        said="as in other columns",
    ),
    numbers("three decimals", ["1.107", "2.114", "3.151"], 1.107, 2.114, 3.151, said="--decimal ,"),
    Case("commas that may be either", ["1,100", "4,107"], "ignored", separator=";", said="--decimal ,"),
    numbers("kelvins", ["270 K", "280 K", "291 K"], 270, 280, 291, said="'k' beside them"),
    numbers("house numbers", ["8 B", "10B", "12B"], 8, 10, 12, said="'b' beside them"),
    Case("kinds of beds", ["1K", "2B", "1K"], "categorical", ["1K", "2B"]),
    Case("resolutions", ["4K", "8K"], "categorical", ["4K", "8K"]),
    Case(
        "house numbers, few with a character behind",
        ["8", "10B", "12", "3"],
        "categorical",
        ["8", "10B", "12"],
    ),
    numbers(
        "thousands and millions", ["12K", "1.5M", "3K"], 12e3, 1.5e6, 3e3, said="'k, m or b' beside them"
    ),
    Case("addresses", ["192.168.100.100", "10.200.100.101"], "categorical", ["192.168.100.100"]),
    numbers(
        "thousands beside addresses",
        ["1,100", "2,200", "950"],
        1100,
        2200,
        950,
        beside=["192.168.100.100", "192.168.100.101"],
    ),
    numbers("one word", [*map(str, range(1, 20)), "Unknown"], 1, 2, 3, said="'Unknown' (row 20)"),
    numbers("one range", [*map(str, range(1, 20)), "2100 - 2850"], 1, 2, 3, said="'2100 - 2850' (row 20)"),
    numbers(
        "one long zip", [*map(str, range(98100, 98119)), "98115-4820"], 98100, said="'98115-4820' (row 20)"
    ),
    numbers("one infinity", [*map(str, range(1, 20)), "inf"], 1, 2, 3, said="'inf' (row 20)"),
    numbers(
        "missing numbers", ["1", "#N/A", "-", "n.a.", "?", ".", "4.5", "NULL", "--", "3"], 1, *[None] * 5, 4.5
    ),
    numbers("a sentinel", [*"12345678", "-999", "-999"], 1, 2, said="--missing=-999"),
    numbers(
        "a sentinel that was said",
        [*"12345678", "-999", "-999"],
        *range(1, 9),
        None,
        columns={"missing": ["-999"]},
    ),
    numbers("times of day", ["10:30", "23:59:30", "0:00"], 37800, 86370, 0),
    numbers("times of half days", ["10:30 AM", "11:59 pm", "12:15 am"], 37800, 86340, 900),
    Case("below nine in ten", ["1", "2", "three"], "categorical", ["1", "2", "three"]),
    Case("zips with zeros ahead", ["0501", "1010", "0502"], "categorical", ["0501", "1010", "0502"]),
    Case("codes of other lengths", ["1", "01", "002"], "categorical", ["1", "01", "002"]),
    numbers(
        "codes that were said to be numbers",
        ["0501", "1010", "0502"],
        501,
        1010,
        502,
        columns=NUMBER,
    ),
    Case(
        "numbers that were said to be categories",
        ["1", "2", "3"],
        "categorical",
        ["1", "2", "3"],
        columns={"types": {"x": "category"}},
    ),
    Case("models of cars", ["4wd", "2wd", "fwd"], "categorical", ["4wd", "2wd", "fwd"]),
    Case("true and false", ["True", "false", "TRUE"], "boolean", [True, False, True]),
    Case("yes and no", ["yes", "No", "YES"], "boolean", [True, False, True]),
    Case("Y and N", ["Y", "N", ""], "boolean", [True, False, None]),
    Case("ja und nein", ["ja", "nein", "?"], "boolean", [True, False, None]),
    Case(
        "one word among truth values",
        ["true", "false"] * 9 + ["true", "perhaps"],
        "boolean",
        [True, False],
        said="'perhaps' (row 20)",
    ),
    Case("yes, no and perhaps", ["yes", "no", "perhaps"], "categorical", ["yes", "no", "perhaps"]),
    Case("plus and minus", ["+", "-", "+"], "categorical", ["+", None, "+"]),
    Case(
        "countries, Namibia among them",
        ["NA", "DE", "FR", "US", "IT", "ES", "AT"],
        "categorical",
        ["NA", "DE"],
    ),
    Case("missing texts", ["red", "NA", "blue", "#N/A"], "categorical", ["red", None, "blue", None]),
    Case(
        "missing texts that were said",
        ["red", "none of us", "blue"],
        "categorical",
        ["red", None, "blue"],
        columns={"missing": ["None of us"]},
    ),
    Case(
        "dates of ISO",
        ["2020-01-31", "2021-12-01", ""],
        "time",
        ["2020-01-31", "2021-12-01", None],
    ),
    Case(
        "dates with slashes, day first",
        ["31/01/2020", "01/02/2020"],
        "time",
        ["2020-01-31", "2020-02-01"],
    ),
    Case(
        "dates with slashes, month first",
        ["01/31/2020", "02/01/2020"],
        "time",
        ["2020-01-31", "2020-02-01"],
    ),
    times("dates with points", ["05.01.2020", "1.2.20"], "2020-01-05", "2020-02-01"),
    Case(
        "dates without marks, with T",
        ["20141013T000000", "20150101T123000"],
        "time",
        ["2014-10-13", "2015-01-01T12:30"],
    ),
    Case(
        "dates without marks",
        [f"2014{m:02d}{d}" for m in range(1, 11) for d in (11, 27)],
        "time",
        ["2014-01-11"],
    ),
    Case(
        "instants",
        ["2020-01-31T10:00:00+02:00", "2020-07-01 10:00:00Z"],
        "time",
        ["2020-01-31T08:00", "2020-07-01T10:00"],
    ),
    Case(
        "instants as pandas writes them",
        ["2020-01-31 10:00:00+02:00", "2020-07-01 10:00:00+03:00"],
        "time",
        ["2020-01-31T08:00", "2020-07-01T07:00"],
    ),
    Case(
        "names of months",
        ["Jan 5 2020", "February 1, 2021"],
        "time",
        ["2020-01-05", "2021-02-01"],
    ),
    Case("short names of months", ["5-Jan-20", "17-Dec-99"], "time", ["2020-01-05", "1999-12-17"]),
    Case("German months", ["5. Januar 2020", "17. März 1999"], "time", ["2020-01-05", "1999-03-17"]),
    times("quarters", ["2020Q1", "2021q4", "2019 Q2"], "2020-01-01", "2021-10-01", "2019-04-01"),
    times("months of years", ["2020-01", "2021-12"], "2020-01-01", "2021-12-01"),
    Case(
        "one bad date",
        [f"2020-01-{d:02d}" for d in range(1, 20)] + ["soon"],
        "time",
        ["2020-01-01"],
        said="'soon' (row 20) in 2 of 40 rows",
    ),
    Case(
        "days or months",
        ["01/02/2020", "03/04/2020", "02/03/2020"],
        "ignored",
        said="--day-first or --month-first",
    ),
    Case(
        "days that were said",
        ["01/02/2020", "03/04/2020", "02/03/2020"],
        "time",
        ["2020-02-01"],
        columns={"day_first": True},
    ),
    Case(
        "firsts of months",
        [f"{m:02d}/01/2020" for m in range(1, 11)],
        "time",
        ["2020-01-01", "2020-02-01"],
    ),
    Case(
        "one week, days or months",
        [f"3/{d}/2020" for d in range(2, 7)],
        "ignored",
        said="--day-first or --month-first",
    ),
    times("years of two digits first", [f"20-01-{d:02d}" for d in range(1, 32)], "2020-01-01", "2020-01-02"),
    times(
        "years of two digits first, slashes", ["19/12/30", "20/01/31", "20/02/05", "20/03/07"], "2019-12-30"
    ),
    times("years of two digits last", [f"{d:02d}-01-20" for d in range(1, 32)], "2020-01-01", "2020-01-02"),
    Case("years first or last", ["20-01-10", "10-02-20"], "ignored", said="--day-first"),
    Case("versions", ["3.8.10", "3.9.12", "3.7.15"], "categorical", ["3.8.10"]),
    Case("ratios", ["16:10", "21:10"], "categorical", ["16:10", "21:10"]),
    Case("ratios of screens", ["3:2", "16:10", "4:3", "21:10"], "categorical", ["3:2", "16:10"]),
    Case("many ratios", ["16:10", "21:10", "17:10", "64:27", "32:27"], "categorical", ["16:10", "21:10"]),
    Case("scores of handball", [f"{n}:{n - 7}" for n in range(18, 38)], "categorical", ["18:11"]),
    Case("scales", ["1:10", "1:25", "1:50", "1:100"], "categorical", ["1:10", "1:25"]),
    numbers(
        "quarters of hours that a date says",
        ["12:15", "12:30"],
        44100,
        45000,
        columns={"types": {"x": "date"}},
    ),
    numbers("durations", ["16:10", "24:18", "30:00"], 58200, 87480, 108000),
    numbers("the end of a day", ["23:00", "24:00", "9:30"], 82800, 86400, 34200),
    times("midnight at the end of a day", ["2020-01-31 24:00", "2020-01-31 23:00"], "2020-02-01"),
    times("Norwegian months", ["5. mai 2020", "6. des 2020"], "2020-05-05", "2020-12-06"),
    times("Swedish months", ["5 maj 2020", "6 oktober 2020"], "2020-05-05", "2020-10-06"),
    times("Italian months", ["5 gennaio 2020", "6 set 2020"], "2020-01-05", "2020-09-06"),
    times("Polish months", ["5 października 2020", "6 maja 2020"], "2020-10-05", "2020-05-06"),
    Case("unknown months", ["5 Jan 2020"] * 19 + ["6 brumaire 2020"], "categorical", ["5 Jan 2020"]),
    numbers(
        "a currency ahead of brackets", ["$ (45.00)", "$ 1,234.50", "$ -"], -45, 1234.5, 0, said="'$' beside"
    ),
    numbers("a percent sign ahead", ["%12,5", "%7,25", "%3"], 12.5, 7.25, 3, said="'%' beside"),
    numbers("rupees", ["Rs. 1,50,000/-", "Rs. 500/-", "Rs. 20/-"], 150000, 500, 20, said="'rs' beside"),
    numbers("yen", ["1,234円", "56,789円", "9,000円"], 1234, 56789, 9000, said="'円' beside"),
    numbers("inches", ['15.6"', '13.3"', '17"'], 15.6, 13.3, 17),
    numbers("points out of five", ["4.1/5", "3.9/5", "2/5"], 4.1, 3.9, 2, said="'/5' beside"),
    Case("fractions of an inch", ["1/2", "3/4", "5/8", "1/4"], "categorical", ["1/2"]),
    Case("blood pressures", ["120/80", "131/85", "118/76", "140/95"], "categorical", ["120/80"]),
    numbers("footnotes", ["1,234[1]", "56,789.5", "910[a]", "12*"], 1234, 56789.5, 910, 12),
    numbers("Arabic digits", ["١٢٫٥", "٣", "٤٥٫٢٥"], 12.5, 3, 45.25),
    numbers("wide digits", ["１２", "３４５", "６"], 12, 345, 6),
    numbers(
        "years in brackets", ["(1994)", "(2008)", "(1972)"], 1994, 2008, 1972, said="not taken for a minus"
    ),
    numbers("losses in brackets", ["(1994)", "2008", "(12)"], -1994, 2008, -12),
    numbers(
        "flags of statistics offices",
        ["12.5", "7.1", "3.0 b", "4.4", "5.5 e", ": c", "6.0", "1.5 be"],
        *(12.5, 7.1, 3, 4.4, 5.5, None),
        said="flags such as b or e behind numbers are left out",
    ),
    Case("numbers with two units", ["1 m", "3 ft", "7 m", "12 ft", "5 m"], "categorical", ["1 m"]),
    numbers(
        "limits of detection",
        [*(str(n / 8) for n in range(12)), "<0.05", ">100"],
        *(0, 0.125),
        said="'<0.05' and the like in 4 rows: taken as the number alone",
    ),
    Case("classes with limits", ["<=50K", ">50K"], "categorical", ["<=50K"]),
    Case(
        "ages in classes",
        ["18-24", "25-34", "35-44", "65+"],
        "categorical",
        ["18-24", "25-34", "35-44", "65+"],
    ),
    numbers(
        "a word for nothing",
        [*(f"{n}.5" for n in range(15)), *["Undetermined"] * 5],
        *(0.5, 1.5),
        said="'Undetermined' in 10 rows: taken as missing; else --type x=category",
    ),
    numbers(
        "free of charge", ["Free", "1.50", "2.25", "3"], 0, 1.5, 2.25, 3, said="'Free' in 10 rows: taken as 0"
    ),
    numbers("litres for a distance", ["13.1 L / 100 km", "9 L / 100 km", "7.5 L / 100 km"], 13.1, 9, 7.5),
    Case("feet and metres", ["1 ft", "2 m", "3 ft", "4 m", "5 ft", "6 m"], "categorical", ["1 ft"]),
    numbers("superscripts", ["1.5¹", "2.25", "3 (a)", "4.125"], 1.5, 2.25, 3, 4.125),
    times("Croatian dates", ["5.3.2020.", "16. 12. 2021."], "2020-03-05", "2021-12-16"),
    Case("several of a few words", [f"{a}|{b}" for a in LISTED[:3] for b in LISTED[3:]], "words"),
    Case("numbers and words", [*"12345", "Free", "on request"], "categorical", ["1", "2"]),
    times("Russian months", ["5 марта 2020 г.", "16 мая 2021 г."], "2020-03-05", "2021-05-16"),
    times("Spanish dates", ["5 de marzo de 2020", "16 de mayo de 2021"], "2020-03-05", "2021-05-16"),
    times("Czech and Greek months", ["5. února 2020", "16 Μαΐου 2021"], "2020-02-05", "2021-05-16"),
    times("Turkish months", ["5 Şubat 2020", "16 Mayıs 2021"], "2020-02-05", "2021-05-16"),
    times("Hungarian dates", ["2020. február 5.", "2021. 05. 16."], "2020-02-05", "2021-05-16"),
    times(
        "Chinese and Korean dates",
        ["2020年2月5日", "2021년 5월 16일", "2021. 5. 17."],
        "2020-02-05",
        "2021-05-16",
    ),
    times("Chinese months", ["2020年2月", "2021年12月"], "2020-02-01", "2021-12-01"),
    times("days of the week in brackets", ["2020/02/05(水)", "2021/05/16(日)"], "2020-02-05", "2021-05-16"),
    times(
        "French days of the week",
        ["mercredi 5 février 2020", "dimanche 16 mai 2021"],
        "2020-02-05",
        "2021-05-16",
    ),
    times(
        "Italian months that are Spanish days", ["mar 5, 2020", "Mar 16, 2021"], "2020-03-05", "2021-03-16"
    ),
    times(
        "times of logs", ["Fri May 03 08:30:00 2019", "Sat May 04 09:37:00 +0000 2019"], "2019-05-03T08:30"
    ),
    times(
        "times of web servers",
        ["[03/May/2019:08:30:00 +0000]", "[13/Jun/2019:08:30:00 +0200]"],
        "2019-05-03T08:30",
    ),
    times(
        "times of SAS", ["03MAY2019:08:30:00", "13JUN2019:18:30:00"], "2019-05-03T08:30", "2019-06-13T18:30"
    ),
    times(
        "times of Oracle",
        ["03-MAY-19 08.30.00.000000 AM", "13-JUN-19 06.30.00.000000 PM"],
        "2019-05-03T08:30",
    ),
    times("Finnish times", ["3.5.2019 8.30", "13.6.2019 18.05"], "2019-05-03T08:30", "2019-06-13T18:05"),
    times("German times", ["03.05.2019 08:30 Uhr", "13.06.2019 18:05 Uhr"], "2019-05-03T08:30"),
    times("Spanish half days", ["13/05/2019 08:30 a. m.", "13/06/2019 06:05 p.\u00a0m."], "2019-05-13T08:30"),
    times("months and years", ["03/2019", "12/2020", "1/2021"], "2019-03-01", "2020-12-01", "2021-01-01"),
    times("months and years with a point", ["03.2019", "12.2020", "01.2021"], "2019-03-01", "2020-12-01"),
    times("months and short years", ["Mar-19", "Dec-20", "Jan-21"], "2019-03-01", "2020-12-01"),
    times("months of Stata", ["2019m3", "2020m12"], "2019-03-01", "2020-12-01"),
    times("quarters first", ["Q1 2019", "Q4 2020", "2Q21"], "2019-01-01", "2020-10-01", "2021-04-01"),
    times(
        "months as integers",
        [f"{y}{m:02d}" for y in (2019, 2020) for m in (1, 6, 12)],
        "2019-01-01",
        "2019-06-01",
    ),
    times("hours as integers", [f"2020013{n % 2}0{n}" for n in range(6)], "2020-01-30", "2020-01-31T01:00"),
    Case(
        "integers that may be months",
        [str(n) for n in (200001, 200002, 200005, 200007, 200011)],
        "numeric",
        [200001],
    ),
    Case("seasons", ["2000/01", "2001/02", "2002/03", "2003/04"], "categorical", ["2000/01"]),
    times(
        "the day first, for the comma",
        ["05/01/2020", "06/02/2020", "03/07/2020"],
        "2020-01-05",
        beside=["1,5", "2,75", "3,1"],
        separator=";",
        said="the day first, as where numbers have a decimal comma",
    ),
    numbers("hours and minutes in words", ["2h 30m", "19h", "1h 5m", "50m"], 9000, 68400, 3900, 3000),
    numbers("hours", ["5 h", "7 h", "9.5 h"], 5, 7, 9.5, said="'h' beside"),
    Case("continents", ["NA", "EU", "AS", "AF"], "categorical", ["NA", "EU"]),
    Case("a counter", [str(n) for n in range(1, 41)], "ignored", said="counts the rows; --type x=number"),
    Case(
        "a counter that was said to be a number",
        [str(n) for n in range(1, 41)],
        "numeric",
        [1, 2, 3],
        columns=NUMBER,
    ),
    Case("years", [str(n) for n in range(1960, 2000)], "numeric", [1960, 1961]),
    Case("names", [f"person{n}" for n in range(40)], "ignored", said="look like names"),
    Case("a column that was left out", ["1", "2", "3"], "ignored", columns={"ignore": ["x"]}),
    Case("nothing", ["", "NA", "-"], "ignored", said="no value"),
    Case("always the same", ["7"], "ignored", said="constant"),
]
