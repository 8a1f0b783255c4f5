"""``chainrule train``, by its defaults, beside the libraries that tables are given to: errors, ranks, seconds.

    python benchmarks/tables.py                                 the bundled tables
    python benchmarks/tables.py FOLDER                          NAME.csv with the target y, and splits.json
    python benchmarks/tables.py FOLDER --only chainrule,catboost --tables pima,glass --splits 1 --threads 1
    python benchmarks/tables.py FOLDER --json tables.json --markdown tables.md

Contestants are LightGBM, XGBoost, CatBoost, scikit-learn's MLP, RealMLP-TD and TabM-D, all by their defaults
(``table_contestants.py``). Each is a process of its own, pinned to as many cores as threads, and they take turns on
every split, one at work at a time; the first to begin changes. None sees the target of the held-out rows.

- Classes: error (1 - accuracy), log loss, area under the ROC curve, expected calibration error.
- Numbers: root mean square error over the standard deviation of the held-out rows' target.
- Ranks are over the tables that every contestant finished, of means over the splits.
- Seconds are those of fitting and predicting; the processors' are of all threads. Importing the library and a first
  tiny table are not in them, compiling machine code for the table is.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import table_scores as scores
from table_contestants import CONTESTANTS, THREADS, Job, serve
from table_scores import Scored, Table

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
Result = dict[str, Any]


class Runner:
    """A contestant's process; begun anew after one that took too long."""

    def __init__(self, name: str, threads: int, limit: float) -> None:
        self.name, self.threads, self.limit = name, threads, limit
        self.begin()

    def begin(self) -> None:
        """Start the process; numeric libraries read how many threads they may have when they are loaded."""
        os.environ.update(dict.fromkeys(THREADS, str(self.threads)))
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.name, self.threads), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, job: Job) -> tuple[np.ndarray, float, float] | str:
        """Predictions, the processors' seconds and those that passed, or why there are none."""
        self.pipe.send(job)
        try:
            if self.pipe.poll(self.limit):
                return self.pipe.recv()
            failure = f"took more than {self.limit:g} seconds"
        except EOFError:
            failure = "the process died"
        self.process.kill()
        self.process.join()
        self.begin()
        return failure

    def end(self) -> None:
        """End the process."""
        if self.process.is_alive():
            self.pipe.send(None)
            self.process.join(10)


def measure(runner: Runner, table: Table, split: int) -> tuple[Result, Scored | None]:
    """One contestant on one split."""
    training, held_out = table.split(split)
    job = Job(
        table.features.iloc[training].reset_index(drop=True),
        table.y[training],
        table.features.iloc[held_out].reset_index(drop=True),
        table.task,
        runner.threads,
    )
    answer = runner.ask(job)
    result: Result = {"table": table.name, "task": table.task, "split": split, "contestant": runner.name}
    if isinstance(answer, str):
        print(f"{runner.name} failed on {table.name}:\n{answer}", file=sys.stderr)
        return {**result, "failure": answer.strip().splitlines()[-1]}, None
    predicted, processors, wall = answer
    y = table.y[held_out]
    scored = (
        scores.score_classes(predicted, np.unique(job.y), y)
        if job.classes
        else scores.score_numbers(predicted, y)
    )
    return {**result, **scored.figures, "cpu_seconds": processors, "seconds": wall}, scored


def summary(results: Sequence[Result], of_rows: Mapping[tuple[str, str], list[np.ndarray]]) -> pd.DataFrame:
    """A row for each contestant. ``of_rows`` are losses of rows by contestant and table, split by split."""
    errors, losses = (scores.mean_figures(results, name) for name in ("error", "log_loss"))
    found = pd.DataFrame({"mean rank, error": scores.mean_ranks(errors), "wins, error": scores.wins(errors)})
    if len(losses):
        found["mean rank, log loss"] = scores.mean_ranks(losses)
        found["wins, log loss"] = scores.wins(losses)
        found["calibration error"] = scores.mean_figures(results, "calibration_error").mean()
    if errors.shape[1] > 1:
        found["worst error over the best other's"] = scores.behind_the_best(errors)
    if "chainrule" in errors:
        for other in errors.columns.drop("chainrule"):
            both = errors[["chainrule", other]].dropna().index
            held = sum(scores.no_worse(of_rows["chainrule", t], of_rows[other, t]) for t in both)
            found.loc[other, "chainrule no worse on"] = f"{held} of {len(both)}"
    for title, name in (("seconds of the processors", "cpu_seconds"), ("seconds", "seconds")):
        found[title] = pd.DataFrame(results).groupby("contestant")[name].sum()
    return found


def in_markdown(figures: pd.DataFrame, digits: int, best: str = "") -> str:
    """A frame as a Markdown table; ``best`` ("min" or "max"): each row's best figure in bold."""
    lines = [["", *map(title, figures.columns)], ["---"] * (figures.shape[1] + 1)]
    for name, row in figures.iterrows():
        cells = [value if isinstance(value, str) else f"{value:.{digits}f}" for value in row]
        if best:
            at = [value == row.agg(best) for value in row]
            cells = [f"**{cell}**" if bold else cell for cell, bold in zip(cells, at, strict=True)]
        lines.append([title(str(name)), *("" if cell == "nan" else cell for cell in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def title(name: str) -> str:
    """How a contestant is called; other names are as they are."""
    return CONTESTANTS[name].title if name in CONTESTANTS else name


def report(results: Sequence[Result], of_rows: Mapping[tuple[str, str], list[np.ndarray]]) -> str:
    """Errors, log losses and the summary as Markdown."""
    parts = []
    for heading, name in (("Error", "error"), ("Log loss", "log_loss"), ("Area under the ROC curve", "auc")):
        if any(name in result for result in results):
            figures = scores.mean_figures(results, name)
            parts.append(f"{heading}, mean over the splits:")
            parts.append(in_markdown(figures, 4, best="max" if name == "auc" else "min"))
    parts += ["Summary:", in_markdown(summary(results, of_rows), 3)]
    return "\n\n".join(parts)


def versions(names: Sequence[str]) -> dict[str, str]:
    """Of the packages of these contestants."""
    return {package: version(package) for package in sorted({CONTESTANTS[name].package for name in names})}


def contestants(asked: str) -> list[str]:
    """Those asked for, or all that are installed; the others are named."""
    if strange := sorted(set(asked.split(",")) - {"", *CONTESTANTS}):
        raise SystemExit(f"no such contestant: {', '.join(strange)}; there are {', '.join(CONTESTANTS)}")
    found = []
    for name in asked.split(",") if asked else CONTESTANTS:
        try:
            version(CONTESTANTS[name].package)
            found.append(name)
        except PackageNotFoundError:
            message = f"{CONTESTANTS[name].title} is left out: {CONTESTANTS[name].package} is not installed"
            if asked:
                raise SystemExit(message) from None
            print(message, file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="of tables; without it chainrule's bundled ones")
    parser.add_argument("--only", default="", help=f"contestants, of {','.join(CONTESTANTS)}")
    parser.add_argument("--tables", default="", help="names of tables")
    parser.add_argument("--splits", type=int, help="at most so many of each table")
    parser.add_argument("--threads", type=int, default=min(2, CORES))
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds for one fit")
    parser.add_argument("--json", type=Path, help="every figure; written anew after each split")
    parser.add_argument("--markdown", type=Path, help="the tables that are printed")
    given = parser.parse_args()
    wanted = [name for name in given.tables.split(",") if name]
    tables = scores.read_folder(given.folder, wanted) if given.folder else scores.bundled(wanted)
    names = contestants(given.only)
    facts = {
        "versions": versions(names),
        "machine": f"{platform.system()} {platform.machine()}, {CORES} cores",
        "threads": given.threads,
    }
    results: list[Result] = []
    of_rows: dict[tuple[str, str], list[np.ndarray]] = {}
    with ExitStack() as stack:
        runners = [Runner(name, given.threads, given.limit) for name in names]
        for runner in runners:
            stack.callback(runner.end)
        for table in tables:
            for split in range(min(len(table.held_out), given.splits or len(table.held_out))):
                for turn in range(len(runners)):
                    runner = runners[(turn + split) % len(runners)]
                    result, scored = measure(runner, table, split)
                    results.append(result)
                    if scored:
                        of_rows.setdefault((runner.name, table.name), []).append(scored.of_rows)
                    show(result)
                if given.json:
                    given.json.write_text(json.dumps({**facts, "results": results}, indent=1))
    if not of_rows:
        raise SystemExit("no contestant finished")
    text = report(results, of_rows)
    print(text)
    if given.markdown:
        given.markdown.write_text(text + "\n")
    if given.json:
        whole = json.loads(summary(results, of_rows).to_json(orient="index"))
        given.json.write_text(json.dumps({**facts, "results": results, "summary": whole}, indent=1))


def show(result: Result) -> None:
    """A line of progress."""
    figures = [f"{name} {value:.4g}" for name, value in result.items() if isinstance(value, float)]
    said = ", ".join(figures) or result["failure"]
    print(
        f"{result['table']}, split {result['split']}, {title(result['contestant'])}: {said}", file=sys.stderr
    )


if __name__ == "__main__":
    main()
