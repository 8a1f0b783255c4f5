"""Of several tables below each other the first is read, whatever separates cells and however long it is."""

import zipfile

import numpy as np
import openpyxl
import pandas
import polars as pl
import pytest

from chainrule.data.files import compressed
from chainrule.data.parts import read_parts
from chainrule.data.tables import read_assuming

TOWNS = ["Oslo", "Rome", "Lima", "Bern", "Kiel", "Nice"]
OTHERS = {
    "same width": ["city,count,y", "A,1,2", "B,3,4"],
    "fewer columns": ["city,count", "A,1", "B,3"],
    "more columns": ["city,count,y,z", "A,1,2,3", "B,3,4,5"],
    "a title": ["Table 2: counts", "city,count,y", "A,1,2"],
    "a title and an empty line": ["Table 2", "", "city,count,y", "A,1,2"],
}


def rows(count):
    return [f"{TOWNS[row % 6]},{row},{row * 1.5}" for row in range(count)]


def both(path, columns=("town", "n", "x")):
    """What is read at once, and what is read in parts, as for a prediction."""
    frame, said = read_assuming(path)
    parts = list(read_parts(path, columns, text_columns=columns, cells=100))
    assert pl.concat([part.frame for part in parts]).equals(read_assuming(path, columns)[0])
    return frame, said


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("count", [4, 30, 5_000])
def test_the_first_table_is_read(other, separator, count, tmp_path):
    path = tmp_path / "t.csv"
    text = "\n".join(["town,n,x", *rows(count), "", *other, ""])
    path.write_text(text.replace(",", separator))
    frame, said = both(path)
    assert frame.height == count and frame.dtypes == [pl.String, pl.Int64, pl.Float64]
    assert frame.row(-1) == (TOWNS[(count - 1) % 6], count - 1, (count - 1) * 1.5)
    assert said[-1].startswith(
        f"the first table only, another one begins on line {count + 3}: {other[0][:4]}"
    )


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_wherever_a_block_ends(other, tmp_path, monkeypatch):
    """The end of the first table, the empty line and the names may fall into different blocks."""
    monkeypatch.setattr(compressed, "BLOCK", 1 << 17)
    path = tmp_path / "t.csv"
    head, row = "town,n,x\n", "Oslo,1,2.5\n"
    fill = ((1 << 17) - len(head)) // len(row)
    for extra in range(-6, 3):
        body = row * (fill + extra)
        path.write_text(head + body + "\n" + "\n".join(other) + "\n")
        frame, said = read_assuming(path)
        assert frame.height == fill + extra and "the first table only" in said[-1]


def test_lines_with_the_header_again_are_left_out(tmp_path):
    path = tmp_path / "t.csv"
    for blank in ("", "\n"):
        for count in (10, 200_000):
            block = "\n".join(["town,n,x", *rows(count), ""])
            path.write_text(blank.join([block] * 3))
            frame, said = read_assuming(path)
            assert frame.height == 3 * count and frame["n"].dtype == pl.Int64
            assert "2 lines with the header again left out" in said


@pytest.mark.parametrize(
    "text",
    [
        "town,n,x\nOslo,1,2\nRome,2,3\nLima,3,4\n\nBern,4,5\nKiel,5,6\n",
        "town,n,x\nOslo,1,2\nRome,2,3\nLima,3,4\n\nBern,NA,n/a\nKiel,5,6\n",
        "town,n,x\nOslo,1,2\nRome,2,3\nLima,3,4\n\nunknown,,\nKiel,5,6\n",
        "a,b,c\nx,y,z\nx,y,w\nu,v,w\n\nu,y,z\nx,v,w\n",
        "\n\n".join(["town,n,x", *rows(30), ""]),
    ],
    ids=["a gap", "missing values", "a short row", "texts", "double spaced"],
)
def test_empty_lines_alone_set_no_tables_apart(text, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    frame, said = read_assuming(path)
    assert frame.height == len([line for line in text.splitlines() if line]) - 1
    assert not any("first table" in what for what in said)


def test_what_is_known_about_a_table_may_stand_above_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["Created,2020-01-01", "Version,3", "Rows,30", "", "town,n,x", *rows(30), ""]))
    frame, _ = read_assuming(path)
    assert frame.columns == ["town", "n", "x"] and frame.height == 30


def test_tables_in_a_sheet(tmp_path):
    book = openpyxl.Workbook()
    for row in [
        ["town", "n"],
        *([town, place] for place, town in enumerate(TOWNS)),
        [],
        ["city", "count"],
        ["A", 1],
    ]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    frame, said = read_assuming(tmp_path / "t.xlsx")
    assert frame["n"].to_list() == list(range(6))
    assert said == ("the first table only, another one begins on row 9: city | count",)


COMMENTS = ["/* one line */", "/* DATA:\nSize:\t18, or so\n\n  a,b,c\n*/", "\n/*\n * boxed; a\n */  "]


@pytest.mark.parametrize("comment", COMMENTS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_comments_of_several_lines_above_a_table(comment, separator, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(comment + "\n" + "\n".join(["town,n,x", *rows(30), ""]).replace(",", separator))
    frame, said = both(path)
    assert frame.shape == (30, 3) and frame.columns == ["town", "n", "x"]
    assert any(f"{comment.count(chr(10)) + 1} line" in what and "above the header" in what for what in said)


GROUPS = {
    "merged": [["town", "2019", None, "2020", None], [None, "n", "x", "n", "x"]],
    "nothing above the first": [[None, "2019", None, "2020", None], ["town", "n", "x", "n", "x"]],
    "years as numbers": [[None, 2019, None, 2020, None], ["town", "n", "x", "n", "x"]],
    "repeated": [[None, "2019", "2019", "2020", "2020"], ["town", "n", "x", "n", "x"]],
    "below a title": [["Report"], [None, "2019", None, "2020", None], ["town", "n", "x", "n", "x"]],
}
JOINED = ["town", "2019 / n", "2019 / x", "2020 / n", "2020 / x"]
BODY = [[town, place, place * 2, place * 3, place * 1.5] for place, town in enumerate(TOWNS * 3)]


def write_ods(path, lines):
    """The least OpenDocument spreadsheet: what others write them with comes with none of our extras."""

    def cell(value):
        if value is None:
            return "<table:table-cell/>"
        if isinstance(value, str):
            return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
        number = f'office:value-type="float" office:value="{value}"'
        return f"<table:table-cell {number}><text:p>{value}</text:p></table:table-cell>"

    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text", "manifest")
    )
    table = "".join(f"<table:table-row>{''.join(map(cell, line))}</table:table-row>" for line in lines)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", f"<manifest:manifest {names}/>")
        archive.writestr(
            "content.xml",
            f'<office:document-content {names} office:version="1.2"><office:body><office:spreadsheet>'
            f'<table:table table:name="t">{table}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )


@pytest.mark.parametrize("header", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("ending", ["xlsx", "ods", "csv"])
def test_groups_above_the_names_are_part_of_them(header, ending, tmp_path):
    path = tmp_path / f"t.{ending}"
    if ending == "csv":
        lines = [
            ",".join("" if cell is None else str(cell) for cell in [*row, *[""] * (5 - len(row))])
            for row in header + BODY
        ]
        path.write_text("\n".join(lines) + "\n")
    elif ending == "ods":
        write_ods(path, header + BODY)
    else:
        book = openpyxl.Workbook()
        for row in header + BODY:
            book.active.append(row)
        place = len(header) - 1
        book.active.merge_cells(f"B{place}:C{place}")
        book.save(path)
    frame, said = both(path, JOINED)
    assert frame.columns == JOINED and frame.height == 18
    assert frame.row(1) == ("Rome", 1, 2, 3, 1.5)
    assert "names of two lines joined" in said


def test_columns_of_two_levels_as_pandas_writes_them(tmp_path):
    table = pandas.DataFrame(
        np.arange(40.0).reshape(10, 4) / 3,
        columns=pandas.MultiIndex.from_product([["a", "b"], ["low", "high"]]),
    )
    table.to_csv(tmp_path / "t.csv")
    frame, _ = read_assuming(tmp_path / "t.csv")
    assert frame.columns == ["column_1", "a / low", "a / high", "b / low", "b / high"] and frame.height == 10


@pytest.mark.parametrize(
    "header",
    [
        ["name,,score,", "m,kg,s,m"],  # units
        ["a,,b,c", "x,1,2,3"],  # a row
        ["Report of sales,,2020,", "town,n,x,y"],  # a title
    ],
)
def test_what_is_no_group_is_not_joined(header, tmp_path):
    path = tmp_path / "t.csv"
    body = [f"{TOWNS[row % 6]},{row},{row * 2},{row * 3}" for row in range(12)]
    path.write_text("\n".join([*header, *body, ""]))
    assert not any(" / " in name for name in read_assuming(path)[0].columns)
