"""The type of a column is that of its definition, however its cells are cut and whoever reads its numbers."""

import csv
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thorough import generated, slow

from chainrule.data.features import cell_types, thousands
from chainrule.data.features.cell_types import TypedColumn, add_cells
from chainrule.data.files import compressed, csv_cells, direct_numbers, footers, opening
from chainrule.data.files.csv_cells import text_table
from chainrule.data.files.text_format import TextFormat
from chainrule.data.tables import read_assuming

MISSING = ["", "na", "n/a", "nan", "null", "none", "?"]
DATES = {
    "%Y-%m-%d": pl.Date,
    "%Y-%m-%d %H:%M": pl.Datetime("us"),
    "%Y-%m-%d %H:%M:%S%.f": pl.Datetime("us"),
    "%Y-%m-%dT%H:%M": pl.Datetime("us"),
    "%Y-%m-%dT%H:%M:%S%.f": pl.Datetime("us"),
    "%Y-%m-%dT%H:%M:%S%.fZ": pl.Datetime("us"),
}


def by_definition(cells: pl.Series, if_plain: bool = False) -> pl.Series:
    """A column, read slowly and at once: the first type that all of its cells have which are not missing.

    With ``if_plain``, it is one of numbers only if all of them are written as numbers are printed.
    """
    bare = cells.str.strip_chars()
    lower = bare.str.to_lowercase()
    known = ~lower.is_in(MISSING).fill_null(True)

    def fits(values: pl.Series) -> bool:
        return not (values.is_null() & known).any()

    whole = bare.cast(pl.Int64, strict=False)
    numbers = bare.cast(pl.Float64, strict=False).fill_nan(None)

    def written(pattern: str) -> bool:
        return not if_plain or not (known & ~bare.str.contains(pattern)).any()

    if not bare.str.contains(r"^0\d+$").any():
        if fits(whole) and written(r"^-?(0|[1-9]\d*)$"):
            return whole
        if fits(numbers) and written(r"^-?(0|[1-9]\d{0,14})(\.\d*)?$") and not are_thousands(bare, numbers):
            exact = zip(whole, numbers, strict=True)
            return pl.Series([0.0 if a == 0 else b for a, b in exact], dtype=pl.Float64)
    truth = lower.replace_strict(["true", "false"], [True, False], default=None, return_dtype=pl.Boolean)
    if fits(truth):
        return truth
    first = bare.filter(known)[0]
    if len(first) >= 10 and first[:4].isdigit() and first[4] == "-":
        for form, dtype in DATES.items():
            if fits(times := bare.str.strptime(dtype, form, strict=False)):
                return times
    return pl.Series([text or None for text in bare], dtype=pl.String)


def are_thousands(bare: pl.Series, numbers: pl.Series) -> bool:
    """Whether a column has 1.234 and the like, whole numbers below 1000, and nothing else."""
    known = [(text, number) for text, number in zip(bare, numbers, strict=True) if number is not None]
    written = pl.Series([text for text, _ in known]).str.contains(r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)$").all()
    sizes = [abs(number) for _, number in known]
    return written and all(size == 0 or 1 <= size < 1000 for size in sizes) and any(s % 1 for s in sizes)


def same(a: pl.Series, b: pl.Series) -> bool:
    """Whether two columns have the same type and the same bits."""
    if a.dtype != b.dtype or len(a) != len(b) or a.is_null().to_list() != b.is_null().to_list():
        return False
    if a.dtype == pl.Float64:
        a, b = (pl.Series(series.fill_null(0.0).to_numpy().view(np.int64)) for series in (a, b))
    return a.to_list() == b.to_list()


integers = st.integers(-(10**20), 10**20).map(str) | st.integers(-2000, 2000).map(str)
fractions = st.floats(allow_nan=False).map(repr) | st.builds(
    lambda value, digits: f"{value:.{digits}f}", st.floats(-2000, 2000), st.integers(0, 20)
)
grouped = st.builds(lambda value: f"{value:.3f}", st.floats(1, 999))
KINDS = [
    integers,
    st.integers(0, 999).map(str),
    fractions,
    grouped,
    grouped | st.integers(0, 999).map(str),
    grouped | fractions,
    st.sampled_from(["-0", "0", "-0.0", "1.5", "-0.25", "7"]),
    st.sampled_from(["true", "False", "TRUE"]),
    st.dates().map(str),
    st.datetimes().map(lambda time: time.isoformat(" ")[:19]),
    st.datetimes().map(lambda time: time.isoformat() + "Z"),
    st.text("abé 0127.,", max_size=6),
    st.integers(0, 99).map("{:03}".format),
    st.sampled_from(["", "NA", " ", "?"]),
]
ODD = st.sampled_from(
    [
        *("", " ", "NA", "n/a", "NaN", "nan", "-nan", "?", "None", "-", "x", "\u00a07", "true", "2020-01-01"),
        *("007", " 007", "00", "-007", "0.5", "00.5", "+1", "+1.5", "1e1", "1E400", "-1e-400", ".5", "1."),
        *("-0", "-00", "-0.0", "-0e0", "inf", "-Infinity", "12345678901234567890", "9223372036854775808"),
        *("1.234", "1.234.567", "1234.567", "1,5", "1,234", "$7", "5%", "0x10", "1_000", "\u0663", "\uff17"),
        *(" 7", "7 ", "\t7", " 1.5 ", "7\u2003", "1 2", "01.02.2020", "2020-01-01 10:00", "9" * 400, "-"),
    ]
)


@st.composite
def tables(draw):
    """Columns of text, each mostly of one kind, with gaps and with odd cells anywhere."""
    rows = draw(st.integers(1, 60))
    frame = {}
    for place in range(draw(st.integers(2, 5))):
        kind = draw(st.sampled_from(KINDS))
        some = draw(st.lists(kind, min_size=1, max_size=12))
        cells = [some[row * 7 % len(some)] for row in range(rows)]
        gaps = draw(st.sampled_from([0, 0, 2, 5]))
        if gaps:
            cells = [None if row % gaps == 0 else cell for row, cell in enumerate(cells)]
        for row in draw(st.lists(st.integers(0, rows - 1), max_size=3)):
            cells[row] = draw(ODD | st.none())
        frame[f"c{place}"] = cells
    return pl.DataFrame(frame, schema=dict.fromkeys(frame, pl.String))


def typed_in_parts(frame: pl.DataFrame, cuts: list[int]) -> dict[str, pl.Series]:
    """The columns, to which the rows are added in parts, again and again while there are incomplete ones.

    Every second one is as a target is: its numbers are to be written as they are printed.
    """
    columns = incomplete = [TypedColumn(name, if_plain=name in "c1 c3") for name in frame.columns]
    for _ in range(20):
        for start, stop in zip([0, *cuts], [*cuts, frame.height], strict=True):
            add_cells(incomplete, frame[start:stop])
        incomplete = [column for column in columns if column.incomplete]
        if not incomplete:
            return {column.name: column.series() for column in columns}
        for column in incomplete:
            column.begin_again()
    raise AssertionError("the columns never become complete")


def check(found: pl.Series, cells: pl.Series, if_plain: bool = False) -> None:
    expected = by_definition(cells, if_plain)
    assert same(found, expected), f"{cells.to_list()}\nfound {found.to_list()}\nexpected {expected.to_list()}"


@pytest.fixture(scope="module")
def little():
    """Small tables are large in the eyes of the reader: it cuts after 3 rows, and reads blocks of 400 bytes."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in [
            (cell_types, "FIRST", 1),
            (thousands, "FIRST", 2),
            (footers, "BODY", 4),
            (direct_numbers, "BODY", 4),
            (direct_numbers, "FIRST", 3),
            (direct_numbers, "FEWEST", 9),
            (direct_numbers, "WINDOW", 16),
            (opening, "WINDOW", 16),
            (compressed, "BLOCK", 400),
        ]:
            patch.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("cells") / "table.csv"


@pytest.fixture(scope="module")
def direct():
    """The numbers of columns that were read as numbers from bytes, one for each block."""
    read, seen = csv_cells.as_texts_would_be, []

    def spy(frame, *rest):
        seen.append(sum(dtype != pl.String for dtype in frame.dtypes) if read(frame, *rest) else 0)
        return bool(seen[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_cells, "as_texts_would_be", spy)
        yield seen


@generated(40, 150, tables(), st.data())
def test_a_type_is_that_of_the_whole_column_however_it_is_cut(frame, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell_types, "FIRST", 1)
        patch.setattr(cell_types, "TOGETHER", data.draw(st.sampled_from([1, 40, 1 << 15])))
        cuts = sorted(data.draw(st.lists(st.integers(0, frame.height), max_size=3)))
        for name, found in typed_in_parts(frame, cuts).items():
            check(found, frame[name], name in "c1 c3")


def as_csv(frame: pl.DataFrame, end: str, quoting: int, separator: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=quoting, delimiter=separator)
    writer.writerows([frame.columns, *frame.rows()])
    return text.getvalue().encode()


def check_file(path, content: bytes, separator: str = ",") -> None:
    """The file is read as it is by definition from its cells, which all come as text."""
    path.write_bytes(content)
    form = TextFormat(None, separator, True)
    table = text_table(path, form)
    cells = pl.concat([*table.frames])
    found, said = read_assuming(path, (), form)
    assert (found.columns, found.height, said) == (cells.columns, cells.height, table.assumed())
    for name in found.columns:
        check(found[name], cells[name])


@pytest.mark.parametrize("examples", [80, slow(200)])
def test_a_file_is_read_as_by_definition(little, direct, path, examples):
    before = len(direct)

    # few examples drawn anew each time would now and then have hardly any odd file
    @settings(max_examples=examples, deadline=None, derandomize=examples < 200)
    @given(
        tables(),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        st.sampled_from([",", ";", "\t"]),
    )
    def every_file_is(frame, end, quoting, separator):
        rows = pl.concat([frame, *[frame[-12:]] * 3])  # several blocks, also where the odd cells come late
        check_file(path, as_csv(rows, end, quoting, separator), separator)

    every_file_is()
    assert sum(columns > 0 for columns in direct[before:]) > examples // 4, "else this would show nothing"
    assert direct[before:].count(0) > (4 if examples == 200 else 0), "and what is not plain was seen"


@pytest.mark.parametrize(
    "odd", ["007", " 007", "00", "-0", "NaN", "nan", "1.5", "x", "NA", " 5", "5 ", "", '"007"']
)
@pytest.mark.parametrize("row", [30, 61, 119])
@pytest.mark.parametrize("kind", ["1{}", "{}.25"])
def test_one_odd_cell_late_in_a_column(little, path, kind, row, odd):
    cells = [kind.format(number) for number in range(120)]
    cells[row] = odd
    content = "a,b,c\n" + "".join(f"{cell},town {row},{cell}\n" for row, cell in enumerate(cells))
    check_file(path, content.encode())


@pytest.mark.parametrize("codes", ["0{:02}", "0{}.01.2020", "a 0{}", "0{} b"])
def test_zeros_ahead_in_text_beside_numbers(little, direct, path, codes):
    """Codes and dates in a column of text do not keep numbers from being read directly."""
    before = len(direct)
    rows = "".join(f"{codes.format(row % 10)},{row},{row}.5\n" for row in range(120))
    check_file(path, f"code,a,b\n{rows}".encode())
    assert any(direct[before:])


@pytest.mark.parametrize("row", [30, 61, 119])
@pytest.mark.parametrize(("header", "height"), [("town,2019,1", 121), ("town,a,b", 120)])
def test_a_header_that_comes_again(little, path, header, height, row):
    rows = [f"town {number % 5},{number},{number}.5" for number in range(120)]
    rows[45], rows[row : row + 1] = "town,7,7.5", [rows[row], header]
    check_file(path, "\n".join([header, *rows, ""]).encode())
    assert read_assuming(path, (), TextFormat(None, ",", True))[0].height == height
