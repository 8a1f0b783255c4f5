"""Parts of the calendar: which are used, and what they become, against pandas and statsmodels."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import data
from chainrule.data import Preprocessor
from chainrule.data.features import calendar
from chainrule.data.features.calendar import DAY, HARMONICS, encode_calendar, phase, telling_parts
from chainrule.errors import ModelFileError
from chainrule.tables import TrainingSettings, train_table

YEARS = 3 * 365 * DAY


def times(rows, seed=0, whole_days=False):
    seconds = np.random.default_rng(seed).integers(0, YEARS, rows) + 1_500_000_000.0
    return np.floor(seconds / DAY) * DAY if whole_days else seconds


@given(st.lists(st.integers(-9_000_000_000, 9_000_000_000), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_phases_are_those_of_pandas(seconds):
    when = pd.DatetimeIndex(np.array(seconds, "datetime64[s]"))
    known = np.array(seconds, np.float64)
    of_day = (when.hour * 3600 + when.minute * 60 + when.second) / DAY
    np.testing.assert_allclose(phase("time of day", known), of_day, atol=1e-12)
    np.testing.assert_allclose(phase("day of week", known), when.day_of_week / 7, atol=1e-12)
    np.testing.assert_allclose(phase("day of month", known), (when.day - 1) / 31, atol=1e-12)
    np.testing.assert_allclose(phase("time of year", known), (when.day_of_year - 1) / 366, atol=1e-12)


@pytest.mark.parametrize("part", HARMONICS)
def test_a_missing_time_has_no_phase_and_zeros_for_features(part):
    seconds = np.array([np.nan, 1e9])
    assert np.isnan(phase(part, seconds)).tolist() == [True, False]
    out = np.full((2, 2 * HARMONICS[part]), 7, np.float32)
    encode_calendar([part], seconds, out)
    assert not out[0].any() and np.allclose(np.square(out[1]).sum(), HARMONICS[part], atol=1e-5)


def test_three_harmonics_tell_any_function_of_the_weekday():
    seconds = np.arange(7.0) * DAY
    out = np.zeros((7, 6), np.float32)
    encode_calendar(["day of week"], seconds, out)
    assert np.linalg.matrix_rank(np.concatenate([np.ones((7, 1)), out], 1), tol=1e-4) == 7


@pytest.mark.parametrize(
    ("part", "signal"),
    [
        ("time of day", lambda when: (when.hour >= 18) * 1.0),
        ("day of week", lambda when: (when.day_of_week == 5) * 1.0),
        ("day of month", lambda when: (when.day <= 10) * 1.0),
        ("time of year", lambda when: when.month.isin([12, 1]) * 1.0),
    ],
)
def test_the_part_that_tells_is_found_and_no_other(part, signal):
    seconds = times(600)
    when = pd.DatetimeIndex(seconds.astype("datetime64[s]"))
    noise = np.random.default_rng(1).normal(size=600)
    target = np.asarray(signal(when), np.float64) + 0.4 * noise
    assert telling_parts(seconds, target[:, None]) == (part,)
    assert telling_parts(seconds, np.stack([noise, target], 1)) == (part,)  # of several outputs one is enough
    labels = (target > 0.5).astype(np.float64)
    assert telling_parts(seconds, labels[:, None]) == (part,)


def test_parts_that_tell_nothing_are_rarely_used():
    """One in a hundred is allowed; so are parts under a trend in time, which is no season."""
    found = 0
    for seed in range(100):
        seconds, rng = times(80, seed), np.random.default_rng(seed)
        target = rng.normal(size=80) + (seed % 2) * 5 * (seconds - seconds.min()) / YEARS
        found += len(telling_parts(seconds, target[:, None]))
    assert found <= 12  # of 400: 4 are expected


def test_the_chance_is_that_of_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    seconds = np.unique(times(90, whole_days=True))
    target = np.random.default_rng(0).normal(size=(len(seconds), 1))
    trend = np.stack([np.ones(len(seconds)), (seconds - seconds.mean()) / np.ptp(seconds)], 1)
    for part in ("day of week", "day of month", "time of year"):
        harmonics = np.zeros((len(seconds), 2 * HARMONICS[part]), np.float32)
        encode_calendar([part], seconds, harmonics)
        full = sm.OLS(target, np.concatenate([trend, harmonics], 1)).fit()
        expected = full.compare_f_test(sm.OLS(target, trend).fit())[1]
        assert calendar._chance(part, seconds, target) == pytest.approx(expected, rel=1e-5)
        often = np.repeat(np.arange(len(seconds)), 3)
        assert calendar._chance(part, seconds[often], target[often]) == pytest.approx(expected, rel=1e-5)


def test_what_the_rows_of_a_day_have_in_common_is_no_pattern_of_weekdays():
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        days = np.repeat(np.floor(times(20, seed, whole_days=True)), 50)
        target = np.repeat(rng.normal(size=20), 50) + 0.1 * rng.normal(size=1000)
        found += len(telling_parts(days, target[:, None]))
    assert found <= 8  # of 160; nearly all of them if each row counted


@pytest.mark.parametrize(
    ("seconds", "target"),
    [
        (np.full(50, 1e9), np.arange(50.0)),
        (np.full(50, np.nan), np.arange(50.0)),
        (times(50), np.zeros(50)),
        (times(50), times(50)),  # a trend in time and nothing else
        (times(2), np.array([0.0, 1.0])),
        (times(7), np.arange(7.0)),  # fewer rows than features
        (np.linspace(0, 86_400, 50), np.sin(np.arange(50.0))),  # a single day
        (times(50) * 1e6, np.arange(50.0) % 2),  # the year 50,000,000
    ],
)
def test_odd_times_and_targets_use_no_part(seconds, target):
    with np.errstate(all="raise"):
        assert telling_parts(seconds, target[:, None]) == ()


def weekly(rows, seed=0):
    seconds = times(rows, seed, whole_days=True)
    dates = pl.Series(seconds.astype("datetime64[s]").astype("datetime64[us]")).cast(pl.Date)
    weekend = dates.dt.weekday() >= 6
    more = np.random.default_rng(seed).normal(size=rows)
    return pl.DataFrame({"day": dates, "x": more, "y": 10 * weekend.cast(pl.Float64) + more})


def test_a_model_learns_what_comes_every_week_and_travels(tmp_path):
    trained = train_table(weekly(400), "y", TrainingSettings(epochs=60, hidden=(16,)))
    assert any("'day': its day of week tells something" in text for text in trained.prepared.notices)
    assert trained.score.value < 1.5  # of 4.5 for the mean
    column = trained.model.preprocessor.columns[0]
    assert column.parts == ("day of week",) and column.width == len(column.feature_names) == 7
    later = weekly(200, seed=1).with_columns(pl.col("day") + pl.duration(weeks=160))
    predicted = trained.model.predict(later).values.to_numpy()
    assert np.sqrt(np.mean(np.square(predicted - later["y"].to_numpy()))) < 2.0
    trained.model.save(tmp_path / "m.safetensors")
    later.write_csv(tmp_path / "t.csv")
    from chainrule.tables import load_model

    again = load_model(tmp_path / "m.safetensors").predict(tmp_path / "t.csv").values.to_numpy()
    np.testing.assert_allclose(again, predicted, rtol=1e-6)


@pytest.mark.parametrize("parts", [["day of the year"], ["day of week", "day of week"], "day of week", [1]])
def test_parts_in_a_damaged_model_are_refused(parts):
    text = data.fit_preprocessor(weekly(300), "y")[0].to_json()
    known = json.loads(text)
    assert known["columns"][0]["parts"] == ["day of week"]
    known["columns"][0]["parts"] = parts
    with pytest.raises(ModelFileError):
        Preprocessor.from_json(json.dumps(known))
    known["columns"][0]["parts"] = []
    known["columns"][1]["parts"] = ["day of week"]  # of a number
    with pytest.raises(ModelFileError):
        Preprocessor.from_json(json.dumps(known))
