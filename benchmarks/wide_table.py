"""``chainrule train --no-ensemble`` on a table of many columns and on a small one: processor seconds.

    python benchmarks/wide_table.py                        200 rows of 10,000 numbers; 900 rows of 13 mixed columns
    python benchmarks/wide_table.py --before ../before     beside another source tree; they take turns

Each figure is of a process of its own, as a user starts it: imports, reading, preparing, training, findings and report.
Seconds of the processors are counted, which other work on the machine changes less than seconds that pass, and the
least over the rounds is told. The first round is left out: it fills the caches of byte code and machine code.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL = 5.0  # seconds for the wide table
COMMAND = "import sys; from chainrule.cli import main; sys.exit(main(sys.argv[1:]))"


def make_wide(path: Path, rows: int, columns: int) -> None:
    """Numbers with four decimals, of which five make the target."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)).round(4)
    y = (x[:, :5].sum(1) + 0.1 * rng.normal(size=rows)).round(4)
    pl.DataFrame({f"c{i}": x[:, i] for i in range(columns)} | {"y": y}).write_csv(path)


def make_small(path: Path, rows: int = 900) -> None:
    """Numbers, categories and gaps, and a target of two classes."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    x, kinds = rng.normal(size=(rows, 6)).round(3), rng.integers(0, 4, (rows, 6))
    is_yes = x[:, 0] + kinds[:, 0] + rng.normal(size=rows) > 1.5
    texts = {f"k{i}": [f"kind {kind}" for kind in kinds[:, i].tolist()] for i in range(6)}
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(6)} | texts)
    gaps = pl.when(pl.Series(rng.random(rows) < 0.2)).then(None).otherwise(pl.col("x1")).alias("x1")
    frame.with_columns(gaps, y=pl.Series(np.where(is_yes, "yes", "no").tolist())).write_csv(path)


def processor_seconds(table: Path, tree: Path) -> float:
    """What a process takes that trains on the table with that tree's sources."""
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve() / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has byte code
    environment["PYTHONPYCACHEPREFIX"] = str(table.parent / "bytecode")
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "train",
        table.name,
        "--target",
        "y",
        "--no-ensemble",
        "--quiet",
    ]
    process = subprocess.Popen(command, cwd=table.parent, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed with {status}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make both tables, train on them in turn, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--columns", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, help="a source tree to compare with")
    given = parser.parse_args()
    trees = [*filter(None, [given.before]), Path(__file__).parents[1]]
    with tempfile.TemporaryDirectory() as name:
        wide, small = Path(name) / "wide.csv", Path(name) / "small.csv"
        make_wide(wide, given.rows, given.columns)
        make_small(small)
        print(
            f"processor seconds of `chainrule train --no-ensemble` (the wide table is to take less than {GOAL:g})"
        )
        for table, shape in ((wide, f"{given.rows} x {given.columns}"), (small, "900 x 13")):
            rounds = [[processor_seconds(table, tree) for tree in trees] for _ in range(given.rounds + 1)]
            least = [min(seconds) for seconds in zip(*rounds[1:], strict=True)]
            print(f"{shape}: " + " -> ".join(f"{seconds:.2f}" for seconds in least), flush=True)


if __name__ == "__main__":
    main()
