"""``chainrule train --no-ensemble`` on a large table: seconds and peak memory, whole and by stages.

    python benchmarks/large_table.py                                  3 million rows, CSV and Parquet; a minute
    python benchmarks/large_table.py --before ../before               beside another source tree; they take turns
    python benchmarks/large_table.py --rows 300000 --kind classes     fewer rows, classes to predict
    python benchmarks/large_table.py --rows 200 --columns 10000       a wide table

The table has numbers, two categories (of 6 and of 20 texts) and a target. Kinds: the target is numbers, classes or
integers; ``gaps`` leaves out one cell in twenty and has a date; ``quotes`` has a text with a comma in every row. One
epoch of minibatches of 1024 rows is trained, so that it is everything else that shows.

``command`` is a process of its own, as a user starts it: its peak is that of its resident memory, pages of libraries
included. The stages are a second process, which begins its peak anew before each (Linux: VmHWM). Beside the seconds
that pass stand those of the processors, which other work on the machine changes less. All figures are the least over
the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MB = 1e6
COMMAND = "import sys; from chainrule.cli import main; sys.exit(main(sys.argv[1:]))"
OWN = Path(__file__).parents[1]
OPTIONS = ["--target", "y", "--no-ensemble", "--epochs", "1", "--batch-size", "1024", "--quiet"]
Figures = tuple[float, float, float]  # seconds, seconds of the processors, most bytes held
KINDS = ("numbers", "classes", "integers", "gaps", "quotes")


def make_table(folder: Path, rows: int, columns: int, kind: str) -> None:
    """Write the table as CSV and as Parquet."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    numbers = {f"x{i}": rng.normal(size=rows).round(4) for i in range(columns)}
    shape, town = rng.integers(0, 6, rows), rng.integers(0, 20, rows)
    noise = 0.1 * rng.normal(size=rows)
    y = (2 * numbers["x0"] + np.sin(numbers["x1"]) + 0.1 * shape + noise).round(4)
    frame = pl.DataFrame(numbers).with_columns(
        shape=pl.Series([f"shape {i}" for i in range(6)]).gather(shape),
        town=pl.Series([f"town {i}" for i in range(20)]).gather(town),
        y=pl.Series(y),
    )
    if kind in {"classes", "integers"}:
        bins = pl.Series(np.digitize(y, [-2, 0, 2]))
        frame = frame.with_columns(y=bins if kind == "integers" else "class " + bins.cast(pl.String))
    if kind == "gaps":
        known = [pl.Series(rng.random(rows) > 0.05) for _ in frame.columns]
        days = pl.Series(rng.integers(0, 20_000, rows), dtype=pl.Int32).cast(pl.Date)
        frame = frame.with_columns(
            pl.when(here).then(pl.col(name)).alias(name)
            for name, here in zip(frame.columns, known, strict=True)
        ).with_columns(day=days)
    if kind == "quotes":
        frame = frame.with_columns(place=pl.Series(["here, there", "there"]).gather(shape % 2))
    frame.write_csv(folder / "table.csv")
    frame.write_parquet(folder / "table.parquet")


def run_command(path: Path, tree: Path) -> Figures:
    """Run the command."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", path.name, *options(tree)],
        cwd=path.parent,
        env=environment(tree),
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"the command failed with {status}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0


def options(tree: Path) -> list[str]:
    """The options of a single network; older trees train nothing else."""
    known = "no-ensemble" in "".join(path.read_text() for path in (tree / "src/chainrule/cli").glob("*.py"))
    return [option for option in OPTIONS if known or option != "--no-ensemble"]


def environment(tree: Path) -> dict[str, str]:
    """The one in which the sources of that tree are imported."""
    return {**os.environ, "PYTHONPATH": str(tree.resolve() / "src")}


class Stages:
    """What each stage took."""

    def __init__(self) -> None:
        self.found: dict[str, Figures] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what the block does."""
        with contextlib.suppress(
            OSError
        ):  # where there is no such file, the peak is that of the process so far
            Path("/proc/self/clear_refs").write_text("5")
        start, used = time.perf_counter(), time.process_time()
        yield
        self.found[name] = (time.perf_counter() - start, time.process_time() - used, peak())


def peak() -> float:
    """The most bytes that this process held since the peak began anew."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def run_stages(path: Path) -> dict[str, Figures]:
    """What the command does, stage by stage, in this process."""
    stages = Stages()
    stage = stages.stage
    with stage("import"):
        from chainrule.cli.sources import load_source
        from chainrule.cli.train import write_report
        from chainrule.tables import TrainingSettings, prepare, train
        from chainrule.tables.examples import calibration, worst_rows
        from chainrule.tables.findings import findings_of
        from chainrule.tables.importance import importances
    with stage("read"):
        source = load_source(str(path))
    with stage("split, learn, encode"):
        prepared = prepare(source.frame, "y", TrainingSettings(epochs=1, batch_size=1024))
    with stage("train, score"):
        trained = train(prepared, progress=False)
    with stage("save"):
        trained.model.save(path.with_name("model.safetensors"))
    with stage("  importance"):
        importances(trained)
    with stage("  findings"):
        findings_of(trained)
    with stage("  calibration"):
        calibration(trained)
    with stage("  worst rows"):
        worst_rows(trained)
    with stage("report, all of it"):
        mode = {"mode": 0o600} if "mode" in inspect.signature(write_report).parameters else {}  # new
        write_report(trained, path.with_name("model.safetensors"), path.with_name("report.html"), **mode)
    return stages.found


def measure(path: Path, tree: Path) -> dict[str, Figures]:
    """The command, and its stages in a process of their own."""
    found = {"command": run_command(path, tree)}
    command = [sys.executable, str(Path(__file__).resolve()), "--stages", str(path)]
    done = subprocess.run(command, env=environment(tree), capture_output=True, text=True, check=False)
    if done.returncode and tree != OWN:  # an older tree may lack a stage
        return found
    if done.returncode:
        raise SystemExit(done.stderr)
    return found | json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Make the table, measure, and print a table for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--columns", type=int, default=10, help="of numbers")
    parser.add_argument("--kind", choices=KINDS, default="numbers")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--file", choices=("csv", "parquet"), action="append")
    parser.add_argument("--before", type=Path, help="a source tree to compare with")
    parser.add_argument("--stages", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stages:
        print(json.dumps(run_stages(given.stages)))
        return
    trees = [*filter(None, [given.before]), OWN]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_table(folder, given.rows, given.columns, given.kind)
        for ending in given.file or ["parquet", "csv"]:
            path = folder / f"table.{ending}"
            rounds: dict[Path, list[dict[str, Figures]]] = {tree: [] for tree in trees}
            for _ in range(given.rounds):
                for tree in trees:
                    rounds[tree].append(measure(path, tree))
            show(ending, path.stat().st_size, rounds)


def show(ending: str, size: int, rounds: dict[Path, list[dict[str, Figures]]]) -> None:
    """Print the stages, before and after."""
    print(
        f"\n{ending}, {size / MB:.0f} MB\n\n| stage | seconds | of the processors | peak, MB |\n|---|---|---|---|"
    )
    for name in rounds[OWN][0]:
        cells = []
        for which, unit, digits in ((0, 1, 2), (1, 1, 2), (2, MB, 0)):
            least = [
                min(found[name][which] for found in runs) / unit
                for runs in rounds.values()
                if name in runs[0]
            ]
            cells.append(" -> ".join(f"{figure:.{digits}f}" for figure in least))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
