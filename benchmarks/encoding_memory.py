"""The memory that a long table takes from its Parquet file to features in float32, in sizes of that file.

    python benchmarks/encoding_memory.py                     10 million rows, 8 columns; a minute, 2 GB of memory
    python benchmarks/encoding_memory.py --rows 1000000      fewer rows

The table has three columns of floats, one of them with gaps, two of integers, a category of six texts, dates, and a
target of floats. Stages: ``read`` is ``read_table``; ``fit`` learns the preprocessing; ``transform`` gives features in
float32 [rows, 12]; ``prepare`` is all that comes before training: it finds the readings, splits, learns and encodes.

``rise`` is the most memory held during the stage (Linux: VmHWM, reset just before) above what was held when it began,
the table included; a stage's own result counts. The bar, twice the size of the file, is for the rise of ``transform``.
Each column in memory is 8 bytes a row (categories 16), so that the table itself is about twice the file's size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MB = 1e6
BAR = 2.0


def make_table(path: Path, rows: int) -> None:
    """Write the table."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    shapes = pl.Series([f"shape {number}" for number in range(6)])
    known = pl.Series(rng.random(rows) > 0.05)
    pl.DataFrame(
        {
            "a": rng.normal(size=rows),
            "b": 100 * rng.normal(size=rows),
            "c": pl.select(pl.when(known).then(pl.Series(rng.random(rows)))).to_series(),
            "i": rng.integers(0, 1_000_000, rows),
            "j": rng.integers(0, 100, rows),
            "shape": shapes.gather(rng.integers(0, 6, rows)),
            "day": pl.Series(rng.integers(0, 20_000, rows), dtype=pl.Int32).cast(pl.Date),
            "y": rng.normal(size=rows),
        }
    ).write_parquet(path)


def memory(what: str) -> float:
    """Bytes that this process holds now (VmRSS), or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(what))


def measure(path: Path) -> dict[str, tuple[float, float, float, float]]:
    """For each stage: bytes held before, at most and afterwards, and seconds of the processors."""
    import polars as pl

    from chainrule.data import fit_preprocessor, read_table
    from chainrule.tables import prepare

    found = {}

    def stage(name: str, work: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")
        before, start = memory("VmRSS"), time.process_time()
        result = work()
        found[name] = (before, memory("VmHWM"), memory("VmRSS"), time.process_time() - start)
        return result

    fit_preprocessor(pl.DataFrame({"a": [1.0, 2.0], "y": [1.0, 3.0]}), "y")  # what is imported does not count
    frame = stage("read", lambda: read_table(path))
    fitted, _ = stage("fit", lambda: fit_preprocessor(frame, "y"))
    stage("transform", lambda: fitted.transform(frame))
    stage("prepare", lambda: prepare(frame, "y"))
    return found


def main() -> None:
    """Make the table, measure in a process of its own, and print a table of the stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        make_table(path, given.rows)
        command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        size = path.stat().st_size
    print(f"Parquet {size / MB:.0f} MB\n")
    print("| stage | before, MB | peak | after | rise | rise / file | CPU s |\n" + "|---" * 7 + "|")
    for name, (before, peak, after, seconds) in json.loads(done.stdout).items():
        figures = [before / MB, peak / MB, after / MB, (peak - before) / MB]
        shown = " | ".join(f"{figure:.0f}" for figure in figures)
        bar = f" (bar {BAR:.0f})" if name == "transform" else ""
        print(f"| {name} | {shown} | {(peak - before) / size:.2f}{bar} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
