"""Small tables of every kind: the kinds, values, features and notices that must come out."""

import csv
import datetime

import numpy as np
import pytest
from tests.corpus.columns.cases import CASES, ROWS, Case

from chainrule.data import Columns, Preprocessor, fit_preprocessor, read_table
from chainrule.data.features.cell_types import Untyped
from chainrule.data.features.training_table import read_frame
from chainrule.data.tables import ReadTable, read_whole


def written(case: Case, path) -> ReadTable:
    repeated = {"x": case.cells, "z": case.beside, "y": ["no", "yes", "yes", "no", "perhaps"]}
    rows = zip(
        *([cells[row % len(cells)] for row in range(ROWS)] for cells in repeated.values()), strict=True
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=case.separator)
        writer.writerows([[*repeated], *rows])
    columns = Columns(**case.columns)
    return read_whole(path, Untyped(columns.read_as_text))


def plain(value):
    return value.isoformat()[:16].removesuffix("T00:00") if isinstance(value, datetime.datetime) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_column_is_what_it_says(case, tmp_path):
    table = written(case, tmp_path / "t.csv")
    frame, likely = table.frame, table.likely_decimal
    columns = Columns(**case.columns)
    preprocessor, notices = fit_preprocessor(frame, "y", columns=columns, likely_decimal=likely)
    (column,) = (column for column in preprocessor.columns if column.name == "x")
    assert column.kind == case.kind, notices
    assert case.said in "\n".join(notices)
    canonical = read_frame(frame, "y", columns, likely_decimal=likely).frame["x"].to_list()
    assert [plain(value) for value in canonical[: len(case.values)]] == [
        pytest.approx(value) if isinstance(value, float) else value for value in case.values
    ]
    again = Preprocessor.from_json(preprocessor.to_json())
    assert again == preprocessor
    new = read_table(tmp_path / "t.csv", again.text_columns)
    np.testing.assert_array_equal(again.transform(new), preprocessor.transform(frame))
    np.testing.assert_array_equal(again.transform(new[:3]), preprocessor.transform(frame)[:3])


def test_there_are_enough_of_them():
    assert len(CASES) >= 60 and len({case.name for case in CASES}) == len(CASES)
