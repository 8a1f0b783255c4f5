"""``chainrule predict``: predictions of a saved model for the rows of a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli import options
from chainrule.cli.columns import read_config
from chainrule.cli.layout import paragraph, table
from chainrule.cli.sources import check_place, find_source, permissions_from
from chainrule.cli.terminal import Terminal
from chainrule.data.describe import list_some
from chainrule.data.tables import short_name
from chainrule.errors import DataError
from chainrule.foreign_text import WIDTH, clipped
from chainrule.number_text import readable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chainrule.tables import Predictions, Score, TableModel
    from chainrule.tables.predictions import Part


HEAD, CELL = 5, 30  # predictions that are shown, and characters of each
SET = 4  # classes of a label set that are shown
HELD = 5_000_000  # outputs of the network that are kept for more than the score


def option(name: str, *spellings: str, **more: Any) -> Any:
    """A parameter as typer takes it, with what its record says."""
    return options.option("predict", name, *spellings, **more)


def predict_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=options.MODEL)],
    data: Annotated[str, typer.Argument(metavar="DATA", help=options.DATA)],
    encoding: Annotated[str | None, option("encoding")] = None,
    delimiter: Annotated[str | None, option("delimiter")] = None,
    header: Annotated[bool | None, option("header", "--header/--no-header")] = None,
    sheet: Annotated[str | None, option("sheet")] = None,
    config: Annotated[Path | None, option("config", callback=read_config, is_eager=True)] = None,
    out: Annotated[Path, option("out")] = Path("predictions.csv"),
    escape_formulas: Annotated[bool, option("escape_formulas", "--escape-formulas")] = False,
    interval: Annotated[float | None, option("interval")] = None,
    label_sets: Annotated[float | None, option("label_sets")] = None,
    json: Annotated[bool, option("json", "--json")] = False,
) -> None:
    """Predict for every row of a table, in its order; also score, if the table has the target."""
    from chainrule.data.features.notices import add_up
    from chainrule.tables import load_model
    from chainrule.tables.writing import table_writer

    terminal = Terminal(json)
    check_place("--out", out, [str(model), data])
    loaded = load_model(model)
    scoring = Scoring(loaded)
    found = []
    first: Predictions | None = None
    parts = loaded.predict_parts(
        find_source(data),
        encoding=encoding,
        delimiter=delimiter,
        header=header,
        sheet=sheet,
        interval=interval,
        label_sets=label_sets,
    )
    with table_writer(out, escape_formulas, mode=permissions_from(model, data)) as write:
        for part in parts:
            write(part.predictions.to_frame())
            found.append((part.frame.height, part.notices))
            scoring.add(part)
            first = first or part.predictions
    rows = sum(height for height, _ in found)
    notices = [*add_up(found), *scoring.why_not]
    terminal.notices(notices)
    terminal.say(f"{rows} predictions: {out}")
    if first is not None and rows:
        terminal.block("", head_lines(first))
    show_score(scoring, terminal)
    if scoring.score is not None and short_name(data) == loaded.facts.data:
        facts = loaded.facts
        was = f"its {facts.scored_on} score was {facts.metric} {readable(facts.score)}"
        terminal.say(paragraph(f"(the model was trained on a table of this name; {was})"))
    terminal.finish({"rows": rows, "out": str(out), **summary(loaded, scoring), "notices": notices})


def head_lines(predictions: Predictions) -> list[str]:
    """The first predictions, each with its row's number in the table and, for classes, its probability."""
    first = predictions.values[:HEAD].to_list()
    values = [f"{value:.6g}" if isinstance(value, float) else clipped(value, CELL) for value in first]
    rows = [[str(i), value] for i, value in enumerate(values, 1)]
    titles, texts = ["row", "prediction"], 0
    if predictions.low is not None and predictions.high is not None:
        titles += ["low", "high"]
        ends = zip(predictions.low[:HEAD], predictions.high[:HEAD], strict=True)
        rows = [[*row, f"{low:.6g}", f"{high:.6g}"] for row, (low, high) in zip(rows, ends, strict=True)]
    if predictions.probabilities is not None:
        titles.append("probability")
        said = predictions.probabilities.argmax(1) if predictions.said is None else predictions.said
        shown = said[:HEAD]
        best = predictions.probabilities[range(len(shown)), shown]
        rows = [[*row, f"{probability:.4f}"] for row, probability in zip(rows, best, strict=True)]
    if predictions.sets is not None:
        titles.append("in the set")
        names = [
            list_some(names, limit=SET)
            for names in replace(predictions, sets=predictions.sets[:HEAD]).label_sets
        ]
        rows = [[*row, some] for row, some in zip(rows, names, strict=True)]
    lines = table([titles, *rows], texts)
    return lines if len(predictions.values) <= HEAD else [*lines, "..."]


def show_score(scoring: Scoring, terminal: Terminal) -> None:
    """The score, and the other measures, of the rows whose target is known."""
    from chainrule.tables.metrics import class_of, measure_text, titled

    if scoring.score is None:
        return
    terminal.blank()
    terminal.say(paragraph(scoring.score.describe()), "bold")
    classes = scoring.model.classes
    rest = [
        f"{titled(name, class_of(name, classes))} {measure_text(name, value, '')}"
        for name, value in scoring.metrics.items()
        if value is not None and name != scoring.score.metric
    ]
    if rest:
        terminal.say(paragraph(", ".join(rest)))


def summary(model: TableModel, scoring: Scoring) -> dict[str, Any]:
    """The model and the score as plain values."""
    score = scoring.score
    return {
        "task": model.task,
        "target": model.preprocessor.target.name,
        "metric": score.metric.lower() if score else None,
        "score": score.value if score else None,
        "score_low": score.low if score else None,
        "score_high": score.high if score else None,
        "baseline": score.baseline if score else None,
        "scored_rows": score.rows if score else 0,
        "metrics": scoring.metrics,
    }


class Scoring:
    """The score of a table's parts that have the target; a notice where it is there but cannot be scored."""

    def __init__(self, model: TableModel) -> None:
        self.model, self.running = model, model.running_score()
        self.why_not: list[str] = []
        self.held: list[tuple[NDArray[np.float32], NDArray[Any]]] = []
        self.complete = True  # whether all rows are held: of very many the score alone is added up

    def add(self, part: Part) -> None:
        """Count the rows of a part."""
        target = self.model.preprocessor.target.name
        known = target in part.frame.columns and part.frame[target].null_count() < part.frame.height
        if not known or self.why_not:
            return
        try:
            outputs, actual = self.model.add_to(self.running, part)
            self.complete = self.complete and self.running.rows * outputs.shape[1] <= HELD
            self.held = [*self.held, (outputs, actual)] if self.complete else []
        except DataError as error:
            got = f" ({clipped(error.got, WIDTH)})" if error.got else ""
            self.why_not.append(f"no score: {error.what}{got}")

    @property
    def score(self) -> Score | None:
        """The score, if there is one."""
        return self.running.score() if self.running.rows and not self.why_not else None

    @property
    def metrics(self) -> dict[str, float | None]:
        """Several measures of the rows that the score is of; none where they are too many to be held."""
        import numpy as np

        from chainrule.tables.metrics import measure
        from chainrule.tables.scored import score_rows

        if self.score is None or not self.held:
            return {}
        outputs, actual = (np.concatenate(parts) for parts in zip(*self.held, strict=True))
        scored = score_rows(self.model, outputs, actual)
        said = self.model.said(outputs) if self.model.decision else None
        return measure(self.model.preprocessor.target, scored.predicted, scored.actual, None, said)
