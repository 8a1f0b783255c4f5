"""Tables that are sound files and odd tables: of any type that a column can have, of any name, of any length."""

import datetime
import io
import random
from collections.abc import Callable
from decimal import Decimal

import polars as pl
from tests.survival.forgery import TEXTS

Cells = Callable[[random.Random, int], pl.Series]


def _of(cells: list, dtype: object = None) -> Cells:
    """A column whose cells are drawn from these."""
    return lambda rng, rows: pl.Series("", rng.choices(cells, k=rows), dtype=dtype, strict=False)


PLAIN_TEXTS = [text for text in TEXTS if "\ud800" not in text and len(text) < 1000]
COLUMNS: list[Cells] = [
    _of([0.0, 1.5, None, float("nan"), float("inf"), -1e308, 5e-324], pl.Float64),
    _of([0.5, None, 3e38], pl.Float32),
    _of([0, 1, None, 2**62, -(2**63)], pl.Int64),
    _of([0, 2**64 - 1], pl.UInt64),
    _of([0, 1, -128], pl.Int8),
    _of([0, 10**30], pl.Int128),
    _of([True, False, None], pl.Boolean),
    _of([True], pl.Boolean),
    _of([None], pl.Null),
    _of([None], pl.String),
    _of([*PLAIN_TEXTS, None], pl.String),
    _of(["q" * 200_000, "a"], pl.String),
    _of(["1", "2", "x"], pl.String),
    _of(["1.5", "NA", "3"], pl.String),
    _of(["a", "b", None], pl.Categorical),
    _of(["a", "b"], pl.Enum(["a", "b", "q" * 1000])),
    _of([b"\x00\xff", b""], pl.Binary),
    _of([datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None], pl.Date),
    _of([datetime.datetime(1970, 1, 1), datetime.datetime(2262, 1, 1)], pl.Datetime("ns")),
    _of([datetime.datetime(2026, 1, 1), None], pl.Datetime("us", "Europe/Rome")),
    _of([datetime.time(1, 2)], pl.Time),
    _of([datetime.timedelta(days=9999)], pl.Duration),
    _of([Decimal("1.50"), Decimal("-99999.99")], pl.Decimal(20, 2)),
    _of([[1, 2], [], None], pl.List(pl.Int64)),
    _of([[1.0, 2.0]], pl.Array(pl.Float64, 2)),
    _of([{"a": 1, "b": "x"}], pl.Struct({"a": pl.Int64, "b": pl.String})),
]


def odd_frame(rng: random.Random) -> pl.DataFrame:
    """Up to six columns of up to thirty rows."""
    rows = rng.choice([0, 1, 2, 9, 10, 30, 30, 30])
    names = rng.sample(
        [*PLAIN_TEXTS, "b", "c", "class", "probability_a", "prediction", "q" * 50_000],
        rng.choice([0, 1, 2, 3, 6]),
    )
    return pl.DataFrame([rng.choice(COLUMNS)(rng, rows).alias(name) for name in names])


def odd_parquet(rng: random.Random, good: bytes) -> bytes:
    """Such a table as Parquet."""
    file = io.BytesIO()
    odd_frame(rng).write_parquet(file, compression=rng.choice(["zstd", "snappy", "gzip", "uncompressed"]))
    return file.getvalue()


def odd_arrow(rng: random.Random, good: bytes) -> bytes:
    """Such a table as an Arrow file."""
    file = io.BytesIO()
    odd_frame(rng).write_ipc(file, compression=rng.choice(["zstd", "lz4", "uncompressed"]))
    return file.getvalue()
