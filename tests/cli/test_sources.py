"""DATA may be a file of any kind, standard input, an address or a database; what was assumed is said and overruled."""

import io
import json
import sqlite3
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

from chainrule.cli import main
from chainrule.cli.sources import short_name
from chainrule.data import read_table
from chainrule.data.tables import read_assuming
from chainrule.errors import DataError, SettingError
from chainrule.tables import TrainingSettings, load_model, train_table

ROWS = [
    (place % 7, ("Oslo", "Rome", "Lima")[place % 3], round(place % 7 * 1.5 + place % 3, 2))
    for place in range(60)
]
BODY = "".join(f"{n},{town},{price}\n" for n, town, price in ROWS)
TABLE = "n,town,price\n" + BODY
QUICK = ["--no-ensemble", "--epochs", "1", "--no-report"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(capsys, *words):
    """The JSON that training on a source printed."""
    status = main(["train", *words, *QUICK, "--json"])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    return json.loads(shown.out.splitlines()[-1]), shown.err


def test_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    found, _ = trained(capsys, "-", "--target", "price")
    assert found["data"] == "standard input" and found["training_rows"] > 30
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    assert main(["predict", "model.safetensors", "-"]) == 0
    assert read_table("predictions.csv").height == 60


def test_databases(here, capsys):
    connection = sqlite3.connect("shop.db")
    connection.execute("create table sales(n integer, town text, price real)")
    connection.executemany("insert into sales values(?, ?, ?)", ROWS)
    connection.commit()
    connection.close()
    found, _ = trained(
        capsys, "sqlite:///shop.db?query=select n, price from sales where n > 1", "--target", "price"
    )
    assert found["data"] == "shop.db?query=select n, price from sales where n > 1"
    assert main(["predict", "model.safetensors", "sqlite:///shop.db?table=sales"]) == 0
    assert read_table("predictions.csv").height == 60
    assert trained(capsys, "shop.db", "--target", "price")[1].count("table 'sales'") == 1
    before = (here / "shop.db").read_bytes()
    for query in (
        "drop table sales",
        "attach 'other.db' as o",
        "select 1; select 2",
        "pragma writable_schema=1",
    ):
        with pytest.raises(DataError, match="did not answer"):
            read_table(f"sqlite:///shop.db?query={query}")
    assert (here / "shop.db").read_bytes() == before and not (here / "other.db").exists()
    assert main(["train", "sqlite:///shop.db?table=sale", "--target", "price"]) == 2
    assert "did you mean 'sales'" in capsys.readouterr().err
    assert main(["train", "sqlite:///shop.db", "--target", "price", "--out", "shop.db"]) == 2
    assert (here / "shop.db").read_bytes() == before


def test_a_database_that_cannot_be_reached_does_not_show_its_password(monkeypatch):
    class Refusing:
        @staticmethod
        def read_sql(address, query, return_type):
            raise RuntimeError(f"cannot reach {address} for {query}")

    monkeypatch.setitem(sys.modules, "connectorx", Refusing)
    with pytest.raises(DataError, match=r"shop\?table=sales") as caught:
        read_table("postgresql://me:secret@db.example.org/shop?table=sales")
    assert 'select * from "sales"' in str(caught.value) and "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "connectorx", None)
    with pytest.raises(DataError, match=r"pip install 'chainrule\[sql\]'"):
        read_table("postgresql://me:secret@db.example.org/shop?table=sales")


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path.startswith("/t.csv")
            content = TABLE.encode() if known else b"<html>none</html>"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_addresses(server, capsys):
    found, shown = trained(capsys, f"{server}/t.csv?key=secret", "--target", "price")
    assert found["data"] == "t.csv" and "secret" not in shown
    assert f"{len(TABLE):,} bytes from 127.0.0.1" in shown
    with pytest.raises(DataError, match=r"none.csv cannot be fetched from 127.0.0.1(.*\n)*.*404"):
        read_table(f"{server}/none.csv")
    with pytest.raises(DataError, match="cannot be fetched"):
        read_table("http://127.0.0.1:1/t.csv")
    assert short_name("https://me:secret@example.org/a/t.csv?token=x") == "t.csv"


def test_archives(here):
    with zipfile.ZipFile("a.zip", "w") as file:
        file.writestr("in/one.csv", TABLE)
        file.writestr("in/two.csv", TABLE)
    assert read_table("a.zip/in/two.csv").height == 60
    with pytest.raises(DataError, match=r"holds 2 tables(.*\n)*.*a.zip/in/one.csv"):
        read_table("a.zip")
    (here / "a.zip").write_bytes((here / "a.zip").read_bytes()[:-30])
    with pytest.raises(DataError, match="not a zip archive"):
        read_table("a.zip")


@pytest.mark.parametrize("kind", ["zip", "csv.gz", "csv.bz2", "csv.xz", "csv.zst"])
def test_what_swells_is_refused(here, monkeypatch, kind):
    import bz2
    import gzip
    import lzma

    import zstandard

    monkeypatch.setattr("chainrule.data.files.origins.ALWAYS", 1 << 20)
    monkeypatch.setattr("chainrule.data.files.compressed.BLOCK", 1 << 16)
    content = b"a,b\n" + b"1,2\n" * (1 << 20)
    path = here / f"t.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("t.csv", content)
    else:
        press = {"gz": gzip, "bz2": bz2, "xz": lzma, "zst": zstandard}[kind.partition(".")[2]].compress
        path.write_bytes(press(content))
    with pytest.raises(DataError, match="far smaller than what it expands to"):
        read_table(path)


def test_a_model_without_a_header(here, capsys):
    (here / "t.csv").write_text(BODY)
    (here / "named.csv").write_text(TABLE)
    found, shown = trained(capsys, "t.csv", "--target", "3")
    assert found["target"] == "column_3" and "no header line" in shown
    (here / "one.csv").write_text(BODY.splitlines()[0])
    for name, rows in (("t.csv", 60), ("one.csv", 1)):
        assert main(["predict", "model.safetensors", name]) == 0
        assert read_table("predictions.csv").height == rows
    assert main(["predict", "model.safetensors", "named.csv"]) == 2
    assert trained(capsys, "named.csv", "--target", "price ")[0]["target"] == "price"
    capsys.readouterr()
    assert main(["predict", "model.safetensors", "t.csv"]) == 2
    assert "--no-header" in capsys.readouterr().err
    (here / "two.csv").write_text("".join(line.rpartition(",")[0] + "\n" for line in BODY.splitlines()))
    assert main(["predict", "model.safetensors", "two.csv", "--no-header"]) == 0
    assert read_table("predictions.csv").equals(
        load_model("model.safetensors")
        .predict(pl.DataFrame(ROWS, ["n", "town", "price"], orient="row"))
        .to_frame()
    )


def test_header_and_no_header_overrule(here):
    (here / "t.csv").write_text("10,20\n11,21\n12,22\n")
    assert read_table("t.csv").columns == ["column_1", "column_2"]
    assert read_table("t.csv", header=True).columns == ["10", "20"]
    (here / "t.csv").write_text("a,b\n11,21\n")
    assert read_table("t.csv", header=False).rows() == [("a", "b"), ("11", "21")]


def test_sheets(here, capsys):
    import xlsxwriter

    with xlsxwriter.Workbook("t.xlsx") as book:
        for name, rows in (("First", ROWS[:20]), ("Second", ROWS)):
            sheet = book.add_worksheet(name)
            for place, row in enumerate([("n", "town", "price"), *rows]):
                sheet.write_row(place, 0, row)
    assert "sheet 'Second', not 'First'" in trained(capsys, "t.xlsx", "--target", "price")[1]
    assert main(["predict", "model.safetensors", "t.xlsx", "--sheet", "First"]) == 0
    assert read_table("predictions.csv").height == 20
    assert main(["predict", "model.safetensors", "t.xlsx", "--sheet", "Furst"]) == 2
    assert "did you mean 'First'" in capsys.readouterr().err
    (here / "t.csv").write_text(TABLE)
    with pytest.raises(SettingError, match="--sheet is for workbooks only"):
        read_table("t.csv", sheet="First")


def test_without_the_extras(here, monkeypatch):
    for module, name, extra in (("fastexcel", "t.xlsx", "excel"), ("zstandard", "t.csv.zst", "zstd")):
        (here / name).write_bytes(b"\x28\xb5\x2f\xfd" if name.endswith("zst") else b"PK\x03\x04")
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(DataError, match=rf"pip install 'chainrule\[{extra}\]'"):
            read_table(name)


def test_train_table_reads_what_read_table_reads(here):
    (here / "t.csv").write_text(TABLE.replace(",", ";"))
    by_name = train_table("t.csv", "price", TrainingSettings(epochs=1))
    by_number = train_table(here / "t.csv", "3", TrainingSettings(epochs=1))
    assert by_name.score == by_number.score
    assert by_name.prepared.notices[0] == "the file is read with ; as separator"


def test_digits_of_workbooks_and_types_of_json(here):
    import xlsxwriter

    numbers = [3.141592653589793, 1e-12, -2.5e-7, 123456789.123456789, 1 / 3]
    with xlsxwriter.Workbook("t.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["x", *numbers])
        sheet.write_column(0, 1, ["mixed", *numbers[:4], "many"])
        sheet.write_column(0, 2, ["code", "007", "01", "1", "2", "3"])
    frame = read_table("t.xlsx", ["mixed", "code"])
    assert frame["x"].to_list() == pytest.approx(numbers, rel=1e-14)
    assert [float(cell) for cell in frame["mixed"][:4]] == pytest.approx(numbers[:4], rel=1e-14)
    assert frame["code"].to_list() == ["007", "01", "1", "2", "3"]
    (here / "t.json").write_text(
        '[{"a": 1, "b": 9223372036854775808, "c": "1"}, {"a": 2.5, "b": 1, "c": "x"}]'
    )
    assert read_table("t.json").rows() == [(1.0, 2.0**63, "1"), (2.5, 1.0, "x")]
    assert read_assuming("t.json")[1] == ()


@pytest.mark.parametrize("last", ["all,Oslo,9", "3,,", ",,", "Total,,270"])
def test_a_prediction_for_every_row(here, capsys, last):
    (here / "t.csv").write_text(TABLE)
    trained(capsys, "t.csv", "--target", "price")
    (here / "new.csv").write_text(f"{TABLE}{last}\n{last}\n")
    assert main(["predict", "model.safetensors", "new.csv"]) == 0, capsys.readouterr().err
    assert read_table("predictions.csv").height == len(ROWS) + 2


@pytest.mark.parametrize("words", [["--target", "y"], ["--target", "2"], []], ids=["name", "number", "found"])
def test_classes_are_those_of_the_file(here, capsys, words):
    rows = [f"{place % 7},{('1e1', '+1')[place % 2]}" for place in range(60)]
    (here / "t.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    found, _ = trained(capsys, "t.csv", *words)
    assert found["task"] == "classification"
    assert load_model("model.safetensors").classes == ("+1", "1e1")
