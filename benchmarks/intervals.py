"""How often prediction intervals and label sets hold the truth, on rows that are held out, and how large they are.

    python benchmarks/intervals.py FOLDER [--tables mpg,yacht,...] [--rows 1500] [--splits 1] [--json FILE]

FOLDER holds NAME.csv, whose target is called y, and splits.json (per table the task and the rows to hold out). Of the
other rows at most ``--rows`` train, by the defaults of ``cr.train``. Numbers: 90% intervals by the model's own rule and
by one width for all rows, made of the same out-of-fold errors; widths in deviations of the target, and the interval
score (width + 20 times what it misses by). Classes: 90% label sets, beside the accuracy.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import chainrule as cr
from chainrule.tables.intervals import half_width, interval_score, kept_errors

LEVEL = 0.9
NUMBERS = "abalone", "autos", "kin8nm", "mpg", "wine-white", "yacht"
CLASSES = "breast-cancer", "german", "glass", "phoneme", "pima", "segment", "titanic"


def measured(folder: Path, name: str, split: dict[str, Any], number: int, rows: int) -> dict[str, Any]:
    """Train on one split of a table, and judge its intervals or label sets on the rows that are held out."""
    frame = pl.read_csv(folder / f"{name}.csv", infer_schema_length=None)
    test = np.array(split["test"][number])
    rest = np.random.default_rng(number).permutation(np.setdiff1d(np.arange(frame.height), test))[:rows]
    start = time.perf_counter()
    trained = cr.train(frame[np.sort(rest)], "y", task=split["task"], progress=False)
    found = {"table": name, "split": number, "trained on": len(rest), "held out": len(test)}
    judge = of_numbers if split["task"] == "regression" else of_classes
    return found | judge(trained, frame[test]) | {"seconds": round(time.perf_counter() - start, 1)}


def of_numbers(trained: Any, table: pl.DataFrame) -> dict[str, Any]:
    """Coverage, width and interval score of the model's intervals and of those of one width."""
    predictions, actual = trained.predict(table, interval=LEVEL), table["y"].to_numpy().astype(float)
    predicted, unit = predictions.values.to_numpy(), trained.model.preprocessor.target.standard_deviation
    errors = np.abs(predicted - actual)
    one = half_width(kept_errors(trained.scored.predicted - trained.scored.actual), LEVEL)
    found: dict[str, Any] = {"scaled": bool(trained.model.facts.error_scale)}
    for kind, reach in (("own", predictions.high - predicted), ("one", np.full(len(errors), one))):
        found[f"{kind}: covered"] = float(np.mean(errors <= reach))
        found[f"{kind}: width"] = float(np.mean(2 * reach)) / unit
        found[f"{kind}: score"] = float(np.mean(interval_score(errors, reach, LEVEL))) / unit
    return found


def of_classes(trained: Any, table: pl.DataFrame) -> dict[str, Any]:
    """Coverage and size of the label sets, beside the accuracy."""
    predictions = trained.predict(table, label_sets=LEVEL)
    actual = trained.model.preprocessor.encode_target(trained.model.preprocessor.read(table, 0)[0])
    rows = np.arange(len(actual))
    return {
        "covered": float(np.mean(predictions.sets[rows, actual])),
        "classes in a set": float(np.mean(predictions.sets.sum(1))),
        "of": len(predictions.classes),
        "accuracy": float(np.mean(predictions.probabilities.argmax(1) == actual)),
    }


def as_markdown(found: list[dict[str, Any]]) -> str:
    """A table of the figures, with their means over the tables below."""
    names = list(found[0])
    figures = [name for name in names if isinstance(found[0][name], float)]
    means = {name: float(np.mean([row[name] for row in found])) for name in figures} | {"table": "mean"}
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in [*found, means]:
        cells = [row.get(name, "") for name in names]
        lines.append(f"| {' | '.join(f'{c:.3f}' if isinstance(c, float) else str(c) for c in cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", default=",".join((*NUMBERS, *CLASSES)))
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    splits = json.loads((asked.folder / "splits.json").read_text())
    names = asked.tables.split(",")
    found = {}
    for task in ("regression", "classification"):
        found[task] = [
            measured(asked.folder, name, splits[name], number, asked.rows)
            for name in names
            if splits[name]["task"] == task
            for number in range(min(asked.splits, len(splits[name]["test"])))
        ]
        if found[task]:
            print(as_markdown(found[task]), end="\n\n", flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
