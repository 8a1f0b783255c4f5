"""Whatever chainrule reads from a disk: how a good file is made, and what is done with one that may be bad."""

import contextlib
import datetime
import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from tests.survival import forgery
from tests.survival.odd_frames import odd_arrow, odd_parquet

import chainrule as cr
from chainrule import data, nn, optim, tables
from chainrule.cli import main

ROWS = 24
X = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]


@dataclass(frozen=True)
class Reader:
    """``make`` writes a good file; ``read`` uses a file and returns all that a user would be shown of it."""

    suffix: str
    make: Callable[[Path], object]
    read: Callable[[Path], str]
    spoil: Callable[[forgery.Rng, bytes], bytes]


def frame() -> pl.DataFrame:
    """A table of every kind of column."""
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "size": rng.normal(size=ROWS),
            "count": np.arange(ROWS) % 7,
            "new": [i % 3 == 0 for i in range(ROWS)],
            "town": [("Oslo", "Rome", None)[i % 3] for i in range(ROWS)],
            "day": [datetime.date(2026, 1, 1 + i) for i in range(ROWS)],
            "class": ["no" if i % 2 else "yes" for i in range(ROWS)],
        }
    )


def train(target: str) -> tables.TableModel:
    """A small model of it."""
    settings = tables.TrainingSettings(hidden=(3,), batch_norm=target == "class", epochs=1)
    return tables.train_table(frame(), target, settings, "good.csv").model


def use_model(path: Path) -> str:
    """Load, show, predict for one row, save again, inspect from the command line."""
    model = cr.load_model(path)
    cells = {"categorical": "Oslo", "boolean": True, "time": datetime.datetime(2026, 1, 2)}
    row = {c.name: [cells.get(c.kind, c.fill)] for c in model.preprocessor.used}
    predicted = model.predict(pl.DataFrame(row))
    assert predicted.values.len() == 1
    assert predicted.probabilities is None or np.isfinite(predicted.probabilities).all()
    model.save(path.with_name("again"))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["inspect", str(path)]) == 0
    return "\n".join([repr(model), model._repr_html_(), *predicted.notices, out.getvalue()])


def fit(path: Path, **more: object) -> cr.History:
    """A run of six epochs, which the file is the checkpoint of; gone on with, unless it is to be started."""
    run = {
        "loss": nn.squared_error, "optimizer": optim.Adam(0.1), "epochs": 6, "batch_size": 8, "restarts": 2,
        "validation": (X, 2 * X), "stop": cr.EarlyStopping(4), "seed": 0, "progress": False, "resume": True,
        "threads": 1,
    }  # fmt: skip
    return cr.fit(nn.Linear(1, 1, seed=0), (X, 2 * X), checkpoint=path, **run | more)


def make_checkpoint(path: Path) -> None:
    """That of a run with two replicas that ended after two and four epochs."""

    def stop(epoch: cr.Epoch) -> bool:
        return epoch.number == 2 + 2 * epoch.replica

    fit(path, callbacks=[stop], resume=False)


def make_unfinished(path: Path) -> None:
    """That of a run of which one replica has ended, and one was interrupted."""

    def interrupt(epoch: cr.Epoch) -> None:
        if (epoch.replica, epoch.number) == (1, 4):
            raise KeyboardInterrupt

    fit(path, callbacks=[interrupt], resume=False)


def use_checkpoint(path: Path) -> str:
    """Go on from it; show what came out."""
    history = fit(path)
    assert len(history.replicas) == 2
    return "\n".join([repr(history), history._repr_html_()])


def use_table(path: Path) -> str:
    """Read it whole and in parts, which give the same rows; learn from it."""
    table = data.read_table(path)
    prepared = tables.prepare(table, table.columns[-1], tables.TrainingSettings(hidden=()))
    model = good_model()
    with contextlib.suppress(cr.errors.ChainruleError):  # another table than it was trained on
        model.predict(path)
    return "\n".join([*prepared.notices, prepared.architecture.describe()])


_MODEL: list[tables.TableModel] = []


def good_model() -> tables.TableModel:
    """A model of the table, made once in a process."""
    if not _MODEL:
        _MODEL.append(train("class"))
    return _MODEL[0]


def write_csv(path: Path) -> None:
    """The table as text."""
    frame().write_csv(path)


def write_gzip(path: Path) -> None:
    """The same, compressed."""
    path.write_bytes(gzip.compress(frame().write_csv().encode(), mtime=0))


def make_cache(path: Path) -> None:
    """One file of the cache of machine code: its bytes, at ``path``."""
    with cache_at(path.parent / "cache"):
        step()
    path.write_bytes(cached(path).read_bytes())


def cached(path: Path) -> Path:
    """The file of machine code itself, whatever else the cache keeps beside it."""
    return max((p for p in (path.parent / "cache").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def use_cache(path: Path) -> str:
    """Run the program whose cached code this is said to be: it is what it was, or compiled and stored again."""
    stored, bad = cached(path), path.read_bytes()
    stored.write_bytes(bad)
    with cache_at(path.parent / "cache"):
        shown = step()
    assert stored.stat().st_size > 1000, "what is damaged is replaced"
    return shown


def step() -> str:
    """The right value of a compiled function, or an AssertionError."""
    f = cr.compile(lambda x: (cr.tanh(x) * 3.0 + x).sum())
    np.testing.assert_allclose(float(f(X)), float((np.tanh(X) * 3.0 + X).sum()), atol=1e-4)
    return ""


@contextlib.contextmanager
def cache_at(place: Path):
    """With machine code kept in this folder."""
    before = os.environ.get("CHAINRULE_CACHE")
    place.mkdir(exist_ok=True, mode=0o700)
    os.environ["CHAINRULE_CACHE"] = str(place)
    try:
        yield
    finally:
        os.environ.pop("CHAINRULE_CACHE")
        if before is not None:
            os.environ["CHAINRULE_CACHE"] = before


def either(*ways: Callable[[forgery.Rng, bytes], bytes]) -> Callable[[forgery.Rng, bytes], bytes]:
    """One of these ways to spoil a file."""
    return lambda rng, good: rng.choice(ways)(rng, good)


SAFETENSORS = either(forgery.damaged, forgery.foreign, *[forgery.forged] * 6)
TABLES = [forgery.foreign, *[forgery.damaged] * 9]


def damaged_inside(rng: forgery.Rng, good: bytes) -> bytes:
    """A sound gzip file of a table that is not."""
    return gzip.compress(forgery.damaged_text(rng, gzip.decompress(good)), mtime=0)


READERS = {
    "model": Reader(".safetensors", lambda path: train("class").save(path), use_model, SAFETENSORS),
    "regression": Reader(".safetensors", lambda path: train("size").save(path), use_model, SAFETENSORS),
    "checkpoint": Reader(".ckpt", make_checkpoint, use_checkpoint, SAFETENSORS),
    "unfinished": Reader(".ckpt", make_unfinished, use_checkpoint, SAFETENSORS),
    "cache": Reader(".code", make_cache, use_cache, forgery.damaged),
    "csv": Reader(".csv", write_csv, use_table, forgery.damaged_text),
    "gzip": Reader(".csv.gz", write_gzip, use_table, either(*TABLES, *[damaged_inside] * 10)),
    "parquet": Reader(
        ".parquet", lambda path: frame().write_parquet(path), use_table, either(*TABLES, *[odd_parquet] * 10)
    ),
    "arrow": Reader(
        ".arrow", lambda path: frame().write_ipc(path), use_table, either(*TABLES, *[odd_arrow] * 10)
    ),
}
