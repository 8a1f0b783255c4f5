"""The calendar in ONNX is that of the features."""

import numpy as np
import polars as pl
import pytest

from chainrule.data.features.calendar import HARMONICS, calendar_names, encode_calendar
from chainrule.exchange.onnx_calendar import calendar_features
from chainrule.exchange.onnx_file import to_onnx
from chainrule.exchange.onnx_writer import ROWS_NAME, Writer
from chainrule.tables import TrainingSettings, train_table

onnxruntime = pytest.importorskip("onnxruntime")
PARTS = tuple(HARMONICS)


def test_on_any_day_of_ten_thousand_years():
    w = Writer(["t"])
    features = calendar_features(w, PARTS, w.input("t", np.float64, [ROWS_NAME]))
    count = len(calendar_names("t", PARTS))
    file = w.model([("y", features, np.float32, [ROWS_NAME, count])], {})
    every_day = [
        np.arange(f"{year:04}", f"{year + 4:04}", dtype="M8[D]") for year in (1, 97, 1897, 1997, 2397)
    ]
    days = np.concatenate(every_day).astype(np.int64)
    rng = np.random.default_rng(0)
    seconds = np.array([*days, *rng.integers(-719_000, 2_900_000, 20_000)]) * 86_400.0
    seconds = np.concatenate([seconds, seconds + rng.uniform(0, 86_400, len(seconds)), [np.nan]])
    expected = np.zeros((len(seconds), count), np.float32)
    encode_calendar(PARTS, seconds, expected)
    (found,) = onnxruntime.InferenceSession(file).run(None, {"t": seconds})
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_model_of_a_table_with_dates():
    rng = np.random.default_rng(0)
    when = pl.Series(rng.integers(0, 10**8, 500) * 1_000_000).cast(pl.Datetime("us"))
    frame = pl.DataFrame({"when": when, "x": rng.normal(size=500)})
    frame = frame.with_columns(y=pl.col("x") + 3 * (pl.col("when").dt.weekday() >= 6))
    model = train_table(frame, "y", TrainingSettings(hidden=(8,), epochs=5)).model
    assert model.preprocessor.columns[0].parts == ("day of week",)
    new = frame.with_columns(when=pl.when(pl.int_range(500) > 2).then(pl.col("when") + pl.duration(days=9)))
    seconds = new["when"].dt.epoch("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6
    session = onnxruntime.InferenceSession(to_onnx(model))
    found = session.run(None, {"when": seconds, "x": new["x"].to_numpy()})[0]
    np.testing.assert_allclose(found, model.predict(new).values.to_numpy(), atol=1e-5)
