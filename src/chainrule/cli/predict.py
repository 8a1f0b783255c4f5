"""``chainrule predict``: predictions of a saved model for the rows of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainrule.cli.sources import check_place, find_source
from chainrule.cli.terminal import Terminal
from chainrule.errors import DataError

if TYPE_CHECKING:
    from chainrule.tables import Score, TableModel
    from chainrule.tables.model import Part


def predict_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that chainrule train saved.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A table file, or a bundled problem.")],
    out: Annotated[Path, typer.Option(help="Where the predictions are written (CSV or Parquet).")] = Path(
        "predictions.csv"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Predict for every row of a table, in its order; also score, if the table has the target."""
    from chainrule.data.notices import add_up
    from chainrule.tables import load_model
    from chainrule.tables.writing import table_writer

    terminal = Terminal(json)
    check_place("--out", out, [str(model), data])
    loaded = load_model(model)
    scoring = Scoring(loaded)
    found = []
    with table_writer(out) as write:
        for part in loaded.predict_parts(find_source(data)):
            write(part.predictions.to_frame())
            found.append((part.frame.height, part.notices))
            scoring.add(part)
    rows = sum(height for height, _ in found)
    notices = [*add_up(found), *scoring.why_not]
    score = scoring.score
    terminal.notices(notices)
    terminal.say(f"{rows} predictions: {out}")
    if score is not None:
        terminal.say(score.describe())
    terminal.finish(
        {
            "rows": rows,
            "out": str(out),
            "task": loaded.task,
            "target": loaded.preprocessor.target.name,
            "metric": score.metric.lower() if score else None,
            "score": score.value if score else None,
            "baseline": score.baseline if score else None,
            "scored_rows": score.rows if score else 0,
            "notices": notices,
        }
    )


class Scoring:
    """The score of a table's parts that have the target; a notice where it is there but cannot be scored."""

    def __init__(self, model: TableModel) -> None:
        self.model, self.running = model, model.running_score()
        self.why_not: list[str] = []

    def add(self, part: Part) -> None:
        """Count the rows of a part."""
        target = self.model.preprocessor.target.name
        known = target in part.frame.columns and part.frame[target].null_count() < part.frame.height
        if not known or self.why_not:
            return
        try:
            self.model.add_to(self.running, part)
        except DataError as error:
            got = f" ({error.got})" if error.got else ""
            self.why_not.append(f"no score: {error.what}{got}")

    @property
    def score(self) -> Score | None:
        """The score, if there is one."""
        return self.running.score() if self.running.rows and not self.why_not else None
