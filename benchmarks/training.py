"""Time of an optimizer step, and of a prediction for one row: chainrule beside the libraries one would use instead.

    python benchmarks/training.py                               every case; about 15 minutes
    python benchmarks/training.py --case small --case digits    some of them
    python benchmarks/training.py --compile --json found.json   with torch.compile, which compiles for long

Everyone does the same work: Adam, float32, relu, cross-entropy, the same sizes and minibatches on synthetic rows,
shuffled anew in every epoch. Before anything is timed each engine trains without shuffling from the same
parameters, and has to give chainrule's loss curve to 1e-4 (``equal_work``).

Each engine runs with 1 and with 2 threads (and as many cores), in processes of its own that take turns: a round
asks each of them once, for so many whole epochs that it works for ``--seconds``. Shown is the median of the
rounds, with the better number of threads. Compilation comes before; what ``cr.fit`` does around its epochs counts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from peers import ENGINES, REQUIRES, Case, Layers, serve, why_not

SMALL, DIGITS = (20, 64, 64, 10), (64, 128, 10)
CASES = [
    Case("xs", (4, 8, 3), batch=1, rows=150, bar=3.0),
    Case("small", SMALL, batch=32, rows=3200, bar=2.0),
    Case("digits", DIGITS, batch=128, rows=1792, bar=1.8),
    Case("mnist-size", (784, 256, 128, 10), batch=200, rows=12000, bar=1.4, check_rate=1e-4),
    Case("large", (1024, 1024, 1024, 10), batch=512, rows=4096, bar=0.95, check_rate=1e-4),
    Case("restarts-small", SMALL, batch=32, rows=3200, bar=3.5, restarts=32, check_rate=1e-4),
    Case("restarts-xs", (2, 3, 2), batch=16, rows=320, bar=3.0, restarts=32),
    Case("one-row", DIGITS, batch=1, rows=128, bar=2.0, one_row=True),
]
THREADS = (1, 2)
RATE = 1e-4  # of the timed runs: the networks stay far from rows learnt by heart, whose gradients vanish
CHECK_EPOCHS, TOLERANCE = 3, 1e-4


@dataclass
class Runner:
    """An engine in its process, and the times it took (seconds of a step, or of a prediction)."""

    engine: str
    threads: int
    process: Any
    pipe: Any
    times: list[float] = field(default_factory=list)
    count: int = 1

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a method of the engine."""
        self.pipe.send((name, arguments))
        try:
            good, answer = self.pipe.recv()
        except EOFError:
            good, answer = False, f"its process ended with {self.process.exitcode}"
        if not good:
            raise RuntimeError(f"{self.engine}, {self.threads} threads: {name} failed\n{answer}")
        return answer

    def work(self, case: Case, count: int) -> float:
        """Seconds of so many epochs, or predictions."""
        arguments = ("predict", count) if case.one_row else ("train", count, RATE, True)
        return self.ask(*arguments)[0]

    def prepare(self, case: Case, seconds: float) -> None:
        """Warm up, and find how much work takes so long."""
        self.work(case, 1)
        while (spent := self.work(case, self.count)) < seconds / 4:
            self.count = max(2 * self.count, int(min(seconds / spent, 30) * self.count))
        self.count = max(1, round(self.count * seconds / spent))

    def round(self, case: Case) -> None:
        """Time it once."""
        steps = self.count * (1 if case.one_row else case.steps)
        self.times.append(self.work(case, self.count) / steps)


@contextmanager
def started(engine: str, case: Case, threads: int) -> Iterator[Runner]:
    """An engine's process, with thread settings in its environment."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    os.environ.update(dict.fromkeys(names, str(threads)))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, engine, case, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Runner(engine, threads, process, ours)
    finally:
        process.terminate()
        process.join()


def equal_work(case: Case, runners: list[Runner]) -> float:
    """The largest relative difference from chainrule's loss curve, or probabilities; SystemExit beyond 1e-4."""
    arguments = ("predict", 1) if case.one_row else ("train", CHECK_EPOCHS, case.check_rate, False)
    reference = runners[0].ask(*arguments)[1]
    if not case.one_row and np.abs(reference[:, -1] / reference[:, 0] - 1).max() < 10 * TOLERANCE:
        raise SystemExit(f"{case.name}: the loss hardly moves, so equal losses would not show equal work")
    largest = 0.0
    for runner in runners[1:]:
        found = runner.ask(*arguments)[1]
        if found.shape != reference.shape:
            raise SystemExit(f"{case.name}: {runner.engine} gives {found.shape}, not {reference.shape}")
        difference = float(np.abs(found / reference - 1).max())
        if not difference <= TOLERANCE:
            raise SystemExit(
                f"{case.name}: {runner.engine}'s work differs by {difference:.1e}\n{found}\n{reference}"
            )
        largest = max(largest, difference)
    return largest


def measure(case: Case, engines: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """One case: all engines in turn."""
    notes = {engine: why_not(engine, case) for engine in engines}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ExitStack() as stack:
        runners: list[Runner] = []
        layers: Layers | None = None
        for engine in (engine for engine in engines if not notes[engine]):
            for threads in (n for n in THREADS if n <= cores):
                runner = stack.enter_context(started(engine, case, threads))
                try:
                    layers = runner.ask("draw") if layers is None else layers
                    runner.ask("start", layers)
                    if engine == "torch.compile":
                        runner.work(case, 1)
                except RuntimeError as error:
                    if engine != "torch.compile":
                        raise
                    print(error, file=sys.stderr)
                    notes[engine] = "does not compile here"
                    break
                runners.append(runner)
        difference = equal_work(case, runners)
        for runner in runners:
            runner.prepare(case, seconds)
        for _ in range(rounds):
            for runner in runners:
                runner.round(case)
    return summary(case, runners, notes, difference)


def summary(case: Case, runners: list[Runner], notes: dict[str, str], difference: float) -> dict[str, Any]:
    """The figures of a case, in microseconds."""
    medians: dict[str, dict[int, float]] = {}
    for runner in runners:
        medians.setdefault(runner.engine, {})[runner.threads] = 1e6 * median(runner.times)
    best = {engine: min(found.values()) for engine, found in medians.items()}
    peers = [engine for engine in best if engine != "chainrule"]
    peer = min(peers, key=best.__getitem__, default=None)
    return {
        "case": vars(case),
        "medians": medians,
        "rounds": {f"{r.engine}, {r.threads}": [1e6 * t for t in r.times] for r in runners},
        "notes": {engine: note for engine, note in notes.items() if note},
        "largest difference": difference,
        "best peer": peer,
        "ratio": best[peer] / best["chainrule"] if peer else None,
    }


def cell(found: dict[str, Any], engine: str) -> str:
    """Microseconds and the number of threads, or why there are none."""
    medians = found["medians"].get(engine)
    if not medians:
        return found["notes"].get(engine, "")
    threads = min(medians, key=medians.__getitem__)
    return f"{medians[threads]:.4g} ({threads})"


def row(found: dict[str, Any], engines: list[str]) -> str:
    """A line of the table."""
    case = found["case"]
    widths = "-".join(map(str, case["widths"]))
    several = f"{case['restarts']} x " if case["restarts"] > 1 else ""
    figures = " | ".join(cell(found, engine) for engine in engines)
    ratio = f"**{found['ratio']:.2f}** ({found['best peer']})" if found["ratio"] else ""
    return f"| {case['name']} | {several}{widths} | {case['batch']} | {figures} | {ratio} | {case['bar']} |"


def head(engines: list[str]) -> str:
    """The table's first lines."""
    columns = ["case", "layers", "batch", *engines, "best peer / chainrule", "at least"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def available(compile: bool) -> list[str]:
    """The engines that are installed; the others are named on standard error."""
    names = []
    for engine in ENGINES:
        missing = [module for module in REQUIRES.get(engine, ()) if find_spec(module) is None]
        if missing:
            print(f"{engine} is left out: {', '.join(missing)} not installed", file=sys.stderr)
        elif compile or engine != "torch.compile":
            names.append(engine)
    return names


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.7, help="of an engine's work in a round")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    engines = available(options.compile)
    print("Microseconds a step of all networks together, or a prediction (threads)\n")
    print(head(engines), flush=True)
    results = []
    for case in CASES:
        if not options.case or case.name in options.case:
            results.append(measure(case, engines, options.rounds, options.seconds))
            print(row(results[-1], engines), flush=True)
    modules = ("numpy", "torch", "jax", "scikit-learn", "onnxruntime")
    versions = {name: version(name) for name in modules if find_spec(name.replace("scikit-learn", "sklearn"))}
    print(f"\nPython {platform.python_version()}, " + ", ".join(f"{n} {v}" for n, v in versions.items()))
    if options.json:
        found = {"versions": versions, "rounds": options.rounds, "cases": results}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
