"""Reading CSV: MB a second of the processors for ``read_table``, and for polars on the same file.

    python benchmarks/reading.py                                 1 million rows, 20 columns; wide texts; two minutes
    python benchmarks/reading.py --before ../before              beside another source tree; they take turns
    python benchmarks/reading.py --rows 100000 --kind messy      fewer rows, of one kind

Kinds: ``plain`` has ten columns of floats, five of integers, three of categories, truth values and dates, with a few
empty cells. ``messy`` is the same with semicolons, spaces, NA, NaN, a decimal comma, dollars, dates such as 31.12.2020,
and odd cells late in columns of numbers. ``texts`` has 40 rows and 20,000 columns of text.

``cells`` is how long it takes until all cells are there as text; ``polars`` finds the types out itself. The figures are
seconds of the processors, all threads together, which other work on the machine changes less than those that pass; each
is the least over the rounds, and all take turns in one process.
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

ROUNDS = 3
KINDS = ("plain", "messy", "texts")
COLUMNS = 20_000  # of the wide table


def plain_columns(rows: int) -> list[Any]:
    """Columns as most files have them."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)

    def gaps(series: pl.Series) -> pl.Series:
        here = pl.Series(rng.random(rows) > 0.05)
        return pl.select(pl.when(here).then(series).alias(series.name)).to_series()

    def floats(name: str, digits: int, scale: float) -> pl.Series:
        return pl.Series(name, (scale * rng.normal(size=rows)).round(digits))

    def texts(name: str, count: int) -> pl.Series:
        different = pl.Series([f"{name} {number}" for number in range(count)])
        return different.gather(rng.integers(0, count, rows)).alias(name)

    return [
        *(floats("f4", 4, 1), floats("f2", 2, 500), floats("f6", 6, 1), floats("f1", 1, 1e6)),
        *(pl.Series("full", rng.normal(size=rows)), pl.Series("share", rng.random(rows).round(5))),
        pl.Series("single", rng.normal(size=rows).astype(np.float32)),
        *(gaps(floats("gaps", 3, 1)), gaps(floats("more", 2, 10)), floats("y", 4, 1)),
        *(pl.Series("digit", rng.integers(0, 10, rows)), pl.Series("four", rng.integers(0, 10_000, rows))),
        *(pl.Series("long", rng.integers(-(10**9), 10**9, rows)), pl.Series("row", np.arange(rows))),
        gaps(pl.Series("age", rng.integers(0, 100, rows))),
        *(texts("shape", 6), texts("town", 20), gaps(texts("street", 200))),
        pl.Series("open", rng.random(rows) > 0.5),
        pl.Series("day", rng.integers(0, 20_000, rows), dtype=pl.Int32).cast(pl.Date),
    ]


def messy_columns(rows: int) -> list[Any]:
    """The same columns as other files have them."""
    import polars as pl

    frame = pl.DataFrame(plain_columns(rows))

    def late(name: str, text: str) -> pl.Expr:
        is_early = pl.int_range(pl.len()) != 7 * rows // 10
        return pl.when(is_early).then(pl.col(name).cast(pl.String)).otherwise(pl.lit(text))

    return frame.with_columns(
        pl.col("f2").cast(pl.String) + " ",
        pl.when(pl.col("full") < 1.5).then(pl.col("full").cast(pl.String)).otherwise(pl.lit("NaN")),
        pl.col("f1").cast(pl.String).str.replace(".", ",", literal=True),
        ("$" + pl.col("long").cast(pl.String)).alias("long"),
        pl.col("age").cast(pl.String).fill_null("NA"),
        pl.col("day").dt.strftime("%d.%m.%Y"),
        late("single", "n/a"),
        late("four", "0007"),
        late("y", "unknown"),
    ).get_columns()


def write(path: Path, kind: str, rows: int) -> None:
    """Write the table of that kind."""
    import numpy as np
    import polars as pl

    if kind == "texts":
        words = pl.Series(["red", "green", "a b", "blue 7", "n"])
        chosen = np.random.default_rng(0).integers(0, len(words), (COLUMNS, 40))
        pl.DataFrame({f"c{i}": words.gather(places) for i, places in enumerate(chosen)}).write_csv(path)
        return
    columns = plain_columns(rows) if kind == "plain" else messy_columns(rows)
    pl.DataFrame(columns).write_csv(path, separator="," if kind == "plain" else ";")


def measure(path: Path, rounds: int) -> dict[str, float]:
    """The least seconds of the processors."""
    import polars as pl

    from chainrule.data import read_table
    from chainrule.data.files.csv_cells import text_table
    from chainrule.data.tables import opened

    # a late odd cell is an error to polars unless it looks at all rows
    separator, looked_at = (";", None) if path.stem == "messy" else (",", 1000)
    ways: dict[str, Callable[[], Any]] = {
        "read_table": lambda: read_table(path),
        "cells": lambda: sum(frame.height for frame in text_table(opened(path)).frames),
        "polars": lambda: pl.read_csv(path, separator=separator, infer_schema_length=looked_at),
    }
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            least[name] = min(least[name], time.process_time() - start)
    return least


def run(path: Path, tree: Path, rounds: int) -> dict[str, float]:
    """Measure in a process of its own, with the sources of that tree."""
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(path), "--rounds", str(rounds)]
    paths = {**os.environ, "PYTHONPATH": str(tree.resolve() / "src")}
    done = subprocess.run(command, env=paths, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    """Make the tables, measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--before", type=Path, help="a source tree to compare with")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.rounds)))
        return
    print("| file | MB | tree | read_table, MB/s | cells | polars | read_table, s |\n" + "|---" * 7 + "|")
    trees = {"before": given.before, "this": Path(__file__).parents[1]}
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kind or KINDS:
            path = Path(folder) / f"{kind}.csv"
            write(path, kind, given.rows)
            size = path.stat().st_size / 1e6
            for name, tree in trees.items():
                if tree is not None:
                    found = run(path, tree, given.rounds)
                    speeds = " | ".join(f"{size / seconds:.0f}" for seconds in found.values())
                    print(
                        f"| {kind} | {size:.0f} | {name} | {speeds} | {found['read_table']:.2f} |", flush=True
                    )


if __name__ == "__main__":
    main()
