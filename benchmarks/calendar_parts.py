"""What the parts of the calendar are worth: errors with them and without, where dates tell something and where not.

    python benchmarks/calendar_parts.py
    python benchmarks/calendar_parts.py --rows 100,300,1000 --seeds 3

A made-up table has four numbers and a time within three years. Its target depends on the numbers, and on what the line
is named after: the weekend, the hour, the season, or nothing. The error is the root mean square on 3,000 other rows
over the deviation of their target, the mean over the seeds.
"""

from __future__ import annotations

import argparse
import warnings
from unittest.mock import patch

import numpy as np
import polars as pl

from chainrule import tables

DAY = 86_400
PATTERNS = {
    "nothing": lambda when: 0 * when,
    "weekend": lambda when: (when // DAY + 3) % 7 >= 5,
    "hour": lambda when: np.sin(2 * np.pi * (when % DAY) / DAY + 1),
    "season": lambda when: np.cos(2 * np.pi * when / (365.25 * DAY)),
}


def table(pattern: str, rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    when = 1_500_000_000 + rng.integers(0, 3 * 365 * DAY, rows)
    x = rng.normal(size=(rows, 4))
    y = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + PATTERNS[pattern](when) + 0.5 * rng.normal(size=rows)
    columns = {f"x{i}": x[:, i] for i in range(4)}
    return pl.DataFrame({**columns, "when": pl.Series(when * 1_000_000).cast(pl.Datetime("us")), "y": y})


def error(pattern: str, rows: int, seed: int) -> float:
    others = table(pattern, 3_000, seed + 1_000)
    model = tables.train_table(table(pattern, rows, seed), "y").model
    difference = model.predict(others).values.to_numpy() - others["y"].to_numpy()
    return float(np.sqrt(np.mean(np.square(difference))) / others["y"].std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="100,300,1000")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(f"{'pattern':10s}{'rows':>6s}{'without':>9s}{'with':>9s}{'change':>9s}")
    for pattern in PATTERNS:
        for rows in map(int, given.rows.split(",")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                after = np.mean([error(pattern, rows, seed) for seed in range(given.seeds)])
                with patch("chainrule.data.features.training_table.telling_parts", lambda *_: ()):
                    before = np.mean([error(pattern, rows, seed) for seed in range(given.seeds)])
            print(f"{pattern:10s}{rows:6d}{before:9.3f}{after:9.3f}{after / before - 1:+9.1%}", flush=True)


if __name__ == "__main__":
    main()
