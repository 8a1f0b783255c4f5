"""What rows of their own cost: 32 replicas on 32 folds beside 32 replicas on the rows of one of them.

    python benchmarks/folds.py            about two minutes

The two take turns in one process; times are those of its processors, not of the clock. Each does as many steps of the
same sizes. "whole" is the call of ``cr.fit``, with machine code from the cache; the first round warms up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

import chainrule as cr
from chainrule import nn, optim

ROUNDS = 7
REPLICAS = 32


@dataclass(frozen=True)
class Case:
    """A network and its data."""

    layers: tuple[int, ...]
    batch: int
    rows: int
    epochs: int
    note: str = ""


CASES = [
    Case((4, 8, 3), 16, 160, 100),
    Case((20, 64, 64, 10), 32, 3200, 4),
    Case((20, 64, 64, 10), 32, 3210, 4, "folds of 100 and 101 rows"),
    Case((64, 128, 10), 128, 12_800, 3),
    Case((50, 64, 2), 256, 100_000, 1, "X of 20 MB"),
]


def seconds(case: Case, *, folds: bool) -> float:
    """Of the processors, for all replicas."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(case.rows, case.layers[0])).astype(np.float32)
    y = rng.integers(0, case.layers[-1], case.rows)
    rows = cr.folds(case.rows, REPLICAS)
    held = rows[0].validation
    if folds:
        data, more = (x, y), {"rows": rows}
    else:
        data, more = (x[rows[0].train], y[rows[0].train]), {"validation": (x[held], y[held])}
    began = time.process_time()
    cr.fit(
        nn.MLP(case.layers),
        data,
        loss=nn.cross_entropy,
        optimizer=optim.Adam(1e-3),
        epochs=case.epochs,
        batch_size=case.batch,
        restarts=REPLICAS,
        threads=1,
        progress=False,
        **more,
    )
    return time.process_time() - began


def main() -> None:
    """Measure and print a table."""
    print("| layers | batch | rows | epochs | same rows, s | 32 folds, s | ratio | |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        rounds = [[seconds(case, folds=folds) for folds in (False, True)] for _ in range(ROUNDS + 1)][1:]
        same, own = (median(times) for times in zip(*rounds, strict=True))
        ratio = median(own / same for same, own in rounds)
        layers = "-".join(map(str, case.layers))
        print(
            f"| {layers} | {case.batch} | {case.rows} | {case.epochs} | {same:.3g} | {own:.3g} | {ratio:.3f} "
            f"| {case.note} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
