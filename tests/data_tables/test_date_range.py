"""Dates that polars breaks down over are an error of ours, wherever a table comes from."""

import polars as pl
import pytest

from chainrule.data import read_table
from chainrule.data.features.frames import as_frame
from chainrule.errors import DataError

DAY = 86_400


@pytest.mark.parametrize("kind", [pl.Date, pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("us", "UTC")])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("ending", ["arrow", "parquet", "frame"])
def test_dates_out_of_range(tmp_path, kind, sign, ending):
    ticks = 1 if kind == pl.Date else DAY * {"ms": 10**3, "us": 10**6}[kind.time_unit]
    days = pl.Series([0, None, sign * 96_000_000 * ticks])
    whole = pl.Int32 if kind == pl.Date else pl.Int64
    frame = pl.DataFrame({"day": days.cast(whole).cast(kind), "x": [1, 2, 3]})
    path = tmp_path / f"t.{ending}"
    if ending == "arrow":
        frame.write_ipc(path)
    elif ending == "parquet":
        frame.write_parquet(path)
    with pytest.raises(DataError, match="'day' holds dates that are out of range") as error:
        as_frame(frame) if ending == "frame" else read_table(path)
    assert "row 3" in str(error.value)
    kept = as_frame(frame.head(2))
    assert kept["day"].null_count() == 1
