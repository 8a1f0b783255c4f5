"""``chainrule inspect``: what a saved model is and how it came about."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli import options
from chainrule.cli.terminal import Terminal
from chainrule.data.describe import list_some
from chainrule.foreign_text import WIDTH, clipped

if TYPE_CHECKING:
    from chainrule.tables import TableModel

COLUMNS, LAYERS, SETTINGS = 100, 100, 40  # listed at most


def inspect_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=options.MODEL)],
    json: Annotated[bool, options.option("inspect", "json", "--json")] = False,
) -> None:
    """Show a saved model: its target, score, network, columns and settings."""
    from chainrule.tables import load_model

    terminal, loaded = Terminal(json), load_model(model)
    for name, text in describe(loaded):
        terminal.entry(name, text)
    if not json:
        terminal.next_steps([f"chainrule predict {shlex.quote(str(model))} NEW_ROWS.csv"])
    terminal.finish(summary(loaded))


def summary(model: TableModel) -> dict[str, Any]:
    """What a model is, as plain values."""
    target = model.preprocessor.target
    return {
        "task": target.task,
        "target": target.name,
        "classes": list(target.classes),
        "columns": [
            {"name": column.name, "kind": column.kind, "categories": list(column.categories)}
            for column in model.preprocessor.columns
        ],
        "network": {
            "widths": list(model.architecture.widths),
            "activation": model.architecture.activation,
            "dropout": model.architecture.dropout,
            "batch_norm": model.architecture.batch_norm,
            "networks": model.architecture.networks,
            "parameters": sum(parameter.size for parameter in model.network.parameters()),
        },
        **asdict(model.facts),
    }


def layer_lines(model: TableModel) -> Iterator[str]:
    """The layers of the network; of several that answer together, those of the first of each kind."""
    from chainrule.tables.mixture import Mixture

    if not isinstance(model.network, Mixture):
        yield from repr(model.network.summary()).splitlines()
        return
    kinds, each = model.architecture.answering, model.architecture.members
    for number, ((_, share), network) in enumerate(zip(kinds, model.network.members, strict=False), 1):
        which = f"kind {number} of {len(kinds)}, with {share:.2g} of the say, " if len(kinds) > 1 else ""
        yield f"{which}{each} network{'' if each == 1 else 's'} like this:"
        yield from repr(network.summary()).splitlines()


def describe(model: TableModel) -> Iterator[tuple[str, str]]:
    """The lines that are shown, each with the name that stands before it."""
    from chainrule.tables.decision import describe_decision
    from chainrule.tables.scores import Score

    facts, target = model.facts, model.preprocessor.target
    rows = facts.held_out_rows or facts.training_rows
    score = Score(
        facts.metric, facts.score, facts.baseline, rows, facts.scored_on, facts.score_low, facts.score_high
    )
    yield "version", f"chainrule {clipped(facts.version)}"
    validation = f", {facts.validation_rows} to validate" if facts.validation_rows else ""
    yield "data", f"{clipped(facts.data)}: {facts.training_rows} rows to train{validation}"
    yield "target", f"{clipped(target.name)} ({target.task})"
    if target.classes:
        yield "classes", list_some(target.classes, limit=20)
    yield "score", score.describe()
    if facts.decision:
        yield "decision", f"{describe_decision(facts.decision, target.classes)}: the predicted class"
    folds, kinds = model.architecture.members, len(model.architecture.kinds)
    kept = f"epoch {facts.best_epoch} is kept"
    if folds > 1 and kinds > 1:
        kept = f"each of its {kinds} networks keeps its best epoch, the last of them {facts.best_epoch}"
    course = f"{facts.epochs} epochs ({clipped(facts.stopped)}); {kept}"
    yield "training", f"the best of {folds} folds: {course}" if folds > 1 else course
    yield "network", clipped(model.architecture.describe(), WIDTH)
    layers = list(layer_lines(model))
    for line in layers if len(layers) <= LAYERS else [*layers[:LAYERS], f"and {len(layers) - LAYERS} more"]:
        yield "", line
    columns = model.preprocessor.columns
    used = len(model.preprocessor.used)
    some = f"{used} of {len(columns)}" if used < len(columns) else f"{used}"
    yield "columns", f"{some}, which become {len(model.preprocessor.feature_names)} features"
    for column in columns[:COLUMNS]:
        shown = f": {list_some(column.categories)}" if column.categories else ""
        yield "", f"{clipped(column.name)} ({column.kind}{shown})"
    if len(columns) > COLUMNS:
        yield "", f"and {len(columns) - COLUMNS} more"
    settings = {name: "automatic" if value is None else value for name, value in facts.settings.items()}
    yield "settings", list_some([f"{name} {value}" for name, value in settings.items()], limit=SETTINGS)
