"""Text files as people have them: encoding, separator, header are found out, said, and overruled."""

import codecs
import csv
import gzip
import io
import re

import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chainrule.data import read_table
from chainrule.data.files import compressed, encodings
from chainrule.data.files.text_format import TextFormat
from chainrule.data.parts import read_parts
from chainrule.data.tables import read_assuming
from chainrule.errors import ChainruleError, DataError, SettingError

GERMAN = 'stadt,größe\nKöln,1\n"Straße 5, Ulm",2\n'
GERMAN_FRAME = {"stadt": ["Köln", "Straße 5, Ulm"], "größe": [1, 2]}
AB = {"a": [1, 3], "b": [2, 4]}
TEXTS = {"size, m2": [1, 2], "y": ["a, b", "c"]}

# file's name, bytes, what comes out, what is said
CORPUS = {
    "utf-8": ("t.csv", GERMAN.encode(), GERMAN_FRAME, []),
    "utf-8 with a mark": ("t.csv", GERMAN.encode("utf-8-sig"), GERMAN_FRAME, []),
    "cp1252": ("t.csv", GERMAN.encode("cp1252"), GERMAN_FRAME, ["cp1252"]),
    "cp1252, compressed": ("t.csv.gz", gzip.compress(GERMAN.encode("cp1252")), GERMAN_FRAME, ["cp1252"]),
    "cp1252, euro": (
        "t.csv",
        "a,b\n1,5 €\n3,“x” – y\n".encode("cp1252"),
        {"a": [1, 3], "b": ["5 €", "“x” – y"]},
        ["cp1252"],
    ),
    "cp1252, signs in a row": (
        "t.csv",
        "a,b\n1,“…”\n3,———\n".encode("cp1252"),
        {"a": [1, 3], "b": ["“…”", "———"]},
        ["cp1252"],
    ),
    "Portuguese": (
        "t.csv",
        "a,b\n1,ação\n3,ações\n".encode("cp1252"),
        {"a": [1, 3], "b": ["ação", "ações"]},
        ["cp1252"],
    ),
    "Mac OS": (
        "t.csv",
        "a,b\n1,Köln\n3,Zürich\n".encode("mac_roman"),
        {"a": [1, 3], "b": ["Köln", "Zürich"]},
        ["mac_roman"],
    ),
    "shift_jis": (
        "t.csv",
        "town,n\nタワー,1\nひらがな,2\n".encode("shift_jis"),
        {"town": ["タワー", "ひらがな"], "n": [1, 2]},
        ["shift_jis"],
    ),
    "latin-1, a byte that cp1252 lacks": (
        "t.csv",
        b"a,b\n" + b"1,caf\xe9 cr\xe8me br\xfbl\xe9e fra\xeeche\n" * 5 + b"3,x\x81y\n",
        {"a": [1] * 5 + [3], "b": ["café crème brûlée fraîche"] * 5 + ["x\x81y"]},
        ["cp1252, though cp1256 fits as well"],
    ),
    "utf-16-le with a mark": (
        "t.csv",
        codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"),
        GERMAN_FRAME,
        ["utf-16-le"],
    ),
    "utf-16-be with a mark": (
        "t.csv",
        codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"),
        GERMAN_FRAME,
        ["utf-16-be"],
    ),
    "utf-16-le without": ("t.csv", GERMAN.encode("utf-16-le"), GERMAN_FRAME, ["utf-16-le"]),
    "utf-16-be without": ("t.csv", GERMAN.encode("utf-16-be"), GERMAN_FRAME, ["utf-16-be"]),
    "utf-32": ("t.csv", GERMAN.encode("utf-32"), GERMAN_FRAME, ["utf-32-le"]),
    "what Excel calls Unicode text": (
        "t.txt",
        "a\tb\r\n1\t2\r\n3\t4\r\n".encode("utf-16"),
        AB,
        ["tab as separator", "utf-16-le"],
    ),
    "semicolons": ("t.csv", b"a;b\n1;2\n3;4\n", AB, ["; as separator"]),
    "tabs": ("t.csv", b"a\tb\n1\t2\n3\t4\n", AB, ["tab as separator"]),
    "tabs by name": ("t.tsv", b"a\tb\n1\t2\n3\t4\n", AB, []),
    "commas in .tsv": ("t.tsv", b"a,b\n1,2\n3,4\n", AB, ["comma as separator"]),
    "pipes": ("t.csv", b"a|b\n1|2\n3|4\n", AB, ["| as separator"]),
    "spaces": ("t.dat", b"a   b\n1   2\n3   4\n", AB, ["spaces as separator"]),
    "a comma in a quoted name": ("t.csv", b'"size, m2";y\n1;"a, b"\n2;c\n', TEXTS, ["; as separator"]),
    "a comma in a name, tabs": ("t.csv", b"size, m2\ty\n1\ta, b\n2\tc\n", TEXTS, ["tab as separator"]),
    "commas or semicolons": (
        "t.csv",
        b"a;b, c;d\n1;2,3;4\n",
        {"a": [1], "b, c": ["2,3"], "d": [4]},
        ["; as separator, though comma fits as well"],
    ),
    "decimal commas": (
        "t.csv",
        b"a;b, kg\n1;2,5\n3;4\n",
        {"a": [1, 3], "b, kg": ["2,5", "4"]},
        ["; as separator"],
    ),
    "sep=": (
        "t.csv",
        b"sep=;\r\na;b\r\n1;2\r\n3;4\r\n",
        AB,
        ["; as separator", "1 line above the header left out"],
    ),
    "sep= of the comma": ("t.csv", b'"sep=,"\na,b\n1,2\n3,4\n', AB, ["1 line above the header left out"]),
    "sep= of what cannot separate": ("t.csv", "sep=é,x\n1,2\n".encode(), {"sep=é": [1], "x": [2]}, []),
    "lines end in CR": ("t.csv", b'a;b\r1;"2"\r3;4\r', AB, ["; as separator"]),
    "blank first lines": ("t.csv", b"\n  \r\n\na,b\n1,2\n3,4\n", AB, []),
    "comments": (
        "t.csv",
        b"# from a logger; 2024\n#\n\n# more, and more\na,b\n1,2\n3,4\n",
        AB,
        ["4 lines above the header left out"],
    ),
    "comments and semicolons": (
        "t.csv",
        b"# made by x, y\na;b\n1;2\n3;4\n",
        AB,
        ["; as separator", "1 line above the header left out"],
    ),
    "a name with #": ("t.csv", b"#a,b\n1,2\n3,4\n", {"#a": [1, 3], "b": [2, 4]}, []),
    "a title": ("t.csv", b"Sales of 2024\n\na,b\n1,2\n3,4\n", AB, ["1 line above the header left out"]),
    "titles above years": (
        "t.csv",
        b'"Source","Somewhere",\r\n\r\n"Updated","2024",\r\n\r\n"Country","Code","2001","2002",\r\n"A","x","1","2",\r\n',
        {"Country": ["A"], "Code": ["x"], "2001": [1], "2002": [2], "column_5": [None]},
        ["3 lines above the header left out"],
    ),
    "trailing separators": (
        "t.csv",
        b"a,b\n1,2,\n3,4,\n",
        AB,
        ["the empty cell at the end of every line left out"],
    ),
    "a trailing separator in the header": (
        "t.csv",
        b"a,b,\n1,2\n3,4\n",
        AB,
        ["the empty name at the end of the header left out"],
    ),
    "trailing separators on every line": (
        "t.csv",
        b"a,b,\n1,2,\n3,4,\n",
        {**AB, "column_3": [None, None]},
        [],
    ),
    "row names": (
        "t.csv",
        b'"a","b"\n"x",1,2\n"y",3,4\n',
        {"column_1": ["x", "y"], **AB},
        ["row names in the first column, which has no name in the header"],
    ),
    "R's own": (
        "t.txt",
        b'"a" "b"\n"x" 1 2\n"y" 3 4\n',
        {"column_1": ["x", "y"], **AB},
        ["spaces as separator", "row names in the first column, which has no name in the header"],
    ),
    "quoted lines": (
        "t.csv",
        b'a;b\n1;"x\n;y"\n3;"""z"""\n',
        {"a": [1, 3], "b": ["x\n;y", '"z"']},
        ["; as separator"],
    ),
    "a single column": ("t.csv", b"a\nx; y\nz\n", {"a": ["x; y", "z"]}, []),
    "a single column of words": (
        "t.csv",
        b"full name\nAnna Lee\nJohn Doe\n",
        {"full name": ["Anna Lee", "John Doe"]},
        [],
    ),
}


def put(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("block", [1, 64, 1 << 23])
@pytest.mark.parametrize("kind", CORPUS)
def test_corpus(tmp_path, monkeypatch, kind, block):
    monkeypatch.setattr(compressed, "BLOCK", block)
    name, content, columns, said = CORPUS[kind]
    path = put(tmp_path, name, content)
    frame, assumed = read_assuming(path)
    assert frame.to_dict(as_series=False) == columns
    assert list(assumed) == said
    parts = list(read_parts(path, list(columns), cells=2, text_columns=["b, kg"]))
    assert pl.concat([part.frame for part in parts]).equals(frame)
    assert list(parts[-1].assumed) == said


GIVEN = {
    "mac_roman": ("Köln", "mac_roman"),
    "cp1251": ("Москва", "cp1251"),
    "koi8-r": ("Москва", "koi8_r"),
    "gb18030": ("北京市", "gb18030"),
    "shift_jis": ("東京タワー", "shift_jis"),
    "big5": ("臺北", "big5"),
    "cp850": ("Zürich", "cp850"),
    "utf-16-le": ("Москва", "utf-16-le"),
    "UTF-8": ("Москва", "utf-8-sig"),
}


@pytest.mark.parametrize("block", [3, 1 << 23])
@pytest.mark.parametrize("encoding", GIVEN)
def test_an_encoding_that_is_given(tmp_path, monkeypatch, encoding, block):
    monkeypatch.setattr(compressed, "BLOCK", block)
    town, written = GIVEN[encoding]
    path = put(tmp_path, "t.csv", f"town,n\n{town},1\nx,2\n".encode(written))
    assert read_table(path, encoding=encoding)["town"].to_list() == [town, "x"]
    assert read_assuming(path, wanted=TextFormat(encoding))[1] == ()


@pytest.mark.parametrize(
    ("delimiter", "character"), [("space", " "), (r"\t", "\t"), ("Tab", "\t"), ("~", "~"), (";", ";")]
)
def test_a_delimiter_that_is_given(tmp_path, delimiter, character):
    path = put(tmp_path, "t.csv", f'a{character}"b, c"\n1{character}2\n3{character}4\n'.encode())
    assert read_table(path, delimiter=delimiter).to_dict(as_series=False) == {"a": [1, 3], "b, c": [2, 4]}


def test_a_delimiter_overrules_what_fits(tmp_path):
    path = put(tmp_path, "t.csv", b"a;b,c;d\n1;2,3;4\n")
    assert read_table(path, delimiter=",").to_dict(as_series=False) == {"a;b": ["1;2"], "c;d": ["3;4"]}
    assert read_table(path, delimiter=";").to_dict(as_series=False) == {"a": [1], "b,c": ["2,3"], "d": [4]}


REFUSED = {
    "no text": (
        b"a,b\n" + bytes(range(128, 190)) + b",1\n",
        ["not text in UTF-8", "0x80", "line 2", "--encoding"],
    ),
    "half of UTF-16": (
        codecs.BOM_UTF16_LE + "a,b\n1,2\n".encode("utf-16-le")[:-1],
        ["not text in utf-16-le", "end of the file|0x0a"],
    ),
    "zero bytes": (b"a,b\n1,\0\n", ["zero byte", "line 2", "--encoding utf-16-le"]),
    "PDF": (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", ["is a PDF"]),
    "SQLite": (b"SQLite format 3\0" + bytes(84), ["did not answer|database without tables"]),
    "ELF": (b"\x7fELF\x02\x01\x01" + bytes(60), ["is a program"]),
    "Excel": (
        b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml\xff xl/worksheets",
        ["is a workbook that cannot be read", "save the sheet as CSV"],
    ),
    "ODS": (
        b"PK\x03\x04\x14\0\0\x08mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        ["is a workbook that cannot be read", "as CSV"],
    ),
    "zip": (b"PK\x03\x04\x14\0\0\0\x08\0table.csv\xff", ["is a zip archive", "unzip"]),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), ["is a workbook that cannot be read"]),
    "Parquet": (b"PAR1\x15\x04\x15\0" + bytes(60) + b"PAR1", ["cannot be read as Parquet"]),
    "gzip": (gzip.compress(b"a,b\n1,2\n")[:-9], ["is not a whole gzip file"]),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["is a picture"]),
    "noise": (bytes(range(1, 256)), ["many control characters"]),
    "HTML": (b"<!DOCTYPE html>\n<html><body>\n<p>1, 2</p>\n", ["is an HTML page", "save it as CSV"]),
    "HTML on one line": (b"<html><table><tr><td>a<td>y<tr><td>1<td>2</table></html>", ["is an HTML page"]),
    "HTML that has commas": (b"<table><tr><td>a,<td>y\n<tr><td>1,<td>2</table>", ["is an HTML page"]),
    "ARFF": (b"@relation x\n@attribute a real\n@data\n1,2\n", ["more or fewer cells than", "line 4"]),
    "ARFF, sparse": (b"@relation x\n@attribute a real\n@data\n{1 1}\n", ["sparse row that", "line 4"]),
    "JSON, cut": (b'[{"a": 1, "b": 2},\n{"a": 1, "b"', ["is not JSON", "line 2"]),
    "JSON that is no table": (b'[{"a": 1}, 2]', ["JSON that is no table"]),
    "ragged": (
        b"a;b, c;d\n1;2;3\n" + b"1;2;3\n" * 50 + b"1;2\n" * 9 + b"1;2;3\n",
        ["ragged", "line 53 has 2", "if ; does not separate cells here: --delimiter"],
    ),
    "trailing but once": (b"a,b\n" + b"1,2,\n" * 20_000 + b"1,2,3\n", ["ragged", "line 20002 has 3"]),
}


def test_statistics_under_a_table_are_left_out(tmp_path):
    """A deviation is smaller than most numbers above it: its name says what it is."""
    rows = [f"r{i},{i},{i * i}" for i in range(1, 31)]
    below = ["Mean,15.5,315.17", "Std Dev,8.8,279.2", "Grand Total,465,9455"]
    whole = read_table(put(tmp_path, "t.csv", "\n".join(["name,a,b", *rows, *below]).encode()))
    plain = read_table(put(tmp_path, "p.csv", "\n".join(["name,a,b", *rows]).encode()))
    assert whole.equals(plain)
    named = read_table(put(tmp_path, "n.csv", "\n".join(["name,a,b", *rows, below[1], *rows]).encode()))
    assert named.height == 61


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_named(tmp_path, kind):
    content, texts = REFUSED[kind]
    path = put(tmp_path, "t.csv", content)
    with pytest.raises(DataError) as whole:
        read_table(path)
    with pytest.raises(DataError) as parts:
        list(read_parts(path, ["a"]))
    assert str(whole.value) == str(parts.value)
    for text in texts:
        assert any(choice in str(whole.value) for choice in text.split("|"))


@pytest.mark.parametrize(
    ("content", "encoding", "texts"),
    [
        ("a,b\n1,é\n", "ascii", ["not text in ascii", "0xc3", "line 2, byte 7"]),
        (b"a,b\n1,\x81\n", "cp1252", ["not text in cp1252", "0x81", "line 2, byte 7", "--encoding latin-1"]),
        (b"a,b\n1,\xff\n", "utf-8", ["not text in UTF-8", "0xff", "line 2, byte 7"]),
        ("a,b\n1,é\n".encode("utf-16-le")[:-1], "utf-16-le", ["not text in utf-16-le", "line 2"]),
    ],
)
@pytest.mark.parametrize("block", [1, 5, 1 << 23])
def test_what_cannot_be_decoded_is_named(tmp_path, monkeypatch, content, encoding, texts, block):
    monkeypatch.setattr(compressed, "BLOCK", block)
    path = put(tmp_path, "t.csv", content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        read_table(path, encoding=encoding)
    assert all(text in str(caught.value) for text in texts)


@pytest.mark.parametrize("encoding", ["cp9", "hex", "rot13", "undefined", "a\0b", "", 3, "é"])
def test_no_such_encoding(tmp_path, encoding):
    with pytest.raises(SettingError, match="no such text encoding"):
        read_table(put(tmp_path, "t.csv", b"a,b\n1,2\n"), encoding=encoding)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\0", "é", "a", "1", 3])
def test_no_such_delimiter(tmp_path, delimiter):
    with pytest.raises(SettingError, match="one ASCII character"):
        read_table(put(tmp_path, "t.csv", b"a,b\n1,2\n"), delimiter=delimiter)


@pytest.mark.parametrize("wanted", [{"encoding": "utf-8"}, {"delimiter": ";"}])
def test_a_format_is_for_text(tmp_path, wanted):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(SettingError, match="for files of text only"):
        read_table(tmp_path / "t.parquet", **wanted)


@pytest.mark.parametrize("block", [1 << 12, 1 << 17, 1 << 23])
def test_a_byte_of_cp1252_far_down(tmp_path, monkeypatch, block):
    monkeypatch.setattr(compressed, "BLOCK", block)
    lines = [f"{i},town" for i in range(40_000)] + ["40000,Köln", "40001,Zürich"]
    path = put(tmp_path, "t.csv", "\n".join(["n,name", *lines]).encode("cp1252"))
    assert path.stat().st_size > 2 * encodings.HEAD
    frame, assumed = read_assuming(path)
    assert assumed == ("cp1252",) and frame["name"].tail(2).to_list() == ["Köln", "Zürich"]
    parts = list(read_parts(path, ["n", "name"], cells=10_000))
    assert pl.concat([part.frame for part in parts]).equals(frame)
    assert parts[-1].assumed == ("cp1252",)


def test_a_few_characters_are_read_in_a_usual_encoding_and_doubted(tmp_path):
    frame, said = read_assuming(put(tmp_path, "t.csv", "town,n\n北京市,1\n".encode("gbk")))
    assert frame["town"].to_list() == ["北京市"] and "fits as well" in said[0]
    said = read_assuming(put(tmp_path, "t.csv", "sex,n\n男,1\n女,2\n".encode("gbk")))[1]
    assert "fits as well" in said[0]


def test_a_byte_that_is_not_utf8_below_some_that_are(tmp_path):
    lines = [f"{i},tówn" for i in range(20_000)]
    path = put(tmp_path, "t.csv", "\n".join(["n,town", *lines, ""]).encode() + b"1,K\xf6ln\n")
    frame, said = read_assuming(path)
    assert frame["town"].to_list()[-2:] == ["tówn", "Köln"]
    assert said == ("utf-8, but for 1 byte that is not, read as cp1252",)
    with pytest.raises(
        DataError, match=r"not text in UTF-8(.*\n)*.*0xf6\n.*line 20002(.*\n)*.*--encoding cp1252"
    ):
        read_table(path, encoding="utf-8")
    assert read_table(path, encoding="cp1252")["town"][0] == "tÃ³wn"


def test_a_character_that_the_head_cuts(tmp_path):
    text = "a,b\n" + "1,é\n" * (encodings.HEAD // 4)
    for shift in range(4):
        path = put(tmp_path, "t.csv", ("x" * shift + text).encode())
        assert read_assuming(path)[1] == ()


def test_a_wide_table_is_laid_out_by_several_lines(tmp_path):
    header = ";".join(f"column, {i}" for i in range(10_000))
    path = put(tmp_path, "t.csv", "\n".join([header, *[";".join("1" * 10_000)] * 3]).encode())
    assert read_table(path).shape == (3, 10_000)


WORDS = st.text(alphabet="aBé ß,;\t|\"'#1.5-\n", max_size=6).filter(lambda text: text == text.strip())
TAB = "\t"
SEPARATOR = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


@st.composite
def frames(draw):
    """Rows of a number and two texts."""
    rows = draw(st.lists(st.tuples(st.integers(0, 99), WORDS, WORDS), min_size=1, max_size=12))
    return [(number, one or None, other or None) for number, one, other in rows]


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    rows=frames(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "mac_roman", "cp1250"]),
    separator=st.sampled_from(list(SEPARATOR)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    library=st.sampled_from(["pandas", "csv"]),
    told=st.booleans(),
)
def test_round_trips(tmp_path_factory, rows, encoding, separator, quoting, end, library, told):
    names = ["n", "größe, m", "t"]
    text = io.StringIO(newline="")
    if library == "csv":
        csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows([names, *rows])
    else:
        frame = pd.DataFrame(rows, columns=names)
        frame.to_csv(text, sep=separator, quoting=quoting, lineterminator=end, index=False)
    path = tmp_path_factory.mktemp("round") / "t.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    told_encoding = encoding if told or encoding in {"mac_roman", "cp1250"} else None
    wanted = TextFormat(told_encoding, SEPARATOR[separator] if told else None)
    try:
        found, assumed = read_assuming(path, ["größe, m", "t"], wanted)
    except DataError as error:  # no words of any language
        assert told_encoding is None and encoding == "cp1252" and "--encoding cp1252" in error.hint
        return
    if any("fits as well" in what for what in assumed):
        assert (
            not told
            and separator != ","
            and f"though {'tab' if separator == TAB else separator} fits" in assumed[0]
        )
        return
    assert found.columns == names
    assert found.rows() == rows


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.text(alphabet='ab1,;\t|\n\r"# é=', max_size=60).map(str.encode),
        st.text(alphabet='a1;,"\n é\r\0\x1b', max_size=20).map(lambda text: f"sep={text}".encode()),
        st.text(alphabet="ab1,;\n é", max_size=40).map(lambda text: text.encode("utf-16")),
    ),
    encoding=st.sampled_from(
        [None, "utf-8", "utf-16", "cp1252", "gb18030", "utf-7", "idna", "unicode_escape"]
    ),
    delimiter=st.sampled_from([None, ";", "space", "#"]),
)
def test_any_bytes_are_a_table_or_our_own_error(tmp_path_factory, content, encoding, delimiter):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(content)
    try:
        assert read_table(path, encoding=encoding, delimiter=delimiter).height
    except ChainruleError:
        return


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    rows=st.lists(
        st.lists(st.text(alphabet="ab1,;|#é ", max_size=4), min_size=3, max_size=3), min_size=2, max_size=6
    )
)
@example(rows=[["1", "", ";"], [";", "", ""]])  # "1,," is no number
def test_what_fits_commas_is_separated_by_commas(tmp_path_factory, rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["x;1", "#y|", "z"], *rows])
    path = tmp_path_factory.mktemp("commas") / "t.csv"
    path.write_text(text.getvalue())
    frame, assumed = read_assuming(path, ["x;1", "#y|", "z"], TextFormat(header=True))
    below = [tuple(cell.strip() or None for cell in row) for row in rows]
    assert not any("separator" in what for what in assumed)
    assert_rows_but_the_footer(frame, below, assumed)


def assert_rows_but_the_footer(frame, rows, assumed):
    """The rows, but for those at the end that are said to be left out."""
    left = sum(int(what.split()[0]) for what in assumed if "at the end left out" in what)
    assert frame.rows() == rows[: len(rows) - left]


def by_the_rule_before(text):
    """The names and rows as chainrule 0.1 read them, or None where it refused: the header alone told the separator."""
    header = text.lstrip().partition("\n")[0]
    separator = max(";\t", key=header.count) if "," not in header and set(header) & set(";\t") else ","
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    try:
        records = [r for r in reader if len(r) > 1 or (r and r[0].strip())]
    except csv.Error:
        return None
    if len(records) < 2 or {len(record) for record in records} != {len(records[0])}:
        return None
    given = [re.sub(r"\s*[\r\n]+\s*", " ", name.strip()) for name in records[0]]
    names = [name or f"column_{place}" for place, name in enumerate(given, 1)]
    return (names, records[1:]) if len(set(names)) == len(names) else None


PIECES = ["a", "b", "1", "2.5", '"x, y"', '"p;q"', '"', "", "# c", "x|y", "sep", " ", "é", "NA", "\n"]


@st.composite
def messy(draw):
    """Lines of mostly as many cells, separated by mostly the same character."""
    width, separator = draw(st.integers(2, 4)), draw(st.sampled_from(",;\t"))
    lines = []
    for _ in range(draw(st.integers(2, 6))):
        count = width + draw(st.sampled_from([0] * 12 + [1, -1]))
        lines.append(separator.join(draw(st.lists(st.sampled_from(PIECES), min_size=count, max_size=count))))
    return draw(st.sampled_from(["\n", "\n\n"])).join(lines)


@settings(deadline=None, max_examples=600, derandomize=True)
@given(text=messy())
def test_what_was_read_before_is_read_the_same(tmp_path_factory, text):
    before = by_the_rule_before(text)
    if before is None or len(before[0]) == 1:  # a single column may turn out to be several
        return
    path = tmp_path_factory.mktemp("before") / "t.csv"
    path.write_bytes(text.encode())
    frame, assumed = read_assuming(path, before[0], TextFormat(header=True))
    if any(re.search("separator|the header left out|header again|first table", what) for what in assumed):
        return  # another way to read it is said
    assert frame.columns == before[0]
    assert_rows_but_the_footer(frame, [tuple(c.strip() or None for c in row) for row in before[1]], assumed)


@pytest.mark.parametrize(
    "row", ["{2 1}", "{0}", "{0 }", "{a 1}", "{-1 1}", "{0 1 1 2", "{0 1,, 1 2}", "{0 1; 1 2}}x"]
)
def test_a_sparse_row_that_cannot_be_read_is_an_error(tmp_path, row):
    path = tmp_path / "t.arff"
    path.write_text(f"@attribute a numeric\n@attribute b numeric\n@data\n{{1 2}}\n{row}\n")
    if row in {"{0 1 1 2", "{0 1; 1 2}}x"}:  # a text in place of a number
        assert read_assuming(path)[0]["a"].dtype == pl.String
        return
    with pytest.raises(DataError, match="sparse row that cannot be read"):
        read_assuming(path)
