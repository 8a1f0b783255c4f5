"""``chainrule predict``: predictions of a saved model for the rows of a table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainrule.cli.sources import check_place, load_source
from chainrule.cli.terminal import Terminal
from chainrule.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from chainrule.tables import Score, TableModel


def predict_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that chainrule train saved.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A table file, or a bundled problem.")],
    out: Annotated[Path, typer.Option(help="Where the predictions are written (CSV or Parquet).")] = Path(
        "predictions.csv"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Predict for every row of a table, in its order; also score, if the table has the target."""
    from chainrule.files import write_atomically
    from chainrule.tables import load_model

    terminal = Terminal(json)
    check_place("--out", out, [str(model), data])
    loaded = load_model(model)
    frame = load_source(data, loaded.preprocessor.text_columns).frame
    predictions = loaded.predict(frame)
    score, why_not = score_if_known(loaded, frame)
    terminal.notices([*predictions.notices, *why_not])
    write_atomically(out, table_bytes(predictions.to_frame(), out))
    terminal.say(f"{frame.height} predictions: {out}")
    if score is not None:
        terminal.say(score.describe())
    terminal.finish(
        {
            "rows": frame.height,
            "out": str(out),
            "task": loaded.task,
            "target": loaded.preprocessor.target.name,
            "metric": score.metric.lower() if score else None,
            "score": score.value if score else None,
            "baseline": score.baseline if score else None,
            "scored_rows": score.rows if score else 0,
            "notices": [*predictions.notices, *why_not],
        }
    )


def score_if_known(model: TableModel, frame: pl.DataFrame) -> tuple[Score | None, list[str]]:
    """The score if the table has the target; a notice where the target is there but cannot be scored."""
    target = model.preprocessor.target.name
    if target not in frame.columns or frame[target].null_count() == frame.height:
        return None, []
    try:
        return model.score(frame), []
    except DataError as error:
        got = f" ({error.got})" if error.got else ""
        return None, [f"no score: {error.what}{got}"]


def table_bytes(frame: pl.DataFrame, path: Path) -> bytes:
    """The table as the file's name asks for: Parquet if it ends in .parquet or .pq, else CSV."""
    buffer = io.BytesIO()
    if path.suffix.lower() in {".parquet", ".pq"}:
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer)
    return buffer.getvalue()
