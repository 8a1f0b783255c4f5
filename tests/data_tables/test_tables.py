"""Reading tables: types, missing values, and a clear error for every damaged file."""

import datetime
import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import read_table
from chainrule.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write_file(content: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def test_types(write):
    frame = read_table(
        write(
            "count,size,town,open,day,time\n"
            "1,0.5,Oslo,true,2024-05-01,2024-05-01 10:30\n"
            "-2,1e3,New York,False,2024-05-02,2024-05-02 11:00\n"
        )
    )
    assert frame.dtypes == [pl.Int64, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Datetime("us")]
    assert frame.row(1) == (
        -2,
        1000.0,
        "New York",
        False,
        datetime.date(2024, 5, 2),
        datetime.datetime(2024, 5, 2, 11),
    )


@pytest.mark.parametrize("spelling", ["", "NA", "N/A", "nan", "NaN", "null", "None", "?", " NA ", "n/a"])
def test_missing_values_are_null_in_numbers_booleans_and_dates(write, spelling):
    frame = read_table(
        write(f"a,b,c,d\n1,2.5,true,2024-05-01\n{spelling},{spelling},{spelling},{spelling}\n")
    )
    assert frame.dtypes == [pl.Int64, pl.Float64, pl.Boolean, pl.Date]
    assert frame.row(1) == (None, None, None, None)


def test_in_text_only_an_empty_cell_is_missing(write):
    frame = read_table(write("a,b\nred,1\n,2\nNone,3\n?,4\n"))
    assert frame["a"].to_list() == ["red", None, "None", "?"]


def test_a_few_text_cells_leave_the_column_as_text(write):
    assert read_table(write("a\n1\n2\nabc\n"))["a"].to_list() == ["1", "2", "abc"]


def test_columns_can_be_kept_as_text(write):
    frame = read_table(write("code,n\n007,1\nNA,2\n"), text_columns=("code",))
    assert frame["code"].to_list() == ["007", "NA"] and frame["n"].dtype == pl.Int64


def test_a_column_of_missing_values_only(write):
    assert read_table(write("a,b\n,1\nNA,2\n"))["a"].null_count() == 2
    assert read_table(write("a,b\n,1\n,2\n"))["a"].null_count() == 2


def test_numbers_that_do_not_fit_64_bits_are_floats(write):
    frame = read_table(write("a,b\n9223372036854775808,inf\n1,1\n"))
    assert frame.row(0) == (2.0**63, float("inf"))


@pytest.mark.parametrize(
    ("name", "separator"), [("t.csv", ","), ("t.csv", ";"), ("t.csv", "\t"), ("t.tsv", "\t"), ("T.TAB", "\t")]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(write, name, separator, newline):
    lines = ["a;b", "1;x", '2;"y;z"', ""]
    text = newline.join(line.replace(";", separator) for line in lines)
    assert read_table(write(text, name)).rows() == [(1, "x"), (2, f"y{separator}z")]


def test_quotes_spaces_blank_lines_byte_order_mark(write):
    text = '\ufeff a , b\n\n1, "x, ""y"""\n   \n2,5" pipe\n3,"two\nlines"\n\n\n'
    frame = read_table(write(text))
    assert frame.columns == ["a", "b"]
    assert frame.rows() == [(1, 'x, "y"'), (2, '5" pipe'), (3, "two\nlines")]


def test_a_column_without_a_name_is_called_after_its_position(write):
    assert read_table(write(",x\n0,1\n1,5\n")).columns == ["column_1", "x"]


def test_compressed(write):
    content = gzip.compress(b"a\tb\n1\t2\n")
    assert read_table(write(content, "t.tsv.gz")).rows() == [(1, 2)]
    for damaged in (content[:-3], content[:20], b"a,b\n1,2\n", content[:12] + b"\xff\xff" + content[14:]):
        with pytest.raises(DataError, match="gzip"):
            read_table(write(damaged, "t.csv.gz"))


def test_many_rows_come_back_in_order(write):
    frame = read_table(write("i,t\n" + "".join(f"{i},t{i}\n" for i in range(3500))))
    assert frame["i"].to_list() == list(range(3500)) and frame["t"][3499] == "t3499"


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_parquet_and_arrow(tmp_path, name):
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [0.5, float("nan")]})
    frame.write_parquet(tmp_path / name) if name == "t.parquet" else frame.write_ipc(tmp_path / name)
    assert read_table(tmp_path / name).equals(frame)
    whole = (tmp_path / name).read_bytes()
    for damaged in (b"", whole[:-20], b"a,b\n1,2\n", whole[:40] + bytes(40) + whole[-40:]):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read as"):
            read_table(tmp_path / name)


def test_missing_files_name_the_nearest(write, tmp_path):
    write("a\n1\n", "houses.csv")
    with pytest.raises(
        DataError, match=r"there is no file .*house.csv\n(.*\n)?.*did you mean '.*houses.csv'"
    ):
        read_table(tmp_path / "house.csv")
    with pytest.raises(DataError, match="there is no folder"):
        read_table(tmp_path / "no" / "house.csv")
    with pytest.raises(DataError, match=r"is a folder\n.*\n.*'.*houses.csv'"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_table("a\0b")


def test_empty_tables(write):
    for content in ("", "\n\n", "\ufeff", "   "):
        with pytest.raises(DataError, match="holds no columns"):
            read_table(write(content))
    with pytest.raises(DataError, match=r"holds no rows\n(.*\n)*.*0 rows, 2 columns"):
        read_table(write("a,b\n"))


def test_an_empty_parquet(tmp_path):
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        read_table(tmp_path / "t.parquet")


def test_ragged_rows_name_their_lines(write):
    text = 'a,b\n1,2\n\n3\n"two\nlines",4\n5,6,7\n'
    with pytest.raises(DataError, match=r"ragged(.*\n)*.*2 cells a line.*\n.*line 4 has 1, line 7 has 3"):
        read_table(write(text))


def test_ragged_rows_after_many_good_ones(write):
    with pytest.raises(DataError, match="line 2502 has 3"):
        read_table(write("a,b\n" + "1,2\n" * 2500 + "3,4,5\n"))


def test_quotes_that_do_not_match(write):
    with pytest.raises(DataError, match=r"quotes do not match(.*\n)*.*starts on line 3"):
        read_table(write('a,b\n1,2\n"open,3\n4,5\n'))
    with pytest.raises(DataError, match=r"quotes do not match(.*\n)*.*starts on line 2"):
        read_table(write('a,b\n"x"y,2\n'))


def test_what_is_not_text(write):
    with pytest.raises(DataError, match=r"not text in UTF-8\n(.*\n)*.*0xe9\n.*line 3, byte 13 .*\n.*cp1252"):
        read_table(write("a,b\nä,ö\n2,".encode() + b"\xe9\n"), encoding="utf-8")
    with pytest.raises(DataError, match="line 1, byte 5 "):
        read_table(write(b"\xef\xbb\xbfa\xe9\n"), encoding="utf-8")
    with pytest.raises(DataError, match=r"zero byte(.*\n)*.*line 2"):
        read_table(write("a,b\n1,\0\n"))
    with pytest.raises(DataError, match=r"workbook that cannot be read\n(.*\n)*.*save the sheet as CSV"):
        read_table(write(b"PK\x03\x04\xff\xfexl/workbook.xml", "t.xlsx"))


def test_repeated_names_get_numbers(write):
    assert read_table(write("a,b,a,a_2,a\n1,2,3,4,5\n")).columns == ["a", "b", "a_3", "a_2", "a_4"]
    assert read_table(write("column_2,\n1,2\n")).columns == ["column_2", "column_2_2"]
    assert read_table(write("ö,o\u0308\n1,2\n")).columns == ["ö", "ö_2"]


@settings(deadline=None, max_examples=200)
@given(
    content=st.one_of(
        st.binary(max_size=80), st.text(alphabet='ab1,.;"\n\r\t ?-é', max_size=60).map(str.encode)
    )
)
def test_any_bytes_are_a_table_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(content)
    try:
        frame = read_table(path)
    except DataError:
        return
    assert frame.height and frame.width


CELLS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.tuples(CELLS, st.text("abc,\n\"' ;é", min_size=1)), min_size=1))
def test_what_the_csv_module_writes_comes_back(tmp_path_factory, rows):
    import csv

    rows = [*rows, (1, "the last row")]  # for empty rows below it would be left out

    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "text"])
        writer.writerows(rows)
    frame = read_table(path)
    numbers = [number for number, _ in rows]
    if any(isinstance(number, float) for number in numbers):
        numbers = [None if number is None else float(number) for number in numbers]
    assert frame["number"].to_list() == numbers
    assert frame["text"].to_list() == [text.strip(" \n") or None for _, text in rows]


@pytest.mark.parametrize("gap", ["", "NA"])
def test_points_that_may_separate_thousands_are_looked_at_whole_beside_gaps_too(tmp_path, gap):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + f"1.234,0.123\n100,{gap}\n{gap},1.500\n")
    frame = read_table(path)
    assert frame["a"].dtype == pl.String and frame["b"].dtype == pl.Float64
