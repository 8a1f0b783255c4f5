"""Text is read block by block, some blocks by polars: cells, types and errors are as by the csv module alone."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import read_table
from chainrule.data.files import compressed, csv_cells, opening
from chainrule.data.files.csv_cells import text_table
from chainrule.data.files.text_format import TextFormat
from chainrule.data.tables import read_assuming
from chainrule.errors import DataError

CELL = st.one_of(
    st.sampled_from(["", "1", "-2.5", "NA", "nan", "x", "true", "2024-01-02", '"', '""', "a b", " c ", "é"]),
    st.text(alphabet='ab1"\n\r, .;', max_size=5),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def texts(draw):
    """Files of three columns: cells quoted as needed, always or wrongly, lines sometimes blank or ragged."""
    lines = ["a,b,c"]
    end = draw(ENDS)
    for _ in range(draw(st.integers(0, 8))):
        cells = []
        for cell in draw(st.lists(CELL, min_size=3, max_size=3)):
            written = io.StringIO()
            how = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, None]))
            if how is None:
                cells.append(cell.replace("\n", "").replace("\r", "").replace(",", ""))
            else:
                csv.writer(written, quoting=how, lineterminator="").writerow([cell])
                cells.append(written.getvalue())
        lines.append(",".join(cells))
        if draw(st.integers(0, 9)) == 0:
            lines.append(draw(st.sampled_from(["", "  ", "1,2", "1,2,3,4", '"open'])))
    return end.join([*lines, ""]) if draw(st.booleans()) else end.join(lines)


def by_csv_module(text):
    """The rows of the whole text, or None where the csv module or the header refuses one."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        records = [r for r in reader if len(r) > 1 or (r and r[0].strip())]
    except csv.Error:
        return None
    if any(len(record) != 3 for record in records):
        return None
    return [tuple(cell.strip() for cell in record) for record in records[1:]]


@settings(deadline=None, max_examples=400, derandomize=True)
@given(text=texts(), block=st.sampled_from([1, 7, 30, 1 << 20]))
def test_cells_are_those_of_the_csv_module(tmp_path_factory, text, block):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed, "BLOCK", block)
        try:
            # with few rows a name may also be a cell below it, as of a table without a header
            table = text_table(path, TextFormat(header=True))
            names, frames = table.names, table.frames
            frame = pl.concat(list(frames) or [pl.DataFrame(schema=dict.fromkeys(names, pl.String))])
        except DataError:
            assert by_csv_module(text) is None
            return
    assert names == ["a", "b", "c"]
    if table.assumed():  # short lines are filled up, and what is at the end may be a footer
        return
    assert [tuple((cell or "").strip() for cell in row) for row in frame.rows()] == by_csv_module(text)


@pytest.mark.parametrize("block", [1, 5, 64])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_quoted_cells_are_read_quickly_and_right(tmp_path, monkeypatch, block, separator):
    rows = [(f'say "{i}"', f"a{separator} b", "", str(i)) for i in range(40)]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([("t", "u", "v", "n"), *rows])
    names = ["t", "u", "v", "n"]
    body = text.getvalue().partition("\r\n")[2].encode()
    quick = csv_cells._quickly(body, separator, names)
    assert quick is not None and [tuple(c or "" for c in row) for row in quick.rows()] == rows


@pytest.mark.parametrize(
    "block",
    [
        b'a,5" pipe\n',
        b'"a\nb",c\n',
        b'a,"b\n',
        b' "a",b\n',
        b'"a" ,b\n',
        b"a\rb,c\n",
        b"a\n",
        b"a,b\n\nc,d\n",
        b"a,b,\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_csv_module(block):
    assert csv_cells._quickly(block, ",", ["x", "y"]) is None


TYPES = {
    "integer": ["1", "2"],
    "number": ["1.5", "2"],
    "boolean": ["true", "False"],
    "date": ["2024-01-02", "2024-01-03"],
    "time": ["2024-01-02 10:00", "2024-01-03 11:30"],
    "missing": ["", "NA"],
    "text": ["x", "007"],
}


@pytest.mark.parametrize("first", TYPES)
@pytest.mark.parametrize("then", TYPES)
def test_a_type_that_shows_late_is_that_of_the_whole_column(tmp_path, monkeypatch, first, then):
    cells = [*TYPES[first] * 20, *TYPES[then] * 20, *TYPES[first] * 20]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b", *(f"{cell},{i}" for i, cell in enumerate(cells))]))
    whole = read_table(path)
    monkeypatch.setattr(compressed, "BLOCK", 16)
    parts = read_table(path)
    assert parts.equals(whole) and parts.dtypes == whole.dtypes
    if "text" in (first, then):
        assert parts["a"].to_list() == [cell or None for cell in cells]


@pytest.mark.parametrize("cell", ["x" * 200_000, '"' + "x" * 200_000 + '"', '"' + "x\n" * 100_000 + '"'])
def test_cells_longer_than_the_csv_modules_limit(tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"a,b\n1,{cell}\n2,y\n")
    assert read_table(tmp_path / "t.csv")["b"][0] == cell.strip('"').strip()


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_longer_than_ours_is_called_that(tmp_path, monkeypatch, quote):
    monkeypatch.setattr(csv_cells, "LONGEST", 1_000)
    limit = csv.field_size_limit(1_000)
    try:
        (tmp_path / "t.csv").write_text(f"a,b\n1,2\n3,{quote}{'x' * 1_001}\n")
        with pytest.raises(
            DataError, match=r"a cell of more than 1,000 characters\n(.*\n)*.*starts on line 3"
        ):
            read_table(tmp_path / "t.csv")
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("block", [3, 16, 1 << 20])
def test_errors_name_the_line_whatever_the_block(tmp_path, monkeypatch, block):
    monkeypatch.setattr(compressed, "BLOCK", block)
    good = "a,b\n" + "1,2\n" * 20 + '"3\n4",5\n'
    for bad, where in (
        ("1,2,3\n", "line 24 has 3"),
        ('"x"y,1\n', "line 24"),
        ("1,\0\n", "line 24"),
        ("é,é\n1,\udcff\n", "line 25, byte 101"),
    ):
        (tmp_path / "t.csv").write_bytes((good + bad).encode("utf-8", "surrogateescape"))
        with pytest.raises(DataError) as caught:
            read_table(tmp_path / "t.csv", encoding="utf-8")
        assert where in str(caught.value)


@pytest.mark.parametrize("block", [16, 1 << 20])
def test_bytes_that_are_not_utf8_are_mended_and_counted(tmp_path, monkeypatch, block):
    monkeypatch.setattr(compressed, "BLOCK", block)
    good = "a;b\nKöln;1\nDüren;2\n".encode()
    (tmp_path / "t.csv").write_bytes(good + "Müller;3\n".encode("cp1252") + good[4:] + b"\x80;4\n")
    frame, said = read_assuming(tmp_path / "t.csv")
    assert frame["a"].to_list() == ["Köln", "Düren", "Müller", "Köln", "Düren", "€"]
    assert "utf-8, but for 2 bytes that are not, read as cp1252" in said


def test_many_ragged_lines_are_counted_not_kept(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n" + "1\n" * 5_000)
    with pytest.raises(DataError, match=r"line 7 has 1 and 4995 more"):
        read_table(tmp_path / "t.csv")


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "BLOCK", 64)
    monkeypatch.setattr(opening, "LONGEST_LINE", 1_000)
    (tmp_path / "t.csv").write_text("a,b\n" + "x" * 2_000)
    with pytest.raises(DataError, match="has a line of more than"):
        read_table(tmp_path / "t.csv")
