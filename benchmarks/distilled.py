"""An ensemble and the one network that imitates it: score, size of the file, time for one row, also as ONNX.

    python benchmarks/distilled.py NAME=FILE:TARGET ... [--epochs N]

Both are trained by one run on the same rows and scored on the same rows. The row is that of a table of polars for
chainrule, and its cells for onnxruntime; both do the preprocessing, without which "its features alone" are timed. The
median of 7 series of 30 calls, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chainrule as cr
from chainrule.number_text import readable
from chainrule.tables.model import TableModel

SERIES, CALLS = 7, 30
HEAD = "| table (rows held out) | model | score | model file | one row | its features alone | ONNX file "
HEAD += """| one row, onnxruntime |
|---|---|---|---|---|---|---|---|"""


def milliseconds(call: Callable[[], object]) -> float:
    """The median time of a call."""
    call()
    taken = []
    for _ in range(SERIES):
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        taken.append((time.perf_counter() - begin) / CALLS * 1e3)
    return statistics.median(taken)


def onnx_call(path: Path, row: Any) -> Callable[[], object]:
    """A prediction for one row of a frame by onnxruntime."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    cells = {}
    for one in session.get_inputs():
        column = row[one.name]
        is_text = "string" in one.type
        cells[one.name] = np.array(
            ["" if value is None else str(value) for value in column] if is_text else column.to_list(),
            dtype=object if is_text else np.float64,
        )
    return lambda: session.run(None, cells)


def line(label: str, model: TableModel, score: str, row: Any, folder: Path) -> str:
    """A row of the table."""
    file, onnx = folder / "model.safetensors", folder / "model.onnx"
    model.save(file)
    model.save_onnx(onnx)
    sizes = [f"{path.stat().st_size / 1e3:.0f} kB" for path in (file, onnx)]
    features = model.preprocessor.transform(row)
    calls = (lambda: model.predict(row), lambda: model.network.predict(features), onnx_call(onnx, row))
    times = [f"{milliseconds(call):.3g} ms" for call in calls]
    return f"| {label} | {score} | {sizes[0]} | {times[0]} | {times[1]} | {sizes[1]} | {times[2]} |"


def lines(name: str, file: str, target: str, more: dict[str, Any]) -> Iterator[str]:
    """The two rows of one table: its ensemble and what imitates it."""
    student = cr.train(file, target, distil=True, progress=False, **more)
    assert student.teacher is not None
    row = student.prepared.frame.head(1)
    for label, trained in (("ensemble", student.teacher), ("distilled", student)):
        score = f"{trained.score.metric} {readable(trained.score.value)}"
        where = f"{name} ({trained.score.rows})" if trained is not student else ""
        with tempfile.TemporaryDirectory() as folder:
            yield line(f"{where} | {label}", trained.model, score, row, Path(folder))


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", metavar="NAME=FILE:TARGET")
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    print(HEAD)
    for table in given.tables:
        name, _, rest = table.partition("=")
        file, _, target = rest.rpartition(":")
        for one in lines(name, file, target, {} if given.epochs is None else {"epochs": given.epochs}):
            print(one, flush=True)


if __name__ == "__main__":
    main()
