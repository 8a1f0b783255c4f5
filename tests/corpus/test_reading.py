"""Small files of every kind are read as ``reading/expected.toml`` says, or refused with what it says."""

import tomllib
from pathlib import Path

import polars as pl
import pytest

from chainrule.data.parts import read_parts
from chainrule.data.tables import read_assuming
from chainrule.errors import DataError

FOLDER = Path(__file__).with_name("reading")
EXPECTED = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


def test_every_file_is_expected():
    assert {path.name for path in FOLDER.iterdir()} == {*EXPECTED, "expected.toml"}
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_reading(name, monkeypatch):
    monkeypatch.chdir(FOLDER)
    expected = EXPECTED[name]
    if "refused" in expected:
        with pytest.raises(DataError) as caught:
            read_assuming(name)
        assert str(caught.value) == expected["refused"]
        return
    frame, assumed = read_assuming(name)
    assert {
        "names": frame.columns,
        "types": [str(dtype) for dtype in frame.dtypes],
        "rows": frame.height,
        "first": as_texts(frame.row(0)),
        "last": as_texts(frame.row(-1)),
        "assumed": list(assumed),
    } == expected
    parts = list(read_parts(name, frame.columns, cells=2 * frame.width, text_columns=frame.columns))
    whole = read_assuming(name, frame.columns)[0]
    joined = pl.concat([part.frame for part in parts])
    assert joined.head(frame.height).equals(whole)
    # what is left out at the end may be rows, which stay
    assert joined.height == frame.height or any("at the end left out" in what for what in assumed)
    assert known(parts[-1].assumed) == known(assumed)


def known(assumed):
    """What is said but for what differs in parts: the header is known by its names, rows at the end may stay."""
    differs = ("no header line", "though it is like the others", "at the end left out", "at the end kept")
    return [what for what in assumed if not any(part in what for part in differs)]


def as_texts(row):
    return ["" if cell is None else str(cell) for cell in row]
