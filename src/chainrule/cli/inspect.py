"""``chainrule inspect``: what a saved model is and how it came about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainrule.cli.terminal import Terminal
from chainrule.data.describe import list_some

if TYPE_CHECKING:
    from chainrule.tables import TableModel

COLUMNS = 100  # listed at most


def inspect_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that chainrule train saved.")],
) -> None:
    """Show a saved model: its target, score, network, columns and settings."""
    from chainrule.tables import load_model

    terminal = Terminal()
    for name, text in describe(load_model(model)):
        terminal.say(f"{name:<14}{text}")


def describe(model: TableModel) -> Iterator[tuple[str, str]]:
    """The lines that are shown, each with the name that stands before it."""
    from chainrule.tables.scores import Score

    facts, target = model.facts, model.preprocessor.target
    rows = facts.held_out_rows or facts.training_rows
    score = Score(facts.metric, facts.score, facts.baseline, rows, facts.scored_on)
    yield "version", f"chainrule {facts.version}"
    yield "data", f"{facts.data}: {facts.training_rows} rows to train, {facts.validation_rows} to validate"
    yield "target", f"{target.name} ({target.task})"
    if target.classes:
        yield "classes", list_some(target.classes, limit=20)
    yield "score", score.describe()
    yield "training", f"{facts.epochs} epochs ({facts.stopped}); epoch {facts.best_epoch} is kept"
    yield "network", model.architecture.describe()
    for line in repr(model.network.summary()).splitlines():
        yield "", line
    columns = model.preprocessor.columns
    yield "columns", f"{len(columns)}, which become {len(model.preprocessor.feature_names)} features"
    for column in columns[:COLUMNS]:
        shown = f": {list_some(column.categories)}" if column.categories else ""
        yield "", f"{column.name} ({column.kind}{shown})"
    if len(columns) > COLUMNS:
        yield "", f"and {len(columns) - COLUMNS} more"
    settings = {name: "automatic" if value is None else value for name, value in facts.settings.items()}
    yield "settings", ", ".join(f"{name} {value}" for name, value in settings.items())
