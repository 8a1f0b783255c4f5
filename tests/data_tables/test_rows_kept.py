"""No row of a file is lost without a word: empty cells, empty rows, what looks like a footer, a header or units."""

import polars as pl
import pytest

from chainrule.data.parts import read_parts
from chainrule.data.tables import read_assuming


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_parts(name, columns):
    """The table as it is read to predict."""
    parts = list(read_parts(name, columns, columns))
    return pl.concat([part.frame for part in parts]), parts[-1].assumed


def write_sheet(name, rows):
    import xlsxwriter

    with xlsxwriter.Workbook(name) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate(rows):
            sheet.write_row(place, 0, row)


@pytest.mark.parametrize("values", [[1, None, 3, None, 5], [None, 2, None], ["a", None, "b, c", None]])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n   \n"])
def test_empty_cells_of_a_single_column_are_rows(here, values, end):
    import pandas

    text = pandas.DataFrame({"x": values}, dtype=object).to_csv(index=False, lineterminator="\n")
    (here / "t.csv").write_bytes(text.replace("\n", end).encode())
    frame, _ = read_assuming("t.csv", ["x"])
    assert [cell or None for cell in frame["x"]] == [cell and str(cell) for cell in values]
    assert in_parts("t.csv", ["x"])[0].height == len(values)


@pytest.mark.parametrize("header", [[["n", "town"]], [["Sales"], [], ["n", "town"]]])
@pytest.mark.parametrize("gaps", [(3,), (1, 4, 5), (0,)])
def test_empty_rows_of_a_sheet_are_rows_between_others(header, gaps):
    rows = [[] if place in gaps else [place, "Oslo"] for place in range(9)]
    write_sheet("t.xlsx", [*header, *rows])
    expected = [(str(row[0]), row[1]) if row else (None, None) for row in rows]
    assert read_assuming("t.xlsx", ["n", "town"])[0].rows() == expected
    assert in_parts("t.xlsx", ["n", "town"])[0].rows() == expected


@pytest.mark.parametrize("line", ["© Destatis 2024", "(c) Destatis", "__________", "=====", "Quelle: Amt"])
def test_notes_under_a_table(here, line):
    (here / "t.csv").write_text(
        f"Stadt;Betrag;Zahl\nKiel;100,5;120\nUlm;90;80\nBonn;1;2\nInsgesamt;191,5;202\n{line}\n"
    )
    frame, said = read_assuming("t.csv")
    assert frame.height == 3 and any("2 lines at the end left out" in what for what in said)


BODY = "town,n,x,y\n" + "".join(f"town {place},{place},{place * 2},{place % 3}\n" for place in range(8))


@pytest.mark.parametrize(
    "last",
    ["all,9,1,1", "Total,28,56,8", "Suma,3,4,1", "Oslo,,,", ",,,\n,,,", "Oslo", "Note: x,1,2,3", "Stand,,,"],
)
def test_every_row_is_predicted(here, last):
    (here / "t.csv").write_text(BODY + last + "\n")
    frame, _ = in_parts("t.csv", ["town", "n"])
    assert frame.height == 8 + len(last.splitlines())
    write_sheet("t.xlsx", [line.split(",") for line in (BODY + last).splitlines()])
    if last.strip(",\n"):  # empty rows at the end of a sheet are nowhere
        assert in_parts("t.xlsx", ["town", "n"])[0].height == 8 + len(last.splitlines())


@pytest.mark.parametrize(
    "last", ["Source: an office", "______", "all rights reserved by us", "# made by hand"]
)
def test_notes_of_another_number_of_cells_are_not_predicted(here, last):
    (here / "t.csv").write_text(BODY + last + "\n")
    frame, said = in_parts("t.csv", ["town", "n"])
    assert frame.height == 8 and any("left out" in what for what in said)


@pytest.mark.parametrize(
    ("last", "taken"),
    [
        ("all,9,1,1", False),
        ("Suma,3,4,1", False),
        ("Total,28,56,7", True),
        ("Total,28,7.0,", True),
        ("Total,28.00,,0.8", True),
        ("Average,3.5,7,0.875", True),
        ("Average,3.5,60,0.875", False),
        (",,,\n,,", True),
    ],
)
def test_totals_are_known_by_their_numbers(here, last, taken):
    (here / "t.csv").write_text(BODY + last + "\n")
    frame, said = read_assuming("t.csv")
    assert frame.height == (8 if taken else 9)
    assert any("at the end left out" in what for what in said) is taken


def test_totals_with_thousands(here):
    (here / "t.csv").write_text("a;b;c\nKiel;950;1.000,5\nUlm;250;10\nBonn;25;1\nSumme;1.225;1.011,5\n")
    assert read_assuming("t.csv")[0].height == 3


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("first", [[1, 2, 3, 4], [0, 1, 2], [2001, 2002, 2003]])
@pytest.mark.parametrize("known", [True, False])
def test_a_first_row_that_counts_up_is_not_lost_in_silence(here, kind, first, known):
    rows = [first, *([cell + step for cell in first] for step in (1, 2, 1, 3)), *([first] if known else [])]
    if kind == "csv":
        (here / "t.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    else:
        write_sheet("t.xlsx", rows)
    frame, said = read_assuming(f"t.{kind}")
    assert frame.height == len(rows) - (not known)
    assert said[0].startswith("no header line" if known else "the first line as header, though")


@pytest.mark.parametrize(
    ("header", "row", "others"),
    [
        ("city,temp,hum", "Rio,low,low", "Oslo,{},{}"),
        ("code,x,y,z", "ABW,ND,ND,ND", "AF{},{},2,3"),
        ("code,x,y,z", "AB,NA,ND,ND", "AF{},{},2,3"),
        ("town,a,b,c", "New York,,,", "San José{},{},5,2"),
        ("town,a,b,c", "Saint Helena and Ascension,,,", "Bosnia and Herzegovina and so on{},{},5,2"),
    ],
)
def test_a_first_row_is_no_unit(here, header, row, others):
    body = "".join(others.format(place, place + 3) + "\n" for place in range(9))
    (here / "t.csv").write_text(f"{header}\n{row}\n{body}")
    assert read_assuming("t.csv")[0].height == 10


@pytest.mark.parametrize("row", [",mm,mm", ",[x],[x]", "-,mm,°C", "[text],mm,mm"])
def test_units_are_none_of_the_rows(here, row):
    (here / "t.csv").write_text(f"town,a,b\n{row}\n" + "Oslo,1,2\nRome,2,3\nBern,4,5\n" * 3)
    frame, said = read_assuming("t.csv")
    assert frame.height == 9 and any("below the header left out" in what for what in said)


def test_times_and_hidden_sheets_of_workbooks(here):
    import datetime

    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["time", "duration", "when", "day"])
    moment = datetime.datetime(2024, 1, 2, 3, 4)
    for hours in (8, 17, 26):
        row = [
            datetime.time(hours % 24, 5),
            datetime.timedelta(hours=hours, minutes=1),
            moment,
            moment.date(),
        ]
        book.active.append(row)
    hidden = book.create_sheet("Lists")
    hidden.sheet_state = "hidden"
    for place in range(99):
        hidden.append([place] * 6)
    book.save("t.xlsx")
    frame, said = read_assuming("t.xlsx", ["time", "duration", "when", "day"])
    assert said == ("sheet 'Sheet', not 'Lists' (--sheet names another)",)
    assert frame["time"].to_list() == ["08:05:00", "17:05:00", "02:05:00"]
    assert frame["duration"].to_list() == ["08:01:00", "17:01:00", "26:01:00"]
    assert frame["when"][0].startswith("2024-01-02 03:04") and frame["day"][0] == "2024-01-02"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Preis, EUR;Menge, Stk\n1,5;2,5\n2,5;3,0\n3,1;4,2\n", ["Preis, EUR", "Menge, Stk"]),
        ("a, m|b, s\n1,5|2,5\n2,5|3,0\n3,1|4,2\n", ["a, m", "b, s"]),
        ("name;title,n\nx;y,1\nz;u,2\nv;w,3\n", ["name;title", "n"]),
    ],
)
def test_what_leaves_more_numbers_separates_cells(here, text, columns):
    (here / "t.csv").write_text(text)
    assert read_assuming("t.csv")[0].columns == columns


GAPS = "town,n,x,y\n" + "".join(f"{'ABC'[place % 3]},{place},,{place % 2 or ''}\n" for place in range(12))


@pytest.mark.parametrize(
    ("body", "last", "is_row"),
    [
        (BODY, "Oslo,,,", False),
        (BODY, "town 3,,,", True),
        (GAPS, "Oslo,,,", True),
        (GAPS, "Source: an office,,,", False),
    ],
    ids=["all complete", "a name again", "gaps above", "a note"],
)
def test_a_last_row_with_one_cell_is_a_row_where_others_have_gaps(here, body, last, is_row):
    (here / "t.csv").write_text(body + last + "\n")
    frame, said = read_assuming("t.csv")
    count = body.count("\n") - 1
    assert frame.height == count + is_row
    assert any("1 line at the end left out" in what for what in said) is not is_row
    kept, more = in_parts("t.csv", ["town", "n"])
    assert kept.height == count + 1
    assert any("at the end kept as rows, which training left out" in what for what in more) is not is_row


def test_empty_lines_of_a_single_column_are_left_out_and_counted(here):
    (here / "t.csv").write_text("x\n1\n\n2\n\n\n3\n\n")
    for frame, said in (read_assuming("t.csv"), in_parts("t.csv", ["x"])):
        assert frame.height == 3
        assert '3 empty lines left out (a missing cell is written as "" there)' in said
    (here / "u.csv").write_text("x,y\n1,2\n\n2,3\n")
    assert not any("empty line" in what for what in read_assuming("u.csv")[1])


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_units_under_the_header_are_no_row_however_few_rows_there_are(here, rows):
    (here / "t.csv").write_text("town,n,x\n,[m],[kg]\n" + "".join(f"Oslo,{row},1.5\n" for row in range(rows)))
    assert read_assuming("t.csv")[0].height == rows
    assert in_parts("t.csv", ["town", "n", "x"])[0].height == rows
