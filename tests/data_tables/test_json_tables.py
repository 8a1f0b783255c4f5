"""Tables in JSON as pandas and others write them: no row, no value and no name is lost in silence."""

import json

import pandas
import pytest

from chainrule.data.tables import read_assuming
from chainrule.errors import DataError


@pytest.fixture
def read(tmp_path):
    def reading(text):
        (tmp_path / "t.json").write_text(text, encoding="utf-8")
        return read_assuming(tmp_path / "t.json")

    return reading


FRAME = pandas.DataFrame({"town": ["Oslo", "Rome", "Bern"], "n": [1, 2, 3], "x": [0.5, 1.5, 2.5]})


@pytest.mark.parametrize("orient", ["columns", "index", "split", "records", "table"])
@pytest.mark.parametrize("labels", [None, ["a", "b", "c"], [3, 1, 2]])
def test_every_way_of_pandas(read, orient, labels):
    frame = FRAME if labels is None else FRAME.set_axis(labels)
    found, said = read(frame.to_json(orient=orient))
    assert found.select("town", "n", "x").rows() == list(FRAME.itertuples(index=False, name=None))
    assert any("each object as a row" in what for what in said) == (orient == "index")


def test_objects_that_may_be_columns_or_rows_are_said(read):
    found, said = read('{"Oslo": {"a": 1, "b": 2}, "Rome": {"a": 3, "b": 4}}')
    assert found.columns == ["Oslo", "Rome"] and "may be a row" in said[0]


def test_rows_of_texts(read):
    rows = [["red", "big"], ["blue", "small"], ["red", "small"], ["blue", "big"], ["red", "big"]]
    found, said = read(json.dumps(rows))
    assert found.rows() == [tuple(row) for row in rows] and said == ("no line of names",)
    found, said = read(json.dumps([["name", "town"], ["Anna", "Oslo"], ["Bo", "Rome"]]))
    assert found.columns == ["name", "town"] and "first row as names" in said[0]
    found, said = read(json.dumps([["name", "n"], ["Anna", 1], ["Bo", 2]]))
    assert found.columns == ["name", "n"] and not said


def test_two_values_for_one_column_are_refused(read):
    with pytest.raises(DataError, match=r"two values for one column(.*\n)*.*'a.b'"):
        read('[{"a.b": 1, "a": {"b": 2}}]')


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x1c"])
def test_lines_end_where_json_says(read, sign):
    rows = [{"a": f"one{sign}two", "n": 1}, {"a": "x", "n": 2}]
    text = "\n".join(json.dumps(row, ensure_ascii=False).replace("\\u001c", " ") for row in rows)
    assert read(text)[0]["n"].to_list() == [1, 2]


@pytest.mark.parametrize(
    "text", ['[{"a": 1, "b": 5, "a": 2}, {"a": 3, "b": 6}]', '{"a": 1, "b": 5, "a": 2}\n{"a": 3, "b": 6}\n']
)
def test_a_name_that_an_object_has_twice_is_said(text, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(text)
    frame, said = read_assuming(path)
    assert frame.rows() == [(2, 5), (3, 6)]
    assert said == ("the last value of names that an object has twice: 'a' (1 object)",)


def test_names_that_occur_once_in_each_object_are_not_said_to_be_twice(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}, {"a": {"a": 2}, "b": []}]')
    assert not any("twice" in what for what in read_assuming(path)[1])
