"""What looking for numbers that are not finite costs while there are none: ``nonfinite="warn"`` beside "ignore".

    python benchmarks/nonfinite.py        about 20 seconds

The two take turns; the ratio is that of the medians. The first round warms up.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

import chainrule as cr
from chainrule import nn, optim

ROUNDS = 9
CASES = [  # layers, minibatch, rows, epochs
    ((4, 8, 3), 1, 150, 2000),
    ((20, 64, 64, 10), 32, 3200, 60),
    ((784, 256, 128, 10), 200, 12000, 2),
]


def seconds(layers: tuple[int, ...], batch: int, rows: int, epochs: int, nonfinite: str) -> float:
    """Of one step."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(rows, layers[0])).astype(np.float32), rng.integers(0, layers[-1], rows)
    model = nn.MLP(layers, seed=0)
    settings = {
        "epochs": epochs,
        "batch_size": batch,
        "threads": 1,
        "progress": False,
        "nonfinite": nonfinite,
    }
    began = time.perf_counter()
    history = cr.fit(model, data, loss=nn.cross_entropy, optimizer=optim.Adam(1e-4), **settings)
    return (time.perf_counter() - began) / history.steps


def main() -> None:
    """Measure and print a table."""
    print("| layers | batch | us a step | ratio |")
    print("|---|---|---|---|")
    for case in CASES:
        rounds = [[seconds(*case, mode) for mode in ("warn", "ignore")] for _ in range(ROUNDS)][1:]
        warn, ignore = (median(times) for times in zip(*rounds, strict=True))
        print(
            f"| {'-'.join(map(str, case[0]))} | {case[1]} | {1e6 * warn:.3g} | {warn / ignore:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
