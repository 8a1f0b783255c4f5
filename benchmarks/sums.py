"""Long sums in float32: how exact, how fast, and what a training step costs that contains them.

    python benchmarks/sums.py                       about a minute
    python benchmarks/sums.py --before ../before    beside another source tree of chainrule; they take turns

Errors are relative to sums in float64, the largest of all results. Times are the processor's, the least of all
rounds; each round runs in a process of its own, with one thread and an empty cache. Compiling is the first call less
the next one. A training step is that of ``cr.fit`` with Adam.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.program import Binary, Instance, run_parts
from chainrule.ops.record import Form
from chainrule.training.step import Objective, training_step

ROUNDS = 5
SECONDS = 0.2  # of repeating one thing in one round
STEPS = {  # layers, minibatch, options
    "xs": ((4, 8, 3), 1, {}),
    "small": ((20, 64, 64, 10), 32, {}),
    "digits": ((64, 128, 10), 128, {}),
    "digits, batch norm": ((64, 128, 10), 128, {"batch_norm": True}),
    "mnist-size": ((784, 256, 128, 10), 200, {}),
    "long minibatch": ((64, 128, 10), 1024, {}),
    "long, batch norm": ((64, 128, 10), 1024, {"batch_norm": True}),
    "full batch": ((13, 16, 1), 20000, {}),
    "wide": ((2048, 64, 10), 64, {}),
}

Row = dict[str, float]


def cases() -> dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[np.ndarray, ...]]]:
    """What is summed, by chainrule and in float64, and the operands."""
    rng = np.random.default_rng(0)
    tall, flat, line = (
        rng.random(shape, np.float32) for shape in ((100_000, 64), (64, 100_000), (10_000_000,))
    )
    far = rng.normal(1000, 1, (1_000_000, 2)).astype(np.float32)
    tenths = np.full(10_000_000, 0.1, np.float32)
    a, b = (rng.random(3_000_000, np.float32) for _ in range(2))
    x, g = rng.random((100_000, 30), np.float32), rng.random((100_000, 10), np.float32)
    rows = rng.integers(0, 1000, 100_000)
    rows[::2] = 0

    def picked(table: Any) -> Any:
        return cr.sum(cr.take(table, rows, 0) * np.float32(0.1))

    def counts(table: np.ndarray) -> np.ndarray:
        return np.bincount(rows, minlength=1000)[:, None] * np.float64(np.float32(0.1)) * np.ones(table.shape)

    return {
        "sum, leading axis [100000, 64]": (lambda t: cr.sum(t, 0), lambda t: t.sum(0), (tall,)),
        "sum, last axis [64, 100000]": (lambda t: cr.sum(t, 1), lambda t: t.sum(1), (flat,)),
        "sum, all [10000000]": (cr.sum, np.sum, (line,)),
        "sum, all, 0.1 [10000000]": (cr.sum, np.sum, (tenths,)),
        "mean, 1000 +- 1 [1000000, 2]": (lambda t: cr.mean(t, 0), lambda t: t.mean(0), (far,)),
        "var, 1000 +- 1 [1000000, 2]": (lambda t: cr.var(t, 0), lambda t: t.var(0), (far,)),
        "dot [3000000]": (lambda a, b: a @ b, lambda a, b: a @ b, (a, b)),
        "x.T @ g [100000, 30], [100000, 10]": (lambda x, g: x.T @ g, lambda x, g: x.T @ g, (x, g)),
        "gradient of picked rows [1000, 16]": (cr.grad(picked), counts, (np.zeros((1000, 16), np.float32),)),
    }


def least_seconds(f: Callable[[], Any]) -> float:
    """The fastest of as many calls as fit."""
    best, began = np.inf, time.process_time()
    while time.process_time() - began < SECONDS:
        start = time.process_time()
        f()
        best = min(best, time.process_time() - start)
    return best


def of_sums() -> dict[str, Row]:
    """Errors and seconds, eager and compiled."""
    found = {}
    for name, (f, exact, operands) in cases().items():
        truth = np.asarray(exact(*(x.astype(np.float64) for x in operands)))
        tensors = [cr.tensor(x) for x in operands]
        compiled = cr.compile(f)

        def error(result: Any, truth: np.ndarray = truth) -> float:
            return float(np.max(np.abs(np.asarray(result, np.float64) - truth) / np.abs(truth)))

        began = time.process_time()
        result = compiled(*operands)
        first = time.process_time() - began
        row = {"eager error": error(f(*tensors)), "compiled error": error(result)}
        row["eager"] = least_seconds(lambda f=f, tensors=tensors: f(*tensors))
        row["compiled"] = least_seconds(lambda compiled=compiled, operands=operands: compiled(*operands))
        row["compile"] = first - row["compiled"]
        found[name] = row
    return found


def of_steps() -> dict[str, Row]:
    """Seconds of an optimizer step, as ``cr.fit`` runs it."""
    found = {}
    for name, (layers, batch, options) in STEPS.items():
        rng = np.random.default_rng(0)
        steps = max(1, 4096 // batch)
        x = rng.normal(size=(steps * batch, layers[0])).astype(np.float32)
        y, loss = rng.integers(0, max(layers[-1], 2), len(x)), nn.cross_entropy
        if layers[-1] == 1:
            y, loss = y.astype(np.float32)[:, None], nn.squared_error
        model, optimizer = nn.MLP(layers, seed=0, **options), optim.Adam(1e-6)
        optimizer.attach(model)
        forms = Form((batch, layers[0]), x.dtype), Form((batch, *y.shape[1:]), y.dtype)
        step = training_step(Objective(model=model, loss=loss, penalty=None), optimizer, None, forms)
        updates = [(before, after) for _, before, after in step.updates]
        began = time.process_time()
        program = Instance(Binary(step.inputs, step.outputs, updates, rows=batch))
        compiling = time.process_time() - began
        part = program.part((x, y), None, steps, 1)
        run_parts([part])
        best = min(least_seconds(lambda part=part: run_parts([part])) for _ in range(2))
        found[name] = {"step": best / steps, "compile": compiling}
    return found


def measured(tree: Path | None) -> Any:
    """One round in a process of its own, of this source tree or another one."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "CHAINRULE_CACHE": cache, "OPENBLAS_NUM_THREADS": "1"}
        if tree is not None:
            environment["PYTHONPATH"] = str(tree / "src")
        command = [sys.executable, __file__, "--measure"]
        return json.loads(
            subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        )


def least(rounds: list[dict[str, dict[str, Row]]], part: str, name: str, column: str) -> float:
    """The least of all rounds."""
    return min(one[part][name][column] for one in rounds)


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="a source tree to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps({"sums": of_sums(), "steps": of_steps()}))
        return
    trees = [None] if given.before is None else [given.before, None]
    rounds: dict[Path | None, list[Any]] = {tree: [] for tree in trees}
    for _ in range(given.rounds):
        for tree in trees:
            rounds[tree].append(measured(tree))

    def cells(part: str, name: str, column: str, scale: float, digits: str) -> str:
        return " -> ".join(format(scale * least(rounds[tree], part, name, column), digits) for tree in trees)

    print("| sum | error, eager | error, compiled | ms, eager | ms, compiled | ms to compile |")
    print("|---|---|---|---|---|---|")
    for name in rounds[None][0]["sums"]:
        columns = (("eager error", 1, ".1e"), ("compiled error", 1, ".1e"), ("eager", 1e3, ".3g"))
        columns = (*columns, ("compiled", 1e3, ".3g"), ("compile", 1e3, ".0f"))
        print(f"| {name} | {' | '.join(cells('sums', name, *column) for column in columns)} |")
    print("\n| training | layers | minibatch | us a step | ratio | ms to compile |")
    print("|---|---|---|---|---|---|")
    for name, (layers, batch, _) in STEPS.items():
        before, now = (least(rounds[tree], "steps", name, "step") for tree in (trees[0], None))
        ratio = f"{now / before:.3f}" if given.before else ""
        step, compiling = (
            cells("steps", name, "step", 1e6, ".3g"),
            cells("steps", name, "compile", 1e3, ".0f"),
        )
        print(f"| {name} | {'-'.join(map(str, layers))} | {batch} | {step} | {ratio} | {compiling} |")


if __name__ == "__main__":
    main()
