"""A table read in parts is the table; what is wrong with it is said as for the whole."""

import gzip

import numpy as np
import polars as pl
import pytest

from chainrule.data import read_table
from chainrule.data.features.notices import Notice, add_up
from chainrule.data.files.text_format import TextFormat
from chainrule.data.parts import read_parts
from chainrule.errors import DataError
from chainrule.tables import TrainingSettings, train_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    rows = 5_000
    return pl.DataFrame(
        {
            "n": rng.integers(0, 9, rows),
            "x": [None if i % 7 == 0 else v for i, v in enumerate(rng.normal(size=rows).tolist())],
            "t": [None if i % 5 == 0 else f'a "b", {i % 3}\nc' for i in range(rows)],
            "b": rng.random(rows) < 0.5,
            "d": pl.Series(rng.integers(0, 9000, rows).astype(np.int32)).cast(pl.Date),
        }
    )


def write(frame, path):
    kind = path.suffixes[0]
    if kind == ".parquet":
        frame.write_parquet(path, row_group_size=700)
    elif kind == ".arrow":
        frame.write_ipc(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        frame.write_csv(path, separator="\t" if kind == ".tsv" else ",")
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.parquet", "a.arrow"])
def test_parts_are_the_whole(frame, tmp_path, name):
    path = write(frame, tmp_path / name)
    parts = list(read_parts(path, frame.columns, ["t"], cells=6_000))
    assert len(parts) > 2
    assert [part.before for part in parts] == np.cumsum([0, *(p.frame.height for p in parts[:-1])]).tolist()
    joined = pl.concat([part.frame for part in parts])
    assert joined.equals(read_table(path, ["t"])) and joined.equals(frame)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_columns_that_are_not_wanted_are_named_but_not_read(frame, tmp_path, name):
    path = write(frame, tmp_path / name)
    ((_, part, _),) = read_parts(path, ["x", "n", "nowhere"])
    assert set(part.columns) == set(frame.columns)
    assert part.select("n", "x").equals(frame.select("n", "x")) and part["t"].null_count() == part.height


@pytest.mark.parametrize(
    ("name", "data", "what", "where"),
    [
        (
            "a.csv",
            b"a,b\n" + b"1,2\n" * 3000 + b"1," + bytes(range(128, 190)) + b"\n",
            "not text in UTF-8",
            "line 3002, byte 12007",
        ),
        ("a.csv", b"a,b\n1,\x00\n", "zero byte", "line 2"),
        ("a.csv", b"\xff\xfea\x00\n\x00x", "not text in utf-16-le", "line 2, byte 7"),
        ("a.csv", b"a,b\n" + b"1,2\n" * 2500 + b"1,2,3\n", "ragged", ""),
        ("a.csv", b'a,b\n"1,2\n', "quotes", ""),
        ("a.csv", b"", "no columns", ""),
        ("a.csv.gz", b"a,b\n", "not a whole gzip file", ""),
        ("a.parquet", b"PAR1", "cannot be read as Parquet", ""),
        ("a.arrow", b"ARROW1", "cannot be read as Arrow", ""),
    ],
)
def test_what_is_wrong_is_said_as_for_the_whole(tmp_path, name, data, what, where):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=what) as whole:
        read_table(tmp_path / name)
    with pytest.raises(DataError, match=what) as parts:
        list(read_parts(tmp_path / name, ["a", "b"], cells=1000))
    assert where in str(whole.value) and where in str(parts.value)
    assert whole.value.what == parts.value.what


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow", "a.json"])
def test_a_table_without_rows_is_a_part_without_rows(tmp_path, name):
    empty = pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})
    path = tmp_path / name
    if name == "a.json":
        path.write_text('{"a": [], "b": []}')
    else:
        write(empty, path)
    if name == "a.json":
        with pytest.raises(DataError, match="no columns"):
            list(read_parts(path, ["a", "b"]))
        return
    ((before, frame, _),) = read_parts(path, ["a", "b"])
    assert before == 0 and frame.columns == ["a", "b"] and frame.height == 0


@pytest.mark.parametrize("first", ["5.1,3,Oslo", "5.1,3,Rome"])
@pytest.mark.parametrize("more", ["", "\n4.9,7,Oslo", "\n4.9,7,Oslo\n1.5,2,Rome\n1.5,2,Rome\n1.5,2,Rome"])
def test_columns_by_position_come_from_files_without_a_header(tmp_path, first, more):
    path = tmp_path / "t.csv"
    path.write_text(first + more)
    rows = len((first + more).splitlines())
    unnamed = [f"column_{place}" for place in (1, 2, 3)]
    (part,) = read_parts(path, unnamed, order=unnamed)
    assert part.frame.columns == unnamed and part.frame.height == rows
    if more:  # a model of names predicts a file without them only if told
        with pytest.raises(DataError, match=r"no header line(.*\n)*.*'a', 'b'(.*\n)*.*--no-header"):
            list(read_parts(path, ["a", "b"], order=["a", "b", "c"]))
    (part,) = read_parts(path, ["a", "b"], wanted=TextFormat(header=False), order=["b", "a", "c"])
    assert part.frame.columns == ["b", "a", "c"] and part.frame.height == rows
    with pytest.raises(DataError, match=r"not as many columns(.*\n)*.*2 columns in the order"):
        list(read_parts(path, ["a", "b"], wanted=TextFormat(header=False), order=["b", "a"]))
    path.write_text("column_3,column_1,column_2\n" + first + more)
    (part,) = read_parts(path, unnamed, order=unnamed)
    assert part.frame.columns == ["column_3", "column_1", "column_2"] and part.frame.height == rows


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        list(read_parts(tmp_path / "a.parquet", []))


def test_notices_add_up():
    filled = Notice("column 'a' has no value", (), 2, 10, ": filled")
    unseen = [
        Notice("column 'b' has", texts, n, 10, ", new")
        for texts, n in ((("'x'", "'y'"), 3), (("'z'", "'x'"), 1))
    ]
    plain = Notice("columns are ignored: 'c'")
    assert add_up([(10, [plain, filled, unseen[0]]), (10, [plain]), (5, [plain, unseen[1], filled])]) == (
        "columns are ignored: 'c'",
        "column 'a' has no value in 4 of 25 rows: filled",
        "column 'b' has 'x', 'y', 'z' in 4 of 25 rows, new",
    )


def test_a_last_part_without_a_cell_that_fits_is_read_as_the_rest(tmp_path):
    """A part is read as the whole file would be: cells of another kind are missing, wherever the parts are cut."""
    frame = pl.DataFrame({"a": [float(i) for i in range(60)], "y": [2.0 * i for i in range(60)]})
    model = train_table(frame, "y", TrainingSettings(epochs=2, hidden=(4,))).model
    texts = [f"{i}.5" for i in range(80)] + ["x"]
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "\n".join(texts) + "\n")
    found = list(model.predict_parts(path, cells=20))
    assert [part.frame.height for part in found] == [20, 20, 20, 20, 1]
    whole = model.predict(pl.DataFrame({"a": texts})).values.to_list()
    assert [v for part in found for v in part.predictions.values] == pytest.approx(whole)


def test_rows_of_classes_that_are_not_known_are_those_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=60), "y": ["n", "p"] * 30})
    model = train_table(frame, "y", TrainingSettings(epochs=2, hidden=(4,))).model
    lines = [f"{i},{'' if i % 3 else 'n'}" for i in range(50)] + ["1,zz"]
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "\n".join(lines) + "\n")
    running = model.running_score()
    with pytest.raises(DataError, match="zz") as error:
        for part in model.predict_parts(path, cells=40):
            model.add_to(running, part)
    assert "row 51" in str(error.value)
