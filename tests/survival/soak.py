"""``python -m tests.survival.soak --minutes 60 --seed 0``: one process that does everything, and must not grow.

It makes random runs through all that is public: training with restarts, threads, checkpoints and interrupts, compiled
functions, estimators, tables, drawings, reports, ONNX, errors on purpose, several threads at once, with the cache of
machine code on and off. Meanwhile it measures what it holds; behind a warm-up that must stay flat.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import math
import os
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

import chainrule as cr
from chainrule import classic, exchange, nn, optim, tables
from chainrule.errors import ChainruleError
from chainrule.estimators import GraphNetworkClassifier, MLPClassifier, MLPRegressor, Ridge
from chainrule.training import EarlyStopping

Rng = np.random.Generator
Action = Callable[[Rng, Path], object]

# What is done


def _rows(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(int(rng.choice([20, 33, 64])), 3)).astype(np.float32)
    return x, np.tanh(x[:, :1])


def _model(rng: Rng) -> nn.Module:
    width = int(rng.choice([2, 4, 8]))
    kind = rng.integers(3)
    if kind == 0:
        return nn.GraphNetwork(
            [("a", "h"), ("b", "h"), ("c", "h"), ("h", "o"), ("a", "o")], ["a", "b", "c"], ["o"]
        )
    if kind == 1:
        return nn.Sequential(
            nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 1)
        )
    return nn.MLP([3, width, 1], str(rng.choice(["relu", "tanh"])), seed=int(rng.integers(100)))


def _optimizer(rng: Rng) -> optim.Optimizer:
    rate = optim.CosineDecay(0.01, 40) if rng.random() < 0.3 else 0.01
    return [optim.Adam, optim.SGD, optim.RMSprop, optim.AdamW][rng.integers(4)](rate)


def _fit(rng: Rng, **more: object) -> cr.History:
    settings = {"loss": nn.squared_error, "epochs": 3, "batch_size": 16, "progress": False}
    return cr.fit(_model(rng), _rows(rng), **settings | {"optimizer": _optimizer(rng)} | more)


def fit(rng: Rng, folder: Path) -> object:
    """A run, with restarts and threads, validation, early stopping, interpreted at times."""
    more: dict[str, object] = {"restarts": int(rng.integers(1, 4)), "threads": int(rng.integers(1, 3))}
    if rng.random() < 0.3:
        more |= {"validation": _rows(rng), "stop": EarlyStopping(2)}
    if rng.random() < 0.2:
        more |= {"executor": "interpreted", "threads": None}
    return _fit(rng, seed=int(rng.integers(1000)), **more)


def resume(rng: Rng, folder: Path) -> object:
    """A run that is interrupted in a callback, and goes on from its checkpoint."""
    path, seed = folder / "run.safetensors", int(rng.integers(2**31))
    stop_at = int(rng.integers(1, 4))

    def interrupt(epoch: cr.Epoch) -> None:
        if epoch.number == stop_at:
            raise KeyboardInterrupt

    def run(*callbacks: object, **more: object) -> cr.History:
        return _fit(np.random.default_rng(seed), checkpoint=path, callbacks=callbacks, **more)

    with contextlib.suppress(KeyboardInterrupt):
        run(interrupt)
    try:
        return run(resume=path.exists())
    finally:
        path.unlink(missing_ok=True)


def compiled(rng: Rng, folder: Path) -> object:
    """Compiled functions and gradients, of forms old and new."""
    power = int(rng.integers(2, 5))
    x = rng.normal(size=(int(rng.integers(1, 6)), 4))

    def f(a: cr.Tensor) -> cr.Tensor:
        return (cr.tanh(a) ** power).sum()

    cr.compile(f)(x)
    cr.compile(cr.grad(f))(x)
    return cr.hessian(f)(x[0])


def eager(rng: Rng, folder: Path) -> object:
    """Steps by hand, eager and compiled."""
    model, optimizer = _model(rng), _optimizer(rng)
    optimizer.attach(model)
    x, y = _rows(rng)

    def step(a: cr.Tensor, b: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = nn.squared_error(model(a), b)
        loss.backward()
        optimizer.step()
        return loss

    step(cr.tensor(x), cr.tensor(y))
    optimizer.zero_grad()
    fast = cr.compile(step)
    fast(x, y)
    return fast(x, y)


def estimator(rng: Rng, folder: Path) -> object:
    """Estimators of all tasks, in one go and row by row."""
    x, y = _rows(rng)
    labels = (y[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)
    settings = {"max_iter": 3, "random_state": int(rng.integers(100))}
    made = [
        MLPClassifier((4,), early_stopping=bool(rng.integers(2)), **settings).fit(x, labels),
        MLPClassifier((4,), restarts=2, **settings).fit(x, labels),
        MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", **settings).fit(x, y[:, 0]),
        GraphNetworkClassifier(**settings).partial_fit(x, labels, classes=[0, 1, 2]),
        Ridge().fit(x, y[:, 0]),
    ]
    return [model.predict(x) for model in made]


def table(rng: Rng, folder: Path) -> object:
    """A table trained on, saved, read, predicted, reported and exported, by the functions or the command line."""
    x, y = _rows(rng)
    frame = pl.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "c": ["u", "v"] * (len(x) // 2) + ["w"] * (len(x) % 2), "y": y[:, 0]}
    )
    if rng.random() < 0.3:
        from chainrule.cli import main

        frame.write_csv(folder / "t.csv")
        out = ["--out", str(folder / "m.safetensors"), "--report", str(folder / "r.html"), "--json"]
        out += ["--no-ensemble"] if rng.random() < 0.5 else ["--folds", "2"]
        assert (
            main(["train", str(folder / "t.csv"), "--target", "y", "--epochs", "2", "--hidden", "4", *out])
            == 0
        )
        predicted = ["--out", str(folder / "p.csv")]
        return main(["predict", str(folder / "m.safetensors"), str(folder / "t.csv"), *predicted])
    model = tables.train_table(frame, "y", tables.TrainingSettings(epochs=2, hidden=(4,))).model
    model.save(folder / "m.safetensors")
    return cr.load_model(folder / "m.safetensors").predict(frame)


def look(rng: Rng, folder: Path) -> object:
    """Drawings, explanations, a diagnosis, summaries, gradients checked."""
    model, (x, y) = _model(rng), _rows(rng)
    model.eval()
    cr.draw(model, cr.tensor(x[:1])).save(folder / "net.svg")
    loss = nn.squared_error(model(cr.tensor(x)), y)
    str(cr.explain(loss))
    str(cr.diagnose(nn.MLP([3, 4, 1], seed=0), (x, y), nn.squared_error))
    repr(model.summary(x))
    classic.perceptron(x, np.where(y[:, 0] > 0, 1.0, -1.0), epochs=3)
    return model.predict(x)


def onnx(rng: Rng, folder: Path) -> object:
    """An ONNX file."""
    return exchange.to_onnx(_model(rng), example=np.zeros((1, 3), np.float32))


def interrupt_anywhere(rng: Rng, folder: Path) -> object:
    """KeyboardInterrupt out of the model while it is traced, and out of a callback among several threads."""
    state = {"left": int(rng.integers(1, 4))}

    class Interrupted(nn.Linear):
        def forward(self, x: cr.Tensor) -> cr.Tensor:
            state["left"] -= 1
            if not state["left"]:
                raise KeyboardInterrupt
            return super().forward(x)

    def callback(epoch: cr.Epoch) -> None:
        if rng.random() < 0.4:
            raise KeyboardInterrupt

    more = {"loss": nn.squared_error, "optimizer": optim.Adam(), "epochs": 3, "progress": False}
    with contextlib.suppress(KeyboardInterrupt):
        cr.fit(Interrupted(3, 1), _rows(rng), **more)
    with contextlib.suppress(KeyboardInterrupt):
        _fit(rng, restarts=3, threads=2, callbacks=[callback])
    return None


def _wrong_model(rng: Rng, folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes(bytes(rng.integers(0, 256, 300, dtype=np.uint8)))
    cr.load_model(folder / "bad.safetensors")


#: what users do wrong; each is to end in an error of ours
MISTAKES: list[Action] = [
    lambda rng, folder: cr.tensor([1.0, 2.0]) + cr.tensor([1.0, 2.0, 3.0]),
    lambda rng, folder: _fit(rng, validation=(np.full((3, 3), np.nan), np.zeros((3, 1)))),
    lambda rng, folder: _fit(rng, epochs=-1),
    lambda rng, folder: cr.fit(nn.Linear(2, 1), _rows(rng), loss=nn.squared_error, optimizer=optim.SGD(0.1)),
    lambda rng, folder: cr.compile(lambda x: float(x.sum()))(np.ones(3)),
    lambda rng, folder: cr.tensor(np.ma.masked_equal([1.0, 2.0], 2.0)),
    lambda rng, folder: tables.train_table(pl.DataFrame({"a": [1.0, 2.0]}), "b"),
    lambda rng, folder: MLPRegressor().fit(np.full((3, 2), np.inf), [1.0, 2.0, 3.0]),
    lambda rng, folder: cr.compile(cr.log, nonfinite="raise")(np.array([-1.0])),
    _wrong_model,
]


def mistakes(rng: Rng, folder: Path) -> object:
    """Errors on purpose, whose tracebacks hold frames of all layers."""
    for i in rng.permutation(len(MISTAKES))[:4]:
        try:
            MISTAKES[i](rng, folder)
        except ChainruleError:
            continue
        raise AssertionError(f"mistake {i} was not noticed")
    return None


def diverge(rng: Rng, folder: Path) -> object:
    """A run whose numbers overflow, with warnings."""
    return _fit(rng, optimizer=optim.SGD(1e20), epochs=2)


def at_once(rng: Rng, folder: Path) -> object:
    """Two or three of the others in threads of their own."""
    chosen = [
        ACTIONS[i]
        for i in rng.choice(["fit", "compiled", "eager", "estimator", "onnx"], int(rng.integers(2, 4)))
    ]
    seeds = rng.integers(2**31, size=len(chosen))
    with ThreadPoolExecutor(len(chosen)) as pool:
        waited = [
            pool.submit(act, np.random.default_rng(s), folder) for act, s in zip(chosen, seeds, strict=True)
        ]
        return [one.result() for one in waited]


ACTIONS: dict[str, Action] = {
    action.__name__: action
    for action in (
        fit, resume, compiled, eager, estimator, table, look, onnx, interrupt_anywhere, mistakes, diverge, at_once
    )
}  # fmt: skip

# What is measured


def _resident() -> float | None:
    """Memory in MB that is in the machine's, after what was freed went back."""
    if not Path("/proc/self/statm").exists():
        return None
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _lines(path: str) -> int | None:
    return len(Path(path).read_text().splitlines()) if Path(path).exists() else None


def _entries(path: str) -> int | None:
    return len(list(Path(path).iterdir())) if Path(path).exists() else None


#: what a process holds; None where this system does not say. The allowed growth is (a share, and a number besides).
MEASURES: dict[str, tuple[Callable[[Path], float | None], float, float]] = {
    "memory, MB": (lambda folder: _resident(), 0.02, 3.0),
    "handles": (lambda folder: _entries("/proc/self/fd"), 0.0, 0.0),
    "threads": (lambda folder: _entries("/proc/self/task") or threading.active_count(), 0.0, 0.0),
    "maps": (lambda folder: _lines("/proc/self/maps"), 0.02, 10.0),
    "objects": (lambda folder: len(gc.get_objects()), 0.01, 2000.0),
    "uncollectable": (lambda folder: len(gc.garbage), 0.0, 0.0),
    "temporary files": (lambda folder: sum(1 for _ in folder.rglob("*.tmp*")), 0.0, 0.0),
}


@dataclass
class Soak:
    """Counts of runs, and what was measured after each ``every``-th of them."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})

    def measure(self, folder: Path) -> None:
        """One sample of everything, after a collection."""
        gc.collect()
        for name, (measure, _, _) in MEASURES.items():
            value = measure(folder)
            if value is not None:
                self.samples[name].append(float(value))

    def growth(self) -> Iterator[tuple[str, float, float, bool]]:
        """For each measure the medians of the first and of the last quarter behind the warm-up; whether it is flat."""
        for name, (_, share, besides) in MEASURES.items():
            kept = self.samples[name][len(self.samples[name]) // 4 :]
            if len(kept) < 4:
                continue
            quarter = len(kept) // 4
            first, last = median(kept[:quarter]), median(kept[-quarter:])
            yield name, first, last, last <= first * (1 + share) + besides

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew, and every run ended as it should."""
        return not self.errors and all(flat for *_, flat in self.growth())

    def __str__(self) -> str:
        runs = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        lines = [
            f"{sum(self.counts.values())} runs: {runs}",
            f"{'':16}{'first':>12}{'last':>12}{'largest':>12}",
        ]
        for name, first, last, flat in self.growth():
            most = max(self.samples[name])
            lines.append(f"{name:16}{first:12.1f}{last:12.1f}{most:12.1f}  {'flat' if flat else 'GROWS'}")
        return "\n".join([*lines, f"{len(self.errors)} runs ended in other errors", *self.errors[:5]])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


def soak(
    seconds: float,
    seed: int,
    folder: Path,
    every: int = 20,
    names: list[str] | None = None,
    runs: float = math.inf,
) -> Soak:
    """Random runs for so long, or so many of them, in ``folder``; a sample after each ``every``-th.

    Each kind of run comes three times before the first sample: it loads what it needs, and fills caches.
    """
    rng, result = np.random.default_rng(seed), Soak()
    chosen = names or list(ACTIONS)
    before = os.environ.get("CHAINRULE_CACHE")
    end = time.monotonic() + seconds
    try:
        for name in 3 * chosen:
            _one(name, rng, folder, result)
        while time.monotonic() < end and result.counts.total() < runs:
            _one(str(rng.choice(chosen)), rng, folder, result)
            if result.counts.total() % every == 0:
                result.measure(folder)
    finally:
        os.environ.pop("CHAINRULE_CACHE", None)
        if before is not None:
            os.environ["CHAINRULE_CACHE"] = before
    return result


def _one(name: str, rng: Rng, folder: Path, result: Soak) -> None:
    """One run, without what it prints; its error, if it has one, is kept as text."""
    os.environ["CHAINRULE_CACHE"] = "off" if rng.random() < 0.5 else str(folder / "cache")
    with _quiet():
        try:
            ACTIONS[name](np.random.default_rng(rng.integers(2**31)), folder)
        except Exception:  # whatever it is, it is a find
            result.errors.append(f"{name}: {traceback.format_exc()}")
    result.counts[name] += 1


def main() -> int:
    """Soak for the time given; 1 if anything grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.survival.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", choices=ACTIONS, action="append", help="these runs only, to find what grows"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(60 * given.minutes, given.seed, Path(folder), names=given.only)
    print(found)
    return not found.is_flat


if __name__ == "__main__":
    sys.exit(main())
